/**
 * The checker finds what it is there to find: each kind of broken promise in a history made by
 * hand, and none in one that is right.
 */
import { describe, expect, it } from 'vitest';
import { crc32 } from 'node:zlib';
import { stampFrame, topicIdToBytes } from '../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../wire/records/batch.ts';
import {
  type Append,
  check,
  checkFollowed,
  checkRepeatable,
  type StoredRecord,
  valueOf,
} from './history.ts';
import { compareReplicas, recordsOf } from './replicas.ts';

const KEY = 'k';

/**
 * Appends 0 to `count` - 1 of one producer to partition 0, acknowledged at the offset of their
 * counter.
 */
function acknowledged(count: number, producer = 'p'): Append[] {
  return Array.from({ length: count }, (_, counter) => ({
    producer,
    counter,
    key: KEY,
    outcome: { kind: 'acknowledged', partition: 0, offset: counter },
  }));
}

/** The records that were stored, at the offsets of their place in `counters`. */
function stored(counters: readonly number[], from = 0): StoredRecord[] {
  return counters.map((counter, index) => ({
    partition: 0,
    offset: from + index,
    key: Buffer.from(KEY),
    value: valueOf({ producer: 'p', counter, key: KEY }),
  }));
}

function kinds(appends: readonly Append[], records: readonly StoredRecord[]): string[] {
  return check(appends, records).violations.map(({ kind }) => kind);
}

describe('check()', () => {
  it('finds nothing in a history that is right', () => {
    expect(check(acknowledged(4), stored([0, 1, 2, 3]))).toEqual({
      acknowledged: 4,
      refused: 0,
      unknown: 0,
      unacknowledgedPresent: 0,
      violations: [],
    });
  });

  it.for([
    { name: 'prefix', left: [2, 3], lost: ['lost-prefix', 'lost-prefix'] },
    { name: 'middle', left: [0, 3], lost: ['lost-middle', 'lost-middle'] },
    { name: 'suffix', left: [0, 1], lost: ['lost-suffix', 'lost-suffix'] },
    { name: 'whole', left: [], lost: Array<string>(4).fill('lost-suffix') },
    { name: 'a bit of each', left: [1, 3], lost: ['lost-prefix', 'lost-middle'] },
  ])('tells a lost $name', ({ left, lost }) => {
    const records = stored([0, 1, 2, 3]).filter(({ offset }) => left.includes(offset));
    expect(kinds(acknowledged(4), records).toSorted()).toEqual(lost.toSorted());
  });

  it('finds a duplicate', () => {
    expect(kinds(acknowledged(3), stored([0, 1, 2, 1]))).toEqual(['duplicate']);
  });

  it('finds a record of a producer behind a later one', () => {
    expect(kinds(acknowledged(3), stored([0, 2, 1]))).toEqual([
      'reordered',
      'misplaced',
      'misplaced',
    ]);
  });

  it('finds a record at another offset than the acknowledged one', () => {
    expect(kinds(acknowledged(2), stored([0, 1], 1))).toEqual(['misplaced', 'misplaced']);
  });

  it('finds a record in another partition than the acknowledged one', () => {
    const records = stored([0]).map((record) => ({ ...record, partition: 1 }));
    expect(kinds(acknowledged(1), records)).toEqual(['misplaced']);
  });

  it.for(['value', 'key'] as const)('finds a corrupted byte of a %s', (part) => {
    const records = stored([0, 1, 2]);
    const damaged = records.map((record) => {
      const bytes = Uint8Array.from(record[part] ?? []);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      return record.offset === 1 ? { ...record, [part]: bytes } : record;
    });
    expect(kinds(acknowledged(3), damaged)).toEqual(['corrupted', 'lost-middle']);
  });

  it('finds what nobody sent', () => {
    expect(kinds(acknowledged(1), stored([0, 1]))).toEqual(['corrupted']);
  });

  it('finds offsets that do not rise', () => {
    const twice = stored([0, 1]).map((record) => ({ ...record, offset: 0 }));
    expect(kinds(acknowledged(2), twice)).toEqual(['offsets-not-rising', 'misplaced']);
  });

  it('finds a refused append that is there', () => {
    const appends = acknowledged(2);
    appends[1]!.outcome = { kind: 'refused', code: 'NOT_ENOUGH_REPLICAS' };
    expect(kinds(appends, stored([0, 1]))).toEqual(['resurrected']);
    expect(kinds(appends, stored([0]))).toEqual([]);
  });

  it('allows and counts what is there without an acknowledgement', () => {
    const appends = acknowledged(3);
    appends[1]!.outcome = { kind: 'unknown', reason: 'connection lost' };
    appends[2]!.outcome = { kind: 'unknown', reason: 'connection lost' };
    expect(check(appends, stored([0, 1]))).toMatchObject({
      unknown: 2,
      unacknowledgedPresent: 1,
      violations: [],
    });
  });

  it('still finds a duplicate of what was not acknowledged', () => {
    const appends = acknowledged(1);
    appends[0]!.outcome = { kind: 'unknown', reason: 'connection lost' };
    expect(kinds(appends, stored([0, 0]))).toEqual(['duplicate']);
  });
});

