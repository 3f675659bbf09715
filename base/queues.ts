/**
 * What a queue keeps to, as metadata has it and as its cores take it, with the bounds of both. One
 * place, since the controller judges by the same bounds that a core relies on.
 */
import {
  QUEUE_DELAY_MS_MAX,
  QUEUE_DELIVERIES_MAX,
  QUEUE_LEASE_MS_MAX,
  QUEUE_LEASE_MS_MIN,
} from './limits.ts';

/** How a queue hands out its records. All are within the bounds of {@link queueConfigFault}. */
export interface QueueConfig {
  /** How long a member has a record before it is given to another. */
  readonly leaseMs: number;
  /** A record that was delivered so often, and not accepted, dies. 0: it never does. */
  readonly deliveriesMax: number;
  /** There is a dead-letter topic. Always where `deliveriesMax` is not 0. */
  readonly hasDeadLetters: boolean;
  /** A key is with one member at a time, in the order of the log. */
  readonly isKeyOrdered: boolean;
  /** After a dead letter its key waits until it is freed. Else it goes on. Only with key order. */
  readonly parksKeys: boolean;
  /** A record that is released waits at least so long, whatever the member asks for. */
  readonly delayMsMin: number;
  /** And at most so long: a longer delay is refused. */
  readonly delayMsMax: number;
}

/** What people set: as {@link QueueConfig}, with the dead-letter topic itself. */
export interface QueueSettings extends Omit<QueueConfig, 'hasDeadLetters'> {
  /** By name, since it may be made again; empty: there is none. */
  readonly deadLetterTopic: string;
}

/** What a queue has whose creator states nothing. */
export const QUEUE_SETTINGS_DEFAULTS: QueueSettings = {
  leaseMs: 30_000,
  deliveriesMax: 0,
  deadLetterTopic: '',
  isKeyOrdered: false,
  parksKeys: false,
  delayMsMin: 0,
  delayMsMax: QUEUE_DELAY_MS_MAX,
};

/** Settings as the cores of the queue take them. */
export function queueConfigOf({ deadLetterTopic, ...settings }: QueueSettings): QueueConfig {
  return { ...settings, hasDeadLetters: deadLetterTopic !== '' };
}

/** What is wrong with a config, naming the field; null: nothing. */
export function queueConfigFault(config: QueueConfig): string | null {
  const { leaseMs, deliveriesMax, hasDeadLetters, isKeyOrdered, parksKeys } = config;
  const { delayMsMin, delayMsMax } = config;
  if (!isCount(leaseMs) || leaseMs < QUEUE_LEASE_MS_MIN || leaseMs > QUEUE_LEASE_MS_MAX)
    return `lease_ms is ${String(leaseMs)}, must be ${String(QUEUE_LEASE_MS_MIN)} to ${String(QUEUE_LEASE_MS_MAX)}`;
  if (!isCount(deliveriesMax) || deliveriesMax > QUEUE_DELIVERIES_MAX)
    return `deliveries_max is ${String(deliveriesMax)}, must be 0 (no limit) to ${String(QUEUE_DELIVERIES_MAX)}`;
  if (deliveriesMax > 0 && !hasDeadLetters)
    return `deliveries_max is ${String(deliveriesMax)}, must be 0 without a dead-letter topic`;
  if (parksKeys && !(isKeyOrdered && hasDeadLetters))
    return 'parks_keys is true, must be false without key order and a dead-letter topic';
  if (!isCount(delayMsMax) || delayMsMax > QUEUE_DELAY_MS_MAX)
    return `delay_max_ms is ${String(delayMsMax)}, must be 0 to ${String(QUEUE_DELAY_MS_MAX)}`;
  if (!isCount(delayMsMin) || delayMsMin > delayMsMax)
    return `delay_min_ms is ${String(delayMsMin)}, must be 0 to delay_max_ms, ${String(delayMsMax)}`;
  return null;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
