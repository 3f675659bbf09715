/**
 * Bytes as text that a pattern can be matched on, and back without losing one: what is UTF-8 is
 * decoded, and each byte that is not becomes a low surrogate of its own (U+DC80 to U+DCFF), which
 * no valid text holds alone. Source: Python's PEP 383. Pure.
 */
import { isUtf8 } from 'node:buffer';

const ESCAPE = 0xdc00;
const ESCAPED = /[\udc80-\udcff]/u;

/** The text of any bytes. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  const parts: string[] = [];
  let validFrom = 0;
  for (let at = 0; at < buffer.length; ) {
    const length = sequenceLength(buffer[at]!);
    if (length === 1 || (length > 1 && isUtf8(buffer.subarray(at, at + length)))) {
      at += length;
      continue;
    }
    parts.push(buffer.toString('utf8', validFrom, at), String.fromCharCode(ESCAPE + buffer[at]!));
    at += 1;
    validFrom = at;
  }
  return [...parts, buffer.toString('utf8', validFrom)].join('');
}

/** The bytes of {@link textOf}, or of any part of it that cuts no code point. */
export function bytesOf(text: string): Uint8Array {
  if (!ESCAPED.test(text)) return Buffer.from(text, 'utf8');
  return Buffer.concat(
    text
      .split(/([\udc80-\udcff])/u)
      .map((part) =>
        ESCAPED.test(part) ? Buffer.of(part.charCodeAt(0) - ESCAPE) : Buffer.from(part, 'utf8'),
      ),
  );
}

/** Bytes of a UTF-8 sequence, by its first one; 0: no sequence begins so. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
