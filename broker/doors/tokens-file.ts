/**
 * Static tokens by name: a line each, `name sha256`, so that the file holds no secret. A token of
 * few possible values could be found from its hash: they must be long and random.
 */
import { PRINCIPAL_LENGTH_MAX } from '../../base/access.ts';

/** Tokens of one file. */
const TOKENS_MAX = 10_000;
const LINE = /^([A-Za-z0-9][A-Za-z0-9._-]*)\s+([0-9a-f]{64})$/;

/**
 * Names by the SHA-256 of their tokens, in hexadecimal. Empty lines and those that begin with # are
 * passed over. Throws with the number of the line that is wrong, and nothing of its content.
 */
export function parseTokens(text: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, name, digest] = LINE.exec(line) ?? [];
    if (name === undefined || digest === undefined || name.length > PRINCIPAL_LENGTH_MAX / 2)
      throw new Error(`line ${index + 1} must be a name and 64 hexadecimal digits in lower case`);
    // A token of two names would be whoever stands last.
    if (names.has(digest)) throw new Error(`line ${index + 1} repeats the token of another line`);
    names.set(digest, name);
    if (names.size > TOKENS_MAX) throw new Error(`it holds more than ${TOKENS_MAX} tokens`);
  }
  return names;
}
