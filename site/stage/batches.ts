/** Batch headers of records that have a name, as scripts append them, and how they are shown. */
import type { LogWrite } from '../../broker/replication/types.ts';
import { endOf } from '../../test/sim/replication/model-log.ts';
import { type BatchHeader, NO_SEQUENCE } from '../../wire/batch/frame.ts';
import type { Cell } from './picture.ts';

/** One record without a producer id. */
export const PLAIN: BatchHeader = {
  baseOffset: 0,
  leaderEpoch: 0,
  length: 100,
  leaderCrc: 0,
  crc: 0,
  codec: 0,
  isControl: false,
  isSparse: false,
  lastOffsetDelta: 0,
  recordCount: 1,
  baseSequence: NO_SEQUENCE,
  baseTimestampMs: 0,
  maxTimestampMs: 0,
  producerId: 0,
  producerEpoch: 0,
};

/** @param crc tells it from every other batch of the run */
export function dataHeader(crc: number): BatchHeader {
  return { ...PLAIN, crc };
}

export function controlHeader(
  { baseOffset, leaderEpoch, dataEnd, trimTo }: Extract<LogWrite, { kind: 'control' }>,
  brokerId: number,
): BatchHeader {
  const crc = 1_000_000 + 1_000 * leaderEpoch + brokerId;
  return { ...PLAIN, baseOffset, leaderEpoch, dataEnd, trimTo, crc, isControl: true };
}

/** @param nameOf what a person called the batch of this checksum */
export function cellOf(
  header: BatchHeader,
  isWritten: boolean,
  nameOf: (crc: number) => string,
): Cell {
  const { baseOffset, leaderEpoch, isControl, trimTo, crc } = header;
  const control = trimTo === undefined ? 'epoch starts' : `trim to ${trimTo}`;
  return {
    at: baseOffset,
    end: endOf(header),
    epoch: leaderEpoch,
    isControl,
    text: isControl ? control : nameOf(crc),
    isWritten,
  };
}
