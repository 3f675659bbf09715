/** What was written in place of a segment is held against it record by record (K9). */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { recordAccess } from '../../../../broker/background/record-access.ts';
import { SegmentComparison } from '../../../../broker/compaction/segment-comparison.ts';
import {
  EVERYTHING_STAYS,
  type Fates,
  Survivors,
} from '../../../../broker/compaction/survivors.ts';
import { gapFrame } from '../../../../wire/batch/sparse.ts';
import { keyedFrame, TARGET } from '../../../fixtures/keyed-log.ts';
import { MEMORY_BYTES, SEED } from './fixture.ts';

/** `a` at 0 and 1 is masked, and so is `b` at 2; what stays of the second batch is at 3. */
const LOG = [
  keyedFrame(0, [
    { key: 'a', value: '0' },
    { key: 'a', value: '1' },
  ]).bytes,
  keyedFrame(2, [
    { key: 'b', value: '2' },
    { key: 'c', value: '3' },
  ]).bytes,
  keyedFrame(4, [
    { key: 'a', value: '4' },
    { key: 'b', value: '5' },
  ]).bytes,
] as const;

function survivors(): Survivors {
  const order = { upTo: 6, tombstonesBelow: 0, producersBelow: 0 };
  const options = { order, target: TARGET, access: recordAccess, seed: SEED };
  const found = new Survivors({ ...options, memoryBytes: MEMORY_BYTES });
  found.observe(new Uint8Array(Buffer.concat(LOG)), { offset: 0, epoch: 0 });
  found.endScan();
  return found;
}

const gap = (lastOffsetDelta: number, maxTimestampMs = 1_001): Uint8Array =>
  gapFrame({ baseOffset: 0, lastOffsetDelta, leaderEpoch: 1, maxTimestampMs }, TARGET, crc32);
const gapAt = (baseOffset: number, maxTimestampMs: number): Uint8Array =>
  gapFrame({ baseOffset, lastOffsetDelta: 1, leaderEpoch: 1, maxTimestampMs }, TARGET, crc32);
const thinned = (keep: (offset: number) => boolean): Uint8Array =>
  recordAccess.thin(LOG[1], keep, TARGET);

/** What differs, told by either call. */
function compare(
  fresh: readonly Uint8Array[],
  fates: Fates = survivors(),
  olds: readonly Uint8Array[] = LOG,
): string | null {
  const parts = { survivors: fates, target: TARGET, access: recordAccess };
  const comparison = new SegmentComparison(parts);
  const [old, found] = [olds, fresh].map((frames) => new Uint8Array(Buffer.concat(frames)));
  const compared = comparison.take(old!, found!);
  if (compared.difference !== null) return compared.difference;
  if (compared.old < old!.length) return 'it ends too early';
  return comparison.finish(found!.subarray(compared.fresh));
}

describe('SegmentComparison', () => {
  it('takes what must stand there', () => {
    expect(compare([gap(1), thinned((offset) => offset === 3), LOG[2]])).toBeNull();
  });

  it.each([
    ['a gap that is too short', [gap(0), thinned((at) => at === 3), LOG[2]], /^the gap from/],
    ['another time', [gap(1, 5), thinned((at) => at === 3), LOG[2]], /^the gap from/],
    ['no gap', [thinned((at) => at === 3), LOG[2]], /^the gap from/],
    ['a record too many', [gap(1), LOG[1], LOG[2]], /was left as it was/],
    ['a record too few', [gap(1), thinned(() => false), LOG[2]], /offset 3 is missing/],
    ['another record', [gap(1), thinned((at) => at === 2), LOG[2]], /offset 3 is missing/],
    ['a batch too few', [gap(1), thinned((at) => at === 3)], /too early/],
    ['bytes too many', [gap(1), thinned((at) => at === 3), LOG[2], LOG[2]], /bytes too many/],
  ] as const)('tells %s', (_, fresh, difference) => {
    expect(compare(fresh)).toMatch(difference);
  });

  it('takes of a merge nothing but the same bytes, and gaps that were joined', () => {
    const two = [gap(1), gapAt(2, 1_003), LOG[2]];
    expect(compare([gap(3, 1_003), LOG[2]], EVERYTHING_STAYS, two)).toBeNull();
    expect(compare(two, EVERYTHING_STAYS, two)).toMatch(/^the gap from/);
    expect(compare(LOG, EVERYTHING_STAYS)).toBeNull();
    const other = recordAccess.thin(LOG[1], () => true, TARGET);
    expect(compare([LOG[0], other, LOG[2]], EVERYTHING_STAYS)).toBe(
      'the batch at offset 2 is not as it was',
    );
  });
});
