/** Reads records to standard output. */
import { once } from 'node:events';
import type { ConsumedRecord, RecordBatch, ResetPolicy, StartFrom } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { hasColour, type Surroundings } from '../output.ts';
import { UNTERMINATED_HEADER } from './append.ts';

/** Options of `read`. */
export interface ReadOptions extends CommonOptions {
  readonly from: StartFrom;
  readonly follow?: boolean;
  readonly max?: number;
  readonly partition?: readonly number[];
  readonly format?: 'raw' | 'text' | 'json';
  readonly keys?: boolean;
  readonly nullDelimited?: boolean;
  readonly rack?: string;
  readonly onReset: ResetPolicy;
}

type Writer = (record: ConsumedRecord) => Uint8Array | string;

export async function read(
  topic: string,
  options: ReadOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster) => {
    const { from, follow = false, partition: partitions, onReset, rack } = options;
    const consumer = cluster.consumer({ topic, from, follow, onReset, partitions, rack });
    around.interrupted.addEventListener('abort', () => void consumer.close(), { once: true });
    const write = writerOf(options, around);
    let left = options.max ?? Number.POSITIVE_INFINITY;
    for await (const batch of consumer) {
      const records = batch.records.slice(0, left);
      left -= records.length;
      await print(around, batch, records, write);
      if (left <= 0) break;
    }
  });
}

/** One write for a batch; waits where the reader of our output is slower than we are. */
async function print(
  around: Surroundings,
  batch: RecordBatch,
  records: RecordBatch['records'],
  write: Writer,
): Promise<void> {
  const { topic, partition, leaderEpoch } = batch;
  const parts = records.map((record) =>
    Buffer.from(write({ topic, partition, leaderEpoch, ...record })),
  );
  if (!around.stdout.write(Buffer.concat(parts)) && !around.interrupted.aborted)
    await once(around.stdout, 'drain');
}

function writerOf(options: ReadOptions, around: Surroundings): Writer {
  const byDefault = around.stdout.isTTY === true ? 'text' : 'raw';
  const format = options.format ?? (options.output === 'json' ? 'json' : byDefault);
  const hasKeys = options.keys === true;
  if (format === 'json') return (record) => `${JSON.stringify(recordJson(record))}\n`;
  if (format === 'text') {
    const isPainted = hasColour(around.stdout, around.env);
    return (record) => recordText(record, hasKeys, isPainted);
  }
  const delimiter = options.nullDelimited === true ? '\0' : '\n';
  return (record) => recordRaw(record, hasKeys, delimiter);
}

/** The bytes as they were appended. */
function recordRaw(
  { key, value, headers }: ConsumedRecord,
  hasKeys: boolean,
  delimiter: string,
): Uint8Array {
  const isTerminated = !headers.some((header) => header.key === UNTERMINATED_HEADER);
  const parts: Uint8Array[] = hasKeys
    ? [key ?? new Uint8Array(0), Buffer.from('\t'), value]
    : [value];
  if (isTerminated) parts.push(Buffer.from(delimiter));
  return Buffer.concat(parts);
}

function recordText(record: ConsumedRecord, hasKeys: boolean, isPainted: boolean): string {
  const { partition, offset, timestampMs, key, value } = record;
  const place = `${partition}:${offset}  ${new Date(timestampMs).toISOString()}`;
  const shownKey = hasKeys ? `  ${key === undefined ? '-' : printable(key)}` : '';
  return `${isPainted ? `\u001b[2m${place}\u001b[0m` : place}${shownKey}  ${printable(value)}\n`;
}

/** Text with what would move the cursor or ring the bell made visible. */
function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  return text.replaceAll(
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Bytes that are UTF-8 as text under `name`, others in base64 under `nameBase64`. */
function recordJson({
  partition,
  offset,
  leaderEpoch,
  timestampMs,
  key,
  value,
  headers,
}: ConsumedRecord): unknown {
  return {
    partition,
    offset,
    leaderEpoch,
    timestampMs,
    ...(key === undefined ? {} : named('key', key)),
    ...named('value', value),
    ...(headers.length === 0
      ? {}
      : {
          headers: headers.map((header) => ({ name: header.key, ...named('value', header.value) })),
        }),
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function named(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes).toString('base64') };
  }
}
