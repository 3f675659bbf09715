/**
 * What compaction was ordered of a log, what was begun, and what is done. An order is a control
 * batch, so whoever may lead holds every one that was committed, and each replica carries it out by
 * itself, once it is committed and synced here. Knows no peers and no disk; which records go is not
 * known here either.
 *
 * Tombstones make the difference between logs: who dropped one may serve no replica that still
 * holds what it deleted. So a log has a *floor*: D of what was begun on it. A log that ends below
 * the floor is copied anew from the start, from a leader that has carried it out (rule K6).
 * Source: docs/rules.md#compaction.
 */
import { type CompactionOrder, isAtLeast } from '../../base/compaction-order.ts';
import type { CompactionMark } from '../../wire/batch/control.ts';
import type { BrokerId, Offset, WallMs } from '../../base/units.ts';
import { UNKNOWN_END } from './high-water.ts';
import type { Assignment, LogState } from './types.ts';

interface Ordered {
  /** Of its control batch. */
  readonly baseOffset: Offset;
  readonly mark: CompactionMark;
}

/** How far a log is compacted, for its driver and for people. */
export interface CompactionStatus {
  /** X of the newest order in the log, committed or not; 0: none. */
  readonly orderedTo: Offset;
  /** X of what was begun here. */
  readonly upTo: Offset;
  /** D of what is done here: tombstones below it are gone. */
  readonly tombstonesBelow: Offset;
  /** Below it tombstones may be gone: D of what was begun here. */
  readonly floor: Offset;
  /** Below it a key has one record at most, as far as is known: X of what is done here. */
  readonly doneTo: Offset;
  /** The largest X that a leader may order now (rule K3); 0 on other replicas. */
  readonly limit: Offset;
}

const NOTHING: CompactionOrder = { upTo: 0, tombstonesBelow: 0, producersBelow: 0 };

export class Compactions {
  /** In the order of the log: the newest that is committed, and those that are not. */
  #orders: Ordered[] = [];
  #begun: CompactionOrder;
  /** What the replica was told to carry out since it was opened. */
  #told = NOTHING;
  #tombstonesBelow: Offset;
  /** X of what is done since it was opened. */
  #doneTo: Offset = 0;

  constructor({ controls = [], compacted, tombstonesBelow = 0 }: LogState) {
    for (const { baseOffset, compaction } of controls) this.note(baseOffset, compaction);
    this.#begun = compacted ?? NOTHING;
    this.#tombstonesBelow = tombstonesBelow;
  }

  /** Newest order in the log, committed or not; null: none is known. */
  get newest(): Ordered | null {
    return this.#orders.at(-1) ?? null;
  }

  /**
   * What was begun on this log, at least in part. It is no evidence where it ends below X (rule
   * K7).
   */
  get begun(): CompactionOrder {
    return this.#begun;
  }

  /** D of what is done: see LogStart. */
  get tombstonesBelow(): Offset {
    return this.#tombstonesBelow;
  }

