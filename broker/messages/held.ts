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

/**
 * What a stream to another broker counts, which is open for a client's: as much as that one, since
 * both brokers hold it (`STREAM_BYTES` of the budget).
 */
export const RELAYED_STREAM_BYTES = 24 * 1024;

export const HELD = Symbol('held');

const UNCOUNTED: Held = { add: () => {}, tryAdd: () => true };

/** Where to count what a call holds. */
export function heldOf(call: unknown): Held {
  return (call as { readonly [HELD]?: Held })[HELD] ?? UNCOUNTED;
}

/** Whether the caller does not wait any more, so that nothing is counted with its connection. */
export function isGone(call: unknown): boolean {
  return (call as { readonly cancelled?: boolean }).cancelled === true;
}

/**
 * Runs what holds so many bytes, as a request does that waits its turn in larger shapes than it
 * came. They are given back once it has ended, and so has `also`, which may outlive its caller.
 * Rejects with OVERLOADED where too much is held already.
 */
export async function holding<T>(
  call: unknown,
  bytes: number,
  run: (also: (work: Promise<unknown>) => void) => Promise<T>,
): Promise<T> {
  const held = heldOf(call);
  if (isGone(call)) throw overloaded('the caller is gone');
  if (!held.tryAdd(bytes)) throw overloaded(`${bytes} bytes would wait for their turn`);
  let outliving: Promise<unknown> = Promise.resolve();
  const running = run((work) => {
    outliving = work;
  });
  void Promise.allSettled([running])
    .then(() => Promise.allSettled([outliving]))
    .then(() => {
      held.add(-bytes);
    });
  return running;
}

/** The refusal of what is too much. Nothing was done. */
export function overloaded(what: string): BrokerError {
  return new BrokerError(
    'OVERLOADED',
    `${what}: the broker holds as much for its clients as it may (memory-budget-bytes, streams-max)`,
  );
}
