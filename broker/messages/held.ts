/**
 * Memory that a call holds beyond its messages: a batch that waits for its commit, records that
 * wait for a slow reader. It is counted with the connection that the call came over, where one is
 * known; the simulator has none.
 */
import { BrokerError } from '../../base/errors.ts';

/** What one connection holds. Bytes are given back by numbers below 0. */
export interface Held {
  add(bytes: number): void;
  /** False: too much is held already, and these bytes are not counted. */
  tryAdd(bytes: number): boolean;
}

export const HELD = Symbol('held');

const UNCOUNTED: Held = { add: () => {}, tryAdd: () => true };

/** Where to count what a call holds. */
export function heldOf(call: unknown): Held {
  return (call as { readonly [HELD]?: Held })[HELD] ?? UNCOUNTED;
}

/** The refusal of what is too much. Nothing was done. */
export function overloaded(what: string): BrokerError {
  return new BrokerError(
    'OVERLOADED',
    `${what}: the broker holds as much for its clients as it may (memory-budget-bytes, streams-max)`,
  );
}
