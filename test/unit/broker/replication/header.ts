/** A client's batch header for tests: only what the case is about. */
import type { BatchHeader } from '../../../../wire/batch/frame.ts';
import { NO_SEQUENCE } from '../../../../wire/batch/frame.ts';

export function header(fields: Partial<BatchHeader> = {}): BatchHeader {
  const recordCount = fields.recordCount ?? 1;
  return {
    baseOffset: 0,
    leaderEpoch: 0,
    length: 100,
    leaderCrc: 0,
    crc: 0,
    codec: 0,
    isControl: false,
    isSparse: false,
    lastOffsetDelta: recordCount - 1,
    recordCount,
    baseSequence: NO_SEQUENCE,
    baseTimestampMs: 0,
    maxTimestampMs: 0,
    producerId: 0,
    producerEpoch: 0,
    ...fields,
  };
}
