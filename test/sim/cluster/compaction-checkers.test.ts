/** Each checker of compaction finds the history that it is there for. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../broker/runtime/broker.ts';
import { gapFrame } from '../../../wire/batch/sparse.ts';
import { keyedFrame, TARGET } from '../../fixtures/keyed-log.ts';
import { checkAcknowledged, checkReaders, checkReplicas } from './checkers.ts';
import type { FinalLog } from './final-log.ts';
import {
  checkKeys,
  checkTables,
  compactedAway,
  type CompactedReplica,
  whyUnsettled,
} from './compaction-checkers.ts';
import { History } from './history.ts';

const PLACE = { topic: 't', partition: 0 };

/** Each value was acknowledged at the offset that it has here; values that begin so delete. */
function historyOf(...records: readonly (readonly [key: string, value: string])[]): History {
  const history = new History();
  for (const [offset, [key, value]] of records.entries()) {
    history.keyed.set(value, { ...PLACE, key, isTombstone: value.startsWith('no') });
    const sent = history.send(value, 't', 'producer', 0);
    sent.fate = { kind: 'acknowledged', partition: 0, offset, atMs: 1 };
    history.acknowledgeKeyed(value, offset);
  }
  return history;
}

function logOf(values: Record<number, string>, losses: FinalLog['losses'] = []): FinalLog {
  const found = new Map(Object.entries(values).map(([offset, value]) => [Number(offset), value]));
  return { ...PLACE, logStart: 0, end: 9, values: found, sinceMs: 0, losses };
}

const X = { upTo: 9, tombstonesBelow: 0 };

describe('what compaction may take', () => {
  const superseded = historyOf(['a', 'one'], ['b', 'two'], ['a', 'three']);

  it.each([
    { name: 'a record whose successor is there', left: { 1: 'two', 2: 'three' }, order: X },
    {
      name: 'a tombstone below D, and what it deleted',
      history: historyOf(['a', 'one'], ['a', 'none']),
      left: {},
      order: { upTo: 9, tombstonesBelow: 2 },
    },
  ])('is $name', ({ history = superseded, left, order }) => {
    const log = logOf(left);
    const mayBeCompacted = compactedAway(history, [], log, order);
    expect(checkAcknowledged(history, [{ ...log, mayBeCompacted }])).toEqual([]);
    expect(checkKeys(history, [], [log])).toEqual([]);
  });

  it.each([
    { name: 'a last record', left: { 2: 'three' }, order: X, lost: '"two"' },
    {
      name: 'a record from X on',
      left: { 1: 'two', 2: 'three' },
      order: { ...X, upTo: 0 },
      lost: '"one"',
    },
    {
      name: 'a record whose only successor stands from X on',
      left: { 1: 'two', 2: 'three' },
      order: { ...X, upTo: 2 },
      lost: '"one"',
    },
    {
      name: 'a tombstone from D on',
      history: historyOf(['a', 'one'], ['a', 'none']),
      left: {},
      order: { upTo: 9, tombstonesBelow: 1 },
      lost: '"none"',
    },
    {
      name: 'a record in whose place another stands',
      left: { 0: 'strange', 1: 'two', 2: 'three' },
      order: X,
      lost: '"one"',
    },
  ])('is not $name', ({ history = superseded, left, order, lost }) => {
    const log = logOf(left);
    const mayBeCompacted = compactedAway(history, [], log, order);
    const faults = checkAcknowledged(history, [{ ...log, mayBeCompacted }]);
    expect(faults.filter((fault) => fault.startsWith(lost))).toHaveLength(1);
  });

  it('is the same for what readers were given', () => {
    const seen = [{ reader: 'r', ...PLACE, offset: 0, value: 'one' }];
    const log = logOf({ 1: 'two', 2: 'three' });
    const faultsAt = (order: typeof X): number => {
      const mayBeCompacted = compactedAway(superseded, [], log, order);
      return checkReaders(new History(), seen, [{ ...log, mayBeCompacted }]).length;
    };
    expect([faultsAt(X), faultsAt({ ...X, upTo: 2 })]).toEqual([0, 1]);
  });

  it('is a record for whose key a tombstone was perhaps appended, below D alone', () => {
    const history = historyOf(['a', 'one']);
    history.keyed.set('nobody knows', { ...PLACE, key: 'a', isTombstone: true });
    const sent = history.send('nobody knows', 't', 'producer', 0);
    const may = (tombstonesBelow: number): boolean =>
      compactedAway(history, [], logOf({}), { upTo: 9, tombstonesBelow })(0, 'one');
    expect([may(0), may(1)]).toEqual([false, true]);
    sent.fate = { kind: 'refused', code: 'NOT_LEADER', effect: 'none' };
    expect(may(1)).toBe(false);
  });
});

