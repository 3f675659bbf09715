/**
 * Talks to the launcher behind `npm start`: one line of JSON each way over the socket that its data
 * folder names.
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { CliError } from '../exit.ts';
import { type Cell, Output, type OutputFormat, type Surroundings } from '../output.ts';

/** Options of every `local` command. */
export interface LocalOptions {
  readonly data: string;
  readonly output: OutputFormat;
}

/** Options of `local kill`. */
export interface KillOptions extends LocalOptions {
  readonly pause?: boolean;
  readonly stop?: boolean;
}

/** What the launcher answers. */
interface LocalAnswer {
  readonly ok: boolean;
  readonly message?: string;
  readonly error?: string;
  readonly brokers?: readonly Readonly<Record<string, unknown>>[];
}

/** A broker that starts answers when it serves. */
const ANSWER_TIMEOUT_MS = 60_000;
const ANSWER_BYTES_MAX = 1024 * 1024;

export async function killBroker(
  broker: number,
  options: KillOptions,
  around: Surroundings,
): Promise<void> {
  if (options.pause === true && options.stop === true) {
    throw new CliError('INVALID_ARGUMENT', 'option --pause cannot be used with option --stop');
  }
  const signal = options.pause === true ? 'SIGSTOP' : options.stop === true ? 'SIGTERM' : 'SIGKILL';
  await tell({ command: 'kill', broker, signal }, options, around);
}

export async function startBroker(
  broker: number,
  options: LocalOptions,
  around: Surroundings,
): Promise<void> {
  await tell({ command: 'start', broker }, options, around);
}

export async function localStatus(options: LocalOptions, around: Surroundings): Promise<void> {
  const answer = await ask({ command: 'status' }, options);
  const out = new Output(options.output, around);
  const { brokers = [] } = answer;
  out.result(brokers, () => {
    const columns = [...new Set(brokers.flatMap((broker) => Object.keys(broker)))];
    const cell = (value: unknown): Cell =>
      typeof value === 'number' || typeof value === 'string'
        ? value
        : value === undefined || value === null
          ? '-'
          : JSON.stringify(value);
    const rows = brokers.map((broker) => columns.map((column) => cell(broker[column])));
    out.table(
      columns.map((column) => column.replace(/Id$/, '').toUpperCase()),
      rows,
    );
  });
}

async function tell(request: object, options: LocalOptions, around: Surroundings): Promise<void> {
  const answer = await ask(request, options);
  const out = new Output(options.output, around);
  out.result(answer, () => out.line(answer.message ?? 'Done'));
}

async function ask(request: object, { data }: LocalOptions): Promise<LocalAnswer> {
  const socket = await socketOf(data);
  const answer = JSON.parse(
    await exchange(socket, `${JSON.stringify(request)}\n`, data),
  ) as LocalAnswer;
  if (!answer.ok)
    throw new CliError(
      'INVALID_ARGUMENT',
      answer.error ?? answer.message ?? 'the launcher refused without a reason',
    );
  return answer;
}

async function socketOf(data: string): Promise<string> {
  try {
    const file = JSON.parse(await readFile(join(data, 'local.json'), 'utf8')) as {
      socket?: unknown;
    };
    if (typeof file.socket === 'string') return file.socket;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  throw new CliError(
    'INVALID_ARGUMENT',
    `no local cluster in "${data}": start one with npm start, or name its folder with --data`,
  );
}

function exchange(socket: string, request: string, data: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket, () => connection.write(request));
    let answer = '';
    connection.setEncoding('utf8').setTimeout(ANSWER_TIMEOUT_MS);
    connection.on('data', (text: string) => {
      answer += text;
      if (!answer.includes('\n') && answer.length <= ANSWER_BYTES_MAX) return;
      connection.end();
      resolve(answer.slice(0, answer.indexOf('\n')));
    });
    const fail = (reason: string): void => {
      connection.destroy();
      reject(
        new CliError('UNREACHABLE', `cannot talk to the local cluster in "${data}": ${reason}`),
      );
    };
    connection.on('timeout', () => fail('no answer in time'));
    connection.on('error', (error) => fail(error.message));
    connection.on('end', () => fail('it closed the connection'));
  });
}
