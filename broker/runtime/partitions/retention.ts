/**
 * What retention may retire: whole segments, below the high-water mark, oldest first.
 * docs/rules.md#retention.
 */
import type { Offset, WallMs } from '../../../base/units.ts';
import type { TopicConfig } from '../../metadata/types.ts';
import type { ReplicaMarks } from '../api.ts';
import type { LogSegment, PartitionLogOptions } from '../ports.ts';

/** Shortest age at which a segment is closed for the sake of retention: each is a file. */
const SEGMENT_MS_MIN = 1_000;

/**
 * How a topic's logs are cut into segments: none takes records for longer than they are kept, or
 * its first ones would stay with its last. For the same reason segments are merged only where
 * retention takes nothing.
 */
export function logOptionsOf({
  segmentBytes,
  segmentMs,
  retentionMs,
  cleanup,
}: TopicConfig): PartitionLogOptions {
  if (cleanup === 'compact') return { segmentBytes, segmentMs, mergesSegments: true };
  if (retentionMs < 0) return { segmentBytes, segmentMs };
  return { segmentBytes, segmentMs: Math.min(segmentMs, Math.max(retentionMs, SEGMENT_MS_MIN)) };
}

/**
 * The new log start, or the present one. A segment goes when its newest record is older than
 * `retentionMs`, while the replica is larger than `retentionBytes`, or where behind it there are
 * `retentionRecords` committed offsets. Offsets are counted and not records: a batch of control,
 * and what compaction took, count as one each. The last one, which is written to, goes by age
 * alone: a topic to which nobody appends keeps nothing for longer than it says. Of a topic that is
 * compacted and nothing else, none goes: the last record of a key may be as old as the topic.
 */
export function retireOffset(
  segments: readonly LogSegment[],
  now: {
    readonly config: TopicConfig;
    readonly marks: Pick<ReplicaMarks, 'logStart' | 'highWaterMark'>;
    readonly nowMs: WallMs;
    readonly sizeBytes: number;
    /** False: this broker's clock is too far off to say what is old. */
    readonly isClockTrusted: boolean;
  },
): Offset {
  const { config, marks, nowMs, isClockTrusted } = now;
  if (config.cleanup === 'compact') return marks.logStart;
  let start = marks.logStart;
  let size = now.sizeBytes;
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    const isOld =
      isClockTrusted &&
      config.retentionMs >= 0 &&
      nowMs - segment.maxTimestampMs > config.retentionMs;
    const isOver = !isLast && config.retentionBytes >= 0 && size > config.retentionBytes;
    const behind = marks.highWaterMark - segment.endOffset;
    const isBefore = !isLast && config.retentionRecords >= 0 && behind >= config.retentionRecords;
    if (segment.endOffset > marks.highWaterMark || (!isOld && !isOver && !isBefore)) break;
    start = Math.max(start, segment.endOffset);
    size -= segment.bytes;
  }
  return start;
}
