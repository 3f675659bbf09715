/**
 * Measures a cluster. Open loop: a record's latency counts from the moment when it was due, so a
 * stall is charged to every record that it delayed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Acks, Compression, DeliveryReport, Producer, Tidemark } from '../../index.ts';
import { TidemarkError } from '../../errors.ts';
import { type CommonOptions, type Context, withCluster } from '../context.ts';
import { Histogram } from '../histogram.ts';
import type { Output, Surroundings } from '../output.ts';
import { formatBytes, formatCount } from '../units.ts';

interface TopicOptions extends CommonOptions {
  readonly partitions?: number;
}

/** Options of `bench append`. */
export interface BenchAppendOptions extends TopicOptions {
  readonly records: number;
  readonly size: number;
  readonly rate?: number;
  readonly acks: Acks;
  readonly compression: Compression;
  readonly producers: number;
  readonly batchSize: number;
  readonly lingerMs: number;
  readonly keys?: number;
}

/** Options of `bench read`. */
export interface BenchReadOptions extends CommonOptions {
  readonly records?: number;
}

/** Records between two looks at the clock and the event loop, where no rate is asked for. */
const BURST_RECORDS = 512;

/** What acknowledgements have said so far. */
class Meter {
  readonly latency = new Histogram();
  acknowledged = 0;
  failed = 0;
  failure: TidemarkError | undefined;
  longestGapMs = 0;
  lastAckAtMs: number | undefined;
  readonly startMs = performance.now();

  add({ contexts, error, recordCount }: DeliveryReport): void {
    const nowMs = performance.now();
    if (error !== undefined) {
      this.failed += recordCount;
      this.failure ??= error;
      return;
    }
    if (this.lastAckAtMs !== undefined)
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastAckAtMs);
    this.lastAckAtMs = nowMs;
    this.acknowledged += recordCount;
    for (const dueAtMs of contexts) this.latency.record(nowMs - (dueAtMs as number));
  }

  get seconds(): number {
    return ((this.lastAckAtMs ?? performance.now()) - this.startMs) / 1000;
  }
}

export async function benchAppend(
  topic: string,
  options: BenchAppendOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster, context) => {
    await ensureTopic(cluster, topic, options);
    const meter = new Meter();
    const { acks, compression, batchSize, lingerMs } = options;
    const onDelivery = (report: DeliveryReport): void => meter.add(report);
    const settings = {
      acks,
      compression,
      lingerMs,
      batchBytesMax: batchSize,
      batchBytes: Math.min(batchSize, 128 * 1024),
      onDelivery,
    };
    const producers = Array.from({ length: options.producers }, (_, index) =>
      (index === 0 ? cluster : context.connect()).producer(settings),
    );
    await producers[0]?.lookUp(topic);
    const ticker = everySecond(context, () => meter.acknowledged, options.size);
    try {
      await Promise.all(
        producers.map((producer, index) => load(producer, topic, share(options, index), around)),
      );
      await Promise.all(producers.map((producer) => producer.flush()));
    } finally {
      clearInterval(ticker);
    }
    const retries = producers.reduce((sum, producer) => sum + producer.counters().retries, 0);
    reportAppend(meter, { retries, size: options.size }, context.out);
    if (meter.failure !== undefined) throw meter.failure;
  });
}

/** One producer's part of the work. */
interface Share {
  readonly records: number;
  readonly ratePerMs: number | undefined;
  readonly size: number;
  readonly keys: readonly Uint8Array[] | undefined;
}

function share({ records, rate, size, producers, keys }: BenchAppendOptions, index: number): Share {
  const extra = index < records % producers ? 1 : 0;
  const names =
    keys === undefined
      ? undefined
      : Array.from({ length: keys }, (_, key) => Buffer.from(`key-${key}`));
  const ratePerMs = rate === undefined ? undefined : rate / producers / 1000;
  return { records: Math.floor(records / producers) + extra, ratePerMs, size, keys: names };
}

async function load(
  producer: Producer,
  topic: string,
  work: Share,
  around: Surroundings,
): Promise<void> {
  const value = filler(work.size);
  const startMs = performance.now();
  let sent = 0;
  while (sent < work.records && !around.interrupted.aborted) {
    const nowMs = performance.now();
    const due =
      work.ratePerMs === undefined
        ? sent + BURST_RECORDS
        : Math.floor((nowMs - startMs) * work.ratePerMs) + 1;
    const until = Math.min(due, work.records);
    while (sent < until) {
      const context = work.ratePerMs === undefined ? nowMs : startMs + sent / work.ratePerMs;
      const key = work.keys?.[sent % work.keys.length];
      if (!producer.enqueue({ topic, key, value, context })) break;
      sent += 1;
    }
    if (sent < until) await producer.ready();
    else if (work.ratePerMs === undefined) await new Promise((resolve) => setImmediate(resolve));
    else await pause(1);
  }
}

