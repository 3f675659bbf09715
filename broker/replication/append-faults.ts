/**
 * Why a client's batch may be in no log, whoever leads and whatever stands in it: each answer is
 * certain, and nothing of a refused batch stays.
 */
import { BrokerError } from '../../base/errors.ts';
import { TIMESTAMP_AHEAD_MS_MAX } from '../../base/limits.ts';
import { type BatchHeader, checkClientBatch } from '../../wire/batch/frame.ts';
import type { PartitionInput } from './types.ts';

type AppendInput = Extract<PartitionInput, { kind: 'append' }>;

/** @param where what cannot be done, for the message @returns null: nothing speaks against it */
export function batchFault(
  input: AppendInput,
  batchBytesMax: number,
  where: string,
): BrokerError | null {
  const { header, wallMs } = input;
  if (header.length > batchBytesMax) {
    return new BrokerError(
      'BATCH_TOO_LARGE',
      `${where}: the batch has ${header.length} bytes, must have ${batchBytesMax} or fewer`,
    );
  }
  const allowed = wallMs + TIMESTAMP_AHEAD_MS_MAX;
  if (header.maxTimestampMs > allowed) {
    return new BrokerError(
      'TIMESTAMP_IN_FUTURE',
      `${where}: maxTimestampMs is ${header.maxTimestampMs}, must be ${allowed} or less`,
    );
  }
  return conditionFault(input, where) ?? clientFault(header);
}

/** What must be so that a try that comes again is known for one, and a loser certainly lost. */
function conditionFault(
  { ack, header, expectedEnd }: AppendInput,
  where: string,
): BrokerError | null {
  if (expectedEnd === undefined) return null;
  if (ack !== 'all')
    return new BrokerError(
      'INVALID_ARGUMENT',
      `${where} at an expected end: acknowledgement is ${ack}, must be all`,
    );
  if (header.producerId === 0 && expectedEnd.isTriedOnce !== true)
    return new BrokerError(
      'INVALID_ARGUMENT',
      `${where} at an expected end: producerId is 0, must be one that was given out`,
    );
  return null;
}

function clientFault(header: BatchHeader): BrokerError | null {
  try {
    checkClientBatch(header);
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
}
