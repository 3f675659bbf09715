/**
 * Consumers of queues whose stream broke, and who may come back within their grace: meanwhile they
 * keep what they have. No client pays for them any more, so there are only so many: beyond that the
 * one that is away for longest is taken for gone, and others are handed what it has.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';

/** Each has some kilobytes, and a stream to each other broker that owns some of its queue. */
export const ABSENT_CONSUMERS_MAX = 1_000;

interface Absence {
  readonly cancel: Cancel;
  readonly gone: () => void;
}

export class AbsentConsumers {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #most: number;
  /** In the order in which they went. */
  readonly #away = new Set<Absence>();

  constructor(clock: Pick<Clock, 'after'>, most = ABSENT_CONSUMERS_MAX) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Calls `gone` once: when its grace is over, or before, where too many are away. */
  add(graceMs: number, gone: () => void): Cancel {
    const absence: Absence = {
      gone,
      cancel: this.#clock.after(graceMs, () => {
        this.#end(absence);
      }),
    };
    this.#away.add(absence);
    const [oldest] = this.#away;
    if (this.#away.size > this.#most && oldest !== undefined) this.#end(oldest);
    return () => {
      absence.cancel();
      this.#away.delete(absence);
    };
  }

  #end(absence: Absence): void {
    absence.cancel();
    this.#away.delete(absence);
    absence.gone();
  }
}
