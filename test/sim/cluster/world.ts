/**
 * A whole cluster under one seed: production brokers, the real client, faults by the seed's
 * profile; then healing, a bound within which everything must be well again, and the checkers.
 */
import { assert } from '../../../base/assert.ts';
import { DECISIONS_TOPIC } from '../../../base/kept-decisions.ts';
import { BrokerError } from '../../../base/errors.ts';
import { Random } from '../../../base/random.ts';
import type { Admin, Position, Tidemark } from '../../../client/index.ts';
import type { PartitionState, TopicState } from '../../../broker/metadata/types.ts';
import type { Broker } from '../../../broker/runtime/broker.ts';
import { withoutGlobals } from '../kit/forbidden-globals.ts';
import type { Trace } from '../kit/trace.ts';
import {
  checkAcknowledged,
  checkCertainty,
  checkEnded,
  checkFenced,
  checkLogStarts,
  checkLosses,
  checkTold,
  checkTrims,
  checkOnce,
  checkRaced,
  checkReaders,
  checkReadOnce,
  checkReplicas,
} from './checkers.ts';
import type { FinalLog } from './final-log.ts';
import { Faults } from './faults.ts';
import { Ground } from './ground.ts';
import { History, type Seen } from './history.ts';
import { drawProfile, type Profile } from './profile.ts';
import { roll, type RolledPartition } from './roll.ts';
import { internalAddressOf, SimBroker } from './sim-broker.ts';
import { Knowledge } from './knowledge.ts';
import { creationOf, RACED, type SimTopic, topicsOf } from './topics.ts';
import { Racers } from './racers.ts';
import { NamedWriters } from './named-writers.ts';
import { FreshReaders } from './fresh-readers.ts';
import { nameOf } from './keyed.ts';
import { Workload } from './workload.ts';
import { reasonOf } from '../../../base/reason.ts';
import { isInternalTopic } from '../../../base/internal-topics.ts';
import { Committers } from './committers.ts';
import { checkCursors } from './cursor-checker.ts';
import {
  checkKeys,
  checkTables,
  compactedAway,
  compactedReplicas,
  isCompactedTopic,
  whyUnsettled,
} from './compaction-checkers.ts';
import { Consumers } from './consumers.ts';
import { Members } from './members.ts';

export interface RunResult {
  readonly seed: number;
  readonly failures: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly seen: number;
  /** Strikes of its schedule. */
  readonly strikes: number;
  readonly trace: Trace;
}

const FORM_MS = 30_000;
/** After healing everything is well again within this. */
const LIVENESS_MS = 90_000;
/** Mean pause between what happens to a member. */
const MEMBER_TURN_MS = 6_000;
/** Everything that was ordered is carried out within this, at the slowest rate that runs draw. */
const COMPACTED_MS = 600_000;
/** Whoever was away is back, or gone, once nothing happens to members any more. */
const MEMBERS_SETTLE_MS = 40_000;
const LOOK_MS = 60_000;
const LOOKS_MAX = 6;
const SETTLE_MS = 2_000;
const BOOTSTRAP_MS = 200;
const LOOK_AGAIN_MS = 50;
const WATCH_MS = 100;
const ROLL_MS = 600_000;
const CALLS_END_MS = 60_000;
const CLUSTER_ID = '11111111-1111-4111-8111-111111111111';

/** What differs from what the seed alone would do. */
export interface Choices {
  readonly override?: (profile: Profile) => Profile;
  /** Numbers of strikes that are left out. */
  readonly skipped?: readonly number[];
  readonly topics?: readonly SimTopic[];
  /** So many append at expected ends, on each partition of a topic of theirs. */
  readonly racers?: number;
  /** So many groups whose cursors are committed, sought and fetched all the while. */
  readonly groups?: number;
  /** So many groups of members that read a topic and come and go. */
  readonly memberGroups?: number;
  /** Queues of all kinds on a topic, whose consumers come and go. */
  readonly hasQueues?: boolean;
  /** Options of every broker, after those of every run. */
  readonly options?: readonly string[];
}

