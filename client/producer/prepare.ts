/** A record as a program hands it in, checked and encoded. Must not know how records travel. */
import type { ExpectedEnd } from '../../proto/gen/tidemark/v1/log.ts';
import { TIMESTAMP_MS_MAX } from '../../base/limits.ts';
import { HEADER_BYTES } from '../../wire/batch/frame.ts';
import { recordBytes, type RecordHeader } from '../../wire/records/record-set.ts';
import { fault, shown } from '../check.ts';
import type { AnyTopic, Codec } from '../codecs.ts';
import { TidemarkError } from '../errors.ts';
import { bytesOf, headersOf, refusal } from '../values.ts';
import { reasonOf } from '../../base/reason.ts';

/** A record that is the producer's own: nobody else holds its arrays. */
export interface PreparedRecord {
  readonly topic: string;
  readonly key: Uint8Array | undefined;
  /** Null: a tombstone. */
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[] | undefined;
  readonly timestampMs: number;
  readonly partition: number | undefined;
  readonly context: unknown;
  /** With others that travel behind it, in a batch of their own. Undefined: alone. */
  readonly group: PreparedGroup | undefined;
}

/** What belongs to the first record of those that are appended together. */
export interface PreparedGroup {
  /** The records behind the first. */
  readonly rest: readonly PreparedRecord[];
  readonly expectedEnd: ExpectedEnd;
}

/** Its number of records. */
export function recordCountOf({ group }: PreparedRecord): number {
  return group === undefined ? 1 : 1 + group.rest.length;
}

/** The record, and those that travel with it. */
export function recordsOf(record: PreparedRecord): readonly PreparedRecord[] {
  return record.group === undefined ? [record] : [record, ...record.group.rest];
}

const FIELDS = ['topic', 'key', 'value', 'headers', 'timestampMs', 'partition', 'context'] as const;
const KNOWN: ReadonlySet<string> = new Set(FIELDS);

type Fields = { readonly [field in (typeof FIELDS)[number]]?: unknown };

/**
 * The record; a promise where a codec of its topic takes time. Throws INVALID_ARGUMENT, naming the
 * field and what came. @param nowMs its time, where it states none
 */
export function prepare(record: unknown, nowMs: number): PreparedRecord | Promise<PreparedRecord> {
  if (typeof record !== 'object' || record === null || Array.isArray(record))
    throw refusal(fault('record', record, `an object of ${FIELDS.join(', ')}`));
  for (const name in record)
    if (!KNOWN.has(name))
      throw refusal(`${shown(name)} is not known, allowed are ${FIELDS.join(', ')}`);
  const { topic, key, value, headers, timestampMs = nowMs, partition, context } = record as Fields;
  checkNumbers(timestampMs, partition);
  const place = topicOf(topic);
  const name = typeof place === 'string' ? place : place.name;
  const rest = {
    topic: name,
    headers: headersOf(headers),
    timestampMs: timestampMs as number,
    partition: partition as number | undefined,
    context,
    group: undefined,
  };
  const codecs = typeof place === 'string' ? undefined : place;
  const keyBytes = key === undefined ? undefined : encoded(key, 'key', name, codecs?.key);
  // Who waits for both hears of it; a value that is refused at once leaves nobody who waits.
  if (keyBytes instanceof Promise) keyBytes.catch(() => undefined);
  const valueBytes = value === null ? null : encoded(value, 'value', name, codecs?.value);
  if (!(keyBytes instanceof Promise) && !(valueBytes instanceof Promise))
    return { ...rest, key: keyBytes, value: valueBytes };
  return Promise.all([keyBytes, valueBytes]).then(([first, second]) => ({
    ...rest,
    key: first,
    value: second,
  }));
}

/**
 * Bytes of the record in a batch, with all that travel with it. Throws BATCH_TOO_LARGE where none
 * of that size may hold them.
 */
export function sizeOf(record: PreparedRecord, batchBytesMax: number): number {
  const bytes =
    record.group === undefined
      ? recordBytes(record)
      : recordsOf(record).reduce((sum, one) => sum + recordBytes(one), 0);
  const bytesMax = batchBytesMax - HEADER_BYTES;
  if (bytes <= bytesMax) return bytes;
  throw new TidemarkError(
    'BATCH_TOO_LARGE',
    `Cannot send ${record.group === undefined ? 'record: it has' : 'records together: they have'} ${bytes} bytes, must have ${bytesMax} (batchBytesMax less the header) or fewer`,
  );
}

function checkNumbers(timestampMs: unknown, partition: unknown): void {
  const isTime =
    Number.isInteger(timestampMs) &&
    (timestampMs as number) >= 0 &&
    (timestampMs as number) <= TIMESTAMP_MS_MAX;
  if (!isTime)
    throw refusal(fault('timestampMs', timestampMs, `an integer of 0 to ${TIMESTAMP_MS_MAX}`));
  const isPartition =
    partition === undefined || (Number.isSafeInteger(partition) && (partition as number) >= 0);
  if (!isPartition) throw refusal(fault('partition', partition, 'an integer of 0 or more'));
}

function topicOf(topic: unknown): string | AnyTopic {
  if (typeof topic === 'string' && topic !== '') return topic;
  if (typeof topic === 'object' && topic !== null && 'name' in topic && 'value' in topic)
    return topic as AnyTopic;
  throw refusal(fault('topic', topic, 'a name, or what topic() made'));
}

function encoded(
  value: unknown,
  field: string,
  topic: string,
  codec: Codec<unknown, unknown> | undefined,
): Uint8Array | Promise<Uint8Array> {
  if (codec === undefined) return bytesOf(value, field);
  const refuse = (cause: unknown): never => {
    if (cause instanceof TidemarkError) throw cause;
    const reason = reasonOf(cause);
    const message = `Cannot send record to "${topic}": ${field} does not fit ${codec.name}: ${reason}`;
    throw new TidemarkError('INVALID_ARGUMENT', message, 'no', {}, cause);
  };
  try {
    const bytes = codec.encode(value);
    if (!(bytes instanceof Promise)) return bytesOf(bytes, field);
    return bytes.then((found) => bytesOf(found, field)).catch(refuse);
  } catch (cause) {
    return refuse(cause);
  }
}
