/**
 * Batches of several topics as they come, in turn, and decoded: what a consumer and a member of a
 * group have in common. It knows nothing of positions that are saved or committed.
 */
import type { DecodedRecord } from '../../wire/records/record-set.ts';
import type { AnyTopic } from '../codecs.ts';
import type { TidemarkError } from '../errors.ts';
import type { LossRange } from '../losses.ts';
import { News } from '../news.ts';
import type { Tracing } from '../tracing.ts';
import type { ReadLoss } from './losses.ts';
import type { ReadBatch } from './partition-reader.ts';
import type { TopicReader } from './topic-reader.ts';
import type { BatchRecord, RecordBatch } from './types.ts';
import { tellSkipped, unreadable } from './undecodable.ts';

/** Records of a batch as they are handed out, up to the first that cannot be decoded. */
interface Decoded<Key, Value> {
  readonly records: readonly BatchRecord<Key, Value>[];
  /** The same ones as they were read. */
  readonly raw: readonly DecodedRecord[];
  readonly failure: TidemarkError | undefined;
}

/** What is read, and how it is decoded. */
export interface Source {
  readonly reader: TopicReader;
  readonly codecs: AnyTopic | undefined;
}

/** A batch, or what may be lost, with what moves its partition's position. */
export interface Found<Key, Value> {
  readonly item: RecordBatch<Key, Value> | LossRange;
  /** The batch's records as they were read, at the same places. */
  readonly raw: readonly DecodedRecord[];
  readonly reader: TopicReader;
  readonly endOffset: number;
  readonly leaderEpoch: number;
}

/** What was read and is not decoded yet. */
interface Raw {
  readonly source: Source;
  readonly found: ReadBatch | ReadLoss;
}

export class Reading<Key, Value> {
  readonly #isSkipping: boolean;
  readonly #tracing: Tracing | undefined;
  readonly #onFailed: (source: Source, error: TidemarkError) => boolean;
  #sources: Source[] = [];
  /** Where the next look for a batch begins, so that no topic waits behind another. */
  #turn = 0;
  readonly #news = new News();
  #failure: TidemarkError | undefined;
  #isClosed = false;

  /** @param parts `onFailed`: whether what comes of the other topics may go on without this one */
  constructor(parts: {
    readonly isSkipping: boolean;
    readonly tracing: Tracing | undefined;
    readonly onFailed?: (source: Source, error: TidemarkError) => boolean;
  }) {
    this.#isSkipping = parts.isSkipping;
    this.#tracing = parts.tracing;
    this.#onFailed = parts.onFailed ?? (() => false);
  }

  get sources(): readonly Source[] {
    return this.#sources;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Thrown once everything before it was taken. */
  get failure(): TidemarkError | undefined {
    return this.#failure;
  }

  get isAtEnd(): boolean {
    return this.#sources.every(({ reader }) => reader.isAtEnd);
  }

  /** Only news can change what {@link next} says. */
  get isDry(): boolean {
    return this.#sources.every(({ reader }) => reader.isDry);
  }

  add(source: Source): void {
    this.#sources.push(source);
  }

  /** Reads a topic no more. */
  remove(reader: TopicReader): void {
    reader.close();
    this.#sources = this.#sources.filter((source) => source.reader !== reader);
    this.#turn = 0;
  }

  fail(error: TidemarkError): void {
    this.#failure ??= error;
    this.rouse();
  }

  close(): void {
    this.#isClosed = true;
    for (const { reader } of this.#sources) reader.close();
    this.rouse();
  }

  /** The next batch of any topic; a topic that failed throws once the others have nothing ready. */
  next(): Raw | undefined {
    for (let step = 0; step < this.#sources.length; step += 1) {
      const source = this.#sources[this.#turn]!;
      this.#turn = (this.#turn + 1) % this.#sources.length;
      const found = source.reader.next();
      if (found !== undefined) return { found, source };
    }
    for (const source of this.#sources) {
      const { failure } = source.reader;
      if (failure === undefined) continue;
      if (this.#onFailed(source, failure)) this.remove(source.reader);
      else this.#failure ??= failure;
    }
    if (this.#failure !== undefined) throw this.#failure;
    return undefined;
  }

  /**
   * A range that may be lost, or what can be decoded of a batch. What cannot is thrown when
   * everything before it was taken.
   */
  async *handed({ source, found }: Raw): AsyncGenerator<Found<Key, Value>, void, undefined> {
    const { reader } = source;
    if ('loss' in found) {
      const { loss: item, endOffset, leaderEpoch } = found;
      yield { item, raw: [], reader, endOffset, leaderEpoch };
      return;
    }
    const batch = found;
    const { partition, leaderEpoch, highWaterMark } = batch;
    const { records, raw, failure } = await this.#decode(source, batch);
    if (this.#isClosed) return;
    const endOffset = failure?.details.offset ?? batch.endOffset;
    const { topic } = reader;
    if (records.length > 0) this.#tracing?.received(topic, partition, records);
    if (records.length === 0) reader.onPassed(partition, endOffset, leaderEpoch);
    else
      yield {
        item: { topic, partition, leaderEpoch, records, highWaterMark },
        raw,
        reader,
        endOffset,
        leaderEpoch,
      };
    this.#failure ??= failure;
  }

  /** Resolves at the next {@link rouse}. */
  news(): Promise<void> {
    return this.#news.next();
  }

  rouse(): void {
    this.#news.rouse();
  }

  async #decode({ reader, codecs }: Source, batch: ReadBatch): Promise<Decoded<Key, Value>> {
    // Without codecs, keys and values are the bytes that were read: Key and Value are Uint8Array.
    if (codecs === undefined) {
      const records = batch.records as readonly BatchRecord<never, never>[];
      return { records, raw: batch.records, failure: undefined };
    }
    const records: BatchRecord<Key, Value>[] = [];
    const raw: DecodedRecord[] = [];
    for (const record of batch.records) {
      const { key, value, offset } = record;
      try {
        const keyFound = key === undefined ? undefined : codecs.key.decode(key);
        const valueFound = value === null ? null : codecs.value.decode(value);
        records.push({
          ...record,
          key: (keyFound instanceof Promise ? await keyFound : keyFound) as Key | undefined,
          value: (valueFound instanceof Promise ? await valueFound : valueFound) as Value | null,
        });
        raw.push(record);
      } catch (cause) {
        const { partition } = batch;
        const place = { topic: reader.topic, partition, offset, nextOffset: offset + 1 };
        const failure = unreadable(place, 'the record', cause);
        if (!this.#isSkipping) return { records, raw, failure };
        tellSkipped(failure);
      }
    }
    return { records, raw, failure: undefined };
  }
}
