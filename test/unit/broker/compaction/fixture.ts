/** Runs a pass over segments in memory, as the disk does over files. */
import type { CompactionOrder } from '../../../../base/compaction-order.ts';
import { recordAccess } from '../../../../broker/background/record-access.ts';
import { CompactionJob } from '../../../../broker/compaction/job.ts';
import { splitFrames } from '../../../../wire/batch/frame.ts';
import { TARGET } from '../../../fixtures/keyed-log.ts';

/** Frames of one segment. */
export type MemorySegment = readonly Uint8Array[];

export const SEED = [1, 2, 3, 4] as const;
export const MEMORY_BYTES = 1 << 20;

/** Every block has this many frames. */
const BLOCK_FRAMES = 3;

/** The segments after the pass. Throws where what was written is not what had to be. */
export function compacted(
  segments: readonly MemorySegment[],
  order: CompactionOrder,
  memoryBytes = MEMORY_BYTES,
): { readonly segments: MemorySegment[]; readonly scans: number; readonly rounds: number } {
  const job = jobOf(order, memoryBytes);
  let log = [...segments];
  let [scans, rounds] = [0, 0];
  do {
    rounds += 1;
    do {
      scans += 1;
      let place = { offset: startOf(log), epoch: 0 };
      for (const block of log.flatMap(blocksOf)) place = job.observe(block, place);
    } while (job.endScan());
    log = log.map((segment) => {
      job.beginSegment();
      return rewritten(job, segment);
    });
  } while (job.nextRound());
  return { segments: log, scans, rounds };
}

/** One segment in the place of several. Throws as {@link compacted} does. */
export function merged(segments: readonly MemorySegment[], order: CompactionOrder): MemorySegment {
  const job = jobOf(order, MEMORY_BYTES);
  job.beginMerge();
  return rewritten(job, segments.flat());
}

function jobOf(order: CompactionOrder, memoryBytes: number): CompactionJob {
  const parts = { order, target: TARGET, access: recordAccess };
  return new CompactionJob({ ...parts, seed: SEED, memoryBytes });
}

function startOf(log: readonly MemorySegment[]): number {
  const first = log.flat()[0];
  return first === undefined ? 0 : splitFrames(first).frames[0]!.header.baseOffset;
}

function rewritten(job: CompactionJob, segment: MemorySegment): MemorySegment {
  const out: Uint8Array[] = [];
  let isChanged = false;
  let place = { offset: startOf([segment]), epoch: 0 };
  for (const block of blocksOf(segment)) {
    const result = job.rewrite(block, place);
    out.push(result.frames);
    ({ isChanged, next: place } = result);
  }
  out.push(job.endSegment());
  const bytes = Buffer.concat(out);
  if (!isChanged && !bytes.equals(Buffer.concat(segment)))
    throw new Error('a segment that is said to be as it was is another');
  const old = new Uint8Array(Buffer.concat(segment));
  const { old: used, fresh, difference } = job.compare(old, new Uint8Array(bytes));
  const end = difference ?? job.endComparison(new Uint8Array(bytes.subarray(fresh)));
  if (end !== null || used !== old.length) throw new Error(end ?? 'not all was compared');
  return splitFrames(bytes).frames.map(({ at, header }) =>
    new Uint8Array(bytes).slice(at, at + header.length),
  );
}

function blocksOf(segment: MemorySegment): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < segment.length; at += BLOCK_FRAMES)
    blocks.push(new Uint8Array(Buffer.concat(segment.slice(at, at + BLOCK_FRAMES))));
  return blocks;
}
