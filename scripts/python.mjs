/**
 * A Python with gRPC, for the test that drives a cluster from generated Python code. Made once,
 * inside `node_modules`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';

const GRPC = 'grpcio==1.85.1';
const PROTOBUF = 'protobuf==7.36.2';
/** What code generated from `proto` imports. */
export const RUNTIME = [GRPC, PROTOBUF];
const REQUIREMENTS = [GRPC, 'grpcio-tools==1.85.1', PROTOBUF].join('\n');

const folder = join(root, 'node_modules', '.cache', 'tidemark-python');
const python = join(folder, 'bin', 'python');
const stamp = join(folder, 'requirements.txt');

function run(command, args) {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split('\n').at(-1) ?? `exit code ${status}`;
}

function make() {
  rmSync(folder, { recursive: true, force: true });
  if (run('python3', ['--version']) !== undefined) return 'python3 is not installed';
  const venv = run('python3', ['-m', 'venv', folder]);
  if (venv !== undefined)
    return `python3 cannot make a virtual environment (Debian: python3-venv): ${venv}`;
  const install = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    ...REQUIREMENTS.split('\n'),
  ];
  const pip = run(python, install);
  if (pip !== undefined) return `pip cannot install ${REQUIREMENTS.replaceAll('\n', ', ')}: ${pip}`;
  writeFileSync(stamp, REQUIREMENTS);
  return undefined;
}

/**
 * Makes the environment where it is missing or has other versions.
 * @returns `{ python }`, the path of its interpreter, or `{ missing }`, the reason why there is
 * none
 */
export function ensurePython() {
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === REQUIREMENTS)
    return { python };
  const missing = make();
  return missing === undefined ? { python } : { missing };
}
