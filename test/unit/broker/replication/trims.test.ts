/** A log that is made to begin later. What happens between replicas: test/scenario/replication. */
import { describe, expect, it } from 'vitest';
import { Partition } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import { Trims } from '../../../../broker/replication/trims.ts';
import type {
  Assignment,
  LogState,
  PartitionInput,
  PartitionOutput,
} from '../../../../broker/replication/types.ts';
import { assignment, replicas } from './assignment.ts';
import { header } from './header.ts';

const LOG: LogState = {
  startOffset: 0,
  endOffset: 10,
  epochs: [{ epoch: 1, startOffset: 0 }],
  highWaterMark: 10,
  syncedOffset: 10,
};
const LED = assignment({ replicas: replicas(1, 2) });

function opened(log: Partial<LogState> = {}): Partition {
  return new Partition(
    { self: 1, selfEpoch: 11, key: 'topic/0', lagMsMax: 1, appendsPendingMax: 99, nowMs: 0 },
    { ...LOG, ...log },
    new ProducerTable({ producersMax: 10, nowMs: 0 }),
  );
}

/** Led by broker 1 in epoch 5, which begins at 10 and is not committed. */
function led(with_: Partial<Assignment> = {}, log: Partial<LogState> = {}): Partition {
  const core = opened(log);
  core.step({ kind: 'assign', assignment: { ...LED, ...with_ } });
  core.step({ kind: 'written', writeId: 1 });
  return core;
}

function commit(core: Partition, writeId: number): PartitionOutput {
  core.step({ kind: 'written', writeId });
  const { writtenEnd: endOffset } = core.status();
  const from = { from: 2, brokerEpoch: 12, leaderEpoch: 5, lastEpoch: 5, syncedOffset: 0 };
  return core.step({ kind: 'position', position: { ...from, endOffset } });
}

function trim(core: Partition, offset: number, requestId = 1): PartitionOutput {
  return core.step({ kind: 'trim', requestId, offset });
}

function codeOf({ replies }: PartitionOutput): string {
  return replies.map(({ result }) => (result.ok ? 'ok' : result.error.code)).join();
}

