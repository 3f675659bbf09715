/** Appends lines as records. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { FRAME_BYTES_MAX } from '../../../base/limits.ts';
import type { Acks, Compression, ProducerRecord, Tidemark } from '../../index.ts';
import { Appending } from '../appending.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { CliError } from '../exit.ts';
import { type RecordOptions, recordOf } from '../input-records.ts';
import { type Line, splitLines, untilInterrupted } from '../lines.ts';
import type { Surroundings } from '../output.ts';
import { JSON_LINE_BYTES_MAX } from '../record-json.ts';
import { PRODUCER_BATCH_BYTES_MAX } from '../units.ts';
import { reasonOf } from '../../../base/reason.ts';

/** Options of `append`. */
export interface AppendOptions extends CommonOptions, RecordOptions {
  /** All records as one batch, or none: only if their partition ends there. */
  readonly ifOffset?: number;
  readonly acks: Acks;
  readonly compression: Compression;
  readonly nullDelimited?: boolean;
  /** By plain calls, through the given servers alone. */
  readonly plain?: boolean;
  /** Lines at the beginning of the input that are read and not appended. */
  readonly skipLines?: number;
  /** Default: the topic's, as far as a producer may go. */
  readonly batchBytesMax?: number;
  /** Milliseconds after which a record that nobody acknowledged has failed. */
  readonly timeout: number;
}

const NEWLINE = 0x0a;
const NOTHING = new Uint8Array(0);

export async function append(
  topic: string,
  files: readonly string[],
  options: AppendOptions,
  around: Surroundings,
): Promise<void> {
  const isOneTombstone = options.tombstone === true && options.key !== undefined;
  checkTogether(topic, files, options, isOneTombstone);
  const totalBytes = await sizeOf(files);
  await withPatience(options, around, async (cluster, { out, heard }) => {
    const batchBytesMax = await lookUp(cluster, topic, options);
    const { acks, compression, timeout: deliveryTimeoutMs, skipLines = 0, plain } = options;
    const appending = new Appending(
      { cluster, around, out, heard, totalBytes },
      { acks, compression, batchBytesMax, deliveryTimeoutMs, isPlain: plain === true },
      skipLines,
    );
    const input = new Input(files);
    try {
      if (options.ifOffset !== undefined) {
        const lines = isOneTombstone ? null : input.lines(options, around, appending.tally);
        await appendTogether(topic, lines, { ...options, batchBytesMax }, around, appending);
      } else if (isOneTombstone) {
        const line = { bytes: NOTHING, isTerminated: true };
        appending.offer({ ...recordOf(topic, line, options, 1), context: undefined });
      } else {
        await appendLines(topic, input, options, around, appending);
      }
      await appending.finish();
    } finally {
      appending.stop();
    }
    appending.summarize();
    if (around.interrupted.aborted && !isOneTombstone)
      out.note(`Interrupted; to go on: --skip-lines ${appending.doneLines}`);
    appending.throwIfStopped((line) => input.placeOf(line));
  });
}

function checkTogether(
  topic: string,
  files: readonly string[],
  {
    input,
    key,
    keyBy,
    tombstone,
    nullDelimited,
    repartition,
    partition,
    skipLines,
    ifOffset,
  }: AppendOptions,
  isOneTombstone: boolean,
): void {
  const refuse = (reason: string): never => {
    throw new CliError('INVALID_ARGUMENT', `Cannot append to "${topic}": ${reason}`);
  };
  if (isOneTombstone && (files.length > 0 || skipLines !== undefined))
    refuse('--tombstone with --key appends one record and reads no file');
  if (repartition === true && (input !== 'json' || partition !== undefined))
    refuse('--repartition needs --input json, and no --partition');
  if (ifOffset !== undefined && skipLines !== undefined)
    refuse('with --if-offset the input is one batch; leave --skip-lines out');
  if (input !== 'json') return;
  const given = [
    ...(key === undefined ? [] : ['--key']),
    ...(keyBy === undefined ? [] : ['--key-by']),
    ...(tombstone === true ? ['--tombstone'] : []),
    ...(nullDelimited === true ? ['--null-delimited'] : []),
  ];
  if (given.length > 0)
    refuse(`with --input json each line says what its record is; leave ${given.join(', ')} out`);
}

/**
 * Tells a wrong name, or a cluster that is not there, before input is read. Resolves to the largest
 * batch to send.
 */
async function lookUp(
  cluster: Tidemark,
  topic: string,
  { partition, batchBytesMax }: AppendOptions,
): Promise<number> {
  // Waits for a server that has not heard of a new topic yet.
  const partitions = await cluster.producer().lookUp(topic);
  if (partition !== undefined && partition >= partitions)
    throw new CliError(
      'UNKNOWN_PARTITION',
      `Cannot append to "${topic}": partition is ${partition}, must be 0 to ${partitions - 1}`,
    );
  if (batchBytesMax !== undefined) return batchBytesMax;
  const { config } = await cluster.admin().describeTopic(topic);
  return Math.min(config.batchBytesMax ?? PRODUCER_BATCH_BYTES_MAX, PRODUCER_BATCH_BYTES_MAX);
}

/**
 * All of the input, or nothing: what was read before Ctrl-C is not what was meant.
 *
 * @param input null: one record without a value
 */
