/** What unclean elections may have taken from a partition, as a reader comes across it. */
import type { CrossedLoss } from '../proto/gen/tidemark/v1/losses.ts';

/**
 * Records that may be lost: from `fromOffset` on, of the epochs before `leaderEpoch`. Everything
 * below is there. Place and epoch together are a position to go on from behind the range:
 * `{ topic, topicId, partition, offset: toOffset, leaderEpoch }`.
 */
export interface LossRange {
  /** Tells it from a record and from a batch, which have none. */
  readonly kind: 'loss';
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Epoch of the leader that was elected uncleanly. */
  readonly leaderEpoch: number;
  /** First offset that may be lost. */
  readonly fromOffset: number;
  /**
   * End of what the log kept of the epochs before: it goes on here with records of later ones. Lost
   * records may have had offsets beyond it.
   */
  readonly toOffset: number;
  /** When it was elected, milliseconds since 1970-01-01 UTC. */
  readonly atMs: number;
  /**
   * The topic is compacted: where the newest record of a key may be lost, the older ones may have
   * gone before it, below `fromOffset` too.
   */
  readonly isCompacted?: true;
}

/** As the wire tells them; what says nothing is left out. */
export function lossesOf(crossed: readonly CrossedLoss[]): readonly LossRange[] {
  return crossed.flatMap(({ report, toOffset }) => {
    if (report === undefined) return [];
    const { topic, topicId, partition, leaderEpoch, fromOffset, atMs } = report;
    const kind = 'loss' as const;
    const range = { kind, topic, topicId, partition, leaderEpoch, fromOffset, toOffset, atMs };
    return [report.compacted === true ? { ...range, isCompacted: true } : range];
  });
}
