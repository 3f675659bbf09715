/** Callbacks that run at most once per turn of the loop, however often something changed. */
import type { Cancel, Clock } from '../../base/clock.ts';

export class Watchers {
  readonly #clock: Clock;
  readonly #callbacks = new Set<() => void>();
  #isScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(callback: () => void): Cancel {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** Resolves once the condition holds, looked at now and after each change. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.add(() => {
        if (!holds()) return;
        cancel();
        resolve();
      });
    });
  }

  /**
   * Resolves with true once the condition holds, and with false after `withinMs`: a wait for what
   * another process named ends with its caller's deadline, and leaves nothing behind.
   */
  untilWithin(holds: () => boolean, withinMs: number): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isHeld: boolean): void => {
        unwatch();
        cancel();
        resolve(isHeld);
      };
      const unwatch = this.add(() => {
        if (holds()) end(true);
      });
      const cancel = this.#clock.after(withinMs, () => {
        end(false);
      });
    });
  }

  notify(): void {
    if (this.#isScheduled || this.#callbacks.size === 0) return;
    this.#isScheduled = true;
    this.#clock.soon(() => {
      this.#isScheduled = false;
      for (const callback of [...this.#callbacks]) callback();
    });
  }
}