async function appendTogether(
  topic: string,
  input: AsyncIterable<Line[]> | null,
  options: AppendOptions & { readonly batchBytesMax: number },
  around: Surroundings,
  appending: Appending,
): Promise<void> {
  const { tally } = appending;
  const { batchBytesMax, ifOffset = 0 } = options;
  const records: ProducerRecord[] = [];
  if (input === null) {
    const line = { bytes: NOTHING, isTerminated: true };
    records.push({ ...recordOf(topic, line, options, 1), context: undefined });
  }
  for await (const line of input === null ? [] : flat(input)) {
    tally.lines += 1;
    tally.readBytes += line.bytes.length + (line.isTerminated ? 1 : 0);
    if (tally.readBytes > batchBytesMax)
      throw new CliError(
        'BATCH_TOO_LARGE',
        `Cannot append to "${topic}" with --if-offset: the input must have ${batchBytesMax} bytes or fewer, those of one batch`,
      );
    records.push(recordOf(topic, line, options, tally.lines));
  }
  if (around.interrupted.aborted)
    throw new CliError('ABORTED', 'Interrupted before the end of the input: nothing was appended');
  await appending.together(records, ifOffset);
}

async function* flat(input: AsyncIterable<Line[]>): AsyncGenerator<Line> {
  for await (const lines of input) yield* lines;
}

async function appendLines(
  topic: string,
  input: Input,
  options: AppendOptions,
  around: Surroundings,
  appending: Appending,
): Promise<void> {
  const { tally } = appending;
  const { skipLines = 0 } = options;
  try {
    for await (const lines of input.lines(options, around, tally))
      if (!(await offerAll(topic, lines, options, appending))) return;
  } catch (error) {
    // Read, or cut into lines, no further.
    appending.refuse(tally.lines + 1, readingError(error), false);
    return;
  }
  if (tally.lines < skipLines && !around.interrupted.aborted)
    throw new CliError(
      'INVALID_ARGUMENT',
      `Cannot append to "${topic}": --skip-lines is ${skipLines}, must be at most the lines of the input, which has ${tally.lines}`,
    );
}

/** False: nothing more is to be appended. */
async function offerAll(
  topic: string,
  lines: readonly Line[],
  options: AppendOptions,
  appending: Appending,
): Promise<boolean> {
  const { tally } = appending;
  const { skipLines = 0 } = options;
  for (const line of lines) {
    tally.lines += 1;
    tally.readBytes += line.bytes.length + (line.isTerminated ? 1 : 0);
    if (tally.lines <= skipLines) continue;
    const taken = offer(topic, line, options, appending);
    if (!(typeof taken === 'boolean' ? taken : await taken)) return false;
  }
  return true;
}

/** As {@link offerAll}. Waits only where there is no room. */
function offer(
  topic: string,
  line: Line,
  options: AppendOptions,
  appending: Appending,
): boolean | Promise<boolean> {
  const { lines } = appending.tally;
  try {
    const record = recordOf(topic, line, options, lines);
    if (!appending.offer(record)) return offerLater(record, appending);
    return !appending.hasFailed;
  } catch (error) {
    appending.refuse(lines, error, true);
    return false;
  }
}

async function offerLater(record: ProducerRecord, appending: Appending): Promise<boolean> {
  do await appending.room();
  while (!appending.offer(record));
  return !appending.hasFailed;
}

/** An error of the operating system as one of what was asked. */
function readingError(error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error;
  return new CliError('INVALID_ARGUMENT', `cannot read it: ${error.message}`);
}

/** Several files, or standard input, as one sequence of lines. */
class Input {
  readonly #names: readonly string[];
  /** Lines before each file that was opened. */
  readonly #linesBefore: number[] = [];

  constructor(files: readonly string[]) {
    this.#names = files.length === 0 ? ['-'] : files;
  }

  /**
   * Lines of one file after the other, up to Ctrl-C; `counted` tells how many were read before.
   * Throws BATCH_TOO_LARGE behind the lines before one that is too long.
   */
  async *lines(
    { input, nullDelimited }: AppendOptions,
    { stdin, interrupted }: Surroundings,
    counted: { readonly lines: number },
  ): AsyncGenerator<Line[]> {
    const delimiter = nullDelimited === true ? 0 : NEWLINE;
    const lineBytesMax = input === 'json' ? JSON_LINE_BYTES_MAX : FRAME_BYTES_MAX;
    for (const name of this.#names) {
      this.#linesBefore.push(counted.lines);
      const stream = name === '-' ? stdin : createReadStream(name, { highWaterMark: 256 * 1024 });
      const chunks = untilInterrupted(stream as AsyncIterable<Uint8Array>, interrupted);
      yield* splitLines(chunks, delimiter, lineBytesMax);
      if (interrupted.aborted) return;
    }
  }

  /** How a person finds a line, by its number over all files. */
  placeOf(line: number): string {
    if (this.#names.length === 1) return `line ${line}`;
    const at = this.#linesBefore.findLastIndex((before) => before < line);
    const name = this.#names[at] === '-' ? 'standard input' : `"${this.#names[at] ?? ''}"`;
    return `line ${line - (this.#linesBefore[at] ?? 0)} of ${name}, which is line ${line} of all`;
  }
}

/** Bytes of all files together; undefined when standard input is among them. */
async function sizeOf(files: readonly string[]): Promise<number | undefined> {
  let bytes = 0;
  for (const file of files.filter((name) => name !== '-')) {
    try {
      const found = await stat(file);
      if (found.isDirectory()) throw new Error('it is a folder');
      bytes += found.size;
    } catch (error) {
      throw new CliError('INVALID_ARGUMENT', `cannot read "${file}": ${reasonOf(error)}`);
    }
  }
  return files.length === 0 || files.includes('-') ? undefined : bytes;
}
