/**
 * One pass of compaction over one log, in a process of its own: storage and the worker thread as a
 * broker runs them, no cluster around, and steady appends to another log of the same disk before
 * and beside it. `TIDEMARK_BENCH_LOG_BYTES` sets another size, and
 * `TIDEMARK_BENCH_COMPACTION_BYTES_PER_SECOND` the rate of a broker in place of none.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Random } from '../base/random.ts';
import { WorkerBackground } from '../broker/background/worker.ts';
import type { PartitionLog } from '../broker/runtime/ports.ts';
import { openDisk } from '../broker/storage/disk.ts';
import { systemClock } from '../process/system-clock.ts';
import { endOffsetOf, readHeader, stampFrame, topicIdToBytes } from '../wire/batch/frame.ts';
import { encodeBatch } from '../wire/records/batch.ts';

const LOG_BYTES = Number(process.env['TIDEMARK_BENCH_LOG_BYTES'] ?? 2e9);
const BYTES_PER_SECOND = Number(process.env['TIDEMARK_BENCH_COMPACTION_BYTES_PER_SECOND'] ?? 1e12);
const KEYS = 1_000_000;
const RECORDS_PER_BATCH = 500;
/** With its key and what surrounds both, about 100 bytes. */
const VALUE_BYTES = 72;
const VALUE = new Uint8Array(VALUE_BYTES).fill(0x61);
const MEMORY_BYTES = 64 * 1024 * 1024;
const SEGMENT_BYTES = 256 * 1024 * 1024;
const TOPIC = '01234567-89ab-4cde-8f01-23456789abcd';
const SAMPLE_MS = 50;
/** Between two appends of 500 records each: 10 MB/s. */
const APPEND_MS = 5;
/** Of appends with nothing beside them. */
const ALONE_MS = 5_000;

export interface CompactionCost {
  readonly records: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly seconds: number;
  /** The same order again, which finds it done. */
  readonly againMs: number;
  /** Of the process, above what it held before the pass. */
  readonly peakMegabytes: number;
  /** Longest time for which the loop, which acknowledges appends, stood still. */
  readonly loopMsMax: number;
  /** Of each append to the other log until it was written: alone, and beside the pass. */
  readonly aloneMs: readonly number[];
  readonly besideMs: readonly number[];
}

/** Without what ran beside it. */
type PassCost = Omit<CompactionCost, 'records' | 'aloneMs' | 'besideMs'>;

export async function measureCompaction(): Promise<CompactionCost> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-bench-compact-'));
  const quiet = (): void => {};
  const tell = (fields: object, message: string): void => console.error(message, fields);
  const program = new URL('../broker/background/compaction-worker.ts', import.meta.url);
  const disk = await openDisk({
    dataDir,
    podUid: '',
    clock: systemClock,
    logger: { info: quiet, warn: tell, error: tell },
    compaction: {
      background: new WorkerBackground({ memoryBytes: MEMORY_BYTES, program, clock: systemClock }),
    },
    compactionBytesPerSecond: BYTES_PER_SECOND,
  });
  try {
    const meta = { clusterId: 'bench', brokerId: 0, directoryId: TOPIC };
    await disk.format({ formatVersion: 1, ...meta });
    await disk.writeSession(1);
    const options = { segmentBytes: SEGMENT_BYTES, segmentMs: 3_600_000 };
    const log = await disk.openPartition(TOPIC, 0, options);
    let synced = 0;
    disk.onSynced((_topic, partition, offset) => {
      if (partition === 0) synced = offset;
    });
    const end = await fill(log);
    while (synced < end) await pause(SAMPLE_MS);
    const appends = new Appends(await disk.openPartition(TOPIC, 1, options));
    await pause(ALONE_MS);
    const aloneMs = appends.take();
    const cost = await compact(log, end);
    const besideMs = appends.take();
    await appends.stop();
    return { records: end, ...cost, aloneMs, besideMs };
  } finally {
    await disk.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Steady appends, from when it is made on. */
class Appends {
  readonly #ended: Promise<void>;
  readonly #random = new Random(2);
  #times: number[] = [];
  #isOn = true;

  constructor(log: PartitionLog) {
    this.#ended = this.#run(log);
  }

  /** Milliseconds that those took which were made since the last time. */
  take(): readonly number[] {
    const times = this.#times;
    this.#times = [];
    return times;
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await this.#ended;
  }

  async #run(log: PartitionLog): Promise<void> {
    for (let baseOffset = 0; this.#isOn; ) {
      const frame = frameOf(this.#random, { baseOffset, partition: 1 });
      const header = readHeader(frame, 0);
      const fromMs = performance.now();
      await log.append([frame], [header]);
      this.#times.push(performance.now() - fromMs);
      baseOffset = endOffsetOf(header);
      await pause(APPEND_MS);
    }
  }
}

/** Random keys, so that every key lives in every part of the log. */
function frameOf(
  random: Random,
  place: { readonly baseOffset: number; readonly partition: number },
): Uint8Array {
  const records = Array.from({ length: RECORDS_PER_BATCH }, () => ({
    key: Buffer.from(`key ${random.below(KEYS)}`),
    value: VALUE,
    timestampMs: 1_700_000_000_000,
  }));
  const bytes = encodeBatch(records, { codec: 0 }, crc32);
  const target = { topicIdBytes: topicIdToBytes(TOPIC), leaderEpoch: 1, ...place };
  stampFrame(bytes, 0, target, crc32);
  return bytes;
}

/** Resolves to the end. */
async function fill(log: PartitionLog): Promise<number> {
  const random = new Random(1);
  let baseOffset = 0;
  while (log.sizeBytes() < LOG_BYTES) {
    const bytes = frameOf(random, { baseOffset, partition: 0 });
    const header = readHeader(bytes, 0);
    await log.append([bytes], [header]);
    baseOffset = endOffsetOf(header);
  }
  return baseOffset;
}

async function compact(log: PartitionLog, end: number): Promise<PassCost> {
  const order = { upTo: end, tombstonesBelow: 0, producersBelow: 0 };
  const before = process.memoryUsage.rss();
  let [peak, loopMsMax] = [before, 0];
  let lastMs = performance.now();
  const sampling = setInterval(() => {
    const nowMs = performance.now();
    loopMsMax = Math.max(loopMsMax, nowMs - lastMs - SAMPLE_MS);
    lastMs = nowMs;
    peak = Math.max(peak, process.memoryUsage.rss());
  }, SAMPLE_MS);
  const fromMs = performance.now();
  const outcome = await log.compact(order);
  const { bytesBefore, bytesAfter, isComplete } = outcome;
  const seconds = (performance.now() - fromMs) / 1_000;
  clearInterval(sampling);
  if (!isComplete) throw new Error(`the pass ended early: ${JSON.stringify(outcome)}`);
  const againMs = performance.now();
  await log.compact(order);
  return {
    bytesBefore,
    bytesAfter,
    seconds,
    againMs: performance.now() - againMs,
    peakMegabytes: (peak - before) / 1e6,
    loopMsMax,
  };
}
