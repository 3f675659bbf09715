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
import {
  type BrokerId,
  NO_BROKER,
  type Offset,
  type PartitionKey,
  partitionKey,
  type TopicId,
} from '../../../base/units.ts';
import {
  type CursorBeginning,
  type CursorCommit,
  type CursorSeek,
  type CursorVerdict,
  judgeBeginnings,
  judgeCommit,
  judgeDeletion,
  judgeSeek,
} from '../../groups/cursors.ts';
import type { Cursor, GroupCursors, GroupsImage } from '../../groups/fold.ts';
import type {
  GroupReply,
  GroupRequest,
  MemberMessage,
  MemberSign,
  RefusedSign,
} from '../../groups/membership/types.ts';
import { commitVerdict } from '../../groups/membership/verdict.ts';
import { describeGroup, type GroupDescription } from '../../groups/membership/views.ts';
import { encodeRecord, type GroupsRecord, type StoredRecord } from '../../groups/records.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { CommittingMember, GroupsApi, PositionLag } from '../api.ts';
import type { Replica } from '../partitions/replica.ts';
import type { Replicas } from '../partitions/replicas.ts';
import type { TextRecords } from '../ports.ts';
import { HeldPartitions, type KeptPartition } from '../folded/held-partitions.ts';
import { CommitTimes } from './commit-times.ts';
import { type Coordinator, openCoordinator } from './coordinator.ts';
import { type DetachedMember, MembersDriver } from './members-driver.ts';
import { TopicsWatch } from './topics-now.ts';
import { Upkeep, type UpkeepBounds } from './upkeep.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60 * 1000;
/** The end of the committed data is noted so often. */
const SAMPLE_MS = 1_000;
/** Tombstones of one batch. */
const DELETED_AT_ONCE = 1_000;
/** Characters of cursors that ride with one change of members: the core takes a few more. */
const RIDERS_CHARACTERS = 256 * 1024;

export const GROUPS_BOUNDS: UpkeepBounds = {
  snapshotBytesMin: 64 * MIB,
  keptMs: GROUP_EMPTY_MS_MAX,
  noteMs: 6 * HOUR_MS,
};

export interface GroupsHostParts {
  readonly clock: Clock;
  readonly bounds: UpkeepBounds;
  readonly records: TextRecords;
  /** Session of brokers. */
  readonly sessionMs: number;
  readonly image: () => MetadataImage;
  readonly replicas: Pick<Replicas, 'get' | 'require' | typeof Symbol.iterator>;
  readonly onDamage: (replica: Replica, error: BrokerError) => void;
  readonly onFact: OnFact;
}

/** Partition of `__groups` that a group belongs to. */
export function partitionOfGroup(group: string): number {
  return keyHash(new TextEncoder().encode(group)) % GROUPS_PARTITIONS;
}

/** One partition of `__groups`. */
interface Held extends KeptPartition {
  readonly coordinator: Coordinator;
  readonly members: MembersDriver;
  readonly upkeep: Upkeep;
}

export class GroupsHost implements GroupsApi {
  readonly #parts: GroupsHostParts;
  readonly #held: HeldPartitions<Held>;
  readonly #topics = new TopicsWatch();
  readonly #listeners = new Set<(messages: readonly MemberMessage[]) => void>();
  /** Seeks of one group come one after the other: each begins another generation. */
  readonly #seeking = new Map<string, Promise<unknown>>();
  readonly #times = new Map<PartitionKey, CommitTimes>();
  #cancelSample: Cancel = () => {};

