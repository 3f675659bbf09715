/**
 * Delivers records by plain calls, one call after the other, where brokers' own addresses cannot be
 * dialled: what {@link Appending} uses in place of a producer.
 */
import type {
  Acks,
  DeliveryReport,
  PlainCalls,
  PlainResult,
  ProducerRecord,
  TidemarkError,
} from '../index.ts';
import { fromCall } from '../errors.ts';

export interface PlainDeliveryOptions {
  readonly acks: Acks;
  readonly deliveryTimeoutMs: number;
  readonly onDelivery: (report: DeliveryReport) => void;
}

/** Of one call: far below what a broker takes. */
const CALL_RECORDS_MAX = 1_000;
const CALL_BYTES_MAX = 1_048_576;
/** Records that wait beside those that are under way. */
const WAITING_RECORDS_MAX = 2 * CALL_RECORDS_MAX;

export class PlainDelivery {
  readonly #calls: PlainCalls;
  readonly #options: PlainDeliveryOptions;
  #waiting: ProducerRecord[] = [];
  #sending: Promise<void> | undefined;
  #bufferedBytes = 0;

  constructor(calls: PlainCalls, options: PlainDeliveryOptions) {
    this.#calls = calls;
    this.#options = options;
  }

  /** False: there is no room; await {@link ready} and hand it in again. */
  enqueue(record: ProducerRecord): boolean {
    if (this.#waiting.length >= WAITING_RECORDS_MAX) return false;
    this.#waiting.push(record);
    this.#bufferedBytes += bytesOf(record);
    this.#sending ??= this.#sendAll();
    return true;
  }

  async ready(): Promise<void> {
    while (this.#waiting.length >= WAITING_RECORDS_MAX) await this.#sending;
  }

  /** Resolves once the fate of all is told. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  /** No call is made twice. */
  counters(): { readonly retries: number; readonly bufferedBytes: number } {
    return { retries: 0, bufferedBytes: this.#bufferedBytes };
  }

  async #sendAll(): Promise<void> {
    // What is handed in together goes together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#sendSome();
    this.#sending = undefined;
  }

  async #sendSome(): Promise<void> {
    const records = this.#next();
    const { acks, deliveryTimeoutMs: timeoutMs } = this.#options;
    const topic = records[0]?.topic ?? '';
    try {
      const results = await this.#calls.append(topic, records, { acks, timeoutMs });
      for (const run of runsOf(results)) this.#report(records, run);
    } catch (error) {
      const all = { from: 0, count: records.length, partition: -1, offset: -1 };
      this.#report(records, { ...all, error: fromCall(error, 'the cluster') });
    }
  }

  #next(): ProducerRecord[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((record, index) => {
      bytes += bytesOf(record);
      return index > 0 && (index >= CALL_RECORDS_MAX || bytes > CALL_BYTES_MAX);
    });
    const count = end === -1 ? this.#waiting.length : end;
    return this.#waiting.splice(0, count);
  }

  #report(
    records: readonly ProducerRecord[],
    { from, count, partition, offset, error }: Run,
  ): void {
    const sent = records.slice(from, from + count);
    const bytes = sent.reduce((sum, record) => sum + bytesOf(record), 0);
    this.#bufferedBytes -= bytes;
    this.#options.onDelivery({
      topic: sent[0]?.topic ?? '',
      partition,
      baseOffset: offset,
      contexts: sent.map(({ context }) => context),
      recordCount: count,
      bytes,
      attempts: 1,
      error,
    });
  }
}

/** Results side by side with one fate, and offsets that follow each other. */
interface Run {
  readonly from: number;
  readonly count: number;
  readonly partition: number;
  readonly offset: number;
  readonly error: TidemarkError | undefined;
}

function runsOf(results: readonly PlainResult[]): readonly Run[] {
  const runs: Run[] = [];
  for (const [index, { partition, offset, error }] of results.entries()) {
    const last = runs.at(-1);
    const isNext =
      last !== undefined &&
      last.partition === partition &&
      last.error === undefined &&
      error === undefined &&
      offset === (last.offset < 0 ? -1 : last.offset + last.count);
    if (isNext) runs[runs.length - 1] = { ...last, count: last.count + 1 };
    else runs.push({ from: index, count: 1, partition, offset, error });
  }
  return runs;
}

/** Keys and values are bytes where lines were read, or text. */
function bytesOf({ key, value }: ProducerRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0);
}
