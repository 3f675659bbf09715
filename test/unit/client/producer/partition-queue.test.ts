import { backoffMs } from '../../../../client/connections.ts';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TidemarkError } from '../../../../client/errors.ts';
import { producerSettings } from '../../../../client/producer/options.ts';
import {
  type Batch,
  type Fate,
  PartitionQueue,
  type Settlement,
  type Settler,
} from '../../../../client/producer/partition-queue.ts';
import { RecordSet } from '../../../../proto/gen/tidemark/v1/records.ts';
import { checkFrame, HEADER_BYTES } from '../../../../wire/batch/frame.ts';
import { decodeBatch } from '../../../../wire/records/batch.ts';
import { RECORD_CRC_BYTES_MAX, recordBytes } from '../../../../wire/records/record-set.ts';
import { bytes, text } from '../records.ts';

const DELIVERY_TIMEOUT_MS = 5_000;

function newQueue(): PartitionQueue {
  const settings = producerSettings({
    batchBytes: 1,
    batchBytesMax: 1024,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
  });
  const queue = new PartitionQueue(
    { topic: 't', topicIdBytes: new Uint8Array(16), partition: 0 },
    settings,
    (attempt) => backoffMs(attempt, 0.5),
  );
  queue.setIdentity({ producerId: 1, producerEpoch: 0 });
  return queue;
}

/** 600 of 1,024 bytes: no two records share a batch. */
function append(queue: PartitionQueue, value: string, nowMs = 0): void {
  queue.append({ value: bytes(value), timestampMs: 1 }, 600, value, undefined, nowMs);
}

function takeAll(queue: PartitionQueue, nowMs = 0): Batch[] {
  const taken: Batch[] = [];
  for (let batch = queue.take(nowMs, 1e9); batch !== undefined; batch = queue.take(nowMs, 1e9))
    taken.push(batch);
  return taken;
}

function sequences(batches: readonly Batch[]): string[] {
  return batches.map(({ frame }) => {
    const { producerId, baseSequence } = checkFrame(frame!, 0, crc32);
    return `${producerId}:${baseSequence}`;
  });
}

function failed(code: string, retry: 'no' | 'same' | 'refresh'): Fate {
  return { kind: 'failed', error: new TidemarkError(code, code, retry) };
}

describe('PartitionQueue.take()', () => {
  it('numbers batches one after the other, five at most', () => {
    const queue = newQueue();
    for (const value of ['a', 'b', 'c', 'd', 'e', 'f']) append(queue, value);
    expect(sequences(takeAll(queue))).toEqual(['1:0', '1:1', '1:2', '1:3', '1:4']);
  });

  it('takes nothing beyond the room', () => {
    const queue = newQueue();
    append(queue, 'a');
    expect(queue.take(0, 599)).toBeUndefined();
    expect(queue.take(0, 600)).toBeDefined();
  });
});

describe('PartitionQueue of a compacted topic', () => {
  /** One key, so that the value says the size. */
  const record = (valueBytes: number) => ({
    key: bytes('k'),
    value: new Uint8Array(valueBytes).fill(97),
    timestampMs: 1,
  });
  const hasCrc = ({ frame }: Batch): boolean =>
    RecordSet.decode(frame!.subarray(HEADER_BYTES)).records.every(({ crc }) => crc !== undefined);

  it('keeps batches within their limits with the checksums in them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 990 }), { maxLength: 40 }), (sizes) => {
        const queue = newQueue();
        queue.hasRecordCrc = true;
        const records = sizes.map(record).filter((one) => HEADER_BYTES + recordBytes(one) <= 1024);
        for (const one of records) queue.append(one, recordBytes(one), null, undefined, 0);
        const taken: Batch[] = [];
        for (let batch = queue.take(0, 1e9, 500); batch !== undefined; ) {
          taken.push(batch);
          queue.onResult(batch, 1, { kind: 'delivered', baseOffset: 0 }, 0);
          batch = queue.take(0, 1e9, 500);
        }
        for (const batch of taken) {
          expect(batch.frame!.length).toBeLessThanOrEqual(1024);
          const isFull = HEADER_BYTES + batch.bytes + RECORD_CRC_BYTES_MAX > 1024;
          expect(hasCrc(batch)).toBe(!isFull || batch.records.length > 1);
        }
        expect(taken.flatMap(({ records: each }) => each)).toEqual(records);
      }),
    );
  });

  it('leaves batches that began before as they are', () => {
    const queue = newQueue();
    queue.append(record(10), recordBytes(record(10)), null, undefined, 0);
    queue.hasRecordCrc = true;
    queue.append(record(10), recordBytes(record(10)), null, undefined, 0);
    expect(takeAll(queue).map((batch) => [batch.records.length, hasCrc(batch)])).toEqual([
      [2, false],
    ]);
  });
});

