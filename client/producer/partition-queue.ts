/**
 * One partition's records on their way out: the batch that is filling, and those that are numbered
 * and sent, oldest first. Synchronous; time is an argument. Decides what may be sent next and what
 * an answer means; must not know streams or brokers.
 *
 * Idempotence (rule 20): a batch keeps its frame, and with it producer id and sequence, over all
 * its tries, so the leader can tell a repetition. A new producer id is taken only when every batch
 * that might be in the log under the old one has been given up as OUTCOME_UNKNOWN, so nothing can
 * be appended twice and no sequence is skipped.
 *
 * A batch that expects an end of the log is alone: no other is in flight with it, so that the same
 * end does not mean another thing to its next try.
 */
import { PRODUCER_WINDOW_BATCHES, RECORDS_PER_BATCH_MAX } from '../../base/limits.ts';
import { crc32 } from 'node:zlib';
import type { Codec } from '../../wire/batch/attributes.ts';
import type { ExpectedEnd } from '../../proto/gen/tidemark/v1/log.ts';
import { HEADER_BYTES, nextSequence } from '../../wire/batch/frame.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import {
  RECORD_CRC_BYTES_MAX,
  recordBytes,
  type RecordInput,
} from '../../wire/records/record-set.ts';
import { isSequenceFault } from '../../base/errors.ts';
import { TidemarkError } from '../errors.ts';
import type { ProducerSettings, RecordMetadata } from './types.ts';

/** A producer id that the cluster gave out. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Who waits for one record. */
export interface Settler {
  readonly resolve: (metadata: RecordMetadata) => void;
  readonly reject: (error: TidemarkError) => void;
}

/** Records that travel together. */
export interface Batch {
  readonly records: RecordInput[];
  readonly contexts: unknown[];
  /** In the order of the records, perhaps fewer. */
  settlers: (Settler | undefined)[];
  /** `recordBytes` of all. */
  bytes: number;
  readonly createdAtMs: number;
  /** Each record is to get a checksum of its own, which `bytes` does not count. */
  readonly hasRecordCrc: boolean;
  /** Append it only if the log ends there. */
  readonly expectedEnd: ExpectedEnd | undefined;
  /** As whose it was numbered. */
  producer: (ProducerIdentity & { readonly baseSequence: number }) | undefined;
  /** Set when it was numbered; the same bytes for every try. */
  frame: Uint8Array | undefined;
  /** Tries so far. */
  attempts: number;
  /** A try is unanswered. */
  isOutstanding: boolean;
  /** A try ended in a way that may have left it in the log. */
  mayBeAppended: boolean;
}

/** What became of a batch. */
export type Fate =
  | { readonly kind: 'delivered'; readonly baseOffset: number }
  | { readonly kind: 'failed'; readonly error: TidemarkError };

/** A batch whose fate is known. */
export interface Settlement {
  readonly batch: Batch;
  readonly fate: Fate;
}

/** What an answer led to. */
export interface Verdict {
  readonly settled: readonly Settlement[];
  /** Look up the leader before the next try. */
  readonly needsRefresh: boolean;
}

const NOTHING: Verdict = { settled: [], needsRefresh: false };

/**
 * A leader that has just been elected may not have heard of the topic: believed only after the
 * topic was looked up again.
 */
const MAYBE_STALE: ReadonlySet<string> = new Set(['UNKNOWN_TOPIC', 'UNKNOWN_PARTITION']);

const CODECS: Readonly<Record<ProducerSettings['compression'], Codec>> = {
  none: 0,
  gzip: 1,
  zstd: 2,
};

export class PartitionQueue {
  readonly topic: string;
  readonly topicIdBytes: Uint8Array;
  readonly partition: number;
  /** Not before this time, after a failure. */
  blockedUntilMs = 0;
  /** Whether each record of batches that begin from now on gets a checksum of its own. */
  hasRecordCrc = false;
  /** Ids that this partition was given. */
  identityCount = 0;
  readonly #settings: ProducerSettings;
  readonly #backoffMs: (attempt: number) => number;
  readonly #inFlightMax: number;
  /** Records without a number, the last batch still filling. */
  readonly #open: Batch[] = [];
  /** Numbered batches, in the order of their sequences. */
  readonly #sealed: Batch[] = [];
  #identity: ProducerIdentity | undefined;
  #nextSequence = 0;
  /** A sequence was given up: nothing is sent until all tries are answered, then under a new id. */
  #isDraining = false;
  #failures = 0;
  #lastError: TidemarkError | undefined;