export class World {
  readonly profile: Profile;
  readonly ground: Ground;
  readonly history = new History();
  readonly brokers: SimBroker[];
  readonly workload: Workload;
  readonly topics: readonly SimTopic[];
  readonly knowledge = new Knowledge();
  readonly #seed: number;
  readonly #skipped: ReadonlySet<number>;
  readonly #options: readonly string[];
  readonly #racers: number;
  readonly #groups: number;
  readonly #memberGroups: number;
  readonly #hasQueues: boolean;
  #committers: Committers | null = null;
  memberships: Members | null = null;
  consumers: Consumers | null = null;
  #strikes = 0;
  #lastBrokerId = 0;

  constructor(seed: number, trace: Trace, choices: Choices = {}) {
    const { override = (profile: Profile) => profile, skipped = [] } = choices;
    this.#seed = seed;
    this.#skipped = new Set(skipped);
    this.profile = override(drawProfile(new Random(seed).fork('profile')));
    this.#racers = choices.racers ?? 0;
    this.#groups = choices.groups ?? 0;
    this.#memberGroups = choices.memberGroups ?? 0;
    this.#hasQueues = choices.hasQueues ?? false;
    const topics = choices.topics ?? topicsOf(this.profile);
    this.topics = this.#racers > 0 ? [...topics, RACED] : topics;
    const ids = Array.from({ length: this.profile.brokers }, (_, index) => index + 1);
    this.#lastBrokerId = ids.length;
    this.ground = new Ground(seed, this.profile, ids.map(internalAddressOf).join(','), trace);
    this.#options = [
      '--disk-reserve-bytes',
      '65536',
      '--flush-interval-ms',
      '500',
      '--retention-check-ms',
      '500',
      ...bytesPerSecondOf(this.profile),
      ...(choices.options ?? []),
    ];
    this.brokers = ids.map((id) => new SimBroker(id, this.ground, this.#options));
    this.workload = new Workload(this.ground, this.history, {
      topics: this.topics,
      brokers: ids.length,
      appendEveryMs: this.profile.appendEveryMs,
      valueBytesMax: this.profile.valueBytesMax,
    });
  }

  async run(): Promise<RunResult> {
    const failures = await withoutGlobals(() => this.#play());
    const { ground, history } = this;
    return {
      seed: this.#seed,
      failures,
      hash: ground.trace.hash,
      events: ground.time.events,
      acknowledged: history.acknowledged,
      refused: history.sent.filter(({ fate }) => fate?.kind === 'refused').length,
      seen: history.seen.length,
      strikes: this.#strikes,
      trace: ground.trace,
    };
  }

  async #play(): Promise<string[]> {
    const { ground, history, profile, workload } = this;
    const isFailed = (): boolean => ground.failure !== null;
    const admin = workload.client('admin').tidemark.admin();
    if (!(await this.form(admin)))
      return [ground.failure ?? `the cluster did not form in ${FORM_MS} ms`];
    ground.network.profile = profile.network;
    workload.start();
    const names = this.#namedWriters();
    const racers = this.#raceOn();
    this.#committers = this.#commitOn();
    const freshReaders = this.#readAnew();
    this.memberships = this.#joinOn();
    this.consumers = this.#takeOn(admin);
    const faults = new Faults({
      seed: this.#seed,
      skipped: this.#skipped,
      ground,
      history,
      profile,
      brokers: this.brokers,
      topics: this.topics,
      admin,
      isWhole: () => this.isWhole(),
      takeName: () => names.takeOver(),
      makeBroker: () => this.#makeBroker(),
      rowOf: (topic, partition) => this.#rowOf(topic, partition),
    });
    faults.start();
    await ground.time.run(isFailed, profile.chaosMs);
    workload.stopSending();
    names.stop();
    racers.stop();
    freshReaders.stop();
    this.#committers.stop();
    this.memberships?.calm();
    this.consumers?.calm();
    faults.heal();
    this.#strikes = faults.strikes;
    // A process that still stands still counts for a session more.
    const isAwake = (): boolean => this.members.every(({ process }) => process?.isStalled !== true);
    const isSound = (): boolean => isAwake() && this.isWhole();
    const isWell = await ground.time.run(() => isFailed() || isSound(), LIVENESS_MS);
    if (ground.failure !== null) return [ground.failure];
    if (!isWell) return [`${LIVENESS_MS} ms after healing: ${this.whatIsMissing()}`];
    const rolled = profile.isRolled ? await this.#rollUnmoved(admin) : [];
    await ground.time.run(() => isFailed() || history.pending.size === 0, CALLS_END_MS);
    await this.#untilRead();
    return [
      ...rolled,
      ...(ground.failure === null ? [] : [ground.failure]),
      ...(await this.check()),
    ];
  }

  /** Whatever was acknowledged reaches every group, or the check says what did not. */
  async #untilRead(): Promise<void> {
    const { ground, memberships, consumers } = this;
    const endMs = ground.time.nowMs + LIVENESS_MS;
    const isOpen = (): boolean =>
      (memberships?.missing().length ?? 0) > 0 || (consumers?.whyOpen() ?? null) !== null;
    while (isOpen() && ground.time.nowMs < endMs) {
      if (ground.failure !== null) return;
      await ground.time.run(() => ground.failure !== null, WATCH_MS);
    }
  }

