/** Appends lines as records. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type {
  Acks,
  Compression,
  DeliveryReport,
  Producer,
  ProducerRecord,
  TidemarkError,
} from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError } from '../exit.ts';
import { splitLines } from '../lines.ts';
import { bar, type Output, Progress, type Surroundings } from '../output.ts';
import { formatAbout, formatBytes, formatCount } from '../units.ts';

/** Options of `append`. */
export interface AppendOptions extends CommonOptions {
  readonly keyBy?: RegExp;
  readonly key?: string;
  readonly partition?: number;
  readonly acks: Acks;
  readonly compression: Compression;
  readonly nullDelimited?: boolean;
  /** Milliseconds after which a record that nobody acknowledged has failed. */
  readonly timeout: number;
}

/** Header of a record whose line had no delimiter at its end, so that `read --format raw` writes none either. */
export const UNTERMINATED_HEADER = 'tidemark-unterminated';

const UNTERMINATED = [{ key: UNTERMINATED_HEADER, value: new Uint8Array(0) }];
const NEWLINE = 0x0a;
/** Longer than any failover: whoever waits is told why. */
const SILENCE_MS = 5_000;

/** What was delivered so far. */
class Tally {
  records = 0;
  /** Of keys, values and framing, before compression. */
  bytes = 0;
  /** Of the input, delimiters included. */
  readBytes = 0;
  failed = 0;
  failure: TidemarkError | undefined;
  readonly startMs = performance.now();
  heardMs = this.startMs;
  readonly offsets = new Map<number, { first: number; last: number; records: number }>();

  add({ partition, baseOffset, recordCount, bytes, error }: DeliveryReport): void {
    this.heardMs = performance.now();
    if (error !== undefined) {
      this.failure ??= error;
      this.failed += recordCount;
      return;
    }
    this.records += recordCount;
    this.bytes += bytes;
    const last = baseOffset < 0 ? -1 : baseOffset + recordCount - 1;
    const range = this.offsets.get(partition);
    if (range === undefined)
      this.offsets.set(partition, { first: baseOffset, last, records: recordCount });
    else
      this.offsets.set(partition, {
        first: range.first,
        last: Math.max(range.last, last),
        records: range.records + recordCount,
      });
  }

  get seconds(): number {
    return (performance.now() - this.startMs) / 1000;
  }
}

export async function append(
  topic: string,
  files: readonly string[],
  options: AppendOptions,
  around: Surroundings,
): Promise<void> {
  const totalBytes = await sizeOf(files);
  await withCluster(options, around, async (cluster, { out }) => {
    const tally = new Tally();
    const { acks, compression, timeout: deliveryTimeoutMs } = options;
    const producer = cluster.producer({
      acks,
      compression,
      deliveryTimeoutMs,
      onDelivery: (report) => tally.add(report),
    });
    await checkPlace(producer, topic, options.partition);
    const progress = new Progress(around, () => progressText(tally, totalBytes));
    const silence = watchSilence(producer, tally, deliveryTimeoutMs, out);
    try {
      for (const file of files.length === 0 ? ['-'] : files) {
        const input =
          file === '-' ? around.stdin : createReadStream(file, { highWaterMark: 256 * 1024 });
        await appendAll(topic, input as AsyncIterable<Uint8Array>, {
          producer,
          tally,
          options,
          around,
        });
      }
      await producer.flush();
    } finally {
      clearInterval(silence);
      progress.stop();
    }
    summarize(tally, producer, out);
    if (tally.failure !== undefined) throw tally.failure;
  });
}

/** Tells a wrong name, or a cluster that is not there, before input is read. */
async function checkPlace(
  producer: Producer,
  topic: string,
  partition: number | undefined,
): Promise<void> {
  const partitions = await producer.lookUp(topic);
  if (partition === undefined || partition < partitions) return;
  throw new CliError(
    'UNKNOWN_PARTITION',
    `Cannot append to "${topic}": partition is ${partition}, must be 0 to ${partitions - 1}`,
  );
}

/** Says, once each time it happens, that records wait and nobody acknowledges any. */
function watchSilence(
  producer: Producer,
  tally: Tally,
  deliveryTimeoutMs: number,
  out: Output,
): NodeJS.Timeout {
  let isTold = false;
  return setInterval(() => {
    const { bufferedBytes } = producer.counters();
    const isIdle = bufferedBytes === 0;
    if (isIdle) tally.heardMs = performance.now();
    const isSilent = performance.now() - tally.heardMs > SILENCE_MS;
    if (isSilent && !isTold)
      out.note(
        `Nothing was acknowledged for ${SILENCE_MS / 1000} s, ${formatBytes(bufferedBytes)} wait; a record fails ${formatAbout(deliveryTimeoutMs)} after it was read. To look: tidemark cluster describe`,
      );
    isTold = isSilent;
  }, 500);
}

