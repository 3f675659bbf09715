/**
 * `tidemark log verify`: shows what the broker's own reader of data directories finds. It runs as a
 * process of its own: the client holds no code of the broker.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { printable } from '../../../base/printable.ts';
import { CliError, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import { Output, type OutputFormat, Progress, type Surroundings } from '../output.ts';

export interface VerifyOptions {
  readonly output: OutputFormat;
}

interface Found {
  readonly grade: 'fault' | 'note';
  readonly file: string;
  readonly position: number | null;
  readonly found: string;
  readonly expected: string;
}

interface Counted {
  readonly faults: number;
  readonly notes: number;
  /** The first thousand. */
  readonly findings: readonly Found[];
}

interface PartitionLine extends Counted {
  readonly key: string;
  readonly segments: number;
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly lastEpoch: number;
}

interface DirectoryLine extends Counted {
  readonly of: 'directory' | 'partition';
  readonly clusterId: string | null;
  readonly brokerId: number | null;
  readonly directoryId: string | null;
  readonly quorum: {
    readonly term: number;
    readonly lastIndex: number;
    readonly snapshotIndex: number;
    readonly frames: number;
  } | null;
}

type Line =
  | ({ readonly kind: 'partition' } & PartitionLine)
  | ({ readonly kind: 'directory' } & DirectoryLine)
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

interface Verdict {
  readonly partitions: readonly PartitionLine[];
  readonly directory: DirectoryLine;
}

/** Shows the directory; resolves with the exit code: 1 where anything is broken. */
export async function verifyLog(
  folder: string,
  program: string | null,
  options: VerifyOptions,
  around: Surroundings,
): Promise<number> {
  if (program === null)
    throw new CliError(
      'INVALID_ARGUMENT',
      'log verify runs where a broker is installed: in its image or a checkout. This package holds the client alone',
    );
  const { partitions, directory } = await verdictOf(folder, program, around);
  const out = new Output(options.output, around);
  const all = [directory, ...partitions];
  const faults = all.reduce((sum, part) => sum + part.faults, 0);
  const notes = all.reduce((sum, part) => sum + part.notes, 0);
  out.result({ folder, faults, notes, directory, partitions }, () => {
    show(out, { partitions, directory });
    const verdict = faults === 0 ? 'No fault' : `${faults} ${faults === 1 ? 'fault' : 'faults'}`;
    const beside = notes === 0 ? '' : `; ${notes} that the next start puts in order`;
    out.line(out.paint(faults === 0 ? 'green' : 'red', `${verdict}${beside}`));
  });
  return faults === 0 ? EXIT_OK : EXIT_CLUSTER;
}

function show(out: Output, { partitions, directory }: Verdict): void {
  const { brokerId, clusterId, quorum } = directory;
  if (directory.of === 'directory')
    out.line(`Broker ${brokerId ?? 'unknown'} of cluster ${printable(clusterId ?? 'unknown')}`);
  if (quorum !== null)
    out.line(
      `Metadata log: term ${quorum.term}, last entry ${quorum.lastIndex}, snapshot at ${quorum.snapshotIndex}`,
    );
  out.table(
    ['PARTITION', 'SEGMENTS', 'BATCHES', 'RECORDS', 'BYTES', 'START', 'END', 'EPOCH', 'FAULTS'],
    partitions.map((each) => [
      each.key,
      each.segments,
      each.batches,
      each.records,
      each.bytes,
      each.startOffset,
      each.endOffset,
      each.lastEpoch,
      each.faults,
    ]),
  );
  for (const part of [directory, ...partitions]) {
    for (const { grade, file, position, found, expected } of part.findings) {
      const at = position === null ? '' : ` at byte ${position}`;
      const label = out.paint(grade === 'fault' ? 'red' : 'yellow', grade);
      const words = printable(`${file}${at}: found ${found}; expected ${expected}`);
      out.line(`${label} ${words}`);
    }
    const unlisted = part.faults + part.notes - part.findings.length;
    if (unlisted > 0) out.line(`and ${unlisted} more`);
  }
}

async function verdictOf(folder: string, program: string, around: Surroundings): Promise<Verdict> {
  const child = spawn(process.execPath, [program, folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: around.interrupted,
  });
  const ended = new Promise<string>((resolve, reject) => {
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-STDERR_CHARACTERS_MAX);
    });
    child.on('error', reject);
    child.on('close', () => resolve(words));
  });
  // Heard of below; whoever reads its lines first must not meet it unhandled.
  ended.catch(() => undefined);
  const partitions: PartitionLine[] = [];
  let last: Exclude<Line, { kind: 'partition' }> | null = null;
  const progress = new Progress(around, () => `Read ${partitions.length} partitions`);
  try {
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line;
      if (line.kind === 'partition') partitions.push(line);
      else last = line;
    }
  } finally {
    progress.stop();
  }
  const words = await ended;
  if (last?.kind === 'refused') throw new CliError('INVALID_ARGUMENT', last.message);
  if (last === null)
    throw new CliError('INTERNAL', `the reader of data directories ended early: ${words}`);
  return { partitions, directory: last };
}

const STDERR_CHARACTERS_MAX = 4_000;
