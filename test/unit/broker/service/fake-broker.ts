/**
 * Brokers in memory behind real gRPC servers: logs as lists of stamped frames, one shared image,
 * nothing replicated.
 */
import { FairShares } from '../../../../broker/access/fair-shares.ts';
import type { CallOptions } from '../../../../wire/grpc/calls.ts';
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../../base/clock.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { crc32 } from 'node:zlib';

import { Client, credentials } from '@grpc/grpc-js';

import { BrokerError } from '../../../../base/errors.ts';
import { NO_BROKER, type PartitionKey, partitionKey } from '../../../../base/units.ts';
import { AccessRules, type Rights } from '../../../../broker/access/rules.ts';
import { CLUSTER_SETTINGS_DEFAULTS } from '../../../../broker/metadata/apply.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../broker/metadata/config.ts';
import type {
  ControllerReply,
  Decision,
  ControllerRequest,
} from '../../../../broker/metadata/controller-types.ts';
import {
  LEVEL_OF_EXPECTED_ENDS,
  LEVEL_OF_TRIMS,
  requireLevel,
} from '../../../../broker/metadata/features.ts';
import { planRebalance, type RebalancePlan } from '../../../../broker/metadata/rebalance.ts';
import type { DisruptionVerdict, StopVeto } from '../../../../broker/metadata/safety.ts';
import { reportSpread, type SpreadFault } from '../../../../broker/metadata/spread.ts';
import type {
  BrokerState,
  MetadataImage,
  TopicConfig,
  TopicState,
} from '../../../../broker/metadata/types.ts';
import { ChannelPool } from '../../../../broker/network/channel-pool.ts';
import { GrpcServer } from '../../../../broker/network/grpc-server.ts';
import type {
  AckLevel,
  AppendResult,
  AppendTerms,
  ExpectedEnd,
} from '../../../../broker/replication/types.ts';
import type {
  BrokerApi,
  BrokerPhase,
  GroupsApi,
  QueuesApi,
  BrokerReport,
  Explanation,
  NamedDecision,
  ReplicaMarks,
  ReplicaRead,
} from '../../../../broker/runtime/api.ts';
import { NO_PASSES } from '../../../../broker/runtime/partitions/compactor.ts';
import {
  type CrossedLoss,
  crossedLosses,
  type ReaderWay,
} from '../../../../broker/runtime/partitions/crossed-losses.ts';
import type { NodeInfo } from '../../../../broker/runtime/ports.ts';
import {
  addMembersService,
  addPublicServices,
  publicServices,
} from '../../../../broker/service/public-services.ts';
import { type OwnedQueues, OWNS_NO_QUEUES } from '../../../../broker/service/queues/owned.ts';
import {
  checkFrame,
  endOffsetOf,
  stampFrame,
  topicIdToBytes,
} from '../../../../wire/batch/frame.ts';
import { CHANNEL_OPTIONS } from '../../../../wire/grpc/transport.ts';

export const TOPIC_ID = '22222222-2222-4222-8222-222222222222';
const CLUSTER_ID = '11111111-1111-4111-8111-111111111111';

export const CONFIG: TopicConfig = {
  ...TOPIC_CONFIG_DEFAULTS,
  minInSyncReplicas: 1,
  commitMode: 'in-sync',
  retentionMs: -1,
  retentionBytes: -1,
  segmentBytes: 1 << 20,
  segmentMs: 1000,
  batchBytesMax: 1 << 20,
  uncleanElection: false,
};

interface FakeLog {
  readonly frames: Uint8Array[];
  end: number;
  /** Sequence that each producer must send next. */
  readonly sequences: Map<number, number>;
  /** Offsets by producer and sequence. */
  readonly known: Map<string, number>;
}

/** A broker as metadata has it: registered, in service, its epoch ten above its id. */
export function brokerState(brokerId: number, port: number): BrokerState {
  return {
    brokerId,
    brokerEpoch: brokerId + 10,
    directoryId: `00000000-0000-4000-8000-00000000000${brokerId}`,
    host: '127.0.0.1',
    port,
    rack: 'a',
    restartClass: 'clean',
    fenced: false,
    stopping: false,
    cordoned: false,
    unfencedEpoch: 1,
    featureLevelMax: 1,
  };
}

