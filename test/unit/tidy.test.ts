/** House rules that no tool knows. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../../base/errors.ts';
import { EVENTS } from '../../base/events.ts';
import { CLIENT_ERRORS } from '../../client/errors.ts';
import { GATE_MEANINGS, KUBE_EVENTS } from '../../operator/decide/events.ts';
import { PURE_FOLDERS } from '../../scripts/pure-folders.mjs';
import {
  anchorsIn,
  documentsCitedIn,
  rulesCitedIn,
  rulesDefinedIn,
} from '../fixtures/citations.ts';
import { ROOT, sourcesEndingIn } from '../fixtures/sources.ts';
import type { Source } from '../fixtures/sources.ts';

/** The rules below name what they forbid. */
const SELF = 'test/unit/tidy.test.ts';

const SOURCE_LINES_MAX = 600;
/** Tables are long. */
const TEST_LINES_MAX = 750;
const COMMENT_COLUMNS_MAX = 100;

function sources(): Source[] {
  return sourcesEndingIn('.ts', '.mjs', '.proto').filter(({ path }) => path !== SELF);
}

/** `path:line` of every line that matches. */
function matches(files: readonly Source[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  );
}

describe('sources', () => {
  const files = sources();
  const pure = files.filter(({ path }) =>
    PURE_FOLDERS.some((folder) => path.startsWith(`${folder}/`)),
  );

  it('are found', () => {
    expect(pure.map(({ path }) => path)).toContain('base/errors.ts');
    const bare = PURE_FOLDERS.filter((folder) => !pure.some(({ path }) => path.startsWith(folder)));
    expect(bare).toEqual([]);
  });

  it('stay within their length', () => {
    const tooLong = files
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(
        ({ path, lines }) => lines > (path.startsWith('test/') ? TEST_LINES_MAX : SOURCE_LINES_MAX),
      );
    expect(tooLong).toEqual([]);
  });

  it('keep comments within their width', () => {
    const isTooWide = (line: string): boolean =>
      line.length > COMMENT_COLUMNS_MAX && /^\s*(\/\/|\/?\*)/.test(line);
    const tooWide = files.flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, at) => (isTooWide(line) ? [`${path}:${at + 1}`] : [])),
    );
    expect(tooWide).toEqual([]);
  });

  it('have their unit tests in the folder of the same path', () => {
    const folders = files
      .filter(({ path }) => /^test\/unit\/.+\/.+[.]test[.]ts$/.test(path))
      .map(({ path }) => dirname(path).replace('test/unit/', ''))
      .map((folder) => folder.replace(/^fixtures(?=\/|$)/, 'test/fixtures'));
    expect([...new Set(folders)].filter((folder) => !existsSync(join(ROOT, folder)))).toEqual([]);
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

describe('docs/rules.md', () => {
  const RULES = 'docs/rules.md';
  const everything = sourcesEndingIn('.ts', '.mjs', '.cjs', '.sh', '.proto', '.txt', '.md', '.in');
  const textOf = new Map(everything.map(({ path, text }) => [path, text]));
  const rules = rulesDefinedIn(textOf.get(RULES) ?? '');
  const citing = everything
    .filter(({ path }) => path !== RULES && path !== SELF)
    .map(({ path, text }) => ({ path, cited: rulesCitedIn(text) }));

  it('defines every rule, P-rule and invariant that is cited', () => {
    const defined = new Set(rules.map(({ name }) => name));
    const unknown = citing.flatMap(({ path, cited }) =>
      [...cited].filter((name) => !defined.has(name)).map((name) => `${path} cites ${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it('defines nothing that no source cites, but for what is design only', () => {
    const cited = new Set(citing.flatMap((file) => [...file.cited]));
    const idle = rules.filter(({ name, isDesignOnly }) => cited.has(name) === isDesignOnly);
    expect(idle.map(({ name }) => name)).toEqual([]);
  });

  it('names files that exist, and enforcing ones that cite the rule', () => {
    const faults = rules.flatMap(({ name, isDesignOnly, enforcedIn, checkedBy }) => {
      const lost = [...enforcedIn, ...checkedBy].filter((path) => !existsSync(join(ROOT, path)));
      const silent = enforcedIn.filter(
        (path) => !citing.some((file) => file.path === path && file.cited.has(name)),
      );
      const isChecked = isDesignOnly || checkedBy.length > 0;
      return [
        ...lost.map((path) => `${name}: ${path} does not exist`),
        ...silent.map((path) => `${name}: ${path} does not cite it`),
        ...(isChecked ? [] : [`${name}: nothing checks it`]),
      ];
    });
    expect(faults).toEqual([]);
  });

  it('is, like every other document and heading that sources name, there', () => {
    const documents = [...textOf.keys()].filter((path) => path.endsWith('.md'));
    const found = (from: string, path: string): string | undefined => {
      const near = [path, normalize(join(dirname(from), path)), `docs/${path}`];
      const named = documents.filter((document) => document.endsWith(`/${path}`));
      return (
        near.find((document) => textOf.has(document)) ?? (named.length === 1 ? named[0] : undefined)
      );
    };
    const faults = everything
      .filter(({ path }) => path !== SELF)
      .flatMap(({ path, text }) =>
        documentsCitedIn(text).flatMap((cited) => {
          const document = found(path, cited.path);
          if (document === undefined) return [`${path} cites ${cited.path}`];
          const isThere =
            cited.anchor === '' || anchorsIn(textOf.get(document) ?? '').has(cited.anchor);
          return isThere ? [] : [`${path} cites ${cited.path}#${cited.anchor}`];
        }),
      );
    expect(faults).toEqual([]);
    expect(matches(everything, /\bsections? \d/)).toEqual([]);
  });
});

/** Cells of each row, in any table of a document, that begins with a name in backquotes. */
function tableRows(path: string): string[][] {
  return readFileSync(join(ROOT, path), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

describe('docs/errors.md', () => {
  it('states code, status, retry advice, effect and meaning of every error, and no other', () => {
    const documented = tableRows('docs/errors.md')
      .filter((cells) => cells.length === 6)
      .map((cells) => cells.slice(0, 5));
    const table = Object.entries(ERROR_TABLE).map(([code, { status, retry, effect, meaning }]) => [
      `\`${code}\``,
      status,
      retry,
      effect,
      meaning,
    ]);
    expect(documented).toEqual(table);
  });
});

describe('docs/errors.md, of the client', () => {
  it('states code, effect and meaning of every error, and no other', () => {
    const rows = tableRows('docs/errors.md').filter((cells) => cells.length === 4);
    expect(rows.map((cells) => cells.slice(0, 3))).toEqual(
      Object.entries(CLIENT_ERRORS).map(([code, { effect, meaning }]) => [
        `\`${code}\``,
        effect,
        meaning,
      ]),
    );
  });
});

describe('docs/errors.md, of everything', () => {
  it('has every code that the sources throw', () => {
    const documented = new Set([...Object.keys(ERROR_TABLE), ...Object.keys(CLIENT_ERRORS)]);
    const thrown = sources()
      .filter(({ path }) => /^(base|broker|client|wire)\//.test(path))
      .flatMap(({ path, text }) =>
        [...text.matchAll(/new \w*Error\(\s*'([A-Z][A-Z_]+)'/gu)].map(([, code = '']) => ({
          path,
          code,
        })),
      );
    expect(thrown.length).toBeGreaterThan(100);
    expect(thrown.filter(({ code }) => !documented.has(code))).toEqual([]);
  });
});

describe('docs/events.md', () => {
  it('states every event of the broker and the operator, every gate, and no other', () => {
    const quoted = (name: string): string => `\`${name}\``;
    expect(tableRows('docs/events.md')).toEqual([
      ...Object.entries(EVENTS).map(([name, { level, meaning, fields }]) => [
        quoted(name),
        level,
        meaning,
        fields.map(quoted).join(', '),
      ]),
      ...Object.entries(KUBE_EVENTS).map(([name, { type, action, meaning }]) => [
        quoted(name),
        type,
        action,
        meaning,
      ]),
      ...Object.entries(GATE_MEANINGS).map(([name, meaning]) => [quoted(name), meaning]),
    ]);
  });

  it('states only what is told somewhere', () => {
    const told = sources()
      .filter(({ path }) => /^(broker|operator)[/]/.test(path) && !path.endsWith('/events.ts'))
      .map(({ text }) => text)
      .join('\n');
    const names = [EVENTS, KUBE_EVENTS, GATE_MEANINGS].flatMap((table) => Object.keys(table));
    expect(names.filter((name) => !told.includes(`'${name}'`))).toEqual([]);
  });
});

describe('scripts/words.txt', () => {
  it('is sorted, in lower case, each word once', () => {
    const words = readFileSync(join(ROOT, 'scripts', 'words.txt'), 'utf8')
      .trimEnd()
      .split('\n');
    const sorted = [...new Set(words.map((word) => word.toLowerCase()))].toSorted();
    expect(words).toEqual(sorted);
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
