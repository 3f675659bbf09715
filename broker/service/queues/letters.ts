/**
 * Dead letters: the record as it was, with headers that say where it came from and why it died. One
 * header names the record, so that it is found again (docs/rules.md#queues). Where they go is
 * chosen, searched and appended as the core asks for it; nothing of that ever rejects.
 */
import { AckLevel, type AppendRecord } from '../../../proto/gen/tidemark/v1/log.ts';
import type { Header } from '../../../proto/gen/tidemark/v1/records.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { type DecodedRecord, recordBytes } from '../../../wire/records/record-set.ts';
import { BrokerError, type ErrorCode } from '../../../base/errors.ts';
import { NO_BROKER, type LeaderEpoch, type Offset, type TopicId } from '../../../base/units.ts';
import type { QueueDefinition, TopicState } from '../../metadata/types.ts';
import type {
  Letter,
  LetterPosition,
  LetterResult,
  LetterTask,
  QueuePlace,
} from '../../queues/types.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { Appender } from '../appender.ts';
import type { Cluster } from '../cluster.ts';
import { topicNamed } from '../decisions.ts';
import type { FeedParts } from '../feeds.ts';
import { openFrame } from './open-frame.ts';
import { type ReadFrames, readOnce } from './read-once.ts';

/** Names the record of a letter: queue id, topic id, partition, offset and leader epoch. */
export const ORIGIN_HEADER = 'tidemark-origin';
/** One frame of letters, about: less where a single one is larger. */
const FRAME_BYTES_TARGET = 512 * 1024;
const SEARCH_BYTES = 1024 * 1024;
const APPEND_MS = 10_000;

/** Something stands where nothing was expected, or another epoch before it. */
const TAKEN: readonly ErrorCode[] = ['OFFSET_TAKEN', 'POSITION_DIVERGED'];
/** What stood before a position of the target is not there any more. */
const CUT: readonly ErrorCode[] = ['POSITION_DIVERGED', 'OFFSET_OUT_OF_RANGE'];

export interface LetterParts extends FeedParts {
  readonly cluster: Cluster;
  readonly appender: Pick<Appender, 'append'>;
  readonly report: ReportDefect;
  /** End of what is committed of a partition, and the epoch before it; null: not known now. */
  readonly end: (
    topicId: TopicId,
    partition: number,
  ) => Promise<{ readonly offset: Offset; readonly epoch: LeaderEpoch } | null>;
  /** Records of the source. One that is gone is absent; rejects where that cannot be known now. */
  readonly recordsAt: (
    place: QueuePlace,
    wanted: readonly { readonly offset: Offset; readonly epoch: LeaderEpoch }[],
  ) => Promise<ReadonlyMap<Offset, DecodedRecord>>;
}

type Append = Extract<LetterTask, { readonly kind: 'append' }>;
type Search = Extract<LetterTask, { readonly kind: 'search' }>;

export async function carryOutLetters(
  parts: LetterParts,
  queue: QueueDefinition,
  place: QueuePlace,
  task: LetterTask,
): Promise<LetterResult> {
  try {
    if (task.kind === 'locate') return await locate(parts, queue, place);
    const topic = parts.cluster.image().topics.get(task.target.topicId);
    if (topic === undefined) {
      parts.cluster.requireMetadata();
      return { kind: 'target-gone' };
    }
    return task.kind === 'search'
      ? await search(parts, place, task)
      : await append(parts, queue, place, topic, task);
  } catch (thrown) {
    expected(thrown, parts.report);
    return { kind: 'failed' };
  }
}

/** A partition that has a leader now: by the place, so that letters of one stay together. */
async function locate(
  { cluster, end }: LetterParts,
  { config: { deadLetterTopic } }: QueueDefinition,
  { partition }: QueuePlace,
): Promise<LetterResult> {
  const topic = topicNamed(cluster.image(), deadLetterTopic);
  const led = (topic?.partitions ?? []).filter(({ leader }) => leader !== NO_BROKER);
  const target = led[partition % Math.max(1, led.length)];
  if (topic === undefined || target === undefined) return { kind: 'failed' };
  const { topicId } = topic;
  const at = await end(topicId, target.partition);
  if (at === null) return { kind: 'failed' };
  const { offset: from, epoch } = at;
  return { kind: 'located', target: { topicId, partition: target.partition, from, epoch } };
}

