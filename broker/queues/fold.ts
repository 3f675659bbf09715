/**
 * What the committed records of one partition of `__queues` add up to. Every replica folds them as
 * they come, in the order of the log, so that a new owner has nothing to load. A state record says
 * all anew but the dying, whose own records stand behind it in a snapshot. Values are replaced,
 * never changed; the maps belong to whoever made the image.
 */
import type { Offset } from '../../base/units.ts';
import type { DeltaValue, DyingValue, QueuesRecord, StateValue } from './records.ts';
import type { Epochs, OpenKind, StoredEntry } from './runs.ts';
import type { QueuePlace } from './types.ts';

/** A record below `next` that has no final fate. */
export interface OpenEntry extends StoredEntry {
  readonly kind: OpenKind;
}

/** The state of one partition of a queue. */
export interface QueueState extends QueuePlace {
  readonly next: Offset;
  readonly history: Epochs;
  /** By offset. */
  readonly entries: readonly OpenEntry[];
  readonly dying: ReadonlyMap<Offset, DyingValue>;
  /** Changes since all of it was written. */
  readonly deltas: number;
}

export interface QueuesImage {
  /** By {@link placeKey}. */
  readonly queues: Map<string, QueueState>;
}

export function emptyQueues(): QueuesImage {
  return { queues: new Map() };
}

/** Key of {@link QueuesImage.queues}. */
export function placeKey({ queue, topicId, partition }: QueuePlace): string {
  return `${queue}/${topicId}/${String(partition)}`;
}

/**
 * Takes one committed record into the image. Total: what names nothing that is there changes
 * nothing.
 */
export function fold({ queues }: QueuesImage, record: QueuesRecord): void {
  const key = placeKey(record);
  const before = queues.get(key);
  if (record.kind === 'state') {
    if (record.value === null) queues.delete(key);
    else queues.set(key, begun(record, record.value));
    return;
  }
  if (before === undefined) return;
  if (record.kind === 'delta') queues.set(key, changed(before, record.value));
  else queues.set(key, { ...before, dying: withDying(before, record.offset, record.value) });
}

function begun({ queue, topicId, partition }: QueuePlace, value: StateValue): QueueState {
  const { next, history } = value;
  const entries = value.entries.filter(isOpen);
  return { queue, topicId, partition, next, history, entries, dying: new Map(), deltas: 0 };
}

function isOpen(entry: StoredEntry): entry is OpenEntry {
  return entry.kind !== 'final';
}

function changed(before: QueueState, { cut, next, history, entries }: DeltaValue): QueueState {
  const end = cut ?? Infinity;
  const kept = before.entries.filter(({ offset }) => offset < end);
  const isCutAway = [...before.dying.keys()].some((offset) => offset >= end);
  const dying = isCutAway
    ? new Map([...before.dying].filter(([offset]) => offset < end))
    : before.dying;
  const deltas = before.deltas + 1;
  return { ...before, next, history, entries: merged(kept, entries), dying, deltas };
}

/** The later of two entries of one offset stands for it. */
function merged(before: readonly OpenEntry[], changes: readonly StoredEntry[]): OpenEntry[] {
  const result: OpenEntry[] = [];
  let at = 0;
  for (const change of changes) {
    for (; (before[at]?.offset ?? Infinity) < change.offset; at += 1) result.push(before[at]!);
    if (before[at]?.offset === change.offset) at += 1;
    if (isOpen(change)) result.push(change);
  }
  for (; at < before.length; at += 1) result.push(before[at]!);
  return result;
}

function withDying(
  { dying }: QueueState,
  offset: Offset,
  value: DyingValue | null,
): Map<Offset, DyingValue> {
  const changed = new Map(dying);
  if (value === null) changed.delete(offset);
  else changed.set(offset, value);
  return changed;
}

/** Of a state, its open records aside: keys, and epochs of the log. */
const STATE_BYTES = 300;
/** Of an open record, at most but for a few bytes. */
const ENTRY_BYTES = 10;
/** Of a dying one, beside its reason. */
const DYING_BYTES = 300;

/** About what a snapshot takes. */
export function bytesOf({ queues }: QueuesImage): number {
  let bytes = 0;
  for (const { entries, dying } of queues.values()) {
    bytes += STATE_BYTES + entries.length * ENTRY_BYTES;
    for (const { reason } of dying.values()) bytes += DYING_BYTES + reason.length;
  }
  return bytes;
}

/** All of a state as records: what a snapshot writes. */
export function recordsOf(state: QueueState): QueuesRecord[] {
  const { queue, topicId, partition, next, history, entries, dying } = state;
  const place = { queue, topicId, partition };
  return [
    { kind: 'state', ...place, value: { next, history, entries } },
    ...[...dying]
      .toSorted(([a], [b]) => a - b)
      .map(([offset, value]): QueuesRecord => ({ kind: 'dying', ...place, offset, value })),
  ];
}
