/**
 * Moves leaderships to where they belong: back to preferred replicas once these have been fit to
 * lead for a while, and away from brokers that are being decommissioned; a few at a time, so that
 * ten brokers that return at once cause no storm.
 */
import type { BrokerId, MonotonicMs } from '../../../../base/units.ts';
import { NO_BROKER, partitionKey } from '../../../../base/units.ts';
import { canSucceed, changed, electionSize, leaderCandidates } from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import { hasLevel, LEVEL_OF_MOVES } from '../../features.ts';
import { targetOf } from '../../reassignment.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../../types.ts';

/**
 * A replica must be fit for so long: one that comes and goes should not take leaderships along each
 * time.
 */
export const PREFERRED_STABLE_MS = 5000;
/** Pause between two looks at all partitions. */
export const PREFERRED_INTERVAL_MS = 1000;
/**
 * Leaderships on the move at once: each stalls its partition for a round trip, so they are spread
 * out.
 */
export const PREFERRED_MOVES_MAX = 20;

interface Fitness {
  readonly brokerId: BrokerId;
  readonly sinceMs: MonotonicMs;
}

export class PreferredLeaders {
  /** Since when the leader that a partition should have was fit and not leading. */
  #fitness = new Map<string, Fitness>();
  #lookedAtMs: MonotonicMs = Number.NEGATIVE_INFINITY;

  /** Records of the moves that are due. `inFlight` leaderships are being handed over already. */
  moves(
    image: MetadataImage,
    view: BrokerView,
    nowMs: MonotonicMs,
    inFlight: number,
  ): MetadataRecord[] {
    if (nowMs - this.#lookedAtMs < PREFERRED_INTERVAL_MS) return [];
    this.#lookedAtMs = nowMs;
    const isHandedOver = hasLevel(image, LEVEL_OF_MOVES);
    const fitness = new Map<string, Fitness>();
    const records: MetadataRecord[] = [];
    for (const topic of image.topics.values()) {
      for (const state of topic.partitions) {
        const brokerId = betterLeader(state, view, isHandedOver);
        if (brokerId === null) continue;
        const key = partitionKey(topic.topicId, state.partition);
        const before = this.#fitness.get(key);
        const sinceMs = before?.brokerId === brokerId ? before.sinceMs : nowMs;
        const next = changed(
          state,
          isHandedOver ? { ...state, successor: brokerId } : { ...state, leader: brokerId },
        );
        const isDue =
          nowMs - sinceMs >= PREFERRED_STABLE_MS && inFlight + records.length < PREFERRED_MOVES_MAX;
        if (isDue && next !== null)
          records.push({ kind: 'partition-changed', topicId: topic.topicId, state: next });
        else fitness.set(key, { brokerId, sinceMs });
      }
    }
    this.#fitness = fitness;
    return records;
  }
}

/**
 * Who should lead instead of the present leader and could; null when all is well. Below the level
 * of hand-overs, leadership in quorum mode stays where it is: a move would read logs.
 */
function betterLeader(
  state: PartitionState,
  view: BrokerView,
  isHandedOver: boolean,
): BrokerId | null {
  if (
    state.leader === NO_BROKER ||
    state.successor !== NO_BROKER ||
    (!isHandedOver && electionSize(state) > 1)
  )
    return null;
  const isStaying = (id: BrokerId): boolean => !view.isCordoned(id) && !state.removing.includes(id);
  const able = leaderCandidates(state, view).filter(
    (id) => isStaying(id) && canSucceed(state, id, view),
  );
  const preferred = state.replicas.find(isStaying);
  if (state.leader === preferred) return null;
  if (preferred !== undefined && able.includes(preferred)) return preferred;
  // A leader that stays does so until the preferred replica is fit; one that moves away yields to
  // whoever can.
  return isStaying(state.leader) ? null : (targetOf(state).find((id) => able.includes(id)) ?? null);
}
