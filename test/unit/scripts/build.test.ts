import { execFile } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WorkerBackground } from '../../../broker/background/worker.ts';
import { systemClock } from '../../../process/system-clock.ts';
import { builtProgram, bundle, bundleForImage } from '../../../scripts/build.mjs';
import { ROOT } from '../../fixtures/sources.ts';

/** Of the whole page, gzipped. */
const PAGE_BYTES_MAX = 150_000;
const PROGRAM = 'client/cli/main.ts';
const SOURCES = {
  'package.json': '{"type":"module"}',
  'package-lock.json': '{}',
  'tsconfig.json': '{}',
  'scripts/program.mjs': undefined,
  'scripts/build.mjs': undefined,
  'scripts/install.mjs': undefined,
  'scripts/process-environment.mjs': undefined,
  'process/uncaught.ts': undefined,
  'process/source-lines.ts': undefined,
  'proto/tidemark.binpb': '',
  'broker/verify.ts': '',
  'base/answer.ts': 'export const answer: number = 41;\n',
  'page/main.tsx': '',
  'page/main.css': '',
  'page/index.html': '',
  'page/icon.svg': '',
  'client/cli/main.ts':
    "import { answer } from '../../base/answer.ts';\n\nconsole.log(process.argv.slice(2), answer);\n",
};

describe('built programs', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'tidemark-built-'));
    for (const folder of ['wire', 'operator', 'local', 'node_modules'])
      mkdirSync(join(root, folder));
    for (const [path, text] of Object.entries(SOURCES)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      if (text === undefined) copyFileSync(join(ROOT, path), join(root, path));
      else write(path, text);
    }
    for (const name of ['esbuild', '@esbuild'])
      symlinkSync(join(ROOT, 'node_modules', name), join(root, 'node_modules', name));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function write(path: string, text: string): void {
    writeFileSync(join(root, path), text);
  }

  /** What a process of its own prints that runs the program as scripts do. */
  async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const program = join(root, 'scripts', 'program.mjs');
    return promisify(execFile)(process.execPath, [program, PROGRAM, ...args]);
  }

  function builds(): string[] {
    return readdirSync(join(root, 'node_modules', '.cache', 'tidemark-built'));
  }

  it('are built once for the same sources, and run with their arguments', async () => {
    const first = await builtProgram(root, PROGRAM);
    const made = statSync(first?.file ?? '').mtimeMs;
    const second = await builtProgram(root, PROGRAM, () => Promise.reject(new Error('again')));
    expect(second).toEqual(first);
    expect(statSync(second?.file ?? '').mtimeMs).toBe(made);
    expect((await run('topic', '--help')).stdout).toBe("[ 'topic', '--help' ] 41\n");
    expect(builds()).toHaveLength(1);
  });

  it('are never older than a source, whatever its length and time say', async () => {
    const { atime, mtime } = statSync(join(root, 'base/answer.ts'));
    expect((await run()).stdout).toBe('[] 41\n');
    write('base/answer.ts', 'export const answer: number = 42;\n');
    utimesSync(join(root, 'base/answer.ts'), atime, mtime);
    expect((await run()).stdout).toBe('[] 42\n');
    write('base/answer.ts', 'export const answer: number = 41;\n');
    expect((await run()).stdout).toBe('[] 41\n');
    expect(builds()).toHaveLength(2);
  });

  it.for(['package-lock.json', 'tsconfig.json', 'package.json', 'proto/tidemark.binpb'])(
    'are built anew after a change of %s',
    async (path) => {
      const first = await builtProgram(root, PROGRAM);
      write(path, '{ "type": "module" }');
      const second = await builtProgram(root, PROGRAM);
      expect(second?.folder).not.toBe(first?.folder);
    },
  );

  it('are built again where a source changes meanwhile', async () => {
    let isFirst = true;
    const buildSync = ((options: esbuild.BuildOptions) => {
      const result = esbuild.buildSync(options);
      if (isFirst) write('base/answer.ts', 'export const answer = 43;\n');
      isFirst = false;
      return result;
    }) as typeof esbuild.buildSync;
    await builtProgram(root, PROGRAM, () => Promise.resolve({ buildSync }));
    expect((await run()).stdout).toBe('[] 43\n');
    expect(builds()).toHaveLength(1);
  });

  it('are whole, though several processes build at once', async () => {
    const runs = await Promise.all(Array.from({ length: 4 }, () => run()));
    expect(runs.map(({ stdout }) => stdout)).toEqual(Array(4).fill('[] 41\n'));
    expect(builds()).toHaveLength(1);
  });

  it('give way to the sources where nothing can be written', async () => {
    write('node_modules/.cache', 'not a folder');
    expect(await builtProgram(root, PROGRAM)).toBeUndefined();
    expect((await run('a')).stdout).toBe("[ 'a' ] 41\n");
  });

  it('give way to the sources where these cannot be built, which say why', async () => {
    write(PROGRAM, 'console.log(;\n');
    await expect(run()).rejects.toThrow(/client\/cli\/main\.ts:1/);
  });

  it('keep a few earlier builds, for whoever found one and has yet to load it', async () => {
    const keys: string[] = [];
    for (let answer = 0; answer < 7; answer += 1) {
      write('base/answer.ts', `export const answer = ${answer};\n`);
      const { folder = '' } = (await builtProgram(root, PROGRAM)) ?? {};
      keys.push(folder.split('/').at(-1) ?? '');
      // Folders may be made in the same tick of the file system's clock.
      utimesSync(folder, answer, answer);
    }
    expect(builds().toSorted()).toEqual(keys.slice(-5).toSorted());
  });

  it('name lines of the sources where they end by an error', async () => {
    write(
      PROGRAM,
      "type Nothing = never;\n\nexport function fails(): Nothing {\n  throw new Error('no luck');\n}\n\nfails();\n",
    );
    const ended = run();
    await expect(ended).rejects.toThrow(/Error: no luck\n +at fails \(.*client\/cli\/main\.ts:4\)/);
    await expect(ended).rejects.toThrow(/client\/cli\/main\.ts:7/);
  });
});

