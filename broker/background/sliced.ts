/**
 * Jobs in slices, on the loop of whoever asks: each call is one slice, and other work comes between
 * two of them. For simulators and tests, where it also decides from the seed how long a slice
 * takes; and where no worker can be had.
 */
import type { StampTarget } from '../../wire/batch/frame.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import { CompactionJob } from '../compaction/job.ts';
import type { HashSeed } from '../compaction/keyed-hash.ts';
import type { Background, CompactionWork } from '../runtime/ports.ts';
import { recordAccess } from './record-access.ts';

export interface SlicedOptions {
  /** Drawn anew for each pass. */
  readonly drawSeed: () => HashSeed;
  /** Bound of a pass: see `CompactionJob`. */
  readonly memoryBytes: number;
  /** Resolves when the next slice may run. */
  readonly turn: () => Promise<void>;
}

export class SlicedBackground implements Background {
  readonly #options: SlicedOptions;

  constructor(options: SlicedOptions) {
    this.#options = options;
  }

  compaction(order: CompactionOrder, target: StampTarget): CompactionWork {
    const { drawSeed, memoryBytes, turn } = this.#options;
    const parts = { order, target, access: recordAccess, seed: drawSeed(), memoryBytes };
    const job = new CompactionJob(parts);
    const slice = async <T>(run: () => T): Promise<T> => {
      await turn();
      return run();
    };
    return {
      observe: (frames, from) => slice(() => job.observe(frames, from)),
      endScan: () => slice(() => job.endScan()),
      beginSegment: () => slice(() => job.beginSegment()),
      beginMerge: () => slice(() => job.beginMerge()),
      rewrite: (frames, from) => slice(() => job.rewrite(frames, from)),
      endSegment: () => slice(() => job.endSegment()),
      compare: (old, fresh) => slice(() => job.compare(old, fresh)),
      endComparison: (fresh) => slice(() => job.endComparison(fresh)),
      nextRound: () => slice(() => job.nextRound()),
      close: () => {},
    };
  }
}