describe('a trim', () => {
  it('stands in the log, is answered once it is committed, and takes effect then', () => {
    const core = led();
    const output = trim(core, 7);
    expect(output.writes).toMatchObject([
      { kind: 'control', baseOffset: 11, dataEnd: 10, trimTo: 7 },
    ]);
    expect(core.status()).toMatchObject({ logStart: 0, undecidedTo: 7 });
    const committed = commit(core, 2);
    expect(committed.writes).toMatchObject([{ kind: 'retire', startOffset: 7, keepAside: false }]);
    expect(codeOf(committed)).toBe('ok');
    expect(core.status()).toMatchObject({ logStart: 7, undecidedTo: 0 });
  });

  it('of a log that begins above already keeps its start', () => {
    const core = led({}, { startOffset: 6 });
    expect(trim(core, 2).writes).toMatchObject([{ trimTo: 6 }]);
    commit(core, 2);
    expect(core.status().logStart).toBe(6);
  });

  it('that is repeated appends nothing more, and what retention took is not taken for one', () => {
    const core = led({}, { startOffset: 6 });
    expect(codeOf(trim(core, 5))).toBe('');
    commit(core, 2);
    const again = trim(core, 6, 2);
    expect([codeOf(again), again.writes]).toEqual(['ok', []]);
    expect(trim(core, 7, 3).writes).toMatchObject([{ kind: 'control', trimTo: 7 }]);
  });

  it('breaks nobody who appends only where nothing was appended', () => {
    const core = led();
    trim(core, 7);
    commit(core, 2);
    const batch = header({ producerId: 7, baseSequence: 0, crc: 1 });
    const expectedEnd = { offset: 10, leaderEpoch: 0 };
    const append = { requestId: 2, ack: 'all', header: batch, wallMs: 0, expectedEnd } as const;
    expect(core.step({ kind: 'append', ...append }).writes).toMatchObject([{ kind: 'append' }]);
  });

  it.each([
    { name: 'in the middle of what is committed', offset: 5, code: '' },
    { name: 'at the end of what is committed', offset: 10, code: '' },
    { name: 'below the end of the log', offset: 11, code: 'OFFSET_NOT_AVAILABLE' },
    { name: 'above it, while the leader cannot tell', offset: 99, code: 'OFFSET_NOT_AVAILABLE' },
  ])('$name is judged by a new leader: "$code"', ({ offset, code }) => {
    expect(codeOf(trim(led(), offset))).toBe(code);
  });

  it('above the end of the log is refused for good, once that is known', () => {
    const core = led();
    commit(core, 1);
    expect(codeOf(trim(core, 99))).toBe('OFFSET_OUT_OF_RANGE');
  });

  it.each<{ name: string; fields: Partial<Assignment>; code: string }>([
    {
      name: 'with too few replicas',
      fields: { minInSyncReplicas: 3 },
      code: 'NOT_ENOUGH_REPLICAS',
    },
    { name: 'by another broker', fields: { leader: 2 }, code: 'NOT_LEADER' },
    { name: 'by nobody', fields: { leader: -1 }, code: 'LEADER_UNKNOWN' },
  ])('is refused while the log is led $name', ({ fields, code }) => {
    expect(codeOf(trim(led(fields), 5))).toBe(code);
  });

  it.each<PartitionInput>([{ kind: 'drain' }, { kind: 'failed' }])(
    'is refused after %o',
    (input) => {
      const core = led();
      core.step(input);
      const output = trim(core, 5);
      expect(output.writes).toEqual([]);
      expect(output.replies).toMatchObject([{ result: { ok: false } }]);
    },
  );

  it('waits with few others', () => {
    const core = led();
    const codes = Array.from({ length: 17 }, (_, index) => codeOf(trim(core, 5, index)));
    expect(codes).toEqual([...Array.from({ length: 16 }, () => ''), 'OVERLOADED']);
  });

  it('of unknown outcome is said to be one', () => {
    const core = led();
    trim(core, 5);
    const next = { ...LED, leader: 2, leaderEpoch: 6, partitionEpoch: 2 };
    const { replies } = core.step({ kind: 'assign', assignment: next });
    expect(replies).toMatchObject([{ result: { error: { effect: 'unknown' } } }]);
  });

  it('that recovery found below the mark takes effect at the first step', () => {
    const controls = [{ baseOffset: 8, dataEnd: 8, trimTo: 4 }];
    const core = opened({ controls });
    expect(core.status().logStart).toBe(4);
    const output = core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    expect(output.writes).toMatchObject([{ kind: 'retire', startOffset: 4 }]);
  });

  it('that recovery found above the mark binds readers until it is committed', () => {
    const controls = [{ baseOffset: 8, dataEnd: 8, trimTo: 4 }];
    const core = led({}, { controls, highWaterMark: 3 });
    expect(core.status()).toMatchObject({ logStart: 0, undecidedTo: 4 });
    commit(core, 1);
    expect(core.status()).toMatchObject({ logStart: 4, undecidedTo: 0 });
  });

  it('that states more than its place is refused with the peer that sent it', () => {
    const core = opened();
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    const forged = { ...header({ baseOffset: 10, leaderEpoch: 5 }), isControl: true, trimTo: 11 };
    const marks = { highWaterMark: 10, logStartOffset: 0 };
    const { refused, writes } = core.step({
      kind: 'frames',
      from: 2,
      leaderEpoch: 5,
      headers: [forged],
      ...marks,
    });
    expect(writes).toEqual([]);
    expect(refused?.reason).toContain('a trim to 11, must be 0 to 10');
  });
});

describe('Trims', () => {
  it('tells the furthest of those that are committed, and keeps the others', () => {
    const trims = new Trims();
    trims.note(3, 2);
    trims.note(4, undefined);
    trims.note(5, 1);
    trims.note(9, 8);
    expect(trims.commit(3)).toBe(0);
    expect(trims.undecidedTo).toBe(8);
    expect(trims.commit(6)).toBe(2);
    expect(trims.count).toBe(1);
    trims.truncate(9);
    expect(trims).toMatchObject({ count: 0, undecidedTo: 0 });
  });
});
