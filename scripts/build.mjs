/**
 * The programs as plain JavaScript, one file each with every package inside: a start then strips no
 * types and looks for no modules. A built file lies in a folder that is named for the content of
 * all sources, so that one of other sources is never found, and appears there by a rename, so that
 * nobody finds half of one. Packages are taken as package-lock.json states them: whoever edits one
 * inside `node_modules` removes `node_modules/.cache` too.
 *
 * `node scripts/build.mjs FOLDER` makes what the image holds.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the image runs. */
const IN_IMAGE = [
  'broker/main.ts',
  'broker/background/compaction-worker.ts',
  'broker/verify.ts',
  'operator/main.ts',
  'client/cli/main.ts',
];
/** What can be built. */
export const PROGRAMS = [...IN_IMAGE, 'local/main.ts'];

/**
 * A program that starts another, as a process or a thread, is built with it: it looks for it beside
 * itself, and three brokers would build the same at once.
 */
const STARTED_BY = {
  'broker/main.ts': ['broker/background/compaction-worker.ts'],
  'client/cli/main.ts': ['broker/verify.ts'],
  'local/main.ts': ['broker/main.ts', 'broker/background/compaction-worker.ts'],
};
/** Folders of the programs' sources. */
const FOLDERS = [
  'base',
  'wire',
  'process',
  'proto',
  'broker',
  'operator',
  'client',
  'local',
  'page',
];
/** Programs that serve the page, which lies beside them. */
const SHOW_PAGE = ['client/cli/main.ts', 'local/main.ts'];
/** Sources of the page that are bundled, and those that are served as they are. */
const PAGE_BUNDLED = ['page/main.tsx', 'page/main.css'];
const PAGE_COPIED = ['page/index.html', 'page/icon.svg'];
/** Files of the built page; the program is last. */
const PAGE_FILES = [...PAGE_COPIED, 'page/main.css', 'page/main.js'];
/** Read by programs while they run, each at the place that it has beside the sources. */
const READ = ['package.json', 'proto/tidemark.binpb'];
/** What a build depends on besides. */
const AROUND = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts/build.mjs'];
/** Needed for kubeconfigs alone, and many times as large as everything else. */
const EXTERNAL = ['@kubernetes/client-node'];
/** Builds that stay, the newest ones: whoever found one just now has yet to load it. */
const KEPT = 5;
/** Sources that change this often while they are built are not built. */
const TRIES = 5;

/** CommonJS packages inside an ES module ask for Node's own modules by `require`. */
const BANNER =
  "import { createRequire as createRequireOfBundle } from 'node:module';\n" +
  'const require = createRequireOfBundle(import.meta.url);';

/** Folder of all builds of a checkout. */
function buildsOf(root) {
  return join(root, 'node_modules', '.cache', 'tidemark-built');
}

/** Names the present content of all that a build depends on. */
export function sourcesKey(root) {
  const hash = createHash('sha256');
  const add = (path) => {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  };
  for (const path of AROUND) add(path);
  for (const folder of FOLDERS) {
    const paths = readdirSync(join(root, folder), { recursive: true });
    for (const path of paths.sort())
      if (/\.(tsx?|binpb|css|html|svg)$/.test(path)) add(`${folder}/${path}`);
  }
  return hash.digest('hex').slice(0, 32);
}

/**
 * Bundles programs (of {@link PROGRAMS}) into `folder`, each where its source lies, with the files
 * that they read. `esbuild` is that package. Throws where a source lies outside the folders that
 * {@link sourcesKey} looks at. Returns the names of the packages inside.
 */
