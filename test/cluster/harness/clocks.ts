/**
 * Wall clocks that a test sets wrong, one for each broker: a file that `Date.now` reads. A broker
 * loads this before its own program, see {@link Clocks.env}. Its monotonic clock stays as it is.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const VARIABLE = 'TIDEMARK_TEST_CLOCKS';
/** Time is asked for very often. */
const READ_EVERY_MS = 20;

/** The clocks of one test's brokers. */
export class Clocks {
  readonly #file: string;
  readonly #aheadMs: Record<string, number> = {};

  constructor(folder: string) {
    this.#file = join(folder, 'clocks.json');
    this.set(0, 0);
  }

  /**
   * From now on, also over restarts, this broker's wall clock is so far ahead; negative: behind.
   */
  set(brokerId: number, aheadMs: number): void {
    this.#aheadMs[brokerId] = aheadMs;
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#aheadMs));
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** Environment of a broker whose clock is set here. */
  get env(): Readonly<Record<string, string>> {
    return { [VARIABLE]: this.#file, NODE_OPTIONS: `--import=${import.meta.url}` };
  }
}

function readClock(file: string, brokerId: string): void {
  const now = Date.now.bind(Date);
  let aheadMs = 0;
  let readMs = Number.NEGATIVE_INFINITY;
  Date.now = () => {
    if (performance.now() - readMs > READ_EVERY_MS) {
      readMs = performance.now();
      const clocks = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>;
      aheadMs = clocks[brokerId] ?? 0;
    }
    return now() + aheadMs;
  };
}

const fileOfEnvironment = process.env[VARIABLE];
if (fileOfEnvironment !== undefined)
  readClock(fileOfEnvironment, process.argv[process.argv.indexOf('--id') + 1] ?? '');
