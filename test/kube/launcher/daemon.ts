/**
 * Programs that keep running: in a network namespace and a cgroup, with everything they print in a
 * file. They outlive whoever started them.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { PATH } from './run.ts';

export interface DaemonPlace {
  readonly netns: string;
  /** File of a cgroup that takes process numbers: see `makeGroup`. */
  readonly group: string;
  readonly logFile: string;
  readonly cwd?: string;
  /** How to enter further namespaces; the program and its arguments are appended. */
  readonly wrapper?: readonly string[];
}

/** Enters the cgroup before anything else runs, so that no child can ever be outside. */
const ENTER_GROUP = 'echo $$ > "$0" && exec "$@"';

/** Returns the process number. */
export function startDaemon(
  program: string,
  args: readonly string[],
  { netns, group, logFile, cwd, wrapper = [] }: DaemonPlace,
): number {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  const inNamespace = ['nsenter', `--net=/run/netns/${netns}`, ...wrapper, program, ...args];
  const child = spawn('sh', ['-c', ENTER_GROUP, group, ...inNamespace], {
    stdio: ['ignore', log, log],
    detached: true,
    env: { ...process.env, PATH },
    ...(cwd === undefined ? {} : { cwd }),
  });
  child.unref();
  closeSync(log);
  if (child.pid === undefined) throw new Error(`${program} does not start`);
  return child.pid;
}
