/**
 * Trims that stand in a log and are not committed yet: where it is to begin once they are. A trim
 * is a control batch, so whoever may lead holds every one that was answered, and it takes effect on
 * each replica by itself, when the high-water mark passes it. Knows no disk.
 *
 * Until then nobody knows whether what lies below is there to stay: an earlier leader may have
 * answered the trim. So {@link Trims.undecidedTo} binds readers. Source: docs/rules.md#trims.
 */
import { BrokerError } from '../../base/errors.ts';
import type { Offset } from '../../base/units.ts';
import type { ControlMark } from './types.ts';

/** Trims of a partition that may wait to be committed: each is remembered until then. */
const TRIMS_PENDING_MAX = 16;

interface Trim {
  readonly baseOffset: Offset;
  readonly trimTo: Offset;
}

export class Trims {
  /** In the order of the log. */
  readonly #waiting: Trim[] = [];
  #furthest: Trim = { baseOffset: 0, trimTo: 0 };

  /** @param controls what recovery has read */
  constructor(controls: readonly ControlMark[] = []) {
    for (const { baseOffset, trimTo } of controls) this.note(baseOffset, trimTo);
  }

  get count(): number {
    return this.#waiting.length;
  }

  /** Of those that took effect since this replica was opened. */
  get furthest(): Trim {
    return this.#furthest;
  }

  /** Nobody may be told of anything below, or that it is gone; 0: that is decided everywhere. */
  get undecidedTo(): Offset {
    let most = 0;
    for (const { trimTo } of this.#waiting) most = Math.max(most, trimTo);
    return most;
  }

  /** A control batch is appended; `trimTo` is undefined where it is no trim. */
  note(baseOffset: Offset, trimTo: Offset | undefined): void {
    if (trimTo !== undefined) this.#waiting.push({ baseOffset, trimTo });
  }

  /** The log now ends at `endOffset`. */
  truncate(endOffset: Offset): void {
    while ((this.#waiting.at(-1)?.baseOffset ?? -1) >= endOffset) this.#waiting.pop();
  }

  /** Everything below `highWaterMark` is committed. @returns where the log begins, 0: as before */
  commit(highWaterMark: Offset): Offset {
    let most = 0;
    let done = 0;
    for (const trim of this.#waiting) {
      if (trim.baseOffset >= highWaterMark) break;
      most = Math.max(most, trim.trimTo);
      if (trim.trimTo > this.#furthest.trimTo) this.#furthest = trim;
      done += 1;
    }
    if (done > 0) this.#waiting.splice(0, done);
    return most;
  }
}

/** Marks of a leader's log. */
interface LogToTrim {
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  readonly highWaterMark: Offset;
  readonly trims: Trims;
}

/**
 * Why a leader may not trim its log to `offset`, or null. `isEndKnown`: what lies above HW is not
 * there, rather than not committed yet.
 */
export function trimFault(
  offset: Offset,
  log: LogToTrim,
  isEndKnown: boolean,
  where: string,
): BrokerError | null {
  const { startOffset, endOffset, highWaterMark, trims } = log;
  if (trims.count >= TRIMS_PENDING_MAX)
    return new BrokerError(
      'OVERLOADED',
      `${where}: ${trims.count} trims are not committed, the most allowed`,
    );
  if (offset <= highWaterMark) return null;
  if (offset <= endOffset || !isEndKnown)
    return new BrokerError(
      'OFFSET_NOT_AVAILABLE',
      `${where}: ${highWaterMark} is committed so far`,
    );
  const details = { logStart: startOffset, logEnd: highWaterMark };
  const message = `${where}: it must be ${startOffset} to ${highWaterMark}`;
  return new BrokerError('OFFSET_OUT_OF_RANGE', message, details);
}
