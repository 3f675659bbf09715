/**
 * One partition, its brokers, a model controller, clients and faults, all from one seed. First
 * faults, then healing, then the liveness check: S refills, every append resolves, the logs are
 * equal.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { LogEnd } from '../../../broker/metadata/leader-election.ts';
import { Random } from '../../../base/random.ts';
import type {
  AckLevel,
  AppendResult,
  PartitionOutput,
  SyncSetProposal,
} from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import { ModelBroker } from './broker.ts';
import { Checkers, Violation } from './checkers.ts';
import { ModelClient } from './client.ts';
import { checkSame, compactedIn, Compaction } from './compaction.ts';
import { ModelController } from './model-controller.ts';
import { ModelRacer } from './racer.ts';
import { Streams } from './streams.ts';
import { Scheduler } from './scheduler.ts';
import { drawSettings, type Settings } from './settings.ts';

const FAULTS_MS = 12_000;
const HEAL_MS = 12_000;
/** Racers go on for so long when the others have stopped. */
const RACE_MS = 2_000;
const SESSION_MS = 300;
const LAG_MS_MAX = 400;
/** A leader has found out by then that a member lost what it acknowledged. */
const QUIET_MS = 4_000;

/** A racer's batch, but for whose it is. */
const RACED: BatchHeader = {
  baseOffset: 0,
  leaderEpoch: 0,
  length: 100,
  leaderCrc: 0,
  crc: 0,
  codec: 0,
  isControl: false,
  isSparse: false,
  lastOffsetDelta: 0,
  recordCount: 1,
  baseSequence: 0,
  baseTimestampMs: 0,
  maxTimestampMs: 0,
  producerId: 0,
  producerEpoch: 0,
};

type Loss = Parameters<ModelBroker['crash']>[0];

export interface Result {
  readonly seed: number;
  readonly settings: string;
  readonly commits: number;
  readonly acknowledged: number;
  /** Trims that were answered, each further than those before. */
  readonly trimmed: number;
  /** Batches of which a replica holds the header alone at the end. */
  readonly compacted: number;
  /** D of the last order that was carried out. */
  readonly tombstonesBelow: number;
  readonly resets: number;
  readonly elections: number;
  /** Appends of racers that were acknowledged to them. */
  readonly racesWon: number;
  readonly uncleanElections: number;
  readonly lostBatches: number;
  readonly crashes: number;
}

/** What a world does besides: it draws from chances of its own. */
export interface Extras {
  /** So many append only where nothing was appended since they looked. */
  readonly racers?: number;
  /** Somebody trims the log again and again. */
  readonly trims?: boolean;
  /** The leader has the log compacted again and again. */
  readonly compaction?: boolean;
  /** Is called at each tick, and with each line of the trace. Must change nothing. */
  readonly look?: (world: World, line: string | null) => void;
}

