/**
 * Tells who changed what and who was refused. Calls that change something are told one by one;
 * refusals at once, then for each caller at most one line in a while, which counts the others: a
 * caller that is refused a thousand times a second must not fill the log. Holds no token and no
 * record.
 */
import type { Clock } from '../../base/clock.ts';
import type { OnFact } from '../../base/events.ts';
import { printable } from '../../base/printable.ts';

/** Pause between lines about one caller's refusals. */
const DENIAL_PAUSE_MS = 10_000;
/** Callers that are told apart. Beyond, all others share one line. */
const CALLERS_MAX = 1_000;
const OTHERS = 'others';
/** Characters of a text that a caller chose. */
const SHOWN_LENGTH_MAX = 600;

/** Who, and from where. */
export interface Caller {
  /** Empty: nobody is known. */
  readonly principal: string;
  /** Address and port. */
  readonly from: string;
  /** By which it came. */
  readonly listener: string;
}

interface Silence {
  readonly untilMs: number;
  passedOver: number;
}

export class Audit {
  readonly #tell: OnFact;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #silences = new Map<string, Silence>();

  /** @param tell must write whatever the log level is */
  constructor(tell: OnFact, clock: Pick<Clock, 'monotonicMs'>) {
    this.#tell = tell;
    this.#clock = clock;
  }

  /** A call that changes something for others has ended. @param outcome `ok`, or a code */
  changed(
    { principal, from, listener }: Caller,
    method: string,
    resource: string,
    outcome: string,
  ): void {
    this.#tell('admin-call', {
      principal,
      from,
      listener,
      method,
      resource: short(resource),
      outcome,
    });
  }

  denied(
    { principal, from, listener }: Caller,
    method: string,
    code: string,
    reason: string,
  ): void {
    const nowMs = this.#clock.monotonicMs();
    // The port is another one with each connection.
    const who = principal === '' ? from.replace(/:\d+$/, '') : principal;
    const caller = `${listener} ${who}`;
    const isKnown = this.#silences.has(caller) || this.#room(nowMs);
    const key = isKnown ? caller : OTHERS;
    const silence = this.#silences.get(key);
    if (silence !== undefined && silence.untilMs > nowMs) {
      silence.passedOver += 1;
      return;
    }
    this.#silences.set(key, { untilMs: nowMs + DENIAL_PAUSE_MS, passedOver: 0 });
    const passedOver = silence?.passedOver ?? 0;
    this.#tell('access-denied', {
      principal,
      from,
      listener,
      method,
      code,
      reason: short(reason),
      passedOver,
    });
  }

  /** Whether one more caller can be told apart; forgets those who have been quiet. */
  #room(nowMs: number): boolean {
    if (this.#silences.size < CALLERS_MAX) return true;
    for (const [key, { untilMs, passedOver }] of this.#silences)
      if (untilMs <= nowMs && passedOver === 0) this.#silences.delete(key);
    return this.#silences.size < CALLERS_MAX;
  }
}

function short(text: string): string {
  return printable(text).slice(0, SHOWN_LENGTH_MAX);
}
