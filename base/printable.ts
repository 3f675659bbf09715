/**
 * Text that others chose, made fit to stand in a message: on one line, without what would move a
 * terminal's cursor, change its colours or turn the reading direction, and of bounded length.
 */

/** Characters of a message that are shown. */
export const PRINTABLE_LENGTH_MAX = 4_000;

// C0 and C1 controls, line and paragraph separators, marks and overrides of the direction, the
// byte order mark, and halves of surrogate pairs.
const UNPRINTABLE =
  /[\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Shows what cannot be printed by its code, such as `\u001b`; the rest stays as it is. */
export function printable(text: string): string {
  const shown = text.replace(UNPRINTABLE, escaped);
  if (shown.length <= PRINTABLE_LENGTH_MAX) return shown;
  const left = shown.length - PRINTABLE_LENGTH_MAX;
  return `${shown.slice(0, PRINTABLE_LENGTH_MAX)}… (${String(left)} characters more)`;
}

function escaped(character: string): string {
  return SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
