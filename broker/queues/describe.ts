/** What a partition of a queue is at, for people, metrics and scalers. */
import type { LeaderEpoch, MonotonicMs, Offset } from '../../base/units.ts';
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
  /** How many records each member has, by its id; of leases whose holder is known. */
  readonly leasedBy: ReadonlyMap<string, number>;
  /** No record is taken until one is settled; the first that is open, by whom it is held. */
  readonly blocked: {
    readonly offset: Offset;
    readonly epoch: LeaderEpoch;
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
  const leasedBy = new Map<string, number>();
  for (const { kind, dueMs, offset, holder } of window.entries) {
    if (kind === 'final' || offset >= touchedTo) continue;
    if (kind === 'leased' && holder !== null) leasedBy.set(holder, (leasedBy.get(holder) ?? 0) + 1);
    counts[kind === 'waiting' && dueMs > 0 ? 'delayed' : kind] += 1;
  }
  const first = window.first();
  const isBlocked = first !== undefined && window.room() === 0;
  const { oldestMs } = deaths;
  return {
    ...counts,
    leasedBy,
    next: touchedTo,
    dyingMs: oldestMs === null ? 0 : nowMs - oldestMs,
    blocked: isBlocked ? blockedBy(first) : null,
  };
}

function blockedBy({
  offset,
  epoch,
  keyHash,
  kind,
  holder,
}: Entry): NonNullable<QueueDescription['blocked']> {
  return { offset, epoch, keyHash, kind, holder };
}