  /** Restarts of brokers, one after the other, move no partition of a group. */
  async #rollUnmoved(admin: Admin): Promise<readonly string[]> {
    const { ground, memberships } = this;
    if (memberships === null) return this.#roll(admin);
    await ground.time.run(() => ground.failure !== null, MEMBERS_SETTLE_MS);
    const before = memberships.holdings(this.members);
    const faults = await this.#roll(admin);
    // The roll looks at what programs append to: a coordinator may take a moment longer to answer.
    await ground.time.run(
      () => ground.failure !== null || memberships.isAnswered(this.members),
      MEMBERS_SETTLE_MS,
    );
    return [...faults, ...memberships.checkUnmoved(before, this.members)];
  }

  async #roll(admin: Admin): Promise<readonly string[]> {
    const { ground, workload } = this;
    let faults: readonly string[] | null = null;
    const partitions = (): RolledPartition[] =>
      [...(this.image()?.topics.values() ?? [])]
        .filter(({ name }) => !isInternalTopic(name))
        .flatMap(({ name, config, partitions: states }) =>
          states.map((state) => ({
            topic: name,
            state,
            minInSyncReplicas: config.minInSyncReplicas,
          })),
        );
    const { tidemark } = workload.client('roller');
    roll({
      ground,
      admin,
      brokers: this.members,
      partitions,
      random: new Random(this.#seed).fork('roll'),
      producerOf: (options) => tidemark.producer({ ...options, acks: 'all' }),
      send: (producer, place) => workload.send('roller', producer, place),
    }).then(
      (found) => {
        faults = found;
      },
      (error: unknown) => {
        ground.fail(`the roll failed with ${String(error)}`);
      },
    );
    await ground.time.run(() => faults !== null || ground.failure !== null, ROLL_MS);
    return faults ?? ['the roll did not end'];
  }

  /** They write to a topic that every run has. */
  #namedWriters(): NamedWriters {
    const [topic] = this.topics;
    assert(topic !== undefined, 'a run has topics');
    const idOf = (): string | null =>
      [...(this.image()?.topics.values() ?? [])].find(({ name }) => name === topic.name)?.topicId ??
      null;
    return new NamedWriters({
      ground: this.ground,
      history: this.history,
      random: new Random(this.#seed).fork('names'),
      topic,
      topicId: idOf,
      leaderOf: (partition) => this.#rowOf(topic.name, partition)?.leader ?? -1,
      brokers: this.profile.brokers,
      meanPauseMs: 4 * this.profile.appendEveryMs,
      ends: () => this.#endsOf(idOf()),
    });
  }

  #raceOn(): Racers {
    const { ground, history, profile, workload } = this;
    const racers = new Racers({
      ground,
      history,
      random: new Random(this.#seed).fork('races'),
      topic: RACED,
      brokers: profile.brokers,
      meanPauseMs: 2 * profile.appendEveryMs,
      client: (host) => workload.client(host),
    });
    if (this.#racers > 0) racers.start(this.#racers);
    return racers;
  }

  #commitOn(): Committers {
    const { ground, history, profile, workload } = this;
    const [topic] = this.topics;
    assert(topic !== undefined, 'a run has topics');
    const committers = new Committers({
      ground,
      history,
      random: new Random(this.#seed).fork('cursors'),
      topic,
      topicId: () => this.image()?.topicIdsByName.get(topic.name) ?? null,
      brokers: profile.brokers,
      meanPauseMs: 2 * profile.appendEveryMs,
      client: (host) => workload.client(host),
    });
    if (this.#groups > 0) committers.start(this.#groups);
    return committers;
  }

  #readAnew(): FreshReaders {
    const { ground, history, workload, topics } = this;
    const readers = new FreshReaders({
      ground,
      history,
      topics,
      random: new Random(this.#seed).fork('fresh readers'),
      client: (host) => workload.client(host),
    });
    readers.start();
    return readers;
  }

  /** Null: this run has none. */
  #joinOn(): Members | null {
    if (this.#memberGroups === 0) return null;
    const { ground, history, profile } = this;
    const [topic] = this.topics;
    assert(topic !== undefined, 'a run has topics');
    const members = new Members({
      ...{ ground, history, brokers: profile.brokers },
      random: new Random(this.#seed).fork('members'),
      topic: topic.name,
      topics: ['re*'],
      meanTurnMs: MEMBER_TURN_MS,
    });
    members.start(this.#memberGroups);
    return members;
  }

  /** Null: this run has none. */
  #takeOn(admin: Admin): Consumers | null {
    if (!this.#hasQueues) return null;
    const { ground, history } = this;
    const [topic] = this.topics;
    assert(topic !== undefined, 'a run has topics');
    const consumers = new Consumers({
      ...{ ground, history, admin, topic: topic.name, brokers: this.brokers },
      random: new Random(this.#seed).fork('consumers'),
      meanTurnMs: MEMBER_TURN_MS,
    });
    consumers.start();
    return consumers;
  }

  #endsOf(topicId: string | null): ReadonlyMap<number, number> | null {
    if (!this.members.every(({ isServing }) => isServing)) return null;
    const ends = new Map<number, number>();
    for (const { broker } of this.members)
      for (const replica of broker?.report().replicas ?? [])
        if (replica.topicId === topicId) {
          const { partition, status } = replica;
          ends.set(partition, Math.max(ends.get(partition) ?? 0, status.logEnd));
        }
    return ends;
  }

  #makeBroker(): SimBroker {
    this.#lastBrokerId += 1;
    return new SimBroker(this.#lastBrokerId, this.ground, this.#options);
  }

  /** Starts all brokers, bootstraps on the first, waits for all, makes the topics. */
  async form(admin: Admin): Promise<boolean> {
    const { ground, history } = this;
    this.#watch();
    for (const broker of this.brokers) broker.start();
    let isMade = false;
    const make = async (): Promise<void> => {
      for (const topic of this.topics) await admin.createTopic(creationOf(topic));
      isMade = true;
    };
    const bootstrap = (): void => {
      const [first] = this.brokers;
      assert(first !== undefined, 'a cluster has brokers');
      // A slow disk opens later.
      if (first.broker === null) {
        ground.time.after(LOOK_AGAIN_MS, bootstrap);
        return;
      }
      history
        .follow('bootstrap', ground.time.nowMs, first.broker.bootstrap(CLUSTER_ID))
        .catch((error: unknown) => {
          ground.fail(`bootstrap: ${String(error)}`);
        });
    };
    ground.time.after(BOOTSTRAP_MS, bootstrap);
    const areServing = await ground.time.run(
      () => ground.failure !== null || this.brokers.every(({ isServing }) => isServing),
      FORM_MS,
    );
    if (!areServing || ground.failure !== null) return false;
    make().catch((error: unknown) => {
      ground.fail(`create topics: ${String(error)}`);
    });
    return (
      (await ground.time.run(
        () => ground.failure !== null || (isMade && this.isWhole()),
        FORM_MS,
      )) && ground.failure === null
    );
  }

  /** Newest metadata that any broker has. */
  image(): ReturnType<Broker['image']> | null {
    const images = this.brokers.flatMap(({ broker }) => (broker === null ? [] : [broker.image()]));
    return images.length === 0
      ? null
      : images.reduce((left, right) => (left.index >= right.index ? left : right));
  }

  /** Brokers that were not removed. */
  get members(): readonly SimBroker[] {
    return this.brokers.filter(({ isRemoved }) => !isRemoved);
  }

  #rowOf(name: string, partition: number): PartitionState | null {
    const topics = [...(this.image()?.topics.values() ?? [])];
    return topics.find((topic) => topic.name === name)?.partitions[partition] ?? null;
  }

  /** Notes what all brokers know by now, as long as the run takes. */
  #watch(): void {
    const images = this.brokers
      .filter(({ isRunning }) => isRunning)
      .map(({ broker, isServing }) => (isServing && broker !== null ? broker.image() : null));
    const { nowMs } = this.ground.time;
    for (const { topic, partition, fromOffset } of this.knowledge.look(images, nowMs))
      this.ground.note(`loss reported: ${topic}/${partition} from ${fromOffset}`);
    this.#watchTrims();
    this.ground.time.after(WATCH_MS, () => {
      this.#watch();
    });
  }

  /** No leader of now shows what was trimmed, and answered. */
  #watchTrims(): void {
    const { ground, history } = this;
    if (history.trims.length === 0) return;
    for (const topic of this.image()?.topics.values() ?? [])
      for (const { partition, leader, leaderEpoch } of topic.partitions) {
        const trimmedTo = history.trimmedTo(topic.name, partition);
        const broker = this.brokers.find(({ brokerId }) => brokerId === leader)?.broker;
        const marks = trimmedTo > 0 ? marksOf(broker, topic.topicId, partition) : null;
        if (marks === null || !marks.isLeader || marks.leaderEpoch !== leaderEpoch) continue;
        if (marks.earliest !== null && marks.earliest < trimmedTo)
          ground.fail(
            `${topic.name}/${partition} begins at ${marks.earliest} on ${leader}, trimmed was to ${trimmedTo}`,
          );
      }
  }

  isWhole(): boolean {
    const image = this.image();
    return (
      image !== null &&
      this.topics.every(({ name }) => image.topicIdsByName.has(name)) &&
      this.members.every(({ isServing }) => isServing) &&
      [...image.topics.values()].every((topic) =>
        topic.partitions.every((state) => isWholePartition(state)),
      )
    );
  }

  whatIsMissing(): string {
    const image = this.image();
    const silent = this.members
      .filter(({ isServing }) => !isServing)
      .map(({ brokerId, broker }) => `broker ${brokerId} is ${broker?.phase() ?? 'not running'}`);
    const partial = [...(image?.topics.values() ?? [])].flatMap((topic) =>
      topic.partitions
        .filter((state) => !isWholePartition(state))
        .map((state) => `${topic.name}/${state.partition} is ${JSON.stringify(state)}`),
    );
    return [...silent, ...partial].join('; ') || 'nothing is missing now';
  }

  /**
   * Reads everything back as a program would, then replica by replica; damage that only these looks
   * find is repaired in between.
   */
  async check(): Promise<string[]> {
    const { ground, history } = this;
    await ground.time.run(
      () => ground.failure !== null || this.#whyPassesGoOn() === null,
      COMPACTED_MS,
    );
    const why = this.#whyPassesGoOn();
    if (why !== null) return [ground.failure ?? `${COMPACTED_MS} ms later: ${why}`];
    // What is read from now on may stand beyond the ends that the checkers know.
    const seen = [...history.seen];
    const tables = history.tables.map((one) => ({ ...one, records: new Map(one.records) }));
    const logs = await this.#until('the logs cannot be read', () => this.#readAll(seen));
    if (logs === null) return [ground.failure ?? ''];
    const replicaFaults = await this.#until('the replicas cannot be compared', () =>
      checkReplicas(this.members.flatMap(({ broker }) => (broker === null ? [] : [broker]))),
    );
    if (replicaFaults === null) return [ground.failure ?? ''];
    const committers = this.#committers;
    if (committers !== null) {
      const ended = await this.#until('the cursors cannot be read', () => committers.readAll());
      if (ended === null) return [ground.failure ?? ''];
    }
    const { consumers } = this;
    const queueFaults =
      consumers === null
        ? []
        : await this.#until('queues are not settled, or letters cannot be read', () =>
            consumers.check(this.workload.client('letters-reader').tidemark),
          );
    if (queueFaults === null) return [ground.failure ?? ''];
    return [
      ...checkCursors(history.cursors),
      ...queueFaults,
      ...(this.memberships?.check() ?? []),
      ...checkAcknowledged(history, logs),
      ...checkOnce(logs),
      ...checkReadOnce(history, seen, logs),
      ...checkCertainty(history, logs),
      ...checkFenced(history, logs),
      ...checkRaced(history, logs),
      ...checkReaders(history, seen, logs),
      ...checkKeys(history, seen, logs),
      ...checkTables(history, tables, logs),
      ...checkLogStarts(logs, this.topics),
      ...checkTrims(history, logs),
      ...checkLosses(this.knowledge.losses, this.topics),
      ...checkTold(history.passages, this.knowledge.losses, this.topics),
      ...checkEnded(history, ground.time.nowMs),
      ...replicaFaults,
    ];
  }

  /**
   * The result of `look`, which is tried again while the cluster mends what it met. Null: something
   * failed for good.
   */
  async #until<T>(what: string, look: () => Promise<T>): Promise<T | null> {
    const { ground } = this;
    for (let attempt = 1; ; attempt += 1) {
      let result: { readonly value: T } | { readonly error: unknown } | null = null;
      look().then(
        (value) => {
          result = { value };
        },
        (error: unknown) => {
          result = { error };
        },
      );
      await ground.time.run(() => result !== null || ground.failure !== null, LOOK_MS);
      const ended = result as { readonly value: T } | { readonly error: unknown } | null;
      if (ended !== null && 'value' in ended) return ended.value;
      const reason = ended === null ? `no end in ${LOOK_MS} ms` : reasonOf(ended.error);
      ground.note(`${what}: ${reason}`);
      if (attempt === LOOKS_MAX) ground.fail(`${what}: ${reason}`);
      if (ground.failure !== null) return null;
      await ground.time.run(() => false, SETTLE_MS);
      const isQuiet = (): boolean => this.isWhole() && this.#whyPassesGoOn() === null;
      await ground.time.run(() => ground.failure !== null || isQuiet(), COMPACTED_MS);
    }
  }

  async #readAll(seen: readonly Seen[]): Promise<FinalLog[]> {
    const { tidemark } = this.workload.client('checker');
    const admin = tidemark.admin();
    const logs: FinalLog[] = [];
    for (const { name } of this.topics) {
      // Controllers write it, one after the other, and may write the same.
      if (name === DECISIONS_TOPIC) continue;
      const topic = await admin.describeTopic(name);
      for (const { partition } of topic.partitions) {
        const { values, position } = await readAll(tidemark, name, partition);
        const leader = this.#leaderOf(topic.topicId, partition);
        const { logStart } = leader.marks(topic.topicId, partition);
        const sinceMs = this.#sinceMs(topic.topicId, name);
        const losses = this.knowledge.losses.filter(
          (loss) => loss.topicId === topic.topicId && loss.partition === partition,
        );
        const end = position?.offset ?? 0;
        const log = { topic: name, partition, logStart, end, values, sinceMs, losses };
        const order = this.#orderOf(leader, topic.topicId, partition);
        const mayBeCompacted = compactedAway(this.history, seen, log, order);
        logs.push(order.upTo > 0 ? { ...log, mayBeCompacted } : log);
      }
    }
    return logs;
  }

  /** X and D of what a leader has begun, after its log was read: a pass may run meanwhile. */
  #orderOf(leader: Broker, topicId: string, partition: number) {
    const [found] = compactedReplicas([leader], topicId, partition);
    return { upTo: found?.compaction.upTo ?? 0, tombstonesBelow: found?.compaction.floor ?? 0 };
  }

  /** Why not all replicas have carried out what was ordered of them; null: they have. */
  #whyPassesGoOn(): string | null {
    for (const topic of this.image()?.topics.values() ?? []) {
      if (!isCompactedTopic(topic)) continue;
      for (const state of topic.partitions) {
        const why = this.#whyUnsettled(topic, state);
        if (why !== null) return why;
      }
    }
    return null;
  }

  #whyUnsettled({ topicId, name }: TopicState, state: PartitionState): string | null {
    const { partition, replicas } = state;
    const holders = this.members.flatMap(({ brokerId, broker }) =>
      replicas.includes(brokerId) && broker !== null ? [broker] : [],
    );
    try {
      const why = whyUnsettled(compactedReplicas(holders, topicId, partition));
      return why === null ? null : `${name}/${partition}: ${why}`;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** Whatever is sent since then to the topic's name belongs to this topic. */
  #sinceMs(topicId: string, name: string): number {
    const isRemade = this.topics.some((topic) => topic.name === name && topic.isRemade);
    return isRemade ? this.knowledge.knownSinceMs(topicId) : 0;
  }

  #leaderOf(topicId: string, partition: number): Broker {
    const leaderId = this.image()?.topics.get(topicId)?.partitions[partition]?.leader;
    const leader = this.brokers.find(({ brokerId }) => brokerId === leaderId)?.broker;
    if (leader === undefined || leader === null)
      throw new BrokerError('LEADER_UNKNOWN', `${topicId}/${partition} has no leader that runs`);
    return leader;
  }
}

