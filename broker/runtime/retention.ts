/** What retention may retire: whole sealed segments, below the high-water mark, oldest first. DESIGN.md section 3. */
import type { Offset, WallMs } from '../base/units.ts';
import type { TopicConfig } from '../metadata/types.ts';
import type { ReplicaMarks } from './api.ts';
import type { SealedSegment } from './ports.ts';

/**
 * The new log start, or the present one. A segment goes when its newest record is older than `retentionMs`, or while the replica is larger than
 * `retentionBytes`.
 */
export function retireOffset(
  segments: readonly SealedSegment[],
  now: {
    readonly config: TopicConfig;
    readonly marks: ReplicaMarks;
    readonly nowMs: WallMs;
    readonly sizeBytes: number;
    /** False: this broker's clock is too far off to say what is old. */
    readonly isClockTrusted: boolean;
  },
): Offset {
  const { config, marks, nowMs, isClockTrusted } = now;
  let start = marks.logStart;
  let size = now.sizeBytes;
  for (const segment of segments) {
    const isOld =
      isClockTrusted &&
      config.retentionMs >= 0 &&
      nowMs - segment.maxTimestampMs > config.retentionMs;
    const isOver = config.retentionBytes >= 0 && size > config.retentionBytes;
    if (segment.endOffset > marks.highWaterMark || (!isOld && !isOver)) break;
    start = Math.max(start, segment.endOffset);
    size -= segment.bytes;
  }
  return start;
}
