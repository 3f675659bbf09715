/**
 * Frames as a leader pushed them, split and checked before a core hears of them. Knows no log and
 * no core.
 */
import {
  checkFrame,
  checkStamp,
  frameBaseOffset,
  splitFrames,
  withControl,
} from '../../../wire/batch/frame.ts';
import type { BatchHeader, Crc32, StampTarget } from '../../../wire/batch/frame.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, Offset } from '../../../base/units.ts';
import type { LogRead } from '../ports.ts';

/** The core sees their headers, and decides which are written. */
export interface ReceivedFrames {
  readonly from: BrokerId;
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly headers: readonly BatchHeader[];
}

/**
 * Every batch is checked, both checksums. Answers with CORRUPT_BATCH or what else is wrong with the
 * bytes: they are another process's.
 */
export function receiveFrames(
  from: BrokerId,
  bytes: Uint8Array,
  place: StampTarget,
  crc32: Crc32,
): ReceivedFrames | BrokerError {
  try {
    return checkedFrames(from, bytes, place, crc32);
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
}

/** Whether what was read begins at this offset: what was asked for may lie within a batch. */
export function startsAt({ chunks }: LogRead, offset: Offset): boolean {
  const [first] = chunks;
  return first !== undefined && frameBaseOffset(first, 0) === offset;
}

function checkedFrames(
  from: BrokerId,
  bytes: Uint8Array,
  place: StampTarget,
  crc32: Crc32,
): ReceivedFrames {
  const { frames, rest } = splitFrames(bytes);
  if (rest !== 0)
    throw new BrokerError(
      'CORRUPT_BATCH',
      `Cannot replicate: broker ${from} sent ${rest} bytes that are no whole frame`,
    );
  for (const { at } of frames) {
    checkFrame(bytes, at, crc32);
    checkStamp(bytes, at, place, crc32);
  }
  return {
    from,
    bytes,
    starts: frames.map(({ at }) => at),
    headers: frames.map(({ at, header }) => withControl(bytes, at, header)),
  };
}
