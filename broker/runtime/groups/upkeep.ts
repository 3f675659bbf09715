/**
 * What a coordinator does by itself: it keeps its log short, by writing its image again and
 * trimming what lies before, and forgets groups that nobody uses. Time counts only while it leads,
 * by its monotonic clock, and what it has counted is noted now and then, so that a group is
 * forgotten late rather than early.
 */
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import type { LeaderEpoch, MonotonicMs, Offset } from '../../../base/units.ts';
import { judgeDeletion } from '../../groups/cursors.ts';
import { type GroupPart, type GroupsImage, partsOf, recordsOf } from '../../groups/fold.ts';
import type { GroupsRecord } from '../../groups/records.ts';
import type { Coordinator } from './coordinator.ts';

export interface UpkeepBounds {
  /** Bytes of the log below which it is let grow. */
  readonly snapshotBytesMin: number;
  /** A group that is not used for so long is forgotten. */
  readonly keptMs: number;
  /** How long a group has not been used is noted so often. */
  readonly noteMs: number;
}

export interface UpkeepParts {
  readonly clock: Clock;
  readonly bounds: UpkeepBounds;
  readonly onFact: OnFact;
  /** Removes what is kept of a group's members, of which there are none. */
  readonly forgetMembers: (group: string) => Promise<void>;
}

/** The log is let grow to so many times what a snapshot takes. */
const GROWTH = 4;
/** Of one batch of a snapshot: far below the topic's `batchBytesMax`. */
const SNAPSHOT_BOUNDS = { records: 1_000, bytes: 512 * 1024 };
/** Tombstones of one batch. */
const FORGOTTEN_AT_ONCE = 1_000;
/** Groups that are looked at for their age within one look. */
const GROUPS_AT_ONCE = 1_000;

type Kept = Pick<
  Coordinator,
  'propose' | 'image' | 'refusal' | 'epoch' | 'sinceMs' | 'sizes' | 'replica' | 'foldedTo'
>;

export class Upkeep {
  readonly #coordinator: Kept;
  readonly #parts: UpkeepParts;
  /** Since when each group counts as not used, in the present epoch. Absent: since it began. */
  readonly #since = new Map<string, MonotonicMs>();
  #epoch: LeaderEpoch = 0;
  #isSnapshotting = false;
  #isAging = false;
  #turn = 0;

  constructor(coordinator: Kept, parts: UpkeepParts) {
    this.#coordinator = coordinator;
    this.#parts = parts;
  }

