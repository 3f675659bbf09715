/**
 * `npm run lock`: rewrites package-lock.json after a change of package.json.
 *
 * npm leaves out the optional packages of other platforms that the registry in use does not carry,
 * and `npm ci` then refuses the lock file everywhere. This adds them back by name and version;
 * their hash is missing, because nobody here has seen them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lockFile = `${root}package-lock.json`;

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'sunos', 'win32'];
const PROCESSORS = {
  aarch64: 'arm64',
  arm: 'arm',
  arm64: 'arm64',
  armv7: 'arm',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x64',
};

/** What an optional package runs on, read from its name: `@scope/name-linux-x64-musl`. */
function platform(name) {
  const words = name.split(/[-/]/);
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
  if (os === undefined || cpu === undefined)
    throw new Error(`cannot tell the platform of "${name}" from its name`);
  return { os: [os], cpu: [cpu], libc: words.includes('musl') ? ['musl'] : undefined };
}

/**
 * Adds every optional dependency that the lock file names but does not hold. Returns their names.
 */
function complete(lock) {
  const added = [];
  for (const owner of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (lock.packages[path] !== undefined) continue;
      const { os, cpu, libc } = platform(name);
      // The order in which npm itself writes the fields, so that its next write changes nothing.
      lock.packages[path] = {
        version,
        cpu,
        ...(owner.dev ? { dev: true } : {}),
        ...(libc ? { libc } : {}),
        optional: true,
        os,
      };
      added.push(name);
    }
  }
  const paths = Object.keys(lock.packages).sort((left, right) => left.localeCompare(right, 'en'));
  lock.packages = Object.fromEntries(paths.map((path) => [path, lock.packages[path]]));
  return added;
}

const npm = spawnSync('npm', ['install', '--package-lock-only', '--loglevel=error'], {
  cwd: root,
  stdio: 'inherit',
});
if (npm.status !== 0) process.exit(npm.status ?? 1);
const lock = JSON.parse(readFileSync(lockFile, 'utf8'));
const added = complete(lock);
writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`);
console.log(
  `package-lock.json holds ${Object.keys(lock.packages).length - 1} packages; ${added.length} added by name`,
);