export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly lagMsMax = LAG_MS_MAX;
  readonly checkpointChance: number;
  readonly brokerCount: number;
  readonly checkers = new Checkers();
  readonly #seed: number;
  readonly #trace: (line: string) => void;
  readonly #look: (line: string | null) => void;
  readonly #settings: Settings;
  readonly #brokers: ModelBroker[];
  readonly #controller: ModelController;
  readonly #streams: Streams;
  readonly #clients: ModelClient[];
  readonly #racers: ModelRacer[];
  /** What the append of a request expected to be the end. */
  readonly #expected = new Map<number, number>();
  readonly #cut: boolean[];
  readonly #heardMs: number[];
  /**
   * A broker that is back opens no stream until then: its leader hears what its last incarnation
   * stated.
   */
  readonly #silentUntilMs: number[] = [];
  /** No metadata reaches the broker until then. */
  readonly #deafUntilMs: number[] = [];
  readonly #answers = new Map<number, (result: AppendResult) => void>();
  /** Trims that are not answered, and to where. */
  readonly #trims = new Map<number, number>();
  #trimming: Random | null;
  readonly #compaction: Compaction | null;
  readonly #hasTrims: boolean;
  #isFaulty = true;
  #quiet: { readonly broker: ModelBroker; readonly untilMs: number } | null = null;
  #ids = 0;
  #leaderlessSinceMs = 0;
  #elections = 0;
  #uncleanElections = 0;
  #lostBatches = 0;
  #crashes = 0;

  constructor(
    seed: number,
    trace: (line: string) => void = () => {},
    { racers = 0, trims = false, compaction = false, look }: Extras = {},
  ) {
    this.#seed = seed;
    this.#trace = trace;
    this.#look = (line) => look?.(this, line);
    this.random = new Random(seed);
    const { random } = this;
    this.#hasTrims = trims;
    this.#trimming = trims ? new Random(seed).fork('trims') : null;
    this.#compaction = compaction ? new Compaction(new Random(seed).fork('compaction')) : null;
    this.brokerCount = 3 + random.below(3);
    this.#settings = drawSettings(random, this.brokerCount);
    this.checkpointChance = random.pick([0.1, 0.002]);
    this.#brokers = Array.from({ length: this.brokerCount }, (_, id) => new ModelBroker(id, this));
    this.#cut = this.#brokers.map(() => false);
    this.#heardMs = this.#brokers.map(() => 0);
    this.#controller = new ModelController(
      {
        brokers: this.brokerCount,
        min: this.#settings.min,
        commitMode: this.#settings.mode,
        random: random.fork('controller'),
      },
      {
        inspect: (id, epoch, leaderEpoch) => this.#inspect(id, epoch, leaderEpoch),
        changed: (what) => this.#published(what),
        elected: () => {
          this.#elections += 1;
        },
        electedUncleanly: (leader, fromOffset) => this.#electedUncleanly(leader, fromOffset),
      },
    );
    this.#streams = new Streams(
      this.scheduler,
      random.fork('streams'),
      this.#brokers,
      () => this.#isFaulty,
    );
    const acks: AckLevel[] = [
      'all',
      'all',
      this.#settings.weakAcks ? random.pick(['none', 'leader'] as const) : 'all',
    ];
    const world = {
      scheduler: this.scheduler,
      random: random.fork('clients'),
      brokers: this.brokerCount,
      nextId: () => (this.#ids += 1),
      send: (
        broker: number,
        ack: AckLevel,
        header: BatchHeader,
        answer: (result: AppendResult) => void,
      ) => this.#send(broker, ack, header, answer),
      refused: (error: BrokerError) => this.#refused(error),
    };
    this.#clients = acks.map((ack) => new ModelClient(world, ack));
    const racing = {
      ...world,
      random: random.fork('racers'),
      readEnd: () =>
        Math.max(0, ...this.#brokers.map(({ partition }) => partition?.readEnd() ?? 0)),
      header: (fields: Partial<BatchHeader>) => ({ ...RACED, ...fields }),
      send: (
        broker: number,
        header: BatchHeader,
        expectedOffset: number,
        answer: (result: AppendResult) => void,
      ) => this.#send(broker, 'all', header, answer, expectedOffset),
    };
    this.#racers = Array.from({ length: racers }, () => new ModelRacer(racing));
  }

  get brokers(): readonly ModelBroker[] {
    return this.#brokers;
  }

  /** The partition as the controller has it. */
  get row(): ModelController['state'] {
    return this.#controller.state;
  }

  get settings(): string {
    return `${this.brokerCount} brokers ${JSON.stringify(this.#settings)}`;
  }

  /** Runs everything. Throws {@link Violation}, or whatever the core threw. */
  run(): Result {
    for (const broker of this.#brokers) this.#start(broker);
    this.#every(20, () => this.#tick());
    this.#every(5, () => {
      for (const client of this.#clients) client.pump();
      for (const racer of this.#racers) racer.pump();
      // A truncation hurts an election at any time, not only when something is committed.
      this.checkers.elections(this.#controller.state, this.#brokers);
    });
    this.#every(50, () => {
      if (this.#isFaulty) this.#fault();
      if (this.#trimming !== null) this.#trim(this.#trimming);
      this.#compaction?.step(this.#brokers, this.checkers.ledger, this.scheduler.nowMs);
    });
    this.scheduler.run(FAULTS_MS);
    this.#heal();
    this.scheduler.run(FAULTS_MS + HEAL_MS / 3);
    this.#compaction?.end();
    this.scheduler.run(FAULTS_MS + HEAL_MS);
    for (const client of this.#clients) client.close();
    this.#trimming = null;
    const contested = this.#wins;
    this.scheduler.run(FAULTS_MS + HEAL_MS + RACE_MS);
    // Beside others who append without looking, a racer may lose for ever.
    if (this.#racers.length > 0 && this.#wins === contested)
      throw new Violation('(live) no racer wins where only racers append');
    for (const racer of this.#racers) racer.close();
    this.scheduler.run(FAULTS_MS + HEAL_MS + 4_000);
    this.#checkLive();
    return {
      seed: this.#seed,
      settings: this.settings,
      commits: this.checkers.commits,
      acknowledged: this.checkers.acknowledged,
      trimmed: this.checkers.trimmed,
      ...compactedIn(this.#brokers),
      resets: this.checkers.resets,
      elections: this.#elections,
      racesWon: this.#racers.reduce((sum, racer) => sum + racer.wins, 0),
      uncleanElections: this.#uncleanElections,
      lostBatches: this.#lostBatches,
      crashes: this.#crashes,
    };
  }

  /** What a step of a broker's core had to say. */
  output(broker: ModelBroker, output: PartitionOutput): void {
    const { partition } = broker;
    if (partition === null) return;
    // A replica that is named and must not lead says so, and is heard.
    const mustNotLead =
      output.proposal?.change.op === 'distrust' && partition.status().role === 'stopped';
    if (output.stopped !== null && !mustNotLead)
      throw new Violation(`(stopped) broker ${broker.id}: ${output.stopped}`);
    if (output.refused !== null)
      throw new Violation(`(refused) broker ${broker.id}: ${output.refused.reason}`);
    const status = partition.status();
    for (const write of output.writes)
      if (write.kind === 'reset') this.checkers.reset(broker, write.start);
    const ledEpoch = status.role === 'leader' ? status.leaderEpoch : null;
    if (ledEpoch !== null) this.checkers.leads(broker, ledEpoch);
    if (ledEpoch !== null) this.checkers.shows(broker.id, status);
    if (!broker.isCutting)
      this.checkers.dataEnd(`${broker.id}`, broker.emitted, partition.dataEnd(), ledEpoch);
    if (output.writes.some(({ kind }) => kind === 'append')) this.checkers.appends(broker);
    if (this.checkers.highWaterMark(broker, status)) {
      if (ledEpoch !== null) this.checkers.commitsWith(broker, status.highWaterMark, this.#brokers);
      this.checkers.elections(this.#controller.state, this.#brokers);
    }
    this.checkers.logStart(broker, status.logStart);
    for (const { requestId, result } of output.replies) this.#reply(broker, requestId, result);
    for (const message of output.messages)
      this.#streams.toFollower(broker.id, message.to, { ...message, from: broker.id });
    if (output.position !== null)
      this.#streams.position(broker.id, output.position.to, output.position.position);
    if (output.proposal !== null) this.#propose(broker, output.proposal);
    if (output.asksProducers) this.#askProducers(broker, status.leaderEpoch);
    this.#streams.pump(broker.id);
  }

  #askProducers(broker: ModelBroker, leaderEpoch: number): void {
    const { generation } = broker;
    this.scheduler.after(1 + this.random.below(60), () => {
      if (broker.generation !== generation || this.#isCut(broker)) return;
      const given = { idMax: (this.#ids += 1), epochs: new Map<number, number>() };
      broker.step({ kind: 'producers-given', leaderEpoch, given });
    });
  }

  #trace1(what: string): void {
    this.#trace(`${this.scheduler.nowMs} ${what}`);
    this.#look(`${this.scheduler.nowMs} ${what}`);
  }

  #every(periodMs: number, run: () => void): void {
    this.scheduler.after(periodMs, () => {
      run();
      this.#every(periodMs, run);
    });
  }

  #tick(): void {
    const { nowMs } = this.scheduler;
    for (const broker of this.#brokers) {
      broker.step({ kind: 'tick', nowMs });
      if (broker.partition !== null && !this.#isCut(broker)) {
        this.#heardMs[broker.id] = nowMs;
        if (broker.version > 0 && this.random.chance(0.3))
          this.#controller.unfence(broker.id, broker.incarnation);
        if (this.random.chance(0.2)) this.#deliver(broker);
      } else if (nowMs - (this.#heardMs[broker.id] ?? 0) > SESSION_MS) {
        this.#controller.fence(broker.id);
      }
      if (this.random.chance(0.02)) broker.sync();
      if (this.#compaction !== null && !this.#isFaulty) broker.sync();
      const isSilent = this.#isFaulty && nowMs < (this.#silentUntilMs[broker.id] ?? 0);
      if (!isSilent && (!this.#settings.ghosts || !this.#isFaulty || this.random.chance(0.15)))
        this.#streams.connect(broker.id);
    }
    this.#retireSteadily();
    this.#watchQuietLoss();
    this.#controller.elect();
    if (this.#controller.state.leader !== -1) this.#leaderlessSinceMs = nowMs;
    const patienceMs = this.#isFaulty ? 1_500 : 3_000;
    const mayElectUncleanly = this.#settings.unclean || !this.#isFaulty;
    if (mayElectUncleanly && nowMs - this.#leaderlessSinceMs > patienceMs)
      this.#controller.electUncleanly();
    this.#look(null);
  }

  #fault(): void {
    const { random } = this;
    if (this.#quiet !== null) return;
    const broker = random.pick(this.#brokers);
    const roll = random.below(100);
    if (roll < 6 && this.#settings.ghosts) this.#ghost(broker);
    else if (roll < 6) this.#crash(broker, this.#loss(0.4));
    else if (roll < 8) for (const other of this.#brokers) this.#crash(other, this.#loss(0.2));
    else if (roll < 14)
      this.#streams.reset(random.below(this.brokerCount), random.below(this.brokerCount));
    else if (roll < 18) this.#cutOff(broker, random.chance(0.6));
    else if (roll < 24) this.#streams.slow(broker.id, random.below(900));
    else if (roll < 26) this.#controller.move();
    else if (roll < 28) this.#controller.fence(broker.id);
    else if (roll < 30 && this.#settings.switches)
      this.#controller.setMode(random.pick(['in-sync', 'quorum']));
    else if (roll < 40 && this.#settings.retire) this.#retire(broker, this.#batchBelow(broker));
    else if (roll < 46 && this.#settings.quiet) this.#loseQuietly(broker);
    else if (roll >= 95 && this.#settings.figure8) this.#figure8();
    else if (roll >= 90 && this.#settings.unheard) this.#loseSight();
  }

  /**
   * A leader is cut off while it appends, its successor as soon as it has begun its epoch; then the
   * first one may lead again.
   */
  #figure8(): void {
    const first = this.#brokers[this.#controller.state.leader];
    if (first === undefined) return;
    this.#cutOff(first);
    this.scheduler.after(30 + this.random.below(50), () => {
      if (this.#quiet !== null) return;
      this.#controller.depose();
      this.#whenBegun(100, (second) => {
        this.#cutOff(second);
        this.#join(first);
        this.#controller.depose();
      });
    });
  }

  /** An election must not read a log that may still acknowledge in the epoch before. */
  #loseSight(): void {
    const leader = this.#brokers[this.#controller.state.leader];
    const other = this.random.pick(this.#brokers);
    if (leader === undefined || other === leader) return;
    this.#deafUntilMs[other.id] = this.scheduler.nowMs + 20 + this.random.below(200);
    this.#cutOff(leader, false);
    this.#controller.fence(leader.id);
  }

  /** Calls back once a leader's epoch start is on its own disk, and hardly anywhere else. */
  #whenBegun(looks: number, run: (leader: ModelBroker) => void): void {
    if (looks === 0 || !this.#isFaulty || this.#quiet !== null) return;
    const { leader, leaderEpoch } = this.#controller.state;
    const broker = this.#brokers[leader];
    if (broker !== undefined && broker.disk.rank.lastEpoch === leaderEpoch) run(broker);
    else this.scheduler.after(1, () => this.#whenBegun(looks - 1, run));
  }

  #retire(broker: ModelBroker, offset: number): void {
    if (broker.partition?.status().role !== 'leader') return;
    if (offset <= broker.partition.readEnd()) this.checkers.retired(offset);
    broker.step({ kind: 'retire', offset });
  }

  #retireSteadily(): void {
    const { keep } = this.#settings;
    if (keep < 0) return;
    for (const broker of this.#brokers) {
      const highWaterMark = broker.partition?.readEnd() ?? 0;
      const index = broker.disk.indexOf(highWaterMark) - keep;
      if (keep === 0) this.#retire(broker, highWaterMark);
      else if (index > 0) this.#retire(broker, broker.disk.batches[index]?.baseOffset ?? 0);
    }
  }

  /**
   * docs/rules.md#restart-classes: an in-sync member of S whose log matches only below the leader's
   * HW is lossy, whatever it claims.
   */
  #loseQuietly(broker: ModelBroker): void {
    const { leader, syncSet, quorum, replicas, suspects, successor } = this.#controller.state;
    const isCalm =
      replicas.every(({ fenced }) => !fenced) &&
      this.#brokers.every((other) => other.partition !== null && !this.#isCut(other)) &&
      // One that has committed nothing yet cannot tell what a member must hold.
      this.#brokers[leader]?.partition?.latest() != null;
    const isMember = leader !== broker.id && syncSet.includes(broker.id) && suspects.length === 0;
    // A member that lags proves nothing where q may be below |S|.
    const isInSync = this.#settings.mode === 'in-sync' && !this.#settings.switches;
    if (!isCalm || !isMember || !isInSync || quorum !== syncSet.length || successor !== -1) return;
    this.#streams.starve(broker.id, true);
    this.#crash(broker, { suffix: true, beginning: false, isQuiet: true });
    broker.hasQuietLoss = true;
    this.#quiet = { broker, untilMs: this.scheduler.nowMs + QUIET_MS };
  }

  /**
   * Until the leader has found out nothing else happens: with it in S and trusted, a second event
   * may lose what was acknowledged.
   */
  #watchQuietLoss(): void {
    if (this.#quiet === null) return;
    const { broker, untilMs } = this.#quiet;
    const { syncSet, suspects } = this.#controller.state;
    const isHarmless =
      broker.partition?.status().isMatched === true && this.checkers.isComplete(broker.disk);
    const isOver = isHarmless || !syncSet.includes(broker.id) || suspects.includes(broker.id);
    if (!isOver && this.scheduler.nowMs < untilMs) return;
    if (!isOver)
      throw new Violation(
        `(h) broker ${broker.id} lost what it acknowledged, and is in S (${syncSet.join()}) and trusted`,
      );
    broker.hasQuietLoss = false;
    this.#quiet = null;
    this.#streams.starve(broker.id, false);
  }

  /** Start of some batch at or below the broker's HW. */
  #batchBelow(broker: ModelBroker): number {
    const highWaterMark = broker.partition?.readEnd() ?? 0;
    const index = this.random.below(broker.disk.indexOf(highWaterMark) + 1);
    return broker.disk.batches[index]?.baseOffset ?? 0;
  }

  #crash(broker: ModelBroker, loss: Loss): void {
    if (!broker.isUp) return;
    this.#crashes += 1;
    this.#trace1(`crash ${broker.id} ${JSON.stringify(loss)}`);
    this.#streams.died(broker.id);
    broker.crash(loss);
    if (loss.suffix || loss.beginning) this.checkers.lost(broker.id);
    this.scheduler.after(20 + this.random.below(this.random.chance(0.2) ? 2_000 : 300), () =>
      this.#start(broker),
    );
  }

  /** A beginning that is lost may go unsaid; who has lost a suffix says so. */
  #loss(probability: number): Loss {
    const { random } = this;
    const suffix = this.#settings.lossy && random.chance(probability);
    const beginning = this.#settings.beginnings && random.chance(probability / 2);
    return { suffix, beginning, isQuiet: !suffix && random.chance(0.5) };
  }

  #ghost(broker: ModelBroker): void {
    this.#streams.slow(broker.id, 200 + this.random.below(600));
    this.scheduler.after(20 + this.random.below(150), () => {
      if (this.#quiet !== null) return;
      this.#crash(broker, this.#loss(1));
      this.#start(broker);
      this.#silentUntilMs[broker.id] = this.scheduler.nowMs + this.random.below(1_000);
    });
  }

  #start(broker: ModelBroker): void {
    if (broker.isUp) return;
    broker.isUp = true;
    const { generation } = broker;
    this.scheduler.after(1 + this.random.below(60), () => {
      if (broker.generation !== generation) return;
      const epoch = this.#controller.register(broker.id, broker.hasUnreportedLoss);
      broker.hasUnreportedLoss = false;
      this.#heardMs[broker.id] = this.scheduler.nowMs;
      this.scheduler.after(1 + this.random.below(10), () => {
        if (broker.generation === generation) broker.open(epoch);
      });
    });
  }

  /** From the controller and from every peer, or from the controller alone. */
  #cutOff(broker: ModelBroker, isFromPeers = true): void {
    this.#trace1(`cut off ${broker.id}${isFromPeers ? '' : ' from the controller'}`);
    this.#cut[broker.id] = true;
    if (isFromPeers) this.#streams.cut(broker.id, true);
    this.scheduler.after(this.random.below(1_500), () => {
      this.#join(broker);
    });
  }

  #join(broker: ModelBroker): void {
    this.#cut[broker.id] = false;
    this.#streams.cut(broker.id, false);
  }

  #isCut(broker: ModelBroker): boolean {
    return this.isCutOff(broker.id);
  }

  isCutOff(brokerId: number): boolean {
    return this.#cut[brokerId] === true;
  }

  #heal(): void {
    this.#trace1('heal');
    this.#isFaulty = false;
    for (const broker of this.#brokers) {
      this.#cut[broker.id] = false;
      this.#streams.cut(broker.id, false);
      this.#streams.slow(broker.id, 0);
      this.#start(broker);
    }
  }

  #published(what: string): void {
    const { state } = this.#controller;
    this.#trace1(
      `${what}: leader ${state.leader} epoch ${state.leaderEpoch}/${state.partitionEpoch} S (${state.syncSet.join()}) q ${state.quorum} suspects (${state.suspects.join()})`,
    );
    if (state.uncleanEpoch !== state.leaderEpoch || state.leader === -1)
      this.checkers.elections(state, this.#brokers);
    for (const broker of this.#brokers) this.#deliver(broker);
  }

  /** Metadata reaches a broker late, sometimes skipping states, never backwards. */
  #deliver(broker: ModelBroker): void {
    const { state } = this.#controller;
    const { generation } = broker;
    const isDeaf = this.#isFaulty && this.scheduler.nowMs < (this.#deafUntilMs[broker.id] ?? 0);
    if (isDeaf || this.#isCut(broker)) return;
    if (state.version <= broker.version || this.random.chance(0.1)) return;
    this.scheduler.after(1 + this.random.below(this.random.chance(0.05) ? 400 : 25), () => {
      if (
        broker.generation !== generation ||
        broker.partition === null ||
        this.#isCut(broker) ||
        broker.version >= state.version
      )
        return;
      broker.assign(state, state.version);
    });
  }

  #electedUncleanly(leader: number, fromOffset: number): void {
    this.#elections += 1;
    this.#uncleanElections += 1;
    const { disk } = this.#brokers[leader] as ModelBroker;
    this.#lostBatches += this.checkers.reported(disk, fromOffset);
  }

  #inspect(brokerId: number, brokerEpoch: number, leaderEpoch: number): LogEnd | null {
    const broker = this.#brokers[brokerId] as ModelBroker;
    if (broker.partition === null || broker.incarnation !== brokerEpoch || this.#isCut(broker))
      return null;
    const log = broker.partition.inspect(leaderEpoch);
    if (log === null) return null;
    const { lastEpoch, endOffset, start } = log;
    const { offset: startOffset, retiredTo } = start;
    const highWaterMark = broker.partition.readEnd();
    return { brokerId, lastEpoch, endOffset, startOffset, retiredTo, highWaterMark };
  }

  /** Proposals and their answers may be lost or late; a lost one may yet be applied. */
  #propose(broker: ModelBroker, proposal: SyncSetProposal): void {
    const { generation, incarnation } = broker;
    const { leaderEpoch, proposalId } = proposal;
    const answer = (error: BrokerError | null) => {
      if (broker.generation === generation)
        broker.step({ kind: 'sync-set-result', leaderEpoch, proposalId, error });
    };
    const isLost = this.#isFaulty && this.random.chance(0.1);
    const isAnswerLost = this.#isFaulty && this.random.chance(0.2);
    const isSlow = this.#isFaulty && this.random.chance(0.1);
    if (isLost || isAnswerLost || isSlow)
      this.scheduler.after(200, () => answer(new BrokerError('UNREACHABLE', 'no answer')));
    if (isLost) return;
    this.scheduler.after(1 + this.random.below(isSlow ? 1_500 : 20), () => {
      const error = this.#controller.alter(broker.id, incarnation, proposal);
      if (error === null && proposal.change.op === 'hand-over' && broker.generation === generation)
        this.checkers.handsOver(
          broker,
          broker.partition?.status().logEnd ?? 0,
          this.#brokers[proposal.change.successor] as ModelBroker,
        );
      if (!isAnswerLost && !isSlow)
        this.scheduler.after(1 + this.random.below(20), () => answer(error));
    });
  }

  #send(
    to: number,
    ack: AckLevel,
    header: BatchHeader,
    answer: (result: AppendResult) => void,
    expectedOffset?: number,
  ): void {
    const broker = this.#brokers[to] as ModelBroker;
    if (this.#isFaulty && this.random.chance(0.03)) return;
    this.scheduler.after(1 + this.random.below(5), () => {
      if (broker.partition === null) return;
      const requestId = (this.#ids += 1);
      this.#answers.set(requestId, answer);
      broker.requests.set(requestId, { ...header, length: ack === 'all' ? 100 : 101 });
      if (expectedOffset !== undefined) this.#expected.set(requestId, expectedOffset);
      const expectedEnd =
        expectedOffset === undefined ? undefined : { offset: expectedOffset, leaderEpoch: 0 };
      broker.step({ kind: 'append', requestId, ack, header, wallMs: 0, expectedEnd });
    });
  }

  #trim(trimming: Random): void {
    if (!trimming.chance(0.2)) return;
    const broker = trimming.pick(this.#brokers);
    const readEnd = broker.partition?.readEnd() ?? 0;
    // Mostly a little, else the log is always empty.
    const index = Math.floor(broker.disk.indexOf(readEnd) * trimming.pick([0.1, 0.5, 1]));
    const offset = broker.disk.batches[index]?.baseOffset ?? readEnd;
    const requestId = (this.#ids += 1);
    this.#trims.set(requestId, Math.min(offset, readEnd));
    broker.step({ kind: 'trim', requestId, offset: Math.min(offset, readEnd) });
  }

  #reply(broker: ModelBroker, requestId: number, result: AppendResult): void {
    const trimTo = this.#trims.get(requestId);
    if (trimTo !== undefined) {
      this.#trims.delete(requestId);
      return this.checkers.trims(trimTo, result);
    }
    const header = broker.requests.get(requestId);
    const answer = this.#answers.get(requestId);
    if (header === undefined || answer === undefined)
      throw new Violation(`(reply) request ${requestId} is answered twice`);
    this.#answers.delete(requestId);
    // Writes read the header later; level none is answered before its write begins.
    this.scheduler.after(5_000, () => broker.requests.delete(requestId));
    const expectedOffset = this.#expected.get(requestId);
    if (expectedOffset !== undefined) this.checkers.raced(expectedOffset, result);
    this.checkers.refuses(broker, header, result);
    if (header.length === 100)
      this.checkers.acknowledges(header, result, this.#settings.min, this.#brokers);
    if (this.#isFaulty && this.random.chance(0.03)) return;
    this.scheduler.after(1 + this.random.below(5), () => answer(result));
  }

  #refused(error: BrokerError): void {
    const { retire, keep } = this.#settings;
    const isExcused = this.#uncleanElections > 0 || retire || keep >= 0 || this.#hasTrims;
    if (!isExcused)
      throw new Violation(`(refused) an acknowledged sequence was refused: ${error.message}`);
  }

  get #wins(): number {
    return this.#racers.reduce((sum, racer) => sum + racer.wins, 0);
  }

  #checkLive(): void {
    const { state } = this.#controller;
    const wanted =
      state.commitMode === 'in-sync'
        ? this.brokerCount
        : Math.max(state.minInSyncReplicas, Math.floor(this.brokerCount / 2) + 1);
    const isWhole =
      state.syncSet.length === this.brokerCount &&
      state.quorum === wanted &&
      state.suspects.length === 0;
    if (!isWhole) {
      const statuses = this.#brokers.map((broker) =>
        JSON.stringify(broker.partition?.status() ?? null),
      );
      throw new Violation(
        `(live) S (${state.syncSet.join()}) q ${state.quorum} of ${wanted} suspects (${state.suspects.join()}) leader ${state.leader}\n${statuses.join('\n')}`,
      );
    }
    const outstanding = this.#clients.reduce((sum, client) => sum + client.outstanding, 0);
    const open = this.#racers.filter(({ isOpen }) => isOpen).length;
    if (open > 0)
      throw new Violation(`(live) ${open} racers do not know what became of their append`);
    if (outstanding > 0) throw new Violation(`(live) ${outstanding} appends are not resolved`);
    this.checkers.converged(this.#brokers);
    if (this.#compaction !== null) checkSame(this.#brokers);
  }
}
