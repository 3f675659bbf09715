/**
 * Idempotent producers of one log (rule 20): id, epoch and sequence come from batch headers, so the table follows from the log and is the
 * same on every replica. It remembers what is above HW in full: a truncation, which only ever cuts there, is undone exactly. Knows no
 * peers and no disk. Source: KIP-98; the window is PRODUCER_WINDOW_BATCHES of FORMAT.md.
 */
import type { BatchHeader } from '../../proto/batch/frame.ts';
import { nextSequence, PRODUCER_WINDOW_BATCHES, SEQUENCES } from '../../proto/batch/frame.ts';
import { BrokerError } from '../base/errors.ts';
import type { Offset } from '../base/units.ts';

/** Sequences wrap: of two distances, the one below half of the space tells which comes first. */
const SEQUENCE_HALF = SEQUENCES / 2;

/** A batch as remembered. */
interface Remembered {
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/** What the table says of a batch that a client wants appended. */
export type ProducerCheck =
  | { readonly kind: 'ok' }
  | { readonly kind: 'duplicate'; readonly baseOffset: Offset; readonly lastOffset: Offset }
  | { readonly kind: 'error'; readonly error: BrokerError };

const OK: ProducerCheck = Object.freeze({ kind: 'ok' });

/** Batches of each producer id, the least recently used id first. */
export class ProducerTable {
  readonly #producersMax: number;
  /** Oldest batch first, never empty. */
  #batches = new Map<number, Remembered[]>();
  #highWaterMark: Offset = 0;

  /** @param options.producersMax ids kept; past it the one whose last batch is oldest in the log goes, unless a batch of it is above HW */
  constructor(options: { readonly producersMax: number }) {
    this.#producersMax = options.producersMax;
  }

  /** Ids remembered. */
  get size(): number {
    return this.#batches.size;
  }

  /** What would become of this batch. Errors: PRODUCER_FENCED, UNKNOWN_PRODUCER, OUT_OF_ORDER_SEQUENCE, DUPLICATE_SEQUENCE. */
  check(header: BatchHeader): ProducerCheck {
    if (header.producerId === 0) return OK;
    const batches = this.#batches.get(header.producerId);
    const last = batches?.at(-1);
    if (batches === undefined || last === undefined) {
      // A client that was idle until its id expired starts anew at 0 (redpanda#22670); any other number would hide a gap.
      return header.baseSequence === 0
        ? OK
        : refuse('UNKNOWN_PRODUCER', header, 'the id is not remembered and baseSequence must be 0');
    }
    if (header.producerEpoch < last.producerEpoch)
      return refuse('PRODUCER_FENCED', header, `the epoch must be ${last.producerEpoch} or above`);
    if (header.producerEpoch > last.producerEpoch) {
      return header.baseSequence === 0
        ? OK
        : refuse('OUT_OF_ORDER_SEQUENCE', header, 'a new epoch must start at baseSequence 0');
    }
    const expected = nextSequence(last.baseSequence, last.recordCount);
    if (header.baseSequence === expected) return OK;
    for (let index = batches.length - 1; index >= 0; index -= 1) {
      const { producerEpoch, baseSequence, recordCount, baseOffset, lastOffset } = batches[
        index
      ] as Remembered;
      if (producerEpoch !== header.producerEpoch) break;
      if (baseSequence === header.baseSequence && recordCount === header.recordCount)
        return { kind: 'duplicate', baseOffset, lastOffset };
    }
    const end = nextSequence(header.baseSequence, header.recordCount);
    const isBehind =
      distance(header.baseSequence, expected) < SEQUENCE_HALF &&
      distance(end, expected) < SEQUENCE_HALF;
    return isBehind
      ? refuse(
          'DUPLICATE_SEQUENCE',
          header,
          `the next baseSequence is ${expected} and the offset is no longer remembered`,
        )
      : refuse('OUT_OF_ORDER_SEQUENCE', header, `baseSequence must be ${expected}`);
  }

  /** The batch stands in the log at its base offset. Never refuses: what is in the log is so. */
  apply(header: BatchHeader): void {
    this.applyAt(header, header.baseOffset);
  }