interface Job {
  readonly producer: Producer;
  readonly tally: Tally;
  readonly options: AppendOptions;
  readonly around: Surroundings;
}

async function appendAll(topic: string, input: AsyncIterable<Uint8Array>, job: Job): Promise<void> {
  const { producer, tally, options, around } = job;
  const delimiter = options.nullDelimited === true ? 0 : NEWLINE;
  for await (const lines of splitLines(untilInterrupted(input, around.interrupted), delimiter)) {
    for (const { bytes, isTerminated } of lines) {
      const record: ProducerRecord = {
        topic,
        value: bytes,
        key: keyOf(bytes, options),
        partition: options.partition,
        headers: isTerminated ? undefined : UNTERMINATED,
      };
      while (!producer.enqueue(record)) await producer.ready();
      tally.readBytes += bytes.length + (isTerminated ? 1 : 0);
    }
    if (tally.failure !== undefined) return;
  }
}

/** The input up to Ctrl-C: what was read by then is still appended. */
async function* untilInterrupted(
  input: AsyncIterable<Uint8Array>,
  interrupted: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = input[Symbol.asyncIterator]();
  const stop = new Promise<IteratorResult<Uint8Array>>((resolve) => {
    const end = (): void => resolve({ done: true, value: undefined });
    if (interrupted.aborted) end();
    else interrupted.addEventListener('abort', end, { once: true });
  });
  for (;;) {
    const next = await Promise.race([iterator.next(), stop]);
    if (next.done === true) return;
    yield next.value;
  }
}

function keyOf(line: Uint8Array, { key, keyBy }: AppendOptions): Uint8Array | undefined {
  if (key !== undefined) return Buffer.from(key);
  if (keyBy === undefined) return undefined;
  const match = keyBy.exec(Buffer.from(line.buffer, line.byteOffset, line.length).toString('utf8'));
  const found = match?.[1] ?? match?.[0];
  return found === undefined ? undefined : Buffer.from(found);
}

/** Bytes of all files together; undefined when standard input is among them. */
async function sizeOf(files: readonly string[]): Promise<number | undefined> {
  let bytes = 0;
  for (const file of files) {
    if (file === '-') return undefined;
    try {
      bytes += (await stat(file)).size;
    } catch (error) {
      throw new CliError(
        'INVALID_ARGUMENT',
        `cannot read "${file}": ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  return files.length === 0 ? undefined : bytes;
}

function progressText(tally: Tally, totalBytes: number | undefined): string {
  const rate = `${formatCount(tally.records / tally.seconds)} records/s, ${formatBytes(tally.bytes / tally.seconds)}/s`;
  const done = `${formatCount(tally.records)} records, ${formatBytes(tally.bytes)}`;
  if (totalBytes === undefined || totalBytes === 0) return `${done}  ${rate}`;
  const fraction = tally.readBytes / totalBytes;
  return `${bar(fraction)} ${Math.floor(Math.min(fraction, 1) * 100)} %  ${done}  ${rate}`;
}

function summarize(tally: Tally, producer: Producer, out: Output): void {
  const { retries } = producer.counters();
  const { records, bytes, readBytes, failed, seconds } = tally;
  const partitions = [...tally.offsets]
    .toSorted(([a], [b]) => a - b)
    .map(([partition, { first, last, records: count }]) => ({
      partition,
      records: count,
      firstOffset: first,
      lastOffset: last,
    }));
  const rate = records / seconds;
  out.result(
    {
      records,
      bytes,
      inputBytes: readBytes,
      seconds,
      recordsPerSecond: rate,
      retries,
      failed,
      partitions,
    },
    () => {
      const lost = failed > 0 ? out.paint('red', `, ${formatCount(failed)} failed`) : '';
      out.line(
        `Appended ${formatCount(records)} records out of ${formatBytes(readBytes)} of input in ${seconds.toFixed(2)} s: ${formatCount(rate)} records/s, ${formatBytes(bytes / seconds)}/s, ${retries} batches sent again${lost}`,
      );
      const known = (offset: number): string | number => (offset < 0 ? '-' : offset);
      const rows = partitions.map((one) => [
        one.partition,
        one.records,
        known(one.firstOffset),
        known(one.lastOffset),
      ]);
      if (rows.length > 0) out.table(['PARTITION', 'RECORDS', 'FIRST OFFSET', 'LAST OFFSET'], rows);
    },
  );
}
