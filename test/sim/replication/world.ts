/**
 * One partition, its brokers, a model controller, clients and faults, all from one seed. First faults, then healing, then the liveness check:
 * S refills, every append resolves, the logs are equal.
 */
import { BrokerError } from '../../../broker/base/errors.ts';
import { Random } from '../../../broker/base/random.ts';
import type {
  AckLevel,
  AppendResult,
  PartitionOutput,
  SyncSetProposal,
} from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../proto/batch/frame.ts';
import { ModelBroker } from './broker.ts';
import { Checkers, Violation } from './checkers.ts';
import { ModelClient } from './client.ts';
import { ModelController } from './model-controller.ts';
import { Streams } from './streams.ts';
import { Scheduler } from './scheduler.ts';

const FAULTS_MS = 12_000;
const HEAL_MS = 12_000;
const SESSION_MS = 300;
const LAG_MS_MAX = 400;

export interface Result {
  readonly seed: number;
  readonly settings: string;
  readonly commits: number;
  readonly acknowledged: number;
  readonly elections: number;
  readonly uncleanElections: number;
  readonly lostBatches: number;
  readonly crashes: number;
}

export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly lagMsMax = LAG_MS_MAX;
  readonly brokerCount: number;
  readonly checkers = new Checkers();
  readonly #seed: number;
  readonly #trace: (line: string) => void;
  readonly #settings: {
    min: number;
    mode: 'in-sync' | 'quorum';
    lossy: boolean;
    unclean: boolean;
    retire: boolean;
    switches: boolean;
    weakAcks: boolean;
    /** Brokers die behind slow links and are back at once: what the dead one stated arrives after the next one has registered. */
    ghosts: boolean;
  };
  readonly #brokers: ModelBroker[];
  readonly #controller: ModelController;
  readonly #streams: Streams;
  readonly #clients: ModelClient[];
  readonly #cut: boolean[];
  readonly #heardMs: number[];
  readonly #answers = new Map<number, (result: AppendResult) => void>();
  #isFaulty = true;
  #ids = 0;
  #leaderlessSinceMs = 0;
  #elections = 0;
  #uncleanElections = 0;
  #lostBatches = 0;
  #crashes = 0;

  constructor(seed: number, trace: (line: string) => void = () => {}) {
    this.#seed = seed;
    this.#trace = trace;
    this.random = new Random(seed);
    const { random } = this;
    this.brokerCount = 3 + random.below(3);
    this.#settings = {
      min: random.chance(0.8) ? 2 : 1 + random.below(3),
      mode: random.chance(0.5) ? 'in-sync' : 'quorum',
      lossy: random.chance(0.7),
      unclean: random.chance(0.3),
      retire: random.chance(0.3),
      switches: random.chance(0.3),
      weakAcks: random.chance(0.3),
      ghosts: random.chance(0.3),
    };
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
        elected: (leader, isUnclean) => this.#elected(leader, isUnclean),
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
  }

  /** Runs everything. Throws {@link Violation}, or whatever the core threw. */
  run(): Result {
    for (const broker of this.#brokers) this.#start(broker);
    this.#every(20, () => this.#tick());
    this.#every(5, () => {
      for (const client of this.#clients) client.pump();
      // A truncation hurts an election at any time, not only when something is committed.
      this.checkers.elections(this.#controller.state, this.#brokers);
    });
    this.#every(50, () => {
      if (this.#isFaulty) this.#fault();
    });
    this.scheduler.run(FAULTS_MS);
    this.#heal();
    this.scheduler.run(FAULTS_MS + HEAL_MS);
    for (const client of this.#clients) client.close();
    this.scheduler.run(FAULTS_MS + HEAL_MS + 4_000);
    this.#checkLive();
    return {
      seed: this.#seed,
      settings: `${this.brokerCount} brokers ${JSON.stringify(this.#settings)}`,
      commits: this.checkers.commits,
      acknowledged: this.checkers.acknowledged,
      elections: this.#elections,
      uncleanElections: this.#uncleanElections,
      lostBatches: this.#lostBatches,
      crashes: this.#crashes,
    };
  }

  /** What a step of a broker's core had to say. */
  output(broker: ModelBroker, output: PartitionOutput): void {
    const { partition } = broker;
    if (partition === null) return;
    if (output.stopped !== null)
      throw new Violation(`(stopped) broker ${broker.id}: ${output.stopped}`);
    const status = partition.status();
    if (status.role === 'leader') this.checkers.leads(broker, status.leaderEpoch);
    if (this.checkers.highWaterMark(broker, status.highWaterMark, status.logStart))
      this.checkers.elections(this.#controller.state, this.#brokers);
    for (const { requestId, result } of output.replies) this.#reply(broker, requestId, result);
    for (const message of output.messages)
      this.#streams.toFollower(broker.id, message.to, { ...message, from: broker.id });
    if (output.position !== null)
      this.#streams.position(broker.id, output.position.to, output.position.position);
    if (output.proposal !== null) this.#propose(broker, output.proposal);
    this.#streams.pump(broker.id);
  }

  #trace1(what: string): void {
    this.#trace(`${this.scheduler.nowMs} ${what}`);
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
      if (!this.#settings.ghosts || !this.#isFaulty || this.random.chance(0.15))
        this.#streams.connect(broker.id);
    }
    this.#controller.elect();
    if (this.#controller.state.leader !== -1) this.#leaderlessSinceMs = nowMs;
    const patienceMs = this.#isFaulty ? 1_500 : 3_000;
    const mayElectUncleanly = this.#settings.unclean || !this.#isFaulty;
    if (mayElectUncleanly && nowMs - this.#leaderlessSinceMs > patienceMs)
      this.#controller.electUncleanly();
  }

  #fault(): void {
    const { random } = this;
    const broker = random.pick(this.#brokers);
    const roll = random.below(100);
    if (roll < 6 && this.#settings.ghosts) this.#ghost(broker);
    else if (roll < 6) this.#crash(broker, this.#settings.lossy && random.chance(0.4));
    else if (roll < 8)
      for (const other of this.#brokers)
        this.#crash(other, this.#settings.lossy && random.chance(0.2));
    else if (roll < 14)
      this.#streams.reset(random.below(this.brokerCount), random.below(this.brokerCount));
    else if (roll < 18) this.#cutOff(broker);
    else if (roll < 24) this.#streams.slow(broker.id, random.below(900));
    else if (roll < 26) this.#controller.move();
    else if (roll < 28) this.#controller.fence(broker.id);
    else if (roll < 30 && this.#settings.switches)
      this.#controller.setMode(random.pick(['in-sync', 'quorum']));
    else if (roll < 40 && this.#settings.retire)
      broker.step({ kind: 'retire', offset: this.#batchBelow(broker) });
  }

  /** Start of some batch at or below the broker's HW. */
  #batchBelow(broker: ModelBroker): number {
    const highWaterMark = broker.partition?.readEnd() ?? 0;
    const index = this.random.below(broker.disk.indexOf(highWaterMark) + 1);
    return broker.disk.batches[index]?.baseOffset ?? 0;
  }

  #crash(broker: ModelBroker, isLossy: boolean): void {
    if (!broker.isUp) return;
    this.#crashes += 1;
    this.#trace1(`crash ${broker.id}${isLossy ? ' lossy' : ''}`);
    this.#streams.died(broker.id);
    broker.crash(isLossy);
    if (isLossy) this.checkers.lost(broker.id);
    this.scheduler.after(20 + this.random.below(this.random.chance(0.2) ? 2_000 : 300), () =>
      this.#start(broker),
    );
  }

  #ghost(broker: ModelBroker): void {
    this.#streams.slow(broker.id, 200 + this.random.below(600));
    this.scheduler.after(20 + this.random.below(150), () => {
      this.#crash(broker, this.#settings.lossy);
      this.#start(broker);
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

  /** From the controller and from every peer. */
  #cutOff(broker: ModelBroker): void {
    this.#trace1(`cut off ${broker.id}`);
    this.#cut[broker.id] = true;
    this.#streams.cut(broker.id, true);
    this.scheduler.after(this.random.below(1_500), () => {
      this.#cut[broker.id] = false;
      this.#streams.cut(broker.id, false);
    });
  }

  #isCut(broker: ModelBroker): boolean {
    return this.#cut[broker.id] === true;
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
    if (this.#isCut(broker) || state.version <= broker.version || this.random.chance(0.1)) return;
    this.scheduler.after(1 + this.random.below(this.random.chance(0.05) ? 400 : 25), () => {
      if (
        broker.generation !== generation ||
        broker.partition === null ||
        this.#isCut(broker) ||
        broker.version >= state.version
      )
        return;
      broker.version = state.version;
      broker.step({ kind: 'assign', assignment: state });
    });
  }

  #elected(leader: number, isUnclean: boolean): void {
    this.#elections += 1;
    if (!isUnclean) return;
    this.#uncleanElections += 1;
    this.#lostBatches += this.checkers.reported((this.#brokers[leader] as ModelBroker).disk);
  }

  #inspect(brokerId: number, brokerEpoch: number, leaderEpoch: number) {
    const broker = this.#brokers[brokerId] as ModelBroker;
    if (broker.partition === null || broker.incarnation !== brokerEpoch || this.#isCut(broker))
      return null;
    return broker.partition.inspect(leaderEpoch);
  }

  /** Proposals and their answers may be lost or late; a lost one may yet be applied. */
  #propose(broker: ModelBroker, proposal: SyncSetProposal): void {
    const { generation, incarnation } = broker;
    const answer = (error: BrokerError | null) => {
      if (broker.generation === generation)
        broker.step({ kind: 'sync-set-result', proposalId: proposal.proposalId, error });
    };
    const isLost = this.#isFaulty && this.random.chance(0.1);
    const isAnswerLost = this.#isFaulty && this.random.chance(0.2);
    const isSlow = this.#isFaulty && this.random.chance(0.1);
    if (isLost || isAnswerLost || isSlow)
      this.scheduler.after(200, () => answer(new BrokerError('BROKER_NOT_READY', 'no answer')));
    if (isLost) return;
    this.scheduler.after(1 + this.random.below(isSlow ? 1_500 : 20), () => {
      const error = this.#controller.alter(broker.id, incarnation, proposal);
      if (!isAnswerLost && !isSlow)
        this.scheduler.after(1 + this.random.below(20), () => answer(error));
    });
  }

  #send(
    to: number,
    ack: AckLevel,
    header: BatchHeader,
    answer: (result: AppendResult) => void,
  ): void {
    const broker = this.#brokers[to] as ModelBroker;
    if (this.#isFaulty && this.random.chance(0.03)) return;
    this.scheduler.after(1 + this.random.below(5), () => {
      if (broker.partition === null) return;
      const requestId = (this.#ids += 1);
      this.#answers.set(requestId, answer);
      broker.requests.set(requestId, { ...header, length: ack === 'all' ? 100 : 101 });
      broker.step({ kind: 'append', requestId, ack, header, wallMs: 0 });
    });
  }

  #reply(broker: ModelBroker, requestId: number, result: AppendResult): void {
    const header = broker.requests.get(requestId);
    const answer = this.#answers.get(requestId);
    if (header === undefined || answer === undefined)
      throw new Violation(`(reply) request ${requestId} is answered twice`);
    this.#answers.delete(requestId);
    // Writes read the header later; level none is answered before its write begins.
    this.scheduler.after(5_000, () => broker.requests.delete(requestId));
    if (header.length === 100)
      this.checkers.acknowledges(header, result, this.#settings.min, this.#brokers);
    if (this.#isFaulty && this.random.chance(0.03)) return;
    this.scheduler.after(1 + this.random.below(5), () => answer(result));
  }

  #refused(error: BrokerError): void {
    const isExcused = this.#uncleanElections > 0 || this.#settings.retire;
    if (!isExcused)
      throw new Violation(`(refused) an acknowledged sequence was refused: ${error.message}`);
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
    if (outstanding > 0) throw new Violation(`(live) ${outstanding} appends are not resolved`);
    this.checkers.converged(this.#brokers);
  }
}
