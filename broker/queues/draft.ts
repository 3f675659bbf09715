/** What a batch is to change, and the records that say so. Changes nothing but what it collects. */
import { assert } from '../../base/assert.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { Offset } from '../../base/units.ts';
import { type DyingValue, encodeRecord, type QueuesRecord } from './records.ts';
import type { Epochs, StoredEntry } from './runs.ts';
import type {
  LetterTask,
  QueueBatch,
  QueueFact,
  QueuePlace,
  QueueReply,
  StoredRecord,
} from './types.ts';
import type { Change, Entry, Window } from './window.ts';

/** Records of one request, leased to one member. */
export interface Grant {
  readonly ask: Ask;
  readonly entries: readonly Entry[];
  /** Nobody waits for it any more. */
  isOver: boolean;
  /** It is answered with what is in it, and not again where that is nothing. */
  isWithdrawn: boolean;
}

/** A member that waits for records. */
export interface Ask {
  readonly requestId: number;
  readonly memberId: string;
  readonly records: number;
  readonly bytes: number;
}

/** What a step says, as it is collected. */
export interface Output {
  batch: QueueBatch | null;
  task: LetterTask | null;
  readonly replies: { requestId: number; reply: QueueReply | BrokerError }[];
  readonly facts: QueueFact[];
}

export class Draft {
  readonly entries: Entry[] = [];
  readonly deaths: { readonly entry: Entry; readonly value: DyingValue }[] = [];
  readonly grants: Grant[] = [];
  readonly answers: { readonly requestId: number; readonly reply: QueueReply }[] = [];
  readonly facts: QueueFact[] = [];
  /** Dying records whose end, and whose target, it has. */
  ended: readonly Offset[] = [];
  chosen: readonly { readonly offset: Offset; readonly value: DyingValue }[] = [];

  get isEmpty(): boolean {
    return this.entries.length === 0 && this.chosen.length === 0;
  }

  change(entry: Entry, change: Change): void {
    assert(entry.change === null, `record ${String(entry.offset)} changes twice in a batch`);
    entry.change = change;
    this.entries.push(entry);
  }
}

/** What the records of a batch are made of, beside its draft. */
export interface RecordParts {
  readonly place: QueuePlace;
  readonly window: Window;
  /** All of it, not only what changes. */
  readonly isFull: boolean;
  readonly cut: Offset | null;
  /** As it is committed, and as the batch makes it. */
  readonly before: Offset;
  readonly next: Offset;
  readonly history: Epochs;
  /** Leases are stored. */
  readonly storesLeases: boolean;
  readonly dying: ReadonlyMap<Offset, { readonly value: DyingValue }>;
}

export function recordsOf(draft: Draft, parts: RecordParts): StoredRecord[] {
  const { place, window, isFull, cut, before, next, history } = parts;
  const stored = (entry: Entry): StoredEntry => storedOf(entry, parts.storesLeases);
  const below = isFull
    ? []
    : draft.entries.filter(({ offset }) => offset < before).toSorted((a, b) => a.offset - b.offset);
  const others = [...window.range(isFull ? 0 : before, next)].map(stored);
  const entries = [...below.map(stored), ...others.filter(({ kind }) => kind !== 'final')];
  const records: QueuesRecord[] = [
    isFull
      ? { kind: 'state', ...place, value: { next, history, entries } }
      : { kind: 'delta', ...place, value: { cut, next, history, entries } },
  ];
  const dying = new Map<Offset, DyingValue | null>();
  if (isFull) for (const [offset, { value }] of parts.dying) dying.set(offset, value);
  for (const { entry, value } of draft.deaths) dying.set(entry.offset, value);
  for (const { offset, value } of draft.chosen) dying.set(offset, value);
  for (const offset of draft.ended)
    if (isFull) dying.delete(offset);
    else dying.set(offset, null);
  for (const [offset, value] of dying) records.push({ kind: 'dying', ...place, offset, value });
  return records.map(encodeRecord);
}

/** A lease in memory is none in the log: another owner may hand the record out at once. */
function storedOf({ offset, epoch, change, ...entry }: Entry, storesLeases: boolean): StoredEntry {
  const { kind, deliveries, dueMs } = change ?? entry;
  const isInMemory = kind === 'leased' && !storesLeases;
  return { offset, epoch, kind: isInMemory ? 'waiting' : kind, deliveries, dueMs };
}
