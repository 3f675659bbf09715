/** Makes records of lines, as the options of `append` say. Must not know how they are delivered. */
import type { HeaderInput, ProducerRecord } from '../index.ts';
import { bytesOf, textOf } from './escaped-text.ts';
import type { Line } from './lines.ts';
import { recordFromJson } from './record-json.ts';

/** How a line becomes a record. */
export interface RecordOptions {
  readonly input: 'lines' | 'json';
  readonly keyBy?: RegExp;
  readonly key?: string;
  /** Of every record, in place of what its line says. */
  readonly partition?: number;
  /** Partitions are chosen by key, whatever the lines say. */
  readonly repartition?: boolean;
  /** Added to every record, behind those of its line. */
  readonly header?: readonly HeaderInput[];
  /** Records without a value. */
  readonly tombstone?: boolean;
}

/**
 * Header of a record whose line had no delimiter at its end, so that `read --format raw` writes
 * none behind it where nothing follows.
 */
export const UNTERMINATED_HEADER = 'tidemark-unterminated';

const UNTERMINATED: HeaderInput = { key: UNTERMINATED_HEADER, value: new Uint8Array(0) };

/**
 * The record of a line. Throws INVALID_ARGUMENT for one that is no record. @param context handed
 * back in the delivery report
 */
export function recordOf(
  topic: string,
  line: Line,
  options: RecordOptions,
  context: number,
): ProducerRecord {
  return options.input === 'json'
    ? recordOfJson(topic, line, options, context)
    : recordOfLine(topic, line, options, context);
}

function recordOfLine(
  topic: string,
  { bytes, isTerminated }: Line,
  options: RecordOptions,
  context: number,
): ProducerRecord {
  const { partition, header: headers } = options;
  const isTombstone = options.tombstone === true;
  return {
    topic,
    value: isTombstone ? null : bytes,
    key: keyOf(bytes, options) ?? (isTombstone ? bytes : undefined),
    partition,
    headers: isTerminated || isTombstone ? headers : [...(headers ?? []), UNTERMINATED],
    context,
  };
}

function recordOfJson(
  topic: string,
  { bytes }: Line,
  { partition, repartition, header }: RecordOptions,
  context: number,
): ProducerRecord {
  const { offset: _, ...fields } = recordFromJson(bytes);
  return {
    ...fields,
    topic,
    partition: partition ?? (repartition === true ? undefined : fields.partition),
    headers: header === undefined ? fields.headers : [...(fields.headers ?? []), ...header],
    context,
  };
}

function keyOf(line: Uint8Array, { key, keyBy }: RecordOptions): Uint8Array | undefined {
  if (key !== undefined) return Buffer.from(key);
  const match = keyBy?.exec(textOf(line));
  const found = match?.[1] ?? match?.[0];
  return found === undefined ? undefined : bytesOf(found);
}
