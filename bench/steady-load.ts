/**
 * Appends at a fixed rate, whatever the answers: an open loop, in which a record's latency counts
 * from the moment when it was due, so that a stall is charged to every record that it held up. The
 * fate of each record is kept, for figures of any stretch of time and for a comparison with what
 * can be read afterwards.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Acks, DeliveryReport, Producer, Tidemark } from '../client/index.ts';
import { connect } from '../client/index.ts';

export interface LoadOptions {
  readonly servers: string;
  /** By which it appends, and which it closes; default: one without TLS. */
  readonly client?: Tidemark;
  readonly topic: string;
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly acks: Acks;
  /** A record without an acknowledgement fails after so long. Default: the producer's own. */
  readonly deliveryTimeoutMs?: number;
}

/** What became of the records that were due in a stretch of time. */
export interface Stretch {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /**
   * Longest time that one partition went without an acknowledgement; a silence that began in the
   * stretch counts in full.
   */
  readonly longestGapMs: number;
  /** Of the records due, how many were acknowledged within {@link PROMPT_MS}; 0 to 1. */
  readonly promptShare: number;
  /** Records that failed, by error code. */
  readonly failures: ReadonlyMap<string, number>;
}

/** An application that waits longer than this for an append would say that the log is down. */
export const PROMPT_MS = 1_000;

const RECORD_BYTES = 1_000;
/** What a reader has not found by then is lost. */
const READ_MS_MAX = 30_000;

/** A record's fate: undefined while it has none. */
interface Sample {
  readonly dueMs: number;
  readonly partition: number;
  answeredMs: number | undefined;
  /** -1: not acknowledged. */
  offset: number;
  failure: string | undefined;
}

export class SteadyLoad {
  readonly #options: LoadOptions;
  readonly #client: Tidemark;
  readonly #producer: Producer;
  readonly #samples: Sample[] = [];
  readonly #acknowledgedMs: number[][];
  readonly #sending: Promise<void>;
  #isStopping = false;

  /** Begins at once. */
  constructor(options: LoadOptions) {
    this.#options = options;
    this.#acknowledgedMs = Array.from({ length: options.partitions }, () => []);
    this.#client = options.client ?? connect({ servers: options.servers });
    const { acks, deliveryTimeoutMs } = options;
    this.#producer = this.#client.producer({
      acks,
      ...(deliveryTimeoutMs === undefined ? {} : { deliveryTimeoutMs }),
      onDelivery: (report) => {
        this.#take(report);
      },
    });
    this.#sending = this.#send();
  }

  /** Resolves when every record's fate is known. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#sending;
    await this.#producer.close();
    await this.#client.close();
  }

  /**
   * Figures of the records due from `fromMs` to `toMs`, in milliseconds of `performance.now()`.
   * After {@link stop}.
   */
  stretch(fromMs: number, toMs: number): Stretch {
    const due = this.#samples.filter(({ dueMs }) => dueMs >= fromMs && dueMs < toMs);
    // What was never acknowledged waited longer than anything that was.
    const latencies = due
      .map(({ dueMs, offset, answeredMs }) =>
        offset < 0 || answeredMs === undefined ? Infinity : answeredMs - dueMs,
      )
      .toSorted((a, b) => a - b);
    const percentile = (quantile: number): number =>
      latencies[Math.max(0, Math.ceil(latencies.length * quantile) - 1)] ?? Number.NaN;
    const failures = new Map<string, number>();
    for (const { failure } of due)
      if (failure !== undefined) failures.set(failure, (failures.get(failure) ?? 0) + 1);
    return {
      p50: percentile(0.5),
      p99: percentile(0.99),
      p999: percentile(0.999),
      longestGapMs: Math.max(...this.#acknowledgedMs.map((acks) => longestGap(acks, fromMs, toMs))),
      promptShare: latencies.filter((latency) => latency <= PROMPT_MS).length / latencies.length,
      failures,
    };
  }

  /**
   * Time from `sinceMs` until every partition has acknowledged a record that was due after it;
   * Infinity: not all have. After {@link stop}.
   */
  backAfterMs(sinceMs: number): number {
    const { partitions } = this.#options;
    const firsts = Array.from({ length: partitions }, (_, partition) =>
      this.#samples.reduce(
        (first, sample) =>
          sample.partition === partition && sample.offset >= 0 && sample.dueMs >= sinceMs
            ? Math.min(first, sample.answeredMs ?? Infinity)
            : first,
        Infinity,
      ),
    );
    return Math.max(...firsts) - sinceMs;
  }

  /**
   * Records that were acknowledged and are not where the acknowledgement said, as a reader finds
   * the topic. With acks=leader the last ones may yet have to be committed, so the reader waits for
   * what is missing. After {@link stop}.
   */
  async countLost(): Promise<number> {
    const { servers, topic } = this.#options;
    const missing = new Map<string, number>();
    for (const [index, { partition, offset }] of this.#samples.entries())
      if (offset >= 0) missing.set(`${partition}/${offset}`, index);
    const client = connect({ servers });
    const consumer = client.consumer({ topic, from: 'earliest' });
    const patience = setTimeout(() => void consumer.close(), READ_MS_MAX);
    try {
      for await (const { partition, offset, value } of consumer.records()) {
        const place = `${partition}/${offset}`;
        if (missing.get(place) === Buffer.from(value ?? '').readUInt32LE(0)) missing.delete(place);
        if (missing.size === 0) break;
      }
    } finally {
      clearTimeout(patience);
      await client.close();
    }
    return missing.size;
  }

  async #send(): Promise<void> {
    const { topic, partitions, recordsPerSecond } = this.#options;
    const startMs = performance.now();
    while (!this.#isStopping) {
      const due = Math.floor(((performance.now() - startMs) / 1000) * recordsPerSecond) + 1;
      while (this.#samples.length < due && !this.#isStopping) {
        const index = this.#samples.length;
        const partition = index % partitions;
        const value = Buffer.alloc(RECORD_BYTES, 'tide');
        value.writeUInt32LE(index, 0);
        if (!this.#producer.enqueue({ topic, partition, value, context: index })) {
          await Promise.race([this.#producer.ready(), pause(100)]);
          continue;
        }
        const dueMs = startMs + (index / recordsPerSecond) * 1000;
        this.#samples.push({
          dueMs,
          partition,
          answeredMs: undefined,
          offset: -1,
          failure: undefined,
        });
      }
      await pause(1);
    }
  }

  #take({ partition, baseOffset, contexts, error }: DeliveryReport): void {
    const nowMs = performance.now();
    if (error === undefined) this.#acknowledgedMs[partition]?.push(nowMs);
    for (const [position, context] of contexts.entries()) {
      const sample = this.#samples[context as number];
      if (sample === undefined) continue;
      sample.answeredMs = nowMs;
      sample.failure = error?.code;
      if (error === undefined && baseOffset >= 0) sample.offset = baseOffset + position;
    }
  }
}

function longestGap(acknowledgedMs: readonly number[], fromMs: number, toMs: number): number {
  let longest = 0;
  let beforeMs = fromMs;
  for (const atMs of acknowledgedMs) {
    if (atMs > fromMs && beforeMs < toMs) longest = Math.max(longest, atMs - beforeMs);
    beforeMs = Math.max(beforeMs, atMs);
  }
  return Math.max(longest, toMs - beforeMs);
}
