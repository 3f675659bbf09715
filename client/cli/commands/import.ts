/**
 * Makes a topic of what `topic export` wrote: the same partitions, records and order, and other
 * offsets. A file is checked as a whole before anything is appended, standard input line by line.
 */
import { createReadStream } from 'node:fs';
import { crc32 } from 'node:zlib';
import { recordCrc } from '../../../wire/records/record-crc.ts';
import { present } from '../../check.ts';
import { TidemarkError } from '../../errors.ts';
import type { Compression, Tidemark, TopicConfig } from '../../index.ts';
import { bytesOf } from '../../values.ts';
import { Appending } from '../appending.ts';
import { type CommonOptions, type Context, withPatience } from '../context.ts';
import { CliError, reportOf } from '../exit.ts';
import { type Line, splitLines, untilInterrupted } from '../lines.ts';
import type { Surroundings } from '../output.ts';
import { JSON_LINE_BYTES_MAX } from '../record-json.ts';
import {
  type FileRecord,
  type TopicFileEntry,
  TopicFileReader,
  type TopicHead,
} from '../topic-file.ts';
import { formatCount, PRODUCER_BATCH_BYTES_MAX } from '../units.ts';

/** Options of `topic import`. */
export interface ImportOptions extends CommonOptions {
  readonly compression: Compression;
  /** In place of the file's. */
  readonly replicationFactor?: number;
  readonly minInSyncReplicas?: number;
  /** Go on: the topic holds the first records of each partition of the file. */
  readonly resume?: boolean;
  /** Append behind whatever the topic holds. */
  readonly add?: boolean;
  /** Milliseconds after which a record that nobody acknowledged has failed. */
  readonly timeout: number;
}

const NEWLINE = 0x0a;

/** Records of a partition: how many, and a checksum of them in order. */
interface Content {
  readonly records: number;
  readonly crc: number;
}

type Contents = ReadonlyMap<number, Content>;

const EMPTY: Content = { records: 0, crc: 0 };

export async function importTopic(
  name: string,
  file: string | undefined,
  options: ImportOptions,
  around: Surroundings,
): Promise<void> {
  if (options.resume === true && options.add === true)
    throw new CliError('INVALID_ARGUMENT', 'option --resume cannot be used with option --add');
  if (file !== undefined && file !== '-') await checkWhole(name, file, around);
  await withPatience(options, around, async (cluster, context) => {
    const importing = new Import(cluster, name, options, context);
    await importing.run(linesOf(file, around));
  });
}

/** Throws INVALID_ARGUMENT for a file that is cut or changed, before anything is done. */
async function checkWhole(name: string, file: string, around: Surroundings): Promise<void> {
  const reader = new TopicFileReader();
  for await (const lines of linesOf(file, around))
    for (const line of lines) take(reader, name, line);
  if (!around.interrupted.aborted) finish(reader, name);
}

function take(reader: TopicFileReader, name: string, { bytes }: Line): TopicFileEntry {
  try {
    return reader.read(bytes);
  } catch (error) {
    throw refused(name, `line ${reader.lines}: ${reportOf(error).message}`);
  }
}

function finish(reader: TopicFileReader, name: string): void {
  try {
    reader.finish();
  } catch (error) {
    throw refused(name, reportOf(error).message);
  }
}

function refused(name: string, reason: string): CliError {
  return new CliError('INVALID_ARGUMENT', `Cannot import "${name}": ${reason}`);
}

