/**
 * Tells, on standard error, what a command waits for: when nothing has come for a while and the
 * cluster cannot answer, and again when the reason changes.
 */
import type { Admin } from '../index.ts';
import { reportOf } from './exit.ts';
import { healthOf } from './health.ts';
import { look } from './look.ts';
import type { Output } from './output.ts';

/** Silence after which the cluster is looked at. */
const LOOK_AFTER_MS = 500;
/** How long a broker may take to say how it is: a person should hear within two seconds. */
const LOOK_PATIENCE_MS = 1_000;
/**
 * A look that nobody has answered by then is told. Ticks, not time: a process that was held up has
 * not waited for anybody.
 */
const NOBODY_TICKS = 6;
/** Pause between two looks. */
const LOOK_PAUSE_MS = 3_000;
const TICK_MS = 100;

export class Patience {
  readonly #admin: Admin;
  readonly #servers: string;
  readonly #out: Output;
  readonly #timer: NodeJS.Timeout;
  #quietUntilMs = performance.now() + LOOK_AFTER_MS;
  #isLooking = false;
  #isOver = false;
  #ticksUnanswered = 0;
  #told = '';

  /** `servers`: those that are tried, as a person wrote them. */
  constructor(admin: Admin, servers: string, out: Output) {
    this.#admin = admin;
    this.#servers = servers;
    this.#out = out;
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Something came: what was waited for is over. */
  heard(): void {
    this.#quietUntilMs = performance.now() + LOOK_AFTER_MS;
    this.#ticksUnanswered = Number.NEGATIVE_INFINITY;
    this.#told = '';
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  #tick(): void {
    if (this.#isLooking) {
      this.#ticksUnanswered += 1;
      if (this.#ticksUnanswered === NOBODY_TICKS) this.#tell(`no answer yet from ${this.#servers}`);
      return;
    }
    if (performance.now() < this.#quietUntilMs) return;
    this.#isLooking = true;
    this.#ticksUnanswered = 0;
    const begunMs = this.#quietUntilMs;
    void this.#reason().then((reason) => {
      this.#isLooking = false;
      // Something came meanwhile.
      if (this.#quietUntilMs !== begunMs) return;
      this.#quietUntilMs = performance.now() + LOOK_PAUSE_MS;
      this.#tell(reason);
    });
  }

  #tell(reason: string): void {
    if (this.#isOver || reason === '' || reason === this.#told) return;
    this.#told = reason;
    this.#out.note(`Waiting: ${reason}`);
  }

  /** Empty where the cluster can answer: then the wait is nobody's fault. */
  async #reason(): Promise<string> {
    const answered = (): void => {
      this.#ticksUnanswered = Number.NEGATIVE_INFINITY;
    };
    try {
      const found = await look(this.#admin, LOOK_PATIENCE_MS, answered);
      const { level, sentence } = healthOf(found);
      return level === 'failing' ? sentence : '';
    } catch (error) {
      return reportOf(error).message;
    }
  }
}
