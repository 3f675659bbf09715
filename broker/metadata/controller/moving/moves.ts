/**
 * Everything that moves by itself while records flow: replicas of reassignments (rule 19),
 * leaderships being handed over (rule 22) or going back to preferred replicas, brokers being
 * emptied, topics that follow a default, the feature level. Decides from the controller's image,
 * proposes through its desk, and answers no request.
 */
import { partitionKey } from '../../../../base/units.ts';
import type { BrokerId, MonotonicMs, TopicId } from '../../../../base/units.ts';
import { changed } from '../../leader-election.ts';
import { isReassigning, stepReassignment } from '../../reassignment.ts';
import type { PartitionState, TopicState } from '../../types.ts';
import type { Desk } from '../desk.ts';
import { FeatureLevels } from '../feature-level.ts';
import { endHandover, Handovers } from '../leadership/handover-timers.ts';
import type { Handover } from '../leadership/handover-timers.ts';
import { followDefaults } from '../followers.ts';
import { widenInternalTopics } from '../internal-topics.ts';
import type { TopicLimits } from '../topics.ts';
import { planMoves } from './move-planner.ts';
import { PreferredLeaders } from '../leadership/preferred-leaders.ts';

/** Pause between two looks at what should move. */
const PLAN_INTERVAL_MS = 250;

interface Row {
  readonly topic: TopicState;
  readonly state: PartitionState;
}

export class Moves {
  readonly handovers = new Handovers();
  readonly #preferredLeaders = new PreferredLeaders();
  readonly #featureLevels = new FeatureLevels();
  /** Partitions whose replicas are on the move. */
  readonly #reassigning = new Map<
    string,
    { readonly topicId: TopicId; readonly partition: number }
  >();
  readonly #limits: TopicLimits;
  #plannedAtMs: MonotonicMs = Number.NEGATIVE_INFINITY;

  constructor(limits: TopicLimits) {
    this.#limits = limits;
  }

  /** Follows a row that is new or changed. Returns the handover that ended with it, if any. */
  follow(topicId: TopicId, state: PartitionState, nowMs: MonotonicMs): Handover | null {
    const key = partitionKey(topicId, state.partition);
    if (isReassigning(state)) this.#reassigning.set(key, { topicId, partition: state.partition });
    else this.#reassigning.delete(key);
    return this.handovers.follow(topicId, state, nowMs);
  }

  /** The topic is gone. Returns the handovers that ended with it. */
  dropTopic(topicId: TopicId): readonly Handover[] {
    for (const [key, row] of this.#reassigning) {
      if (row.topicId === topicId) this.#reassigning.delete(key);
    }
    return this.handovers.dropTopic(topicId);
  }

  /** Time has passed. */
  tick(desk: Desk): void {
    for (const handover of this.handovers.overdue(desk.nowMs)) this.#endHandover(desk, handover);
    desk.propose(
      this.#preferredLeaders.moves(desk.image, desk.view, desk.nowMs, this.handovers.size),
    );
    desk.propose(this.#featureLevels.raise(desk.image, desk.nowMs));
    if (desk.nowMs - this.#plannedAtMs >= PLAN_INTERVAL_MS) this.plan(desk);
  }

  /** Begins the moves that metadata asks for, without waiting for the next look. */
  plan(desk: Desk): void {
    this.#plannedAtMs = desk.nowMs;
    desk.propose(widenInternalTopics(desk.image, desk.view, this.#limits));
    desk.propose(followDefaults(desk.image, desk.view, this.#limits));
    desk.propose(planMoves(desk.image, desk.view));
  }

  /** Metadata has changed: carries every reassignment on as far as it goes now. */
  advance(desk: Desk): void {
    for (const { topicId, partition } of [...this.#reassigning.values()]) {
      const row = rowOf(desk, topicId, partition);
      if (row === null) continue;
      const step = stepReassignment(row.state, row.topic.config.minInSyncReplicas, desk.view);
      if (step.kind === 'finish')
        desk.propose([{ kind: 'partition-changed', topicId, state: step.state }]);
      if (step.kind === 'hand-over') this.#nameSuccessor(desk, row, step.successor);
    }
  }

  /**
   * The replica that leads is to leave; if it does not answer it is replaced all the same, or it
   * could hold the move up for ever.
   */
  #nameSuccessor(desk: Desk, { topic, state }: Row, successor: BrokerId): void {
    const next = changed(state, { ...state, successor });
    if (next === null) return;
    desk.propose([{ kind: 'partition-changed', topicId: topic.topicId, state: next }]);
    const handover = this.handovers.get(topic.topicId, state.partition);
    if (handover !== null) handover.end = 'replace';
  }

  #endHandover(desk: Desk, handover: Handover): void {
    const row = rowOf(desk, handover.topicId, handover.partition);
    const next = row === null ? null : endHandover(row.state, handover, desk.view);
    if (next !== null)
      desk.propose([{ kind: 'partition-changed', topicId: handover.topicId, state: next }]);
  }
}

function rowOf(desk: Desk, topicId: TopicId, partition: number): Row | null {
  const topic = desk.image.topics.get(topicId);
  const state = topic?.partitions[partition];
  return topic === undefined || state === undefined ? null : { topic, state };
}
