/** Programs that run to their end: what they print, or an error that says what failed and why. */
import { spawn } from 'node:child_process';

/** Where Debian and the Go distribution put programs that a plain user's PATH may lack. */
export const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/local/go/bin`;

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program. Resolves however it ended; a program that does not exist ends with code 127. */
export function tryRun(
  program: string,
  args: readonly string[],
  { input = '', cwd, env = {} }: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(program, [...args], { cwd, env: { ...process.env, PATH, ...env } });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that ends before it has read everything says so by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', (error) => resolve({ code: 127, stdout: '', stderr: error.message }));
    child.once('close', (code) =>
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      }),
    );
  });
}

/**
 * Runs a program. Resolves to what it printed; @throws Error with the command and its complaint
 * where it ends with another code than 0.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await tryRun(program, args, options);
  if (code === 0) return stdout;
  const said = `${stderr}${stdout}`.trim().slice(-4_000);
  throw new Error(`"${[program, ...args].join(' ')}" ended with code ${code}: ${said}`);
}
