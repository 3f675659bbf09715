import { describe, expect, test } from 'vitest';
import { RaftLog, textBytes } from '../../../../broker/raft/log.ts';
import { EMPTY_DURABLE } from '../../../../broker/raft/raft.ts';
import type { Entry, RaftWrite } from '../../../../broker/raft/types.ts';
import { Disk } from '../../../sim/raft/disk.ts';
import { fc, test as propertyTest } from './property.ts';

const entry = (index: number, term: number, data = `${index}@${term}`): Entry => ({
  index,
  term,
  kind: 'data',
  data,
});

function logOf(...terms: readonly number[]): RaftLog {
  return new RaftLog({
    ...EMPTY_DURABLE,
    entries: terms.map((term, position) => entry(position + 1, term)),
  });
}

function termsOf(log: RaftLog): (number | null)[] {
  return Array.from({ length: log.lastIndex }, (_, position) => log.termAt(position + 1));
}

function writesOf(log: RaftLog, from = 1): readonly RaftWrite[] {
  let id = from - 1;
  return log.takeWrites(() => (id += 1));
}

describe('RaftLog.append', () => {
  test.each([
    ['adds what follows', [1, 1], [entry(3, 2)], [1, 1, 2]],
    ['leaves what it holds', [1, 1, 2], [entry(2, 1)], [1, 1, 2]],
    ['replaces a conflicting suffix', [1, 1, 1, 1], [entry(2, 1), entry(3, 2)], [1, 1, 2]],
    ['keeps a suffix beyond equal entries', [1, 2, 2, 2], [entry(1, 1), entry(2, 2)], [1, 2, 2, 2]],
  ])('%s', (_, terms, entries, expected) => {
    const log = logOf(...terms);
    log.append(entries, 0);
    expect(termsOf(log)).toEqual(expected);
  });

  test('refuses to replace a committed entry', () => {
    expect(() => {
      logOf(1, 1, 1).append([entry(2, 2)], 2);
    }).toThrow('entry 2 would replace a committed one');
  });

  test('refuses a gap and a falling term', () => {
    expect(() => {
      logOf(1).append([entry(3, 1)], 0);
    }).toThrow('entry 3 does not follow 1');
    expect(() => {
      logOf(2).append([entry(2, 1)], 0);
    }).toThrow('term 1 of entry 2 is below 2');
  });
});

describe('RaftLog.lastAtMost', () => {
  test.each([
    [[1, 1, 4, 4, 5, 5], 6, 3, { index: 2, term: 1 }],
    [[1, 1, 4, 4, 5, 5], 6, 4, { index: 4, term: 4 }],
    [[1, 1, 4], 9, 9, { index: 3, term: 4 }],
    [[4, 4], 2, 3, { index: 0, term: 0 }],
  ])('of %j at most index %d and term %d', (terms, index, term, expected) => {
    expect(logOf(...terms).lastAtMost(index, term)).toEqual(expected);
  });
});

describe('RaftLog.durableIndex', () => {
  test('rises with the writes, in order', () => {
    const log = logOf(1);
    log.append([entry(2, 1)], 0);
    writesOf(log, 1);
    log.append([entry(3, 1)], 0);
    writesOf(log, 2);
    expect(log.durableIndex).toBe(1);
    log.persisted(1);
    expect(log.durableIndex).toBe(2);
    log.persisted(2);
    expect(log.durableIndex).toBe(3);
  });

  test('falls with a truncation, and a write under way then does not count for what replaced its entries', () => {
    const log = logOf(1);
    log.append([entry(2, 1), entry(3, 1)], 0);
    writesOf(log, 1);
    log.append([entry(2, 2), entry(3, 2)], 0);
    writesOf(log, 2);
    log.persisted(1);
    expect(log.durableIndex).toBe(1);
    log.persisted(2);
    expect(log.durableIndex).toBe(3);
  });

  test('is zero until an installed snapshot is durable', () => {
    const log = logOf(1, 1);
    log.install({ index: 9, term: 3, voters: [], data: 'x' });
    expect(writesOf(log)).toMatchObject([{ kind: 'snapshot', keepSuffix: false }]);
    expect(log.durableIndex).toBe(0);
    log.persisted(1);
    expect(log.durableIndex).toBe(9);
  });
});

describe('RaftLog.compact', () => {
  test('keeps the suffix and a tail, and counts only bytes after the snapshot', () => {
    const log = logOf(1, 1, 2, 2, 3);
    log.compact(4, 'image', 2);
    expect(log.snapshot).toMatchObject({ index: 4, term: 2, data: 'image' });
    expect(log.base).toEqual({ index: 2, term: 1 });
    expect([log.entryAt(2), log.entryAt(3)?.term, log.lastIndex]).toEqual([null, 2, 5]);
    expect(log.bytes).toBe(logOf(3).bytes);
  });

  test('remembers the voters of its index, not later ones', () => {
    const peers = [1, 2].map((brokerId) => ({ brokerId, directoryId: 'a' }));
    const voters = (index: number, count: number): Entry => ({
      index,
      term: 1,
      kind: 'voters',
      data: JSON.stringify(peers.slice(0, count)),
    });
    const log = new RaftLog({
      ...EMPTY_DURABLE,
      entries: [voters(1, 1), entry(2, 1), voters(3, 2)],
    });
    log.compact(2, '', 0);
    expect(log.snapshot?.voters).toEqual(peers.slice(0, 1));
    expect(log.voters).toEqual(peers);
    expect([
      log.isVoterSince(2, { brokerId: 2, directoryId: 'a' }),
      log.isVoterSince(2, { brokerId: 3, directoryId: 'a' }),
    ]).toEqual([true, false]);
  });
});

propertyTest(
  'RaftLog writes leave a disk that holds the same log',
  fc.array(fc.tuple(fc.nat(5), fc.nat(3), fc.boolean()), { maxLength: 40 }),
  (steps) => {
    const disk = new Disk();
    const log = new RaftLog(EMPTY_DURABLE);
    let [id, term, commit] = [0, 1, 0];
    const write = (): void => {
      for (const item of log.takeWrites(() => (id += 1))) disk.apply(item);
      log.persisted(id);
    };
    for (const [back, count, isCompacting] of steps) {
      term += back > 3 ? 1 : 0;
      const from = back > 3 ? Math.max(commit, log.lastIndex - back) : log.lastIndex;
      log.append(
        Array.from({ length: count }, (_, position) => entry(from + 1 + position, term)),
        commit,
      );
      write();
      if (isCompacting && log.lastIndex - 2 > log.snapshotIndex) {
        commit = log.lastIndex - 2;
        log.compact(commit, 'image', back);
      }
      write();
      const read = new RaftLog(disk.durable);
      const after = (side: RaftLog): unknown => [
        side.snapshot,
        side.lastIndex,
        side.lastTerm,
        side.bytes,
        side.durableIndex,
      ];
      expect(after(read)).toEqual(after(log));
    }
  },
);

propertyTest('textBytes counts UTF-8', fc.string({ unit: 'grapheme' }), (text) => {
  expect(textBytes(text)).toBe(new TextEncoder().encode(text).length);
});
