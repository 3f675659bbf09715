/** What the command writes: tables for people, JSON for scripts, colours only on a terminal. */
import type { Writable } from 'node:stream';
import { printable } from '../../base/printable.ts';

/** Streams and surroundings of one run; tests pass their own. */
export interface Surroundings {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** `table` for people, `json` for scripts. */
export type OutputFormat = 'table' | 'json';

/** A cell; numbers stand to the right. */
export type Cell = string | number;

const ESCAPES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33' } as const;

/** Names of the colours. */
export type Colour = keyof typeof ESCAPES;

/**
 * Whether colours are wanted on a stream: a terminal, and NO_COLOR not set (https://no-color.org).
 */
export function hasColour(stream: { readonly isTTY?: boolean }, env: Surroundings['env']): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** For a terminal. */
export function painted(colour: Colour, text: string): string {
  return `\u001b[${ESCAPES[colour]}m${text}\u001b[0m`;
}

export class Output {
  readonly format: OutputFormat;
  readonly #around: Surroundings;

  constructor(format: OutputFormat, around: Surroundings) {
    this.format = format;
    this.#around = around;
  }

  /** Standard output in a colour, where there are colours. */
  paint(colour: Colour, text: string): string {
    return hasColour(this.#around.stdout, this.#around.env) ? painted(colour, text) : text;
  }

  line(text = ''): void {
    this.#around.stdout.write(`${text}\n`);
  }

  /** For people, beside the result. */
  note(text: string): void {
    this.#around.stderr.write(`${text}\n`);
  }

  /** The result: `value` for scripts, `show` for people. */
  result(value: unknown, show: () => void): void {
    if (this.format === 'json') this.line(JSON.stringify(value, null, 2));
    else show();
  }

  /** Columns as wide as they need be. Texts of cells may be anybody's words. */
  table(header: readonly string[], given: readonly (readonly Cell[])[]): void {
    const rows = given.map((row) =>
      row.map((cell) => (typeof cell === 'string' ? printable(cell) : cell)),
    );
    const widths = header.map((name, column) =>
      Math.max(name.length, ...rows.map((row) => String(row[column] ?? '').length)),
    );
    const isNumber = header.map(
      (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'),
    );
    const layOut = (cells: readonly Cell[]): string =>
      cells
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber[column] === true
            ? String(cell).padStart(width)
            : String(cell).padEnd(width);
        })
        .join('  ')
        .trimEnd();
    this.line(this.paint('bold', layOut(header)));
    for (const row of rows) this.line(layOut(row));
  }
}

/**
 * One line on a terminal that is written over and over. Does nothing where standard error is no
 * terminal.
 */
export class Progress {
  readonly #stream: Surroundings['stderr'];
  readonly #timer: NodeJS.Timeout | undefined;

  /** `text` is asked for ten times a second. */
  constructor(around: Surroundings, text: () => string) {
    this.#stream = around.stderr;
    if (around.stderr.isTTY !== true) return;
    this.#timer = setInterval(() => this.#stream.write(`\r\u001b[K${text()}`), 100);
  }

  /** Clears the line. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#stream.write('\r\u001b[K');
  }
}

/** `[######----]` for a fraction of 0 to 1. */
export function bar(fraction: number, width = 24): string {
  const filled = Math.round(Math.min(Math.max(fraction, 0), 1) * width);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]`;
}
