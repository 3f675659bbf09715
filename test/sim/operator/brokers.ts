/**
 * Brokers as the operator meets them: processes on disks, a controller that fences, elects, shrinks
 * and moves, a load that appends, and the admin calls. Their rules are those of the real ones, a
 * tick at a time; what the real ones do is proven by test/sim/{raft,replication,metadata}.
 */
import type { ListenerAddress } from '../../../base/listeners.ts';
import {
  CommitMode,
  RestartClass,
  type Broker,
  type CheckDisruptionResponse,
  type ClusterSettings,
  type ReplicaStatus,
  type TopicConfig,
} from '../../../proto/gen/tidemark/v1/admin.ts';
import { BrokerError } from '../../../base/errors.ts';
import { changed, merged, Minimums, type Partition, type Topic, topicMessage } from './topics.ts';
import { between, pick, type Random, type SimulatedTime } from './time.ts';

/** A volume's content. */
export interface Disk {
  readonly name: string;
  /** Empty: unformatted. */
  clusterId: string;
  directoryId: string;
  /** Records held, by partition. */
  readonly ends: Map<string, number>;
  /** The machine lost power: the end of each log may be gone. */
  isLossy: boolean;
}

export interface BrokerProcess {
  readonly podUid: string;
  readonly brokerId: number;
  readonly disk: Disk;
  readonly rack: string;
  /** Of its present registration; 0: none. */
  epoch: number;
  isUp: boolean;
  /** Behind a cut: it runs, and nobody reaches it. */
  isCut: boolean;
  isTerminating: boolean;
}

interface Registration {
  readonly id: number;
  epoch: number;
  directoryId: string;
  rack: string;
  isFenced: boolean;
  isStopping: boolean;
  isCordoned: boolean;
  /** Since when it is fit to lead again, ms. */
  fitMs: number;
}

export interface BrokersOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly fault: (text: string) => void;
  /** Calls about rules of access. */
  readonly access: { call(method: string, request: unknown): unknown };
}

/** What an admin call fails with. */
export class Refusal extends Error {}

const TICK_MS = [200, 500] as const;
const LEADERSHIP_BACK_MS = 1_500;

export class Brokers {
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #fault: (text: string) => void;
  readonly access: BrokersOptions['access'];
  readonly disks = new Map<string, Disk>();
  readonly processes = new Map<string, BrokerProcess>();
  /** Options that a process reports, by the uid of its pod. */
  readonly options = new Map<string, object[]>();
  readonly registrations = new Map<number, Registration>();
  /** Addresses that a broker tells clients of its listeners. */
  listenersOf: (brokerId: number) => ListenerAddress[] = () => [];
  readonly topics = new Map<string, Topic>();
  /** Directory of each voter. */
  readonly #voters = new Map<number, string>();
  readonly #removed = new Set<string>();
  clusterId = '';
  featureLevel = 16;
  /** Followers fetch nothing. */
  isFetchHeld = false;
  /** No high-water mark moves: records wait for followers that are in sync. */
  isMarkHeld = false;
  /** Brokers that have not seen the newest metadata. */
  readonly deaf = new Set<number>();
  #controller: number | null = null;
  #settings: Partial<ClusterSettings> = {};
  #serial = 0;

  constructor({ time, random, fault, access }: BrokersOptions) {
    this.access = access;
    this.#time = time;
    this.#random = random;
    this.#fault = fault;
    this.#loop();
  }

  get partitions(): Partition[] {
    return [...this.topics.values()].flatMap(({ partitions }) => partitions);
  }

