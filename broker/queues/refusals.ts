/** What an owner answers where it does not do what it is asked for. */
import { BrokerError } from '../../base/errors.ts';
import { QUEUE_ACKNOWLEDGEMENTS_MAX, QUEUE_REQUESTS_MAX } from '../../base/limits.ts';

export function notServing(): BrokerError {
  return new BrokerError(
    'LEADER_UNKNOWN',
    'This broker does not own the queue at the moment: the controller does not hear it, or another one takes over',
  );
}

export function overloaded(): BrokerError {
  return new BrokerError(
    'OVERLOADED',
    `${String(QUEUE_REQUESTS_MAX)} requests wait for the owner of the queue, it takes no more`,
  );
}

export function outcomeUnknown(cause: BrokerError): BrokerError {
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    'The owner of the queue does not know whether the acknowledgements are committed',
    {},
    cause,
  );
}

/** What is wrong with what a member asks for; null: nothing. */
export function askFault({
  records,
  bytes,
}: {
  readonly records: number;
  readonly bytes: number;
}): BrokerError | null {
  const fault =
    !Number.isSafeInteger(records) || records < 1
      ? `records is ${String(records)}, must be 1 or more`
      : !Number.isSafeInteger(bytes) || bytes < 0
        ? `bytes is ${String(bytes)}, must be 0 or more`
        : null;
  return fault === null ? null : new BrokerError('INVALID_ARGUMENT', fault);
}

/** What is wrong with so many acknowledgements in one request; null: nothing. */
export function countFault(count: number): BrokerError | null {
  if (count <= QUEUE_ACKNOWLEDGEMENTS_MAX) return null;
  return new BrokerError(
    'INVALID_ARGUMENT',
    `acknowledgements has ${String(count)} entries, must have at most ${String(QUEUE_ACKNOWLEDGEMENTS_MAX)}`,
  );
}
