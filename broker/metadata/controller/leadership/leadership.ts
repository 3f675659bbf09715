/**
 * Who leads, where that is not settled by a row alone: elections that read logs, wishes for a
 * leader, and hand-overs that somebody waits for. Keeps one pending election for every partition
 * without a leader. Rules 11 to 18 and 22 (docs/rules.md).
 */
import { assert } from '../../../../base/assert.ts';
import { BrokerError } from '../../../../base/errors.ts';
import { isOffset } from '../../../../base/limits.ts';
import { NO_BROKER, partitionKey } from '../../../../base/units.ts';
import type { BrokerId, LeaderEpoch, MonotonicMs, TopicId } from '../../../../base/units.ts';
import type {
  AbilityStatement,
  ControllerInput,
  ControllerReply,
  ElectLeaderRequest,
} from '../../controller-types.ts';
import type { MetadataImage, MetadataRecord } from '../../types.ts';
import type { Desk } from '../desk.ts';
import type { LogEnd } from '../../leader-election.ts';
import { abilityRecords } from './abilities.ts';
import { hasLevel, LEVEL_OF_STARTS } from '../../features.ts';
import { judgeElection } from './leader-requests.ts';
import { PendingElections, stepElection } from './log-elections.ts';
import type { PendingElection } from './log-elections.ts';
import type { Handover, Handovers } from './handover-timers.ts';

/** Pause between two looks at all pending elections, beside those that an input asks for. */
const ELECTIONS_INTERVAL_MS = 250;
/** How long a client waits for an election that must read logs. */
const ELECTION_REQUEST_WAIT_MS = 10_000;

type PartitionChanged = Extract<MetadataRecord, { kind: 'partition-changed' }>;

/** What an election that was asked for goes by. */
interface ElectionWish {
  readonly preferred: BrokerId;
  readonly givenUp: readonly BrokerId[];
}

export class Leaderships {
  readonly #desk: Desk;
  readonly #handovers: Handovers;
  readonly #elections = new PendingElections();
  #lookedAtMs: MonotonicMs;
  #isDue = true;

  constructor(desk: Desk, handovers: Handovers, image: MetadataImage) {
    this.#desk = desk;
    this.#handovers = handovers;
    this.#lookedAtMs = desk.nowMs;
    for (const topic of image.topics.values()) {
      for (const state of topic.partitions)
        this.#elections.follow(topic.topicId, state, 0, desk.nowMs);
    }
  }

  /** Clients waiting for an outcome. */
  get requests(): number {
    return this.#elections.requests + this.#handovers.requests;
  }

