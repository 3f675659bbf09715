/**
 * Virtual time of a run. After each event somebody may look: a picture is taken there.
 */
import { Scheduler } from '../../test/sim/replication/scheduler.ts';

export class Timeline {
  /** Called after each event. */
  onEvent: () => void = () => undefined;
  readonly #scheduler = new Scheduler();

  get nowMs(): number {
    return this.#scheduler.nowMs;
  }

  after(delayMs: number, run: () => void): void {
    this.#scheduler.after(delayMs, () => {
      run();
      this.onEvent();
    });
  }

  every(periodMs: number, run: () => void): void {
    this.after(periodMs, () => {
      run();
      this.every(periodMs, run);
    });
  }

  pass(ms: number): void {
    this.#scheduler.run(this.nowMs + ms);
  }
}
