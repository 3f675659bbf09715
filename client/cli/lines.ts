/**
 * Cuts a stream of bytes into lines without losing or changing a byte: what stands after the last
 * delimiter is a line of its own kind.
 */
import { CliError } from './exit.ts';

/** A line as it stood in the input. */
export interface Line {
  /** Without the delimiter. A carriage return before it is part of the line. */
  readonly bytes: Uint8Array;
  /** False for what follows the last delimiter. */
  readonly isTerminated: boolean;
}

/**
 * The lines of `input`; an empty rest after the last delimiter is no line. Throws BATCH_TOO_LARGE
 * behind the lines before one of more than about `lineBytesMax`, which is not held in memory.
 */
export async function* splitLines(
  input: AsyncIterable<Uint8Array>,
  delimiter: number,
  lineBytesMax: number,
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
    if (lines.length > 0) yield lines;
    if (restBytes > lineBytesMax)
      throw new CliError('BATCH_TOO_LARGE', `it has more than ${lineBytesMax} bytes`);
  }
  if (restBytes > 0) yield [{ bytes: joined(rest, new Uint8Array(0)), isTerminated: false }];
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  return parts.length === 0 ? last : Buffer.concat([...parts, last]);
}

/** The input up to Ctrl-C: what was read by then is still appended. */
export async function* untilInterrupted(
  input: AsyncIterable<Uint8Array>,
  interrupted: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = input[Symbol.asyncIterator]();
  const stop = new Promise<IteratorResult<Uint8Array>>((resolve) => {
    const end = (): void => resolve({ done: true, value: undefined });
    if (interrupted.aborted) end();
    else interrupted.addEventListener('abort', end, { once: true });
  });
  for (;;) {
    const next = await Promise.race([iterator.next(), stop]);
    if (next.done === true) return;
    yield next.value;
  }
}
