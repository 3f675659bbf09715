/**
 * A cluster of real broker processes on 127.0.0.1, formed as the launcher and the operator form
 * one: by one explicit call.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Admin, connect, type Tidemark } from '../../../client/index.ts';
import {
  AdminServiceService,
  type Broker,
  type Partition,
  type ReplicaStatus,
} from '../../../proto/gen/tidemark/v1/admin.ts';
import type { ClusterDescription, Topic, TopicConfig } from '../../../client/admin-types.ts';
import { BrokerProcess } from './broker-process.ts';
import { callAt } from './direct.ts';
import { freePorts } from './ports.ts';
import { type Found, type Note, waitFor, when } from './wait.ts';

/** How a cluster is started. */
export interface ClusterOptions {
  readonly brokers?: number;
  /** Options of every broker. */
  readonly args?: readonly string[];
  /** Further options of one broker. */
  readonly argsOf?: (brokerId: number, port: number, internalPort: number) => readonly string[];
  /** How many are started at once, those with the lowest ids; default: all. */
  readonly initially?: number;
  /**
   * Metadata voters that the cluster comes to have; default: one on each broker started at first.
   */
  readonly voters?: number;
  /** Name of each broker, under which all others know it; default: its address. */
  readonly hostOf?: (brokerId: number) => string;
  /** Beside the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** A shell's line that each broker's process runs first, such as a limit of its own. */
  readonly before?: string;
  /** Of the cluster's clients; default: no TLS. */
  readonly credentials?: ChannelCredentials;
  /** Of clients that {@link TestCluster.connect} makes, where they are not an administrator's. */
  readonly programs?: ChannelCredentials;
  /** The cluster's id; default: a new one. */
  readonly clusterId?: string;
  /** Where a broker keeps its data; default: below the cluster's temporary folder. */
  readonly dataDirOf?: (brokerId: number) => string | undefined;
}

/**
 * Shapes of a topic for tests: three copies, two of which must be in sync, unless stated otherwise.
 */
export interface TopicShape {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config?: Partial<TopicConfig>;
  readonly assignments?: readonly (readonly number[])[];
}

/** Offsets that a partition at rest holds: from the start, below the mark. */
export interface Held {
  readonly logStart: number;
  readonly highWaterMark: number;
}

const FORM_CALL_MS = 2_000;

export class TestCluster {
  readonly clusterId: string;
  /** Of clients; undefined: no TLS. */
  readonly credentials: ChannelCredentials | undefined;
  readonly folder = mkdtempSync(join(tmpdir(), 'tidemark-cluster-'));
  readonly brokers: readonly BrokerProcess[];
  readonly client: Tidemark;
  readonly admin: Admin;
  /** Brokers that are not expected to run: not started yet, or gone for good. */
  readonly #absent = new Set<number>();
  readonly #programs: ChannelCredentials | undefined;
  readonly #lastSeen = new Map<number, Broker>();
  readonly #voters: number;
  #topics = 0;