  get voters(): number[] {
    return [...this.#voters.keys()];
  }

  /** Null while the quorum has no majority. */
  get controller(): number | null {
    return this.#controller;
  }

  start(podUid: string, brokerId: number, disk: Disk, rack: string): void {
    const process: BrokerProcess = {
      podUid,
      brokerId,
      disk,
      rack,
      epoch: 0,
      isUp: true,
      isCut: false,
      isTerminating: false,
    };
    this.processes.set(podUid, process);
  }

  /** SIGTERM: hands over, then ends. */
  terminate(podUid: string): void {
    const process = this.processes.get(podUid);
    if (process === undefined) return;
    process.isTerminating = true;
    const registered = this.registrations.get(process.brokerId);
    if (registered?.epoch === process.epoch && this.#isReached(process)) this.#drain(registered);
  }

  end(podUid: string): void {
    const process = this.processes.get(podUid);
    if (process !== undefined) process.isUp = false;
    this.processes.delete(podUid);
  }

  isReady(podUid: string): boolean {
    const process = this.processes.get(podUid);
    return process !== undefined && this.#isReached(process) && process.epoch > 0;
  }

  /** What the process says to its preStop hook, by the rule of broker/metadata/safety.ts. */
  stopVeto(podUid: string): 'recovering' | 'away' | null {
    const process = this.processes.get(podUid);
    if (process === undefined || !this.isReady(podUid)) return null;
    const { brokerId: self } = process;
    if (this.#controller === null) return 'away';
    const leaving = [...this.registrations.values()]
      .filter(({ id, isStopping }) => isStopping && id !== self)
      .map(({ id }) => id);
    const isThere = (id: number): boolean => this.isLive(id) && !leaving.includes(id);
    const hurt = this.partitions.filter((partition) => {
      const { syncSet, replicas } = partition;
      const others = replicas.filter((id) => id !== self);
      const isUnavoidable =
        minOf(partition) >= replicas.length &&
        others.every((id) => isThere(id) && syncSet.includes(id));
      const left = this.left(partition, [self, ...leaving]);
      return syncSet.includes(self) && left < minOf(partition) && !isUnavoidable;
    });
    const takesQuorum =
      this.voters.length >= 3 && this.voters.includes(self) && this.takesQuorum([self, ...leaving]);
    if (hurt.length === 0 && !takesQuorum) return null;
    const isRecovering = hurt.some(({ replicas, syncSet }) =>
      replicas.some((id) => isThere(id) && !syncSet.includes(id)),
    );
    return isRecovering ? 'recovering' : 'away';
  }

  /** Registered, up and not fenced. */
  isLive(id: number): boolean {
    const registered = this.registrations.get(id);
    return registered !== undefined && !registered.isFenced && this.#processOf(id) !== undefined;
  }

  /** What is left of a partition's sync set without these. */
  left({ syncSet }: Partition, without: readonly number[]): number {
    return syncSet.filter((id) => this.isLive(id) && !without.includes(id)).length;
  }

  /** Whether stopping these now would take the quorum. */
  takesQuorum(without: readonly number[]): boolean {
    const voters = this.voters;
    const left = voters.filter((id) => this.isLive(id) && !without.includes(id)).length;
    return voters.some((id) => without.includes(id)) && left * 2 <= voters.length;
  }

  createTopic(name: string, count: number, factor: number, config: TopicConfig): Topic {
    const live = [...this.registrations.values()]
      .filter(({ id, isCordoned }) => this.isLive(id) && !isCordoned)
      .map(({ id }) => id)
      .sort((left, right) => left - right);
    if (live.length < factor) throw new Refusal(`${live.length} brokers, ${factor} are needed`);
    if (this.topics.has(name)) throw new Refusal(`topic ${name} exists`);
    this.#serial += 1;
    const { min, followsMin } = this.#minimums.made(config.minInSyncReplicas);
    if (min > factor) throw new Refusal(`min ${min}, ${factor} copies`);
    const defaults = {
      retentionMs: 604_800_000,
      retentionBytes: -1,
      segmentBytes: 1,
      segmentMs: 1,
      batchBytesMax: 1,
      uncleanElection: false,
    };
    const given = Object.entries(this.#seen(config)).filter(([, value]) => value !== undefined);
    const topic: Topic = {
      name,
      id: `topic-${this.#serial}`,
      replicationFactor: factor,
      config: {
        ...defaults,
        ...Object.fromEntries(given),
        minInSyncReplicas: min,
        commitMode: CommitMode.COMMIT_MODE_IN_SYNC,
      },
      followsMin,
      partitions: [],
    };
    for (let number = 0; number < count; number += 1) {
      const replicas = Array.from(
        { length: factor },
        (_, at) => live[(number + at) % live.length]!,
      );
      const syncSet = [...replicas];
      const name_ = `${topic.id}/${number}`;
      topic.partitions.push({
        name: name_,
        topic,
        number,
        replicas,
        syncSet,
        leader: replicas[0]!,
        acked: 0,
      });
    }
    this.topics.set(name, topic);
    return topic;
  }

  /** One admin call, made to the process at an address. Throws {@link Refusal}. */
  call(process: BrokerProcess, method: string, request: Record<string, unknown>): unknown {
    if (method === 'Bootstrap') return this.#bootstrap(process, request['clusterId'] as string);
    if (method === 'DescribeCluster') return this.#describeCluster(process);
    if (method === 'DescribeBroker') return this.#describeBroker(process);
    if (this.#controller === null || process.epoch === 0) throw new Refusal('no controller');
    const brokerId = request['brokerId'] as number;
    switch (method) {
      case 'DescribeQuorum':
        return { leader: this.#controller, term: 1, commitIndex: 1, members: [] };
      case 'ListTopics':
        return this.#listTopics(request['names'] as string[]);
      case 'CheckDisruption':
        return this.checkDisruption(request['brokerIds'] as number[]);
      case 'PlanRebalance':
        return { moves: this.#plan(), bytes: 0 };
      case 'PrepareStop':
        return this.#prepareStop(brokerId, request['brokerEpoch'] as number);
      case 'Decommission':
        this.#registered(brokerId).isCordoned = true;
        return { replicasLeft: this.#held(brokerId).length };
      case 'Recommission':
        this.#registered(brokerId).isCordoned = false;
        return {};
      case 'RemoveBroker':
        return this.#remove(brokerId);
      case 'ReassignPartition':
        return this.#reassign(request);
      case 'CancelStop':
        Object.assign(this.#registered(brokerId), {
          isStopping: false,
          fitMs: this.#time.monotonicMs,
        });
        return {};
      case 'SetClusterSettings':
        this.#settings = changed(this.#settings, request['settings'] as ClusterSettings);
        return {};
      case 'CreateTopic':
        return this.createTopic(
          request['name'] as string,
          request['partitions'] as number,
          request['replicationFactor'] as number,
          request['config'] as TopicConfig,
        );
      case 'AlterTopic':
        return this.#alter(request);
      case 'DeleteTopic':
        if (!this.topics.delete(request['name'] as string)) throw new Refusal('no such topic');
        return {};
      default:
        return this.access.call(method, request);
    }
  }

  checkDisruption(brokerIds: readonly number[]): CheckDisruptionResponse {
    const verdicts = this.partitions
      .filter(({ syncSet }) => syncSet.some((id) => brokerIds.includes(id)))
      .map((partition) => ({ partition, left: this.left(partition, brokerIds) }))
      .filter(({ partition, left }) => left < minOf(partition))
      .map(({ partition: { topic, number }, left }) => ({
        topic: topic.name,
        partition: number,
        stopsWrites: true,
        takesLastCopy: left === 0,
        reason: `${left} would be left`,
      }));
    const takesQuorum = this.takesQuorum(brokerIds);
    const reason = takesQuorum ? 'the quorum would go' : '';
    return { safe: verdicts.length === 0 && !takesQuorum, takesQuorum, reason, verdicts };
  }

  /** An unknown name fails the call. */
  #listTopics(names: readonly string[]): unknown {
    const unknown = names.find((name) => !this.topics.has(name));
    if (unknown !== undefined) throw new BrokerError('UNKNOWN_TOPIC', `no topic ${unknown}`);
    const listed = [...this.topics.values()].filter(
      ({ name }) => names.length === 0 || names.includes(name),
    );
    return { topics: listed.map(topicMessage) };
  }

  #loop(): void {
    this.#time.after(between(this.#random, ...TICK_MS), () => {
      this.#register();
      this.#quorum();
      if (this.#controller !== null) this.#control();
      this.#append();
      this.#checkRecords();
      this.#loop();
    });
  }

  #isReached({ isUp, isCut }: BrokerProcess): boolean {
    return isUp && !isCut;
  }

  /** The reachable process of a registration. */
  #processOf(id: number): BrokerProcess | undefined {
    const registered = this.registrations.get(id);
    return [...this.processes.values()].find(
      (process) =>
        process.brokerId === id && this.#isReached(process) && process.epoch === registered?.epoch,
    );
  }

  #registered(id: number): Registration {
    const registered = this.registrations.get(id);
    if (registered === undefined) throw new Refusal(`broker ${id} is not registered`);
    return registered;
  }

  #held(id: number): Partition[] {
    return this.partitions.filter(
      ({ replicas, syncSet }) => replicas.includes(id) || syncSet.includes(id),
    );
  }