async function* linesOf(file: string | undefined, around: Surroundings): AsyncGenerator<Line[]> {
  const stream =
    file === undefined || file === '-'
      ? around.stdin
      : createReadStream(file, { highWaterMark: 256 * 1024 });
  const chunks = untilInterrupted(stream as AsyncIterable<Uint8Array>, around.interrupted);
  try {
    yield* splitLines(chunks, NEWLINE, JSON_LINE_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new CliError('INVALID_ARGUMENT', `cannot read "${file ?? '-'}": ${error.message}`);
  }
}

/** One import, from the first line to the last. */
class Import {
  readonly #cluster: Tidemark;
  readonly #name: string;
  readonly #options: ImportOptions;
  readonly #context: Context & { readonly heard: () => void };
  readonly #reader = new TopicFileReader();
  /** What the file holds of each partition, as far as it was read. */
  readonly #seen = new Map<number, Content>();
  #held: Contents = new Map();
  #isCreated = false;
  /** What the topic gets once all is there: see {@link filling}. */
  #afterwards: TopicConfig | undefined;
  #leftOut = 0;
  #appending: Appending | undefined;

  constructor(
    cluster: Tidemark,
    name: string,
    options: ImportOptions,
    context: Context & { readonly heard: () => void },
  ) {
    this.#cluster = cluster;
    this.#name = name;
    this.#options = options;
    this.#context = context;
  }

  async run(input: AsyncIterable<Line[]>): Promise<void> {
    const { around, out } = this.#context;
    let fault: unknown;
    try {
      await this.#readAll(input);
      if (!around.interrupted.aborted && this.#appending?.hasFailed !== true)
        finish(this.#reader, this.#name);
    } catch (error) {
      fault = error;
    }
    if (this.#appending === undefined) throw fault;
    await this.#appending.finish();
    this.#summarize(this.#appending);
    if (around.interrupted.aborted)
      out.note('Interrupted; to go on: the same command with --resume');
    this.#throwIfStopped(this.#appending, fault);
    if (around.interrupted.aborted) return;
    if (this.#options.resume === true) await this.#checkResumed();
    if (this.#afterwards === undefined) return;
    await this.#cluster.admin().alterTopic({ name: this.#name, config: this.#afterwards });
  }

  async #readAll(input: AsyncIterable<Line[]>): Promise<void> {
    for await (const lines of input) {
      for (const line of lines) {
        const entry = take(this.#reader, this.#name, line);
        if (entry.kind === 'head') await this.#prepare(entry.head);
        else if (entry.kind === 'record') await this.#add(entry.record, line.bytes.length);
        if (this.#appending?.hasFailed === true) return;
      }
    }
  }

  /** Makes the topic, or sees whether the one that there is may be filled. */
  async #prepare(head: TopicHead): Promise<void> {
    const { compression, timeout: deliveryTimeoutMs, resume, add } = this.#options;
    const topic = await this.#topicFor(head);
    if (!this.#isCreated && add !== true)
      this.#held = await contentsOf(
        this.#cluster,
        this.#name,
        this.#context.heard,
        resume === true,
      );
    if (this.#held.size > 0 && resume !== true)
      throw new CliError(
        'TOPIC_EXISTS',
        `Cannot import "${this.#name}": it exists and holds records; --resume goes on with an import of the same file, --add appends behind what it holds`,
      );
    const { around, out, heard } = this.#context;
    this.#appending = new Appending(
      { cluster: this.#cluster, around, out, heard, totalBytes: undefined },
      {
        acks: 'all',
        compression,
        deliveryTimeoutMs,
        batchBytesMax: Math.min(
          topic.config.batchBytesMax ?? PRODUCER_BATCH_BYTES_MAX,
          PRODUCER_BATCH_BYTES_MAX,
        ),
      },
      0,
    );
  }

  async #topicFor({ partitions, replicationFactor, config }: TopicHead) {
    const { replicationFactor: copies, minInSyncReplicas: min, resume } = this.#options;
    const admin = this.#cluster.admin();
    const { first, afterwards } = filling(config);
    try {
      const topic = await admin.createTopic({
        name: this.#name,
        partitions,
        replicationFactor: copies ?? replicationFactor,
        config: { ...first, ...(min === undefined ? {} : { minInSyncReplicas: min }) },
      });
      this.#isCreated = true;
      this.#afterwards = afterwards;
      return topic;
    } catch (error) {
      if (!(error instanceof TidemarkError && error.code === 'TOPIC_EXISTS')) throw error;
    }
    const topic = await admin.describeTopic(this.#name);
    if (resume === true && !isCompacted(topic.config)) this.#afterwards = afterwards;
    if (topic.partitions.length === partitions) return topic;
    throw new CliError(
      'TOPIC_EXISTS',
      `Cannot import "${this.#name}": it exists with ${topic.partitions.length} partitions, must have ${partitions}, as the file`,
    );
  }

  async #add(record: FileRecord, lineBytes: number): Promise<void> {
    const appending = this.#appending!;
    const { partition, offset: _, ...fields } = record;
    appending.tally.readBytes += lineBytes + 1;
    if (this.#isHeld(record)) return;
    const produced = { ...fields, topic: this.#name, partition, context: this.#reader.lines };
    while (!appending.offer(produced)) await appending.room();
  }

  /** Whether an earlier import appended it. Throws where the topic holds something else. */
  #isHeld(record: FileRecord): boolean {
    const { partition } = record;
    const seen = withRecord(this.#seen.get(partition), {
      timestampMs: record.timestampMs ?? 0,
      key: record.key === undefined ? undefined : bytesOf(record.key, 'key'),
      value: record.value === null ? null : bytesOf(record.value, 'value'),
      headers: record.headers?.map(({ key, value }) => ({ key, value: bytesOf(value, 'value') })),
    });
    this.#seen.set(partition, seen);
    const held = this.#held.get(partition) ?? EMPTY;
    if (seen.records > held.records) return false;
    if (seen.records === held.records && seen.crc !== held.crc)
      throw refused(
        this.#name,
        `partition ${partition} holds ${held.records} records that are not the first ones of the file`,
      );
    this.#leftOut += 1;
    return true;
  }

  #summarize({ tally }: Appending): void {
    const { out } = this.#context;
    const partitions = tally.partitions();
    const value = {
      topic: this.#name,
      created: this.#isCreated,
      records: tally.records,
      alreadyThere: this.#leftOut,
      failed: tally.failed,
      seconds: tally.seconds,
      partitions,
    };
    out.result(value, () => {
      const before =
        this.#leftOut === 0 ? '' : `, ${formatCount(this.#leftOut)} were there already`;
      out.line(
        `Imported ${formatCount(tally.records)} records into ${this.#isCreated ? 'the new topic ' : ''}"${this.#name}"${before}`,
      );
      const rows = partitions.map((one) => [
        one.partition,
        one.records,
        one.firstOffset,
        one.lastOffset,
      ]);
      if (rows.length > 0) out.table(['PARTITION', 'RECORDS', 'FIRST OFFSET', 'LAST OFFSET'], rows);
    });
  }

  #throwIfStopped({ tally }: Appending, fault: unknown): void {
    const cause = tally.failure ?? fault;
    if (cause === undefined) return;
    const { code, message } = reportOf(cause);
    const place = tally.failedLine === undefined ? '' : `Cannot import line ${tally.failedLine}: `;
    throw new CliError(
      code,
      `${place}${message}; ${formatCount(tally.records)} records are appended; to go on: the same command with --resume`,
      cause,
    );
  }

  /** An earlier import may have been under way still when its records were counted. */
  async #checkResumed(): Promise<void> {
    const now = await contentsOf(this.#cluster, this.#name, this.#context.heard, true);
    for (const partition of new Set([...now.keys(), ...this.#seen.keys()])) {
      const wanted = this.#seen.get(partition) ?? EMPTY;
      const found = now.get(partition) ?? EMPTY;
      if (found.records !== wanted.records || found.crc !== wanted.crc)
        throw new CliError(
          'CONFLICT',
          `Cannot import "${this.#name}": partition ${partition} holds ${found.records} records and the file ${wanted.records}, or others; another import was under way: delete the topic and import it anew`,
        );
    }
  }
}

/**
 * Configs of a topic that is filled, and those that it gets then. While it is compacted it takes no
 * record without a key, which an older topic may have, and drops what `--resume` compares; and of
 * one that is not, retention would take what the file holds.
 */
function filling(config: TopicConfig): {
  readonly first: TopicConfig;
  readonly afterwards: TopicConfig | undefined;
} {
  if (!isCompacted(config)) return { first: config, afterwards: undefined };
  const { cleanup, retentionMs, retentionBytes, retentionRecords } = config;
  const unbounded = { retentionMs: -1, retentionBytes: -1, retentionRecords: -1 };
  return {
    first: { ...config, cleanup: 'delete', ...unbounded },
    afterwards: { cleanup, ...present({ retentionMs, retentionBytes, retentionRecords }) },
  };
}

function isCompacted({ cleanup = 'delete' }: TopicConfig): boolean {
  return cleanup !== 'delete';
}

/** What each partition with records holds; without `isWhole` as much of it as came first. */
async function contentsOf(
  cluster: Tidemark,
  topic: string,
  heard: () => void,
  isWhole: boolean,
): Promise<Contents> {
  const contents = new Map<number, Content>();
  const consumer = cluster.consumer({ topic, follow: false });
  for await (const { partition, records } of consumer) {
    heard();
    let content = contents.get(partition);
    for (const record of records) content = withRecord(content, record);
    if (content !== undefined) contents.set(partition, content);
    if (!isWhole) break;
  }
  return contents;
}

function withRecord(before = EMPTY, record: Parameters<typeof recordCrc>[0]): Content {
  const own = Buffer.alloc(4);
  own.writeUInt32BE(recordCrc(record));
  return { records: before.records + 1, crc: crc32(own, before.crc) };
}