describe('bundle()', () => {
  it('refuses sources whose change would pass unnoticed', () => {
    const root = mkdtempSync(join(tmpdir(), 'tidemark-built-'));
    try {
      for (const [path, text] of [
        ['process/uncaught.ts', ''],
        ['elsewhere/one.ts', 'console.log(1);'],
        ['broker/main.ts', "import '../elsewhere/one.ts';"],
      ] as const) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), text);
      }
      expect(() => bundle(esbuild, root, ['broker/main.ts'], join(root, 'out'))).toThrow(
        /^Cannot build: elsewhere\/one\.ts would change unnoticed, sources must lie in base, /,
      );
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});

describe('bundleForImage()', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-image-'));
  let packages: string[] = [];
  beforeAll(() => {
    packages = bundleForImage(esbuild, ROOT, folder);
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('holds the license of every package inside, and not what only kubeconfigs need', () => {
    const licenses = readFileSync(join(folder, 'LICENSES.txt'), 'utf8');
    const named = [...licenses.matchAll(/^=== (\S+) \S+ \(.+\)$/gm)].map(([, name]) => name);
    expect(named).toEqual(packages);
    expect(packages).toContain('@grpc/grpc-js');
    expect(packages).not.toContain('@kubernetes/client-node');
  });

  it('holds the page, small enough for a slow line', () => {
    const files = ['index.html', 'main.css', 'main.js', 'icon.svg'];
    const bytes = files.map((name) => gzipSync(readFileSync(join(folder, 'page', name))).length);
    const sum = bytes.reduce((total, each) => total + each, 0);
    expect(sum).toBeLessThan(PAGE_BYTES_MAX);
  });

  it('holds the thread of compaction', async () => {
    const program = new URL('broker/background/compaction-worker.js', `file://${folder}/`);
    const background = new WorkerBackground({ memoryBytes: 2 ** 20, program, clock: systemClock });
    const order = { upTo: 9, tombstonesBelow: 0, producersBelow: 0 };
    const work = background.compaction(order, { topicIdBytes: new Uint8Array(16), partition: 0 });
    expect(await work.endScan()).toBe(false);
    work.close();
  });

  it.for([
    { program: 'broker/main.js', args: ['--id', 'x'], says: "config: id is 'x', must be" },
    { program: 'operator/main.js', args: [], says: 'POD_NAME is absent, must be set' },
    { program: 'broker/verify.js', args: [], says: 'name one folder' },
    { program: 'client/cli/main.js', args: ['log', 'verify', '/none'], says: '/none' },
    { program: 'client/cli/main.js', args: ['topic', '--nothing'], says: "'--nothing'" },
    { program: 'client/cli/main.js', args: ['--version'], says: /^\d+\.\d+\.\d+\n$/ },
  ])('holds $program, which runs with no package beside it', async ({ program, args, says }) => {
    const ran = promisify(execFile)(process.execPath, [join(folder, program), ...args]);
    const { stdout, stderr } = await ran.catch(
      (error: unknown) => error as { stdout: string; stderr: string },
    );
    expect(`${stdout}${stderr}`).toMatch(says);
  });
});
