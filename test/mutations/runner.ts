/** Runs catchers on a copy of the sources, sound or edited. Edits never touch the tree itself. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import type { Catcher, Edit, Mutation } from './types.ts';

/** A catcher that takes longer has not caught anything. */
const CATCHER_MS_MAX = 240_000;
/** Sources that cannot be loaded fail everything. */
const BROKEN = /ERR_MODULE_NOT_FOUND|does not provide an export|SyntaxError: /;
const NOT_COPIED = new Set(['node_modules', '.git', 'docs', 'charts', 'bench']);

export interface Verdict {
  readonly catcher: Catcher;
  readonly isCaught: boolean;
  readonly seconds: number;
  /** The line that says what failed. */
  readonly reason: string;
}

/** How often a text stands in another. */
export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Why the edits cannot be made in the tree at `root`, or null. */
export function editFault(root: string, edits: readonly Edit[]): string | null {
  for (const { file, find, replace } of edits) {
    const text = readFileSync(join(root, file), 'utf8');
    const count = occurrences(text, find);
    if (count !== 1) return `${file} holds ${JSON.stringify(find)} ${count} times, must be once`;
    try {
      // Sources that cannot be read would fail every test, and prove nothing.
      stripTypeScriptTypes(text.replace(find, () => replace));
    } catch (error) {
      return `${file} cannot be read once it is edited: ${String(error)}`;
    }
  }
  return null;
}

export function nameOf(catcher: Catcher): string {
  if ('level' in catcher) {
    const title = catcher.title === undefined ? '' : ` "${catcher.title}"`;
    return `${catcher.level} ${catcher.file}${title}`;
  }
  const { simulator, seeds } = catcher;
  const numbers = seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${rangeOf(seeds)}`;
  return `${simulator} simulator, ${numbers}`;
}

function rangeOf(seeds: readonly number[]): string {
  const [first = 0] = seeds;
  const isRange = seeds.length > 2 && seeds.every((seed, index) => seed === first + index);
  return isRange ? `${first} to ${first + seeds.length - 1}` : seeds.join(', ');
}

/** A copy of the sources in a folder of its own. */
export class Copy {
  readonly #root: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidemark-mutation-'));

  constructor(root: string) {
    this.#root = root;
    cpSync(root, this.#folder, {
      recursive: true,
      filter: (path) => path === root || !NOT_COPIED.has(basename(path)),
    });
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Whether each of the catchers notices the mutation, one after the other. */
  async judge(
    { edits }: Pick<Mutation, 'edits'>,
    catchers: readonly Catcher[],
  ): Promise<Verdict[]> {
    const originals = this.#edit(edits);
    try {
      const verdicts: Verdict[] = [];
      for (const catcher of catchers) verdicts.push(await this.#run(catcher));
      return verdicts;
    } finally {
      // Not from the tree: it may have changed since it was copied.
      for (const [path, text] of originals) writeFileSync(path, text);
    }
  }

  /** Returns what the files held before. */
  #edit(edits: readonly Edit[]): ReadonlyMap<string, string> {
    const originals = new Map<string, string>();
    for (const { file, find, replace } of edits) {
      const path = join(this.#folder, file);
      const text = readFileSync(path, 'utf8');
      if (!originals.has(path)) originals.set(path, text);
      writeFileSync(
        path,
        text.replace(find, () => replace),
      );
    }
    return originals;
  }

  async #run(catcher: Catcher): Promise<Verdict> {
    const startedMs = performance.now();
    let reason = '';
    let isCaught = false;
    for (const args of commandsOf(catcher)) {
      const { code, output } = await this.#node(args);
      isCaught = code !== 0 && code !== null;
      reason = code === null ? 'took too long' : reasonIn(output);
      if (isCaught && BROKEN.test(output))
        throw new Error(`${args.join(' ')} cannot be loaded, which proves nothing:\n${output}`);
      if (isCaught) break;
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    return { catcher, isCaught, seconds, reason: isCaught ? reason : '' };
  }

  #node(args: readonly string[]): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, args, {
        cwd: this.#folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          NO_COLOR: '1',
          PATH: `${join(this.#root, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
        },
      });
      let output = '';
      const take = (bytes: Buffer): void => {
        output = (output + bytes.toString()).slice(-200_000);
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      const timer = setTimeout(() => child.kill('SIGKILL'), CATCHER_MS_MAX);
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(timer);
        resolve({ code, output });
      });
    });
  }
}

/** Command lines that run it; the first that fails has caught. */
function commandsOf(catcher: Catcher): string[][] {
  if ('level' in catcher) {
    const { level, file, title } = catcher;
    const only = title === undefined ? [] : ['-t', title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')];
    const vitest = join('node_modules', 'vitest', 'vitest.mjs');
    return [[vitest, 'run', '--project', level, '--reporter=tap-flat', file, ...only]];
  }
  const { simulator, seeds } = catcher;
  const main = join('test', 'sim', simulator, 'main.ts');
  if (simulator === 'cluster') {
    return seeds.map((seed) => [main, '--seed', String(seed), '--no-shrink']);
  }
  const start = simulator === 'raft' || simulator === 'storage' ? '--seed' : '--from';
  const count = Math.max(...seeds) - Math.min(...seeds) + 1;
  return [
    [
      main,
      start,
      String(Math.min(...seeds)),
      '--count',
      String(count),
      ...(simulator === 'storage' ? [] : ['--bail']),
    ],
  ];
}

function reasonIn(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const found =
    lines.find((line) => /^not ok .* > /.test(line)) ??
    lines.find((_, index) => /^seed \d+: \d+ failures/.test(lines[index - 1] ?? ''));
  const seed = lines.find((line) =>
    /^seed \d+[: ].*(Error|FAIL|Violation|must|invariant|Invariant)/.test(line),
  );
  return (
    seed !== undefined && !/^not ok/.test(found ?? '') && !/FAIL/.test(seed)
      ? seed
      : (found ?? seed ?? '')
  ).slice(0, 240);
}
