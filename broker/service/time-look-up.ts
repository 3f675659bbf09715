/**
 * The record of a time, exactly: storage knows the largest time of a batch, so the batch is decoded
 * here, where records are decoded for plain Reads too.
 */
import { crc32 } from 'node:zlib';
import { frameLastOffset } from '../../wire/batch/frame.ts';
import { openBatch } from '../../wire/records/batch.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Offset, TopicId, WallMs } from '../../base/units.ts';
import type { BrokerApi } from '../runtime/api.ts';

/**
 * Offset of the first committed record at or after a time, the high-water mark where there is none.
 * Of a batch that cannot be decoded, its start: whoever reads from there is told. Rejects where
 * this broker cannot be read.
 */
export async function offsetOfTime(
  broker: BrokerApi,
  topicId: TopicId,
  partition: number,
  timestampMs: WallMs,
): Promise<Offset> {
  let from = 0;
  for (;;) {
    const start = await broker.offsetForTimestamp(topicId, partition, timestampMs, from);
    const { logStart, highWaterMark } = broker.marks(topicId, partition);
    if (start === null) return highWaterMark;
    from = Math.max(start, logStart, from);
    const frame = await frameAt(broker, topicId, partition, from);
    if (frame === null) continue;
    const found = recordOfTime(frame, timestampMs, from);
    if (found !== null) return found;
    // A header may promise more than its records hold: what held it was taken out, or its producer
    // is wrong.
    from = frameLastOffset(frame, 0) + 1;
  }
}

/** The frame that holds an offset; null where retention took it meanwhile. */
async function frameAt(
  broker: BrokerApi,
  topicId: TopicId,
  partition: number,
  offset: Offset,
): Promise<Uint8Array | null> {
  try {
    const position = { offset, epoch: 0, bytesMax: 1, allowFollower: false };
    return (await broker.read(topicId, partition, position)).chunks[0] ?? null;
  } catch (error) {
    const isRetired = error instanceof BrokerError && error.code === 'OFFSET_OUT_OF_RANGE';
    if (isRetired && offset < broker.marks(topicId, partition).logStart) return null;
    throw error;
  }
}

/** First record at or after `from` and the time; null: the batch has none. */
function recordOfTime(frame: Uint8Array, timestampMs: WallMs, from: Offset): Offset | null {
  try {
    const { records } = openBatch(frame, 0, crc32);
    for (let record = records?.next(); record; record = records?.next())
      if (record.offset >= from && record.timestampMs >= timestampMs) return record.offset;
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return from;
    throw error;
  }
}