/** What all brokers of a test agree on. */
export class FakeCluster {
  readonly brokers = new Map<number, FakeBroker>();
  readonly defects: unknown[] = [];
  image: MetadataImage = {
    clusterId: CLUSTER_ID,
    featureLevel: 1,
    settings: CLUSTER_SETTINGS_DEFAULTS,
    index: 1,
    term: 1,
    brokers: new Map(),
    lastBrokerEpoch: 0,
    topics: new Map(),
    topicIdsByName: new Map(),
    nextProducerId: 1,
    namedProducers: new Map(),
    forgottenNames: { idMax: 0, epochMax: 0 },
    hours: 0,
    access: new Map(),
    quotas: new Map(),
    queues: new Map(),
    queueIdsByName: new Map(),
    losses: [],
    removedDirectories: [],
    replacedDirectories: [],
  };
  nextProducerId = 100;
  decide: ((request: ControllerRequest) => Decision) | null = null;
  /** What a leader makes of a trim. */
  trim: (brokerId: number, partition: number, offset: number) => Promise<number> = (
    _brokerId,
    _partition,
    offset,
  ) => Promise.resolve(offset);
  readonly #clients: Client[] = [];
  readonly #stops: (() => Promise<void>)[] = [];

  /** The controller's answer to what metadata shows a moment later. */
  decided<Reply extends ControllerReply>(reply: Reply, show: () => void): Decision {
    setImmediate(show);
    return { ...reply, metadataIndex: this.image.index + 1 };
  }

  async add(brokerId: number): Promise<FakeBroker> {
    const broker = new FakeBroker(this, brokerId);
    const server = new GrpcServer();
    const channels = new ChannelPool(systemClock);
    const services = publicServices({
      broker,
      dial: (address, lane, id) => channels.dial(address, lane, id),
      version: '1.2.3',
      newUuid: randomUUID,
      traffic: broker,
      report: (error) => this.defects.push(error),
      owned: {
        describe: (queueId, partitions) => broker.owned.describe(queueId, partitions),
        freeKey: (queueId, partition, offset) => broker.owned.freeKey(queueId, partition, offset),
      },
    });
    addPublicServices(server, services);
    addMembersService(server, services);
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    broker.port = port;
    this.brokers.set(brokerId, broker);
    const state = brokerState(brokerId, port);
    this.change({ brokers: new Map([...this.image.brokers, [brokerId, state]]) });
    this.#stops.push(async () => {
      services.close();
      channels.close();
      await server.close(0);
    });
    return broker;
  }

  /** Sets the leaders of topic "events", one for each partition. */
  lead(leaders: readonly number[], epoch = 1): void {
    const partitions = leaders.map((leader, partition) => ({
      partition,
      replicas: [...this.brokers.keys()],
      syncSet: [...this.brokers.keys()],
      quorum: 1,
      leader,
      leaderEpoch: epoch,
      partitionEpoch: epoch,
      suspects: [],
      uncleanEpoch: 0,
      cannotLead: [],
      adding: [],
      removing: [],
      successor: NO_BROKER,
    }));
    this.put({
      topicId: TOPIC_ID,
      name: 'events',
      replicationFactor: 1,
      config: CONFIG,
      partitions,
    });
  }

  put(topic: TopicState): void {
    this.change({
      topics: new Map([...this.image.topics, [topic.topicId, topic]]),
      topicIdsByName: new Map([...this.image.topicIdsByName, [topic.name, topic.topicId]]),
    });
  }

  change(part: Partial<MetadataImage>): void {
    this.image = { ...this.image, ...part, index: this.image.index + 1 };
    for (const broker of this.brokers.values()) broker.wakeAll();
  }

  client(broker: FakeBroker): Client {
    const client = new Client(
      `127.0.0.1:${broker.port}`,
      credentials.createInsecure(),
      CHANNEL_OPTIONS,
    );
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.#stops.map((stop) => stop()));
  }
}

