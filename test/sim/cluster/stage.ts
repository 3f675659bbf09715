/**
 * A simulated cluster that does what a script says, and nothing by chance: sound disks, a network
 * of one latency, no strikes. At the end of a script everything is healed, and every checker of the
 * cluster looks at it.
 */
import { votersWanted } from '../../../base/voters-wanted.ts';
import {
  type Admin,
  type Producer,
  type TopicConfig,
  TidemarkError,
} from '../../../client/index.ts';
import type { PartitionState, TopicState } from '../../../broker/metadata/types.ts';
import type { ReplicaReport } from '../../../broker/runtime/api.ts';
import { SOUND_DISK } from '../kit/disk-faults.ts';
import { withoutGlobals } from '../kit/forbidden-globals.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { Trace } from '../kit/trace.ts';
import type { Fact } from './ground.ts';
import { HeldCalls, type HoldRule } from './held-calls.ts';
import type { Sent } from './history.ts';
import { FAULTS, type Profile } from './profile.ts';
import { addressOf, hostName, type SimBroker } from './sim-broker.ts';
import { type KeyedFields, nameOf } from './keyed.ts';
import { PLAIN, type SimTopic } from './topics.ts';
import { World } from './world.ts';

const TAIL_LINES = 30;
const WITHIN_MS = 30_000;
const HEAL_MS = 60_000;
const VOTERS_MAX = 3;
const ASKS_MAX = 50;
const ASK_AGAIN_MS = 100;
const LOG_FILE = /partitions\/.*\.log$/;

export interface StageOptions {
  readonly seed?: number;
  readonly brokers?: number;
  readonly topics: readonly SimTopic[];
  readonly valueBytesMax?: number;
  /** Options of every broker. */
  readonly options?: readonly string[];
}

/** One partition, as scripts name it. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** A topic of one partition; all of its records stay. */
export function keptTopic(config: TopicConfig = {}, name = 'kept', partitions = 1): SimTopic {
  return {
    ...PLAIN,
    name,
    partitions,
    config: { retentionMs: 86_400_000 * 365, segmentMs: 3_600_000, ...config },
  };
}

/** Steady appends to one partition. */
export interface Load {
  /** Nothing more is sent. Resolves when all has been answered. */
  stop(): Promise<readonly Sent[]>;
  /** The longest time without an acknowledgement since the load began. */
  longestGapMs(): number;
}

/** Plays a script on a new cluster. Throws what it throws, and what the checkers find. */
export async function onStage(
  options: StageOptions,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  const trace = new Trace(
    process.env['STAGE_TRACE'] === undefined
      ? null
      : (line) => void process.stdout.write(`${line}\n`),
  );
  await withoutGlobals(async () => {
    const stage = new Stage(options, trace);
    await stage.begin();
    await play(stage);
    await stage.finish();
  });
}

export class Stage {
  readonly world: World;
  readonly trace: Trace;
  /** Use {@link ask}: nothing happens while a script waits for a promise by itself. */
  readonly admin: Admin;
  readonly #facts: Fact[] = [];
  readonly #heals: (() => void)[] = [];
  readonly #topics = new Map<string, TopicState>();
  #callers = 0;

  constructor(
    { seed = 1, brokers = 3, topics, valueBytesMax = 100, options = [] }: StageOptions,
    trace: Trace,
  ) {
    const calm = (profile: Profile): Profile => ({
      ...profile,
      brokers,
      weights: Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Profile['weights'],
      network: {
        latencyMsMin: 0.2,
        latencyMsMax: 0.2,
        breakChance: 0,
        lateChance: 0,
        duplicateChance: 0,
      },
      disk: SOUND_DISK,
      diskBytes: 2 ** 40,
      valueBytesMax,
      compaction: null,
    });
    this.trace = trace;
    this.world = new World(seed, trace, { override: calm, topics, options });
    this.admin = this.world.workload.client('admin').tidemark.admin();
    this.world.ground.onFact = (fact) => {
      this.#facts.push(fact);
    };
  }

  // ---- time ----

  get nowMs(): number {
    return this.world.ground.time.nowMs;
  }

  async begin(): Promise<void> {
    if (!(await this.world.form(this.admin)))
      this.#lose(this.world.ground.failure ?? `no cluster: ${this.world.whatIsMissing()}`);
    const wanted = votersWanted(this.world.brokers.length, VOTERS_MAX);
    await this.until('the quorum has its voters', () =>
      this.world.brokers.every(({ broker }) => broker?.report().raft?.voters.length === wanted),
    );
  }

