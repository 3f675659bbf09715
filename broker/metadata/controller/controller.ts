/**
 * The controller: decides what metadata becomes while its broker leads the metadata quorum. It judges every request against a *speculative* image,
 * the committed one plus all it has proposed, and answers when what it answered from is committed. It must not know of raft, sockets or clocks;
 * a proposal that fails ends this controller, and the next one starts from what is committed. Rules 11 to 19 and P4 to P12 of logs.md.
 */
import { assert, assertNever } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId, MonotonicMs, TopicId, WallMs } from '../../base/units.ts';
import { NO_BROKER, partitionKey } from '../../base/units.ts';
import { apply } from '../apply.ts';
import type {
  ControllerInput,
  ControllerOptions,
  ControllerOutput,
  ControllerReply,
  ControllerRequest,
  ElectLeaderRequest,
  HeartbeatRequest,
  InitProducerRequest,
  RegisterRequest,
} from '../controller-types.ts';
import { changed, distrust, settle, viewOf } from '../election.ts';
import type { BrokerView } from '../election.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../types.ts';
import { judgeElection } from './elect-leader.ts';
import { PendingElections, stepElection } from './elections.ts';
import type { PendingElection } from './elections.ts';
import { handOver, leadershipsLeft } from './handover.ts';
import { PreferredLeaders } from './preferred-leaders.ts';
import { ProducerIds } from './producers.ts';
import { judgeRegistration } from './registration.ts';
import { Sessions } from './sessions.ts';
import { alterSyncSet, checkSender } from './sync-set.ts';
import { alterTopic, createTopic, deleteTopic } from './topics.ts';