  constructor(
    place: {
      readonly topic: string;
      readonly topicIdBytes: Uint8Array;
      readonly partition: number;
    },
    settings: ProducerSettings,
    backoffMs: (attempt: number) => number,
  ) {
    this.#backoffMs = backoffMs;
    this.topic = place.topic;
    this.topicIdBytes = place.topicIdBytes;
    this.partition = place.partition;
    this.#settings = settings;
    this.#inFlightMax = settings.idempotent ? PRODUCER_WINDOW_BATCHES : 1;
  }

  get isEmpty(): boolean {
    return this.#open.length === 0 && this.#sealed.length === 0;
  }

  get needsIdentity(): boolean {
    return this.#settings.idempotent && this.#identity === undefined;
  }

  /** Hands in an id that no other batch of this partition was numbered with, or the first one. */
  setIdentity(identity: ProducerIdentity): void {
    this.#identity = identity;
    this.#nextSequence = 0;
    this.identityCount += 1;
  }

  /** Adds a record at the end. `bytes` is `recordBytes` of it. */
  append(
    record: RecordInput,
    bytes: number,
    context: unknown,
    settler: Settler | undefined,
    nowMs: number,
  ): void {
    let batch = this.#open[this.#open.length - 1];
    const isFull =
      batch === undefined ||
      batch.expectedEnd !== undefined ||
      !this.#fits(sizeOf(batch) + bytes + crcBytes(batch.hasRecordCrc, 1)) ||
      batch.records.length === RECORDS_PER_BATCH_MAX;
    if (batch === undefined || isFull) {
      batch = newBatch(nowMs, undefined, this.#canHaveCrc(bytes, 1));
      this.#open.push(batch);
    }
    batch.records.push(record);
    batch.contexts.push(context);
    batch.bytes += bytes;
    if (settler !== undefined) {
      // Those before it may have come without one.
      while (batch.settlers.length < batch.records.length - 1) batch.settlers.push(undefined);
      batch.settlers.push(settler);
    }
  }

  /** Adds records that travel together and alone. `bytes` is `recordBytes` of all. */
  appendTogether(
    records: readonly (RecordInput & { readonly context: unknown })[],
    bytes: number,
    settler: Settler | undefined,
    expectedEnd: ExpectedEnd,
    nowMs: number,
  ): void {
    const batch = newBatch(nowMs, expectedEnd, this.#canHaveCrc(bytes, records.length));
    for (const record of records) {
      batch.records.push(record);
      batch.contexts.push(record.context);
    }
    batch.bytes = bytes;
    batch.settlers = [settler];
    this.#open.push(batch);
  }

  /**
   * The next batch to send, at most `roomBytes` large; it counts as sent. Undefined: nothing now.
   *
   * @param batchBytesMax of a batch that has no number yet: a larger one is cut
   */
  take(nowMs: number, roomBytes: number, batchBytesMax = Infinity): Batch | undefined {
    if (this.#isDraining || nowMs < this.blockedUntilMs) return undefined;
    let batch = this.#sealed.find((one) => !one.isOutstanding);
    if (batch === undefined) {
      if (!this.#maySeal(nowMs, batchBytesMax)) return undefined;
      this.#cut(batchBytesMax);
      const first = this.#open[0];
      if (first !== undefined && sizeOf(first) > roomBytes) return undefined;
      batch = this.#open.shift()!;
      this.#sealed.push(batch);
    } else if ((batch.frame?.length ?? sizeOf(batch)) > roomBytes) {
      return undefined;
    }
    batch.frame ??= this.#encode(batch);
    batch.attempts += 1;
    batch.isOutstanding = true;
    return batch;
  }

  /**
   * When {@link take} may have something although it has nothing now, by the clock alone;
   * undefined: not by waiting.
   */
  wakeAtMs(nowMs: number): number | undefined {
    if (this.isEmpty || this.#isDraining) return undefined;
    if (nowMs < this.blockedUntilMs) return this.blockedUntilMs;
    const oldest = this.#sealed.length === 0 ? this.#open[0] : undefined;
    return oldest === undefined ? undefined : oldest.createdAtMs + this.#settings.lingerMs;
  }

  /** The answer to try `attempt` of a batch; an answer to an older try can only be good news. */
  onResult(batch: Batch, attempt: number, outcome: Fate, nowMs: number): Verdict {
    const index = this.#sealed.indexOf(batch);
    if (index < 0) return NOTHING;
    const isCurrent = batch.isOutstanding && batch.attempts === attempt;
    if (outcome.kind === 'delivered') return this.#onDelivered(batch, index, outcome);
    // Of a batch that was never in doubt, it means that somebody else has the sequence.
    if (outcome.error.code === 'DUPLICATE_SEQUENCE' && batch.mayBeAppended) {
      return this.#onDelivered(batch, index, { kind: 'delivered', baseOffset: -1 });
    }
    if (!isCurrent) return NOTHING;
    batch.isOutstanding = false;
    this.#lastError = outcome.error;
    return this.#onRefused(batch, index, outcome.error, nowMs);
  }

  /**
   * The stream that carried this partition's batches is gone, or its broker no longer leads: all of
   * them are sent again, in order.
   */
  rewind(nowMs: number, error?: TidemarkError): Verdict {
    if (error !== undefined) this.#lastError = error;
    for (const batch of this.#sealed) {
      if (batch.isOutstanding) batch.mayBeAppended = true;
      batch.isOutstanding = false;
    }
    if (error !== undefined) this.#pause(nowMs, error);
    return this.#finishDraining();
  }

  /** Metadata named another leader: worth a try at once. */
  unblock(): void {
    this.blockedUntilMs = 0;
    this.#failures = 0;
  }

  /** Gives up what is older than the delivery timeout. */
  expire(nowMs: number): readonly Settlement[] {
    const oldest = this.#sealed[0] ?? this.#open[0];
    if (oldest === undefined || nowMs - oldest.createdAtMs <= this.#settings.deliveryTimeoutMs)
      return [];
    const settled: Settlement[] = [];
    if (this.#sealed.length > 0) {
      for (const batch of this.#sealed) {
        if (batch.isOutstanding) batch.mayBeAppended = true;
        batch.isOutstanding = false;
      }
      this.#isDraining = true;
      settled.push(...this.#finishDraining().settled);
    }
    while (
      this.#open[0] !== undefined &&
      nowMs - this.#open[0].createdAtMs > this.#settings.deliveryTimeoutMs
    ) {
      settled.push({
        batch: this.#open.shift()!,
        fate: { kind: 'failed', error: this.#timedOut() },
      });
    }
    return settled;
  }

  /** Gives up everything, for a producer that is closing or a topic that is gone. */
  abandon(error: TidemarkError): readonly Settlement[] {
    const all = [...this.#sealed.splice(0), ...this.#open.splice(0)];
    // What comes later must not continue sequences that were given up.
    this.#isDraining = false;
    this.#identity = undefined;
    return all.map((batch) => {
      const isUnknown = batch.isOutstanding || batch.mayBeAppended;
      const told = isUnknown ? this.#outcomeUnknown(batch, error) : error;
      return { batch, fate: { kind: 'failed', error: told } };
    });
  }

  /** Whether a batch may have records of that many bytes. */
  #fits(bytes: number): boolean {
    return HEADER_BYTES + bytes <= this.#settings.batchBytesMax;
  }

  /**
   * A record that fills its batch to the last bytes does without: it is one that a topic takes
   * which is not compacted.
   */
  #canHaveCrc(bytes: number, records: number): boolean {
    return this.hasRecordCrc && this.#fits(bytes + crcBytes(true, records));
  }

  /** Leaves the oldest batch no larger than that, or one record; what it had beyond comes next. */
  #cut(bytesMax: number): void {
    const first = this.#open[0];
    // Records that travel together are one batch.
    if (first === undefined || sizeOf(first) <= bytesMax || first.expectedEnd !== undefined) return;
    const { hasRecordCrc } = first;
    let bytes = 0;
    let count = 0;
    for (const record of first.records) {
      const more = recordBytes(record);
      if (count > 0 && bytes + more + crcBytes(hasRecordCrc, count + 1) > bytesMax) break;
      bytes += more;
      count += 1;
    }
    if (count === first.records.length) return;
    this.#open.unshift({
      ...newBatch(first.createdAtMs, undefined, hasRecordCrc),
      records: first.records.splice(0, count),
      contexts: first.contexts.splice(0, count),
      settlers: first.settlers.splice(0, count),
      bytes,
    });
    first.bytes -= bytes;
  }

  #maySeal(nowMs: number, batchBytesMax: number): boolean {
    const first = this.#open[0];
    if (first === undefined || this.needsIdentity || this.#sealed.length >= this.#inFlightMax)
      return false;
    if (first.expectedEnd !== undefined) return this.#sealed.length === 0;
    if (this.#sealed[0]?.expectedEnd !== undefined) return false;
    // As Nagle's algorithm: small batches one at a time, so that the next one grows meanwhile;
    // large ones need no company.
    const isLarge = sizeOf(first) >= Math.min(this.#settings.batchBytes, batchBytesMax);
    if (this.#sealed.length > 0) return isLarge || this.#open.length > 1;
    return isLarge || nowMs - first.createdAtMs >= this.#settings.lingerMs;
  }

  #encode(batch: Batch): Uint8Array {
    const options = {
      codec: CODECS[this.#settings.compression],
      recordCrc: batch.hasRecordCrc,
    };
    if (this.#identity === undefined) return encodeBatch(batch.records, options, crc32);
    const producer = { ...this.#identity, baseSequence: this.#nextSequence };
    batch.producer = producer;
    this.#nextSequence = nextSequence(this.#nextSequence, batch.records.length);
    return encodeBatch(batch.records, { ...options, producer }, crc32);
  }

  #onDelivered(batch: Batch, index: number, fate: Fate): Verdict {
    this.#sealed.splice(index, 1);
    batch.isOutstanding = false;
    this.#failures = 0;
    const after = this.#finishDraining();
    return { settled: [{ batch, fate }, ...after.settled], needsRefresh: false };
  }

  #onRefused(batch: Batch, index: number, error: TidemarkError, nowMs: number): Verdict {
    const { code, retry } = error;
    if (code === 'OFFSET_TAKEN') return this.#onTaken(batch, index, error);
    const mayBeAppendedBefore = batch.mayBeAppended;
    if (error.effect === 'unknown') batch.mayBeAppended = true;
    if (this.#isDraining) return this.#finishDraining();
    if (isSequenceFault(code) && code !== 'PRODUCER_FENCED') {
      const isGap = code === 'OUT_OF_ORDER_SEQUENCE' || code === 'UNKNOWN_PRODUCER';
      // A batch before it was refused, and comes again first.
      if (isGap && index > 0) return NOTHING;
      // It is in a log that the answering broker does not have.
      if (isGap && mayBeAppendedBefore) return this.#retry(nowMs, error);
      // Never written by anyone, and the log does not know the producer (any more), or knows
      // another one: start over under a new id.
      this.#isDraining = true;
      return this.#finishDraining();
    }
    if (retry !== 'no' || MAYBE_STALE.has(code)) return this.#retry(nowMs, error);
    return this.#giveUp(
      batch,
      index,
      batch.mayBeAppended ? this.#outcomeUnknown(batch, error) : error,
    );
  }

  /**
   * Others have appended at or above the end that was expected, and that is committed. Whichever
   * try of ours came before them would have been found, and none can come behind them: so this is
   * certain, whatever became of earlier tries.
   */
  #onTaken(batch: Batch, index: number, error: TidemarkError): Verdict {
    const { holder } = error.details;
    const { producer } = batch;
    const isOwn =
      holder !== undefined &&
      holder.producerId === producer?.producerId &&
      holder.producerEpoch === producer.producerEpoch &&
      holder.baseSequence === producer.baseSequence;
    return isOwn
      ? this.#onDelivered(batch, index, { kind: 'delivered', baseOffset: holder.baseOffset })
      : this.#giveUp(batch, index, error);
  }

  #giveUp(batch: Batch, index: number, error: TidemarkError): Verdict {
    this.#sealed.splice(index, 1);
    const isSequenceFree = batch.expectedEnd !== undefined && !batch.mayBeAppended;
    // It was alone in flight, so the next one may have its sequence: losers need no new id.
    if (isSequenceFree) this.#nextSequence = batch.producer?.baseSequence ?? this.#nextSequence;
    else this.#isDraining = this.#settings.idempotent;
    const after = this.#finishDraining();
    return {
      settled: [{ batch, fate: { kind: 'failed', error } }, ...after.settled],
      needsRefresh: false,
    };
  }

  #retry(nowMs: number, error: TidemarkError): Verdict {
    this.#pause(nowMs, error);
    return { settled: [], needsRefresh: error.retry !== 'same' };
  }

  /**
   * Several batches fail together where one cause hits them all: that is one failure, and one
   * pause.
   */
  #pause(nowMs: number, error: TidemarkError): void {
    if (nowMs < this.blockedUntilMs) return;
    const pauseMs = Math.max(this.#backoffMs(this.#failures), error.details.retryAfterMs ?? 0);
    this.#failures += 1;
    this.blockedUntilMs = nowMs + pauseMs;
  }

  /**
   * Once every try is answered, drops the old id: what may be in the log under it is given up, the
   * rest is numbered afresh.
   */
  #finishDraining(): Verdict {
    if (!this.#isDraining || this.#sealed.some((batch) => batch.isOutstanding)) return NOTHING;
    this.#isDraining = false;
    this.#identity = undefined;
    const cause = this.#lastError;
    const settled: Settlement[] = [];
    const again: Batch[] = [];
    for (const batch of this.#sealed.splice(0)) {
      if (batch.mayBeAppended) {
        settled.push({
          batch,
          fate: { kind: 'failed', error: this.#outcomeUnknown(batch, cause) },
        });
      } else {
        batch.frame = undefined;
        batch.producer = undefined;
        again.push(batch);
      }
    }
    this.#open.unshift(...again);
    return { settled, needsRefresh: false };
  }

  #outcomeUnknown(
    { expectedEnd, producer }: Batch,
    cause: TidemarkError | undefined,
  ): TidemarkError {
    const reason = cause === undefined ? 'the leader did not answer' : cause.message;
    const message = `Cannot tell whether the batch was appended to ${this.topic}/${this.partition}: ${reason}`;
    // Whoever finds its end taken later knows by this whether that was itself.
    const details = expectedEnd === undefined ? {} : { own: producer };
    return new TidemarkError('OUTCOME_UNKNOWN', message, 'no', details, cause);
  }

  #timedOut(): TidemarkError {
    const reason =
      this.#lastError === undefined ? 'the leader did not answer' : this.#lastError.message;
    return new TidemarkError(
      'TIMED_OUT',
      `Cannot append to ${this.topic}/${this.partition} within ${this.#settings.deliveryTimeoutMs} ms: ${reason}; nothing was appended`,
      'same',
      {},
      this.#lastError,
    );
  }
}

/** Most bytes that checksums of their own add to so many records. */
function crcBytes(hasRecordCrc: boolean, records: number): number {
  return hasRecordCrc ? records * RECORD_CRC_BYTES_MAX : 0;
}

/** Most bytes of its records in a frame. */
function sizeOf({ bytes, hasRecordCrc, records }: Batch): number {
  return bytes + crcBytes(hasRecordCrc, records.length);
}

function newBatch(
  nowMs: number,
  expectedEnd: ExpectedEnd | undefined,
  hasRecordCrc: boolean,
): Batch {
  return {
    records: [],
    contexts: [],
    settlers: [],
    bytes: 0,
    createdAtMs: nowMs,
    hasRecordCrc,
    expectedEnd,
    producer: undefined,
    frame: undefined,
    attempts: 0,
    isOutstanding: false,
    mayBeAppended: false,
  };
}

/** Nobody can be asked to append to the queue's partition. */
/** @param why its leader cannot be dialled; undefined: there is none */
export function noLeader(queue: PartitionQueue, why: string | undefined): TidemarkError {
  return new TidemarkError(
    'LEADER_UNKNOWN',
    `Cannot append to ${queue.topic}/${queue.partition}: ${why ?? 'it has no leader at the moment'}`,
    'refresh',
  );
}
