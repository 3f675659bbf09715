/**
 * Brokers in this process, one log shared by all of them: enough of the service to be a client's
 * counterpart, with faults on demand.
 */
import { crc32 } from 'node:zlib';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  status,
} from '@grpc/grpc-js';
import type { ErrorCode } from '../../../base/errors.ts';
import {
  checkFrame,
  controlFrame,
  frameEpoch,
  frameLastOffset,
  frameLength,
  stampFrame,
  topicIdToBytes,
} from '../../../wire/batch/frame.ts';
import {
  AccessKind,
  AccessOperation,
  type GrantAccessRequest,
} from '../../../proto/gen/tidemark/v1/access.ts';
import {
  type ClusterSettings,
  AdminServiceService,
  type DescribeBrokerResponse,
} from '../../../proto/gen/tidemark/v1/admin.ts';
import type {
  DescribeSpreadResponse,
  PlannedMove,
} from '../../../proto/gen/tidemark/v1/balance.ts';
import type {
  ExplainPartitionRequest,
  ExplainPartitionResponse,
} from '../../../proto/gen/tidemark/v1/explain.ts';
import type { CrossedLoss } from '../../../proto/gen/tidemark/v1/losses.ts';
import {
  type FetchRequest,
  type FetchResponse,
  type ListOffsetsRequest,
  LogServiceService,
  type ProduceBatch,
  type ProduceRequest,
  type ProduceResponse,
  type ProduceResult,
} from '../../../proto/gen/tidemark/v1/log.ts';
import type { SetQuotaRequest } from '../../../proto/gen/tidemark/v1/quotas.ts';
import type { TrimTopicRequest } from '../../../proto/gen/tidemark/v1/trims.ts';
import {
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  ConsumeType,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { fail, wireError } from './fake-errors.ts';
import { FakeGroups } from './fake-groups.ts';
import { FakeQueueAdmin } from './fake-queue-admin.ts';
import { FakeMembers } from './fake-members.ts';
import { FakeOffsets } from './fake-offsets.ts';
import { FakeQueues } from './fake-queues.ts';

export const TOPIC = 'orders';
const TOPIC_ID = '00000000-0000-4000-8000-0000000000aa';
export const TOPIC_ID_BYTES = topicIdToBytes(TOPIC_ID);

const RULE = {
  principal: 'token:ops',
  resource: { kind: AccessKind.ACCESS_KIND_TOPIC, name: 'orders' },
  operations: [AccessOperation.ACCESS_OPERATION_READ],
  given: [],
};

const OF_TOPICS: ReadonlySet<string> = new Set(['reassignPartition', 'electLeader', 'alterTopic']);

interface StoredBatch {
  readonly producerId: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: number;
}

/** One partition: its log and what the leader remembers of producers. */
export class FakePartition {
  leader: number | undefined;
  /** What unclean elections reported; told as brokers tell it. */
  losses: { readonly leaderEpoch: number; readonly fromOffset: number }[] = [];
  leaderEpoch = 1;
  end = 0;
  logStart = 0;
  syncSet = [1, 2, 3];
  partitionEpoch = 1;
  adding: number[] = [];
  removing: number[] = [];
  /** Ends of followers' logs that are behind. */
  readonly followerEnds = new Map<number, number>();
  frames: Uint8Array[] = [];
  deletions = {};
  readonly producers = new Map<number, StoredBatch[]>();

  constructor(leader: number) {
    this.leader = leader;
  }
}

interface FakePosition {
  offset: number;
  leaderEpoch: number;
  isTold: boolean;
}

/** What the fake does with a batch instead of taking it. */
export type Fault =
  | { readonly kind: 'refuse'; readonly code: ErrorCode }
  /** Appended, then answered with this error: the client cannot know. */
  | { readonly kind: 'append-then-refuse'; readonly code: ErrorCode }
  /** Appended, and the stream is torn before the answer. */
  | { readonly kind: 'append-then-drop' }
  | { readonly kind: 'drop' }
  /** Neither appended nor answered. */
  | { readonly kind: 'swallow' };

/** A batch that arrived. */
export interface Arrival {
  readonly broker: number;
  readonly partition: number;
  readonly producerId: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly frame: Uint8Array;
}

export class FakeCluster {
  readonly partitions: FakePartition[];
  readonly arrivals: Arrival[] = [];
  /**
   * Taken from the front, one for each batch that arrives; undefined entries let a batch through.
   */
  faults: (Fault | undefined)[] = [];
  /** Batches of this partition are kept, unanswered, until {@link releaseHeld}. */
  isHolding = false;
  windowBytes = 8 * 1024 * 1024;
  isLogKept = true;
  initProducerCalls = 0;
  /** Nobody is given an id. */
  refusesProducers: ErrorCode | null = null;
  /** What a broker that was told to stop still leads. */
  leadersLeft = 0;
  /** Frames are damaged on the way out so many times. */
  damages = 0;
  subscriptions: {
    readonly broker: number;
    readonly partition: number;
    readonly offset: number;
    readonly leaderEpoch: number;
  }[] = [];
  fetchError: ErrorCode | undefined;
  /** Changes that were asked for, in order. */
  readonly adminCalls: { readonly method: string; readonly request: unknown }[] = [];
  plan: PlannedMove[] = [];
  spread: DescribeSpreadResponse = { spanning: 2, faults: [], faultsTotal: 0 };
  featureLevel = 1;
  moveBytesPerSecond = -1;
  readonly cordoned = new Set<number>();
  /** Brokers without an address for whoever comes by this listener. */
  readonly unreachable = new Set<number>();
  /** What brokers report, asked for anew at each call; those without a report answer an error. */
  readonly reports = new Map<number, () => DescribeBrokerResponse>();
  /** What brokers remember of any partition; those without a memory answer an error. */
  readonly memories = new Map<number, ExplainPartitionResponse>();
  /** Fetch streams that clients have open. */
  openFetches = 0;
  /** Bytes of frames sent to consumers. */
  fetchedBytes = 0;
  hasTopic = true;
  isCompacted = false;
  minimum: { readonly follows: boolean; readonly wanted?: number | undefined } = { follows: false };
  /** As look-ups tell it. */
  topicId = TOPIC_ID;
  /** Brokers that answer no look-up. */
  readonly silent = new Set<number>();
  /** Offsets below what is asked that a trim leaves, as the rest of a batch. */
  keptWhole = 0;
  /** Questions to those that are silent. */
  unanswered = 0;
  readonly offsets = new FakeOffsets(() => this.partitions);
  readonly groups = new FakeGroups(fail, (code) => wireError(code));
  readonly queueAdmin = new FakeQueueAdmin(fail);
  /** Started by whoever tests them. */
  readonly members = new FakeMembers({
    topics: () => [{ name: TOPIC, topicId: this.topicId, partitions: this.partitions.length }],
    cursorOf: (group, partition) => this.groups.cursors.get(group)?.get(partition),
    putCursor: (group, cursor) => this.groups.put(group, cursor),
    error: (code) => wireError(code),
    refuse: (call, code) => fail((error) => call.emit('error', error), code),
  });
  /** Started by whoever tests them. */
  readonly queues = new FakeQueues({
    topicId: TOPIC_ID_BYTES,
    error: (code) => wireError(code),
    refuse: (call, code) => fail((error) => call.emit('error', error), code),
  });
  readonly #servers = new Map<number, Server>();
  readonly #ports = new Map<number, number>();
  readonly #held: (() => void)[] = [];
  readonly #watchers = new Set<() => void>();
  #nextProducerId = 100;

  constructor(partitions = 1) {
    this.partitions = Array.from(
      { length: partitions },
      (_, index) => new FakePartition(1 + (index % 3)),
    );
  }

  /** One more, led by broker 2. */
  addPartition(): void {
    this.partitions.push(new FakePartition(2));
  }

  /** Starts brokers 1 to `count`. */
  async start(count = 3): Promise<void> {
    for (let broker = 1; broker <= count; broker += 1) await this.startBroker(broker);
  }

  get servers(): string[] {
    return [...this.#ports.values()].map((port) => `127.0.0.1:${port}`);
  }

  async startBroker(broker: number): Promise<void> {
    const server = new Server({
      'grpc.max_receive_message_length': 16 * 1024 * 1024,
      'grpc-node.flow_control_window': 8 * 1024 * 1024,
    });
    server.addService(LogServiceService, {
      produce: (call: ServerDuplexStream<ProduceRequest, ProduceResponse>) =>
        this.#produce(broker, call),
      fetch: (call: ServerDuplexStream<FetchRequest, FetchResponse>) => this.#fetch(broker, call),
      listOffsets: ({ request }: { request: ListOffsetsRequest }, done: sendUnaryData<unknown>) =>
        this.offsets.answer(request, done),
      initProducer: (_call: unknown, done: sendUnaryData<unknown>) => this.#initProducer(done),
    });
    server.addService(this.groups.definition, this.groups.handlers() as never);
    server.addService(this.queueAdmin.definition, this.queueAdmin.handlers() as never);
    server.addService(ConsumeServiceService, {
      consume: (call: ServerDuplexStream<ConsumeRequest, ConsumeResponse>) =>
        this.#consume(broker, call),
    });
    server.addService(AdminServiceService, {
      listTopics: ({ request }: { request: { names: string[] } }, done: sendUnaryData<unknown>) => {
        if (this.silent.has(broker)) this.unanswered += 1;
        else this.#listTopics(request.names, done);
      },
      describeCluster: (_call: unknown, done: sendUnaryData<unknown>) =>
        done(null, { ...this.#cluster(), answeredBy: broker }),
      deleteTopic: (_call: unknown, done: sendUnaryData<unknown>) => fail(done, 'UNKNOWN_TOPIC'),
      describeBroker: (
        { request }: { request: { brokerId: number } },
        done: sendUnaryData<unknown>,
      ) => {
        const report = this.reports.get(request.brokerId);
        if (report === undefined) fail(done, 'UNKNOWN_BROKER');
        else done(null, report());
      },
      explainPartition: (
        { request }: { request: ExplainPartitionRequest },
        done: sendUnaryData<unknown>,
      ) => {
        const memory = this.memories.get(request.brokerId ?? broker);
        if (request.topic !== TOPIC) fail(done, 'UNKNOWN_TOPIC');
        else if (memory === undefined) fail(done, 'UNKNOWN_BROKER');
        else done(null, memory);
      },
      trimTopic: ({ request }: { request: TrimTopicRequest }, done: sendUnaryData<unknown>) =>
        this.#trim(request, done),
      ...this.#changes(),
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(
        `127.0.0.1:${this.#ports.get(broker) ?? 0}`,
        ServerCredentials.createInsecure(),
        (error, bound) => (error === null ? resolve(bound) : reject(error)),
      );
    });
    this.#servers.set(broker, server);
    this.#ports.set(broker, port);
  }

  /** As SIGKILL: every connection resets. */
  killBroker(broker: number): void {
    this.#servers.get(broker)?.forceShutdown();
    this.#servers.delete(broker);
  }

  /** A new leader with the next epoch, which opens with a control batch. */
  elect(partition: number, leader: number): void {
    const one = this.partitions[partition]!;
    one.leader = leader;
    one.leaderEpoch += 1;
    const control = {
      brokerId: leader,
      dataEnd: 0,
      leaderEpoch: one.leaderEpoch,
      timestampMs: 1,
    };
    this.#store(partition, controlFrame(control, crc32));
  }

  stop(): void {
    this.members.stop();
    this.queues.stop();
    for (const broker of [...this.#servers.keys()]) this.killBroker(broker);
  }

  releaseHeld(): void {
    this.isHolding = false;
    for (const release of this.#held.splice(0)) release();
  }

  /** Appends a frame as another client would. */
  append(partition: number, frame: Uint8Array): void {
    this.#store(partition, frame);
  }

  /** A broker that a reassignment brings has everything: in S, and the others gone. */
  finishMove(index: number, replicas: number[]): void {
    const partition = this.partitions[index]!;
    partition.syncSet = replicas;
    partition.partitionEpoch += 1;
    for (const watcher of this.#watchers) watcher();
  }

  /** A follower has come as far as the leader. */
  catchUp(index: number, follower: number): void {
    this.partitions[index]!.followerEnds.delete(follower);
    for (const watcher of this.#watchers) watcher();
  }

  /** The first message says whether it is of a group or of a queue. */
  #consume(broker: number, call: ServerDuplexStream<ConsumeRequest, ConsumeResponse>): void {
    call.on('error', () => undefined);
    call.once('data', (first: ConsumeRequest) => {
      const { message } = first;
      if (message?.$case !== 'open') return;
      if (message.value.type === ConsumeType.CONSUME_TYPE_QUEUE) {
        this.queues.handle(broker, call, message.value);
        return;
      }
      this.members.handler(broker)(call);
      call.emit('data', first);
    });
  }

  #changes(): Record<string, unknown> {
    const taken = (method: string, answer: (request: never) => unknown) => [
      method,
      ({ request }: { request: never }, done: sendUnaryData<unknown>) => {
        const { topicId, ...rest } = request as { readonly topicId?: Uint8Array };
        // Whoever means a topic says which.
        const namesTopic = OF_TOPICS.has(method);
        if (namesTopic && !TOPIC_ID_BYTES.every((byte, at) => byte === topicId?.[at])) {
          fail(done, 'INVALID_ARGUMENT');
          return;
        }
        this.adminCalls.push({ method, request: rest });
        done(null, answer(request));
      },
    ];
    return Object.fromEntries([
      taken(
        'reassignPartition',
        ({ partition, replicas }: { partition: number; replicas: number[] }) => ({
          partition: {
            ...this.#partition(partition),
            adding: replicas.filter((id) => id > 3),
            removing: [],
          },
        }),
      ),
      taken('electLeader', ({ target, unclean }: { target?: number; unclean: boolean }) => ({
        leader: unclean ? undefined : target,
        leaderEpoch: 7,
      })),
      taken('decommission', ({ brokerId }: { brokerId: number }) => {
        this.cordoned.add(brokerId);
        return { replicasLeft: 2 };
      }),
      taken('recommission', ({ brokerId }: { brokerId: number }) => {
        this.cordoned.delete(brokerId);
        return {};
      }),
      taken('removeBroker', () => ({})),
      taken('prepareStop', () => ({
        leadersLeft: this.leadersLeft,
        reason: this.leadersLeft === 0 ? undefined : wireError('NOT_ENOUGH_REPLICAS'),
      })),
      taken('cancelStop', () => ({})),
      taken('setClusterSettings', ({ settings }: { settings: ClusterSettings }) => {
        this.moveBytesPerSecond = settings.moveBytesPerSecond ?? this.moveBytesPerSecond;
        return { settings };
      }),
      taken('alterTopic', () => ({ topic: this.#topic() })),
      taken('planRebalance', () => ({
        moves: this.plan,
        bytes: this.plan.reduce((sum, { bytes = 0 }) => sum + bytes, 0),
      })),
      taken('describeSpread', () => this.spread),
      taken('listAccess', () => ({ rules: [RULE], administrators: ['token:root'] })),
      taken('grantAccess', ({ rule }: GrantAccessRequest) => ({ rule })),
      taken('revokeAccess', () => ({ rule: RULE })),
      taken('checkAccess', () => ({ allowed: true, reason: 'a rule', rule: RULE, principal: 'x' })),
      taken('setQuota', ({ quota }: SetQuotaRequest) => ({ quota })),
      taken('deleteQuota', () => ({})),
      taken('listQuotas', () => ({
        quotas: [{ principal: 'token:ops', appendBytesPerSecond: 1024, readBytesPerSecond: -1 }],
        defaults: { principal: '', adminCallsPerSecond: 100 },
      })),
    ] as [string, unknown][]);
  }

  #cluster(): object {
    const brokers = [...this.#ports].map(([brokerId, port]) => ({
      brokerId,
      ...(this.unreachable.has(brokerId)
        ? { host: '', port: 0, unreachable: `broker ${brokerId} has no address here` }
        : { host: '127.0.0.1', port, unreachable: '' }),
      listeners: [],
      rack: `rack-${brokerId}`,
      brokerEpoch: brokerId,
      directoryId: '',
      restartClass: 2,
      fenced: !this.#servers.has(brokerId),
      stopping: false,
      voter: true,
      cordoned: this.cordoned.has(brokerId),
      featureLevelMax: 1,
    }));
    return {
      clusterId: 'fake',
      controller: 1,
      brokers,
      featureLevel: this.featureLevel,
      losses: [],
      answeredBy: 0,
      metadataIndex: 1,
      settings: {
        ...{ moveBytesPerSecond: this.moveBytesPerSecond, brokerOptions: {} },
        topicDefaults: { commitMode: 0, minInSyncReplicas: this.minimum.wanted },
      },
    };
  }

  #partition(index: number): object {
    const { leader, leaderEpoch, syncSet, partitionEpoch, adding, removing } =
      this.partitions[index]!;
    return {
      partition: index,
      replicas: [1, 2, 3, ...adding],
      syncSet,
      quorum: syncSet.length,
      leader,
      leaderEpoch,
      partitionEpoch,
      suspects: [],
      cannotLead: [],
      adding,
      removing,
      target: [],
    };
  }

  #topic(): object {
    return {
      ...{ name: TOPIC, topicId: this.topicId, replicationFactor: 3 },
      followsMinInSyncReplicas: this.minimum.follows,
      config: {
        commitMode: 1,
        minInSyncReplicas: 2,
        ...(this.isCompacted ? { cleanup: { cleanup: 2 } } : {}),
      },
      partitions: [...this.partitions.keys()].map((index) => this.#partition(index)),
    };
  }

  #listTopics(names: string[], done: sendUnaryData<unknown>): void {
    if (!this.hasTopic || names.some((name) => name !== TOPIC)) {
      fail(done, 'UNKNOWN_TOPIC');
      return;
    }
    done(null, { ...this.#cluster(), topics: [this.#topic()] });
  }

  /** A log begins where it is told, but for what {@link keptWhole} says. */
  #trim(request: TrimTopicRequest, done: sendUnaryData<unknown>): void {
    this.adminCalls.push({ method: 'trimTopic', request });
    const { partition, offset, topicId } = request;
    const one = this.partitions[partition]!;
    if (offset > one.end) return fail(done, 'OFFSET_OUT_OF_RANGE');
    one.logStart = Math.max(one.logStart, offset - this.keptWhole);
    done(null, { topicId, logStart: one.logStart });
  }

  #initProducer(done: sendUnaryData<unknown>): void {
    this.initProducerCalls += 1;
    if (this.refusesProducers !== null) return fail(done, this.refusesProducers);
    this.#nextProducerId += 1;
    done(null, { producerId: this.#nextProducerId, producerEpoch: 0 });
  }

  #produce(broker: number, call: ServerDuplexStream<ProduceRequest, ProduceResponse>): void {
    call.on('error', () => undefined);
    call.write({ results: [], windowBytes: this.windowBytes, batchBytes: 0 });
    let isTorn = false;
    call.on('data', ({ batches }: ProduceRequest) => {
      const results: ProduceResult[] = [];
      for (const batch of batches) {
        if (isTorn) return;
        const result = this.#take(broker, batch);
        if (result === 'drop') {
          isTorn = true;
          call.emit('error', { code: status.UNAVAILABLE, details: 'torn by the fake' });
        } else if (result !== undefined) {
          results.push(result);
        }
      }
      if (results.length === 0) return;
      if (this.isHolding)
        this.#held.push(() => call.write({ results, windowBytes: 0, batchBytes: 0 }));
      else call.write({ results, windowBytes: 0, batchBytes: 0 });
    });
    call.on('end', () => call.end());
  }

  #take(broker: number, batch: ProduceBatch): ProduceResult | 'drop' | undefined {
    const frame = Uint8Array.from(batch.frame);
    const header = checkFrame(frame, 0, crc32);
    const { producerId, baseSequence, recordCount } = header;
    if (this.isLogKept)
      this.arrivals.push({
        broker,
        partition: batch.partition,
        producerId,
        baseSequence,
        recordCount,
        frame: Uint8Array.from(frame),
      });
    const fault = this.faults.shift();
    if (fault?.kind === 'drop') return 'drop';
    if (fault?.kind === 'swallow') return undefined;
    if (fault?.kind === 'refuse') return refused(batch, fault.code);
    const result = this.#appendBatch(broker, batch, frame);
    if (fault?.kind === 'append-then-drop') return 'drop';
    return fault?.kind === 'append-then-refuse' ? refused(batch, fault.code) : result;
  }

  #appendBatch(broker: number, batch: ProduceBatch, frame: Uint8Array): ProduceResult {
    const partition = this.partitions[batch.partition]!;
    if (partition.leader !== broker) return refused(batch, 'NOT_LEADER', partition);
    const { producerId, baseSequence, recordCount } = checkFrame(frame, 0, crc32);
    const batches = partition.producers.get(producerId) ?? [];
    const original = batches.find((one) => one.baseSequence === baseSequence);
    if (original !== undefined)
      return answer(batch, original.baseOffset, partition.leaderEpoch, true);
    if (producerId !== 0) {
      const last = batches.at(-1);
      if (last === undefined && baseSequence !== 0) return refused(batch, 'UNKNOWN_PRODUCER');
      if (last !== undefined && last.baseSequence + last.recordCount !== baseSequence)
        return refused(batch, 'OUT_OF_ORDER_SEQUENCE');
    }
    const expectedOffset = batch.condition?.value.offset ?? partition.end;
    if (expectedOffset > partition.end) return refused(batch, 'OFFSET_NOT_AVAILABLE');
    if (expectedOffset < partition.end) return refused(batch, 'OFFSET_TAKEN');
    const baseOffset = this.#store(batch.partition, frame);
    if (producerId !== 0)
      partition.producers.set(
        producerId,
        [...batches, { producerId, baseSequence, recordCount, baseOffset }].slice(-5),
      );
    return answer(batch, baseOffset, partition.leaderEpoch, false);
  }

  #store(index: number, frame: Uint8Array): number {
    const partition = this.partitions[index]!;
    const baseOffset = partition.end;
    stampFrame(
      frame,
      0,
      {
        baseOffset,
        leaderEpoch: partition.leaderEpoch,
        topicIdBytes: TOPIC_ID_BYTES,
        partition: index,
      },
      crc32,
    );
    partition.end = frameLastOffset(frame, 0) + 1;
    if (this.isLogKept) partition.frames.push(frame);
    for (const watcher of this.#watchers) watcher();
    return baseOffset;
  }

  #fetch(broker: number, call: ServerDuplexStream<FetchRequest, FetchResponse>): void {
    this.openFetches += 1;
    call.once('close', () => (this.openFetches -= 1));
    const positions = new Map<number, FakePosition>();
    const near = new Set<number>();
    let credit = 0;
    let isOver = false;
    const push = (): void => {
      for (const [index, position] of positions) {
        const { leader, frames, logStart, syncSet, followerEnds } = this.partitions[index]!;
        const isServed = leader === broker || (near.has(index) && syncSet.includes(broker));
        const end = Math.min(
          this.partitions[index]!.end,
          followerEnds.get(broker) ?? Number.POSITIVE_INFINITY,
        );
        const one = { topicId: TOPIC_ID_BYTES, partition: index, highWaterMark: end, logStart };
        const isPast = isServed && position.offset > this.partitions[index]!.end;
        const refusal = isPast ? 'OFFSET_OUT_OF_RANGE' : isServed ? undefined : 'NOT_LEADER';
        const code = this.fetchError ?? refusal;
        if (code !== undefined) {
          positions.delete(index);
          this.fetchError = undefined;
          call.write({
            partitions: [
              {
                ...one,
                frames: new Uint8Array(0),
                losses: this.#crossed(index, position, Number.MAX_SAFE_INTEGER),
                error: wireError(code, leader === broker ? undefined : this.partitions[index]),
              },
            ],
          });
          continue;
        }
        // A broker tells its marks at once, also where there is nothing to read yet.
        if (!position.isTold && position.offset === end)
          call.write({
            partitions: [{ ...one, frames: new Uint8Array(0), losses: [], error: undefined }],
          });
        position.isTold = true;
        for (const frame of frames) {
          const last = frameLastOffset(frame, 0);
          if (isOver || credit <= 0 || last < position.offset || last >= end) continue;
          credit -= frame.length;
          this.fetchedBytes += frame.length;
          call.write({
            partitions: [
              {
                ...one,
                ...this.partitions[index]!.deletions,
                frames: this.#maybeDamaged(frame),
                losses: this.#crossed(index, position, frameEpoch(frame, 0)),
                error: undefined,
              },
            ],
          });
          position.offset = frameLastOffset(frame, 0) + 1;
          position.leaderEpoch = frameEpoch(frame, 0);
        }
      }
    };
    call.on('data', ({ subscribe, unsubscribe, creditBytes }: FetchRequest) => {
      credit += creditBytes;
      for (const { partition } of unsubscribe) positions.delete(partition);
      for (const { partition, offset, leaderEpoch, inSyncOnly } of subscribe) {
        if (inSyncOnly) near.add(partition);
        this.subscriptions.push({ broker, partition, offset, leaderEpoch });
        positions.set(partition, { offset, leaderEpoch, isTold: false });
      }
      push();
    });
    const end = (): void => {
      isOver = true;
      this.#watchers.delete(push);
    };
    call.on('error', end);
    call.on('cancelled', end);
    call.on('end', () => call.end());
    this.#watchers.add(push);
  }

  /** Reports between a position and an epoch, as brokers tell them. */
  #crossed(index: number, position: FakePosition, upToEpoch: number): CrossedLoss[] {
    const { frames, losses, end } = this.partitions[index]!;
    const epochs = frames.map((frame) => frameEpoch(frame, 0));
    const before = frames.findLastIndex((frame) => frameLastOffset(frame, 0) < position.offset);
    const since = position.leaderEpoch === 0 ? (epochs[before] ?? 0) : position.leaderEpoch;
    return losses
      .filter(({ leaderEpoch }) => leaderEpoch > since && leaderEpoch <= upToEpoch)
      .map(({ leaderEpoch, fromOffset }) => {
        const first = frames[epochs.findIndex((epoch) => epoch >= leaderEpoch)];
        const place = { topic: TOPIC, topicId: TOPIC_ID, partition: index, leaderEpoch };
        const report = { ...place, compacted: this.isCompacted };
        return {
          report: { ...report, leader: 1, fromOffset, atMs: 7 },
          toOffset: first === undefined ? end : checkFrame(first, 0, crc32).baseOffset,
        };
      });
  }

  #maybeDamaged(frame: Uint8Array): Uint8Array {
    if (this.damages === 0) return frame;
    this.damages -= 1;
    const damaged = Uint8Array.from(frame);
    damaged[frameLength(frame, 0) - 1]! ^= 1;
    return damaged;
  }
}

function refused(
  { batchId }: ProduceBatch,
  code: ErrorCode,
  partition?: FakePartition,
): ProduceResult {
  return {
    batchId,
    baseOffset: 0,
    leaderEpoch: 0,
    duplicate: false,
    error: wireError(code, partition),
  };
}

function answer(
  { batchId }: ProduceBatch,
  baseOffset: number,
  leaderEpoch: number,
  duplicate: boolean,
): ProduceResult {
  return { batchId, baseOffset, leaderEpoch, duplicate, error: undefined };
}
