/**
 * Idempotent producers of one log (rule 20): id, epoch, sequence and checksum come from batch
 * headers, so the table follows from the log and is the same on every replica. It remembers what is
 * above HW in full: a truncation, which only ever cuts there, is undone exactly. Knows no peers and
 * no disk. Source: KIP-98; the window is PRODUCER_WINDOW_BATCHES of FORMAT.md.
 *
 * What the window promises, FORMAT.md says: a batch that comes again is never appended again. So a
 * producer that wrote within {@link PRODUCER_KEPT_MS} is not forgotten; where that leaves no room,
 * the leader admits no new one. Of those that were forgotten the largest id stays: ids are given
 * out in ascending order, so a first batch of a lower id may be one that comes again, and is
 * refused.
 *
 * A log that starts above 0 may have held batches that nobody here remembers: after a reset, or
 * without a snapshot. Then each leader first learns which ids and epochs were given out so far
 * ({@link ProducersGiven}): a batch of any of them may be one that comes again.
 */
import { PRODUCER_WINDOW_BATCHES } from '../../base/limits.ts';
import type { CompactionMark } from '../../wire/batch/control.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import { endOffsetOf, nextSequence, SEQUENCES } from '../../wire/batch/frame.ts';
import { BrokerError, type ErrorCode, type ErrorDetails } from '../../base/errors.ts';
import { type Check, count, integer, listOf, parseJson } from '../../base/shape.ts';
import type { MonotonicMs, Offset } from '../../base/units.ts';

/**
 * Time for which a producer is remembered after its last batch, at least: as long as any client of
 * ours repeats one.
 */
export const PRODUCER_KEPT_MS = 3_600_000;

/** Sequences wrap: of two distances, the one below half of the space tells which comes first. */
const SEQUENCE_HALF = SEQUENCES / 2;

/** A batch as remembered. */
interface Remembered {
  readonly producerEpoch: number;
  readonly baseSequence: number;
  /**
   * Sequences, and offsets, that it takes: last-offset delta + 1, whatever number of records is
   * left in it.
   */
  readonly recordCount: number;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** The producer's checksum; absent in a snapshot of an older build. */
  readonly crc?: number;
}

interface Producer {
  /** Oldest first, never empty. */
  readonly batches: Remembered[];
  /** When the last one was applied here, which is never before it was appended. */
  seenMs: MonotonicMs;
}

/** What the table says of a batch that a client wants appended. */
export type ProducerCheck =
  | { readonly kind: 'ok' }
  | { readonly kind: 'duplicate'; readonly baseOffset: Offset; readonly lastOffset: Offset }
  | { readonly kind: 'error'; readonly error: BrokerError };

const OK: ProducerCheck = Object.freeze({ kind: 'ok' });

/** Ids and epochs that were given out before a leader asked: no other can stand in its log. */
export interface ProducersGiven {
  /** Ids are given out in ascending order. */
  readonly idMax: number;
  /** The newest epoch of each id that has a name. */
  readonly epochs: ReadonlyMap<number, number>;
}

/**
 * In a snapshot, an entry of no producer (id 0) carries what is known of the others. Older builds
 * read it as a producer, and never look at it.
 */
interface ForgottenEntry extends Remembered {
  readonly forgottenIdMax: number;
  /** Absent in a snapshot of an older build. */
  readonly isBeginningUnknown?: boolean;
}

export class ProducerTable {
  readonly #producersMax: number;
  /** The id whose last batch is oldest in the log first. */
  #producers = new Map<number, Producer>();
  #highWaterMark: Offset = 0;
  #nowMs: MonotonicMs;
  /** 0: none. */
  #forgottenIdMax = 0;
  /**
   * When the table was found not to know what stood below the log start; null: it does know, or
   * that is longer ago than anybody repeats a batch.
   */
  #unknownSinceMs: MonotonicMs | null = null;
  /** What the leadership in hand has learned; null: nothing yet. */
  #given: ProducersGiven | null = null;
  /**
   * Cut below HW, and {@link rebuild} has not followed yet: what is missing here may stand in the
   * log.
   */
  #isPartial = false;