  private constructor(options: ClusterOptions, firstPort: number) {
    this.clusterId = options.clusterId ?? randomUUID();
    this.credentials = options.credentials;
    this.#programs = options.programs ?? options.credentials;
    const ids = Array.from({ length: options.brokers ?? 3 }, (_, index) => index + 1);
    const hostOf = options.hostOf ?? (() => '127.0.0.1');
    const internal = (id: number): string => `${hostOf(id)}:${firstPort + 2 * ids.length + id - 1}`;
    this.brokers = ids.map((brokerId, index) => {
      const dataDir = options.dataDirOf?.(brokerId) ?? join(this.folder, `broker-${brokerId}`);
      const args = [
        ...[
          '--id',
          `${brokerId}`,
          '--data',
          dataDir,
          '--listen',
          `${hostOf(brokerId)}:${firstPort + index}`,
        ],
        ...['--internal-listen', internal(brokerId), '--seeds', ids.map(internal).join(',')],
        ...['--rack', `rack-${brokerId}`],
        ...['--http-port', `${firstPort + ids.length + index}`],
        ...['--cluster-id', this.clusterId, ...(options.args ?? [])],
        ...(options.argsOf?.(brokerId, firstPort + index, firstPort + 2 * ids.length + index) ??
          []),
      ];
      const logFile = join(this.folder, `broker-${brokerId}.log`);
      const ports = {
        port: firstPort + index,
        httpPort: firstPort + ids.length + index,
        internalPort: firstPort + 2 * ids.length + index,
      };
      const { env = {}, before } = options;
      const host = hostOf(brokerId);
      return new BrokerProcess({
        ...{ brokerId, host, ...ports, dataDir, logFile, args, env, before },
      });
    });
    const initially = options.initially ?? ids.length;
    for (const id of ids.slice(initially)) this.#absent.add(id);
    this.#voters = options.voters ?? initially;
    this.client = this.#connect(options.credentials);
    this.admin = this.client.admin();
  }

  /** Starts the brokers, forms the cluster, and resolves when all of them are in service. */
  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    // For its clients, for its metrics, and for other brokers.
    const cluster = new TestCluster(options, await freePorts(3 * (options.brokers ?? 3)));
    try {
      for (const broker of cluster.present) broker.start();
      await cluster.#bootstrap();
      await cluster.waitFormed();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** The brokers that are expected to run, whether or not they do. */
  get present(): BrokerProcess[] {
    return this.brokers.filter(({ brokerId }) => !this.#absent.has(brokerId));
  }

  get servers(): string[] {
    return this.brokers.map(({ address }) => address);
  }

  broker(brokerId: number): BrokerProcess {
    const broker = this.brokers.find((one) => one.brokerId === brokerId);
    if (broker === undefined) throw new Error(`there is no broker ${brokerId}`);
    return broker;
  }

  /** All brokers that are expected to run, but these. */
  others(...ids: readonly number[]): BrokerProcess[] {
    return this.present.filter(({ brokerId }) => !ids.includes(brokerId));
  }

  /** A client with connections of its own. */
  connect(): Tidemark {
    return this.#connect(this.#programs);
  }

  /** Ends all processes and removes their data. Safe to call at any time, more than once. */
  async close(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()));
    await this.client.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts brokers that were absent and resolves when they are in service. */
  async join(...ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      this.#absent.delete(id);
      this.broker(id).start();
    }
    await this.waitServing();
  }

  /** Kills all at the same moment, and remembers their registrations for {@link restart}. */
  async killAll(): Promise<void> {
    const { brokers } = await this.describe();
    for (const broker of brokers) this.#lastSeen.set(broker.brokerId, broker);
    await Promise.all(this.present.map((broker) => broker.kill()));
  }

  /** Kills brokers that will not come back. */
  async lose(...ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#absent.add(id);
    await Promise.all(ids.map((id) => this.broker(id).kill()));
  }

  /** Stops brokers in order that will not come back. */
  async leave(...ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#absent.add(id);
    await Promise.all(ids.map((id) => this.broker(id).stop()));
  }

  /**
   * Creates a topic, under a name of its own, and waits until every partition has a leader and its
   * full sync set.
   */
  async createTopic(shape: TopicShape = {}): Promise<Topic> {
    const { partitions = 3, replicationFactor = 3, assignments = [], config = {} } = shape;
    this.#topics += 1;
    const created = await this.admin.createTopic({
      name: `topic-${this.#topics}`,
      partitions: assignments.length === 0 ? partitions : 0,
      replicationFactor: assignments.length === 0 ? replicationFactor : 0,
      config: { minInSyncReplicas: 2, ...config },
      assignments: assignments.map((replicas) => ({ replicas: [...replicas] })),
    });
    return this.waitInSync(created.name);
  }

