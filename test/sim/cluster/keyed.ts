/**
 * Records with keys, for topics that are compacted: what is written, and what the programs that
 * wrote it know of each key.
 */
import type { Random } from '../../../base/random.ts';
import type { ConsumedRecord } from '../../../client/index.ts';

/** So few that each is written again and again. */
const KEYS = 12;
const TOMBSTONE_CHANCE = 0.25;
/** A tombstone has no value that could name it. */
const NAME_HEADER = 'name';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface KeyedFields {
  readonly key: string;
  readonly isTombstone: boolean;
}

/** A record that was handed in, of a topic that is compacted. */
export interface KeyedRecord extends KeyedFields {
  readonly topic: string;
  readonly partition: number;
}

/** A record on its way to a producer. */
export interface Draft {
  readonly name: string;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array }[];
}

/** A value's name stands before the first bar; what follows fills it up. */
export function plainDraft(name: string, filler: string): Draft {
  return { name, key: undefined, value: encoder.encode(`${name}|${filler}`), headers: [] };
}

export function keyedDraft(name: string, filler: string, { key, isTombstone }: KeyedFields): Draft {
  const plain = { ...plainDraft(name, filler), key: encoder.encode(key) };
  if (!isTombstone) return plain;
  return { ...plain, value: null, headers: [{ key: NAME_HEADER, value: encoder.encode(name) }] };
}

export function drawKeyed(
  random: Random,
  place: { readonly topic: string; readonly partition: number },
): KeyedRecord {
  return {
    ...place,
    key: `key ${random.below(KEYS)}`,
    isTombstone: random.chance(TOMBSTONE_CHANCE),
  };
}

export function nameOf({ value, headers }: Pick<ConsumedRecord, 'value' | 'headers'>): string {
  const header = headers.find(({ key }) => key === NAME_HEADER);
  if (value === null) return decoder.decode(header?.value ?? undefined);
  const text = decoder.decode(value);
  return text.slice(0, text.indexOf('|'));
}

export function keyOf({ key }: Pick<ConsumedRecord, 'key'>): string | undefined {
  return key === undefined ? undefined : decoder.decode(key);
}
