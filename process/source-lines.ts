/**
 * Stack traces of built programs, told in lines of the sources. Node's own `--enable-source-maps`
 * reads the map of a program at every start (20 ms, 6 MB), and whenever anything reads a stack, as
 * gRPC does for each failed call; this reads it once a trace is told to a person.
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const PLACE = /(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g;
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Bits of a digit of a source map's numbers, and the bit that says that more digits follow. */
const DIGIT_BITS = 5;
const MORE = 1 << DIGIT_BITS;

/** A source map, decoded as far as it takes to find a place. */
interface SourceLines {
  readonly sources: readonly string[];
  /** Segments of each line, encoded. */
  readonly lines: readonly string[];
  /** Source and its line, both from 0, that the fields of a line's first segment are added to. */
  readonly sourceBefore: Int32Array;
  readonly lineBefore: Int32Array;
}

/** By URL of the built file; null where it has no map. */
const known = new Map<string, SourceLines | null>();

/** The same text, with `folder/file.ts:line` for every place in a file that has a source map. */
export function sourceLines(stack: string): string {
  return stack.replaceAll(PLACE, (place: string, url: string, line: string, column: string) => {
    const map = linesOf(url);
    const found = map === null ? null : find(map, Number(line) - 1, Number(column) - 1);
    const source = map?.sources[found?.source ?? -1];
    if (found === null || source === undefined) return place;
    const path = relative(process.cwd(), fileURLToPath(new URL(source, url)));
    return `${path}:${found.line + 1}`;
  });
}

function linesOf(url: string): SourceLines | null {
  const found = known.get(url);
  if (found !== undefined) return found;
  let lines: SourceLines | null = null;
  try {
    const map = JSON.parse(readFileSync(fileURLToPath(`${url}.map`), 'utf8')) as {
      readonly sources: readonly string[];
      readonly mappings: string;
    };
    lines = decode(map.sources, map.mappings);
  } catch {
    // A file that nobody built: its trace is right as it is.
  }
  known.set(url, lines);
  return lines;
}

/** Fields of segments are differences to the segment before, over lines (ECMA-426). */
function decode(sources: readonly string[], mappings: string): SourceLines {
  const lines = mappings.split(';');
  const sourceBefore = new Int32Array(lines.length);
  const lineBefore = new Int32Array(lines.length);
  const at = { source: 0, line: 0 };
  lines.forEach((segments, index) => {
    sourceBefore[index] = at.source;
    lineBefore[index] = at.line;
    for (const segment of segments.split(',')) {
      const [, sourceStep = 0, lineStep = 0] = numbers(segment);
      at.source += sourceStep;
      at.line += lineStep;
    }
  });
  return { sources, lines, sourceBefore, lineBefore };
}

/** The last segment that begins at the place or before it; null where none of its line does. */
function find(
  { lines, sourceBefore, lineBefore }: SourceLines,
  index: number,
  wantedColumn: number,
): { readonly source: number; readonly line: number } | null {
  let found = null;
  let [source, line, column] = [sourceBefore[index] ?? 0, lineBefore[index] ?? 0, 0];
  for (const segment of lines[index]?.split(',') ?? []) {
    const [columnStep, sourceStep, lineStep] = numbers(segment);
    column += columnStep ?? 0;
    if (sourceStep === undefined || lineStep === undefined || column > wantedColumn) break;
    source += sourceStep;
    line += lineStep;
    found = { source, line };
  }
  return found;
}

/** Numbers of a segment: base 32, least digit first, the lowest bit is the sign. */
function numbers(segment: string): number[] {
  const found: number[] = [];
  let value = 0;
  let shift = 0;
  for (const letter of segment) {
    const digit = BASE64.indexOf(letter);
    value += (digit & (MORE - 1)) << shift;
    shift += DIGIT_BITS;
    if ((digit & MORE) !== 0) continue;
    found.push((value & 1) === 0 ? value >> 1 : -(value >> 1));
    value = 0;
    shift = 0;
  }
  return found;
}
