/**
 * The replicas that this broker holds: recovered from disk at start, opened, assigned, closed and
 * deleted as committed metadata says. Nothing is deleted on the word of an image that is older than
 * this broker's own registration.
 */
import { BrokerError } from '../../../base/errors.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionKey,
  TopicId,
} from '../../../base/units.ts';
import { NO_BROKER, partitionKey } from '../../../base/units.ts';
import { ABILITIES_PER_HEARTBEAT_MAX } from '../../../base/limits.ts';
import type { AbilityStatement } from '../../metadata/controller-types.ts';
import { DISK_SHORT } from '../../metadata/controller/leadership/abilities.ts';
import { hasLevel, LEVEL_OF_STARTS } from '../../metadata/features.ts';
import { countedMembers } from '../../metadata/leader-election.ts';
import type { MetadataImage, PartitionState, TopicState } from '../../metadata/types.ts';
import { isCompacted } from '../../metadata/config.ts';
import type { CompactionReport, ReplicaReport } from '../api.ts';
import { isShortage } from '../ports.ts';
import type { Disk, PartitionLog, PartitionLogOptions } from '../ports.ts';
import { assignmentOf } from './assignment.ts';
import { dirtyBytes } from './compaction.ts';
import { Compactor } from './compactor.ts';
import { Replica } from './replica.ts';
import type { ReplicaHost } from './replica-host.ts';
import { logOptionsOf } from './retention.ts';

/** Logs opened at once during recovery. */
const OPEN_CONCURRENCY = 8;
/** Pauses between two tries, each of which may close a log and open it again. */
const TRY_MS = 1_000;
const TRY_WITHOUT_SPACE_MS = 5_000;
/** A volume counts as short of space until it has had room for so long. */
const SHORT_MS = 10_000;
/**
 * A leadership that comes while the volume is short is kept for so long, a few heartbeats: by then
 * metadata knows which other replicas are short, and two of them do not hand it to and fro.
 */
const SHORT_LEADER_MS = 1_000;

export interface ReplicasOptions {
  readonly self: BrokerId;
  readonly disk: Disk;
  readonly host: Omit<ReplicaHost<Replica>, 'compactor'>;
  /** Read when a replica is opened; see {@link Replicas.setLagLimit} for those that run. */
  readonly lagMsMax: () => number;
  readonly appendsPendingMax: number;
  readonly producersMax: number;
  readonly defaultLog: PartitionLogOptions;
  /**
   * A replica began to run after its log was opened: its leader may be one that this broker did not
   * follow so far.
   */
  readonly onOpened: () => void;
  /** A replica of this leader was opened again: what was pushed to it in between is gone. */
  readonly onReopened: (leader: BrokerId) => void;
  /**
   * A replica that leads in the same epoch as before was opened again. It has forgotten how far
   * this follower is, and one that had everything states its position no more on its stream.
   */
  readonly onLeaderReopened: (follower: BrokerId) => void;
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
  /** When it was last opened, or tried. */
  triedMs: MonotonicMs;
  /** The last leadership here that met a volume short of space, and from when on it says so. */
  short: { readonly leaderEpoch: LeaderEpoch; readonly fromMs: MonotonicMs } | null;
}

export class Replicas {
  readonly compactor = new Compactor();
  readonly #options: ReplicasOptions;
  readonly #slots = new Map<PartitionKey, Slot>();
  #selfEpoch: BrokerEpoch = 0;
  #image: MetadataImage | null = null;
  #isClosed = false;
  #shortUntilMs: MonotonicMs = -Infinity;

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /**
   * Opens every log that must be on disk (P6). @returns damage that was found, in words; the start
   * is lossy if there is any
   */
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
        this.#addSlot(topicId, partition).log = log;
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
        // Each change of one partition makes an image: to look at all partitions each time would
        // cost their square when a broker returns.
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

