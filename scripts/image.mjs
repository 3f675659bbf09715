/**
 * `npm run image -- NAME [--platform linux/amd64,linux/arm64] [--push]`: builds the image under
 * NAME for each platform, with docker's buildx or buildah, and with --push sends all of them to
 * NAME's registry under one name. No emulator is needed: nothing of another architecture runs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './install.mjs';
import { show } from './process.mjs';

const PLATFORMS = 'linux/amd64,linux/arm64';
const USAGE = 'Usage: npm run image -- NAME [--platform linux/amd64,linux/arm64] [--push]';

/** What was asked for. Throws where it cannot be meant. */
export function readArguments(args) {
  const given = { name: '', platforms: PLATFORMS, isPushed: false };
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index];
    if (arg === '--push') given.isPushed = true;
    else if (arg === '--platform') given.platforms = args[(index += 1)] ?? '';
    else if (arg.startsWith('-') || given.name !== '') throw new Error(USAGE);
    else given.name = arg;
  }
  const wrong = given.platforms.split(',').filter((one) => !/^linux\/[a-z0-9]+(\/v\d)?$/.test(one));
  if (wrong.length > 0)
    throw new Error(`--platform has "${wrong.join()}", must be linux/ARCHITECTURE,...`);
  if (given.name === '') throw new Error(USAGE);
  return given;
}

/**
 * The commands of one tool, in their order. buildah takes no platform of a stage by itself: what is
 * the same for all is built first, into a folder.
 *
 * @param commit what the metric tidemark_build_info says
 * @param folder an empty one, for buildah
 */
export function imageCommands(tool, { name, platforms, isPushed }, { commit, folder }) {
  const what = ['--platform', platforms, '--build-arg', `COMMIT=${commit}`];
  if (tool === 'docker') {
    const pushed = isPushed ? ['--push'] : [];
    return [['docker', 'buildx', 'build', ...what, '--tag', name, ...pushed, '.']];
  }
  const files = ['--target', 'files', '--output', `type=local,dest=${folder}`];
  const context = ['--build-context', `files=${folder}`];
  return [
    ['buildah', 'build', ...files, '.'],
    ['buildah', 'build', ...what, ...context, '--manifest', name, '.'],
    ...(isPushed ? [['buildah', 'manifest', 'push', '--all', name, `docker://${name}`]] : []),
  ];
}

function isThere(command) {
  try {
    execFileSync(command[0], command.slice(1), { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function main() {
  const given = readArguments(process.argv.slice(2));
  const tool = isThere(['docker', 'buildx', 'version']) ? 'docker' : 'buildah';
  if (tool === 'buildah' && !isThere(['buildah', '--version']))
    throw new Error('Neither docker buildx nor buildah is there: install one of them');
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-image-'));
  try {
    for (const [program, ...args] of imageCommands(tool, given, { commit, folder })) {
      const code = await show(program, args, { cwd: root });
      if (code !== 0) return code;
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  main().then(
    (code) => {
      process.exitCode = code;
    },
    (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 64;
    },
  );
