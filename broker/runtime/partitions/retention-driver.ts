/**
 * Looks at every replica once a period: a leader retires what its topic no longer keeps and has its
 * log compacted, a producer table that is due is saved. What may go is decided in `retention.ts`.
 */
import type { Cancel } from '../../../base/clock.ts';
import type { TopicId } from '../../../base/units.ts';
import type { TopicConfig } from '../../metadata/types.ts';
import type { ClusterClock } from '../membership/cluster-clock.ts';
import { CompactionDriver } from './compaction-driver.ts';
import type { Replicas } from './replicas.ts';
import { retireOffset } from './retention.ts';

export interface RetentionDriverOptions {
  /** Retention by time waits while it has a doubt. */
  readonly clock: Pick<ClusterClock, 'every' | 'look' | 'monotonicMs' | 'wallMs'>;
  /** Milliseconds between two looks, as of now. */
  readonly periodMs: () => number;
  readonly replicas: Pick<Replicas, typeof Symbol.iterator>;
  readonly configOf: (topicId: TopicId) => TopicConfig | undefined;
}

export class RetentionDriver {
  readonly #options: RetentionDriverOptions;
  readonly #compaction = new CompactionDriver();
  #isStarted = false;
  #cancel: Cancel = () => {};

  constructor(options: RetentionDriverOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isStarted = true;
    this.#schedule();
  }

  /** The period changed. */
  reschedule(): void {
    if (this.#isStarted) this.#schedule();
  }

  close(): void {
    this.#isStarted = false;
    this.#cancel();
  }

  #schedule(): void {
    const { clock, periodMs } = this.#options;
    this.#cancel();
    this.#cancel = clock.every(periodMs(), () => {
      this.#retire();
    });
  }

  #retire(): void {
    const { clock, replicas, configOf } = this.#options;
    // Now, and not as of some tick: a clock may have jumped a moment ago.
    const isClockTrusted = clock.look() === null;
    const nowMs = clock.wallMs();
    const now = { monotonicMs: clock.monotonicMs(), wallMs: nowMs, isClockTrusted };
    for (const replica of replicas) {
      const config = configOf(replica.topicId);
      const marks = replica.marks();
      if (config !== undefined && marks.isLeader) {
        const offset = retireOffset(replica.log.segments(), {
          config,
          marks,
          nowMs,
          sizeBytes: replica.log.sizeBytes(),
          isClockTrusted,
        });
        if (offset > marks.logStart) replica.retire(offset);
      }
      if (config !== undefined) this.#compaction.look(replica, config, now);
      replica.saveSnapshot(false);
    }
  }
}