async function append(
  { cluster, appender, recordsAt }: LetterParts,
  queue: QueueDefinition,
  place: QueuePlace,
  topic: TopicState,
  { target: { partition }, end, letters }: Append,
): Promise<LetterResult> {
  const found = await recordsAt(place, letters);
  const missing = letters.filter(({ offset }) => !found.has(offset));
  if (missing.length > 0) return { kind: 'missing', offsets: missing.map(({ offset }) => offset) };
  const source = cluster.image().topics.get(place.topicId)?.name ?? '';
  const bytesMax = Math.min(FRAME_BYTES_TARGET, topic.config.batchBytesMax / 2);
  const some: Letter[] = [];
  const records: AppendRecord[] = [];
  let bytes = 0;
  for (const letter of letters) {
    const record = letterOf(queue.name, source, place, letter, found.get(letter.offset)!);
    bytes += recordBytes({ ...record, value: record.tombstone ? null : record.value });
    if (some.length > 0 && bytes > bytesMax) break;
    some.push(letter);
    records.push({ ...record, partition });
  }
  const condition = {
    ...{ $case: 'expectedEnd' as const, value: { offset: end.from, leaderEpoch: end.epoch } },
  };
  const { results } = await appender.append(
    { topic: topic.name, records, acks: AckLevel.ACK_LEVEL_ALL, condition },
    // Nobody asked for it: whoever made the queue was allowed to.
    { deadlineMs: APPEND_MS, principal: '' },
  );
  const error = results.find((result) => result.error !== undefined)?.error;
  if (error === undefined) return { kind: 'appended', offsets: some.map(({ offset }) => offset) };
  return { kind: TAKEN.includes(errorFromMessage(error).code) ? 'taken' : 'failed' };
}

async function search(
  parts: LetterParts,
  place: QueuePlace,
  { target: { topicId, partition }, from, letters }: Search,
): Promise<LetterResult> {
  const wanted = new Map(letters.map((letter) => [originOf(place, letter), letter.offset]));
  const offsets: Offset[] = [];
  let end: LetterPosition = from;
  // A new leader may not know yet that a letter is committed, and would be read as without it.
  const until = (await parts.end(topicId, partition))?.offset;
  if (until === undefined) return { kind: 'failed' };
  for (;;) {
    const at = { topicId, partition, offset: end.from, leaderEpoch: end.epoch };
    let read: ReadFrames;
    try {
      read = await readOnce(parts, at, SEARCH_BYTES);
    } catch (error) {
      if (!(error instanceof BrokerError) || !CUT.includes(error.code)) throw error;
      // Only what retention took is not there; behind it nothing was cut.
      const { logStart = 0 } = error.details;
      if (error.code === 'POSITION_DIVERGED' || end.from >= logStart) return { kind: 'cut' };
      end = { from: logStart, epoch: 0 };
      continue;
    }
    for (const frame of read.frames) {
      // What others wrote may hold anything; a letter can be read.
      const { header, records } = openFrame(frame);
      offsets.push(...records.flatMap((record) => foundIn(record, wanted)));
      end = { from: read.nextOffset, epoch: header.leaderEpoch };
    }
    if (end.from >= until) return { kind: 'searched', offsets, end };
    if (read.frames.length === 0) return { kind: 'failed' };
  }
}

/** Offset of the record that it is a letter of, once. */
function foundIn({ headers }: DecodedRecord, wanted: Map<string, Offset>): Offset[] {
  const value = headers.find(({ key }) => key === ORIGIN_HEADER)?.value;
  if (value === undefined) return [];
  const origin = textOf(value);
  const offset = wanted.get(origin);
  wanted.delete(origin);
  return offset === undefined ? [] : [offset];
}

function letterOf(
  queue: string,
  topic: string,
  place: QueuePlace,
  letter: Letter,
  { key, value, headers, timestampMs }: DecodedRecord,
): Omit<AppendRecord, 'partition'> {
  const { offset, deliveries, cause, reason } = letter;
  const told: readonly (readonly [string, string])[] = [
    [ORIGIN_HEADER, originOf(place, letter)],
    ['tidemark-queue', queue],
    ['tidemark-topic', topic],
    ['tidemark-partition', String(place.partition)],
    ['tidemark-offset', String(offset)],
    ['tidemark-cause', cause],
    ['tidemark-reason', reason],
    ['tidemark-deliveries', String(deliveries)],
    ['tidemark-timestamp-ms', String(timestampMs)],
  ];
  // A letter of a letter names its last origin alone.
  const kept = headers.filter((header) => !told.some(([name]) => name === header.key));
  return {
    // Of now: by its own one, retention might take it at once.
    ...{ key, value: value ?? NO_VALUE, tombstone: value === null, timestampMs: 0 },
    headers: [...kept, ...told.map(([name, text]): Header => ({ key: name, value: bytes(text) }))],
  };
}

function originOf(
  { queue, topicId, partition }: QueuePlace,
  { offset, epoch }: Pick<Letter, 'offset' | 'epoch'>,
): string {
  return `${queue}/${topicId}/${String(partition)}/${String(offset)}/${String(epoch)}`;
}

const NO_VALUE = new Uint8Array(0);

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function textOf(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}
