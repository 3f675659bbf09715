/**
 * Which small segments of a compacted log become one file. Each pass leaves a file for each segment
 * that it was about, and a topic in use seals segments for ever; without merging its files would
 * only become more. Pure: a list of sizes in, a run of it out.
 */
import type { Offset } from '../../../base/units.ts';

export interface SegmentSize {
  readonly baseOffset: Offset;
  readonly endOffset: Offset;
  readonly bytes: number;
}

/** Bytes up to which a merge is always worth it: each pass copies so much at most, once more. */
export const MERGE_BYTES_FREE = 1024 * 1024;
/**
 * Largest share of the new file that one segment may have. So what a byte lies in doubles with each
 * merge at least, and none is copied more often than sizes double from the first segment's to the
 * largest.
 */
const MERGE_SHARE_MAX = 1 / 2;
/** Exclusive bound of positions, and of offsets from the first on: an index has 32 bits. */
const INDEX_RANGE = 2 ** 32;

/**
 * The first adjoining segments that are to become one file, as many as may; empty: none are.
 *
 * @param segments sealed and compacted, oldest first, each beginning where the one before ends
 * @param segmentBytes largest file; one that is larger already stays as it is
 */
export function nextMerge<Size extends SegmentSize>(
  segments: readonly Size[],
  segmentBytes: number,
): readonly Size[] {
  for (const from of segments.keys()) {
    const run = longestRun(segments, from, segmentBytes);
    if (run.length > 1) return run;
  }
  return [];
}

function longestRun<Size extends SegmentSize>(
  segments: readonly Size[],
  from: number,
  segmentBytes: number,
): readonly Size[] {
  const baseOffset = segments[from]?.baseOffset ?? 0;
  let [bytes, largest, end] = [0, 0, from];
  for (let at = from; at < segments.length; at += 1) {
    const segment = segments[at];
    if (segment === undefined) break;
    bytes += segment.bytes;
    largest = Math.max(largest, segment.bytes);
    const isWithin = bytes <= segmentBytes && bytes < INDEX_RANGE;
    if (!isWithin || segment.endOffset - baseOffset > INDEX_RANGE) break;
    if (bytes <= MERGE_BYTES_FREE || largest <= bytes * MERGE_SHARE_MAX) end = at + 1;
  }
  return segments.slice(from, end);
}
