/**
 * A real public text of some hundred thousand lines, from what every machine that runs these tests
 * has: the documentation that came with its packages, Debian's changelogs where there are any, and
 * the project's own dependencies.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT } from './child.ts';

const DEBIAN_DOCUMENTATION = '/usr/share/doc';
const CHANGELOG = /^(changelog|NEWS)([.]Debian)?([.]gz)?$/i;
const TEXT = /[.](md|txt|d[.]ts|d[.]mts)$/;
/** Files larger than this are data, not text. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Bytes that end with a newline and have at least `lines` of them. @throws Error where the machine
 * has too little text
 */
export function publicText(lines: number): Buffer {
  const parts: Buffer[] = [];
  let count = 0;
  for (const part of texts()) {
    parts.push(part);
    count += linesOf(part);
    if (count >= lines) return Buffer.concat(parts);
  }
  throw new Error(`found ${count} lines of text on this machine, must be ${lines} or more`);
}

/** Number of newlines. */
export function linesOf(text: Uint8Array): number {
  return text.reduce((count, byte) => (byte === 0x0a ? count + 1 : count), 0);
}

function* texts(): Generator<Buffer> {
  for (const path of filesBelow(DEBIAN_DOCUMENTATION, CHANGELOG)) {
    const bytes = readFileSync(path);
    yield withNewline(path.endsWith('.gz') ? gunzipSync(bytes) : bytes);
  }
  for (const path of filesBelow(join(ROOT, 'node_modules'), TEXT)) {
    const bytes = readFileSync(path);
    if (bytes.length <= FILE_BYTES_MAX) yield withNewline(bytes);
  }
}

function filesBelow(folder: string, name: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

function withNewline(bytes: Buffer): Buffer {
  return bytes.length === 0 || bytes.at(-1) === 0x0a
    ? bytes
    : Buffer.concat([bytes, Buffer.from('\n')]);
}
