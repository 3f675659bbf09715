/** The records of a frame. A producer may put anything into one: brokers do not open it to look. */
import { crc32 } from 'node:zlib';
import { type BatchHeader, checkFrame } from '../../../wire/batch/frame.ts';
import { decodeBatch } from '../../../wire/records/batch.ts';
import type { DecodedRecord } from '../../../wire/records/record-set.ts';
import { BrokerError } from '../../../base/errors.ts';

/** What stands in a frame. */
export interface OpenedFrame {
  readonly header: BatchHeader;
  /** None where {@link isUnreadable}. */
  readonly records: readonly DecodedRecord[];
  /** It is as its producer sent it, and holds no records that anybody could read. */
  readonly isUnreadable: boolean;
}

/** Throws for one that is damaged, or newer than this build: to be read again, or by others. */
export function openFrame(frame: Uint8Array): OpenedFrame {
  try {
    return { ...decodeBatch(frame, 0, crc32), isUnreadable: false };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { header: checkFrame(frame, 0, crc32), records: [], isUnreadable: true };
  }
}
