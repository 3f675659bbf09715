/**
 * Judges a person's or a client's wish for a leader. Pure; an election that must read logs is left
 * to `elections.ts`.
 */
import { assert } from '../../../../base/assert.ts';
import { BrokerError } from '../../../../base/errors.ts';
import { NO_BROKER } from '../../../../base/units.ts';
import type { BrokerId } from '../../../../base/units.ts';
import type { ElectLeaderRequest } from '../../controller-types.ts';
import {
  canSucceed,
  changed,
  countedMembers,
  electionSize,
  isEvidenceGone,
  mayBeGivenUp,
  trustedMembers,
} from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import { hasLevel, LEVEL_OF_MOVES } from '../../features.ts';
import type { MetadataImage, PartitionState, TopicState } from '../../types.ts';
import { topicByName } from '../topics.ts';

/**
 * `done`: the wish is fulfilled already. `row`: commit this. `hand-over`: commit `state` unless
 * null, then the leader drains. `inspect`: commit `seal` unless null, then let the election read
 * logs.
 */
export type ElectionVerdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'row'; readonly state: PartitionState }
  | { readonly kind: 'hand-over'; readonly state: PartitionState | null }
  | {
      readonly kind: 'inspect';
      readonly seal: PartitionState | null;
      readonly preferred: BrokerId;
    };

/** Throws {@link BrokerError} where the wish cannot be granted, naming what it waits for. */
export function judgeElection(
  image: MetadataImage,
  view: BrokerView,
  request: ElectLeaderRequest,
): {
  readonly topic: TopicState;
  readonly state: PartitionState;
  readonly verdict: ElectionVerdict;
} {
  const topic = topicByName(image, request.topic);
  const state = topic.partitions[request.partition];
  if (state === undefined)
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `Cannot elect a leader: topic "${topic.name}" has no partition ${String(request.partition)}`,
    );
  const name = `${topic.name}/${String(state.partition)}`;
  const verdict = request.unclean
    ? judgeUnclean(topic, state, { view, request, name, isHandedOver: false })
    : judgePlanned(state, { view, request, name, isHandedOver: hasLevel(image, LEVEL_OF_MOVES) });
  return { topic, state, verdict };
}

interface Wish {
  readonly view: BrokerView;
  readonly request: ElectLeaderRequest;
  /** Topic and number, for messages. */
  readonly name: string;
  /** The cluster's feature level lets a leader drain first (rule 22). */
  readonly isHandedOver: boolean;
}

function refuse(wish: Wish, reason: string): never {
  throw new BrokerError('REFUSED', `Cannot elect a leader of ${wish.name}: ${reason}`);
}

function judgePlanned(state: PartitionState, wish: Wish): ElectionVerdict {
  const { view, request } = wish;
  const target = request.target === NO_BROKER ? (state.replicas[0] ?? NO_BROKER) : request.target;
  const broker = `broker ${String(target)}`;
  if (!state.replicas.includes(target))
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `target is ${String(target)}, must be one of the replicas (${state.replicas.join()}) of ${wish.name}`,
    );
  if (state.leader === target) return { kind: 'done' };
  if (!state.syncSet.includes(target))
    return refuse(wish, `${broker} must be in S (${state.syncSet.join()})`);
  if (state.suspects.includes(target))
    return refuse(wish, `${broker} is a suspect, must be certified by the leader first`);
  if (!view.isLive(target)) return refuse(wish, `${broker} is fenced`);
  const unable = state.cannotLead.find(({ brokerId }) => brokerId === target);
  if (unable !== undefined)
    return refuse(wish, `${broker} says that it cannot lead: ${unable.reason}`);
  if (view.isStopping(target)) return refuse(wish, `${broker} is stopping`);
  const counted = countedMembers(state, view).length;
  if (counted < electionSize(state))
    return refuse(
      wish,
      `${String(counted)} trusted logs can be read, ${String(electionSize(state))} are needed`,
    );
  if (wish.isHandedOver && canSucceed(state, target, view))
    return { kind: 'hand-over', state: changed(state, { ...state, successor: target }) };
  const isAsking = electionSize(state) > 1;
  const next = changed(state, { ...state, leader: isAsking ? NO_BROKER : target });
  if (isAsking) return { kind: 'inspect', seal: next, preferred: target };
  assert(next !== null, `leader of ${wish.name} must change to ${String(target)}`);
  return { kind: 'row', state: next };
}

/**
 * Rule 18 and P11: only with the topic's consent, only when evidence is gone, and only past members
 * that a person gave up by name.
 */
function judgeUnclean(topic: TopicState, state: PartitionState, wish: Wish): ElectionVerdict {
  const { view, request } = wish;
  const givenUp = new Set(request.givenUp);
  const strangers = request.givenUp.filter((id) => !state.replicas.includes(id));
  if (strangers.length > 0)
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `givenUp is ${request.givenUp.join()}, must name replicas (${state.replicas.join()}) of ${wish.name}`,
    );
  if (!topic.config.uncleanElection) return refuse(wish, 'uncleanElection of the topic is false');
  if (state.leader !== NO_BROKER) return refuse(wish, `broker ${String(state.leader)} leads it`);
  const alive = request.givenUp.filter((id) => !mayBeGivenUp(state, id, view));
  if (alive.length > 0)
    return refuse(
      wish,
      `brokers ${alive.join()} are alive, only the dead, and replicas that cannot lead, can be given up`,
    );
  if (!isEvidenceGone(state, givenUp)) {
    const trusted = trustedMembers(state).filter((id) => !givenUp.has(id));
    return refuse(
      wish,
      `brokers ${trusted.join()} are trusted and may return, must be given up by name`,
    );
  }
  const absent = state.replicas.filter((id) => !givenUp.has(id) && !view.isLive(id));
  if (absent.length > 0)
    return refuse(wish, `brokers ${absent.join()} are fenced, must return or be given up by name`);
  if (givenUp.size === state.replicas.length)
    return refuse(wish, 'every replica is given up, one must be left to lead');
  return { kind: 'inspect', seal: null, preferred: NO_BROKER };
}
