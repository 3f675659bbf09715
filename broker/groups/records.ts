/**
 * Records of `__groups`, as text: JSON, so that a person can read the log. Keys are lists that
 * begin with the kind. What is read back is checked before it is believed: a kind, a version or a
 * field that this build does not know stops the fold, since skipping it would let replicas drift
 * apart.
 *
 * `["cursor", group, topicId, partition]` is how far a group has come; `["idle", group]` how long
 * it was not used, as far as that was noted. `["group", …]` and `["member", …]` are those of
 * `membership/records.ts`. A null value takes the key away.
 */
import { isOffset } from '../../base/limits.ts';
import { BrokerError } from '../../base/errors.ts';
import {
  type Check,
  count,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
} from '../../base/shape.ts';
import type { MembershipRecord } from './membership/image.ts';
import { readMembership, writeMembership } from './membership/records.ts';
import type { StoredRecord } from './membership/types.ts';
import type { LeaderEpoch, Offset, TopicId } from '../../base/units.ts';

/** Which cursor. */
export interface CursorPlace {
  readonly group: string;
  readonly topicId: TopicId;
  readonly partition: number;
}

/** Up to where a group has handled one partition. */
export interface CursorValue {
  /** Name of the topic: what a cursor of a topic that is gone is found by. */
  readonly topic: string;
  /** Of the next record. */
  readonly offset: Offset;
  /** Of the record before it; 0: not known. */
  readonly leaderEpoch: LeaderEpoch;
  /** Rises with each seek; from 1. */
  readonly generation: number;
}

/** How long a group was not used. */
export interface IdleValue {
  /** At least, in milliseconds. */
  readonly idleMs: number;
}

/** One record, checked. */
export type GroupsRecord =
  | (CursorPlace & { readonly kind: 'cursor'; readonly value: CursorValue | null })
  | { readonly kind: 'idle'; readonly group: string; readonly value: IdleValue | null }
  | MembershipRecord;

export type { StoredRecord };

const VERSION = 1;
const version = oneOf([VERSION]);
const offset: Check<Offset> = (value, path) =>
  isOffset(count(value, path)) ? (value as Offset) : refuseValue(path, value, 'an offset');

const cursor = shape<CursorValue & { readonly v: number }>({
  v: version,
  topic: string,
  offset,
  leaderEpoch: count,
  generation: count,
});
const idle = shape<IdleValue & { readonly v: number }>({ v: version, idleMs: count });

export function encodeRecord(record: GroupsRecord): StoredRecord {
  if (record.kind === 'group' || record.kind === 'member') return writeMembership(record);
  const { value } = record;
  const text = value === null ? null : JSON.stringify({ v: VERSION, ...value });
  return { key: keyOf(record), value: text };
}

function keyOf(record: Exclude<GroupsRecord, MembershipRecord>): string {
  if (record.kind === 'idle') return JSON.stringify([record.kind, record.group]);
  const { kind, group, topicId, partition } = record;
  return JSON.stringify([kind, group, topicId, partition]);
}

/** Throws {@link BrokerError} DATA_CORRUPT for what this build cannot read. */
export function decodeRecord({ key, value }: StoredRecord): GroupsRecord {
  const parts = parseJson(key, 'the key of a record');
  if (!Array.isArray(parts)) return refuseValue('key', parts, 'a list');
  const [kind, ...rest] = parts as readonly unknown[];
  if (kind === 'group' || kind === 'member') return readMembership(parts, value);
  const group = string(rest[0], 'key[1]');
  const parsed = value === null ? null : parseJson(value, `the record ${key}`);
  if (kind === 'cursor' && rest.length === 3) {
    const topicId = string(rest[1], 'key[2]');
    const partition = count(rest[2], 'key[3]');
    return {
      kind,
      group,
      topicId,
      partition,
      value: parsed === null ? null : bare(cursor, parsed),
    };
  }
  if (kind === 'idle' && rest.length === 1)
    return { kind, group, value: parsed === null ? null : bare(idle, parsed) };
  throw new BrokerError(
    'DATA_CORRUPT',
    `Cannot read data: the key is ${key.slice(0, 100)}, must be of a kind that this build knows`,
  );
}

function bare<T extends object>(check: Check<T & { readonly v: number }>, value: unknown): T {
  const { v: _, ...rest } = check(value, 'value');
  return rest as unknown as T;
}