/** Null where the broker does not hold it now. */
function marksOf(
  broker: Broker | null | undefined,
  topicId: string,
  partition: number,
): ReturnType<Broker['marks']> | null {
  try {
    return broker?.marks(topicId, partition) ?? null;
  } catch (error) {
    if (error instanceof BrokerError) return null;
    throw error;
  }
}

function bytesPerSecondOf({ compaction }: Profile): string[] {
  return compaction === null
    ? []
    : ['--compaction-bytes-per-second', String(compaction.bytesPerSecond)];
}

/** A partition's records by offset, and the position behind them. */
async function readAll(
  tidemark: Tidemark,
  topic: string,
  partition: number,
): Promise<{
  readonly values: ReadonlyMap<number, string>;
  readonly position: Position | undefined;
}> {
  const values = new Map<number, string>();
  await using consumer = tidemark.consumer({
    topic,
    partitions: [partition],
    follow: false,
    onLoss: 'yield',
  });
  for await (const item of consumer.records())
    if (!('kind' in item)) values.set(item.offset, nameOf(item));
  return { values, position: consumer.positions()[0] };
}

function isWholePartition({
  leader,
  replicas,
  syncSet,
  suspects,
  target,
}: PartitionState): boolean {
  return (
    leader >= 0 &&
    syncSet.length === replicas.length &&
    suspects.length === 0 &&
    target === undefined
  );
}
