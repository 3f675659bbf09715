/**
 * The controller: decides what metadata becomes while its broker leads the metadata quorum. It
 * judges every request against a *speculative* image, the committed one plus all it has proposed,
 * and answers when what it answered from is committed. It must not know of raft, sockets or clocks;
 * a proposal that fails ends this controller, and the next one starts from what is committed. Rules
 * 11 to 19, P4 to P9, P11 and P12 (docs/rules.md).
 */
import type { Fact } from '../../../base/events.ts';
import { assert, assertNever } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import { internalAddress } from '../../../base/host-port.ts';
import type { BrokerId, MonotonicMs, WallMs } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import { apply } from '../apply.ts';
import type {
  AlterTopicRequest,
  ControllerInput,
  ControllerOptions,
  ControllerOutput,
  ControllerReply,
  ControllerRequest,
  DecommissionRequest,
  HeartbeatRequest,
  InitProducerRequest,
  RegisterRequest,
  RemoveBrokerRequest,
} from '../controller-types.ts';
import { distrust, viewOf, withAbility } from '../leader-election.ts';
import type { BrokerView } from '../leader-election.ts';
import { assertLevel, LEVEL_OF_OPTIONS, requireLevel } from '../features.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../types.ts';
import type { VoterId } from '../voters.ts';
import { decommission, removeBroker } from './moving/decommission.ts';
import type { Desk } from './desk.ts';
import { handOver, isVoteLeaving, leadershipsLeft } from './leadership/stop-requests.ts';
import { Leaderships } from './leadership/leadership.ts';
import { LateRequests } from './late-requests.ts';
import { Ledger } from './ledger.ts';
import { listenerRecords } from './listeners.ts';
import { Moves } from './moving/moves.ts';
import { isPlain, recordsOf } from './plain-requests.ts';
import { ProducerFences } from './producer-fences.ts';
import { ProducerIds } from './producers.ts';
import { isRegistered, judgeRegistration, registrationRecord } from './registration.ts';
import { type RowChange, settledRows } from './rows.ts';
import { Sessions } from './sessions.ts';
import { alterSyncSet, alterSyncSets, checkSender } from './sync-set.ts';
import { alterTopic, createTopic } from './topics.ts';
import { WaitingRaises } from './waiting.ts';