  async describe(): Promise<ClusterDescription> {
    return this.admin.describeCluster();
  }

  /** Id of the controller. */
  controller(): Promise<number> {
    return this.wait('a controller', async (note) => {
      const cluster = await this.describe();
      note(cluster);
      return cluster.controller;
    });
  }

  /** Leader of a partition. */
  leader(topic: string, partition = 0): Promise<number> {
    return this.wait(`a leader of ${topic}/${partition}`, async (note) => {
      const found = await this.partition(topic, partition);
      note(found);
      return found.leader;
    });
  }

  async partition(topic: string, partition = 0): Promise<Partition> {
    const { partitions } = await this.admin.describeTopic(topic);
    const found = partitions.find((one) => one.partition === partition);
    if (found === undefined) throw new Error(`${topic} has no partition ${partition}`);
    return found;
  }

  /** A registered broker, as the cluster knows it. */
  async registered(brokerId: number): Promise<Broker> {
    const { brokers } = await this.describe();
    const found = brokers.find((one) => one.brokerId === brokerId);
    if (found === undefined) throw new Error(`broker ${brokerId} is not registered`);
    return found;
  }

  /** Moves leadership of a partition and resolves when it has moved. */
  async lead(topic: string, partition: number, brokerId: number): Promise<void> {
    await this.wait(`broker ${brokerId} to lead ${topic}/${partition}`, async (note) => {
      const { leader } = await this.partition(topic, partition);
      if (leader === brokerId) return true;
      note(`leader ${leader}`);
      await this.admin.electLeader({ topic, partition, target: brokerId });
      return undefined;
    });
    await this.wait(`the leaders of ${topic} to serve it`, async () =>
      when(await this.#isServed(await this.admin.describeTopic(topic))),
    );
  }

  /**
   * Whether every leader of a topic has opened its log. Metadata names a leader before that, and
   * whoever appends without retries meets NOT_LEADER or BROKER_NOT_READY.
   */
  async #isServed({ topicId, partitions }: Topic): Promise<boolean> {
    const leaders = [...new Set(partitions.flatMap(({ leader = [] }) => leader))];
    const answers = await Promise.all(leaders.map((id) => this.admin.describeBroker(id)));
    const led = answers
      .flatMap(({ replicas }) => replicas)
      .filter((replica) => replica.topicId === topicId && replica.leading);
    return new Set(led.map(({ partition }) => partition)).size === partitions.length;
  }

