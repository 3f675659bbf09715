/** Runs the command in this process, with streams of its own. */
import { PassThrough, Readable } from 'node:stream';
import { run } from '../../../../client/cli/program.ts';

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly interrupted?: AbortSignal;
}

/** Everything that the command wrote, and its exit code. */
export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { stdin = '', env = {}, interrupted = new AbortController().signal } = options;
  const stdout = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  const stderr = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  const input = Readable.from([Buffer.from(stdin)]);
  const exitCode = await run(args, { stdin: input, stdout, stderr, env, interrupted });
  const read = (stream: PassThrough): string => {
    const chunks: Buffer[] = [];
    for (
      let chunk = stream.read() as Buffer | null;
      chunk !== null;
      chunk = stream.read() as Buffer | null
    )
      chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  };
  return { exitCode, stdout: read(stdout), stderr: read(stderr) };
}
