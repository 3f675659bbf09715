/**
 * Keys, values and headers as bytes. Strings become UTF-8 and bytes are copied, so that nothing
 * that the caller does with a buffer afterwards changes a record; everything else is refused, since
 * a guess would be stored and acknowledged.
 */
import { types } from 'node:util';
import type { RecordHeader } from '../wire/records/record-set.ts';
import { fault, shown } from './check.ts';
import { TidemarkError } from './errors.ts';

/** What a key, a value or a header's value may be: text in UTF-8, or bytes. A Buffer is bytes. */
export type Bytes = string | Uint8Array;

/** A header as programs hand it in. */
export interface HeaderInput {
  readonly key: string;
  readonly value: Bytes;
}

const OR_TOMBSTONE = 'a string, a Uint8Array, or null for a tombstone';

const utf8 = new TextEncoder();

/** The bytes that `value` means, the caller's no more. Throws INVALID_ARGUMENT, naming `field`. */
export function bytesOf(value: unknown, field: string): Uint8Array {
  if (typeof value === 'string') {
    if (value.isWellFormed()) return utf8.encode(value);
    throw refusal(
      `${field} holds half of a surrogate pair, which UTF-8 cannot hold; send it as bytes`,
    );
  }
  // Asked of Node, not of the prototype: the array may come from another realm, as in test runners.
  if (types.isUint8Array(value)) {
    if (isDetached(value)) throw refusal(`${field} is a Uint8Array whose buffer was transferred`);
    // Small ones share memory: an array of its own costs more than the bytes.
    return Buffer.from(value);
  }
  const allowed = field === 'value' ? OR_TOMBSTONE : 'a string or a Uint8Array';
  throw refusal(fault(field, value, allowed));
}

function isDetached(value: Uint8Array): boolean {
  const { buffer } = value;
  return buffer instanceof ArrayBuffer && buffer.detached;
}

const HEADER_FIELDS: ReadonlySet<string> = new Set(['key', 'value']);

/** Headers in order. Throws INVALID_ARGUMENT. */
export function headersOf(headers: unknown): readonly RecordHeader[] | undefined {
  if (headers === undefined) return undefined;
  if (!Array.isArray(headers))
    throw refusal(fault('headers', headers, 'an array of { key, value }'));
  return Array.from({ length: headers.length }, (_, at) => headerOf(headers[at] as unknown, at));
}

function headerOf(header: unknown, at: number): RecordHeader {
  const field = `headers[${at}]`;
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw refusal(fault(field, header, 'an object of key, value'));
  const unknown = Object.keys(header).find((name) => !HEADER_FIELDS.has(name));
  if (unknown !== undefined)
    throw refusal(`${field} has ${shown(unknown)}, which is not known; allowed are key, value`);
  const { key, value } = header as { readonly key?: unknown; readonly value?: unknown };
  if (typeof key !== 'string' || !key.isWellFormed())
    throw refusal(fault(`${field}.key`, key, 'a string of well-formed Unicode'));
  return { key, value: bytesOf(value, `${field}.value`) };
}

/** INVALID_ARGUMENT about a record. */
export function refusal(reason: string): TidemarkError {
  return new TidemarkError('INVALID_ARGUMENT', `Cannot send record: ${reason}`);
}
