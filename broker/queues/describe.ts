/** What a partition of a queue is at, for people, metrics and scalers. */
import type { MonotonicMs, Offset } from '../../base/units.ts';
import type { Deaths } from './deaths.ts';
import type { Entry, Window } from './window.ts';

export interface QueueDescription {
  /** Above it nothing was handed out. */
  readonly next: Offset;
  readonly leased: number;
  /** Handed out before, and to be handed out again at once. */
  readonly waiting: number;
  readonly delayed: number;
  readonly dying: number;
  /** How long the oldest of them is on its way, ms. */
  readonly dyingMs: number;
  readonly parked: number;
  /** No record is taken until one is settled; the first that is open, by whom it is held. */
  readonly blocked: {
    readonly offset: Offset;
    readonly keyHash: number | null;
    readonly kind: Entry['kind'];
    readonly holder: string | null;
  } | null;
}

export function describe(
  window: Window,
  deaths: Deaths,
  touchedTo: Offset,
  nowMs: MonotonicMs,
): QueueDescription {
  const counts = { leased: 0, waiting: 0, delayed: 0, dying: 0, parked: 0 };
  for (const { kind, dueMs, offset } of window.entries) {
    if (kind === 'final' || offset >= touchedTo) continue;
    counts[kind === 'waiting' && dueMs > 0 ? 'delayed' : kind] += 1;
  }
  const first = window.first();
  const isBlocked = first !== undefined && window.room() === 0;
  const { oldestMs } = deaths;
  return {
    ...counts,
    next: touchedTo,
    dyingMs: oldestMs === null ? 0 : nowMs - oldestMs,
    blocked: isBlocked
      ? { offset: first.offset, keyHash: first.keyHash, kind: first.kind, holder: first.holder }
      : null,
  };
}
