/**
 * A partition's log as the files of one broker hold it, and the comparison of the copies: byte for
 * byte up to the high-water mark. Reads the format (wire/batch/FORMAT.md) by itself and trusts no
 * index.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { checkStamp, readHeader, topicIdToBytes } from '../../../wire/batch/frame.ts';
import { decodeBatch } from '../../../wire/records/batch.ts';
import { isSame, type StoredRecord, type Violation } from './history.ts';

/** One copy of a partition. */
export interface ReplicaLog {
  readonly brokerId: number;
  readonly partition: number;
  /**
   * Whole frames from the log start up to the high-water mark, as they stand in the segments, one
   * after the other.
   */
  readonly frames: Uint8Array;
}

/** Which partition, from where, and how far. */
export interface LogPlace {
  readonly topicId: string;
  readonly partition: number;
  /** Everything below was retired. */
  readonly logStart: number;
  /** End of what is committed. */
  readonly highWaterMark: number;
}

const EMPTY = new Uint8Array(0);

/** Reads every segment of a partition below a broker's data directory. */
export function readReplica(dataDir: string, brokerId: number, place: LogPlace): ReplicaLog {
  const folder = join(dataDir, 'partitions', `${place.topicId}-${place.partition}`);
  const segments = readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .toSorted()
    .map((name) => framesWithin(readFileSync(join(folder, name)), place));
  return { brokerId, partition: place.partition, frames: Buffer.concat(segments) };
}

/** Records of a copy. @throws BrokerError CORRUPT_BATCH where a checksum does not match */
export function recordsOf(log: ReplicaLog, topicId: string): StoredRecord[] {
  const target = { topicIdBytes: topicIdToBytes(topicId), partition: log.partition };
  const records: StoredRecord[] = [];
  for (let at = 0; at < log.frames.length; ) {
    const batch = decodeBatch(log.frames, at, crc32);
    checkStamp(log.frames, at, target, crc32);
    for (const { offset, key, value } of batch.records)
      records.push({ partition: log.partition, offset, key, value: value ?? new Uint8Array(0) });
    at += batch.header.length;
  }
  return records;
}

/** Compares the copies of one partition: all alike, and at least `copiesMin` of them. */
export function compareReplicas(logs: readonly ReplicaLog[], copiesMin: number): Violation[] {
  const [first, ...others] = logs;
  if (first === undefined || logs.length < copiesMin) {
    const detail = `${logs.length} copies, must be ${copiesMin} or more`;
    return [{ kind: 'too-few-replicas', partition: first?.partition ?? 0, detail }];
  }
  return others
    .filter(({ frames }) => !isSame(first.frames, frames))
    .map(({ brokerId, frames }) => ({
      kind: 'replicas-differ',
      partition: first.partition,
      detail: `brokers ${first.brokerId} and ${brokerId} hold ${first.frames.length} and ${frames.length} bytes, ${difference(first.frames, frames)}`,
    }));
}

/**
 * Frames of a segment from the log start up to the first that is not below the mark, or to the end
 * of what was written.
 */
function framesWithin(bytes: Uint8Array, { logStart, highWaterMark }: LogPlace): Uint8Array {
  let from = 0;
  let at = 0;
  while (at < bytes.length) {
    // Zeros: space that was reserved and not written yet.
    if (bytes.subarray(at, at + 16).every((byte) => byte === 0)) break;
    const { baseOffset, length } = readHeader(bytes, at);
    if (baseOffset >= highWaterMark) break;
    at += length;
    if (baseOffset < logStart) from = at;
  }
  return at === from ? EMPTY : bytes.subarray(from, at);
}

function difference(left: Uint8Array, right: Uint8Array): string {
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return at < 0 ? 'the longer one going on' : `first different at byte ${at}`;
}