/** Records of one proposal: a row is about 200 bytes, so an entry stays near 100 KiB. */
export const PROPOSAL_RECORDS_MAX = 500;
type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export class Controller {
  readonly #options: ControllerOptions;
  readonly #sessions: Sessions;
  readonly #producerIds = new ProducerIds();
  readonly #fences = new ProducerFences();
  readonly #moves: Moves;
  readonly #raises = new WaitingRaises();
  readonly #ledger = new Ledger();
  readonly #late = new LateRequests();
  readonly #desk: Desk;
  readonly #leaderships: Leaderships;
  /** Committed, plus everything proposed. */
  #image: MetadataImage;
  #nowMs: MonotonicMs;
  #wallMs: WallMs = 0;
  #isStarted = false;
  /** Metadata has changed since reassignments and waiting requests were looked at. */
  #areMovesDue = false;
  /** Who votes in the metadata quorum; null until told. */
  #voters: readonly VoterId[] | null = null;
  #output: Mutable<ControllerOutput> = emptyOutput();

  /** @param options `image` is committed, and complete up to this leader's term */
  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#moves = new Moves(options);
    this.#image = options.image;
    this.#nowMs = options.nowMs;
    this.#sessions = new Sessions(options.image.brokers.values(), {
      timeoutMs: options.sessionTimeoutMs,
      nowMs: options.nowMs,
    });
    this.#desk = this.#newDesk();
    this.#leaderships = new Leaderships(this.#desk, this.#moves.handovers, options.image);
  }

  /**
   * Takes one input and returns everything that follows from it. Never throws for what a client
   * sent.
   */
  step(input: ControllerInput): ControllerOutput {
    this.#output = emptyOutput();
    if (!this.#isStarted) this.#start();
    this.#take(input);
    this.#advanceMoves();
    this.#leaderships.run();
    this.#probe();
    // Whoever is fenced counts as fenced here before that is committed, which the answer waits for.
    for (const { requestId, reply } of this.#fences.takeDue(
      this.#image.brokers.values(),
      this.#nowMs,
    ))
      this.#reply(requestId, reply);
    return this.#output;
  }

  /** Repairs what the controller before left half done, and looks at once who is still there. */
  #start(): void {
    this.#isStarted = true;
    for (const topic of this.#image.topics.values()) {
      for (const state of topic.partitions) this.#moves.follow(topic.topicId, state, this.#nowMs);
    }
    this.#propose(this.#rowRecords(this.#image, () => true));
    for (const broker of this.#image.brokers.values()) {
      if (!broker.fenced && broker.brokerId !== this.#options.self)
        this.#sessions.watch(broker.brokerId);
    }
    this.#areMovesDue = true;
  }

  #take(input: ControllerInput): void {
    switch (input.kind) {
      case 'tick':
        this.#tick(input.nowMs, input.wallMs);
        return;
      case 'request':
        this.#request(input.requestId, input.request);
        return;
      case 'committed':
        this.#committed(input.proposalId, input.index);
        return;
      case 'voters':
        this.#voters = input.voters;
        return;
      case 'disconnected':
        if (
          input.brokerId !== this.#options.self &&
          this.#image.brokers.get(input.brokerId)?.fenced === false
        )
          this.#sessions.watch(input.brokerId);
        return;
      case 'probed':
        this.#probed(input);
        return;
      case 'inspected':
        this.#leaderships.inspected(input);
        return;
      default:
        assertNever(input);
    }
  }

  #request(requestId: number, request: ControllerRequest): void {
    try {
      if (request.kind === 'heartbeat') {
        this.#heartbeat(requestId, request);
        return;
      }
      this.#checkRoom();
      const reply = this.#late.guard(request, this.#desk, () => this.#judge(requestId, request));
      if (reply !== null) this.#reply(requestId, reply);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#reply(requestId, error);
    }
  }

  /**
   * Proposes what the request asks for and returns its answer; null when the answer comes later.
   */
  #judge(
    requestId: number,
    request: Exclude<ControllerRequest, HeartbeatRequest>,
  ): ControllerReply | null {
    if (isPlain(request)) {
      this.#propose(recordsOf(this.#image, request, this.#options));
      return { kind: request.kind };
    }
    switch (request.kind) {
      case 'register':
        return this.#register(request);
      case 'alter-sync-set': {
        const state = alterSyncSet(this.#image, this.#view(), request);
        this.#propose([{ kind: 'partition-changed', topicId: request.topicId, state }]);
        return { kind: 'alter-sync-set', partitionEpoch: state.partitionEpoch };
      }
      case 'alter-sync-sets': {
        const { records, outcomes } = alterSyncSets(this.#image, this.#view(), request);
        this.#propose(records);
        return { kind: request.kind, outcomes };
      }
      case 'create-topic': {
        const records = createTopic(this.#image, request, this.#options);
        if (!request.validateOnly) this.#propose(records);
        return { kind: 'create-topic', topicId: request.topicId };
      }
      case 'alter-topic':
        return this.#alterTopic(requestId, request);
      case 'init-producer':
        return this.#initProducer(requestId, request);
      case 'elect-leader':
        return this.#leaderships.elect(requestId, request);
      case 'decommission':
        return this.#decommission(request);
      case 'remove-broker':
        return this.#removeBroker(request);
      default:
        return assertNever(request);
    }
  }

  #register(request: RegisterRequest): ControllerReply {
    const present = this.#image.brokers.get(request.brokerId);
    if (present !== undefined && isRegistered(present, request)) {
      const { brokerEpoch, restartClass } = present;
      return { kind: 'register', brokerEpoch, restartClass };
    }
    // Whoever holds the place may be dead already: ask now, so that the newcomer's next try
    // succeeds.
    if (present?.fenced === false && request.brokerId !== this.#options.self)
      this.#sessions.watch(request.brokerId);
    const { restartClass, isDistrusted, downgrade } = judgeRegistration(this.#image, request);
    const { brokerId } = request;
    const registered = registrationRecord(this.#image, request, restartClass);
    const { brokerEpoch } = registered;
    this.#sessions.begin(brokerId, brokerEpoch, this.#nowMs);
    const rows = this.#rowRecords(
      this.#folded([registered]),
      (state) => state.replicas.includes(brokerId),
      (state, min) => {
        // What the incarnation before could not lead, this one may.
        const able = withAbility(state, brokerId, '');
        return isDistrusted ? distrust(able, brokerId, min) : able;
      },
    );
    // The distrust comes first: were the controller lost in between, a registration without it
    // would let the next start claim to be warm with a log that was never examined (KAFKA-18106 is
    // the same hole).
    this.#propose([...rows, registered]);
    this.#fact('broker-registered', {
      brokerId,
      brokerEpoch,
      restartClass,
      partitionsChanged: rows.length,
    });
    if (downgrade !== null)
      this.#fact('restart-class-downgraded', {
        brokerId,
        brokerEpoch,
        claimed: request.restartClass,
        reason: downgrade,
      });
    return { kind: 'register', brokerEpoch, restartClass };
  }

  #heartbeat(requestId: number, request: HeartbeatRequest): void {
    const { brokerId, brokerEpoch, wantsUnfence, wantsStop, lossy, abilities = [] } = request;
    const broker = checkSender(this.#image, brokerId, brokerEpoch);
    this.#sessions.heard(brokerId, this.#nowMs);
    this.#fences.heard(brokerId, brokerEpoch, request.metadataIndex ?? null);
    const stays = request.stays === true && broker.stopping;
    const drains = request.drains === true && !wantsStop && !broker.stopping;
    const moved = listenerRecords(this.#image, broker, request);
    const hasNews = abilities.length + moved.length > 0;
    const isChange = wantsUnfence || wantsStop || lossy || stays || drains || hasNews;
    if (isChange) this.#checkRoom();
    if (lossy) this.#condemn(brokerId);
    else if (wantsUnfence && broker.fenced && !this.#sessions.isCondemned(brokerId))
      this.#unfence(brokerId);
    this.#propose(moved);
    if (abilities.length > 0) this.#leaderships.noteAbilities(brokerId, abilities);
    if (wantsStop || drains) this.#stop(brokerId, wantsStop);
    else if (stays) this.#stay(brokerId);
    if (request.leaves === true) this.#fence([brokerId], 'it has stopped in order');
    const { leadersLeft, isHeld } = leadershipsLeft(this.#image, this.#view(), brokerId, (key) =>
      this.#sessions.hasHandedOver(brokerId, key),
    );
    const fenced = this.#image.brokers.get(brokerId)?.fenced !== false;
    const reply: ControllerReply = {
      kind: 'heartbeat',
      fenced,
      mayStop: wantsStop && !isHeld && !isVoteLeaving(this.#image, this.#voters, brokerId),
      leadersLeft,
    };
    // A mere sign of life changes nothing, so its answer need not wait behind the metadata log.
    if (isChange) this.#reply(requestId, reply);
    else this.#output.replies.push({ requestId, reply });
  }

  #unfence(brokerId: BrokerId): void {
    const brokerEpoch = this.#epochOf(brokerId);
    const unfenced: MetadataRecord = { kind: 'broker-unfenced', brokerId, brokerEpoch };
    this.#sessions.revive(brokerId);
    const rows = this.#rowRecords(this.#folded([unfenced]), (state) =>
      state.replicas.includes(brokerId),
    );
    this.#propose([unfenced, ...rows]);
    this.#fact('broker-unfenced', { brokerId, brokerEpoch, partitionsChanged: rows.length });
  }

  /**
   * Fences brokers together, so that those left are judged once and not one after the other as if
   * each death were alone.
   */
  #fence(brokerIds: readonly BrokerId[], reason: string): void {
    const fences = brokerIds
      .filter((id) => this.#image.brokers.get(id)?.fenced === false)
      .map(
        (brokerId): MetadataRecord => ({
          kind: 'broker-fenced',
          brokerId,
          brokerEpoch: this.#epochOf(brokerId),
        }),
      );
    for (const brokerId of brokerIds) this.#sessions.expire(brokerId);
    const rows = this.#rowRecords(this.#folded(fences), (state) =>
      state.replicas.some((id) => brokerIds.includes(id)),
    );
    this.#propose([...fences, ...rows]);
    if (fences.length > 0)
      this.#fact('brokers-fenced', {
        brokerIds: brokerIds.join(),
        reason,
        partitionsChanged: rows.length,
      });
  }

  /**
   * The broker says that its disk failed: as a lossy registration, at once
   * (docs/rules.md#restart-classes).
   */
  #condemn(brokerId: BrokerId): void {
    if (this.#sessions.isCondemned(brokerId)) return;
    const brokerEpoch = this.#epochOf(brokerId);
    const fenced: MetadataRecord = { kind: 'broker-fenced', brokerId, brokerEpoch };
    this.#sessions.condemn(brokerId);
    const rows = this.#rowRecords(
      this.#folded([fenced]),
      (state) => state.replicas.includes(brokerId),
      (state, min) => distrust(state, brokerId, min),
    );
    this.#propose([...rows, fenced]);
    this.#fact('broker-condemned', { brokerId, brokerEpoch, partitionsChanged: rows.length });
  }

  /**
   * @param isDrained nothing that is led there waits to be committed (rule 22), so leaderships may
   * move; else it is given nothing more, and goes on draining
   */
  #stop(brokerId: BrokerId, isDrained: boolean): void {
    const stopping: MetadataRecord[] =
      this.#image.brokers.get(brokerId)?.stopping === true
        ? []
        : [{ kind: 'broker-stopping', brokerId, brokerEpoch: this.#epochOf(brokerId) }];
    const view = this.#view(this.#folded(stopping));
    const rows = this.#rowRecords(
      this.#folded(stopping),
      // One that stops is no successor either: its leader would wait for a hand-over that is
      // refused.
      (state) => state.leader === brokerId || state.successor === brokerId,
      (state, _min, topicId) =>
        state.leader === brokerId && isDrained
          ? handOver(state, view, () =>
              this.#sessions.noteHandover(brokerId, partitionKey(topicId, state.partition)),
            )
          : state,
    );
    this.#propose([...stopping, ...rows]);
    if (stopping.length > 0)
      this.#fact('broker-stopping', { brokerId, partitionsChanged: rows.length });
  }

  /** The orderly stop is taken back: leaderships come home as after a restart. */
  #stay(brokerId: BrokerId): void {
    requireLevel(this.#image, LEVEL_OF_OPTIONS, `let broker ${String(brokerId)} stay`);
    const brokerEpoch = this.#epochOf(brokerId);
    const staying: MetadataRecord = { kind: 'broker-staying', brokerId, brokerEpoch };
    this.#sessions.forgetHandovers(brokerId);
    const rows = this.#rowRecords(this.#folded([staying]), (state) =>
      state.replicas.includes(brokerId),
    );
    this.#propose([staying, ...rows]);
    this.#fact('broker-staying', { brokerId, partitionsChanged: rows.length });
  }

  #initProducer(requestId: number, request: InitProducerRequest): ControllerReply | null {
    const reply = this.#producerIds.init(this.#desk, request);
    if (reply.producerEpoch === 0) return reply;
    this.#fences.hold(requestId, reply, this.#ledger.lastProposalId, this.#nowMs);
    return null;
  }

  /**
   * A raised minInSyncReplicas may wait for the sync sets; whatever else is wrong is said at once.
   */
  #alterTopic(requestId: number, request: AlterTopicRequest): ControllerReply | null {
    const { records, shortfall } = alterTopic(this.#image, this.#view(), request, this.#options);
    if (shortfall === null) {
      this.#propose(records);
      return { kind: 'alter-topic' };
    }
    if (request.waitMs <= 0) throw shortfall;
    this.#raises.hold(requestId, request, this.#nowMs);
    return null;
  }

  #decommission(request: DecommissionRequest): ControllerReply {
    const { records, replicasLeft } = decommission(this.#image, this.#view(), request);
    this.#propose(records);
    if (records.length > 0)
      this.#fact(request.isCancelled ? 'broker-recommissioned' : 'broker-cordoned', {
        brokerId: request.brokerId,
        replicasLeft,
      });
    this.#moves.plan(this.#desk);
    return { kind: 'decommission', replicasLeft };
  }

  #removeBroker(request: RemoveBrokerRequest): ControllerReply {
    const { records, refusal } = removeBroker(this.#image, this.#view(), request, this.#voters);
    this.#propose(records);
    if (refusal !== null) throw refusal;
    this.#sessions.forget(request.brokerId);
    this.#fact('broker-removed', { brokerId: request.brokerId });
    return { kind: 'remove-broker' };
  }

  // Time, probes, commits

  #tick(nowMs: MonotonicMs, wallMs: WallMs): void {
    const gapMs = nowMs - this.#nowMs;
    // A controller that was paused heard nobody; their heartbeats are queued behind this tick.
    if (gapMs > this.#options.sessionTimeoutMs / 2) this.#sessions.forgive(gapMs);
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
    const silent = this.#sessions.takeExpired(nowMs);
    if (silent.length > 0)
      this.#fence(silent, `silent for ${String(this.#options.sessionTimeoutMs)} ms`);
    this.#moves.tick(this.#desk);
    this.#areMovesDue ||= this.#raises.all.length > 0;
    this.#leaderships.tick();
    this.#producerIds.tick(this.#desk);
  }

  #probed(input: Extract<ControllerInput, { kind: 'probed' }>): void {
    const { brokerId, brokerEpoch, result } = input;
    this.#sessions.probed(brokerId, brokerEpoch);
    const broker = this.#image.brokers.get(brokerId);
    if (result === 'refused' && broker?.brokerEpoch === brokerEpoch && !broker.fenced)
      this.#fence([brokerId], 'its process is gone');
  }

  #probe(): void {
    for (const brokerId of this.#sessions.takeProbes(this.#nowMs, this.#options.probeIntervalMs)) {
      const broker = this.#image.brokers.get(brokerId);
      if (broker === undefined) continue;
      this.#output.probes.push({
        brokerId,
        brokerEpoch: broker.brokerEpoch,
        ...internalAddress(broker),
      });
    }
  }

  #committed(proposalId: number, index: number): void {
    this.#output.replies.push(...this.#ledger.committed(proposalId));
    this.#fences.committed(proposalId, index);
    this.#late.committed(proposalId, index);
    this.#leaderships.committed(proposalId);
  }

  // Records

  #rowRecords(
    image: MetadataImage,
    isAffected: (state: PartitionState) => boolean,
    change?: RowChange,
  ): MetadataRecord[] {
    return settledRows(image, this.#view(image), isAffected, change);
  }

  /** Sends records on their way, in their order, and counts them as decided from here on. */
  #propose(records: readonly MetadataRecord[]): void {
    for (let first = 0; first < records.length; first += PROPOSAL_RECORDS_MAX) {
      const chunk = records.slice(first, first + PROPOSAL_RECORDS_MAX);
      assertLevel(this.#image, chunk);
      const proposalId = this.#ledger.next();
      this.#image = this.#folded(chunk);
      this.#output.proposals.push({ proposalId, records: chunk });
      for (const record of chunk) this.#follow(record);
      this.#leaderships.wake();
      this.#areMovesDue = true;
    }
  }

  #follow(record: MetadataRecord): void {
    if (record.kind === 'topic-deleted')
      this.#leaderships.dropTopic(record.topicId, this.#moves.dropTopic(record.topicId));
    if (record.kind === 'partition-changed')
      this.#leaderships.follow(
        record,
        this.#moves.follow(record.topicId, record.state, this.#nowMs),
      );
  }

  /** Reassignments and waiting requests go on as far as what was just proposed lets them. */
  #advanceMoves(): void {
    while (this.#areMovesDue) {
      this.#areMovesDue = false;
      this.#moves.advance(this.#desk);
      this.#raises.retry(this.#desk, this.#options, this.#late);
    }
  }

  #newDesk(): Desk {
    const image = (): MetadataImage => this.#image;
    const view = (): BrokerView => this.#view();
    const nowMs = (): MonotonicMs => this.#nowMs;
    const wallMs = (): WallMs => this.#wallMs;
    const ledger = this.#ledger;
    return {
      get image() {
        return image();
      },
      get view() {
        return view();
      },
      get nowMs() {
        return nowMs();
      },
      get wallMs() {
        return wallMs();
      },
      get lastProposalId() {
        return ledger.lastProposalId;
      },
      isCommitted: (proposalId) => ledger.isCommitted(proposalId),
      propose: (records) => {
        this.#propose(records);
      },
      reply: (requestId, reply) => {
        this.#reply(requestId, reply);
      },
      inspect: (inspection) => {
        this.#output.inspections.push(inspection);
      },
      fact: (...fact) => {
        this.#fact(...fact);
      },
    };
  }

  /** Answers once everything proposed so far is committed: see {@link Ledger}. */
  #reply(requestId: number, reply: ControllerReply | BrokerError): void {
    this.#output.replies.push(...this.#ledger.answer({ requestId, reply }));
  }

  #checkRoom(): void {
    const { requestsPendingMax } = this.#options;
    const held = this.#raises.all.length + this.#fences.count;
    const pending = this.#ledger.waiting + this.#leaderships.requests + held;
    if (pending < requestsPendingMax) return;
    throw new BrokerError(
      'OVERLOADED',
      `Cannot take another request: ${String(requestsPendingMax)} wait for the metadata quorum`,
    );
  }

  #fact(...fact: Fact): void {
    this.#output.facts.push(fact);
  }

  #folded(records: readonly MetadataRecord[]): MetadataImage {
    return records.length === 0 ? this.#image : apply(this.#image, records, this.#image);
  }

  #view(image: MetadataImage = this.#image): BrokerView {
    return viewOf(image.brokers, (id) => this.#sessions.isAwaited(id));
  }

  #epochOf(brokerId: BrokerId): number {
    const broker = this.#image.brokers.get(brokerId);
    assert(broker !== undefined, `broker ${String(brokerId)} must be registered`);
    return broker.brokerEpoch;
  }
}

function emptyOutput(): Mutable<ControllerOutput> {
  return { proposals: [], replies: [], probes: [], inspections: [], facts: [] };
}
