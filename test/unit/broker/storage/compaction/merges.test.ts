/** Which segments of a compacted log are merged, and what that costs. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../../../../base/random.ts';
import {
  MERGE_BYTES_FREE,
  nextMerge,
  type SegmentSize,
} from '../../../../../broker/storage/compaction/merges.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Adjoining segments of these sizes, 100 offsets each. */
function segments(...sizes: readonly number[]): SegmentSize[] {
  return sizes.map((bytes, at) => ({ baseOffset: 100 * at, endOffset: 100 * (at + 1), bytes }));
}

/** Of which segments, by their number. */
function merged(sizes: readonly number[], segmentBytes: number): number[] {
  return nextMerge(segments(...sizes), segmentBytes).map(({ baseOffset }) => baseOffset / 100);
}

describe('nextMerge()', () => {
  it.each([
    ['nothing', [], 100, []],
    ['one segment', [10], 100, []],
    ['all that fit', [10, 10, 10], 100, [0, 1, 2]],
    ['up to the size of a segment', [50, 50, 1], 100, [0, 1]],
    ['none that would be too large', [60, 60, 60], 100, []],
    ['what stands behind a large one', [100, 30, 30], 100, [1, 2]],
    ['what stands between large ones', [100, 1, 1, 100], 100, [1, 2]],
    ['a large and a small one, where both are small', [MIB - KIB, KIB], 8 * MIB, [0, 1]],
    ['no small one to a large one', [4 * MIB, KIB], 8 * MIB, []],
    ['no large one to a small one', [KIB, 4 * MIB], 8 * MIB, []],
    ['the small ones beside a large one', [4 * MIB, KIB, KIB], 8 * MIB, [1, 2]],
    ['the small ones before a large one', [KIB, KIB, 4 * MIB], 8 * MIB, [0, 1]],
    ['a large one and as much behind it', [4 * MIB, MIB, 3 * MIB], 8 * MIB, [0, 1, 2]],
    ['what became larger than segments are now: nothing', [200, 200], 100, []],
  ] as const)('takes %s', (_, sizes, segmentBytes, expected) => {
    expect(merged(sizes, segmentBytes)).toEqual(expected);
  });

  it('takes no more offsets, and no more bytes, than an index has room for', () => {
    const wide = [
      { baseOffset: 7, endOffset: 7 + 2 ** 31, bytes: 68 },
      { baseOffset: 7 + 2 ** 31, endOffset: 7 + 2 ** 32, bytes: 68 },
      { baseOffset: 7 + 2 ** 32, endOffset: 8 + 2 ** 32, bytes: 68 },
    ];
    expect(nextMerge(wide, MIB)).toEqual(wide.slice(0, 2));
    expect(merged([2 ** 31, 2 ** 31], 2 ** 40)).toEqual([]);
    expect(merged([2 ** 31, 2 ** 31 - 1], 2 ** 40)).toEqual([]);
    expect(merged([2 ** 30, 2 ** 30], 2 ** 40)).toEqual([0, 1]);
  });

  it('bounds the files of a topic in use, and how often a byte is copied', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = new Random(seed);
      const segmentBytes = 64 * MIB;
      let log: SegmentSize[] = [];
      let [copied, total, most] = [0, 0, 0];
      for (let pass = 0; pass < 2_000; pass += 1) {
        const bytes = random.pick([68, KIB, 40 * KIB, MIB, 3 * MIB]);
        const baseOffset = log.at(-1)?.endOffset ?? 0;
        log.push({ baseOffset, endOffset: baseOffset + 10, bytes });
        total += bytes;
        for (let run = nextMerge(log, segmentBytes); run.length > 0; ) {
          const [first, last] = [run[0]!, run.at(-1)!];
          const sum = run.reduce((all, each) => all + each.bytes, 0);
          expect(sum).toBeLessThanOrEqual(segmentBytes);
          copied += sum;
          const from = log.indexOf(first);
          const one = { ...first, endOffset: last.endOffset, bytes: sum };
          log = log.toSpliced(from, run.length, one);
          run = nextMerge(log, segmentBytes);
        }
        most = Math.max(most, log.length - Math.ceil((2 * total) / segmentBytes));
      }
      const doublings = Math.log2(segmentBytes / MERGE_BYTES_FREE);
      expect(most, `seed ${seed}`).toBeLessThan(3 * doublings);
      expect(log.at(-1)!.endOffset).toBe(20_000);
      expect(copied / total, `seed ${seed}`).toBeLessThan(2 * doublings);
    }
  });
});
