/**
 * A seeded random walk over the controller core and model brokers. Every message may be late or
 * lost, controllers are replaced at any point, disks lose data in every way that
 * docs/rules.md#restart-classes tells apart. `checks.ts` judges every step; a violation throws with
 * the seed.
 */
import { apply, emptyImage } from '../../../broker/metadata/apply.ts';
import { BrokerError } from '../../../base/errors.ts';
import { Random } from '../../../base/random.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../broker/metadata/config.ts';
import {
  FEATURE_LEVEL_MAX,
  hasLevel,
  LEVEL_OF_CHANGES,
} from '../../../broker/metadata/features.ts';
import { Controller } from '../../../broker/metadata/controller/controller.ts';
import type {
  AlterTopicRequest,
  ControllerInput,
  ControllerOutput,
  ControllerRequest,
  SyncSetChange,
} from '../../../broker/metadata/controller-types.ts';
import type {
  MetadataImage,
  MetadataRecord,
  PartitionState,
  TopicConfig,
} from '../../../broker/metadata/types.ts';
import { Checks } from './checks.ts';
import { changedMinimum, requireFollowed } from './minimums.ts';
import { copyOf, emptyDisk, ModelBroker } from './model-broker.ts';
import type { InFlight, ModelDisk, ModelFlaw } from './model-broker.ts';
import { emptyStats, ownReply, REPEATED, type Reply } from './replies.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly steps: number;
  readonly flaw: ModelFlaw;
  /** Commit mode of the topic; `any` also changes it on the way. */
  readonly mode: 'in-sync' | 'quorum' | 'any';
  /** Is called after each step, and with the records of each entry. Must change nothing. */
  readonly look?: (world: World, records: readonly MetadataRecord[]) => void;
}

const PARTITIONS = 2;
const SESSION_MS = 3000;
/** Messages and proposals on their way at once. */
const MAIL_MAX = 12;
const PROPOSALS_MAX = 4;
const LATE_MAX = 20;