describe('PartitionQueue.take() of a batch that is too large now', () => {
  /** Three records in one batch, and who waits for the second. */
  function filled(): { readonly queue: PartitionQueue; readonly settler: Settler } {
    const queue = newQueue();
    const settler = { resolve: () => undefined, reject: () => undefined };
    for (const value of ['a', 'b', 'c']) {
      const record = { value: bytes(value.repeat(100)), timestampMs: 1 };
      queue.append(record, recordBytes(record), value, value === 'b' ? settler : undefined, 0);
    }
    return { queue, settler };
  }

  it('cuts it, and sends all of it in order', () => {
    const { queue, settler } = filled();
    const taken: Batch[] = [];
    for (let batch = queue.take(0, 1e9, 250); batch !== undefined; batch = queue.take(0, 1e9, 250))
      taken.push(batch);
    expect(taken.map(({ contexts }) => contexts)).toEqual([['a', 'b'], ['c']]);
    expect(taken.map(({ settlers }) => settlers)).toEqual([[undefined, settler], []]);
    expect(sequences(taken)).toEqual(['1:0', '1:2']);
    for (const batch of taken)
      expect(batch.bytes).toBe(batch.records.reduce((sum, each) => sum + recordBytes(each), 0));
    expect(queue.take(0, 1e9, 1)).toBeUndefined();
  });

  it('sends one record at least', () => {
    const { queue } = filled();
    expect(queue.take(0, 1e9, 1)?.contexts).toEqual(['a']);
    expect(queue.take(0, 1e9, 1e9)?.contexts).toEqual(['b', 'c']);
  });

  it('leaves alone what has a number, and what travels together', () => {
    const { queue } = filled();
    const whole = queue.take(0, 1e9)!;
    queue.rewind(0);
    expect(queue.take(0, 1e9, 1)).toBe(whole);
    queue.onResult(whole, 2, { kind: 'delivered', baseOffset: 0 }, 0);
    const records = ['d', 'e'].map((value) => ({
      value: bytes(value.repeat(100)),
      ...{ timestampMs: 1, context: value },
    }));
    queue.appendTogether(records, 240, undefined, { offset: 3, leaderEpoch: 1 }, 0);
    expect(queue.take(0, 1e9, 1)?.contexts).toEqual(['d', 'e']);
  });
});

