/** What an owner answers where it does not do what it is asked for. */
import { BrokerError } from '../../base/errors.ts';
import { QUEUE_REQUESTS_MAX } from '../../base/limits.ts';

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
