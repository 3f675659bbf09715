/**
 * Has leaders order compactions of their logs, and looks how much of them there is to compact. What
 * is worth a pass is decided in `compaction.ts`, what may go in the core. Topics are compacted from
 * a feature level on, at which every broker reads what is left: no config says so before.
 */
import type { MonotonicMs, WallMs } from '../../../base/units.ts';
import { isCompacted } from '../../metadata/config.ts';
import type { TopicConfig } from '../../metadata/types.ts';
import { compactTo, OffsetAges } from './compaction.ts';
import type { Replica } from './replica.ts';

interface Ages {
  readonly min: OffsetAges;
  readonly max: OffsetAges;
}

/** The moment of a look. */
export interface Now {
  readonly monotonicMs: MonotonicMs;
  /** By the clock of the cluster. */
  readonly wallMs: WallMs;
  /** False: this broker's clock is too far off to say what is old. */
  readonly isClockTrusted: boolean;
}

export class CompactionDriver {
  /** Followers note ages too: whoever leads next does not begin anew. */
  readonly #ages = new WeakMap<object, Ages>();

  look(replica: Replica, config: TopicConfig, now: Now): void {
    if (!isCompacted(config)) return;
    const { compactionLagMinMs, compactionLagMaxMs, tombstoneRetentionMs } = config;
    const ages = this.#agesOf(replica);
    const { isLeader, highWaterMark } = replica.marks();
    ages.min.note(highWaterMark, now.monotonicMs, compactionLagMinMs);
    if (compactionLagMaxMs >= 0) ages.max.note(highWaterMark, now.monotonicMs, compactionLagMaxMs);
    // What a leader stamps an order with decides when tombstones go (rule K4). While it has not
    // carried out one itself, another would only make more of the next.
    if (!isLeader || !now.isClockTrusted) return;
    const status = replica.compaction();
    if (status.hasOrder) return;
    const upTo = compactTo({
      config,
      status,
      segments: replica.log.segments(),
      oldTo: ages.min.olderThan(compactionLagMinMs, now.monotonicMs),
      overdueTo:
        compactionLagMaxMs < 0 ? 0 : ages.max.olderThan(compactionLagMaxMs, now.monotonicMs),
      dataEndBelow: (offset) => replica.dataEndBelow(offset),
    });
    // With nothing new a tombstone may be due all the same.
    replica.compact({ upTo, wallMs: now.wallMs, tombstonesKeptMs: tombstoneRetentionMs });
  }

  #agesOf(replica: Replica): Ages {
    const found = this.#ages.get(replica);
    if (found !== undefined) return found;
    const ages = { min: new OffsetAges(), max: new OffsetAges() };
    this.#ages.set(replica, ages);
    return ages;
  }
}
