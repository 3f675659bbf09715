/**
 * The groups of one broker: a coordinator for each replica of `__groups` that it holds, what they
 * keep within bounds by themselves, and the lag of positions in partitions that this broker leads.
 */
import { keyHash } from '../../../wire/batch/key-hash.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import { GROUPS_PARTITIONS, GROUPS_TOPIC, isInternalTopic } from '../../../base/internal-topics.ts';
import { GROUP_EMPTY_MS_MAX } from '../../../base/limits.ts';
import type { Offset, PartitionKey, TopicId } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import {
  type CursorCommit,
  type CursorSeek,
  type CursorVerdict,
  judgeCommit,
  judgeDeletion,
  judgeSeek,
} from '../../groups/cursors.ts';
import type { Cursor, GroupCursors, GroupsImage } from '../../groups/fold.ts';
import type { GroupsRecord } from '../../groups/records.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { GroupsApi, PositionLag } from '../api.ts';
import type { Replica } from '../partitions/replica.ts';
import type { Replicas } from '../partitions/replicas.ts';
import type { TextRecords } from '../ports.ts';
import { CommitTimes } from './commit-times.ts';
import { Coordinator } from './coordinator.ts';
import { Upkeep, type UpkeepBounds } from './upkeep.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60 * 1000;
/** The end of the committed data is noted so often. */
const SAMPLE_MS = 1_000;
/** Tombstones of one batch. */
const DELETED_AT_ONCE = 1_000;

export const GROUPS_BOUNDS: UpkeepBounds = {
  snapshotBytesMin: 64 * MIB,
  keptMs: GROUP_EMPTY_MS_MAX,
  noteMs: 6 * HOUR_MS,
};

export interface GroupsHostParts {
  readonly clock: Clock;
  readonly bounds: UpkeepBounds;
  readonly records: TextRecords;
  readonly image: () => MetadataImage;
  readonly replicas: Pick<Replicas, 'get' | 'require' | typeof Symbol.iterator>;
  readonly onDamage: (replica: Replica, error: BrokerError) => void;
  readonly onFact: OnFact;
}

/** Partition of `__groups` that a group belongs to. */
export function partitionOfGroup(group: string): number {
  return keyHash(new TextEncoder().encode(group)) % GROUPS_PARTITIONS;
}

export class GroupsHost implements GroupsApi {
  readonly #parts: GroupsHostParts;
  readonly #coordinators = new Map<
    number,
    { readonly coordinator: Coordinator; readonly upkeep: Upkeep }
  >();
  readonly #times = new Map<PartitionKey, CommitTimes>();
  #cancelSample: Cancel = () => {};
  #isClosed = false;

