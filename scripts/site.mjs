/**
 * `npm run site`: the stories as one file, build/site/index.html, with everything inside: sources
 * for a browser, style, all transcripts of test/scenario and the rules. It opens from the disk.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { FOR_BROWSERS } from './build.mjs';
import { ensureInstalled, root as ROOT } from './install.mjs';

/** Folders of transcripts that can be played. */
const KINDS = ['stories', 'replication', 'raft'];
const SCENARIOS = 'test/scenario';

/** Texts of all scripts, by path below test/scenario without the ending. */
export function scriptsOf(root = ROOT) {
  const paths = KINDS.flatMap((kind) =>
    readdirSync(join(root, SCENARIOS, kind))
      .filter((name) => name.endsWith('.txt'))
      .map((name) => `${kind}/${name.replace('.txt', '')}`),
  );
  const read = (path) => readFileSync(join(root, SCENARIOS, `${path}.txt`), 'utf8');
  return Object.fromEntries(paths.sort().map((path) => [path, read(path)]));
}

/** Writes the site into `folder`. Returns the path of its file. */
export function buildSite(folder, root = ROOT) {
  // Not at the top: a fresh checkout has none before it is installed.
  const { buildSync } = createRequire(import.meta.url)('esbuild');
  const { outputFiles } = buildSync({
    ...FOR_BROWSERS,
    absWorkingDir: root,
    entryPoints: ['site/main.tsx', 'site/main.css'],
    outdir: 'site',
    write: false,
  });
  const built = (ending) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  const texts = {
    scripts: scriptsOf(root),
    rules: readFileSync(join(root, 'docs', 'rules.md'), 'utf8'),
  };
  // Inside a script element no text may look like its end.
  const inside = (text) => text.replaceAll('</', '<\\/');
  const parts = {
    STYLE: built('.css'),
    TEXTS: inside(JSON.stringify(texts)),
    SCRIPT: inside(built('.js')),
  };
  const html = readFileSync(join(root, 'site', 'index.html'), 'utf8').replaceAll(
    /\/\* (STYLE|TEXTS|SCRIPT) \*\//g,
    (_, name) => parts[name],
  );
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'index.html');
  writeFileSync(file, html);
  return file;
}

const [, self = '', folder = join(ROOT, 'build', 'site')] = process.argv;
if (existsSync(self) && resolve(self) === join(ROOT, 'scripts', 'site.mjs')) {
  ensureInstalled();
  const file = buildSite(resolve(folder));
  const kilobytes = Math.ceil(readFileSync(file).length / 1_000);
  console.log(`${file}: ${kilobytes} kB, open it in a browser`);
}
