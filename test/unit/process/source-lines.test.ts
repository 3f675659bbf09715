import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../../process/logger.ts';
import { sourceLines } from '../../../process/source-lines.ts';
import { ROOT } from '../../fixtures/sources.ts';

describe('sourceLines()', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-lines-'));
  const file = join(folder, 'built.js');
  const url = pathToFileURL(file).href;
  beforeAll(() => {
    buildSync({
      entryPoints: [join(ROOT, 'client/index.ts')],
      outfile: file,
      bundle: true,
      platform: 'node',
      format: 'esm',
      sourcemap: 'linked',
      packages: 'external',
      logLevel: 'silent',
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What Node makes of the map. */
  function expected(map: SourceMap, line: number, column: number): string {
    const found = map.findEntry(line, column);
    if (!('originalSource' in found) || found.originalSource === undefined) return '';
    const source = resolve(folder, found.originalSource);
    return `${relative(process.cwd(), source)}:${found.originalLine + 1}`;
  }

  it('names the line of the source that Node finds, for every line', () => {
    const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as never);
    const lines = readFileSync(file, 'utf8').split('\n');
    let told = 0;
    lines.forEach((text, at) => {
      const column = /^ */.exec(text)?.[0].length ?? 0;
      const place = `${url}:${at + 1}:${column + 1}`;
      const found = sourceLines(place);
      if (found === place) return;
      told += 1;
      expect(found, text).toBe(expected(map, at, column));
    });
    // The others are braces, comments and the bundler's own.
    expect(told).toBeGreaterThan(lines.length / 2);
  });

  it('leaves alone what has no map', () => {
    const stack = `Error: of file:///no/where.js:3:4\n    at node:internal/x:1:2\n    at f (${url}:9999999:1)`;
    expect(sourceLines(stack)).toBe(stack);
  });

  it('is what the log of a program shows', () => {
    const lines: string[] = [];
    const logger = createLogger('info', {}, { write: (line) => void lines.push(line) });
    const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as never);
    const built = readFileSync(file, 'utf8').split('\n');
    const at = built.findIndex((text) => /\bTidemarkError = class/.test(text));
    const error = new Error('no luck');
    error.stack = `Error: no luck\n    at f (${url}:${at + 1}:1)`;
    logger.error({ err: error }, 'defect');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      err: {
        type: 'Error',
        message: 'no luck',
        stack: `Error: no luck\n    at f (${expected(map, at, 0)})`,
      },
    });
    expect(expected(map, at, 0)).toMatch(/^client\/errors\.ts:\d+$/);
  });
});