  constructor(parts: GroupsHostParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#cancelSample = this.#parts.clock.every(SAMPLE_MS, () => {
      this.#sample();
      for (const { upkeep } of this.#coordinators.values()) upkeep.look();
    });
  }

  /** Replicas or metadata have changed, or time has passed. */
  look(): void {
    if (this.#isClosed) return;
    const topicId = this.#topicId();
    for (let partition = 0; partition < GROUPS_PARTITIONS; partition += 1) {
      const replica = topicId === undefined ? null : this.#parts.replicas.get(topicId, partition);
      const held = this.#coordinators.get(partition);
      if (held !== undefined && held.coordinator.replica === replica) {
        held.coordinator.look();
        continue;
      }
      held?.coordinator.close();
      this.#coordinators.delete(partition);
      if (replica !== null) this.#open(partition, replica);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelSample();
    for (const { coordinator } of this.#coordinators.values()) coordinator.close();
    this.#coordinators.clear();
  }

  // What the service asks: GroupsApi

  view(group: string): GroupCursors | undefined {
    return this.#of(group).coordinator.image().groups.get(group);
  }

  async commit(commit: readonly CursorCommit[]): Promise<readonly (Cursor | BrokerError)[]> {
    const [first] = commit;
    if (first === undefined) return [];
    return this.#change(first.group, commit, judgeCommit);
  }

  async seek(seeks: readonly CursorSeek[]): Promise<readonly (Cursor | BrokerError)[]> {
    const [first] = seeks;
    if (first === undefined) return [];
    return this.#change(first.group, seeks, judgeSeek);
  }

  async remove(group: string): Promise<number> {
    const { coordinator } = this.#of(group);
    let count = 0;
    for (;;) {
      let found = 0;
      await coordinator.propose({
        group,
        judge: (image) => {
          const records = judgeDeletion(image, group, DELETED_AT_ONCE);
          found = records.length;
          return records;
        },
      });
      count += found;
      if (found < DELETED_AT_ONCE) break;
    }
    if (count === 0)
      throw new BrokerError('UNKNOWN_GROUP', `No group is named "${group}": it has no cursor`);
    return count;
  }

  async use(group: string): Promise<void> {
    const { upkeep } = this.#of(group);
    await upkeep.use(group);
  }

  coordinated(): ReadonlyMap<string, GroupCursors> {
    const found = new Map<string, GroupCursors>();
    for (const { coordinator } of this.#coordinators.values()) {
      if (coordinator.refusal() !== null) continue;
      for (const [name, group] of coordinator.image().groups) found.set(name, group);
    }
    return found;
  }

  coordinatedIn(partition: number): ReadonlyMap<string, GroupCursors> {
    return this.#in(partition).coordinator.image().groups;
  }

  lagOf(topicId: TopicId, partition: number, offset: Offset): PositionLag {
    const replica = this.#parts.replicas.require(topicId, partition);
    const { isLeader, leader, leaderEpoch, latest, logStart } = replica.marks();
    if (!isLeader)
      throw new BrokerError(
        'NOT_LEADER',
        `This broker does not lead ${replica.name}`,
        leader >= 0 ? { leader, leaderEpoch } : {},
      );
    if (latest === null)
      throw new BrokerError(
        'OFFSET_NOT_AVAILABLE',
        `The end of ${replica.name} is not certain: its leader has committed nothing in its epoch yet, hands over, or is not heard by the controller`,
      );
    const endOffset = replica.dataEndBelow(latest);
    const { clock } = this.#parts;
    const times = this.#timesOf(topicId, partition);
    times.note(clock.monotonicMs(), endOffset);
    const records = Math.max(0, endOffset - offset);
    const { ageMs, isLeast } = times.ageAt(offset, clock.monotonicMs());
    const epochBefore = offset > latest ? 0 : replica.epochBefore(offset);
    return { endOffset, records, ageMs, isLeast, leaderEpoch, logStart, epochBefore };
  }

  // Parts

  async #change<Asked extends CursorSeek>(
    group: string,
    asked: readonly Asked[],
    judgeOne: (
      image: GroupsImage,
      one: Asked,
      isTopic: (topicId: TopicId) => boolean,
    ) => CursorVerdict,
  ): Promise<readonly (Cursor | BrokerError)[]> {
    const { coordinator, upkeep } = this.#of(group);
    const isTopic = (topicId: TopicId): boolean => this.#parts.image().topics.has(topicId);
    let outcomes: (Cursor | BrokerError)[] = [];
    await coordinator.propose({
      group,
      cursors: asked.length,
      judge: (image) => {
        const records: GroupsRecord[] = [];
        outcomes = asked.map((one) => {
          try {
            const verdict = judgeOne(image, one, isTopic);
            records.push(...verdict.records);
            return verdict.cursor;
          } catch (error) {
            if (error instanceof BrokerError) return error;
            throw error;
          }
        });
        return records;
      },
    });
    await upkeep.use(group);
    return outcomes;
  }

  #of(group: string): { readonly coordinator: Coordinator; readonly upkeep: Upkeep } {
    return this.#in(partitionOfGroup(group));
  }

  #in(partition: number): { readonly coordinator: Coordinator; readonly upkeep: Upkeep } {
    // What metadata has only just brought here.
    this.look();
    const held = this.#coordinators.get(partition);
    if (held !== undefined) return held;
    const topicId = this.#topicId();
    if (topicId === undefined)
      throw new BrokerError('BROKER_NOT_READY', `There is no topic "${GROUPS_TOPIC}" here yet`);
    this.#parts.replicas.require(topicId, partition);
    throw new BrokerError('BROKER_NOT_READY', `${GROUPS_TOPIC}/${partition} is being opened`);
  }

  #open(partition: number, replica: Replica): void {
    const { clock, records, bounds, onFact, onDamage } = this.#parts;
    const coordinator = new Coordinator(replica, {
      clock,
      records,
      onFact,
      onDamage: (error) => {
        onDamage(replica, error);
      },
    });
    const upkeep = new Upkeep(coordinator, { clock, bounds, onFact });
    this.#coordinators.set(partition, { coordinator, upkeep });
  }

  #topicId(): TopicId | undefined {
    return this.#parts.image().topicIdsByName.get(GROUPS_TOPIC);
  }

  #sample(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const seen = new Set<PartitionKey>();
    for (const replica of this.#parts.replicas) {
      if (isInternalTopic(replica.topic)) continue;
      const { topicId, partition } = replica;
      const times = this.#timesOf(topicId, partition);
      times.note(nowMs, replica.dataEndBelow(replica.marks().highWaterMark));
      seen.add(partitionKey(topicId, partition));
    }
    for (const key of this.#times.keys()) if (!seen.has(key)) this.#times.delete(key);
  }

  #timesOf(topicId: TopicId, partition: number): CommitTimes {
    const key = partitionKey(topicId, partition);
    let times = this.#times.get(key);
    if (times === undefined) this.#times.set(key, (times = new CommitTimes()));
    return times;
  }
}