  /**
   * @param options.producersMax ids kept; past it the one whose last batch is oldest in the log
   * goes, unless a batch of it is above HW
   */
  constructor(options: { readonly producersMax: number; readonly nowMs: MonotonicMs }) {
    this.#producersMax = options.producersMax;
    this.#nowMs = options.nowMs;
  }

  /** Ids remembered. */
  get size(): number {
    return this.#producers.size;
  }

  /** The first remembered batch that ends at or above `offset`, and whose it is, or null. */
  firstFrom(offset: Offset): NonNullable<ErrorDetails['holder']> | null {
    let first: NonNullable<ErrorDetails['holder']> | null = null;
    for (const [producerId, { batches }] of this.#producers) {
      const batch = batches.find(({ lastOffset }) => lastOffset >= offset);
      if (batch === undefined || batch.baseOffset >= (first?.baseOffset ?? Infinity)) continue;
      const { producerEpoch, baseSequence, baseOffset } = batch;
      first = { producerId, producerEpoch, baseSequence, baseOffset };
    }
    return first;
  }

  tick(nowMs: MonotonicMs): void {
    this.#nowMs = nowMs;
    if (this.#unknownSinceMs !== null && nowMs - this.#unknownSinceMs >= PRODUCER_KEPT_MS)
      this.#unknownSinceMs = null;
  }

  /** A leadership begins: what an earlier one had learned is too old for it. */
  beginLeading(): void {
    this.#given = null;
  }

  /** Its leader must learn what was given out, see {@link learn}. */
  get mustLearn(): boolean {
    return this.#unknownSinceMs !== null && this.#given === null;
  }

  /** @param given as of a moment after this leadership began */
  learn(given: ProducersGiven): void {
    if (!this.mustLearn) return;
    this.#given = given;
    this.#forgottenIdMax = Math.max(this.#forgottenIdMax, given.idMax);
  }

  /** Batches may have stood below the log start that this table does not know. */
  forgetBeginning(): void {
    this.#unknownSinceMs = this.#nowMs;
    this.#given = null;
  }

  /**
   * What stood below the log start may be lost, so nothing may be acknowledged as a duplicate of it
   * (rule 20).
   */
  loseBeginning(startOffset: Offset): void {
    for (const [producerId, { batches }] of this.#producers) {
      while ((batches[0]?.baseOffset ?? Infinity) < startOffset) batches.shift();
      if (batches.length === 0) this.#producers.delete(producerId);
    }
    this.forgetBeginning();
  }

  /**
   * Producers whose last batches all lie below `below` have been silent for so long that nobody
   * repeats a batch of theirs. 0 where nobody knows who wrote below the log start.
   */
  silentBelow(): { readonly below: Offset; readonly forgottenIdMax: number } {
    let forgottenIdMax = this.#forgottenIdMax;
    if (this.#unknownSinceMs !== null) return { below: 0, forgottenIdMax };
    for (const [producerId, { batches, seenMs }] of this.#producers) {
      const [first] = batches;
      if (first === undefined) continue;
      if (this.#nowMs - seenMs < PRODUCER_KEPT_MS)
        return { below: first.baseOffset, forgottenIdMax };
      forgottenIdMax = Math.max(forgottenIdMax, producerId);
    }
    return { below: this.#highWaterMark, forgottenIdMax };
  }

  /**
   * A compaction was ordered: what producers wrote that are silent for long is not kept by any log
   * from now on, so no table remembers them (rule K8).
   */
  forgetSilent({ producersBelow, forgottenIdMax }: CompactionMark): void {
    for (const [producerId, { batches }] of this.#producers) {
      if ((batches.at(-1)?.lastOffset ?? -1) >= producersBelow) break;
      this.#producers.delete(producerId);
      this.#forgottenIdMax = Math.max(this.#forgottenIdMax, producerId);
    }
    this.#forgottenIdMax = Math.max(this.#forgottenIdMax, forgottenIdMax);
  }

  /**
   * What would become of this batch. Errors: BROKER_NOT_READY while a rebuild is due, or while the
   * leader has not learned what was given out; PRODUCER_FENCED, UNKNOWN_PRODUCER,
   * OUT_OF_ORDER_SEQUENCE, DUPLICATE_SEQUENCE, SEQUENCE_REUSED, OVERLOADED. Each of them is
   * certain: this batch is not in the log by way of this request.
   */
  check(header: BatchHeader): ProducerCheck {
    if (header.producerId === 0) return OK;
    if (this.#isPartial)
      return refuse('BROKER_NOT_READY', header, 'known again: the producers are read from the log');
    const batches = this.#producers.get(header.producerId)?.batches;
    const last = batches?.at(-1);
    if (batches === undefined || last === undefined) return this.#checkNew(header);
    if (header.producerEpoch < last.producerEpoch)
      return refuse('PRODUCER_FENCED', header, `the epoch must be ${last.producerEpoch} or above`);
    if (header.producerEpoch > last.producerEpoch) {
      return header.baseSequence === 0
        ? OK
        : refuse('OUT_OF_ORDER_SEQUENCE', header, 'a new epoch must start at baseSequence 0');
    }
    const expected = nextSequence(last.baseSequence, last.recordCount);
    if (header.baseSequence === expected) return OK;
    return (
      checkWindow(header, batches) ??
      (isBehind(header, expected)
        ? this.#behind(header, expected)
        : refuse('OUT_OF_ORDER_SEQUENCE', header, `baseSequence must be ${expected}`))
    );
  }

  /** The batch stands in the log at its base offset. Never refuses: what is in the log is so. */
  apply(header: BatchHeader): void {
    this.applyAt(header, header.baseOffset);
  }

  /** {@link apply} for a header that does not carry its base offset yet. */
  applyAt(header: BatchHeader, baseOffset: Offset): void {
    const { producerId, producerEpoch, baseSequence, lastOffsetDelta, crc } = header;
    if (header.compaction !== undefined) this.forgetSilent(header.compaction);
    if (producerId === 0) return;
    this.#push(producerId, {
      producerEpoch,
      baseSequence,
      recordCount: lastOffsetDelta + 1,
      baseOffset,
      lastOffset: baseOffset + lastOffsetDelta,
      crc,
    });
  }

  /** HW is now this; what lies below it cannot be truncated but by an unclean election. */
  commit(highWaterMark: Offset): void {
    this.#highWaterMark = highWaterMark;
  }

  /**
   * The log now ends at `endOffset`. False: it was cut below HW, where the windows are not whole,
   * so {@link rebuild} must follow.
   */
  truncate(endOffset: Offset): boolean {
    for (const [producerId, { batches }] of this.#producers) {
      while ((batches.at(-1)?.lastOffset ?? -1) >= endOffset) batches.pop();
      if (batches.length === 0) this.#producers.delete(producerId);
    }
    this.#sort();
    const isExact = endOffset >= this.#highWaterMark;
    if (!isExact) this.#isPartial = true;
    this.#highWaterMark = Math.min(this.#highWaterMark, endOffset);
    return isExact;
  }

  /**
   * The log is empty, and starts there. What was forgotten stays forgotten, but for a log that
   * starts at 0: all that stands in it is applied from here on.
   */
  clear(startOffset: Offset): void {
    this.#isPartial = false;
    this.#producers.clear();
    this.#highWaterMark = startOffset;
    this.#given = null;
    this.#unknownSinceMs = startOffset > 0 ? this.#nowMs : null;
    if (startOffset === 0) this.#forgottenIdMax = 0;
  }

  /**
   * Starts over from the headers of the log, in order, up to some end; what was applied beyond that
   * end while they were being read is applied again on top. Does nothing for a table that is whole:
   * a reset has come in between.
   *
   * @param startOffset of the log that the headers are of
   */
  rebuild(headers: readonly BatchHeader[], startOffset: Offset): void {
    if (!this.#isPartial) return;
    if (startOffset > 0) this.forgetBeginning();
    const last = headers.at(-1);
    const endOffset = last === undefined ? 0 : endOffsetOf(last);
    const later = [...this.#producers]
      .flatMap(([producerId, { batches }]) => batches.map((batch) => ({ producerId, batch })))
      .filter(({ batch }) => batch.baseOffset >= endOffset)
      .sort((a, b) => a.batch.baseOffset - b.batch.baseOffset);
    this.#isPartial = false;
    this.#producers.clear();
    for (const header of headers) this.apply(header);
    for (const { producerId, batch } of later) this.#push(producerId, batch);
  }

  /**
   * The table as text, for {@link restore}. As of the end of the log: the caller stores that offset
   * beside it.
   */
  snapshot(): string {
    const entries: [number, readonly Remembered[]][] = [...this.#producers].map(
      ([producerId, { batches }]) => [producerId, batches],
    );
    const isBeginningUnknown = this.#unknownSinceMs !== null;
    if (this.#forgottenIdMax > 0 || isBeginningUnknown)
      entries.unshift([0, [forgottenEntry(this.#forgottenIdMax, isBeginningUnknown)]]);
    return JSON.stringify(entries);
  }

  /**
   * Takes the content of a {@link snapshot}, of an older build too. Throws {@link BrokerError}
   * DATA_CORRUPT for text that is none.
   */
  restore(text: string): void {
    const entries = new Map(readEntries(parseJson(text, 'the producers'), 'producers'));
    const forgotten = entries.get(0)?.[0] as ForgottenEntry | undefined;
    entries.delete(0);
    this.#forgottenIdMax = forgotten?.forgottenIdMax ?? 0;
    if (forgotten?.isBeginningUnknown === true) this.forgetBeginning();
    this.#producers = new Map(
      [...entries].map(([id, batches]) => [id, { batches, seenMs: this.#nowMs }]),
    );
    this.#highWaterMark = 0;
  }

  /**
   * A producer that the table does not hold: it writes here for the first time, or was forgotten.
   */
  #checkNew(header: BatchHeader): ProducerCheck {
    const { producerId, producerEpoch, baseSequence } = header;
    // A client that was idle until its id was forgotten starts anew at 0 (redpanda#22670); any
    // other number would hide a gap.
    if (baseSequence !== 0)
      return refuse(
        'UNKNOWN_PRODUCER',
        header,
        'the id is not remembered and baseSequence must be 0',
      );
    if (this.mustLearn)
      return refuse(
        'BROKER_NOT_READY',
        header,
        'known: which producers there are is being asked of the controller',
      );
    const given = this.#unknownSinceMs === null ? 0 : (this.#given?.epochs.get(producerId) ?? 0);
    if (producerEpoch > 0 && producerEpoch <= given) {
      return refuse(
        'UNKNOWN_PRODUCER',
        header,
        `epochs up to ${given} may have written here before, and a new one must be taken`,
      );
    }
    // A name keeps its id over its epochs, so of later epochs a lower id proves nothing.
    if (producerEpoch === 0 && producerId <= this.#forgottenIdMax) {
      return refuse(
        'UNKNOWN_PRODUCER',
        header,
        `ids up to ${this.#forgottenIdMax} may have been forgotten, a producer that is new here must take a new id`,
      );
    }
    return this.#hasRoom()
      ? OK
      : refuse(
          'OVERLOADED',
          header,
          `the partition remembers ${this.#producers.size} producers of the last hour, ${this.#producersMax} at most; reuse producers`,
        );
  }

  /** A batch that came before all that are remembered. */
  #behind(header: BatchHeader, expected: number): ProducerCheck {
    // What stood below the log start may be lost: then it was never appended, for all that anybody
    // can read.
    return this.#unknownSinceMs === null
      ? refuse(
          'DUPLICATE_SEQUENCE',
          header,
          `the next baseSequence is ${expected} and the offset is no longer remembered`,
        )
      : refuse(
          'UNKNOWN_PRODUCER',
          header,
          `the next baseSequence is ${expected}, and what came before is not remembered`,
        );
  }

  /** One more may come: the id that would be forgotten for it has been silent for long enough. */
  #hasRoom(): boolean {
    if (this.#producers.size < this.#producersMax) return true;
    for (const { batches, seenMs } of this.#producers.values())
      return this.#isCommitted(batches.at(-1)) && this.#nowMs - seenMs >= PRODUCER_KEPT_MS;
    return false;
  }

  #push(producerId: number, batch: Remembered): void {
    const producer = this.#producers.get(producerId);
    if (producer === undefined) {
      this.#producers.set(producerId, { batches: [batch], seenMs: this.#nowMs });
      this.#forget();
      return;
    }
    const { batches } = producer;
    batches.push(batch);
    producer.seenMs = this.#nowMs;
    // To the end of the map's order. Order of the log, not of anybody's clock: every replica
    // forgets the same ids.
    this.#producers.delete(producerId);
    this.#producers.set(producerId, producer);
    while (
      batches.length > PRODUCER_WINDOW_BATCHES &&
      this.#isCommitted(batches[PRODUCER_WINDOW_BATCHES])
    )
      batches.shift();
  }

  /**
   * The leader has judged that there is room, and what it has forgotten is forgotten here: the
   * oldest in the log. They are in the order of their last batches, so behind one that has batches
   * above HW there is none that has not.
   */
  #forget(): void {
    for (const [producerId, { batches }] of this.#producers) {
      if (this.#producers.size <= this.#producersMax || !this.#isCommitted(batches.at(-1))) return;
      this.#producers.delete(producerId);
      this.#forgottenIdMax = Math.max(this.#forgottenIdMax, producerId);
    }
  }

  /** Back into the order of the log. */
  #sort(): void {
    const lastOffsetOf = ({ batches }: Producer): Offset => batches.at(-1)?.lastOffset ?? -1;
    this.#producers = new Map(
      [...this.#producers].sort(([, a], [, b]) => lastOffsetOf(a) - lastOffsetOf(b)),
    );
  }

  #isCommitted(batch: Remembered | undefined): boolean {
    return batch !== undefined && batch.lastOffset < this.#highWaterMark;
  }
}

/**
 * What the remembered batches of the producer's epoch say of one that is not the next; null: it
 * lies outside of them.
 */
function checkWindow(header: BatchHeader, batches: readonly Remembered[]): ProducerCheck | null {
  const { producerEpoch, baseSequence, lastOffsetDelta, crc } = header;
  for (const batch of batches.toReversed()) {
    if (batch.producerEpoch !== producerEpoch) break;
    const isSame =
      batch.baseSequence === baseSequence &&
      batch.recordCount === lastOffsetDelta + 1 &&
      (batch.crc ?? crc) === crc;
    if (isSame)
      return { kind: 'duplicate', baseOffset: batch.baseOffset, lastOffset: batch.lastOffset };
    const isOverlapping =
      distance(batch.baseSequence, baseSequence) < batch.recordCount ||
      distance(baseSequence, batch.baseSequence) <= lastOffsetDelta;
    if (isOverlapping) {
      return refuse(
        'SEQUENCE_REUSED',
        header,
        `another batch took baseSequence ${batch.baseSequence}, at offsets ${batch.baseOffset} to ${batch.lastOffset}`,
      );
    }
  }
  return null;
}

/** Both ends come before what is expected next. */
function isBehind({ baseSequence, lastOffsetDelta }: BatchHeader, expected: number): boolean {
  const end = nextSequence(baseSequence, lastOffsetDelta + 1);
  return (
    distance(baseSequence, expected) < SEQUENCE_HALF && distance(end, expected) < SEQUENCE_HALF
  );
}

/** Steps from one sequence up to another, around the wrap. */
function distance(from: number, to: number): number {
  return (to - from + SEQUENCES) % SEQUENCES;
}

/** The entries of a snapshot: what else they hold is of the build that wrote them. */
const readEntries = listOf<[number, Remembered[]]>((value, path) => {
  const [id, batches] = listOf<unknown>((each) => each)(value, path);
  return [count(id, `${path}.id`), listOf(readBatch)(batches, `${path}.batches`)];
});

const readBatch: Check<Remembered> = (value, path) => {
  const batch = value as Readonly<Record<string, unknown>> | null;
  for (const name of ['producerEpoch', 'baseSequence', 'recordCount', 'baseOffset', 'lastOffset'])
    integer(batch?.[name], `${path}.${name}`);
  return value as Remembered;
};

function forgottenEntry(forgottenIdMax: number, isBeginningUnknown: boolean): ForgottenEntry {
  const nothing = { producerEpoch: 0, baseSequence: 0, recordCount: 0, baseOffset: -1 };
  return { ...nothing, lastOffset: -1, forgottenIdMax, isBeginningUnknown };
}

function refuse(code: ErrorCode, header: BatchHeader, must: string): ProducerCheck {
  const { producerId, producerEpoch, baseSequence } = header;
  return {
    kind: 'error',
    error: new BrokerError(
      code,
      `Cannot append batch of producer ${producerId}, epoch ${producerEpoch}, baseSequence ${baseSequence}: ${must}`,
    ),
  };
}