  /** Heals everything; it must be well within the bound, and every checker content. */
  async finish(): Promise<void> {
    const { ground, members, history } = this.world;
    ground.network.heal();
    for (const heal of this.#heals) heal();
    for (const broker of members) {
      broker.isWanted = true;
      broker.wallOffsetMs = 0;
      broker.disk.volume.setCapacity(2 ** 40);
      if (!broker.isRunning) broker.start();
    }
    await this.until('the healed cluster is whole', () => this.world.isWhole(), HEAL_MS);
    await this.until('every call ended', () => history.pending.size === 0, HEAL_MS);
    const faults = await this.world.check();
    if (faults.length > 0 || ground.failure !== null)
      this.#lose([...faults, ground.failure ?? ''].join('; '));
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    await this.world.ground.time.run(() => this.#isLost(), ms);
    this.#check();
  }

  /** Lets time pass until it is so. Throws when that takes longer than the bound. */
  async until(what: string, isSo: () => boolean, withinMs = WITHIN_MS): Promise<void> {
    const { time } = this.world.ground;
    const isReached = await time.run(() => this.#isLost() || isSo(), withinMs);
    this.#check();
    if (!isReached) this.#lose(`${what}: not within ${withinMs} ms`);
  }

  /** Lets time pass until a promise has settled. */
  async end<T>(what: string, promise: Promise<T>, withinMs = WITHIN_MS): Promise<T> {
    let result: { readonly value: T } | { readonly error: unknown } | null = null;
    promise.then(
      (value) => {
        result = { value };
      },
      (error: unknown) => {
        result = { error };
      },
    );
    await this.until(`${what} ends`, () => result !== null, withinMs);
    const settled = result as unknown as { readonly value: T } | { readonly error: unknown };
    if ('error' in settled) throw settled.error;
    return settled.value;
  }

  // ---- what is so ----

  broker(brokerId: number): SimBroker {
    const found = this.world.brokers.find((broker) => broker.brokerId === brokerId);
    if (found === undefined) throw new Error(`There is no broker ${brokerId}`);
    return found;
  }

  /** As the newest metadata has it; without leaders while no broker that runs has any metadata. */
  topic(name: string): TopicState {
    const topics = [...(this.world.image()?.topics.values() ?? [])];
    const found = topics.find((each) => each.name === name);
    if (found !== undefined) this.#topics.set(name, found);
    const topic = found ?? this.#topics.get(name);
    if (topic === undefined) throw new Error(`There is no topic ${name}`);
    if (found !== undefined) return topic;
    return { ...topic, partitions: topic.partitions.map((state) => ({ ...state, leader: -1 })) };
  }

  state({ topic, partition }: Place): PartitionState {
    return this.topic(topic).partitions[partition]!;
  }

  /** Ids of the leader and of the others, in order. */
  roles(place: Place): { readonly leader: number; readonly followers: readonly number[] } {
    const { leader, replicas } = this.state(place);
    return { leader, followers: replicas.filter((id) => id !== leader) };
  }

  /** The replica as its broker tells of it; undefined while that has none. */
  replica(brokerId: number, { topic, partition }: Place): ReplicaReport | undefined {
    const replicas = this.broker(brokerId).broker?.report().replicas ?? [];
    return replicas.find((each) => each.topic === topic && each.partition === partition);
  }

  /** Who leads the metadata quorum, by its own word; -1 while nobody does. */
  controller(): number {
    const found = this.world.brokers.find(({ broker }) => broker?.report().raft?.role === 'leader');
    return found?.brokerId ?? -1;
  }

  /** Of the metadata quorum. */
  voters(): readonly number[] {
    const { broker } = this.broker(this.controller());
    return (broker?.report().raft?.voters ?? []).map((voter) => voter.brokerId);
  }

  isFenced(brokerId: number): boolean {
    return this.world.image()?.brokers.get(brokerId)?.fenced ?? true;
  }

  /** Events of one name that brokers told since `sinceMs`. */
  facts(event: string, sinceMs = 0): readonly Fact[] {
    return this.#facts.filter((fact) => fact.event === event && fact.atMs >= sinceMs);
  }

  isWholePartition(place: Place): boolean {
    const { leader, replicas, syncSet, suspects } = this.state(place);
    return leader >= 0 && syncSet.length === replicas.length && suspects.length === 0;
  }

  // ---- programs ----

  /** Asks for a change of the cluster, again while the controller is being replaced. */
  async ask<T>(what: string, call: (admin: Admin) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.end(what, call(this.admin));
      } catch (error) {
        const isPassing = error instanceof TidemarkError && error.retry !== 'no';
        if (!isPassing || attempt === ASKS_MAX) throw error;
        await this.pass(ASK_AGAIN_MS);
      }
    }
  }

  async alter(topic: string, config: TopicConfig): Promise<void> {
    await this.ask('a change', (admin) => admin.alterTopic({ name: topic, config }));
  }

  /** One plain Append of one record by way of a broker. */
  append(
    { topic, partition }: Place,
    how: {
      readonly at: number;
      readonly deadlineMs?: number;
      readonly timestampMs?: number;
      readonly record?: KeyedFields;
    },
  ): Promise<Sent> {
    const { ground, workload } = this.world;
    this.#callers += 1;
    const host = `a${this.#callers}`;
    const { process } = workload.client(host);
    const channel = new SimChannel(ground.network, process, host, addressOf(how.at));
    const place = { topic, partition, deadlineMs: 5_000, ...how };
    return workload.append({ channel, process }, place);
  }

  /** So many plain appends, one after the other, all of them acknowledged. */
  async appendAll(place: Place, count: number, at?: number): Promise<readonly Sent[]> {
    const sent: Sent[] = [];
    for (let index = 0; index < count; index += 1) {
      const leader = at ?? this.state(place).leader;
      sent.push(await this.end('an append', this.append(place, { at: leader })));
    }
    const refused = sent.find(({ fate }) => fate?.kind !== 'acknowledged');
    if (refused !== undefined) this.#lose(`not acknowledged: ${JSON.stringify(refused)}`);
    return sent;
  }

  /** A program's producer, and its host. */
  producer(): { readonly host: string; readonly producer: Producer } {
    this.#callers += 1;
    const host = `p${this.#callers}`;
    const { tidemark } = this.world.workload.client(host);
    return { host, producer: tidemark.producer({ deliveryTimeoutMs: 20_000, acks: 'all' }) };
  }

  /** A program that sends one record every so often. */
  load(place: Place, everyMs: number): Load {
    const { ground, workload } = this.world;
    const { host, producer } = this.producer();
    const calls: Promise<Sent>[] = [];
    const acknowledgedMs: number[] = [ground.time.nowMs];
    let isOn = true;
    const next = (): void => {
      if (!isOn) return;
      const call = workload.send(host, producer, place);
      calls.push(call);
      void call.then(({ fate }) => {
        if (fate?.kind === 'acknowledged') acknowledgedMs.push(fate.atMs);
      });
      ground.time.after(everyMs, next);
    };
    next();
    return {
      stop: async () => {
        isOn = false;
        return await this.end('the load', Promise.all(calls));
      },
      longestGapMs: () =>
        acknowledgedMs.reduce(
          (longest, atMs, index) => Math.max(longest, atMs - (acknowledgedMs[index - 1] ?? atMs)),
          0,
        ),
    };
  }

  /** Values of a partition from its start, as a new consumer reads them. */
  async read({ topic, partition }: Place): Promise<ReadonlyMap<number, string>> {
    this.#callers += 1;
    const { tidemark } = this.world.workload.client(`r${this.#callers}`);
    const consumer = tidemark.consumer({ topic, partitions: [partition], follow: false });
    const readAll = async (): Promise<ReadonlyMap<number, string>> => {
      const values = new Map<number, string>();
      for await (const record of consumer.records()) values.set(record.offset, nameOf(record));
      await consumer.close();
      return values;
    };
    return await this.end('a read', readAll());
  }

  /** As {@link read}, whole values as texts, in order. */
  async readTexts({ topic, partition }: Place): Promise<readonly string[]> {
    this.#callers += 1;
    const { tidemark } = this.world.workload.client(`t${this.#callers}`);
    const readAll = async (): Promise<readonly string[]> => {
      const texts: string[] = [];
      await using consumer = tidemark.consumer({ topic, partitions: [partition], follow: false });
      for await (const { value } of consumer.records())
        texts.push(new TextDecoder().decode(value ?? undefined));
      return texts;
    };
    return await this.end('a read', readAll());
  }

  /** Gives a partition these replicas, of which the first leads. */
  async assign(place: Place, replicas: readonly number[]): Promise<void> {
    const { topic, partition } = place;
    const [target] = replicas;
    await this.ask('a move', (admin) => admin.reassignPartition(topic, partition, replicas));
    await this.until('the move ends', () => {
      const state = this.state(place);
      const isThere = state.replicas.toSorted().join() === replicas.toSorted().join();
      return isThere && state.target === undefined && this.isWholePartition(place);
    });
    if (this.state(place).leader !== target)
      await this.ask('an election', (admin) => admin.electLeader({ topic, partition, target }));
    await this.until('it leads', () => this.state(place).leader === target && this.world.isWhole());
  }

  // ---- what happens to brokers ----

  kill(...brokerIds: readonly number[]): void {
    for (const brokerId of brokerIds) {
      this.broker(brokerId).isWanted = false;
      this.broker(brokerId).kill();
    }
  }

  losePower(brokerId: number): void {
    this.broker(brokerId).isWanted = false;
    this.broker(brokerId).losePower();
  }

  start(...brokerIds: readonly number[]): void {
    for (const brokerId of brokerIds) {
      this.broker(brokerId).isWanted = true;
      this.broker(brokerId).start();
    }
  }

  async stop(brokerId: number): Promise<void> {
    this.broker(brokerId).isWanted = false;
    await this.end(`the stop of broker ${brokerId}`, this.broker(brokerId).stop());
  }

  async serving(...brokerIds: readonly number[]): Promise<void> {
    await this.until(`brokers ${brokerIds.join(', ')} serve`, () =>
      brokerIds.every((id) => this.broker(id).isServing),
    );
  }

  async whole(): Promise<void> {
    await this.until('the cluster is whole', () => this.world.isWhole());
  }

  /** Nothing passes between a broker and these others, or all others, in either direction. */
  cut(brokerId: number, others: readonly number[] = this.#others(brokerId)): void {
    const { network } = this.world.ground;
    for (const other of others) {
      network.cut(hostName(brokerId), hostName(other));
      network.cut(hostName(other), hostName(brokerId));
    }
  }

  join(brokerId: number, others: readonly number[] = this.#others(brokerId)): void {
    this.world.ground.network.join(hostName(brokerId), others.map(hostName));
  }

  /** Calls that the rule names are kept on the way to their broker until they are let go. */
  hold(rule: HoldRule): HeldCalls {
    const held = new HeldCalls(this.world.ground.network, rule);
    this.#heals.push(() => {
      held.end();
    });
    return held;
  }

  // ---- disks ----

  /** Nothing more fits, or so many bytes. */
  fill(brokerId: number, freeBytes = 0): void {
    const { volume } = this.broker(brokerId).disk;
    volume.setCapacity(volume.usedBytes + freeBytes);
  }

  free(brokerId: number): void {
    this.broker(brokerId).disk.volume.setCapacity(2 ** 40);
  }

  /** Log files of one partition on a broker's disk, oldest first. */
  logFiles(brokerId: number, { topic, partition }: Place): readonly string[] {
    const { topicId } = this.topic(topic);
    const { volume } = this.broker(brokerId).disk;
    return volume
      .files()
      .filter((path) => LOG_FILE.test(path) && path.includes(`/${topicId}-${partition}/`));
  }

  /** The folder of one partition is gone from a broker's disk. */
  loseFolder(brokerId: number, place: Place): void {
    const [file] = this.logFiles(brokerId, place);
    if (file === undefined) throw new Error(`broker ${brokerId} has no log of ${place.topic}`);
    this.broker(brokerId).disk.volume.lose(file.slice(0, file.lastIndexOf('/')));
  }

  #others(brokerId: number): number[] {
    return this.world.brokers.map((each) => each.brokerId).filter((id) => id !== brokerId);
  }

  #isLost(): boolean {
    return this.world.ground.failure !== null;
  }

  #check(): void {
    const { failure } = this.world.ground;
    if (failure !== null) this.#lose(failure);
  }

  #lose(reason: string): never {
    throw new Error(`${reason}\n${this.trace.tail(TAIL_LINES)}`);
  }
}
