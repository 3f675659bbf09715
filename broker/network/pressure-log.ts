/**
 * What was refused and closed, counted for the metrics and told in the log: at most once in ten
 * seconds for each kind, with how many there were, so that a flood writes no flood.
 */
import type { Clock } from '../../base/clock.ts';
import type { OnFact } from '../../base/events.ts';
import type { Excess } from './budget.ts';
import type { Pressure } from './connections.ts';

const PAUSE_MS = 10_000;

type Kind = 'connection-refused' | 'call-refused' | 'connection-closed';

interface Told {
  /** Since it was told the last time. */
  count: number;
  isPaused: boolean;
}

export class PressureLog implements Pressure {
  readonly #onFact: OnFact;
  readonly #clock: Clock;
  readonly #collect: () => void;
  readonly #told = new Map<string, Told>();
  readonly #totals = new Map<string, number>();

  /** @param collect wants back what was let go of; asked again and again */
  constructor(onFact: OnFact, clock: Clock, collect: () => void) {
    this.#onFact = onFact;
    this.#clock = clock;
    this.#collect = collect;
  }

  /** How often what was done, for which reason, since the start. */
  totals(): readonly { readonly what: string; readonly reason: string; readonly count: number }[] {
    return Array.from(this.#totals, ([key, count]) => {
      const [what = '', reason = ''] = key.split(' ');
      return { what, reason, count };
    });
  }

  refused(what: 'connection' | 'call', excess: Excess, address: string): void {
    this.#tell(`${what}-refused`, excess, address, 0);
  }

  closed(excess: Excess, address: string, bytes: number): void {
    this.#tell('connection-closed', excess, address, bytes);
    this.#collect();
  }

  tight(): void {
    this.#collect();
  }

  idle(): void {
    this.#count('connection-closed', 'idle');
  }

  #tell(kind: Kind, reason: Excess, address: string, bytes: number): void {
    this.#count(kind, reason);
    const key = `${kind} ${reason}`;
    const told = this.#told.get(key) ?? { count: 0, isPaused: false };
    this.#told.set(key, told);
    told.count += 1;
    if (told.isPaused) return;
    told.isPaused = true;
    const fields = { reason, address, count: told.count };
    if (kind === 'connection-closed') this.#onFact(kind, { ...fields, bytes });
    else this.#onFact(kind, fields);
    told.count = 0;
    this.#clock.after(PAUSE_MS, () => (told.isPaused = false));
  }

  #count(kind: Kind, reason: string): void {
    const key = `${kind} ${reason}`;
    this.#totals.set(key, (this.#totals.get(key) ?? 0) + 1);
  }
}