  /** A row was proposed; `handover` ended with it. */
  follow({ topicId, state }: PartitionChanged, handover: Handover | null): void {
    this.#isDue = true;
    const { partition, leader, leaderEpoch } = state;
    const ended = this.#elections.follow(
      topicId,
      state,
      this.#desk.lastProposalId,
      this.#desk.nowMs,
    );
    if (ended?.request != null) {
      assert(
        leader !== NO_BROKER,
        `leader epoch ${String(leaderEpoch)} follows a leaderless one and must have a leader`,
      );
      this.#desk.reply(ended.request.requestId, { kind: 'elect-leader', leader, leaderEpoch });
    }
    if (handover?.requestId == null) return;
    if (leader === handover.successor)
      this.#desk.reply(handover.requestId, { kind: 'elect-leader', leader, leaderEpoch });
    else if (leader === NO_BROKER)
      this.#awaitElection(handover.requestId, topicId, partition, {
        preferred: handover.successor,
        givenUp: [],
      });
    else this.#desk.reply(handover.requestId, lostSuccessor(handover, leader));
  }

  /** The topic is gone, and `handovers` with it. */
  dropTopic(topicId: TopicId, handovers: readonly Handover[]): void {
    const requestIds = [
      ...this.#elections.dropTopic(topicId).map(({ request }) => request?.requestId ?? null),
      ...handovers.map(({ requestId }) => requestId),
    ];
    for (const requestId of requestIds) {
      if (requestId !== null)
        this.#desk.reply(
          requestId,
          new BrokerError('UNKNOWN_TOPIC', 'Cannot elect a leader: the topic was deleted'),
        );
    }
  }

  /** Judges a wish for a leader; null when the answer comes later. Throws {@link BrokerError}. */
  elect(requestId: number, request: ElectLeaderRequest): ControllerReply | null {
    const { topic, state, verdict } = judgeElection(this.#desk.image, this.#desk.view, request);
    const { topicId } = topic;
    const { partition } = state;
    if (verdict.kind === 'done')
      return { kind: 'elect-leader', leader: state.leader, leaderEpoch: state.leaderEpoch };
    if (verdict.kind === 'row') {
      this.#desk.propose([{ kind: 'partition-changed', topicId, state: verdict.state }]);
      return {
        kind: 'elect-leader',
        leader: verdict.state.leader,
        leaderEpoch: verdict.state.leaderEpoch,
      };
    }
    const isAsked =
      this.#handovers.get(topicId, partition)?.requestId != null ||
      this.#elections.get(topicId, partition)?.request != null;
    if (isAsked)
      throw new BrokerError(
        'CONFLICT',
        `Cannot elect a leader of ${topic.name}/${String(partition)}: an election was asked for already`,
      );
    const row = verdict.kind === 'hand-over' ? verdict.state : verdict.seal;
    if (row !== null) this.#desk.propose([{ kind: 'partition-changed', topicId, state: row }]);
    if (verdict.kind === 'hand-over') this.#awaitHandover(requestId, topicId, partition);
    else
      this.#awaitElection(requestId, topicId, partition, {
        preferred: verdict.preferred,
        givenUp: request.givenUp,
      });
    return null;
  }

  #awaitHandover(requestId: number, topicId: TopicId, partition: number): void {
    const handover = this.#handovers.get(topicId, partition);
    assert(
      handover !== null,
      `${partitionKey(topicId, partition)} has a successor and must have a pending handover`,
    );
    handover.end = 'elect';
    handover.requestId = requestId;
  }

  #awaitElection(requestId: number, topicId: TopicId, partition: number, wish: ElectionWish): void {
    const pending = this.#elections.get(topicId, partition);
    assert(
      pending !== null,
      `${partitionKey(topicId, partition)} has no leader and must have a pending election`,
    );
    pending.givenUp = new Set(wish.givenUp);
    pending.preferred = wish.preferred;
    pending.request = { requestId, deadlineMs: this.#desk.nowMs + ELECTION_REQUEST_WAIT_MS };
    this.#isDue = true;
  }

  /**
   * Some of the broker's replicas cannot lead, or can again. Below its feature level metadata
   * cannot hold that, and leaves things as they are.
   */
  noteAbilities(brokerId: BrokerId, statements: readonly AbilityStatement[]): void {
    const { image, view } = this.#desk;
    if (!hasLevel(image, LEVEL_OF_STARTS)) return;
    const records = abilityRecords(image, view, brokerId, statements);
    this.#desk.propose(records);
    const changed = new Set(
      records.map(({ topicId, state }) => partitionKey(topicId, state.partition)),
    );
    // What is said again changes nothing: a leader that hands over says it until another leads.
    for (const { topicId, partition, reason } of statements)
      if (changed.has(partitionKey(topicId, partition)))
        this.#desk.fact('replica-ability-changed', { brokerId, topicId, partition, reason });
  }

  /** Time has passed. */
  tick(): void {
    if (this.#desk.nowMs - this.#lookedAtMs >= ELECTIONS_INTERVAL_MS) this.#isDue = true;
  }

  /** A proposal is committed: an election that waited for it may ask now. */
  committed(proposalId: number): void {
    if (this.#elections.all.some((pending) => pending.sealProposalId === proposalId))
      this.#isDue = true;
  }

  /** A replica told how its log ends. */
  inspected(input: Extract<ControllerInput, { kind: 'inspected' }>): void {
    const { topicId, partition, leaderEpoch, brokerId, brokerEpoch, log } = input;
    const pending = this.#elections.get(topicId, partition);
    if (pending === null || pending.leaderEpoch !== leaderEpoch) return;
    const asked = pending.asked.get(brokerId);
    if (asked === undefined || asked.brokerEpoch !== brokerEpoch) return;
    asked.isInFlight = false;
    if (log === null) return;
    const stated = logEnd(brokerId, log);
    if (!isPossible(stated, leaderEpoch)) {
      const partitionName = partitionKey(topicId, partition);
      this.#desk.fact('inspection-refused', { partition: partitionName, brokerId });
      return;
    }
    pending.logs.set(brokerId, { brokerEpoch, log: stated });
    this.#isDue = true;
  }

  /** Brokers came or went: whoever can be elected now, is. */
  wake(): void {
    this.#isDue = true;
  }

  /**
   * Advances every pending election whose leaderless epoch is committed, if anything has happened.
   */
  run(): void {
    if (!this.#isDue) return;
    this.#lookedAtMs = this.#desk.nowMs;
    for (const pending of this.#elections.all) {
      // Rule 5: a log that is read before the epoch is committed could still take records of the
      // leader before.
      if (this.#desk.isCommitted(pending.sealProposalId)) this.#runElection(pending);
    }
    this.#isDue = false;
  }

  #runElection(pending: PendingElection): void {
    const { image, view, nowMs } = this.#desk;
    const { topicId, partition } = pending;
    const topic = image.topics.get(topicId);
    const state = topic?.partitions[partition];
    assert(
      topic !== undefined && state !== undefined,
      `pending election of ${partitionKey(topicId, partition)} must belong to a partition`,
    );
    const step = stepElection(pending, { image, topic, state, view, nowMs });
    if (step.kind === 'wait') {
      for (const brokerId of step.ask) this.#inspect(pending, brokerId);
      this.#giveUpWaiting(pending, step.missing);
      return;
    }
    const row: MetadataRecord = { kind: 'partition-changed', topicId, state: step.state };
    if (step.kind !== 'elect-uncleanly') {
      this.#desk.propose([row]);
      return;
    }
    const { leader, leaderEpoch } = step.state;
    const { fromOffset } = step;
    const loss = {
      topicId,
      topic: topic.name,
      partition,
      leaderEpoch,
      leader,
      fromOffset,
      atMs: this.#desk.wallMs,
    };
    // Both in one entry: no leader without the report of what it may lack.
    this.#desk.propose([{ kind: 'loss-reported', loss }, row]);
    this.#desk.fact('leader-elected-uncleanly', {
      topic: topic.name,
      partition,
      leader,
      leaderEpoch,
      fromOffset,
    });
  }

  #inspect(pending: PendingElection, brokerId: BrokerId): void {
    const { topicId, partition, leaderEpoch } = pending;
    const brokerEpoch = this.#desk.image.brokers.get(brokerId)?.brokerEpoch;
    assert(brokerEpoch !== undefined, `broker ${String(brokerId)} must be registered`);
    pending.asked.set(brokerId, { brokerEpoch, atMs: this.#desk.nowMs, isInFlight: true });
    this.#desk.inspect({ topicId, partition, leaderEpoch, brokerId, brokerEpoch });
  }

  #giveUpWaiting(pending: PendingElection, missing: readonly BrokerId[]): void {
    if (pending.request === null || this.#desk.nowMs < pending.request.deadlineMs) return;
    const waited = `Cannot elect a leader of partition ${String(pending.partition)} yet: waiting for the logs of brokers ${missing.join()}; the election goes on`;
    this.#desk.reply(pending.request.requestId, new BrokerError('OUTCOME_UNKNOWN', waited));
    pending.request = null;
  }
}

type InspectedLog = NonNullable<Extract<ControllerInput, { kind: 'inspected' }>['log']>;

function logEnd(brokerId: BrokerId, log: InspectedLog): LogEnd {
  const { lastEpoch, endOffset, highWaterMark = 0, start } = log;
  const startOffset = start?.offset ?? 0;
  const retiredTo = start?.retiredTo ?? startOffset;
  return { brokerId, lastEpoch, endOffset, startOffset, retiredTo, highWaterMark };
}

/**
 * No log can hold batches of the leaderless epoch at which it is sealed, or start or be committed
 * above its end. What is no offset at all must not win an election as the largest.
 */
function isPossible(log: LogEnd, leaderEpoch: LeaderEpoch): boolean {
  const { lastEpoch, endOffset, startOffset, retiredTo, highWaterMark } = log;
  const areNumbers = [lastEpoch, endOffset, startOffset, retiredTo, highWaterMark].every(isOffset);
  if (!areNumbers) return false;
  const isOrdered = retiredTo <= startOffset && startOffset <= endOffset;
  return lastEpoch < leaderEpoch && isOrdered && highWaterMark <= endOffset;
}

function lostSuccessor({ successor, partition }: Handover, leader: BrokerId): BrokerError {
  return new BrokerError(
    'REFUSED',
    `Cannot elect broker ${String(successor)}: it can take over partition ${String(partition)} no more, broker ${String(leader)} leads it`,
  );
}
