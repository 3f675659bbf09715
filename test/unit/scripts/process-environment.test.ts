import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { processEnvironment, SPARE_BYTES_MIN } from '../../../scripts/process-environment.mjs';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const ENTRY = join(ROOT, 'scripts', 'image-entry.sh');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-entry-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What the image's entry starts Node with, in a container that says so of its memory. */
function printedBy(memory: string | null, given: Readonly<Record<string, string>>): string {
  writeFileSync(join(folder, 'node'), '#!/bin/sh\nenv\necho "arguments=$*"\n');
  // The entry asks `cat` alone; version 2 of control groups has the first file.
  const says = memory === null ? 'exit 1' : `echo ${memory}`;
  writeFileSync(join(folder, 'cat'), `#!/bin/sh\n${says}\n`);
  for (const name of ['node', 'cat']) chmodSync(join(folder, name), 0o755);
  return execFileSync('/bin/sh', [ENTRY, 'broker'], {
    env: { ...given, ...ofImage(), PATH: `${folder}:/usr/bin:/bin` },
    encoding: 'utf8',
  });
}

function ofEntry(memory: string | null, given: Readonly<Record<string, string>> = {}): unknown {
  const printed = printedBy(memory, given);
  const names = Object.keys(processEnvironment(Infinity));
  return Object.fromEntries(
    printed
      .split('\n')
      .map((line) => line.split('='))
      .filter(([name]) => names.includes(name ?? '')),
  );
}

function ofImage(): Record<string, string> {
  const file = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const line = /^ENV NODE_ENV=production (.+)$/m.exec(file)?.[1] ?? '';
  const pairs = line.split(' ').map((pair) => pair.split('='));
  return Object.fromEntries(pairs) as Record<string, string>;
}

describe('what C libraries read, in the image as by the launcher', () => {
  it.each([
    ['314572800', 300 * 1024 * 1024],
    [String(SPARE_BYTES_MIN - 1), SPARE_BYTES_MIN - 1],
    [String(SPARE_BYTES_MIN), SPARE_BYTES_MIN],
    ['max', Infinity],
    ['9223372036854771712', Infinity],
    [null, Infinity],
  ])('where the container says %s of its memory', (memory, bytes) => {
    expect(ofEntry(memory)).toEqual(processEnvironment(bytes));
  });

  it('leaves what whoever starts it has set', () => {
    expect(ofEntry('max', { MALLOC_TRIM_THRESHOLD_: '1' })).toMatchObject({
      MALLOC_TRIM_THRESHOLD_: '1',
    });
  });
});

describe('the bound of the heap, in the image', () => {
  const BROKER = '/opt/tidemark/broker/main.js';
  const argumentsOf = (memory: string | null, given = {}): string | undefined =>
    /^arguments=(?<given>.*)$/m.exec(printedBy(memory, given))?.groups?.['given'];

  it.each([
    ['268435456', `--max-old-space-size=128 ${BROKER}`],
    [String(512 * 1024 * 1024 - 1), `--max-old-space-size=255 ${BROKER}`],
    // From here on it is Node's own half.
    [String(512 * 1024 * 1024), BROKER],
    ['max', BROKER],
    ['9223372036854771712', BROKER],
    [null, BROKER],
  ])('is half of %s bytes where Node has another', (memory, started) => {
    expect(argumentsOf(memory)).toBe(started);
  });

  it('is what whoever starts it has set', () => {
    const given = { NODE_OPTIONS: '--max-old-space-size=99' };
    expect(argumentsOf('268435456', given)).toBe(BROKER);
  });
});