  /** Resolves when all brokers are in service and the metadata quorum has all of its voters. */
  async waitFormed(): Promise<void> {
    await this.waitServing();
    await this.wait(`${this.#voters} voters`, async (note) => {
      const { brokers } = await this.describe();
      note(brokers);
      return when(brokers.filter(({ voter }) => voter).length >= this.#voters);
    });
  }

  /**
   * After a test, however it ended: wakes what is paused and starts what is down, so that the next
   * test finds all brokers.
   */
  async restore(): Promise<void> {
    for (const broker of this.present) {
      broker.resume();
      if (!broker.isRunning) broker.start();
    }
    await this.waitFormed();
  }

  /** Resolves when all brokers are registered, later than in `after`, and unfenced. */
  async waitServing(after: ReadonlyMap<number, number> = new Map()): Promise<void> {
    await this.wait('all brokers in service', async (note) => {
      const { brokers } = await this.describe();
      note(brokers);
      const serving = brokers.filter(
        ({ fenced, stopping, brokerId, brokerEpoch }) =>
          !fenced && !stopping && brokerEpoch > (after.get(brokerId) ?? 0),
      );
      const ids = new Set(serving.map(({ brokerId }) => brokerId));
      return when(this.present.every(({ brokerId }) => ids.has(brokerId)));
    });
  }

  /**
   * Starts brokers that are down and resolves, when they are in service again, to their
   * registrations.
   */
  async restart(...ids: readonly number[]): Promise<Broker[]> {
    const before = new Map<number, number>();
    for (const id of ids) before.set(id, (await this.lastRegistration(id))?.brokerEpoch ?? 0);
    for (const id of ids) this.broker(id).start();
    await this.waitServing(before);
    return Promise.all(ids.map((id) => this.registered(id)));
  }

  /**
   * The latest registration of a broker: as somebody tells, or as it was before {@link killAll}.
   */
  async lastRegistration(brokerId: number): Promise<Broker | undefined> {
    if (!this.brokers.some(({ isRunning }) => isRunning)) return this.#lastSeen.get(brokerId);
    return this.registered(brokerId);
  }

  /**
   * Resolves when every partition has a leader that serves it, and all of its replicas in the sync
   * set, none of them suspect.
   */
  waitInSync(topic: string): Promise<Topic> {
    return this.wait(`${topic} to be in sync`, async (note) => {
      const found = await this.admin.describeTopic(topic);
      note(found.partitions);
      const isInSync = found.partitions.every(
        ({ leader, syncSet, replicas, suspects }) =>
          leader !== undefined && syncSet.length === replicas.length && suspects.length === 0,
      );
      return isInSync && (await this.#isServed(found)) ? found : undefined;
    });
  }

  /**
   * Resolves, when all replicas of a topic at rest begin alike and hold everything up to the same
   * high-water mark, to what each partition holds.
   */
  async waitSettled(topic: string): Promise<Map<number, Held>> {
    const { topicId, partitions } = await this.waitInSync(topic);
    const holders = partitions.map(({ replicas }) => replicas.length);
    return this.wait(`${topic} to be settled`, async (note) => {
      const replicas = await this.replicas(topicId);
      note(replicas);
      const settled = new Map<number, Held>();
      for (const [partition, count] of holders.entries()) {
        const copies = replicas.filter((replica) => replica.partition === partition);
        const ends = new Set(
          copies.flatMap(({ logEnd, highWaterMark }) => [logEnd, highWaterMark]),
        );
        const starts = new Set(copies.map(({ logStart }) => logStart));
        const [highWaterMark = 0] = ends;
        const [logStart = 0] = starts;
        if (copies.length === count && ends.size === 1 && starts.size === 1)
          settled.set(partition, { logStart, highWaterMark });
      }
      return settled.size === partitions.length ? settled : undefined;
    });
  }

  /** Every replica of a topic, as the brokers themselves see them. */
  async replicas(topicId: string): Promise<(ReplicaStatus & { readonly brokerId: number })[]> {
    const answers = await Promise.all(
      this.present.map(({ brokerId }) => this.admin.describeBroker(brokerId)),
    );
    return answers.flatMap(({ brokerId, replicas }) =>
      replicas
        .filter((replica) => replica.topicId === topicId)
        .map((replica) => ({ ...replica, brokerId })),
    );
  }

  /** {@link waitFor}, with what the brokers logged in the message. */
  wait<T extends Found>(
    what: string,
    look: (note: Note) => Promise<T | undefined> | T | undefined,
    deadlineMs = 45_000,
  ): Promise<T> {
    return waitFor(what, look, { deadlineMs, context: () => this.logs() });
  }

  /** The end of every broker's log. */
  logs(lines?: number): string {
    return this.brokers.map((broker) => broker.logTail(lines)).join('\n');
  }

  #connect(credentials: ChannelCredentials | undefined): Tidemark {
    const { servers } = this;
    return connect({ servers, ...(credentials === undefined ? {} : { credentials }) });
  }

  async #bootstrap(): Promise<void> {
    const [first = ''] = this.servers;
    await this.wait('the first broker to form the cluster', async () => {
      const request = { clusterId: this.clusterId };
      const { bootstrap } = AdminServiceService;
      await callAt(first, bootstrap, request, FORM_CALL_MS, this.credentials);
      return when(true);
    });
  }
}