  /**
   * Logs that end below it lack tombstones that this one has dropped, or drops now. What is ordered
   * and not begun still stands here.
   */
  get floor(): Offset {
    return Math.max(this.#tombstonesBelow, this.#begun.tombstonesBelow);
  }

  /**
   * This log has dropped all that the floor says, so a copy of it that is begun now lacks nothing.
   */
  get isAtFloor(): boolean {
    return this.#tombstonesBelow >= this.floor;
  }

  /** A control batch is appended; `mark` is undefined where it orders no compaction. */
  note(baseOffset: Offset, mark: CompactionMark | undefined): void {
    if (mark !== undefined) this.#orders.push({ baseOffset, mark });
  }

  /**
   * The log now ends at `endOffset`. A pass ends where the log is cut under it: it is told anew.
   */
  truncate(endOffset: Offset): void {
    this.#told = NOTHING;
    while ((this.newest?.baseOffset ?? -1) >= endOffset) this.#orders.pop();
  }

  /** The log holds nothing: it is to be a copy of one whose D is this. */
  reset(tombstonesBelow: Offset): void {
    this.#orders = [];
    this.#begun = NOTHING;
    this.#told = NOTHING;
    this.#doneTo = 0;
    this.#tombstonesBelow = tombstonesBelow;
  }

  /**
   * What is to be carried out now, once (rules K3, K5); null: nothing new. The log matches that of
   * a leader, or is one.
   */
  due(highWaterMark: Offset, syncedOffset: Offset): CompactionOrder | null {
    // Every step of every partition asks, and hardly any log has an order.
    if (this.#orders.length === 0 && this.#told === this.#begun) return null;
    let order = this.#begun;
    let last = -1;
    for (const [index, { baseOffset, mark }] of this.#orders.entries()) {
      if (baseOffset >= highWaterMark) break;
      last = index;
      // What goes for the sake of a record that is not synced would be lost with it (rule K3).
      if (baseOffset < syncedOffset && !isAtLeast(order, mark)) order = joined(order, mark);
    }
    if (last > 0) this.#orders.splice(0, last);
    if (isAtLeast(this.#told, order)) return null;
    this.#told = order;
    this.#begun = order;
    return order;
  }

  /** @param limit see CompactionStatus */
  status(limit: Offset): CompactionStatus {
    const { upTo } = this.#begun;
    const orderedTo = Math.max(upTo, this.newest?.mark.upTo ?? 0);
    const tombstonesBelow = this.#tombstonesBelow;
    // D was X once, and what carried D out carried out that X too.
    const doneTo = Math.max(this.#doneTo, tombstonesBelow);
    return { orderedTo, upTo, tombstonesBelow, floor: this.floor, doneTo, limit };
  }

  /** The replica has carried `order` out. */
  done(order: CompactionOrder): void {
    // A log that was reset meanwhile knows nothing of it.
    if (order.tombstonesBelow > this.#begun.tombstonesBelow) return;
    this.#tombstonesBelow = Math.max(this.#tombstonesBelow, order.tombstonesBelow);
    if (order.upTo <= this.#begun.upTo) this.#doneTo = Math.max(this.#doneTo, order.upTo);
  }
}

function joined(one: CompactionOrder, other: CompactionOrder): CompactionOrder {
  return {
    upTo: Math.max(one.upTo, other.upTo),
    tombstonesBelow: Math.max(one.tombstonesBelow, other.tombstonesBelow),
    producersBelow: Math.max(one.producersBelow, other.producersBelow),
  };
}

/**
 * What min trusted members of S have synced, and the leader: no power loss takes it (rule K3).
 *
 * @param own of the leader @param ofOther of another member; undefined: nothing is known
 */
export function syncedEnd(
  { syncSet, suspects, minInSyncReplicas }: SyncedBy,
  own: { readonly self: BrokerId; readonly syncedOffset: Offset },
  ofOther: (member: BrokerId) => Offset | undefined,
): Offset {
  const ends = syncSet
    .filter((member) => !suspects.includes(member))
    .map((member) => (member === own.self ? own.syncedOffset : ofOther(member)) ?? UNKNOWN_END)
    .sort((a, b) => b - a);
  return Math.min(own.syncedOffset, ends[minInSyncReplicas - 1] ?? UNKNOWN_END);
}

type SyncedBy = Pick<Assignment, 'syncSet' | 'suspects' | 'minInSyncReplicas'>;

/** What a leader knows as it decides on a compaction. */
export interface CompactionGround {
  /** Records of one key may go below it, as far as the leader's topic is concerned. */
  readonly wanted: Offset;
  /** What this replica has begun. */
  readonly begun: CompactionOrder;
  readonly isNewestCommitted: boolean;
  readonly highWaterMark: Offset;
  /** The min-th largest synced end of trusted members of S, and the leader's own: the smaller. */
  readonly syncedEnd: Offset;
  /** Smallest acknowledged end in S, members that are not trusted too; -1: one is not known. */
  readonly acknowledgedEnd: Offset;
  /** The leader's clock, which it trusts. */
  readonly wallMs: WallMs;
  readonly tombstonesKeptMs: number;
  /** Producers that wrote below it alone are silent for so long that nobody repeats a batch. */
  readonly silent: { readonly below: Offset; readonly forgottenIdMax: number };
}

/**
 * The next order of a leader, or null: nothing new, or the one before is not committed. X and D
 * never fall. D becomes what X once was, when that was ordered long enough ago (rules K3, K4).
 *
 * @param newest in the leader's log; null: none is known
 */
export function nextCompaction(
  newest: CompactionMark | null,
  ground: CompactionGround,
): CompactionMark | null {
  const { begun, wallMs, silent, acknowledgedEnd, tombstonesKeptMs } = ground;
  if (!ground.isNewestCommitted) return null;
  const before = newest ?? { ...begun, forgottenIdMax: 0, agingTo: 0, agingSinceMs: 0 };
  const { upTo: upToBefore, tombstonesBelow: dBefore, producersBelow } = joined(begun, before);
  const upTo = Math.max(
    upToBefore,
    Math.min(ground.wanted, ground.highWaterMark, ground.syncedEnd),
  );
  const isAged =
    before.agingTo > dBefore &&
    before.agingTo <= acknowledgedEnd &&
    wallMs - before.agingSinceMs >= tombstonesKeptMs;
  if (upTo === upToBefore && !isAged) return null;
  const tombstonesBelow = isAged ? before.agingTo : dBefore;
  // One X ages at a time; the next one begins with this order.
  const isAging = before.agingTo > tombstonesBelow;
  return {
    upTo,
    tombstonesBelow,
    producersBelow: Math.max(producersBelow, Math.min(silent.below, upTo)),
    forgottenIdMax: Math.max(before.forgottenIdMax, silent.forgottenIdMax),
    agingTo: isAging ? before.agingTo : upTo,
    agingSinceMs: isAging ? before.agingSinceMs : wallMs,
  };
}