export class FakeBroker implements BrokerApi {
  clock: Clock = systemClock;
  readonly brokerId: number;
  readonly #cluster: FakeCluster;
  port = 0;
  produceWindowBytes = 1 << 20;
  readonly shares = new FairShares();
  readonly clusterWallMs = (): number => this.clock.wallMs();
  stopsCancelled = 0;
  veto: StopVeto | null = null;
  /** Takes an append's place when set; null hands it on to the log. */
  intercept: ((frame: Uint8Array, done: (result: AppendResult) => void) => boolean) | null = null;
  /** Frames of every append, in order. */
  readonly appends: {
    readonly partition: number;
    readonly ack: AckLevel;
    readonly producerId: number;
    readonly baseSequence: number;
    readonly recordCount: number;
    readonly expectedEnd?: ExpectedEnd | undefined;
  }[] = [];
  /** What it remembers of any partition. */
  explanation: Explanation = { summary: '', refusal: '', decisions: [], rememberedFrom: 0 };
  controls = false;
  /** A trim is not committed yet. */
  isTrimming = false;
  /** What it has seen decided. */
  decided: NamedDecision[] = [];
  readonly logs = new Map<string, FakeLog>();
  readsFromDisk = false;
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #imageWatchers = new Set<() => void>();

  constructor(cluster: FakeCluster, brokerId: number) {
    this.#cluster = cluster;
    this.brokerId = brokerId;
  }

  administrators: readonly string[] = [];
  rightsOf(principal: string): Rights {
    return new AccessRules(this.image().access.values(), this.administrators).rightsOf(principal);
  }

  appended(): void {}
  appendTimes() {
    return { boundsUs: [], counts: [] };
  }
  fetched(): void {}

  log(partition: number): FakeLog {
    const key = partitionKey(TOPIC_ID, partition);
    let log = this.logs.get(key);
    if (log === undefined) {
      log = { frames: [], end: 0, sequences: new Map(), known: new Map() };
      this.logs.set(key, log);
    }
    return log;
  }

