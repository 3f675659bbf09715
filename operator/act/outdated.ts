/** What was looked at has changed since, or cannot be asked: the next pass decides anew. */
export class OutdatedError extends Error {
  override readonly name = 'OutdatedError';
}
