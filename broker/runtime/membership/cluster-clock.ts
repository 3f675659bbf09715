/**
 * This broker's clock, set right by what is known of the others'. Its wall clock is the median of
 * the brokers' clocks as far as the controller has told, so that a leader whose own clock is wrong
 * neither refuses good records nor stamps bad times (docs/rules.md#retention). Whether retention by
 * time may rely on it is decided in `clock-trust.ts`.
 */
import type { OnFact } from '../../../base/events.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { MonotonicMs, WallMs } from '../../../base/units.ts';
import { CLOCK_SKEW_MS_MAX } from '../../metadata/clock-skew.ts';
import { type ClockDoubt, ClockTrust, type Comparison } from '../../metadata/clock-trust.ts';

export interface ClusterClockOptions {
  /** The machine's. */
  readonly clock: Clock;
  readonly sessionTimeoutMs: number;
  readonly onFact: OnFact;
}

export class ClusterClock implements Clock {
  readonly #clock: Clock;
  readonly #onFact: OnFact;
  readonly #trust: ClockTrust;
  #doubt: ClockDoubt | null = 'not-compared';

  constructor({ clock, sessionTimeoutMs, onFact }: ClusterClockOptions) {
    this.#clock = clock;
    this.#onFact = onFact;
    this.#trust = new ClockTrust(sessionTimeoutMs);
  }

  /** The machine's clock, less what it is known to be ahead. A whole number: it is written down. */
  wallMs(): WallMs {
    return Math.round(this.#clock.wallMs() - (this.skewMs ?? 0));
  }

  monotonicMs(): MonotonicMs {
    return this.#clock.monotonicMs();
  }

  every(periodMs: number, callback: () => void): Cancel {
    return this.#clock.every(periodMs, callback);
  }

  after(delayMs: number, callback: () => void): Cancel {
    return this.#clock.after(delayMs, callback);
  }

  soon(callback: () => void): void {
    this.#clock.soon(callback);
  }

  /** How far the machine's clock is ahead of the brokers' median; null while not known. */
  get skewMs(): number | null {
    return this.#trust.skewMs(this.#clock.wallMs(), this.#clock.monotonicMs());
  }

  /** Why the machine's clock was not believed at the last {@link look}; null: it was. */
  get doubt(): ClockDoubt | null {
    return this.#doubt;
  }

  /** A heartbeat was answered. */
  compared(comparison: Comparison): void {
    this.#trust.compared(comparison);
    this.look();
  }

  /** Looks at the machine's clocks now, and says so when the verdict changed. */
  look(): ClockDoubt | null {
    const doubt = this.#trust.look(this.#clock.wallMs(), this.#clock.monotonicMs());
    if (doubt === this.#doubt) return doubt;
    this.#doubt = doubt;
    const fields = { clockSkewMs: this.skewMs ?? 0, clockSkewMsMax: CLOCK_SKEW_MS_MAX };
    if (doubt === null) this.#onFact('time-retention-resumed', fields);
    else if (doubt === 'off' || doubt === 'jumped')
      this.#onFact('time-retention-paused', { reason: doubt, ...fields });
    else this.#onFact('time-retention-waits', { reason: doubt });
    return doubt;
  }
}
