/** Gives leaderships back to preferred replicas once they have been fit to lead for a while, a few at a time. */
import type { MonotonicMs } from '../../base/units.ts';
import { partitionKey } from '../../base/units.ts';
import { changed, electionSize, hasValidLeader, leaderCandidates } from '../election.ts';
import type { BrokerView } from '../election.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../types.ts';

/** A preferred replica must be fit for so long: one that comes and goes should not take leaderships along each time. */
export const PREFERRED_STABLE_MS = 5000;
/** Pause between two looks at all partitions. */
export const PREFERRED_INTERVAL_MS = 1000;
/** Leaderships moved per look: each move stalls its partition for a round trip, so they are spread out. */
export const PREFERRED_MOVES_MAX = 20;

export class PreferredLeaders {
  /** Since when the preferred replica of a partition was fit and not leading. */
  #fitSinceMs = new Map<string, MonotonicMs>();
  #lookedAtMs: MonotonicMs = Number.NEGATIVE_INFINITY;

  /** Records of the moves that are due. */
  moves(image: MetadataImage, view: BrokerView, nowMs: MonotonicMs): MetadataRecord[] {
    if (nowMs - this.#lookedAtMs < PREFERRED_INTERVAL_MS) return [];
    this.#lookedAtMs = nowMs;
    const fitSinceMs = new Map<string, MonotonicMs>();
    const records: MetadataRecord[] = [];
    for (const topic of image.topics.values()) {
      for (const state of topic.partitions) {
        if (!isMovable(state, view)) continue;
        const key = partitionKey(topic.topicId, state.partition);
        const sinceMs = this.#fitSinceMs.get(key) ?? nowMs;
        const next = changed(state, { ...state, leader: state.replicas[0] ?? state.leader });
        const isDue = nowMs - sinceMs >= PREFERRED_STABLE_MS && records.length < PREFERRED_MOVES_MAX;
        if (isDue && next !== null) records.push({ kind: 'partition-changed', topicId: topic.topicId, state: next });
        else fitSinceMs.set(key, sinceMs);
      }
    }
    this.#fitSinceMs = fitSinceMs;
    return records;
  }
}

/** The preferred replica could lead without an election and does not. In quorum mode leadership stays where it is: a move would read logs. */
function isMovable(state: PartitionState, view: BrokerView): boolean {
  const [preferred] = state.replicas;
  if (preferred === undefined || state.leader === preferred || electionSize(state) > 1) return false;
  return hasValidLeader(state, view) && leaderCandidates(state, view).includes(preferred) && !view.isStopping(preferred);
}
