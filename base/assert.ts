/**
 * Assertions for our own mistakes. They stay on in production: a broken invariant must stop the
 * process, not spread.
 */

/** A broken invariant of this program. Never thrown for bad input or a failing disk. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/**
 * Throws {@link AssertionError} unless `condition` holds. The message names the values that broke
 * it.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Ends a switch over a union: a member that was forgotten does not compile. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected member ${JSON.stringify(value)}`);
}