  wakeAll(): void {
    for (const watchers of this.#watchers.values()) for (const wake of [...watchers]) wake();
    for (const wake of [...this.#imageWatchers]) wake();
  }

  phase(): BrokerPhase {
    return 'serving';
  }

  /** What it coordinates; null: it has no answer. */
  coordinates: GroupsApi | null = null;
  groups(): GroupsApi {
    if (this.coordinates === null) throw new BrokerError('BROKER_NOT_READY', 'no groups here');
    return this.coordinates;
  }

  /** What it owns of queues; null: it has no answer. */
  owns: QueuesApi | null = null;
  queues(): QueuesApi {
    if (this.owns === null) throw new BrokerError('BROKER_NOT_READY', 'no queues here');
    return this.owns;
  }

  /** What it owns of queues. */
  owned: OwnedQueues = OWNS_NO_QUEUES;

  isInformed(): boolean {
    return true;
  }

  nodeInfo(): NodeInfo {
    const [controller = NO_BROKER] = this.#cluster.brokers.keys();
    return {
      brokerId: this.brokerId,
      directoryId: '',
      clusterId: CLUSTER_ID,
      brokerEpoch: this.brokerId + 10,
      controller,
      controllerAddress: null,
    };
  }

  image(): MetadataImage {
    return this.#cluster.image;
  }

  report(): BrokerReport {
    const isLeader = this.nodeInfo().controller === this.brokerId;
    const peer = { brokerId: this.brokerId, directoryId: 'd' };
    const raft = {
      role: isLeader ? 'leader' : 'follower',
      term: 3,
      leader: peer,
      commitIndex: 9,
      lastIndex: 9,
      durableIndex: 9,
      snapshotIndex: 0,
      voters: [peer],
      areVotersCommitted: true,
      isLeaderReady: true,
      logBytes: 0,
      progress: [],
    } as const;
    return {
      phase: 'serving',
      restartClass: 'warm',
      restartReason: 'same boot',
      replicas: [],
      freeBytes: 5.5,
      totalBytes: 100,
      diskFault: null,
      flushAgeMs: 1.4,
      stuckWriteMs: 0,
      uptimeMs: 10.6,
      raft,
      metadataFault: null,
      clockSkewMs: -12.4,
      clockDoubt: null,
      compactions: NO_PASSES,
      options: [{ name: 'log-level', value: 'debug', source: 'cluster', isLive: true }],
    };
  }

  bootstrap(): Promise<{ readonly directoryId: string }> {
    return Promise.reject(new BrokerError('CLUSTER_EXISTS', 'Already'));
  }

  async decide(request: ControllerRequest): Promise<Decision> {
    if (this.#cluster.decide !== null) return this.#cluster.decide(request);
    if (request.kind !== 'init-producer') throw new BrokerError('REFUSED', 'No');
    this.#cluster.nextProducerId += 1;
    return { kind: 'init-producer', producerId: this.#cluster.nextProducerId, producerEpoch: 0 };
  }

  requireExpectedEnds(): void {
    requireLevel(this.image(), LEVEL_OF_EXPECTED_ENDS, 'append at an expected end');
  }

  async trim(_topicId: string, partition: number, offset: number): Promise<number> {
    requireLevel(this.image(), LEVEL_OF_TRIMS, 'trim a log');
    return this.#cluster.trim(this.brokerId, partition, offset);
  }

  append(
    _topicId: string,
    partition: number,
    frame: Uint8Array,
    { ack, expectedEnd }: AppendTerms,
    done: (result: AppendResult) => void,
  ): void {
    const header = checkFrame(frame, 0, crc32);
    const { producerId, baseSequence, recordCount } = header;
    this.appends.push({ partition, ack, producerId, baseSequence, recordCount, expectedEnd });
    if (this.intercept?.(frame, done) === true) return;
    done(this.write(partition, frame));
  }

  /** Appends as a leader would: role, sequence, stamp. */
  write(partition: number, frame: Uint8Array): AppendResult {
    const header = checkFrame(frame, 0, crc32);
    const { producerId, baseSequence, recordCount } = header;
    const { leaderEpoch } = this.#led(partition);
    const log = this.log(partition);
    if (producerId !== 0) {
      const duplicateAt = log.known.get(`${producerId}/${baseSequence}`);
      if (duplicateAt !== undefined)
        return {
          ok: true,
          baseOffset: duplicateAt,
          lastOffset: duplicateAt,
          leaderEpoch,
          isDuplicate: true,
        };
      const expectedSequence = log.sequences.get(producerId) ?? 0;
      if (baseSequence !== expectedSequence)
        return {
          ok: false,
          error: new BrokerError(
            'OUT_OF_ORDER_SEQUENCE',
            `is ${baseSequence}, must be ${expectedSequence}`,
          ),
        };
      log.sequences.set(producerId, baseSequence + recordCount);
      log.known.set(`${producerId}/${baseSequence}`, log.end);
    }
    const baseOffset = log.end;
    stampFrame(
      frame,
      0,
      { baseOffset, leaderEpoch, topicIdBytes: topicIdToBytes(TOPIC_ID), partition },
      crc32,
    );
    log.frames.push(frame);
    log.end += recordCount;
    for (const wake of [...(this.#watchers.get(partitionKey(TOPIC_ID, partition)) ?? [])]) wake();
    return { ok: true, baseOffset, lastOffset: log.end - 1, leaderEpoch, isDuplicate: false };
  }

  read(
    topicId: string,
    partition: number,
    position: { readonly offset: number; readonly bytesMax: number },
  ): ReplicaRead | Promise<ReplicaRead> {
    this.#led(partition);
    const log = this.log(partition);
    if (position.offset > log.end)
      throw new BrokerError('OFFSET_OUT_OF_RANGE', 'beyond', { logStart: 0, logEnd: log.end });
    const chunks: Uint8Array[] = [];
    let nextOffset = position.offset;
    let bytes = 0;
    for (const frame of log.frames) {
      const header = checkFrame(frame, 0, crc32);
      const end = endOffsetOf(header);
      if (end <= position.offset) continue;
      if (chunks.length > 0 && bytes + frame.length > position.bytesMax) break;
      chunks.push(frame);
      bytes += frame.length;
      nextOffset = end;
    }
    const deletions = { compactedTo: 0, tombstonesBelow: 0 };
    const read = { chunks, nextOffset, marks: this.marks(topicId, partition), deletions };
    return this.readsFromDisk ? Promise.resolve(read) : read;
  }

  crossedLosses(topicId: string, partition: number, way: ReaderWay): readonly CrossedLoss[] {
    const headers = this.log(partition).frames.map((frame) => checkFrame(frame, 0, crc32));
    return crossedLosses(
      this.image().losses.filter(
        (loss) => loss.topicId === topicId && loss.partition === partition,
      ),
      way,
      {
        logEnd: this.log(partition).end,
        epochBefore: (offset) =>
          headers.findLast(({ baseOffset }) => baseOffset < offset)?.leaderEpoch ?? 0,
        endOf: (epoch) =>
          headers.find(({ leaderEpoch }) => leaderEpoch > epoch)?.baseOffset ??
          this.log(partition).end,
      },
    );
  }

  watch(topicId: string, partition: number, callback: () => void): () => void {
    const key = partitionKey(topicId, partition);
    if (this.image().topics.get(topicId)?.partitions[partition] === undefined)
      throw new BrokerError('UNKNOWN_TOPIC', 'No such partition here');
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(callback));
    return () => void watchers.delete(callback);
  }

  /** Watches that nobody cancelled. */
  watchCount(): number {
    return [...this.#watchers.values()].reduce((sum, { size }) => sum + size, 0);
  }

  marks(_topicId: string, partition: number): ReplicaMarks {
    const { leader, leaderEpoch } = this.image().topics.get(TOPIC_ID)!.partitions[partition]!;
    const { end } = this.log(partition);
    return {
      isLeader: leader === this.brokerId,
      leader,
      leaderEpoch,
      logStart: 0,
      highWaterMark: end,
      latest: end,
      earliest: this.isTrimming ? null : 0,
    };
  }

  async offsetForTimestamp(
    _topicId: string,
    partition: number,
    timestampMs: number,
    fromOffset: number,
  ): Promise<number | null> {
    const found = this.log(partition)
      .frames.map((frame) => checkFrame(frame, 0, crc32))
      .find((header) => header.maxTimestampMs >= timestampMs && endOffsetOf(header) > fromOffset);
    return found?.baseOffset ?? null;
  }

  watchImage(callback: () => void): () => void {
    this.#imageWatchers.add(callback);
    return () => void this.#imageWatchers.delete(callback);
  }

  stopVeto(): StopVeto | null {
    return this.veto;
  }

  checkDisruption(brokerIds: readonly number[]): DisruptionVerdict {
    const partition = {
      topicId: TOPIC_ID,
      topic: 'events',
      partition: 0,
      blocksWrites: true,
      losesLastCopy: false,
      reasons: ['one left'],
    };
    return {
      isSafe: false,
      partitions: [partition],
      quorum: { losesQuorum: brokerIds.length > 1, votersLeft: 1, votersNeeded: 1, reason: '' },
    };
  }

  planRebalance(sizes: ReadonlyMap<PartitionKey, number>): RebalancePlan {
    return planRebalance(this.image(), sizes);
  }

  explain(): Explanation {
    return this.explanation;
  }

  isController(): boolean {
    return this.controls;
  }

  decisionsAfter(index: number): readonly NamedDecision[] {
    return this.decided.filter((decision) => decision.index > index);
  }

  spreadFaults(): readonly SpreadFault[] {
    return reportSpread(this.image());
  }

  cancelStop(): Promise<void> {
    this.stopsCancelled += 1;
    return Promise.resolve();
  }

  async prepareStop(): Promise<{ readonly leadersLeft: number; readonly reason: string }> {
    return { leadersLeft: 2, reason: `broker ${this.brokerId} alone` };
  }

  #led(partition: number): { readonly leaderEpoch: number } {
    const { isLeader, leader, leaderEpoch } = this.marks(TOPIC_ID, partition);
    if (!isLeader) throw new BrokerError('NOT_LEADER', 'Not me', { leader, leaderEpoch });
    return { leaderEpoch };
  }
}

/** Options of a call that may take so long. */
export function within(deadlineMs: number): CallOptions {
  return { deadlineMs, clock: systemClock };
}