  /** {@link apply} for a header that does not carry its base offset yet. */
  applyAt(header: BatchHeader, baseOffset: Offset): void {
    const { producerId, producerEpoch, baseSequence, recordCount } = header;
    if (producerId === 0) return;
    this.#push(producerId, {
      producerEpoch,
      baseSequence,
      recordCount,
      baseOffset,
      lastOffset: baseOffset + header.lastOffsetDelta,
    });
  }

  /** HW is now this; what lies below it cannot be truncated but by an unclean election. */
  commit(highWaterMark: Offset): void {
    this.#highWaterMark = highWaterMark;
  }

  /** The log now ends at `endOffset`. False: it was cut below HW, where the windows are not whole, so {@link rebuild} must follow. */
  truncate(endOffset: Offset): boolean {
    for (const [producerId, batches] of this.#batches) {
      while ((batches.at(-1)?.lastOffset ?? -1) >= endOffset) batches.pop();
      if (batches.length === 0) this.#batches.delete(producerId);
    }
    const isExact = endOffset >= this.#highWaterMark;
    this.#highWaterMark = Math.min(this.#highWaterMark, endOffset);
    return isExact;
  }

  clear(): void {
    this.#batches.clear();
    this.#highWaterMark = 0;
  }

  /**
   * Starts over from the headers of the log, in order, up to some end; what was applied beyond that end while they were being read is
   * applied again on top.
   */
  rebuild(headers: readonly BatchHeader[]): void {
    const last = headers.at(-1);
    const endOffset = last === undefined ? 0 : last.baseOffset + last.lastOffsetDelta + 1;
    const later = [...this.#batches]
      .flatMap(([producerId, batches]) => batches.map((batch) => ({ producerId, batch })))
      .filter(({ batch }) => batch.baseOffset >= endOffset)
      .sort((a, b) => a.batch.baseOffset - b.batch.baseOffset);
    this.#batches.clear();
    for (const header of headers) this.apply(header);
    for (const { producerId, batch } of later) this.#push(producerId, batch);
  }

  /** The table as text, for {@link restore}. As of the end of the log: the caller stores that offset beside it. */
  snapshot(): string {
    return JSON.stringify([...this.#batches]);
  }

  /** Takes the content of a {@link snapshot}. Throws SyntaxError for text that is none. */
  restore(text: string): void {
    this.#batches = new Map(JSON.parse(text) as [number, Remembered[]][]);
    this.#highWaterMark = 0;
  }

  #push(producerId: number, batch: Remembered): void {
    const batches = this.#batches.get(producerId);
    if (batches === undefined) {
      this.#batches.set(producerId, [batch]);
      if (this.#batches.size > this.#producersMax) this.#expire();
      return;
    }
    batches.push(batch);
    // To the end of the map's order. Order of the log, not of the producers' clocks: every replica expires the same ids.
    this.#batches.delete(producerId);
    this.#batches.set(producerId, batches);
    while (
      batches.length > PRODUCER_WINDOW_BATCHES &&
      this.#isCommitted(batches[PRODUCER_WINDOW_BATCHES] as Remembered)
    )
      batches.shift();
  }

  /** One id at most goes for each that comes, so the walk is short: it passes only ids that have batches above HW. */
  #expire(): void {
    for (const [producerId, batches] of this.#batches) {
      if (!this.#isCommitted(batches.at(-1) as Remembered)) continue;
      this.#batches.delete(producerId);
      return;
    }
  }

  #isCommitted(batch: Remembered): boolean {
    return batch.lastOffset < this.#highWaterMark;
  }
}

/** Steps from one sequence up to another, around the wrap. */
function distance(from: number, to: number): number {
  return (to - from + SEQUENCES) % SEQUENCES;
}

function refuse(
  code: 'UNKNOWN_PRODUCER' | 'PRODUCER_FENCED' | 'OUT_OF_ORDER_SEQUENCE' | 'DUPLICATE_SEQUENCE',
  header: BatchHeader,
  must: string,
): ProducerCheck {
  const { producerId, producerEpoch, baseSequence } = header;
  return {
    kind: 'error',
    error: new BrokerError(
      code,
      `Cannot append batch of producer ${producerId}, epoch ${producerEpoch}, baseSequence ${baseSequence}: ${must}`,
    ),
  };
}