function reportAppend(
  meter: Meter,
  totals: { readonly retries: number; readonly size: number },
  out: Output,
): void {
  const { acknowledged, failed, seconds, longestGapMs } = meter;
  const latency = meter.latency.summary();
  const recordsPerSecond = acknowledged / seconds;
  const bytesPerSecond = recordsPerSecond * totals.size;
  const { retries } = totals;
  out.result(
    {
      records: acknowledged,
      failed,
      seconds,
      recordsPerSecond,
      bytesPerSecond,
      latencyMs: latency,
      longestGapMs,
      retries,
    },
    () => {
      out.line(
        `${formatCount(acknowledged)} records acknowledged in ${seconds.toFixed(2)} s: ${formatCount(recordsPerSecond)} records/s, ${formatBytes(bytesPerSecond)}/s`,
      );
      out.line(`latency        ${latencyText(latency)}`);
      out.line(
        `longest gap between acknowledgements ${longestGapMs.toFixed(1)} ms; ${retries} batches sent again; ${formatCount(failed)} records failed`,
      );
    },
  );
}

export async function benchRead(
  topic: string,
  options: BenchReadOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster, context) => {
    const consumer = cluster.consumer({
      topic,
      from: 'earliest',
      follow: options.records !== undefined,
    });
    around.interrupted.addEventListener('abort', () => void consumer.close(), { once: true });
    await consumer.start();
    const startMs = performance.now();
    let records = 0;
    let bytes = 0;
    const ticker = everySecond(context, () => records, undefined);
    try {
      for await (const batch of consumer) {
        records += batch.records.length;
        for (const { key, value } of batch.records)
          bytes += (value?.length ?? 0) + (key?.length ?? 0);
        if (options.records !== undefined && records >= options.records) break;
      }
    } finally {
      clearInterval(ticker);
    }
    const seconds = (performance.now() - startMs) / 1000;
    const { out } = context;
    out.result(
      {
        records,
        bytes,
        seconds,
        recordsPerSecond: records / seconds,
        bytesPerSecond: bytes / seconds,
      },
      () =>
        out.line(
          `${formatCount(records)} records, ${formatBytes(bytes)} in ${seconds.toFixed(2)} s: ${formatCount(records / seconds)} records/s, ${formatBytes(bytes / seconds)}/s`,
        ),
    );
  });
}

/** Options of `bench roundtrip`. */
export interface BenchRoundtripOptions extends TopicOptions {
  readonly records: number;
  readonly size: number;
  readonly acks: Acks;
}

export async function benchRoundtrip(
  topic: string,
  options: BenchRoundtripOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster, { out, connect }) => {
    await ensureTopic(cluster, topic, options);
    const producer = cluster.producer({ acks: options.acks });
    const consumer = connect().consumer({ topic, from: 'latest' });
    await consumer.start();
    const arrivals = consumer[Symbol.asyncIterator]();
    const append = new Histogram();
    const endToEnd = new Histogram();
    const value = filler(options.size);
    for (let sent = 0; sent < options.records && !around.interrupted.aborted; sent += 1) {
      const startMs = performance.now();
      const arrival = arrivals.next().then(() => endToEnd.record(performance.now() - startMs));
      await producer.send({ topic, value });
      append.record(performance.now() - startMs);
      await arrival;
    }
    const result = {
      records: append.count,
      appendMs: append.summary(),
      endToEndMs: endToEnd.summary(),
    };
    out.result(result, () => {
      out.line(
        `${formatCount(result.records)} records of ${options.size} bytes, one after another`,
      );
      out.line(`append         ${latencyText(result.appendMs)}`);
      out.line(`end to end     ${latencyText(result.endToEndMs)}`);
    });
  });
}

async function ensureTopic(
  cluster: Tidemark,
  name: string,
  { partitions }: TopicOptions,
): Promise<void> {
  if (partitions === undefined) return;
  try {
    await cluster.admin().createTopic({ name, partitions });
  } catch (error) {
    if (!(error instanceof TidemarkError && error.code === 'TOPIC_EXISTS')) throw error;
  }
}

/** A line on standard error for each second, for people. */
function everySecond(
  { out }: Context,
  count: () => number,
  size: number | undefined,
): NodeJS.Timeout {
  let before = 0;
  let second = 0;
  return setInterval(() => {
    const now = count();
    second += 1;
    const bytes = size === undefined ? '' : `, ${formatBytes((now - before) * size)}/s`;
    if (out.format === 'table')
      out.note(`${String(second).padStart(4)} s  ${formatCount(now - before)} records/s${bytes}`);
    before = now;
  }, 1000);
}

function latencyText({ p50, p99, p999, max, mean }: ReturnType<Histogram['summary']>): string {
  return `p50 ${p50} ms, p99 ${p99} ms, p99.9 ${p999} ms, max ${max} ms, mean ${mean} ms`;
}

/** Bytes that look like text and compress like it a little. */
function filler(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => 97 + ((index * 7 + (index >> 4)) % 26));
}
