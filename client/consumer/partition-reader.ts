/** The reading of one partition: where it stands, and what it passes over. Must not use streams. */
import type { StampTarget } from '../../wire/batch/frame.ts';
import type { DecodedRecord } from '../../wire/records/record-set.ts';
import { TidemarkError } from '../errors.ts';
import type { FetchStream } from './fetch-stream.ts';
import type { Source } from './source.ts';
import type { ConsumerPosition, PartitionState, Position } from './types.ts';

/** A position without the topic that it is one of. */
export type Place = Pick<Position, 'partition' | 'offset' | 'leaderEpoch'>;

/** One partition's reading. */
export interface Reader {
  readonly target: StampTarget;
  readonly partition: number;
  /** Next offset to hand out, and the epoch of the record before it. */
  offset: number;
  leaderEpoch: number;
  /** Position of the next frame to come, past what is buffered. */
  nextOffset: number;
  nextEpoch: number;
  /** Exclusive; reading stops here. */
  readonly endOffset: number;
  /** Losses of epochs up to this one were told, or wait to be handed out. */
  toldEpoch: number;
  stream: FetchStream | undefined;
  /** The replica that `stream` reads, while there is one. */
  source: Source | undefined;
  /**
   * Since when the follower that is read is behind the position; undefined: it is not, or a leader
   * is read.
   */
  behindSinceMs: number | undefined;
  /** Until when these followers are left alone. */
  readonly avoidedUntilMs: Map<number, number>;
  blockedUntilMs: number;
  failures: number;
  damaged: number;
  isDone: boolean;
  /** Records before this time are passed over, up to the first that is not; then undefined. */
  fromTimestampMs: number | undefined;
  /** End of what is committed, as far as it was heard. */
  highWaterMark: number | undefined;
  /**
   * Every record that was read before came from a log that was compacted so far at least: no key of
   * theirs was deleted below it. Infinite: none was read. 0: nobody knows.
   */
  compactedTo: number;
}

/**
 * A follower that has not reached, for so long, what was read elsewhere is not waited for: the
 * leader has it.
 */
const FOLLOWER_BEHIND_MS = 2_000;
/** A follower that went away or lagged is not read again before this. */
const FOLLOWER_AVOID_MS = 10_000;

/** A batch that was not handed out yet: {@link TopicReader.handOut} says how far it was. */
export interface ReadBatch {
  readonly partition: number;
  readonly leaderEpoch: number;
  /** At least one. */
  readonly records: readonly DecodedRecord[];
  readonly highWaterMark: number;
  /** Offset behind the batch. */
  readonly endOffset: number;
}

/** Begins at a place. `endOffset` is exclusive. */
export function newReader(
  target: StampTarget,
  { partition, offset, leaderEpoch }: Place,
  endOffset: number,
  fromTimestampMs: number | undefined,
): Reader {
  return {
    target,
    partition,
    offset,
    leaderEpoch,
    nextOffset: offset,
    nextEpoch: leaderEpoch,
    endOffset,
    toldEpoch: 0,
    stream: undefined,
    source: undefined,
    behindSinceMs: undefined,
    avoidedUntilMs: new Map(),
    blockedUntilMs: 0,
    failures: 0,
    damaged: 0,
    // Past the end, or of an epoch: the leader says whether there is such a position.
    isDone: offset === endOffset && leaderEpoch === 0,
    fromTimestampMs,
    highWaterMark: undefined,
    // Where no epoch is stated, nothing is said to have been read.
    compactedTo: leaderEpoch === 0 ? Number.POSITIVE_INFINITY : 0,
  };
}

/** Reads on at an offset of which nothing is known. What was handed out stays where it is. */
export function moveTo(reader: Reader, offset: number): void {
  reader.nextOffset = offset;
  reader.nextEpoch = 0;
  reader.compactedTo = Number.POSITIVE_INFINITY;
  reader.blockedUntilMs = 0;
  reader.isDone = offset >= reader.endOffset;
}

/** The follower that is read has not reached the position for too long. */
export function isBehind({ behindSinceMs = Infinity }: Reader, nowMs: number): boolean {
  return nowMs - behindSinceMs > FOLLOWER_BEHIND_MS;
}

/** Reads a follower no more for a while. */
export function avoid(reader: Reader, follower: number, nowMs: number): void {
  reader.avoidedUntilMs.set(follower, nowMs + FOLLOWER_AVOID_MS);
  reader.stream?.unsubscribe(reader.partition);
  reader.stream = undefined;
  reader.behindSinceMs = undefined;
}

/** Without a stream, and at what was handed out: what was buffered behind it comes again. */
export function rewind(reader: Reader): void {
  const { offset, leaderEpoch } = reader;
  if (reader.nextOffset !== offset) reader.isDone = offset >= reader.endOffset;
  Object.assign(reader, {
    stream: undefined,
    source: undefined,
    behindSinceMs: undefined,
    nextOffset: offset,
    nextEpoch: leaderEpoch,
    blockedUntilMs: 0,
  });
}

/** What is known of the reading. */
export function stateOf(topic: string, reader: Reader): PartitionState {
  const { partition, offset, isDone, stream, highWaterMark: end } = reader;
  const lag = end === undefined ? undefined : Math.max(0, end - offset);
  const brokerId = stream?.brokerId;
  const going = lag === 0 ? 'caught-up' : 'reading';
  const state = isDone ? 'done' : stream === undefined ? 'waiting' : going;
  return { topic, partition, offset, end, lag, state, brokerId };
}

/** Where to go on after what was handed out. */
export function positionOf(
  topic: string,
  topicId: string,
  { partition, offset, leaderEpoch }: Reader,
): ConsumerPosition {
  return { topic, topicId, partition, offset, leaderEpoch };
}

export function gap(topic: string, reader: Reader, baseOffset: number): TidemarkError {
  return new TidemarkError(
    'CORRUPT_BATCH',
    `Cannot read ${topic}/${reader.partition}: the broker sent offset ${baseOffset}, must be ${reader.nextOffset}`,
    'refresh',
  );
}

/** Records from the time that was asked for on; all of them once one was found. */
export function fromTime(
  reader: Reader,
  records: readonly DecodedRecord[],
): readonly DecodedRecord[] {
  const { fromTimestampMs } = reader;
  if (fromTimestampMs === undefined) return records;
  const first = records.findIndex(({ timestampMs }) => timestampMs >= fromTimestampMs);
  if (first < 0) return [];
  reader.fromTimestampMs = undefined;
  return records.slice(first);
}

export function otherTopic(
  topic: string,
  { partition, topicId }: Position,
  now: string,
): TidemarkError {
  return new TidemarkError(
    'POSITION_DIVERGED',
    `Cannot read ${topic}/${partition}: the position is one of topic id ${topicId}, which was deleted; "${topic}" is ${now} now`,
  );
}