export function bundle(esbuild, root, programs, folder) {
  const { metafile } = esbuild.buildSync({
    absWorkingDir: root,
    entryPoints: programs.map((path) => ({ in: path, out: path.replace(/\.ts$/, '') })),
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    external: EXTERNAL,
    banner: { js: BANNER },
    inject: ['process/uncaught.ts'],
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
  });
  const shows = programs.some((program) => SHOW_PAGE.includes(program));
  const inputs = [
    ...Object.keys(metafile.inputs),
    ...(shows ? bundlePage(esbuild, root, folder) : []),
  ];
  const packages = inputs.map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  const strange = inputs.filter(
    (path, at) => packages[at] === undefined && !FOLDERS.includes(path.split('/')[0]),
  );
  if (strange.length > 0) {
    throw new Error(
      `Cannot build: ${strange.join(', ')} would change unnoticed, sources must lie in ${FOLDERS.join(', ')}`,
    );
  }
  for (const path of READ) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(root, path), join(folder, path));
  }
  return [...new Set(packages)].filter((name) => name !== undefined).sort();
}

/** How what runs in browsers is bundled. */
export const FOR_BROWSERS = {
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2023',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'silent',
};

/** Makes the page in `folder`, for browsers. Returns the paths of all that went into it. */
export function bundlePage(esbuild, root, folder) {
  const { metafile } = esbuild.buildSync({
    ...FOR_BROWSERS,
    absWorkingDir: root,
    entryPoints: PAGE_BUNDLED,
    outdir: join(folder, 'page'),
    metafile: true,
  });
  for (const path of PAGE_COPIED) copyFileSync(join(root, path), join(folder, path));
  return Object.keys(metafile.inputs);
}

/**
 * Makes the image's part of the checkout in `folder`: the programs that run there, and the licenses
 * of the packages inside. Returns the names of these.
 */
export function bundleForImage(esbuild, root, folder) {
  const packages = bundle(esbuild, root, IN_IMAGE, folder);
  writeFileSync(
    join(folder, 'LICENSES.txt'),
    packages.map((name) => licenseOf(join(root, 'node_modules', name))).join('\n\n'),
  );
  return packages;
}

function licenseOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((path) => /^(license|licence)/i.test(path));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `=== ${name} ${version} (${license})\n\n${text}`.trim();
}

/**
 * The built file of `program` that is what the sources are now, and the folder of its build; built
 * where there is none. Undefined where none can be built: no esbuild, or a folder that this process
 * may not write to. `load` resolves to the package esbuild.
 */
export async function builtProgram(root, program, load = () => import('esbuild')) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const key = sourcesKey(root);
    const folder = join(buildsOf(root), key);
    const file = join(folder, javascript(program));
    if (existsSync(file)) return { folder, file };
    try {
      if (await build(root, program, key, load)) return { folder, file };
    } catch {
      // The sources run as they are, and say what is wrong with them, if anything is.
      return undefined;
    }
  }
  return undefined;
}

function javascript(program) {
  return program.replace(/\.ts$/, '.js');
}

/** Resolves to false where the sources changed meanwhile. */
async function build(root, program, key, load) {
  const esbuild = await load();
  mkdirSync(buildsOf(root), { recursive: true });
  const draft = mkdtempSync(join(buildsOf(root), 'draft-'));
  try {
    const programs = [...(STARTED_BY[program] ?? []), program];
    bundle(esbuild, root, programs, draft);
    if (sourcesKey(root) !== key) return false;
    const folder = join(buildsOf(root), key);
    // A program comes last: where it is, everything that it reads is.
    const built = programs.map(javascript).flatMap((path) => [`${path}.map`, path]);
    const page = programs.some((path) => SHOW_PAGE.includes(path)) ? PAGE_FILES : [];
    for (const path of [...READ, ...page, ...built]) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      renameSync(join(draft, path), join(folder, path));
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  removeOld(root);
  return true;
}

/** Folders are made once, so their order is that of the builds; drafts that nobody ended count. */
function removeOld(root) {
  const builds = readdirSync(buildsOf(root))
    .map((name) => join(buildsOf(root), name))
    .map((path) => ({ path, madeMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.madeMs - a.madeMs);
  for (const { path } of builds.slice(KEPT)) rmSync(path, { recursive: true, force: true });
}

const [, self = '', folder] = process.argv;
if (resolve(self) === fileURLToPath(import.meta.url)) {
  if (folder === undefined) throw new Error('usage: node scripts/build.mjs FOLDER');
  bundleForImage(await import('esbuild'), dirname(dirname(resolve(self))), resolve(folder));
}