/** Records of one proposal: a row is about 200 bytes, so an entry stays near 100 KiB. */
export const PROPOSAL_RECORDS_MAX = 500;
/** Pause between two looks at all pending elections, beside those that an input asks for. */
const ELECTIONS_INTERVAL_MS = 250;
/** How long a client waits for an election that must read logs. */
const ELECTION_REQUEST_WAIT_MS = 10_000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export class Controller {
  readonly #options: ControllerOptions;
  readonly #sessions: Sessions;
  readonly #producerIds = new ProducerIds();
  readonly #elections = new PendingElections();
  readonly #preferredLeaders = new PreferredLeaders();
  /** Committed, plus everything proposed. */
  #image: MetadataImage;
  #nowMs: MonotonicMs;
  #wallMs: WallMs = 0;
  #electionsLookedAtMs: MonotonicMs;
  #isStarted = false;
  #isElectionDue = false;
  #lastProposalId = 0;
  #committedProposalId = 0;
  /** Answers that wait for a commit, in the order of their proposals. */
  #waiting: { readonly requestId: number; readonly reply: ControllerReply | BrokerError; readonly proposalId: number }[] = [];
  #output: Mutable<ControllerOutput> = emptyOutput();

  /** @param options `image` is committed, and complete up to this leader's term */
  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#image = options.image;
    this.#nowMs = options.nowMs;
    this.#electionsLookedAtMs = options.nowMs;
    this.#sessions = new Sessions(options.image.brokers.values(), { timeoutMs: options.sessionTimeoutMs, nowMs: options.nowMs });
  }

  /** Takes one input and returns everything that follows from it. Never throws for what a client sent. */
  step(input: ControllerInput): ControllerOutput {
    this.#output = emptyOutput();
    if (!this.#isStarted) this.#start();
    this.#take(input);
    if (this.#isElectionDue) this.#runElections();
    this.#probe();
    return this.#output;
  }

  /** Repairs what the controller before may have left half done, and looks at once who is still there: the dead are replaced now. */
  #start(): void {
    this.#isStarted = true;
    for (const topic of this.#image.topics.values()) {
      for (const state of topic.partitions) this.#elections.follow(topic.topicId, state, 0, this.#nowMs);
    }
    this.#propose(this.#rowRecords(this.#image, () => true));
    for (const broker of this.#image.brokers.values()) {
      if (!broker.fenced && broker.brokerId !== this.#options.self) this.#sessions.watch(broker.brokerId);
    }
    this.#isElectionDue = true;
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
        this.#committed(input.proposalId);
        return;
      case 'disconnected':
        if (input.brokerId !== this.#options.self && this.#image.brokers.get(input.brokerId)?.fenced === false) this.#sessions.watch(input.brokerId);
        return;
      case 'probed':
        this.#probed(input);
        return;
      case 'inspected':
        this.#inspected(input);
        return;
      default:
        assertNever(input);
    }
  }

  // Requests

  #request(requestId: number, request: ControllerRequest): void {
    try {
      if (request.kind === 'heartbeat') {
        this.#heartbeat(requestId, request);
        return;
      }
      this.#checkRoom();
      const reply = this.#judge(requestId, request);
      if (reply !== null) this.#reply(requestId, reply);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#reply(requestId, error);
    }
  }

  /** Proposes what the request asks for and returns its answer; null when the answer comes later. */
  #judge(requestId: number, request: Exclude<ControllerRequest, HeartbeatRequest>): ControllerReply | null {
    switch (request.kind) {
      case 'register':
        return this.#register(request);
      case 'alter-sync-set': {
        const state = alterSyncSet(this.#image, this.#view(), request);
        this.#propose([{ kind: 'partition-changed', topicId: request.topicId, state }]);
        return { kind: 'alter-sync-set', partitionEpoch: state.partitionEpoch };
      }
      case 'create-topic': {
        const records = createTopic(this.#image, request, this.#options);
        if (!request.validateOnly) this.#propose(records);
        return { kind: 'create-topic', topicId: request.topicId };
      }
      case 'alter-topic':
        this.#propose(alterTopic(this.#image, this.#view(), request, this.#options));
        return { kind: 'alter-topic' };
      case 'delete-topic':
        this.#propose(deleteTopic(this.#image, request));
        return { kind: 'delete-topic' };
      case 'init-producer':
        return this.#initProducer(request);
      case 'elect-leader':
        return this.#electLeader(requestId, request);
      default:
        return assertNever(request);
    }
  }

  #register(request: RegisterRequest): ControllerReply {
    const present = this.#image.brokers.get(request.brokerId);
    // Whoever holds the place may be dead already: ask now, so that the newcomer's next try succeeds.
    if (present?.fenced === false && request.brokerId !== this.#options.self) this.#sessions.watch(request.brokerId);
    const { restartClass, isDistrusted, downgrade } = judgeRegistration(this.#image, request);
    const { brokerId, directoryId, host, port, rack, featureLevelMax } = request;
    const brokerEpoch = this.#image.lastBrokerEpoch + 1;
    const registered: MetadataRecord = { kind: 'broker-registered', brokerId, brokerEpoch, directoryId, host, port, rack, restartClass, featureLevelMax };
    this.#sessions.begin(brokerId, brokerEpoch, this.#nowMs);
    const rows = this.#rowRecords(this.#folded([registered]), (state) => state.replicas.includes(brokerId), (state, min) =>
      isDistrusted ? distrust(state, brokerId, min) : state,
    );
    // The distrust comes first: were the controller lost in between, a registration without it would let the next start claim to be warm
    // with a log that was never examined (KAFKA-18106 is the same hole).
    this.#propose([...rows, registered]);
    this.#fact('broker-registered', { brokerId, brokerEpoch, restartClass, partitionsChanged: rows.length });
    if (downgrade !== null) this.#fact('restart-class-downgraded', { brokerId, brokerEpoch, claimed: request.restartClass, reason: downgrade });
    return { kind: 'register', brokerEpoch, restartClass };
  }

  #heartbeat(requestId: number, request: HeartbeatRequest): void {
    const { brokerId, brokerEpoch, wantsUnfence, wantsStop, lossy } = request;
    const broker = checkSender(this.#image.brokers.get(brokerId), brokerId, brokerEpoch);
    this.#sessions.heard(brokerId, this.#nowMs);
    if (wantsUnfence || wantsStop || lossy) this.#checkRoom();
    if (lossy) this.#condemn(brokerId);
    else if (wantsUnfence && broker.fenced && !this.#sessions.isCondemned(brokerId)) this.#unfence(brokerId);
    if (wantsStop) this.#stop(brokerId);
    const { leadersLeft, isHeld } = leadershipsLeft(this.#image, this.#view(), brokerId, (key) => this.#sessions.hasHandedOver(brokerId, key));
    const fenced = this.#image.brokers.get(brokerId)?.fenced !== false;
    const reply: ControllerReply = { kind: 'heartbeat', fenced, mayStop: wantsStop && !isHeld, leadersLeft };
    // A mere sign of life changes nothing, so its answer need not wait behind the metadata log.
    if (wantsUnfence || wantsStop || lossy) this.#reply(requestId, reply);
    else this.#output.replies.push({ requestId, reply });
  }

  #unfence(brokerId: BrokerId): void {
    const brokerEpoch = this.#epochOf(brokerId);
    const unfenced: MetadataRecord = { kind: 'broker-unfenced', brokerId, brokerEpoch };
    this.#sessions.revive(brokerId);
    const rows = this.#rowRecords(this.#folded([unfenced]), (state) => state.replicas.includes(brokerId));
    this.#propose([unfenced, ...rows]);
    this.#fact('broker-unfenced', { brokerId, brokerEpoch, partitionsChanged: rows.length });
  }

  /** Fences brokers together, so that those left are judged once and not one after the other as if each death were alone. */
  #fence(brokerIds: readonly BrokerId[], reason: string): void {
    const fences = brokerIds
      .filter((id) => this.#image.brokers.get(id)?.fenced === false)
      .map((brokerId): MetadataRecord => ({ kind: 'broker-fenced', brokerId, brokerEpoch: this.#epochOf(brokerId) }));
    for (const brokerId of brokerIds) this.#sessions.expire(brokerId);
    const rows = this.#rowRecords(this.#folded(fences), (state) => state.replicas.some((id) => brokerIds.includes(id)));
    this.#propose([...fences, ...rows]);
    if (fences.length > 0) this.#fact('brokers-fenced', { brokerIds: brokerIds.join(), reason, partitionsChanged: rows.length });
  }

  /** The broker says that its disk failed: as a lossy registration, at once (DESIGN.md section 6). */
  #condemn(brokerId: BrokerId): void {
    if (this.#sessions.isCondemned(brokerId)) return;
    const brokerEpoch = this.#epochOf(brokerId);
    const fenced: MetadataRecord = { kind: 'broker-fenced', brokerId, brokerEpoch };
    this.#sessions.condemn(brokerId);
    const rows = this.#rowRecords(this.#folded([fenced]), (state) => state.replicas.includes(brokerId), (state, min) => distrust(state, brokerId, min));
    this.#propose([...rows, fenced]);
    this.#fact('broker-condemned', { brokerId, brokerEpoch, partitionsChanged: rows.length });
  }

  #stop(brokerId: BrokerId): void {
    const stopping: MetadataRecord[] =
      this.#image.brokers.get(brokerId)?.stopping === true ? [] : [{ kind: 'broker-stopping', brokerId, brokerEpoch: this.#epochOf(brokerId) }];
    const view = this.#view(this.#folded(stopping));
    const rows = this.#rowRecords(this.#folded(stopping), (state) => state.leader === brokerId, (state, _min, topicId) =>
      handOver(state, view, () => this.#sessions.noteHandover(brokerId, partitionKey(topicId, state.partition))),
    );
    this.#propose([...stopping, ...rows]);
    if (stopping.length > 0) this.#fact('broker-stopping', { brokerId, partitionsChanged: rows.length });
  }

  #initProducer(request: InitProducerRequest): ControllerReply {
    const { records, reply } = this.#producerIds.init(this.#image, request.name);
    this.#propose(records);
    return reply;
  }

  #electLeader(requestId: number, request: ElectLeaderRequest): ControllerReply | null {
    const { topic, state, verdict } = judgeElection(this.#image, this.#view(), request);
    if (verdict.kind === 'done') return { kind: 'elect-leader', leader: state.leader, leaderEpoch: state.leaderEpoch };
    if (verdict.kind === 'row') {
      this.#propose([{ kind: 'partition-changed', topicId: topic.topicId, state: verdict.state }]);
      return { kind: 'elect-leader', leader: verdict.state.leader, leaderEpoch: verdict.state.leaderEpoch };
    }
    if (verdict.seal !== null) this.#propose([{ kind: 'partition-changed', topicId: topic.topicId, state: verdict.seal }]);
    const pending = this.#elections.get(topic.topicId, state.partition);
    assert(pending !== null, `${topic.name}/${String(state.partition)} has no leader and must have a pending election`);
    if (pending.request !== null) throw new BrokerError('CONFLICT', `Cannot elect a leader of ${topic.name}/${String(state.partition)}: an election was asked for already`);
    pending.givenUp = new Set(request.givenUp);
    pending.preferred = verdict.preferred;
    pending.request = { requestId, deadlineMs: this.#nowMs + ELECTION_REQUEST_WAIT_MS };
    this.#isElectionDue = true;
    return null;
  }

  // Time, probes, commits

  #tick(nowMs: MonotonicMs, wallMs: WallMs): void {
    const gapMs = nowMs - this.#nowMs;
    // A controller that was paused heard nobody; their heartbeats are queued behind this tick.
    if (gapMs > this.#options.sessionTimeoutMs / 2) this.#sessions.forgive(gapMs);
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
    const silent = this.#sessions.takeExpired(nowMs);
    if (silent.length > 0) this.#fence(silent, `silent for ${String(this.#options.sessionTimeoutMs)} ms`);
    this.#propose(this.#preferredLeaders.moves(this.#image, this.#view(), nowMs));
    if (nowMs - this.#electionsLookedAtMs >= ELECTIONS_INTERVAL_MS) this.#isElectionDue = true;
  }

  #probed(input: Extract<ControllerInput, { kind: 'probed' }>): void {
    const { brokerId, brokerEpoch, result } = input;
    this.#sessions.probed(brokerId, brokerEpoch);
    const broker = this.#image.brokers.get(brokerId);
    if (result === 'refused' && broker?.brokerEpoch === brokerEpoch && !broker.fenced) this.#fence([brokerId], 'its process is gone');
  }

  #probe(): void {
    for (const brokerId of this.#sessions.takeProbes(this.#nowMs, this.#options.probeIntervalMs)) {
      const broker = this.#image.brokers.get(brokerId);
      if (broker === undefined) continue;
      this.#output.probes.push({ brokerId, brokerEpoch: broker.brokerEpoch, host: broker.host, port: broker.port });
    }
  }

  #committed(proposalId: number): void {
    assert(proposalId === this.#committedProposalId + 1, `proposal ${String(proposalId)} was committed, ${String(this.#committedProposalId + 1)} must be next`);
    this.#committedProposalId = proposalId;
    for (const { requestId, reply } of this.#waiting.filter((waiting) => waiting.proposalId <= proposalId)) this.#output.replies.push({ requestId, reply });
    this.#waiting = this.#waiting.filter((waiting) => waiting.proposalId > proposalId);
    if (this.#elections.all.some((pending) => pending.sealProposalId === proposalId)) this.#isElectionDue = true;
  }

  // Elections

  #inspected(input: Extract<ControllerInput, { kind: 'inspected' }>): void {
    const { topicId, partition, leaderEpoch, brokerId, brokerEpoch, log } = input;
    const pending = this.#elections.get(topicId, partition);
    if (pending === null || pending.leaderEpoch !== leaderEpoch) return;
    const asked = pending.asked.get(brokerId);
    if (asked === undefined || asked.brokerEpoch !== brokerEpoch) return;
    asked.isInFlight = false;
    if (log === null) return;
    pending.logs.set(brokerId, { brokerEpoch, log: { brokerId, lastEpoch: log.lastEpoch, endOffset: log.endOffset, highWaterMark: log.highWaterMark ?? 0 } });
    this.#isElectionDue = true;
  }

  /** Advances every pending election whose leaderless epoch is committed. */
  #runElections(): void {
    this.#isElectionDue = false;
    this.#electionsLookedAtMs = this.#nowMs;
    for (const pending of this.#elections.all) {
      // Rule 5: a log that is read before the epoch is committed could still take records of the leader before.
      if (pending.sealProposalId <= this.#committedProposalId) this.#runElection(pending);
    }
    this.#isElectionDue = false;
  }

  #runElection(pending: PendingElection): void {
    const topic = this.#image.topics.get(pending.topicId);
    const state = topic?.partitions[pending.partition];
    assert(topic !== undefined && state !== undefined, `pending election of ${pending.topicId}/${String(pending.partition)} must belong to a partition`);
    const step = stepElection(pending, { image: this.#image, topic, state, view: this.#view(), nowMs: this.#nowMs });
    if (step.kind === 'wait') {
      for (const brokerId of step.ask) this.#inspect(pending, brokerId);
      this.#giveUpWaiting(pending, step.missing);
      return;
    }
    const { topicId, partition } = pending;
    const row: MetadataRecord = { kind: 'partition-changed', topicId, state: step.state };
    if (step.kind === 'elect') {
      this.#propose([row]);
      return;
    }
    const { leader, leaderEpoch } = step.state;
    const { fromOffset } = step;
    const loss = { topicId, topic: topic.name, partition, leaderEpoch, leader, fromOffset, atMs: this.#wallMs };
    // Both in one entry: no leader without the report of what it may lack.
    this.#propose([{ kind: 'loss-reported', loss }, row]);
    this.#fact('leader-elected-uncleanly', { topic: topic.name, partition, leader, leaderEpoch, fromOffset });
  }

  #inspect(pending: PendingElection, brokerId: BrokerId): void {
    const brokerEpoch = this.#epochOf(brokerId);
    const { topicId, partition, leaderEpoch } = pending;
    pending.asked.set(brokerId, { brokerEpoch, atMs: this.#nowMs, isInFlight: true });
    this.#output.inspections.push({ topicId, partition, leaderEpoch, brokerId, brokerEpoch });
  }

  #giveUpWaiting(pending: PendingElection, missing: readonly BrokerId[]): void {
    if (pending.request === null || this.#nowMs < pending.request.deadlineMs) return;
    const waited = `Cannot elect a leader of partition ${String(pending.partition)} yet: waiting for the logs of brokers ${missing.join()}`;
    this.#reply(pending.request.requestId, new BrokerError('REFUSED', waited));
    pending.request = null;
  }

  // Records

  /**
   * Settles the rows that `isAffected` picks against the brokers of `image`, after an optional change, and returns a record for each that differs.
   */
  #rowRecords(
    image: MetadataImage,
    isAffected: (state: PartitionState) => boolean,
    change: (state: PartitionState, min: number, topicId: TopicId) => PartitionState = (state) => state,
  ): MetadataRecord[] {
    const view = this.#view(image);
    const records: MetadataRecord[] = [];
    for (const { topicId, config, partitions } of image.topics.values()) {
      const min = config.minInSyncReplicas;
      for (const state of partitions) {
        const next = isAffected(state) ? changed(state, settle(change(state, min, topicId), min, view)) : null;
        if (next !== null) records.push({ kind: 'partition-changed', topicId, state: next });
      }
    }
    return records;
  }

  /** Sends records on their way, in their order, and counts them as decided from here on. */
  #propose(records: readonly MetadataRecord[]): void {
    for (let first = 0; first < records.length; first += PROPOSAL_RECORDS_MAX) {
      const chunk = records.slice(first, first + PROPOSAL_RECORDS_MAX);
      this.#lastProposalId += 1;
      this.#image = this.#folded(chunk);
      this.#output.proposals.push({ proposalId: this.#lastProposalId, records: chunk });
      for (const record of chunk) this.#follow(record);
      this.#isElectionDue = true;
    }
  }

  /** Keeps one pending election for every partition without a leader. */
  #follow(record: MetadataRecord): void {
    if (record.kind === 'topic-deleted') {
      for (const { request } of this.#elections.dropTopic(record.topicId)) {
        if (request !== null) this.#reply(request.requestId, new BrokerError('UNKNOWN_TOPIC', 'Cannot elect a leader: the topic was deleted'));
      }
    }
    if (record.kind !== 'partition-changed') return;
    const { leader, leaderEpoch } = record.state;
    const ended = this.#elections.follow(record.topicId, record.state, this.#lastProposalId, this.#nowMs);
    if (ended?.request == null) return;
    assert(leader !== NO_BROKER, `leader epoch ${String(leaderEpoch)} follows a leaderless one and must have a leader`);
    this.#reply(ended.request.requestId, { kind: 'elect-leader', leader, leaderEpoch });
  }

  /** Answers once everything proposed so far is committed: no answer rests on what might still be undone. */
  #reply(requestId: number, reply: ControllerReply | BrokerError): void {
    if (this.#committedProposalId === this.#lastProposalId) this.#output.replies.push({ requestId, reply });
    else this.#waiting.push({ requestId, reply, proposalId: this.#lastProposalId });
  }

  #checkRoom(): void {
    const { requestsPendingMax } = this.#options;
    if (this.#waiting.length + this.#elections.requests < requestsPendingMax) return;
    throw new BrokerError('OVERLOADED', `Cannot take another request: ${String(requestsPendingMax)} wait for the metadata quorum`);
  }

  #fact(event: string, fields: Readonly<Record<string, string | number | boolean>>): void {
    this.#output.facts.push({ event, fields });
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
