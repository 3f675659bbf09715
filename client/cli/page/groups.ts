/**
 * How far groups are behind, for the page: looked at every few seconds beside the looks at the
 * cluster, which never wait for it.
 */
import type { GroupSeen, GroupsSeen } from '../../../page/snapshot.ts';
import type { GroupPartition, Groups } from '../../groups.ts';
import { reportOf } from '../exit.ts';

/** Groups that are shown, the first by name: each costs a call a look. */
const GROUPS_SHOWN_MAX = 20;
const LOOK_PERIOD_MS = 3_000;
const LOOK_MS_MAX = 2_000;

/** The groups of one cluster, as of the last look. */
export class GroupLooks {
  readonly #groups: Groups;
  readonly #nowMs: () => number;
  #seen: GroupsSeen | null = null;
  #lookedAtMs = -Infinity;
  #isLooking = false;

  /** @param nowMs of a clock that only rises */
  constructor(groups: Groups, nowMs: () => number) {
    this.#groups = groups;
    this.#nowMs = nowMs;
  }

  /** Null before the first look has ended. Begins another one where it is time. */
  get seen(): GroupsSeen | null {
    if (!this.#isLooking && this.#nowMs() - this.#lookedAtMs >= LOOK_PERIOD_MS) void this.#look();
    return this.#seen;
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      this.#seen = await this.#lookOnce();
    } finally {
      this.#isLooking = false;
      this.#lookedAtMs = this.#nowMs();
    }
  }

  async #lookOnce(): Promise<GroupsSeen> {
    try {
      const control = { signal: AbortSignal.timeout(LOOK_MS_MAX) };
      const listed = await this.#groups.list(control);
      const shown = listed.slice(0, GROUPS_SHOWN_MAX);
      const groups = await Promise.all(
        shown.map(async ({ group }) => {
          try {
            const { partitions } = await this.#groups.describe(group, control);
            return groupSeen(group, partitions);
          } catch (error) {
            return { group, topics: [], fault: reportOf(error).message };
          }
        }),
      );
      return { groups, more: listed.length - shown.length, fault: '' };
    } catch (error) {
      return { groups: [], more: 0, fault: reportOf(error).message };
    }
  }
}

/** By topic: what its partitions are behind together, and the longest wait among them. */
export function groupSeen(group: string, partitions: readonly GroupPartition[]): GroupSeen {
  const topics = new Map<
    string,
    { records: number; ageMs: number; isLeast: boolean; unknown: number }
  >();
  for (const { cursor, lag } of partitions) {
    const sum = topics.get(cursor.topic) ?? { records: 0, ageMs: 0, isLeast: false, unknown: 0 };
    topics.set(cursor.topic, sum);
    if (lag === undefined) {
      sum.unknown += 1;
      continue;
    }
    sum.records += lag.records;
    if (lag.ageMs < sum.ageMs) continue;
    sum.ageMs = lag.ageMs;
    sum.isLeast = lag.isAgeLeast;
  }
  return { group, topics: [...topics].map(([topic, sum]) => ({ topic, ...sum })), fault: '' };
}