export class World {
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #checks: Checks;
  readonly #brokers: ModelBroker[] = [];
  readonly #snapshots = new Map<number, ModelDisk>();
  /** Committed images, one per entry. */
  readonly #images: MetadataImage[] = [];
  #controller!: Controller;
  #term = 1;
  #proposals: { readonly proposalId: number; readonly records: readonly MetadataRecord[] }[] = [];
  #callbacks = new Map<number, (reply: Reply) => void>();
  #mail: (() => void)[] = [];
  /**
   * Attempts that their senders gave up, and that arrive all the same: after a later one was
   * answered, or at another controller.
   */
  #late: ControllerRequest[] = [];
  /** An addition that is on its way for long: its certificate may be of a disk that is gone. */
  #held: {
    readonly broker: ModelBroker;
    readonly partition: number;
    readonly change: InFlight;
  } | null = null;
  #nextRequestId = 1;
  #nextId = 1;
  #nextDirectory = 1;
  #nowMs = 0;
  /** No more faults. */
  #isHealing = false;
  readonly stats = emptyStats();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#checks = new Checks(PARTITIONS);
    const random = this.#random;
    const image = apply(
      emptyImage(),
      [{ kind: 'cluster', clusterId: 'c', featureLevel: FEATURE_LEVEL_MAX }],
      { index: 1, term: 1 },
    );
    this.#images.push(image);
    const count = 3 + random.below(3);
    const events = {
      onLead: (broker: ModelBroker, partition: number, epoch: number): void => {
        this.stats.leaders += 1;
        this.#checks.onLead(broker, partition, epoch);
      },
      onCommit: (broker: ModelBroker, partition: number, epoch: number, mark: number): void => {
        this.stats.commits += 1;
        this.#checks.onCommit(broker, partition, epoch, mark);
      },
      onCutBelowHighWaterMark: (broker: ModelBroker, partition: number, to: number): void => {
        this.#checks.onCut(broker, partition, to);
      },
      nextId: (): number => this.#nextId++,
    };
    for (let id = 0; id < count; id += 1)
      this.#brokers.push(
        new ModelBroker(id, { partitions: PARTITIONS, image, events, flaw: options.flaw }),
      );
    this.#newController();
    for (const broker of this.#brokers) this.#startBroker(broker);
    this.#createTopic();
  }

  /** Walks, then heals. Throws on a violation. */
  run(): void {
    for (let step = 0; step < this.#options.steps; step += 1) {
      this.#act();
      this.#options.look?.(this, []);
      this.#checks.afterStep(this.#committed, this.#brokers);
    }
    this.#heal();
  }

  get brokers(): readonly ModelBroker[] {
    return this.#brokers;
  }

  get image(): MetadataImage {
    return this.#committed;
  }

  get #committed(): MetadataImage {
    return this.#images[this.#images.length - 1] as MetadataImage;
  }

  #createTopic(): void {
    const random = this.#random;
    const commitMode =
      this.#options.mode === 'any'
        ? random.pick(['in-sync', 'in-sync', 'quorum'] as const)
        : this.#options.mode;
    const replicationFactor =
      commitMode === 'quorum'
        ? 3 + random.below(this.#brokers.length - 2)
        : 2 + random.below(this.#brokers.length - 1);
    const minInSyncReplicas = 1 + random.below(Math.min(3, replicationFactor));
    const config: Partial<TopicConfig> = {
      commitMode,
      minInSyncReplicas,
      uncleanElection: random.chance(0.5),
    };
    for (let round = 0; round < 200 && this.#committed.topics.size === 0; round += 1) {
      this.#calmRound();
      this.#ask(
        {
          kind: 'create-topic',
          topicId: 't',
          name: 't',
          partitions: PARTITIONS,
          replicationFactor,
          config,
          assignments: [],
          validateOnly: false,
        },
        () => undefined,
      );
    }
    if (this.#committed.topics.size === 0)
      throw new Error('the topic must be created before the walk');
  }

  // The controller and its log

  #newController(): void {
    // What was proposed may have reached a majority or not; nobody hears which.
    while (this.#proposals.length > 0 && this.#random.chance(0.5)) this.#commitNext(false);
    this.#proposals = [];
    this.#callbacks = new Map();
    this.#term += 1;
    this.stats.controllers += 1;
    this.#controller = new Controller({
      seed: this.#options.seed,
      self: 0,
      sessionTimeoutMs: SESSION_MS,
      probeIntervalMs: 500,
      defaults: TOPIC_CONFIG_DEFAULTS,
      requestsPendingMax: 1000,
      partitionsMax: 100,
      image: this.#committed,
      nowMs: this.#nowMs,
    });
    // No broker of the model votes: raft is not part of it.
    this.#step({ kind: 'voters', voters: [] });
  }

  #commitNext(isHeard: boolean): void {
    const next = this.#proposals.shift();
    if (next === undefined) return;
    const image = apply(this.#committed, next.records, {
      index: this.#committed.index + 1,
      term: this.#term,
    });
    this.#checks.onEntry(this.#committed, image, next.records);
    this.#images.push(image);
    this.#options.look?.(this, next.records);
    this.#count(next.records);
    for (const record of next.records)
      if (record.kind === 'broker-registered') this.#checks.onRegistered(record, this.#brokers);
    for (const record of next.records) {
      if (record.kind !== 'loss-reported') continue;
      this.stats.losses += 1;
      this.#checks.onLoss(record.loss);
    }
    const { index } = image;
    if (isHeard) this.#step({ kind: 'committed', proposalId: next.proposalId, index });
  }

  #count(records: readonly MetadataRecord[]): void {
    const before = this.#images.at(-2)?.topics.get('t');
    for (const record of records) {
      if (record.kind === 'broker-removed') this.stats.removals += 1;
      if (record.kind !== 'partition-changed') continue;
      const row = before?.partitions[record.state.partition];
      if (row?.target !== undefined && record.state.target === undefined) this.stats.moves += 1;
    }
  }

  #step(input: ControllerInput): void {
    this.#carryOut(this.#controller.step(input));
  }

  #carryOut(output: ControllerOutput): void {
    this.#proposals.push(...output.proposals);
    for (const { requestId, reply } of output.replies) {
      const callback = this.#callbacks.get(requestId);
      this.#callbacks.delete(requestId);
      if (callback !== undefined)
        this.#mail.push(() => {
          callback(reply);
        });
    }
    const term = this.#term;
    const answer = (input: ControllerInput): void => {
      this.#mail.push(() => {
        if (this.#term === term) this.#step(input);
      });
    };
    for (const { brokerId, brokerEpoch } of output.probes) {
      const process = this.#brokers[brokerId]?.process;
      const isThere = process !== null && process?.brokerEpoch === brokerEpoch;
      answer({
        kind: 'probed',
        brokerId,
        brokerEpoch,
        result: this.#faulty(0.1) ? 'silent' : isThere ? 'alive' : 'refused',
      });
    }
    for (const { topicId, partition, leaderEpoch, brokerId, brokerEpoch } of output.inspections) {
      this.#mail.push(() => {
        const log = this.#faulty(0.1)
          ? null
          : (this.#brokers[brokerId]?.inspect(partition, leaderEpoch) ?? null);
        answer({ kind: 'inspected', topicId, partition, leaderEpoch, brokerId, brokerEpoch, log });
      });
    }
  }

  /**
   * Some requests are sent twice, as after a connection broke: the answer is of one attempt, the
   * other arrives whenever it does.
   */
  #ask(request: ControllerRequest, callback: (reply: Reply, isCertain: boolean) => void): void {
    const isDoubled = REPEATED.has(request.kind) && this.#faulty(0.1);
    if (isDoubled && this.#late.length < LATE_MAX) this.#late.push(request);
    this.#mail.push(() => {
      const requestId = this.#nextRequestId++;
      this.#callbacks.set(requestId, (reply) => {
        callback(reply, !isDoubled);
      });
      this.#step({ kind: 'request', requestId, request });
    });
  }

  #deliverLate(): void {
    const [request] = this.#late.splice(this.#random.below(this.#late.length), 1);
    if (request === undefined) return;
    this.stats.late += 1;
    this.#step({ kind: 'request', requestId: this.#nextRequestId++, request });
  }

  #faulty(probability: number): boolean {
    return !this.#isHealing && this.#random.chance(probability);
  }

  // Brokers

  #startBroker(broker: ModelBroker): void {
    broker.start(this.#images.length - 1);
    broker.apply(this.#committed, this.#images.length - 1);
  }

  #register(broker: ModelBroker): void {
    const process = broker.process;
    if (process === null || process.brokerEpoch > 0) return;
    const { restartClass, sessionEpoch } = process;
    const request: ControllerRequest = {
      kind: 'register',
      clusterId: 'c',
      brokerId: broker.brokerId,
      directoryId: broker.disk.directoryId,
      sessionEpoch,
      restartClass,
      host: 'h',
      port: 1,
      rack: String(broker.brokerId % 3),
      featureLevelMax: FEATURE_LEVEL_MAX,
      start: process.start,
    };
    this.#ask(request, (reply) => {
      if (broker.process !== process) return;
      if (reply instanceof BrokerError && reply.message.includes('was removed'))
        this.#empty(broker);
      // A later start of this directory registered: the disk was put back, so it takes another id
      // (P12).
      if (reply instanceof BrokerError && reply.code === 'STALE_EPOCH') this.#renew(broker);
      if (
        reply instanceof BrokerError ||
        reply.kind !== 'register' ||
        process.brokerEpoch >= reply.brokerEpoch
      )
        return;
      broker.registered(reply.brokerEpoch);
    });
  }

  #heartbeat(broker: ModelBroker): void {
    const process = broker.process;
    if (process === null) return;
    if (process.brokerEpoch === 0) {
      this.#register(broker);
      return;
    }
    const known = broker.image.brokers.get(broker.brokerId);
    const wantsUnfence = !process.isBroken && broker.isCurrent() && known?.fenced === true;
    const { brokerEpoch, isStopping, isBroken } = process;
    this.#ask(
      {
        kind: 'heartbeat',
        brokerId: broker.brokerId,
        brokerEpoch,
        wantsUnfence,
        wantsStop: isStopping && known?.stopping === true,
        drains: isStopping,
        stays: !isStopping && known?.stopping === true,
        lossy: isBroken,
        abilities: broker.abilities(),
      },
      (reply) => {
        if (broker.process !== process) return;
        if (reply instanceof BrokerError) {
          const isOver = reply.code === 'FENCED' || reply.code === 'UNKNOWN_BROKER';
          if (!isOver || process.brokerEpoch !== brokerEpoch) return;
          if (process.isBroken) broker.markLossy();
          broker.process = null;
          return;
        }
        if (isBroken) broker.process = null;
        else if (reply.kind === 'heartbeat' && reply.mayStop && !process.isBroken) {
          broker.process = null;
          broker.disk.isClean = true;
        }
      },
    );
  }

  /** The ways to go. */
  #crash(broker: ModelBroker, how?: 'emptied'): void {
    const random = this.#random;
    // One whose disk failed leaves only when it has said so.
    if (broker.process === null || broker.process.isBroken) return;
    const kinds = ['warm', 'warm', 'warm', 'power', 'emptied', 'rolled-back', 'broken'] as const;
    const kind = how ?? random.pick(kinds);
    if (kind !== 'warm') this.stats.lossyEvents += 1;
    if (kind === 'broken') {
      broker.process.isBroken = true;
      broker.loseSuffixes(random);
      // The session file is gone, or, if that failed too, only the heartbeat tells.
      if (random.chance(0.5)) broker.markLossy();
      return;
    }
    broker.process = null;
    if (kind === 'power') {
      broker.boot += 1;
      // What an orderly stop synced is safe until something is written again.
      if (!broker.disk.isClean) broker.loseSuffixes(random);
    } else if (kind === 'emptied') {
      broker.disk = emptyDisk(
        `${String(broker.brokerId)}-${String(this.#nextDirectory++)}`,
        PARTITIONS,
      );
      broker.isTainted = true;
      broker.isPutBack = false;
    } else if (kind === 'rolled-back') this.#rollBack(broker);
    if (random.chance(0.6))
      this.#mail.push(() => {
        this.#step({ kind: 'disconnected', brokerId: broker.brokerId });
      });
  }

  #renew(broker: ModelBroker): void {
    // Between two directories there is no order: one that lost its place to another while it was
    // fenced is told the same.
    const isReplaced = this.#committed.replacedDirectories.includes(broker.disk.directoryId);
    if (!broker.isPutBack && !isReplaced)
      throw new Error(`broker ${String(broker.brokerId)} is taken for an older start of itself`);
    broker.isPutBack = false;
    broker.process = null;
    const directoryId = `${String(broker.brokerId)}-${String(this.#nextDirectory++)}`;
    broker.disk = { ...broker.disk, directoryId, session: null, isClean: false, starts: 0 };
    broker.isTainted = true;
  }

  /** A replica stops, or may go on with the next leader. */
  #toggleAbility(broker: ModelBroker, partition: number): void {
    const unable = broker.process?.unable;
    if (unable === undefined || unable.delete(partition)) return;
    if (this.#random.chance(0.3)) {
      unable.add(partition);
      this.stats.unable += 1;
    }
  }

  /** A person gives a removed broker an empty directory. */
  #empty(broker: ModelBroker): void {
    broker.process = null;
    broker.disk = emptyDisk(
      `${String(broker.brokerId)}-${String(this.#nextDirectory++)}`,
      PARTITIONS,
    );
    broker.isTainted = true;
  }

  #rollBack(broker: ModelBroker): void {
    const snapshot = this.#snapshots.get(broker.brokerId);
    const unfencedEpoch = this.#committed.brokers.get(broker.brokerId)?.unfencedEpoch ?? 0;
    if (snapshot !== undefined) broker.rollBack(copyOf(snapshot), unfencedEpoch);
  }

  // The walk

  #act(): void {
    const random = this.#random;
    const broker = random.pick(this.#brokers);
    const partition = random.below(PARTITIONS);
    const roll = random.below(1000);
    if (roll < 60) this.#tick(20 + random.below(150));
    else if (roll < 200) this.#heartbeat(broker);
    else if (roll < 330) this.#deliver();
    else if (roll < 345) this.#loseMail();
    else if (roll < 440) this.#commitNext(true);
    else if (roll < 520) this.#see(broker);
    else if (roll < 620) broker.append(partition);
    else if (roll < 840) this.#fetch(broker, partition);
    else if (roll < 920) this.#propose(broker, partition);
    else if (roll < 925) this.#crash(broker);
    else if (roll < 952) {
      if (broker.process === null) this.#startBroker(broker);
    } else if (roll < 955) this.#newController();
    else if (roll < 960) {
      if (broker.process !== null) broker.process.isStopping = true;
    } else if (roll < 965) this.#snapshots.set(broker.brokerId, copyOf(broker.disk));
    else if (roll < 975) this.#administer(partition);
    else if (roll < 985) this.#deliverLate();
    else if (roll < 990) this.#toggleAbility(broker, partition);
    else this.#deliver();
    this.#release();
    // Late, but not for ever: otherwise nothing would ever be decided.
    while (this.#mail.length > MAIL_MAX) this.#deliver();
    while (this.#proposals.length > PROPOSALS_MAX) this.#commitNext(true);
  }

  #tick(ms: number): void {
    this.#nowMs += ms;
    this.#step({ kind: 'tick', nowMs: this.#nowMs, wallMs: this.#nowMs });
  }

  #deliver(): void {
    if (this.#mail.length === 0) return;
    const [mail] = this.#mail.splice(
      this.#isHealing ? 0 : this.#random.below(this.#mail.length),
      1,
    );
    mail?.();
  }

  #loseMail(): void {
    if (this.#mail.length > 0) this.#mail.splice(this.#random.below(this.#mail.length), 1);
  }

  #see(broker: ModelBroker): void {
    const process = broker.process;
    if (process === null) return;
    const last = this.#images.length - 1;
    const index =
      this.#isHealing || this.#random.chance(0.6) ? last : Math.min(last, process.applied + 1);
    broker.apply(this.#images[index] as MetadataImage, index);
  }

  #fetch(broker: ModelBroker, partition: number): void {
    const leader = this.#brokers[broker.row(partition)?.leader ?? -1];
    if (leader === undefined || leader === broker) return;
    const position = broker.fetch(
      leader,
      partition,
      this.#isHealing ? 1000 : 1 + this.#random.below(6),
    );
    if (position !== null)
      this.#mail.push(() => {
        leader.position(partition, broker.brokerId, position);
      });
  }

  /**
   * Asks, and asks again with the very same request; an unknown outcome keeps it in flight until
   * metadata tells.
   */
  #propose(broker: ModelBroker, partition: number): void {
    const change = broker.proposal(partition, this.#random, this.#isHealing);
    if (change === null || change === this.#held?.change) return;
    if (change.request.change.op === 'add' && this.#held === null && this.#faulty(0.1)) {
      this.#held = { broker, partition, change };
      // Its member may come back with an empty disk before the request arrives.
      const member = this.#brokers[change.request.change.member];
      if (member !== undefined && this.#faulty(0.5)) this.#crash(member, 'emptied');
      return;
    }
    this.#send(broker, partition, change);
  }

  /**
   * An addition that was held arrives once its member is there under another registration, or much
   * later.
   */
  #release(): void {
    if (this.#held === null) return;
    const { broker, partition, change } = this.#held;
    const asked = change.request.change;
    if (asked.op !== 'add') return;
    const member = this.#committed.brokers.get(asked.member);
    const isAnother = member !== undefined && member.brokerEpoch !== asked.memberEpoch;
    if (!this.#random.chance(isAnother && !member.fenced ? 0.2 : 0.002)) return;
    this.#held = null;
    this.#send(broker, partition, change);
  }

  /** Alone, or with the change that another partition led there waits for. */
  #send(broker: ModelBroker, partition: number, change: InFlight): void {
    if (!hasLevel(this.#committed, LEVEL_OF_CHANGES) || this.#random.chance(0.5)) {
      change.sends += 1;
      this.#ask(change.request, (reply, isCertain) => {
        this.#settle(broker, partition, change, { reply, isCertain });
      });
      return;
    }
    const { brokerId, brokerEpoch } = change.request;
    const sent = [{ partition, change }, ...broker.waitingBeside(change)].filter(
      (each) => each.change !== this.#held?.change,
    );
    for (const each of sent) each.change.sends += 1;
    const changes = sent.map((each): SyncSetChange => each.change.request);
    this.#ask({ kind: 'alter-sync-sets', brokerId, brokerEpoch, changes }, (reply, isCertain) => {
      this.stats.together += sent.length;
      for (const [at, each] of sent.entries())
        this.#settle(broker, each.partition, each.change, {
          reply: ownReply(reply, at),
          isCertain,
        });
    });
  }

  #settle(
    broker: ModelBroker,
    partition: number,
    change: InFlight,
    { reply, isCertain }: { readonly reply: Reply; readonly isCertain: boolean },
  ): void {
    // A refusal ends only what cannot still arrive a second time. No mail of the walk is left when
    // it heals.
    if (!(reply instanceof BrokerError)) this.#handedOver(broker, partition, change);
    const isFinal =
      reply instanceof BrokerError &&
      reply.code === 'REFUSED' &&
      ((change.sends === 1 && isCertain) || this.#isHealing);
    if (isFinal) broker.forget(partition, change);
  }

  #handedOver(from: ModelBroker, partition: number, { request }: InFlight): void {
    const to =
      request.change.op === 'hand-over' ? this.#brokers[request.change.successor] : undefined;
    if (to === undefined) return;
    this.stats.handOvers += 1;
    this.#checks.onHandedOver(from, to, partition, request.leaderEpoch);
  }

  #administer(partition: number): void {
    const random = this.#random;
    const row = this.#committed.topics.get('t')?.partitions[partition];
    if (row === undefined) return;
    const roll = random.below(10);
    if (roll >= 4) this.#move(row, roll);
    else if (roll === 0) this.#ask(changedMinimum(random), () => undefined);
    else if (roll === 1 && this.#options.mode === 'any')
      this.#alter({ config: { commitMode: random.pick(['in-sync', 'quorum']) } });
    else if (roll === 2)
      this.#ask(
        {
          kind: 'elect-leader',
          topic: 't',
          partition,
          target: random.pick(row.replicas),
          unclean: false,
          givenUp: [],
        },
        () => undefined,
      );
    else {
      const givenUp = row.replicas.filter((id) => this.#committed.brokers.get(id)?.fenced === true);
      this.#ask(
        { kind: 'elect-leader', topic: 't', partition, target: -1, unclean: true, givenUp },
        () => undefined,
      );
    }
  }

  #alter(patch: Partial<AlterTopicRequest>): void {
    this.#ask(
      {
        kind: 'alter-topic',
        name: 't',
        partitions: 0,
        replicationFactor: 0,
        waitMs: 0,
        config: {},
        ...patch,
      },
      () => undefined,
    );
  }

  /** Replicas on the move: by hand, by another replication factor, by brokers that leave. */
  #move(row: PartitionState, roll: number): void {
    const random = this.#random;
    const { partition } = row;
    const brokerId = random.below(this.#brokers.length);
    const width = this.#committed.topics.get('t')?.replicationFactor ?? 0;
    if (roll === 4)
      this.#ask({ kind: 'reassign', topic: 't', partition, replicas: [] }, () => undefined);
    else if (roll <= 6) {
      const order = this.#brokers
        .map((broker) => ({ id: broker.brokerId, turn: random.next() }))
        .toSorted((a, b) => a.turn - b.turn);
      this.#ask(
        {
          kind: 'reassign',
          topic: 't',
          partition,
          replicas: order.slice(0, width).map(({ id }) => id),
        },
        () => undefined,
      );
    } else if (roll === 7)
      this.#ask(
        { kind: 'decommission', brokerId, isCancelled: random.chance(0.5) },
        () => undefined,
      );
    else if (roll === 8) this.#alter({ replicationFactor: 1 + random.below(this.#brokers.length) });
    else {
      // Only one that is emptied can be removed.
      const leaving = [...this.#committed.brokers.values()].filter(({ cordoned }) => cordoned);
      const chosen = leaving.length === 0 ? { brokerId } : random.pick(leaving);
      this.#ask({ kind: 'remove-broker', brokerId: chosen.brokerId }, () => undefined);
    }
  }

  // Healing

  #calmRound(): void {
    this.#tick(50);
    for (const broker of this.#brokers) {
      if (broker.process === null) this.#startBroker(broker);
      this.#heartbeat(broker);
      for (let turn = 0; turn < 4; turn += 1) {
        while (this.#mail.length > 0) this.#deliver();
        while (this.#proposals.length > 0) this.#commitNext(true);
      }
      this.#see(broker);
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        this.#fetch(broker, partition);
        // The model does not hold HW for a follower about to join (rule 10), so a steady stream
        // would keep everybody out.
        if (this.#nowMs % 500 === 0) broker.append(partition);
        this.#propose(broker, partition);
      }
    }
  }

  /**
   * Everybody returns and nothing is lost any more: every partition must get a leader and a full S,
   * unless only an unclean election could help.
   */
  #heal(): void {
    this.#isHealing = true;
    this.#nowMs = Math.ceil(this.#nowMs / 500) * 500;
    // Delayed mail of the walk belongs to calls that have timed out.
    this.#mail = [];
    this.#late = [];
    this.#held = null;
    this.#newController();
    for (const broker of this.#brokers) {
      if (broker.process?.isBroken === true) broker.markLossy();
      broker.process = null;
      this.#ask(
        { kind: 'decommission', brokerId: broker.brokerId, isCancelled: true },
        () => undefined,
      );
    }
    for (let round = 0; round < 250; round += 1) {
      this.#calmRound();
      this.#options.look?.(this, []);
      this.#checks.afterStep(this.#committed, this.#brokers);
    }
    this.#checks.atEnd(this.#committed);
    requireFollowed(this.#committed);
  }
}
