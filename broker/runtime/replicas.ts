/**
 * The replicas that this broker holds: recovered from disk at start, opened, assigned, closed and deleted as committed metadata says.
 * Nothing is deleted on the word of an image that is older than this broker's own registration.
 */
import { BrokerError } from '../base/errors.ts';
import type { BrokerEpoch, BrokerId, PartitionKey, TopicId } from '../base/units.ts';
import { NO_BROKER, partitionKey } from '../base/units.ts';
import { leavingMembers } from '../metadata/election.ts';
import type { MetadataImage, PartitionState, TopicState } from '../metadata/types.ts';
import type { Assignment, ReplicaInfo } from '../replication/types.ts';
import type { ReplicaReport } from './api.ts';
import type { Disk, PartitionLog, PartitionLogOptions } from './ports.ts';
import { Replica } from './replica.ts';
import type { ReplicaHost } from './replica.ts';

/** Logs opened at once during recovery. */
const OPEN_CONCURRENCY = 8;

export interface ReplicasOptions {
  readonly self: BrokerId;
  readonly disk: Disk;
  readonly host: ReplicaHost;
  /** Read when a replica is opened; see {@link Replicas.setLagLimit} for those that run. */
  readonly lagMsMax: () => number;
  readonly appendsPendingMax: number;
  readonly producersMax: number;
  readonly defaultLog: PartitionLogOptions;
  /** A replica began to run after its log was opened: its leader may be one that this broker did not follow so far. */
  readonly onOpened: () => void;
  /** A replica of this leader was opened again: what was pushed to it in between is gone. */
  readonly onReopened: (leader: BrokerId) => void;
  /** Opening or deleting failed: the broker must leave. */
  readonly onFailure: (error: unknown) => void;
}

interface Slot {
  readonly topicId: TopicId;
  readonly partition: number;
  log: PartitionLog | null;
  replica: Replica | null;
  /** Metadata wants it here. */
  isWanted: boolean;
  /** Opening or deleting; the next step waits for it. */
  isBusy: boolean;
  /** Opened again after its volume was full: what was pushed to it in between is gone. */
  isReopened: boolean;
}