  constructor(parts: GroupsHostParts) {
    this.#parts = parts;
    const open = (replica: Replica): Held => this.#open(replica);
    this.#held = new HeldPartitions({
      ...{ ...parts, topic: GROUPS_TOPIC, partitions: GROUPS_PARTITIONS, open },
    });
  }

  start(): void {
    this.#cancelSample = this.#parts.clock.every(SAMPLE_MS, () => {
      this.#sample();
      for (const { members, upkeep } of this.#held) {
        members.tick();
        upkeep.look();
      }
    });
  }

  /** Replicas or metadata have changed, or time has passed. */
  look(): void {
    this.#held.look();
  }

  close(): void {
    this.#cancelSample();
    this.#held.close();
  }

  // What the service asks: GroupsApi

  view(group: string): GroupCursors | undefined {
    return this.#of(group).coordinator.image().groups.get(group);
  }

  describe(group: string): GroupDescription | null {
    return describeGroup(this.#of(group).coordinator.image().membership, group);
  }

  async commit(
    commits: readonly CursorCommit[],
    member: CommittingMember | null,
  ): Promise<readonly (Cursor | BrokerError)[]> {
    const [first] = commits;
    if (first === undefined) return [];
    const { memberId, attachment } = member ?? { memberId: '', attachment: 0 };
    const epochs = new Map(commits.map((commit, at) => [commit, member?.epochs[at] ?? 0]));
    return this.#change(first.group, commits, (image, commit, isTopic) => {
      const epoch = epochs.get(commit) ?? 0;
      const refusal = commitVerdict(image.membership, { ...commit, memberId, attachment, epoch });
      if (refusal !== null) throw refusal;
      return judgeCommit(image, commit, isTopic);
    });
  }

  async seek(seeks: readonly CursorSeek[]): Promise<readonly (Cursor | BrokerError)[]> {
    const [first] = seeks;
    if (first === undefined) return [];
    const { group } = first;
    const before = this.#seeking.get(group) ?? Promise.resolve();
    const sought = before.then(() => this.#seek(group, seeks));
    const settled = sought.catch(() => {});
    this.#seeking.set(group, settled);
    void settled.then(() => {
      if (this.#seeking.get(group) === settled) this.#seeking.delete(group);
    });
    return sought;
  }

  async begin(
    group: string,
    beginnings: readonly CursorBeginning[],
  ): Promise<readonly (Cursor | BrokerError)[]> {
    const { coordinator } = this.#of(group);
    const isTopic = this.#isTopic;
    let outcomes: readonly (Cursor | BrokerError)[] = [];
    await coordinator.propose({
      subject: group,
      units: beginnings.length,
      judge: (image) => {
        const verdict = judgeBeginnings(image, group, beginnings, isTopic);
        ({ outcomes } = verdict);
        return verdict.records;
      },
    });
    return outcomes;
  }

  async ask(proxy: BrokerId, request: GroupRequest): Promise<GroupReply> {
    return this.#of(request.group).members.request(proxy, request);
  }

  async heartbeat(
    proxy: BrokerId,
    partition: number,
    signs: readonly MemberSign[],
  ): Promise<readonly RefusedSign[]> {
    return this.#in(partition).members.heartbeat(proxy, signs);
  }

  detached(proxy: BrokerId, member: DetachedMember): void {
    this.#of(member.group).members.detached(proxy, member);
  }

  onMessages(listener: (messages: readonly MemberMessage[]) => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async remove(group: string): Promise<number> {
    const { coordinator, members } = this.#of(group);
    const isKept = coordinator.image().membership.groups.has(group);
    let count = 0;
    for (;;) {
      let found = 0;
      await coordinator.propose({
        subject: group,
        judge: (image) => {
          refuseWithMembers(image, group);
          const records = judgeDeletion(image, group, DELETED_AT_ONCE);
          found = records.length;
          return records;
        },
      });
      count += found;
      if (found < DELETED_AT_ONCE) break;
    }
    if (isKept) await members.request(NO_BROKER, { kind: 'delete', group, type: 'group' });
    if (count === 0 && !isKept)
      throw new BrokerError(
        'UNKNOWN_GROUP',
        `No group is named "${group}": it has no cursor and no member`,
      );
    return count;
  }

  async use(group: string): Promise<void> {
    const { upkeep } = this.#of(group);
    await upkeep.use(group);
  }

  coordinated(): ReadonlyMap<string, GroupCursors> {
    const found = new Map<string, GroupCursors>();
    for (const { coordinator } of this.#held) {
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
    const isTopic = this.#isTopic;
    let outcomes: (Cursor | BrokerError)[] = [];
    await coordinator.propose({
      subject: group,
      units: asked.length,
      judge: (image) => {
        const records: GroupsRecord[] = [];
        outcomes = asked.map((one) => {
          const verdict = outcomeOf(() => judgeOne(image, one, isTopic));
          if (verdict instanceof BrokerError) return verdict;
          records.push(...verdict.records);
          return verdict.cursor;
        });
        return records;
      },
    });
    await upkeep.use(group);
    return outcomes;
  }

  readonly #isTopic = (topicId: TopicId): boolean => this.#parts.image().topics.has(topicId);

  /** Where the group has members, whoever holds a partition is given it anew with the cursor. */
  async #seek(
    group: string,
    seeks: readonly CursorSeek[],
  ): Promise<readonly (Cursor | BrokerError)[]> {
    const { coordinator, members, upkeep } = this.#of(group);
    if (membersOf(coordinator.image(), group) === 0)
      return this.#change(group, seeks, (image, seek, isTopic) => {
        if (membersOf(image, group) > 0)
          throw new BrokerError('CONFLICT', `Members join group "${group}" at the moment`);
        return judgeSeek(image, seek, isTopic);
      });
    const image = coordinator.image();
    const verdicts = seeks.map((seek) => outcomeOf(() => judgeSeek(image, seek, this.#isTopic)));
    const left = verdicts.flatMap((verdict) => (verdict instanceof BrokerError ? [] : [verdict]));
    while (left.length > 0) {
      const riders: StoredRecord[] = [];
      const partitions: Cursor[] = [];
      for (let characters = 0; left.length > 0 && characters < RIDERS_CHARACTERS; ) {
        const { records, cursor } = left.shift()!;
        partitions.push(cursor);
        for (const record of records.map(encodeRecord)) {
          riders.push(record);
          characters += record.key.length + (record.value?.length ?? 0);
        }
      }
      await members.request(NO_BROKER, { kind: 'seek', group, partitions, riders });
    }
    await upkeep.use(group);
    return verdicts.map((verdict) => (verdict instanceof BrokerError ? verdict : verdict.cursor));
  }

  #of(group: string): Held {
    return this.#in(partitionOfGroup(group));
  }

  #in(partition: number): Held {
    return this.#held.get(partition);
  }

  #open(replica: Replica): Held {
    const { clock, records, bounds, sessionMs, image, onFact, onDamage } = this.#parts;
    const coordinator = openCoordinator(replica, {
      clock,
      records,
      onFact,
      onDamage: (error) => {
        onDamage(replica, error);
      },
    });
    const members = new MembersDriver(coordinator, {
      clock,
      brokerSessionMs: sessionMs,
      topics: () => this.#topics.now(image()),
      onMessages: (messages) => {
        for (const listener of [...this.#listeners]) listener(messages);
      },
    });
    const forgetMembers = async (group: string): Promise<void> => {
      await members.request(NO_BROKER, { kind: 'delete', group, type: 'group' });
    };
    const upkeep = new Upkeep(coordinator, { clock, bounds, onFact, forgetMembers });
    return {
      ...{ coordinator, members, upkeep },
      look: () => {
        coordinator.look();
        members.look();
      },
      close: () => {
        coordinator.close();
        members.close();
      },
    };
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

function membersOf({ membership }: GroupsImage, group: string): number {
  return membership.groups.get(group)?.members.size ?? 0;
}

function refuseWithMembers(image: GroupsImage, group: string): void {
  const members = membersOf(image, group);
  if (members > 0)
    throw new BrokerError(
      'REFUSED',
      `Group "${group}" has ${String(members)} members, it can be deleted once they have left`,
    );
}

/** What was judged, or the refusal. */
function outcomeOf(judge: () => CursorVerdict): CursorVerdict | BrokerError {
  try {
    return judge();
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
}
