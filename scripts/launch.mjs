/**
 * Starts a TypeScript program of the project on the pinned Node and stands in for it: same
 * terminal, signals and exit code.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { PROGRAMS } from './build.mjs';
import {
  ensureInstalled,
  fail,
  pinnedNode,
  programEnvironment,
  root,
  whyNodeFails,
} from './install.mjs';

/** The dynamic loader's exit code when a library is missing. */
const LOADER_FAILED = 127;
/**
 * Signals that a terminal sends to every process in front of it, so that passing them on would
 * deliver them twice.
 */
const TERMINAL_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGHUP'];
const OTHER_SIGNALS = ['SIGTERM', 'SIGUSR1', 'SIGUSR2'];

/**
 * Runs `program` (a path from the project's folder) with `args`; this process ends as the program
 * does.
 */
export function launch(program, args) {
  ensureInstalled();
  const node = pinnedNode();
  const path = relative(root, resolve(root, program));
  const isBuilt = PROGRAMS.includes(path);
  const file = join(root, isBuilt ? 'scripts/program.mjs' : path);
  const child = spawn(node, [file, ...(isBuilt ? [path] : []), ...args], {
    stdio: 'inherit',
    env: programEnvironment({ isBuilt }),
  });
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some(
    (stream) => stream.isTTY,
  );
  const pass = (signal) => child.kill(signal);
  for (const signal of OTHER_SIGNALS) process.on(signal, pass);
  for (const signal of TERMINAL_SIGNALS) process.on(signal, hasTerminal ? () => {} : pass);
  child.on('error', (error) => fail(`Cannot start ${node}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal !== null) {
      for (const name of [...OTHER_SIGNALS, ...TERMINAL_SIGNALS]) process.removeAllListeners(name);
      process.exitCode = 128 + (constants.signals[signal] ?? 0);
      process.kill(process.pid, signal);
      return;
    }
    const reason = code === LOADER_FAILED ? whyNodeFails(node) : undefined;
    if (reason !== undefined) fail(reason);
    process.exitCode = code ?? 1;
  });
}
