/**
 * Images without Docker and without an image registry: buildah runs the project's own Dockerfile as
 * it is, on a stand-in for `node:26-slim` that is made from Debian's packages and npm's, and
 * containerd reads the result from a file.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from '../../cluster/harness/child.ts';
import { run, tryRun } from './run.ts';
import {
  BASE_IMAGE,
  IMAGE,
  IMAGES_DIR,
  type NodePlace,
  NODES,
  PAUSE_IMAGE,
  programPath,
  PYTHON_IMAGE,
  runFile,
} from './settings.ts';

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const DEBIAN = 'bookworm';
/** What Node's binary links against, beyond a minimal Debian. */
const LIBRARIES = 'ca-certificates,libatomic1,libstdc++6';

function buildah(...args: readonly string[]): Promise<string> {
  return run('buildah', ['--storage-driver', 'vfs', '--root', IMAGES_DIR, ...args]);
}

async function idOf(image: string): Promise<string | undefined> {
  const { code, stdout } = await tryRun('buildah', [
    ...['--storage-driver', 'vfs', '--root', IMAGES_DIR],
    ...['images', '--quiet', '--no-trunc', image],
  ]);
  return code === 0 ? stdout.trim().split('\n')[0] : undefined;
}

/** Builds the project's image from the Dockerfile and the working tree. Resolves to its name. */
export async function buildImage(): Promise<string> {
  await ensureBase();
  const before = await idOf(IMAGE);
  // The network is npm's, for `npm ci`; layers are kept, so it runs again only where the lock file
  // changed.
  const how = ['--isolation', 'chroot', '--network', 'host', '--layers', '--pull-never'];
  await buildah('build', '--quiet', ...how, '--tag', IMAGE, ROOT);
  // Every image is a full copy of its files: the one before it is not kept.
  if (before !== undefined && before !== (await idOf(IMAGE)))
    await tryRun('buildah', ['--storage-driver', 'vfs', '--root', IMAGES_DIR, 'rmi', before]);
  return IMAGE;
}

/**
 * Builds {@link PYTHON_IMAGE} from a folder with packages and programs of Python. Resolves to its
 * name.
 */
export async function buildPythonImage(folder: string): Promise<string> {
  await ensureBase();
  // The network is apt's, once.
  const how = ['--isolation', 'chroot', '--network', 'host', '--layers', '--pull-never'];
  const file = join(ROOT, 'test', 'kube', 'pod', 'python.Dockerfile');
  await buildah('build', '--quiet', ...how, '--file', file, '--tag', PYTHON_IMAGE, folder);
  return PYTHON_IMAGE;
}

/** Writes an image that buildah holds to a file that containerd reads. */
async function exportImage(image: string, file: string): Promise<void> {
  mkdirSync(runFile('images'), { recursive: true });
  rmSync(file, { force: true });
  await buildah('push', '--quiet', image, `docker-archive:${file}:${image}`);
}

/** Brings an image from a file onto a node. */
export async function importImage({ socket }: NodePlace, file: string): Promise<void> {
  await run('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', file]);
}

/** Brings an image that buildah holds onto every node. */
export async function loadImage(image: string): Promise<void> {
  const file = runFile('images', 'load.tar');
  await exportImage(image, file);
  for (const node of NODES) await importImage(node, file);
  rmSync(file);
}

/**
 * Gives an image that all nodes have another name besides, as if the same had been released twice.
 */
export async function tagImage(image: string, name: string): Promise<void> {
  for (const { socket } of NODES)
    await run('ctr', [
      '--address',
      socket,
      '--namespace',
      'k8s.io',
      'images',
      'tag',
      '--force',
      image,
      name,
    ]);
}

/** The image of the process that holds a pod's namespaces, as a file. */
export const PAUSE_FILE = runFile('images', 'pause.tar');

/** Writes {@link PAUSE_FILE}. */
export async function makePauseImage(): Promise<void> {
  if ((await idOf(PAUSE_IMAGE)) === undefined) {
    const container = (await buildah('from', 'scratch')).trim();
    await buildah('copy', '--quiet', container, programPath('pause'), '/pause');
    await buildah('config', '--entrypoint', '["/pause"]', container);
    await buildah('commit', '--quiet', '--rm', container, PAUSE_IMAGE);
  }
  await exportImage(PAUSE_IMAGE, PAUSE_FILE);
}

/** Makes the stand-in for `node:26-slim` where there is none: about a minute, once. */
async function ensureBase(): Promise<void> {
  if ((await idOf(BASE_IMAGE)) !== undefined) return;
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-base-'));
  try {
    const root = join(folder, 'root');
    const include = `--include=${LIBRARIES}`;
    await run('debootstrap', ['--variant=minbase', include, DEBIAN, root]);
    await installNode(folder, root);
    await run('chroot', [root, 'groupadd', '--gid', '1000', 'node']);
    await run('chroot', [root, 'useradd', '--uid', '1000', '--gid', '1000', '-m', 'node']);
    rmSync(join(root, 'var/cache/apt'), { recursive: true, force: true });
    rmSync(join(root, 'var/lib/apt/lists'), { recursive: true, force: true });
    await commitBase(root);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Node of the major version that the Dockerfile names, from the package of npm that carries it, and
 * this machine's npm.
 */
async function installNode(folder: string, root: string): Promise<void> {
  const where = ['--prefix', folder, '--silent', '--no-save', '--foreground-scripts'];
  await run('npm', ['install', ...where, '--ignore-scripts=false', 'node@26'], { cwd: folder });
  const node = join(root, 'usr/local/bin/node');
  copyFileSync(join(folder, 'node_modules/node/bin/node'), node);
  chmodSync(node, 0o755);
  const modules = join(root, 'usr/local/lib/node_modules');
  cpSync(await npmFolder(), join(modules, 'npm'), { recursive: true, dereference: true });
  for (const name of ['npm', 'npx']) {
    const target = `../lib/node_modules/npm/bin/${name}-cli.js`;
    await run('ln', ['--symbolic', target, join(root, 'usr/local/bin', name)]);
  }
  // Where the way to the registry leads through a proxy with an authority of its own, the build has
  // to trust it too.
  if (existsSync(CERTIFICATES)) copyFileSync(CERTIFICATES, join(root, CERTIFICATES));
}

/**
 * Where this machine's npm lies: what started this process says so, else the program on the PATH.
 * Asked for its global folder, npm answers by the Node that runs it, which need not be the one that
 * it came with.
 */
async function npmFolder(): Promise<string> {
  const started = process.env['npm_execpath'];
  const program =
    started?.endsWith('npm-cli.js') === true
      ? started
      : await run('sh', ['-c', 'readlink -f "$(command -v npm)"']);
  return dirname(dirname(program.trim()));
}

async function commitBase(root: string): Promise<void> {
  const container = (await buildah('from', 'scratch')).trim();
  await buildah('copy', '--quiet', container, root, '/');
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const trust = `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`;
  await buildah('config', '--env', path, '--env', trust, '--cmd', 'node', container);
  await buildah('commit', '--quiet', '--rm', container, BASE_IMAGE);
}
