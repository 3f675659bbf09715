/**
 * Records of `__queues`, as text: JSON. Keys are lists that begin with the kind.
 * `["state",queue,topicId,partition]` is all there is of one partition of a queue but its dying
 * records, and its tombstone takes all of it away. `["delta",...]` is what changed since, and
 * `["dying",...,offset]` a record on its way to the dead-letter topic. What is read back is checked
 * before it is believed: a kind, a version or a field that this build does not know stops the fold,
 * since skipping it would let replicas drift apart.
 */
import { BrokerError } from '../../base/errors.ts';
import { isOffset } from '../../base/limits.ts';
import {
  type Check,
  count,
  integer,
  listOf,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
} from '../../base/shape.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import { type Epochs, readRuns, type Runs, type StoredEntry, writeRuns } from './runs.ts';
import type { DeathCause, LetterTarget, QueuePlace, StoredRecord } from './types.ts';

/** Where a queue has come to in its partition, and its open records below. */
export interface StateValue {
  /** Below it only `entries` are open. */
  readonly next: Offset;
  /** Epochs of the records below `next`, the last few; epoch 0: not known. */
  readonly history: Epochs;
  readonly entries: readonly StoredEntry[];
}

/** A change: first what is above `cut` is forgotten, then come the entries. */
export interface DeltaValue extends StateValue {
  /** Null: the log was not cut. */
  readonly cut: Offset | null;
}

/** A record that is to be, or may have been, appended to the dead-letter topic. */
export interface DyingValue {
  readonly cause: DeathCause;
  readonly reason: string;
  /** Null: no target was chosen, so nothing was appended. */
  readonly target: LetterTarget | null;
}

export type QueuesRecord =
  | (QueuePlace & { readonly kind: 'state'; readonly value: StateValue | null })
  | (QueuePlace & { readonly kind: 'delta'; readonly value: DeltaValue })
  | (QueuePlace & {
      readonly kind: 'dying';
      readonly offset: Offset;
      readonly value: DyingValue | null;
    });

const VERSION = 1;
const version = oneOf([VERSION]);
const offset: Check<Offset> = (value, path) =>
  isOffset(count(value, path)) ? (value as Offset) : refuseValue(path, value, 'an offset');
const pair: Check<readonly [Offset, LeaderEpoch]> = (value, path) => {
  const [first, second, ...rest] = listOf(count)(value, path);
  return first !== undefined && second !== undefined && rest.length === 0
    ? [first, second]
    : refuseValue(path, value, 'an offset and an epoch');
};

type Written<Value> = Omit<Value, 'entries'> & Runs & { readonly v: number };

const stateFields = {
  v: version,
  next: offset,
  history: listOf(pair),
  base: count,
  epochs: listOf(pair),
  runs: string,
};
const state = shape<Written<StateValue>>(stateFields);
const delta = shape<Written<Omit<DeltaValue, 'cut'>> & { readonly cut: number }>({
  ...stateFields,
  /** -1: none. */
  cut: integer,
});
const target = shape<LetterTarget>({
  topicId: string,
  partition: count,
  from: offset,
  epoch: count,
});
const dying = shape<DyingValue & { readonly v: number }>({
  v: version,
  cause: oneOf(['rejected', 'deliveries']),
  reason: string,
  target: (value, path) => (value === null ? null : target(value, path)),
});

export function encodeRecord(record: QueuesRecord): StoredRecord {
  const { kind, queue, topicId, partition } = record;
  const place = [kind, queue, topicId, partition];
  const key = JSON.stringify(kind === 'dying' ? [...place, record.offset] : place);
  return { key, value: record.value === null ? null : JSON.stringify(written(record)) };
}

function written(record: QueuesRecord): object {
  if (record.kind === 'dying') return { v: VERSION, ...record.value };
  const { entries, ...rest } = record.value!;
  const { next, history } = rest;
  const cut = 'cut' in rest ? { cut: rest.cut ?? -1 } : {};
  return { v: VERSION, ...cut, next, history, ...writeRuns(entries) };
}

/** Throws {@link BrokerError} DATA_CORRUPT for what this build cannot read. */
export function decodeRecord({ key, value }: StoredRecord): QueuesRecord {
  const parts = parseJson(key, 'the key of a record');
  if (!Array.isArray(parts)) return refuseValue('key', parts, 'a list');
  const [kind, ...rest] = parts as readonly unknown[];
  const place: QueuePlace = {
    queue: string(rest[0], 'key[1]'),
    topicId: string(rest[1], 'key[2]'),
    partition: count(rest[2], 'key[3]'),
  };
  const parsed = value === null ? null : parseJson(value, `the record ${key}`);
  if (kind === 'state' && rest.length === 3)
    return { kind, ...place, value: parsed === null ? null : read(state(parsed, 'value')) };
  if (kind === 'delta' && rest.length === 3) {
    const { cut, ...fields } = delta(parsed, 'value');
    return { kind, ...place, value: { ...read(fields), cut: cut < 0 ? null : cut } };
  }
  if (kind === 'dying' && rest.length === 4) {
    const at = offset(rest[3], 'key[4]');
    if (parsed === null) return { kind, ...place, offset: at, value: null };
    const { v: _, ...fields } = dying(parsed, 'value');
    return { kind, ...place, offset: at, value: fields };
  }
  throw new BrokerError(
    'DATA_CORRUPT',
    `Cannot read data: the key is ${key.slice(0, 100)}, must be of a kind that this build knows`,
  );
}

function read({ next, history, ...runs }: Written<StateValue>): StateValue {
  return { next, history, entries: readRuns(runs) };
}