  #bootstrap(process: BrokerProcess, clusterId: string): unknown {
    if (process.disk.clusterId !== '') throw new Refusal('formatted already');
    if ([...this.processes.values()].some(({ disk }) => disk.clusterId !== ''))
      throw new Refusal('a peer knows a cluster');
    if (this.clusterId !== '') this.#fault(`formed twice: ${this.clusterId}, then ${clusterId}`);
    this.clusterId = clusterId;
    this.#format(process.disk);
    this.#voters.set(process.brokerId, process.disk.directoryId);
    this.#admit(process);
    return { directoryId: process.disk.directoryId };
  }

  #format(disk: Disk): void {
    this.#serial += 1;
    disk.clusterId = this.clusterId;
    disk.directoryId = `directory-${this.#serial}`;
  }

  #admit(process: BrokerProcess): void {
    const { brokerId: id, disk, rack } = process;
    const before = this.registrations.get(id);
    this.#serial += 1;
    process.epoch = this.#serial;
    // What the disk may lack is not to be counted on, nor what another disk held.
    const isLess =
      before !== undefined && (before.directoryId !== disk.directoryId || disk.isLossy);
    for (const partition of isLess ? this.partitions : []) {
      if (!partition.syncSet.includes(id) || partition.syncSet.length === 1) continue;
      partition.syncSet = partition.syncSet.filter((each) => each !== id);
      if (partition.leader === id) partition.leader = null;
    }
    disk.isLossy = false;
    this.registrations.set(id, {
      id,
      epoch: process.epoch,
      directoryId: disk.directoryId,
      rack,
      isFenced: false,
      isStopping: false,
      isCordoned: before?.isCordoned ?? false,
      fitMs: this.#time.monotonicMs,
    });
  }

  /** Processes that run join, format, or come back. */
  #register(): void {
    for (const process of this.processes.values()) {
      const registered = this.registrations.get(process.brokerId);
      const isDone = registered?.epoch === process.epoch && !registered.isFenced;
      if (!this.#isReached(process) || isDone || process.isTerminating) continue;
      if (this.#controller === null || this.#removed.has(process.disk.directoryId)) continue;
      if (process.disk.clusterId === '') this.#format(process.disk);
      if (process.disk.clusterId === this.clusterId && this.#random() < 0.6) this.#admit(process);
    }
  }

  /**
   * A voter is a directory: a replaced disk does not vote for the one before. A restarting quorum
   * needs no registration.
   */
  #quorum(): void {
    const present = [...this.#voters].filter(([id, directoryId]) =>
      [...this.processes.values()].some(
        (process) =>
          process.brokerId === id &&
          this.#isReached(process) &&
          process.disk.directoryId === directoryId,
      ),
    );
    const isMajority = present.length * 2 > this.#voters.size;
    const ids = present.map(([id]) => id);
    if (!isMajority) this.#controller = null;
    else if (this.#controller === null || !ids.includes(this.#controller))
      this.#controller = pick(this.#random, ids) ?? null;
  }

  #control(): void {
    for (const registered of this.registrations.values()) {
      if (registered.isFenced || this.#processOf(registered.id) !== undefined) continue;
      if (this.#random() < 0.5) registered.isFenced = true;
    }
    this.#voteOn();
    for (const partition of this.partitions) {
      this.#shrink(partition);
      this.#move(partition);
      this.#elect(partition);
    }
    this.#minimums.follow(this.topics.values(), (partition) => this.left(partition, []));
    if (!this.isFetchHeld) this.#catchUp();
  }

  /** The lowest three that are fit; with fewer than three, whoever votes goes on voting. */
  #voteOn(): void {
    const fit = [...this.registrations.values()]
      .filter(({ id, isCordoned }) => this.isLive(id) && !isCordoned)
      .sort((left, right) => left.id - right.id)
      .slice(0, 3);
    const isSame = fit.every(({ id, directoryId }) => this.#voters.get(id) === directoryId);
    if (fit.length < 3 || (isSame && this.#voters.size === 3)) return;
    this.#voters.clear();
    for (const { id, directoryId } of fit) this.#voters.set(id, directoryId);
    if (this.#controller !== null && !this.#voters.has(this.#controller)) this.#controller = null;
  }

  #shrink(partition: Partition): void {
    const live = partition.syncSet.filter((id) => this.isLive(id));
    // The last one is kept: it alone knows what is committed.
    if (live.length > 0) partition.syncSet = live;
    else partition.syncSet = partition.syncSet.slice(0, 1);
  }

  #move(partition: Partition): void {
    const leaving = partition.replicas.findIndex(
      (id) => this.registrations.get(id)?.isCordoned === true,
    );
    const [target] = [...this.registrations.values()].filter(
      ({ id, isCordoned }) => !isCordoned && this.isLive(id) && !partition.replicas.includes(id),
    );
    if (leaving >= 0 && target !== undefined)
      partition.replicas = partition.replicas.with(leaving, target.id);
    const isWhole = partition.replicas.every((id) => partition.syncSet.includes(id));
    if (isWhole)
      partition.syncSet = partition.syncSet.filter((id) => partition.replicas.includes(id));
  }

  #elect(partition: Partition): void {
    const { leader, syncSet, replicas } = partition;
    const canLead = (id: number): boolean => syncSet.includes(id) && this.isLive(id);
    const isWilling = (id: number): boolean => this.registrations.get(id)?.isStopping === false;
    const [preferred] = replicas;
    if (leader === null || !canLead(leader)) {
      const next = syncSet.find((id) => canLead(id) && isWilling(id)) ?? syncSet.find(canLead);
      partition.leader = next ?? null;
    } else if (
      preferred !== undefined &&
      leader !== preferred &&
      canLead(preferred) &&
      isWilling(preferred)
    ) {
      const fitMs = this.registrations.get(preferred)?.fitMs ?? 0;
      if (this.#time.monotonicMs - fitMs > LEADERSHIP_BACK_MS) partition.leader = preferred;
    }
  }

  /** Followers fetch what they lack and join S. */
  #catchUp(): void {
    for (const partition of this.partitions) {
      const { leader, replicas, syncSet } = partition;
      if (leader === null || !this.isLive(leader) || this.#random() < 0.4) continue;
      const behind = replicas.find((id) => this.isLive(id) && !syncSet.includes(id));
      const from = this.#processOf(leader)?.disk;
      const to = behind === undefined ? undefined : this.#processOf(behind)?.disk;
      if (behind === undefined || from === undefined || to === undefined) continue;
      to.ends.set(partition.name, from.ends.get(partition.name) ?? 0);
      partition.syncSet = [...syncSet, behind];
    }
  }

  #append(): void {
    for (const partition of this.partitions) {
      const { leader, syncSet, name } = partition;
      const isWhole = syncSet.every((id) => this.isLive(id));
      if (
        leader === null ||
        !isWhole ||
        syncSet.length < minOf(partition) ||
        !syncSet.includes(leader)
      )
        continue;
      const end = (this.#processOf(leader)?.disk.ends.get(name) ?? 0) + 1;
      for (const id of syncSet) this.#processOf(id)?.disk.ends.set(name, end);
      partition.acked = end;
    }
  }

  #checkRecords(): void {
    for (const { leader, name, acked } of this.partitions) {
      if (leader === null || !this.isLive(leader)) continue;
      const end = this.#processOf(leader)?.disk.ends.get(name) ?? 0;
      if (end < acked)
        this.#fault(`leader ${leader} of ${name} has ${end} records, ${acked} are acknowledged`);
    }
  }

  #drain(registered: Registration): void {
    registered.isStopping = true;
    for (const partition of this.partitions) {
      if (partition.leader !== registered.id) continue;
      partition.leader = null;
      this.#elect(partition);
    }
  }

  #prepareStop(id: number, epoch: number): unknown {
    const registered = this.#registered(id);
    if (registered.epoch !== epoch) throw new Refusal(`epoch ${epoch} of broker ${id} is over`);
    if (!this.isLive(id)) throw new Refusal(`broker ${id} is fenced`);
    this.#drain(registered);
    return {};
  }

  #remove(id: number): unknown {
    const registered = this.#registered(id);
    if (!registered.isFenced) throw new Refusal(`broker ${id} is not fenced`);
    if (this.#voters.has(id)) throw new Refusal(`broker ${id} votes`);
    if (this.#held(id).length > 0) throw new Refusal(`broker ${id} holds replicas`);
    this.registrations.delete(id);
    this.#removed.add(registered.directoryId);
    return {};
  }

  #partition(request: Record<string, unknown>): Partition {
    const topic = this.topics.get(request['topic'] as string);
    const found = topic?.partitions[request['partition'] as number];
    if (found === undefined) throw new Refusal('no such partition');
    return found;
  }

  #reassign(request: Record<string, unknown>): unknown {
    const replicas = request['replicas'] as number[];
    if (!replicas.every((id) => this.registrations.get(id)?.isCordoned === false))
      throw new Refusal('a broker that cannot be given replicas');
    this.#partition(request).replicas = [...replicas];
    return {};
  }

  #alter(request: Record<string, unknown>): unknown {
    const topic = this.topics.get(request['name'] as string);
    if (topic === undefined) throw new Refusal('no such topic');
    const config = Object.fromEntries(
      Object.entries(request['config'] as TopicConfig).filter(([, value]) => value !== undefined),
    ) as Partial<TopicConfig>;
    const { min, followsMin } = this.#minimums.altered(topic, config.minInSyncReplicas);
    const isRaised = min > (topic.config.minInSyncReplicas ?? 0);
    if (isRaised && topic.partitions.some((partition) => this.left(partition, []) < min))
      throw new Refusal(`a partition has fewer than ${min} in sync`);
    topic.followsMin = followsMin;
    const { commitMode, cleanup } = topic.config;
    const seen = this.#seen(config);
    topic.config = {
      ...{ ...topic.config, ...seen, ...merged(cleanup, seen.cleanup) },
      ...{ commitMode, minInSyncReplicas: min },
    };
    return {};
  }

  get #minimums(): Minimums {
    return new Minimums(this.featureLevel, this.#settings);
  }

  /** What brokers of this level read of a config: of what they do not know they see nothing. */
  #seen(config: Partial<TopicConfig>): Partial<TopicConfig> {
    const { cleanup: _, ...rest } = config;
    return this.featureLevel < 12 ? rest : config;
  }

  #plan(): unknown[] {
    const count = (id: number): number =>
      this.partitions.filter(({ replicas }) => replicas.includes(id)).length;
    const empty = [...this.registrations.values()].find(
      ({ id, isCordoned }) => this.isLive(id) && !isCordoned && count(id) === 0,
    );
    const partition = this.partitions.find(({ replicas }) => replicas.some((id) => count(id) > 1));
    const index = partition?.replicas.findLastIndex((id) => count(id) > 1) ?? -1;
    if (empty === undefined || partition === undefined || index < 0) return [];
    const { topic, number, replicas } = partition;
    return [
      { topic: topic.name, partition: number, from: replicas, to: replicas.with(index, empty.id) },
    ];
  }

  #describeCluster({ brokerId, disk }: BrokerProcess): unknown {
    const isMember = disk.clusterId !== '';
    return {
      clusterId: disk.clusterId,
      controller: isMember ? (this.#controller ?? undefined) : undefined,
      brokers: isMember ? this.#brokerMessages() : [],
      featureLevel: this.featureLevel,
      losses: [],
      answeredBy: brokerId,
      metadataIndex: 1,
      settings: this.#settings,
    };
  }

  #brokerMessages(): Broker[] {
    return [...this.registrations.values()]
      .sort((left, right) => left.id - right.id)
      .map(({ id, epoch, directoryId, rack, isFenced, isStopping, isCordoned }) => ({
        brokerId: id,
        host: '',
        port: 0,
        rack,
        brokerEpoch: epoch,
        directoryId,
        restartClass: RestartClass.RESTART_CLASS_CLEAN,
        fenced: isFenced,
        stopping: isStopping,
        voter: this.#voters.has(id),
        cordoned: isCordoned,
        unreachable: '',
        listeners: this.listenersOf(id),
        featureLevelMax: 1,
      }));
  }

  #describeBroker({ brokerId, epoch, podUid }: BrokerProcess): unknown {
    const replicas = this.partitions
      .filter(({ leader }) => leader === brokerId)
      .map((partition) => this.#ledReplica(partition));
    const options = this.options.get(podUid) ?? [];
    const self = { brokerId, brokerEpoch: epoch, version: '1' };
    return { ...self, replicas, options, freeBytes: 1_073_741_824 };
  }

  #ledReplica({ topic, number, name, leader, syncSet, acked }: Partition): ReplicaStatus {
    const logEnd =
      (leader === null ? undefined : this.#processOf(leader)?.disk.ends.get(name)) ?? 0;
    const isDeaf = leader !== null && this.deaf.has(leader);
    return {
      topicId: topic.id,
      topic: topic.name,
      partition: number,
      leading: true,
      leaderEpoch: isDeaf ? 0 : 1,
      logStart: 0,
      logEnd: this.isMarkHeld ? logEnd + 1 : logEnd,
      highWaterMark: Math.min(acked, logEnd),
      sizeBytes: 0,
      syncedOffset: 0,
      followers: syncSet
        .filter((id) => id !== leader)
        .map((brokerId) => ({
          brokerId,
          endOffset: logEnd,
          lagRecords: 0,
          lagMs: this.isMarkHeld ? 60_000 : 0,
          inSync: true,
        })),
      stopped: '',
    };
  }
}

export function minOf({ topic }: Partition): number {
  return topic.config.minInSyncReplicas ?? 1;
}
