/**
 * A child process in a process group of its own, with everything it printed in a file. Signals go
 * by process id, and whatever still runs when this process ends is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processEnvironment } from '../../../scripts/process-environment.mjs';

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Runs a program as it is built from the present sources. */
const RUNNER = join(ROOT, 'scripts', 'program.mjs');

const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) signal(child, 'SIGKILL');
});

/** A running, or ended, process. */
export class Child {
  readonly ended: Promise<Ending>;
  readonly logFile: string;
  readonly #child: ChildProcess;
  #ending: Ending | undefined;

  /**
   * Runs a program of this checkout as `npm start` and `tidemark` do, on the Node that runs the
   * test, its output appended to `logFile`.
   *
   * @param before a shell's line that the process runs first, such as a limit of its own
   */
  constructor(
    program: string,
    args: readonly string[],
    logFile: string,
    env: Readonly<Record<string, string>> = {},
    before: string | null = null,
  ) {
    const log = openSync(logFile, 'a');
    this.logFile = logFile;
    // Brokers end in order when the channel closes, so that none outlives a test that was killed
    // itself.
    const line = [process.execPath, RUNNER, program, ...args];
    const [file = '', ...rest] =
      before === null ? line : ['/bin/sh', '-c', `${before} && exec "$@"`, 'sh', ...line];
    this.#child = spawn(file, rest, {
      cwd: ROOT,
      env: { ...environment(), ...env },
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    running.add(this.#child);
    this.ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve(this.#end({ code: 1, signal: null })));
      this.#child.once('exit', (code, by) => resolve(this.#end({ code, signal: by })));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended; undefined while it runs. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Sends a signal to this one process. */
  signal(name: NodeJS.Signals): void {
    if (this.#ending === undefined) process.kill(this.pid, name);
  }

  /** Ends its whole group at once. Resolves when it has ended. */
  async kill(): Promise<void> {
    signal(this.#child, 'SIGKILL');
    await this.ended;
  }

  #end(ending: Ending): Ending {
    running.delete(this.#child);
    this.#ending = ending;
    return ending;
  }
}

/**
 * As the launcher starts programs. Without the tests' own place for what Node compiled: a built
 * program has one beside it.
 */
function environment(): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  return { ...processEnvironment(), ...env };
}

/** The last lines of a file, or nothing where there is no file. */
export function tail(file: string, lines = 25): string {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

/** Everything that a finished program said. */
export interface CommandResult extends Ending {
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A program that is fed and read through pipes: the `tidemark` command, Python. */
export interface Command {
  readonly result: Promise<CommandResult>;
  /** What it printed so far. */
  readonly printed: () => string;
  readonly isOver: () => boolean;
  /** Sends a signal to this one process. */
  readonly signal: (name: NodeJS.Signals) => void;
  /** Ends its whole group at once. */
  readonly kill: () => Promise<void>;
}

/** Starts a program; `input` is its standard input. */
export function command(
  program: string,
  args: readonly string[],
  { input, env = {} }: { input?: Uint8Array; env?: Readonly<Record<string, string>> } = {},
): Command {
  const child = spawn(program, [...args], {
    cwd: ROOT,
    env: { ...environment(), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that ends before it has read everything says so by its exit code.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const result = new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, by) => {
      running.delete(child);
      resolve({
        code,
        signal: by,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
  return {
    result,
    printed: () => Buffer.concat([...stdout, ...stderr]).toString(),
    isOver: () => child.exitCode !== null || child.signalCode !== null,
    signal: (name) => void child.kill(name),
    kill: async () => {
      signal(child, 'SIGKILL');
      await result;
    },
  };
}

/** Starts the `tidemark` command. */
export function tidemark(args: readonly string[], input?: Uint8Array): Command {
  const program = [RUNNER, 'client/cli/main.ts'];
  return command(process.execPath, [...program, ...args], input === undefined ? {} : { input });
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, name);
  } catch (error) {
    // It ended by itself in this moment.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
