/** House rules that no tool knows. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../../broker/base/errors.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SOURCES = ['proto', 'broker', 'operator', 'client', 'test', 'bench', 'scripts'];
const PURE =
  /^(proto\/(batch|options)|broker\/(base|raft|metadata|replication|groups)|operator\/(api|build|decide))\//;
/** The rules below name what they forbid. */
const SELF = 'test/unit/tidy.test.ts';

const SOURCE_LINES_MAX = 600;
/** Tables are long. */
const TEST_LINES_MAX = 750;

interface Source {
  readonly path: string;
  readonly text: string;
}

function sources(): Source[] {
  return SOURCES.map((folder) => join(ROOT, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /[.](ts|mjs|proto)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('proto/gen/') && path !== SELF)
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** `path:line` of every line that matches. */
function matches(files: readonly Source[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  );
}

describe('sources', () => {
  const files = sources();
  const pure = files.filter(({ path }) => PURE.test(path));

  it('are found', () => {
    expect(pure.map(({ path }) => path)).toContain('broker/base/errors.ts');
  });

  it('stay within their length', () => {
    const tooLong = files
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(
        ({ path, lines }) => lines > (path.startsWith('test/') ? TEST_LINES_MAX : SOURCE_LINES_MAX),
      );
    expect(tooLong).toEqual([]);
  });

  it('hold no note about work to be done', () => {
    expect(matches(files, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  it('name no folder of one machine', () => {
    expect(matches(files, /(["'`\s(=]|^)\/(work|root|home|farm|Users)\//)).toEqual([]);
  });

  it('use neither Node nor the clock in pure folders', () => {
    expect(matches(pure, /from 'node:|\bDate\.now\b|\bMath\.random\b|\bnew Date\b/)).toEqual([]);
  });
});

describe('docs/errors.md', () => {
  it('states code, status, retry advice and meaning of every error, and no other', () => {
    const text = readFileSync(join(ROOT, 'docs', 'errors.md'), 'utf8');
    const documented = text
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .split('|')
          .slice(1, 5)
          .map((cell) => cell.trim()),
      );
    const table = Object.entries(ERROR_TABLE).map(([code, { status, retry, meaning }]) => [
      `\`${code}\``,
      status,
      retry,
      meaning,
    ]);
    expect(documented).toEqual(table);
  });
});

describe('package-lock.json', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');

  it('names no host to download from and no file of one machine', () => {
    const { packages } = JSON.parse(lock) as { packages: Record<string, { resolved?: string }> };
    expect(Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual(
      [],
    );
    expect(lock).not.toMatch(/file:|"\/[a-z]+\//);
  });
});
