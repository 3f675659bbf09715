/**
 * What happened, line by line: a hash that two runs of a seed must share, and the last lines for
 * whoever looks for the reason.
 */

const LINES_MAX = 4_000;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class Trace {
  #hash = FNV_OFFSET;
  #lines: string[] = [];
  readonly #marks: string[] = [];
  readonly #print: ((line: string) => void) | null;

  /** @param print hears every line as it comes */
  constructor(print: ((line: string) => void) | null = null) {
    this.#print = print;
  }

  note(nowMs: number, line: string): void {
    const text = `${nowMs.toFixed(3).padStart(10)} ${line}`;
    for (let index = 0; index < text.length; index += 1)
      this.#hash = Math.imul(this.#hash ^ text.charCodeAt(index), FNV_PRIME);
    this.#lines.push(text);
    if (this.#lines.length > LINES_MAX) this.#lines = this.#lines.slice(LINES_MAX / 2);
    this.#print?.(text);
  }

  /** FNV-1a of every line so far. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Kept lines that match; early ones may have been dropped. */
  find(pattern: RegExp): string[] {
    return [...this.#marks, ...this.#lines].filter(
      (line, index, all) => pattern.test(line) && all.indexOf(line) === index,
    );
  }

  /** Keeps a line for {@link find}, however long the run. */
  mark(nowMs: number, line: string): void {
    this.note(nowMs, line);
    this.#marks.push(this.#lines.at(-1) ?? '');
  }

  tail(count: number): string {
    return this.#lines.slice(-count).join('\n');
  }
}
