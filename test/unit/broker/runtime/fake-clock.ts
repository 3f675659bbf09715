/** A clock whose time is moved by hand. */
import type { Cancel, Clock } from '../../../../base/clock.ts';
import { every } from '../../../fixtures/every.ts';

export class FakeClock implements Clock {
  nowMs = 0;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];
  #soon: (() => void)[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  every(periodMs: number, callback: () => void): Cancel {
    return every((delayMs, each) => this.after(delayMs, each), periodMs, callback);
  }

  after(delayMs: number, callback: () => void): Cancel {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** Runs what was put off to the end of the turn, and what that put off. */
  settle(): void {
    for (let next = this.#soon.shift(); next !== undefined; next = this.#soon.shift()) next();
  }

  /** Moves on millisecond by millisecond, firing what is due. */
  advance(byMs: number): void {
    for (const endMs = this.nowMs + byMs; this.nowMs < endMs; ) {
      this.nowMs += 1;
      const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
      this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
      for (const { callback } of due) callback();
      this.settle();
    }
  }
}