describe('checkRepeatable()', () => {
  it.for([
    { name: 'changed', after: stored([0, 2]) },
    { name: 'gone', after: stored([0]) },
  ])('finds a record that was read and is $name', ({ after }) => {
    const found = checkRepeatable(stored([0, 1]), after);
    expect(found).toEqual([
      { kind: 'read-not-repeatable', partition: 0, detail: 'offset 1 was read as "p/1"' },
    ]);
  });

  it('allows more than was read', () => {
    expect(checkRepeatable(stored([0]), stored([0, 1]))).toEqual([]);
  });
});

describe('checkFollowed()', () => {
  it.for([
    { name: 'a step back', given: [0, 1, 1, 2], found: ['read-went-back'] },
    { name: 'a record that was skipped', given: [0, 2], found: ['read-skipped'] },
    { name: 'a reader that began too late', given: [2], found: ['read-skipped', 'read-skipped'] },
    { name: 'nothing in a reader that has not come far', given: [0, 1], found: [] },
    { name: 'nothing in offsets that control batches took', given: [0, 1, 2, 5], found: [] },
  ])('finds $name', ({ given, found }) => {
    const all = [...stored([0, 1, 2]), ...stored([3], 5)];
    const followed = given.flatMap((offset) => all.filter((record) => record.offset === offset));
    expect(checkFollowed(followed, all).map(({ kind }) => kind)).toEqual(found);
  });
});

describe('compareReplicas()', () => {
  const log = (brokerId: number, ...frames: number[]) => ({
    brokerId,
    partition: 0,
    frames: Uint8Array.from(frames),
  });

  it.for([
    { name: 'a corrupted byte', frames: [1, 9, 3], detail: 'first different at byte 1' },
    { name: 'a missing end', frames: [1, 2], detail: 'first different at byte 2' },
    { name: 'a longer log', frames: [1, 2, 3, 4], detail: 'the longer one going on' },
  ])('finds $name', ({ frames, detail }) => {
    const [violation] = compareReplicas([log(1, 1, 2, 3), log(2, ...frames)], 2);
    expect(violation).toMatchObject({ kind: 'replicas-differ' });
    expect(violation?.detail).toContain(detail);
  });

  it('finds too few copies', () => {
    expect(compareReplicas([log(1, 1)], 2)).toMatchObject([{ kind: 'too-few-replicas' }]);
  });

  it('allows copies that are alike', () => {
    expect(compareReplicas([log(1, 1, 2), log(2, 1, 2), log(3, 1, 2)], 3)).toEqual([]);
  });
});

describe('recordsOf()', () => {
  const topicId = '01234567-89ab-4def-8123-456789abcdef';

  function frames(): Uint8Array {
    const records = stored([0, 1]).map(({ key, value }) => ({ key, value, timestampMs: 1 }));
    const frame = encodeBatch(records, { codec: 0 }, crc32);
    const stamp = { topicIdBytes: topicIdToBytes(topicId), partition: 0 };
    stampFrame(frame, 0, { ...stamp, baseOffset: 0, leaderEpoch: 1 }, crc32);
    return frame;
  }

  it('gives the records of a log', () => {
    const records = recordsOf({ brokerId: 1, partition: 0, frames: frames() }, topicId);
    expect(check(acknowledged(2), records).violations).toEqual([]);
  });

  it.for([0, 8, 30, 100])('refuses a log whose byte %d was changed', (at) => {
    const damaged = frames();
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    expect(() => recordsOf({ brokerId: 1, partition: 0, frames: damaged }, topicId)).toThrow(
      expect.objectContaining({ code: 'CORRUPT_BATCH' }),
    );
  });
});