describe('checkReplicas() of a compacted topic', () => {
  const gap = (baseOffset: number, endOffset: number): Uint8Array => {
    const lastOffsetDelta = endOffset - baseOffset - 1;
    const place = { baseOffset, lastOffsetDelta, leaderEpoch: 1, maxTimestampMs: 5 };
    return gapFrame(place, TARGET, crc32);
  };
  const batch = (value: string): Uint8Array => keyedFrame(6, [{ key: 'a', value }]).bytes;

  function replica(brokerId: number, chunks: Uint8Array[], phase = 'idle'): Broker {
    const partitions = [{ partition: 0, replicas: [1, 2] }];
    const topic = { topicId: 'id', name: 't', config: { cleanup: 'compact' }, partitions };
    const marks = { logStart: 0, highWaterMark: 7 };
    const compaction = { orderedTo: 6, upTo: 6, tombstonesBelow: 0, phase };
    const replicas = [{ topicId: 'id', partition: 0, status: marks, compaction }];
    return {
      brokerId,
      image: () => ({ index: 1, topics: new Map([['id', topic]]) }),
      marks: () => marks,
      report: () => ({ replicas }),
      read: () => Promise.resolve({ chunks, nextOffset: 7 }),
    } as unknown as Broker;
  }

  const whole = replica(1, [gap(0, 6), batch('v')]);

  it('compares what is left, and not where gaps end', async () => {
    const parts = replica(2, [gap(0, 2), gap(2, 6), batch('v')]);
    expect(await checkReplicas([whole, parts])).toEqual([]);
    expect(await checkReplicas([whole, replica(2, [gap(0, 6), batch('w')])])).toHaveLength(1);
  });

  it('finds offsets that nothing covers', async () => {
    const holed = replica(2, [gap(0, 2), gap(3, 6), batch('v')]);
    await expect(checkReplicas([holed, holed])).rejects.toThrow('offsets 2 to 3 are not covered');
  });

  it('waits for who has not carried out what was ordered', async () => {
    const busy = replica(2, [gap(0, 6), batch('v')], 'running');
    await expect(checkReplicas([whole, busy])).rejects.toThrow('"phase":"running"');
  });
});

describe('checkKeys()', () => {
  it('finds a key that is as of an earlier record, or was deleted, and is back', () => {
    const history = historyOf(['a', 'one'], ['a', 'none']);
    expect(checkKeys(history, [], [logOf({ 0: 'one' })])).toEqual([
      '"a" of t/0 is as of 0, and was "none" at 1, which is gone',
    ]);
  });

  it('knows what readers were given, and believes nothing that was perhaps lost', () => {
    const history = historyOf(['a', 'one']);
    history.keyed.set('two', { ...PLACE, key: 'a', isTombstone: false });
    const seen = [{ reader: 'r', ...PLACE, offset: 4, value: 'two' }];
    const left = { 0: 'one' };
    expect(checkKeys(history, seen, [logOf(left)])).toHaveLength(1);
    expect(checkKeys(history, seen, [logOf(left, [{ fromOffset: 3, knownMs: 9 }])])).toEqual([]);
  });
});

describe('checkTables()', () => {
  it('finds a reader that knows a key which was deleted, and was not told', () => {
    const history = historyOf(['a', 'one'], ['a', 'none']);
    const seen = (value: string, offset: number) => ({ reader: 'r', ...PLACE, value, offset });
    const tables = (value: string, offset: number) => [
      { reader: 'r', topic: 't', records: new Map([['0/a', seen(value, offset)]]) },
    ];
    expect(checkTables(history, tables('one', 0), [logOf({})])).toEqual([
      'r knows "a" of t/0 as of 0, which was deleted since, and was told nothing',
    ]);
    for (const left of [{ 0: 'one' }, { 1: 'none' }])
      expect(checkTables(history, tables('one', 0), [logOf(left)])).toEqual([]);
    expect(checkTables(history, tables('none', 1), [logOf({})])).toEqual([]);
  });
});

describe('whyUnsettled()', () => {
  const compaction = {
    ...{ orderedTo: 8, upTo: 8, tombstonesBelow: 3, floor: 3 },
    phase: 'idle',
  } as const;
  const done: CompactedReplica = { brokerId: 1, logStart: 0, highWaterMark: 10, compaction };

  it.each([
    { name: 'not of replicas that are done', other: {}, is: false },
    { name: 'of one that is behind', other: { highWaterMark: 9 }, is: true },
    {
      name: 'of one that works',
      other: { compaction: { ...compaction, phase: 'running' } },
      is: true,
    },
    {
      name: 'of one that has begun less',
      other: { compaction: { ...compaction, upTo: 7 } },
      is: true,
    },
    {
      name: 'of one that has not dropped as much',
      other: { compaction: { ...compaction, tombstonesBelow: 0 } },
      is: true,
    },
    {
      name: 'not of one from which all of that is retired',
      other: { logStart: 8, compaction: { ...compaction, upTo: 0, tombstonesBelow: 0 } },
      is: false,
    },
  ] as const)('tells: $name', ({ other, is }) => {
    expect(whyUnsettled([done, { ...done, ...other }]) !== null).toBe(is);
  });
});