  /** Does what is due. */
  look(): void {
    if (this.#coordinator.refusal() !== null) return;
    this.#followEpoch();
    const { logBytes, imageBytes } = this.#coordinator.sizes;
    const { snapshotBytesMin } = this.#parts.bounds;
    if (logBytes > Math.max(snapshotBytesMin, GROWTH * imageBytes)) void this.#shorten();
    if (!this.#isAging) void this.#age();
  }

  /** The group is used: by what is written for it. */
  noteUse(group: string): void {
    if (this.#coordinator.refusal() !== null) return;
    this.#followEpoch();
    this.#since.set(group, this.#nowMs);
  }

  /** The group is used, by a question. Resolves once a later coordinator knows it too. */
  async use(group: string): Promise<void> {
    this.noteUse(group);
    if ((this.#coordinator.image().groups.get(group)?.idleMs ?? 0) === 0) return;
    await this.#coordinator.propose({
      subject: group,
      judge: (image) =>
        (image.groups.get(group)?.idleMs ?? 0) === 0 ? [] : [{ kind: 'idle', group, value: null }],
    });
  }

  get #nowMs(): MonotonicMs {
    return this.#parts.clock.monotonicMs();
  }

  /** What an earlier leadership here counted was noted, or is lost. */
  #followEpoch(): void {
    const { epoch } = this.#coordinator;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#since.clear();
  }

  /** Looks at the next groups: notes how long they were not used, or forgets them. */
  async #age(): Promise<void> {
    this.#isAging = true;
    try {
      for (const group of this.#nextGroups()) await this.#ageOne(group);
    } catch (error) {
      // The next look, or the next coordinator, does it.
      if (!(error instanceof BrokerError)) throw error;
    } finally {
      this.#isAging = false;
    }
  }

  /** Some of them, in turn. */
  #nextGroups(): readonly string[] {
    const { groups } = this.#coordinator.image();
    const names = [...groups.keys()].slice(this.#turn, this.#turn + GROUPS_AT_ONCE);
    this.#turn += GROUPS_AT_ONCE;
    if (names.length === GROUPS_AT_ONCE) return names;
    this.#turn = 0;
    for (const name of this.#since.keys()) if (!groups.has(name)) this.#since.delete(name);
    return names;
  }

  async #ageOne(group: string): Promise<void> {
    const { keptMs, noteMs } = this.#parts.bounds;
    if (this.#hasMembers(this.#coordinator.image(), group)) {
      this.#since.set(group, this.#nowMs);
      return;
    }
    const idle = this.#idleOf(this.#coordinator.image(), group);
    if (idle === null) return;
    if (idle.totalMs >= keptMs) {
      await this.#forget(group);
      return;
    }
    if (idle.heldMs < noteMs) return;
    await this.#coordinator.propose({
      subject: group,
      judge: (image) => {
        // It may have been used since.
        const now = this.#idleOf(image, group);
        if (now === null || now.heldMs < noteMs) return [];
        this.#since.set(group, this.#nowMs);
        return [{ kind: 'idle', group, value: { idleMs: Math.floor(now.totalMs) } }];
      },
    });
  }

  /** How long it was not used: in this leadership, and with what was noted before. */
  #idleOf(
    image: GroupsImage,
    group: string,
  ): { readonly heldMs: number; readonly totalMs: number } | null {
    const found = image.groups.get(group);
    const isQueue = image.membership.groups.get(group)?.value.type === 'queue';
    if (found === undefined || isQueue || this.#hasMembers(image, group)) return null;
    const heldMs = this.#nowMs - (this.#since.get(group) ?? this.#coordinator.sinceMs);
    return { heldMs, totalMs: found.idleMs + heldMs };
  }

  /** Whoever has members is used. */
  #hasMembers({ membership }: GroupsImage, group: string): boolean {
    return (membership.groups.get(group)?.members.size ?? 0) > 0;
  }

  async #forget(group: string): Promise<void> {
    const { bounds, onFact, forgetMembers } = this.#parts;
    for (let left = true; left; ) {
      await this.#coordinator.propose({
        subject: group,
        judge: (image) => {
          const idle = this.#idleOf(image, group);
          const isDue = idle !== null && idle.totalMs >= bounds.keptMs;
          const records = isDue ? judgeDeletion(image, group, FORGOTTEN_AT_ONCE) : [];
          left = records.length === FORGOTTEN_AT_ONCE;
          return records;
        },
      });
    }
    const { groups, membership } = this.#coordinator.image();
    if (groups.get(group)?.cursors.size === 0 && membership.groups.has(group))
      await forgetMembers(group);
    if (!this.#coordinator.image().groups.has(group)) {
      this.#since.delete(group);
      onFact('group-forgotten', { group });
    }
  }

  /** Writes everything again, a few groups at a time, and drops what lies before. */
  async #shorten(): Promise<void> {
    if (this.#isSnapshotting) return;
    this.#isSnapshotting = true;
    const { replica, epoch, sizes } = this.#coordinator;
    try {
      let lists: GroupPart[][] = [];
      let start: Offset = 0;
      // What there is to write is looked up as the first batch is judged: behind everything that
      // stands before it in the log, and is trimmed.
      const first = await this.#coordinator.propose({
        subject: null,
        judge: (image) => {
          lists = partsOf(image, SNAPSHOT_BOUNDS);
          start = this.#coordinator.foldedTo;
          return recordsIn(image, lists[0] ?? []);
        },
      });
      for (const parts of lists.slice(1)) {
        await this.#coordinator.propose({
          subject: null,
          judge: (image) => recordsIn(image, parts),
        });
        // Another leadership began: it has trimmed nothing, and begins anew.
        if (this.#coordinator.epoch !== epoch || this.#coordinator.refusal() !== null) return;
      }
      const logStart = await replica.trim(first ?? start);
      this.#parts.onFact('groups-shortened', {
        partition: replica.name,
        logStart,
        bytes: sizes.logBytes,
      });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
    } finally {
      this.#isSnapshotting = false;
    }
  }
}

function recordsIn(image: GroupsImage, parts: readonly GroupPart[]): GroupsRecord[] {
  return parts.flatMap((part) => recordsOf(image, part));
}