  /**
   * @throws BrokerError UNKNOWN_TOPIC, UNKNOWN_PARTITION, NOT_LEADER or BROKER_NOT_READY, by what
   * metadata says
   */
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
      compaction: this.#compactionOf(replica),
    }));
  }

  #compactionOf(replica: Replica): CompactionReport {
    const status = replica.compaction();
    const config = this.#image?.topics.get(replica.topicId)?.config;
    if (config === undefined || !isCompacted(config))
      return { ...status, segments: 0, cleanBytes: 0, dirtyBytes: 0 };
    const segments = replica.log.segments();
    const dataEndBelow = (offset: Offset): Offset => replica.dataEndBelow(offset);
    const view = { status, segments, dataEndBelow };
    const { clean, dirty } = dirtyBytes(view, replica.marks().highWaterMark);
    return { ...status, segments: segments.length, cleanBytes: clean, dirtyBytes: dirty };
  }

  /** What metadata does not know, or no longer knows rightly, of which replicas here can lead. */
  abilities(): readonly AbilityStatement[] {
    const image = this.#image;
    if (image === null || !hasLevel(image, LEVEL_OF_STARTS)) return [];
    const statements: AbilityStatement[] = [];
    const isShort = this.#isShortOfSpace();
    for (const slot of this.#slots.values()) {
      const { topicId, partition, replica } = slot;
      const state = image.topics.get(topicId)?.partitions[partition];
      if (replica === null || state === undefined) continue;
      const reason =
        replica.cannotLead ?? (isShort && this.#givesWay(slot, state) ? DISK_SHORT : '');
      const known = state.cannotLead.find(({ brokerId }) => brokerId === this.#options.self);
      if (reason !== (known?.reason ?? '') && statements.length < ABILITIES_PER_HEARTBEAT_MAX)
        statements.push({ topicId, partition, reason });
    }
    return statements;
  }

  /** Space that comes and goes moves no leaderships. */
  #isShortOfSpace(): boolean {
    if (this.#options.disk.shortage() !== null) this.#shortUntilMs = this.#nowMs + SHORT_MS;
    return this.#nowMs < this.#shortUntilMs;
  }

  #givesWay(slot: Slot, state: PartitionState): boolean {
    const { leader, leaderEpoch } = state;
    if (leader !== this.#options.self) return this.#isSpared(state);
    if (slot.short?.leaderEpoch !== leaderEpoch) {
      const waitMs = slot.short === null ? 0 : SHORT_LEADER_MS;
      slot.short = { leaderEpoch, fromMs: this.#nowMs + waitMs };
    }
    return this.#nowMs >= slot.short.fromMs && this.#isSpared(state);
  }

  /** Another member of S can lead. */
  #isSpared(state: PartitionState): boolean {
    const isLive = (brokerId: BrokerId): boolean =>
      this.#image?.brokers.get(brokerId)?.fenced === false;
    return countedMembers(state, { isLive }).some((brokerId) => brokerId !== this.#options.self);
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

  /**
   * Tries again what lacked space or descriptors. Replicas are opened again as soon as there is
   * space, and now and then without it: a leader that was elected elsewhere tells only those who
   * follow what it retired, and one in another epoch may be elected here.
   */
  resume(): void {
    if (this.#isClosed || this.#selfEpoch === 0) return;
    const pauseMs = this.#options.disk.shortage() === null ? TRY_MS : TRY_WITHOUT_SPACE_MS;
    for (const slot of this.#slots.values()) {
      if (slot.isBusy || (slot.isWanted && slot.replica?.isFull === false)) continue;
      if (this.#nowMs - slot.triedMs < pauseMs) continue;
      slot.triedMs = this.#nowMs;
      if (slot.replica?.isFull === true && slot.isWanted) this.#reopen(slot, slot.replica);
      else this.#settle(slot);
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
    const { topicId } = topic;
    const slot =
      this.#slots.get(partitionKey(topicId, state.partition)) ??
      this.#addSlot(topicId, state.partition);
    slot.isWanted = true;
    if (slot.isBusy) return;
    if (slot.log === null) this.#open(slot, topic);
    else this.#assign(slot, topic, state);
  }

  #addSlot(topicId: TopicId, partition: number): Slot {
    const slot: Slot = {
      topicId,
      partition,
      log: null,
      replica: null,
      isWanted: false,
      isBusy: false,
      isReopened: false,
      triedMs: this.#nowMs,
      short: null,
    };
    this.#slots.set(partitionKey(topicId, partition), slot);
    return slot;
  }

  #open(slot: Slot, topic: TopicState): void {
    slot.isBusy = true;
    this.#options.disk.openPartition(slot.topicId, slot.partition, logOptionsOf(topic.config)).then(
      (log) => {
        slot.log = log;
        const { damage } = log.recovery;
        if (damage !== null) {
          // P9: its broker was not told to be lossy when it registered, so it must be before the
          // log is answered for. The slot stays busy: no replica of it runs.
          const where = partitionKey(slot.topicId, slot.partition);
          this.#options.onFailure(new BrokerError('DATA_CORRUPT', `${where}: ${damage.reason}`));
          return;
        }
        slot.isBusy = false;
        this.#settle(slot);
        if (slot.replica !== null) this.#options.onOpened();
      },
      (error: unknown) => {
        this.#notNow(slot, error);
      },
    );
  }

  /** Opening or deleting failed: for the disk, or for a time. */
  #notNow(slot: Slot, error: unknown): void {
    if (!isShortage(error)) {
      this.#options.onFailure(error);
      return;
    }
    slot.isBusy = false;
    slot.log = null;
    slot.triedMs = this.#nowMs;
  }

  get #nowMs(): MonotonicMs {
    return this.#options.host.clock.monotonicMs();
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

  /** After opening: metadata may have moved on. */
  #settle(slot: Slot): void {
    if (this.#isClosed) slot.log?.close().catch(this.#options.onFailure);
    else if (!this.#wantAgain(slot)) this.#delete(slot);
  }

  /** @returns whether metadata has it here */
  #wantAgain(slot: Slot): boolean {
    const topic = this.#image?.topics.get(slot.topicId);
    const state = topic?.partitions[slot.partition];
    if (this.#isClosed || topic === undefined) return false;
    if (state?.replicas.includes(this.#options.self) !== true) return false;
    this.#want(topic, state);
    return true;
  }

  #assign(slot: Slot, topic: TopicState, state: PartitionState): void {
    const { log } = slot;
    if (log === null) return;
    log.configure(logOptionsOf(topic.config));
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
      { ...this.#options.host, compactor: this.compactor },
    );
    slot.replica.assign(assignmentOf(this.#image?.brokers ?? new Map(), topic, state));
    if (!slot.isReopened) return;
    slot.isReopened = false;
    const { self, onReopened, onLeaderReopened } = this.#options;
    if (state.leader === self)
      state.replicas.filter((other) => other !== self).forEach(onLeaderReopened);
    else if (state.leader !== NO_BROKER) onReopened(state.leader);
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
      .then(
        () => {
          slot.isBusy = false;
          slot.log = null;
          this.#slots.delete(partitionKey(slot.topicId, slot.partition));
          this.#wantAgain(slot);
        },
        (error: unknown) => {
          this.#notNow(slot, error);
        },
      );
  }
}
