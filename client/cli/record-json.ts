/**
 * A record as a line of JSON, the same for `read --format json`, `append --input json` and
 * `topic export`. Bytes that are UTF-8 stand as text under their name, others in base64 under
 * `keyBase64` and `valueBase64`. docs/json.md promises this shape. Must not know where lines come
 * from or go to.
 */
import { isUtf8 } from 'node:buffer';
import { FRAME_BYTES_MAX, TIMESTAMP_MS_MAX } from '../../base/limits.ts';
import { type Check, count, listOf, optional, shape, shown, size, text, whole } from '../check.ts';
import type { ConsumedRecord, HeaderInput, ProducerRecord } from '../index.ts';
import { CliError } from './exit.ts';
import { reasonOf } from '../../base/reason.ts';

/** Longest line: every byte of the largest record as an escape such as `\u0000`, and the rest. */
export const JSON_LINE_BYTES_MAX = 6 * FRAME_BYTES_MAX + 1024 * 1024;

/** What a line says of a record; the topic is told elsewhere. */
export type RecordFields = Omit<ProducerRecord, 'topic' | 'context'>;

/** What a line says beside the record: where it stood when it was read. */
export interface RecordPlace {
  readonly offset?: number | undefined;
}

/** The object that is written, fields in a fixed order. */
export function recordToJson({
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
    ...(key === undefined ? {} : bytesField('key', key)),
    ...(value === null ? { value } : bytesField('value', value)),
    ...(headers.length === 0
      ? {}
      : {
          headers: headers.map((header) => ({
            name: header.key,
            ...bytesField('value', header.value),
          })),
        }),
  };
}

/** Bytes under their name as text, or in base64. */
export function bytesField(name: string, bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return isUtf8(buffer)
    ? { [name]: buffer.toString('utf8') }
    : { [`${name}Base64`]: buffer.toString('base64') };
}

const base64: Check = (value, name) => {
  const isExact =
    typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value;
  return isExact ? [] : [`${name} is ${shown(value)}, must be base64 with its padding`];
};

const textOrNull: Check = (value, name) => (value === null ? [] : text(value, name));

const HEADER = shape({ name: text, value: optional(text), valueBase64: optional(base64) });

const RECORD = shape({
  partition: optional(count),
  offset: optional(size),
  leaderEpoch: optional(count),
  timestampMs: optional(whole(0, TIMESTAMP_MS_MAX)),
  key: optional(text),
  keyBase64: optional(base64),
  value: optional(textOrNull),
  valueBase64: optional(base64),
  headers: optional(listOf(HEADER)),
});

interface BytesFields {
  readonly key?: string;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
}

interface LineFields extends BytesFields, RecordPlace {
  readonly partition?: number;
  readonly timestampMs?: number;
  readonly headers?: readonly (BytesFields & { readonly name: string })[];
}

/**
 * The record of a line, and the offset that it states, which says where it stood and not where it
 * will stand. Throws INVALID_ARGUMENT with every fault of the line.
 */
export function recordFromJson(bytes: Uint8Array): RecordFields & RecordPlace {
  return recordFromObject(parsedObject(bytes));
}

/** {@link recordFromJson} of a line that is parsed. */
export function recordFromObject(found: unknown): RecordFields & RecordPlace {
  const faults = RECORD(found, '');
  if (faults.length > 0) throw refused(faults);
  const line = found as LineFields;
  const { partition, offset, timestampMs, headers } = line;
  const unclear = [
    ...(line.key !== undefined && line.keyBase64 !== undefined
      ? ['there are both key and keyBase64, must be one of them']
      : []),
    ...faultsOfValue(line, ''),
    ...(headers ?? []).flatMap((header, at) => faultsOfValue(header, `headers[${at}].`)),
  ];
  if (unclear.length > 0) throw refused(unclear);
  const key = line.keyBase64 === undefined ? line.key : Buffer.from(line.keyBase64, 'base64');
  return { partition, offset, timestampMs, key, value: valueOf(line), headers: headersOf(headers) };
}

/** The object of a line. Throws INVALID_ARGUMENT. */
export function parsedObject(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!isUtf8(buffer)) throw refused(['it is no UTF-8, so it is no JSON']);
  try {
    return JSON.parse(buffer.toString('utf8')) as unknown;
  } catch (error) {
    const reason = reasonOf(error);
    throw refused([
      buffer.length === 0 ? 'it is empty, must be a JSON object' : `it is no JSON: ${reason}`,
    ]);
  }
}

function faultsOfValue({ value, valueBase64 }: BytesFields, path: string): string[] {
  const isOne = (value === undefined) !== (valueBase64 === undefined);
  const found = value === undefined ? 'neither' : 'both';
  return isOne
    ? []
    : [`there are ${found} of ${path}value and ${path}valueBase64, must be one of them`];
}

function valueOf({ value, valueBase64 }: BytesFields): string | Uint8Array | null {
  return valueBase64 === undefined ? (value ?? null) : Buffer.from(valueBase64, 'base64');
}

function headersOf(headers: LineFields['headers']): readonly HeaderInput[] | undefined {
  return headers?.map((header) => ({ key: header.name, value: valueOf(header) ?? '' }));
}

function refused(faults: readonly string[]): CliError {
  return new CliError('INVALID_ARGUMENT', faults.join('; '));
}
