/**
 * Control batches of one log that say more than where an epoch begins: trims, and orders to
 * compact. Payloads are read above the recovery point alone, so the journal names those below.
 */
import type { Offset } from '../../base/units.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import type { ControlMark } from '../replication/types.ts';

/**
 * Trims of a log that the journal names. Fewer than these wait to take effect; the others tell only
 * where the data ends, for logs that are cut back behind them.
 */
const TRIMS_JOURNALLED_MAX = 64;
/** Orders that it names: the newest that is committed is one of the last two. */
const ORDERS_JOURNALLED_MAX = 2;

export class ControlMarks {
  /** In the order of the log: those of the journal, and what was appended since. */
  #trims: ControlMark[] = [];
  #orders: ControlMark[] = [];

  constructor(journalled: readonly ControlMark[]) {
    for (const mark of journalled) this.#push(mark);
  }

  /** These batches stand at the end of the log. */
  note(headers: readonly BatchHeader[]): void {
    const [first] = headers;
    if (first === undefined) return;
    // What stood here, or above, was cut off meanwhile.
    const isBelow = ({ baseOffset }: ControlMark): boolean => baseOffset < first.baseOffset;
    if (!this.#trims.every(isBelow)) this.#trims = this.#trims.filter(isBelow);
    if (!this.#orders.every(isBelow)) this.#orders = this.#orders.filter(isBelow);
    for (const header of headers) if (header.isControl) this.#push(header);
  }

  /** Those that stand from `startOffset` to `endOffset`: a start does not read them. */
  within(startOffset: Offset, endOffset: Offset): ControlMark[] {
    return [...this.#trims, ...this.#orders].filter(
      ({ baseOffset }) => baseOffset >= startOffset && baseOffset < endOffset,
    );
  }

  #push(mark: Pick<BatchHeader, 'baseOffset' | 'dataEnd' | 'trimTo' | 'compaction'>): void {
    const { baseOffset, dataEnd, trimTo, compaction } = mark;
    if (trimTo !== undefined) {
      this.#trims.push({ baseOffset, dataEnd, trimTo });
      if (this.#trims.length > TRIMS_JOURNALLED_MAX) this.#trims.shift();
    }
    if (compaction !== undefined) {
      this.#orders.push({ baseOffset, dataEnd, compaction });
      if (this.#orders.length > ORDERS_JOURNALLED_MAX) this.#orders.shift();
    }
  }
}
