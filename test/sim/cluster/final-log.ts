/** What is left of a partition when a run is over. */
import type { Loss } from './knowledge.ts';

/** One partition as its leader serves it at the end. */
export interface FinalLog {
  readonly topic: string;
  readonly partition: number;
  readonly logStart: number;
  readonly end: number;
  readonly values: ReadonlyMap<number, string>;
  /** What was sent before may have gone to a topic of the same name that is no more. */
  readonly sinceMs: number;
  /** What unclean elections reported of it. */
  readonly losses: readonly Pick<Loss, 'fromOffset' | 'knownMs'>[];
  /** Whether compaction may have taken what stood there; absent: it takes nothing. */
  readonly mayBeCompacted?: (offset: number, value: string) => boolean;
}
