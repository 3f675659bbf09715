/**
 * `npm run pack [-- FOLDER]`: builds what `npm install tidemark` brings, the client library and the
 * command, into FOLDER (default: build), and packs it. The last line is the path of the package.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { ensureInstalled, pinnedNode, root } from './install.mjs';

/** The oldest Node that the package promises to run on, in two spellings. */
const NODE_MIN = '22.15';
/** Whatever the bundle leaves to be installed beside it. */
const DEPENDENCIES = ['@bufbuild/protobuf', '@grpc/grpc-js', 'commander'];
const OPTIONAL_PEER = '@opentelemetry/api';

/** What stands in the package's own package.json. */
function manifest() {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return {
    name: own.name,
    version: own.version,
    description: 'Client library and command of Tidemark, a replicated, append-only log',
    keywords: ['log', 'append-only', 'stream', 'messaging', 'client'],
    license: own.license,
    type: 'module',
    engines: { node: `>=${NODE_MIN}` },
    bin: { tidemark: 'lib/cli/main.js' },
    main: './lib/client/index.js',
    types: './lib/types/client/index.d.ts',
    exports: {
      '.': { types: './lib/types/client/index.d.ts', default: './lib/client/index.js' },
      './package.json': './package.json',
    },
    files: ['lib'],
    sideEffects: false,
    dependencies: Object.fromEntries(DEPENDENCIES.map((name) => [name, own.dependencies[name]])),
    peerDependencies: { [OPTIONAL_PEER]: '>=1.4.0 <2' },
    peerDependenciesMeta: { [OPTIONAL_PEER]: { optional: true } },
  };
}

async function bundle(lib) {
  const esbuild = await import('esbuild');
  await esbuild.build({
    absWorkingDir: root,
    // Folders of one depth, so that package.json lies two above each file, as in the sources.
    entryPoints: { 'client/index': 'client/index.ts', 'cli/main': 'client/cli/main.ts' },
    outdir: lib,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: `node${NODE_MIN}`,
    external: [...DEPENDENCIES, `${DEPENDENCIES[0]}/*`, OPTIONAL_PEER],
    legalComments: 'none',
    logLevel: 'warning',
  });
}

/** Declarations of all that the library's types name, with the paths that JavaScript has. */
function declare(lib) {
  const types = join(lib, 'types');
  const config = join(lib, 'tsconfig.json');
  const compilerOptions = {
    noEmit: false,
    incremental: false,
    declaration: true,
    emitDeclarationOnly: true,
    stripInternal: true,
    rootDir: root,
    outDir: types,
    typeRoots: [join(root, 'node_modules', '@types')],
  };
  const project = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions,
    include: [],
    files: [join(root, 'client', 'index.ts')],
  };
  // tsBuildInfoFile goes with incremental alone.
  writeFileSync(
    config,
    JSON.stringify({ ...project, compilerOptions: { ...compilerOptions, tsBuildInfoFile: null } }),
  );
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(pinnedNode(), [tsc, '--project', config], { stdio: 'inherit' });
  rmSync(config);
  for (const entry of readdirSync(types, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll(/(from |import\()(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2'));
  }
}

/** Builds and packs. Resolves to the path of the package. */
export async function pack(folder) {
  const content = join(folder, 'package');
  rmSync(content, { recursive: true, force: true });
  const lib = join(content, 'lib');
  mkdirSync(lib, { recursive: true });
  const own = manifest();
  writeFileSync(join(content, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  copyFileSync(join(root, 'LICENSE'), join(content, 'LICENSE'));
  copyFileSync(join(root, 'client', 'README.md'), join(content, 'README.md'));
  await bundle(lib);
  declare(lib);
  execFileSync('npm', ['pack', content, '--pack-destination', folder, '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(folder, `${own.name}-${own.version}.tgz`);
}

if (process.argv[1] !== undefined && existsSync(process.argv[1])) {
  const isMain = resolve(process.argv[1]) === join(root, 'scripts', 'pack.mjs');
  if (isMain) {
    ensureInstalled();
    console.log(await pack(resolve(process.argv[2] ?? join(root, 'build'))));
  }
}
