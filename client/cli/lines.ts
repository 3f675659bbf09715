/** Cuts a stream of bytes into lines without losing or changing a byte: what stands after the last delimiter is a line of its own kind. */

/** A line as it stood in the input. */
export interface Line {
  /** Without the delimiter. A carriage return before it is part of the line. */
  readonly bytes: Uint8Array;
  /** False for what follows the last delimiter. */
  readonly isTerminated: boolean;
}

/** Longest line: a record must fit a batch. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

/** The lines of `input`; an empty rest after the last delimiter is no line. Throws RangeError past the longest line. */
export async function* splitLines(
  input: AsyncIterable<Uint8Array>,
  delimiter: number,
): AsyncGenerator<Line[], void, undefined> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of input) {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(delimiter); end >= 0; end = chunk.indexOf(delimiter, start)) {
      lines.push({ bytes: joined(rest, chunk.subarray(start, end)), isTerminated: true });
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start));
      restBytes += chunk.length - start;
    }
    if (restBytes > LINE_BYTES_MAX)
      throw new RangeError(`line has more than ${LINE_BYTES_MAX} bytes`);
    if (lines.length > 0) yield lines;
  }
  if (restBytes > 0) yield [{ bytes: joined(rest, new Uint8Array(0)), isTerminated: false }];
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  return parts.length === 0 ? last : Buffer.concat([...parts, last]);
}
