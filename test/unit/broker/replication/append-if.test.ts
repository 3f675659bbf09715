/** An append that expects an end of the log. */
import { describe, expect, it } from 'vitest';
import { Partition } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import type { AppendResult, PartitionOutput } from '../../../../broker/replication/types.ts';
import { assignment, replicas } from './assignment.ts';
import { header } from './header.ts';

const ASSIGNMENT = assignment({ replicas: replicas(1, 2) });

/**
 * Leader of epoch 5 over a committed log: epoch 1 began at 0, data up to 3 (exclusive), epoch 2
 * began at 3, and its own epoch begins at 4.
 */
class Led {
  readonly #core: Partition;
  #writes = 1;
  #requests = 0;

  constructor() {
    const log = {
      startOffset: 0,
      endOffset: 4,
      epochs: [
        { epoch: 1, startOffset: 0 },
        { epoch: 2, startOffset: 3 },
      ],
      highWaterMark: 4,
      syncedOffset: 4,
    };
    this.#core = new Partition(
      { self: 1, selfEpoch: 11, key: 'topic/0', lagMsMax: 1, appendsPendingMax: 9, nowMs: 0 },
      log,
      new ProducerTable({ producersMax: 10, nowMs: 0 }),
    );
    this.#core.step({ kind: 'assign', assignment: ASSIGNMENT });
    this.#core.step({ kind: 'written', writeId: 1 });
  }

  append(
    offset: number,
    sequence = 0,
    {
      ack = 'all',
      leaderEpoch = 0,
      producerId = 7,
    }: { ack?: 'all' | 'leader'; leaderEpoch?: number; producerId?: number } = {},
  ): PartitionOutput {
    this.#requests += 1;
    const output = this.#core.step({
      kind: 'append',
      requestId: this.#requests,
      ack,
      header: header({ producerId, baseSequence: sequence, crc: sequence }),
      wallMs: 0,
      expectedEnd: { offset, leaderEpoch },
    });
    this.#writes += output.writes.length;
    return output;
  }

  /** Everything is written and acknowledged by broker 2. */
  commit(): AppendResult[] {
    this.#core.step({ kind: 'written', writeId: this.#writes });
    const { writtenEnd: endOffset } = this.#core.status();
    const statement = { from: 2, brokerEpoch: 12, leaderEpoch: 5, lastEpoch: 5, syncedOffset: 0 };
    const output = this.#core.step({ kind: 'position', position: { ...statement, endOffset } });
    return output.replies.map(({ result }) => result);
  }

  lose(): AppendResult[] {
    const assignment = { ...ASSIGNMENT, leader: 2, leaderEpoch: 6, partitionEpoch: 2 };
    return this.#core.step({ kind: 'assign', assignment }).replies.map(({ result }) => result);
  }
}

function codes(results: readonly AppendResult[]): string[] {
  return results.map((result) => (result.ok ? 'ok' : result.error.code));
}

function codesOf({ replies }: PartitionOutput): string[] {
  return codes(replies.map(({ result }) => result));
}

describe('an append that expects an end', () => {
  it.each([3, 4, 5])('is taken at %d, from the end of the data to that of the log', (expected) => {
    const led = new Led();
    expect(led.append(expected).writes).toMatchObject([{ kind: 'append', baseOffset: 5 }]);
    expect(codes(led.commit())).toEqual(['ok']);
  });

  it('is refused below the end of the data, once that is known to be committed', () => {
    const led = new Led();
    const output = led.append(2);
    expect(output.writes).toEqual([]);
    expect(codesOf(output)).toEqual(['OFFSET_TAKEN']);
    expect(output.replies[0]?.result).toMatchObject({ error: { details: { dataEnd: 3 } } });
  });

  it('may try again where the log does not reach so far', () => {
    const output = new Led().append(6);
    expect(codesOf(output)).toEqual(['OFFSET_NOT_AVAILABLE']);
    expect(output.replies[0]?.result).toMatchObject({
      error: { retry: 'refresh', effect: 'none' },
    });
  });

  it('needs to be acknowledged by all', () => {
    expect(codesOf(new Led().append(5, 0, { ack: 'leader' }))).toEqual(['INVALID_ARGUMENT']);
  });

  it('needs a producer, by whose sequence it is known again', () => {
    expect(codesOf(new Led().append(5, 0, { producerId: 0 }))).toEqual(['INVALID_ARGUMENT']);
  });

  it.each([
    { name: 'the epoch of the last record', offset: 3, leaderEpoch: 1, code: 'ok' },
    { name: 'that epoch, at the end of the log', offset: 5, leaderEpoch: 1, code: 'ok' },
    { name: 'the epoch of the control batch before it', offset: 4, leaderEpoch: 2, code: 'ok' },
    { name: 'its own epoch', offset: 5, leaderEpoch: 5, code: 'ok' },
    { name: 'an epoch that it lacks', offset: 3, leaderEpoch: 4, code: 'POSITION_DIVERGED' },
    { name: 'an epoch to come', offset: 4, leaderEpoch: 6, code: 'OFFSET_NOT_AVAILABLE' },
  ])('is judged by $name beside the offset', ({ offset, leaderEpoch, code }) => {
    const led = new Led();
    const told = codesOf(led.append(offset, 0, { leaderEpoch }));
    expect(code === 'ok' ? codes(led.commit()) : told).toEqual([code]);
  });

  it('is told whose record stands first behind control batches', () => {
    const led = new Led();
    led.append(3, 0);
    led.append(3, 0, { producerId: 8 });
    expect(led.commit()[1]).toMatchObject({
      error: { code: 'OFFSET_TAKEN', details: { dataEnd: 6, holder: { baseOffset: 5 } } },
    });
  });

  it('is not told of a later record where nobody knows whose the first is', () => {
    const led = new Led();
    led.append(3, 0);
    expect(codesOf(led.append(1, 0, { producerId: 8 }))).toEqual([]);
    const [, lost] = led.commit();
    expect(lost).toMatchObject({ error: { code: 'OFFSET_TAKEN' } });
    expect(lost).not.toMatchObject({
      error: { details: { holder: expect.anything() as unknown } },
    });
  });

  it('loses to another one, and is told whose it is when that is committed', () => {
    const led = new Led();
    led.append(5, 0);
    const loser = led.append(5, 1);
    expect([loser.writes, loser.replies]).toEqual([[], []]);
    const [won, lost] = led.commit();
    expect(won).toMatchObject({ ok: true, baseOffset: 5 });
    expect(lost).toMatchObject({
      error: {
        code: 'OFFSET_TAKEN',
        details: {
          dataEnd: 6,
          holder: { producerId: 7, producerEpoch: 0, baseSequence: 0, baseOffset: 5 },
        },
      },
    });
  });

  it('is certainly not in the log where the epoch ends before the other is committed', () => {
    const led = new Led();
    led.append(5, 0);
    led.append(5, 1);
    expect(codes(led.lose())).toEqual(['STALE_EPOCH', 'LEADER_UNKNOWN']);
  });

  it('is recognised when it is sent again', () => {
    const led = new Led();
    led.append(5, 0);
    expect(codesOf(led.append(5, 0))).toEqual([]);
    expect(led.commit()).toMatchObject([
      { ok: true, baseOffset: 5, isDuplicate: false },
      { ok: true, baseOffset: 5, isDuplicate: true },
    ]);
  });
});