export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #slots = new Map<PartitionKey, Slot>();
  #selfEpoch: BrokerEpoch = 0;
  #image: MetadataImage | null = null;
  #isClosed = false;

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /** Opens every log on disk (P6). @returns damage that was found, in words; the start is lossy if there is any */
  async recover(): Promise<readonly string[]> {
    const found = [...this.#options.disk.listPartitions()];
    const damages: string[] = [];
    const work = async (): Promise<void> => {
      for (let next = found.pop(); next !== undefined; next = found.pop()) {
        const { topicId, partition } = next;
        const log = await this.#options.disk.openPartition(
          topicId,
          partition,
          this.#options.defaultLog,
        );
        if (log.recovery.damage !== null)
          damages.push(`${partitionKey(topicId, partition)}: ${log.recovery.damage.reason}`);
        const slot: Slot = {
          topicId,
          partition,
          log,
          replica: null,
          isWanted: false,
          isBusy: false,
          isReopened: false,
        };
        this.#slots.set(partitionKey(topicId, partition), slot);
      }
    };
    await Promise.all(Array.from({ length: OPEN_CONCURRENCY }, work));
    return damages;
  }

  /** From here on replicas run, under this registration. */
  begin(selfEpoch: BrokerEpoch, image: MetadataImage): void {
    this.#selfEpoch = selfEpoch;
    this.update(image);
    for (const slot of this.#slots.values()) {
      if (!slot.isWanted) this.#delete(slot);
    }
  }

  /** Follows committed metadata. */
  update(image: MetadataImage): void {
    if (this.#selfEpoch === 0 || this.#isClosed) return;
    const before = this.#image;
    this.#image = image;
    const areBrokersSame = before?.brokers === image.brokers;
    for (const topic of image.topics.values()) {
      const known = areBrokersSame ? before?.topics.get(topic.topicId) : undefined;
      if (known === topic) continue;
      for (const [partition, state] of topic.partitions.entries()) {
        // Each change of one partition makes an image: to look at all partitions each time would cost their square when a broker returns.
        const isSame = known?.config === topic.config && known.partitions[partition] === state;
        if (!isSame && state.replicas.includes(this.#options.self)) this.#want(topic, state);
      }
    }
    for (const slot of this.#slots.values()) {
      const state = image.topics.get(slot.topicId)?.partitions[slot.partition];
      if (state?.replicas.includes(this.#options.self) === true) continue;
      if (slot.isWanted || before !== null) this.#delete(slot);
    }
  }

  get(topicId: TopicId, partition: number): Replica | null {
    return this.#slots.get(partitionKey(topicId, partition))?.replica ?? null;
  }

  /** @throws BrokerError UNKNOWN_TOPIC, UNKNOWN_PARTITION, NOT_LEADER or BROKER_NOT_READY, by what metadata says */
  require(topicId: TopicId, partition: number): Replica {
    const replica = this.get(topicId, partition);
    if (replica !== null) return replica;
    const topic = this.#image?.topics.get(topicId);
    if (topic === undefined) throw this.#absent(`Cannot find topic id ${topicId}: no topic has it`);
    const state = topic.partitions[partition];
    if (state === undefined) {
      const last = topic.partitions.length - 1;
      throw new BrokerError(
        'UNKNOWN_PARTITION',
        `Cannot find ${topic.name}/${partition}: partitions are 0 to ${last}`,
      );
    }
    if (state.replicas.includes(this.#options.self)) {
      throw new BrokerError(
        'BROKER_NOT_READY',
        `Cannot serve ${topic.name}/${partition} yet: its log is being opened`,
      );
    }
    const hint =
      state.leader === NO_BROKER ? {} : { leader: state.leader, leaderEpoch: state.leaderEpoch };
    throw new BrokerError(
      'NOT_LEADER',
      `Cannot serve ${topic.name}/${partition}: broker ${this.#options.self} holds no replica of it`,
      hint,
    );
  }

  /** Before the registration is applied, metadata may be as old as the last stop. */
  #absent(message: string): BrokerError {
    if (this.#selfEpoch !== 0) return new BrokerError('UNKNOWN_TOPIC', message);
    return new BrokerError(
      'BROKER_NOT_READY',
      `Cannot serve yet: broker ${this.#options.self} is joining its cluster`,
    );
  }

  *[Symbol.iterator](): Iterator<Replica> {
    for (const { replica } of this.#slots.values()) if (replica !== null) yield replica;
  }

  reports(): ReplicaReport[] {
    return [...this].map((replica) => ({
      topicId: replica.topicId,
      topic: replica.topic,
      partition: replica.partition,
      status: replica.status(),
      sizeBytes: replica.log.sizeBytes(),
      stopped: replica.stopped,
    }));
  }

  /** Leaders that this broker follows, by what its replicas' assignments say. */
  leadersFollowed(): ReadonlyMap<BrokerId, BrokerEpoch> {
    const leaders = new Map<BrokerId, BrokerEpoch>();
    for (const slot of this.#slots.values()) {
      const state = this.#image?.topics.get(slot.topicId)?.partitions[slot.partition];
      if (
        slot.replica === null ||
        state === undefined ||
        state.leader === NO_BROKER ||
        state.leader === this.#options.self
      )
        continue;
      const broker = this.#image?.brokers.get(state.leader);
      if (broker !== undefined) leaders.set(broker.brokerId, broker.brokerEpoch);
    }
    return leaders;
  }

  /** Opens again what a full volume stopped: leaders once there is space; followers in any case, for a leader tells only those who follow what it retired. */
  resumeFull(): void {
    if (this.#isClosed) return;
    const hasSpace = this.#options.disk.freeBytes() > 0;
    for (const slot of this.#slots.values()) {
      if (slot.replica?.isFull !== true || slot.isBusy) continue;
      if (hasSpace || !this.#isLeader(slot)) this.#reopen(slot, slot.replica);
    }
  }

  /** A member of S that has not been caught up for so long leaves it; in force at once. */
  setLagLimit(lagMsMax: number): void {
    for (const replica of this) replica.setLagLimit(lagMsMax);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(
      [...this.#slots.values()].map(
        ({ replica, log }) => replica?.close() ?? log?.close() ?? Promise.resolve(),
      ),
    );
  }

  #want(topic: TopicState, state: PartitionState): void {
    const key = partitionKey(topic.topicId, state.partition);
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = {
        topicId: topic.topicId,
        partition: state.partition,
        log: null,
        replica: null,
        isWanted: true,
        isBusy: false,
        isReopened: false,
      };
      this.#slots.set(key, slot);
    }
    slot.isWanted = true;
    if (slot.isBusy) return;
    if (slot.log === null) this.#open(slot, topic);
    else this.#assign(slot, topic, state);
  }

  #open(slot: Slot, topic: TopicState): void {
    slot.isBusy = true;
    const { segmentBytes, segmentMs } = topic.config;
    this.#options.disk
      .openPartition(slot.topicId, slot.partition, { segmentBytes, segmentMs })
      .then((log) => {
        slot.isBusy = false;
        slot.log = log;
        this.#settle(slot);
        if (slot.replica !== null) this.#options.onOpened();
      }, this.#options.onFailure);
  }

  #isLeader({ topicId, partition }: Slot): boolean {
    const state = this.#image?.topics.get(topicId)?.partitions[partition];
    return state?.leader === this.#options.self;
  }

  #reopen(slot: Slot, replica: Replica): void {
    slot.isBusy = true;
    slot.replica = null;
    replica.close().then(() => {
      slot.isBusy = false;
      slot.log = null;
      slot.isReopened = true;
      this.#settle(slot);
    }, this.#options.onFailure);
  }

  /** After opening or deleting: metadata may have moved on. */
  #settle(slot: Slot): void {
    if (this.#isClosed) {
      slot.log?.close().catch(this.#options.onFailure);
      return;
    }
    const topic = this.#image?.topics.get(slot.topicId);
    const state = topic?.partitions[slot.partition];
    if (topic !== undefined && state?.replicas.includes(this.#options.self) === true)
      this.#want(topic, state);
    else if (slot.log !== null) this.#delete(slot);
  }

  #assign(slot: Slot, topic: TopicState, state: PartitionState): void {
    const { log } = slot;
    if (log === null) return;
    log.configure({ segmentBytes: topic.config.segmentBytes, segmentMs: topic.config.segmentMs });
    slot.replica ??= new Replica(
      {
        topicId: topic.topicId,
        topic: topic.name,
        partition: state.partition,
        self: this.#options.self,
        selfEpoch: this.#selfEpoch,
        lagMsMax: this.#options.lagMsMax(),
        appendsPendingMax: this.#options.appendsPendingMax,
        producersMax: this.#options.producersMax,
      },
      log,
      this.#options.host,
    );
    slot.replica.assign(this.#assignment(topic, state));
    if (!slot.isReopened) return;
    slot.isReopened = false;
    if (state.leader !== NO_BROKER && state.leader !== this.#options.self)
      this.#options.onReopened(state.leader);
  }

  #assignment(topic: TopicState, state: PartitionState): Assignment {
    const info = (brokerId: BrokerId): ReplicaInfo => {
      const broker = this.#image?.brokers.get(brokerId);
      return {
        brokerId,
        brokerEpoch: broker?.brokerEpoch ?? 0,
        fenced: broker?.fenced ?? true,
        stopping: broker?.stopping ?? false,
      };
    };
    const {
      leader,
      leaderEpoch,
      partitionEpoch,
      syncSet,
      quorum,
      suspects,
      uncleanEpoch,
      successor,
    } = state;
    const { minInSyncReplicas, commitMode, batchBytesMax } = topic.config;
    const replicas = state.replicas.map(info);
    return {
      leader,
      leaderEpoch,
      partitionEpoch,
      replicas,
      syncSet,
      quorum,
      suspects,
      uncleanEpoch,
      successor,
      leaving: leavingMembers(state),
      minInSyncReplicas,
      commitMode,
      batchBytesMax,
    };
  }

  #delete(slot: Slot): void {
    slot.isWanted = false;
    if (slot.isBusy || this.#isClosed) return;
    slot.isBusy = true;
    const { replica, log } = slot;
    slot.replica = null;
    const closed = replica?.close() ?? log?.close() ?? Promise.resolve();
    closed
      .then(() => this.#options.disk.deletePartition(slot.topicId, slot.partition))
      .then(() => {
        slot.isBusy = false;
        slot.log = null;
        this.#slots.delete(partitionKey(slot.topicId, slot.partition));
        this.#settle(slot);
      }, this.#options.onFailure);
  }
}