describe('PartitionQueue.onResult()', () => {
  it('sends a refused batch again with the same bytes before those behind it', () => {
    const queue = newQueue();
    for (const value of ['a', 'b']) append(queue, value);
    const [first, second] = takeAll(queue);
    const frame = first!.frame;
    queue.onResult(first!, 1, failed('NOT_ENOUGH_REPLICAS', 'same'), 0);
    queue.onResult(second!, 1, failed('OUT_OF_ORDER_SEQUENCE', 'no'), 0);
    expect(takeAll(queue, queue.blockedUntilMs - 1)).toEqual([]);
    const again = takeAll(queue, queue.blockedUntilMs);
    expect(again).toEqual([first, second]);
    expect(again[0]!.frame).toBe(frame);
  });

  it('believes good news from an older try', () => {
    const queue = newQueue();
    append(queue, 'a');
    const [batch] = takeAll(queue);
    queue.rewind(0);
    takeAll(queue);
    const { settled } = queue.onResult(batch!, 1, { kind: 'delivered', baseOffset: 7 }, 0);
    expect(settled.map(({ fate }) => fate)).toEqual([{ kind: 'delivered', baseOffset: 7 }]);
    expect(queue.onResult(batch!, 2, { kind: 'delivered', baseOffset: 7 }, 0).settled).toEqual([]);
  });

  it('ignores bad news from an older try', () => {
    const queue = newQueue();
    append(queue, 'a');
    const [batch] = takeAll(queue);
    queue.rewind(0);
    takeAll(queue);
    expect(queue.onResult(batch!, 1, failed('BATCH_TOO_LARGE', 'no'), 0).settled).toEqual([]);
    expect(batch!.isOutstanding).toBe(true);
  });

  it('never takes a new id while a batch may be in the log under the old one', () => {
    const queue = newQueue();
    append(queue, 'a');
    const [batch] = takeAll(queue);
    queue.rewind(0);
    takeAll(queue);
    queue.onResult(batch!, 2, failed('OUT_OF_ORDER_SEQUENCE', 'no'), 0);
    expect(queue.needsIdentity).toBe(false);
    expect(takeAll(queue, queue.blockedUntilMs)).toEqual([batch]);
  });

  it('numbers what was never appended afresh when the producer is forgotten', () => {
    const queue = newQueue();
    for (const value of ['a', 'b']) append(queue, value);
    const [first, second] = takeAll(queue);
    queue.onResult(first!, 1, failed('UNKNOWN_PRODUCER', 'no'), 0);
    expect(queue.needsIdentity).toBe(false);
    queue.onResult(second!, 1, failed('UNKNOWN_PRODUCER', 'no'), 0);
    expect(queue.needsIdentity).toBe(true);
    queue.setIdentity({ producerId: 2, producerEpoch: 0 });
    expect(sequences(takeAll(queue))).toEqual(['2:0', '2:1']);
  });

  it.each(['SEQUENCE_REUSED', 'DUPLICATE_SEQUENCE'])(
    'starts over under a new id where somebody else has the sequence: %s',
    (code) => {
      const queue = newQueue();
      append(queue, 'a');
      const [batch] = takeAll(queue);
      const { settled } = queue.onResult(batch!, 1, failed(code, 'no'), 0);
      expect([settled, queue.needsIdentity]).toEqual([[], true]);
      queue.setIdentity({ producerId: 2, producerEpoch: 0 });
      expect(sequences(takeAll(queue))).toEqual(['2:0']);
    },
  );

  it('takes a sequence that was used long ago for its own only after a try that may have used it', () => {
    const queue = newQueue();
    append(queue, 'a');
    const [batch] = takeAll(queue);
    queue.rewind(0);
    takeAll(queue);
    const { settled } = queue.onResult(batch!, 2, failed('DUPLICATE_SEQUENCE', 'no'), 0);
    expect(settled.map(({ fate }) => fate)).toEqual([{ kind: 'delivered', baseOffset: -1 }]);
  });

  it('counts an append that the broker cannot account for as unknown', () => {
    const queue = newQueue();
    append(queue, 'a');
    const [batch] = takeAll(queue);
    const { settled } = queue.onResult(batch!, 1, failed('INTERNAL', 'no'), 0);
    expect(settled).toMatchObject([{ fate: { error: { code: 'OUTCOME_UNKNOWN' } } }]);
  });
});

describe('PartitionQueue.abandon()', () => {
  const gone = new TidemarkError('UNKNOWN_TOPIC', 'gone');

  it('knows what was never sent from what may be in the log', () => {
    const queue = newQueue();
    append(queue, 'a');
    takeAll(queue);
    append(queue, 'b');
    const codes = queue
      .abandon(gone)
      .map(({ fate }) => (fate.kind === 'failed' ? fate.error.code : fate.kind));
    expect(codes).toEqual(['OUTCOME_UNKNOWN', 'UNKNOWN_TOPIC']);
  });

  it('continues no sequence that it gave up, and takes what comes later', () => {
    const queue = newQueue();
    for (const value of ['a', 'b']) append(queue, value);
    const [first] = takeAll(queue);
    // One failed for good while the other one is unanswered: the queue was about to change its id.
    queue.onResult(first!, 1, failed('BATCH_TOO_LARGE', 'no'), 0);
    queue.abandon(gone);
    append(queue, 'c');
    expect(queue.needsIdentity).toBe(true);
    queue.setIdentity({ producerId: 2, producerEpoch: 0 });
    expect(sequences(takeAll(queue))).toEqual(['2:0']);
  });
});

/** A leader's log, with the producer window of one partition. */
class Leader {
  readonly log: string[] = [];
  readonly #last = new Map<number, { next: number; seen: Map<number, number> }>();

