/**
 * One pass of compaction over one log, in a process of its own: storage and the worker thread as a
 * broker would run them, no cluster around. `TIDEMARK_BENCH_LOG_BYTES` sets another size.
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
const KEYS = 1_000_000;
const RECORDS_PER_BATCH = 500;
/** With its key and what surrounds both, about 100 bytes. */
const VALUE_BYTES = 72;
const MEMORY_BYTES = 64 * 1024 * 1024;
const SEGMENT_BYTES = 256 * 1024 * 1024;
const TOPIC = '01234567-89ab-4cde-8f01-23456789abcd';
const SAMPLE_MS = 50;

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
}

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
      background: new WorkerBackground({ memoryBytes: MEMORY_BYTES, program }),
    },
    compactionBytesPerSecond: 1e12,
  });
  try {
    const meta = { clusterId: 'bench', brokerId: 0, directoryId: TOPIC };
    await disk.format({ formatVersion: 1, ...meta });
    await disk.writeSession(1);
    const options = { segmentBytes: SEGMENT_BYTES, segmentMs: 3_600_000 };
    const log = await disk.openPartition(TOPIC, 0, options);
    let synced = 0;
    disk.onSynced((_topic, _partition, offset) => (synced = offset));
    const end = await fill(log);
    while (synced < end) await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    return { records: end, ...(await compact(log, end)) };
  } finally {
    await disk.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Random keys, so that every key lives in every part of the log. Resolves to the end. */
async function fill(log: PartitionLog): Promise<number> {
  const random = new Random(1);
  const value = new Uint8Array(VALUE_BYTES).fill(0x61);
  const target = { topicIdBytes: topicIdToBytes(TOPIC), partition: 0 };
  let baseOffset = 0;
  while (log.sizeBytes() < LOG_BYTES) {
    const records = Array.from({ length: RECORDS_PER_BATCH }, () => ({
      key: Buffer.from(`key ${random.below(KEYS)}`),
      value,
      timestampMs: 1_700_000_000_000,
    }));
    const bytes = encodeBatch(records, { codec: 0 }, crc32);
    stampFrame(bytes, 0, { ...target, baseOffset, leaderEpoch: 1 }, crc32);
    const header = readHeader(bytes, 0);
    await log.append([bytes], [header]);
    baseOffset = endOffsetOf(header);
  }
  return baseOffset;
}

async function compact(log: PartitionLog, end: number): Promise<Omit<CompactionCost, 'records'>> {
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