  offer(frame: Uint8Array): Fate {
    const { header, records } = decodeBatch(frame, 0, crc32);
    const state = this.#last.get(header.producerId) ?? { next: 0, seen: new Map<number, number>() };
    const original = state.seen.get(header.baseSequence);
    if (original !== undefined) return { kind: 'delivered', baseOffset: original };
    if (state.next !== header.baseSequence)
      return failed(state.next === 0 ? 'UNKNOWN_PRODUCER' : 'OUT_OF_ORDER_SEQUENCE', 'no');
    state.seen.set(header.baseSequence, this.log.length);
    state.next += header.recordCount;
    this.#last.set(header.producerId, state);
    const baseOffset = this.log.length;
    this.log.push(...records.map(({ value }) => text(value)));
    return { kind: 'delivered', baseOffset };
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('arrive' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('refuse' as const),
      code: fc.constantFrom('NOT_ENOUGH_REPLICAS', 'NOT_LEADER', 'BATCH_TOO_LARGE'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('append-and-refuse' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tear' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 3000 }),
    }),
  },
);

describe('PartitionQueue against a leader with every fault', () => {
  it('appends each delivered record once, in order, and no record that failed with a definite error', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => {
        const queue = newQueue();
        const leader = new Leader();
        const fates = new Map<string, Fate>();
        let wire: {
          readonly batch: Batch;
          readonly attempt: number;
          readonly frame: Uint8Array;
        }[] = [];
        let nowMs = 0;
        let appended = 0;
        let nextId = 2;
        const settle = (settled: readonly Settlement[]): void => {
          for (const { batch, fate } of settled) {
            for (const context of batch.contexts) {
              expect(fates.has(context as string)).toBe(false);
              fates.set(context as string, fate);
            }
          }
        };
        const send = (): void => {
          if (queue.needsIdentity) queue.setIdentity({ producerId: nextId++, producerEpoch: 0 });
          for (const batch of takeAll(queue, nowMs))
            wire.push({ batch, attempt: batch.attempts, frame: batch.frame! });
        };
        const arrive = (refusal: string | undefined, isAppended: boolean): void => {
          const one = wire.shift();
          if (one === undefined) return;
          const outcome = isAppended ? leader.offer(one.frame) : undefined;
          const retry = refusal === 'BATCH_TOO_LARGE' ? 'no' : 'refresh';
          const isRefused =
            refusal !== undefined && (outcome === undefined || outcome.kind === 'delivered');
          settle(
            queue.onResult(
              one.batch,
              one.attempt,
              isRefused ? failed(refusal, retry) : outcome!,
              nowMs,
            ).settled,
          );
        };
        for (const one of steps) {
          if (one.kind === 'append') append(queue, `v${appended++}`, nowMs);
          else if (one.kind === 'arrive') arrive(undefined, true);
          else if (one.kind === 'refuse') arrive(one.code, false);
          else if (one.kind === 'append-and-refuse') arrive('STALE_EPOCH', true);
          else if (one.kind === 'wait') nowMs += one.ms;
          else {
            // Some of what was on the wire arrives, no answer does.
            for (const { frame } of wire.slice(0, Math.ceil(wire.length / 2))) leader.offer(frame);
            wire = [];
            settle(
              queue.rewind(nowMs, new TidemarkError('UNREACHABLE', 'torn', 'refresh')).settled,
            );
          }
          settle(queue.expire(nowMs));
          send();
        }
        for (let round = 0; !queue.isEmpty && round < 100; round += 1) {
          nowMs = Math.max(nowMs, queue.blockedUntilMs);
          send();
          while (wire.length > 0) arrive(undefined, true);
        }

        expect(fates.size).toBe(appended);
        expect(new Set(leader.log).size).toBe(leader.log.length);
        const delivered = [...fates]
          .filter(([, fate]) => fate.kind === 'delivered')
          .map(([value]) => Number(value.slice(1)));
        const inLog = new Set(leader.log);
        const order = leader.log
          .map((value) => Number(value.slice(1)))
          .filter((value) => fates.get(`v${value}`)?.kind === 'delivered');
        expect(order).toEqual(delivered.toSorted((a, b) => a - b));
        for (const [value, fate] of fates) {
          if (fate.kind === 'failed' && fate.error.code !== 'OUTCOME_UNKNOWN')
            expect(inLog.has(value)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });
});
