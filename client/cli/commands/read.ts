/** Reads records to standard output. */
import { once } from 'node:events';
import type {
  ConsumedRecord,
  Consumer,
  LossPolicy,
  LossRange,
  ResetPolicy,
  StartFrom,
  Tidemark,
} from '../../index.ts';
import { consumed } from '../../consumer/consumed.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { CliError } from '../exit.ts';
import { hasColour, type Surroundings } from '../output.ts';
import { Selection } from '../selection.ts';
import { formatTime, lossSentence } from '../units.ts';
import type { ReadFormat } from '../record-format.ts';
import { recordToJson } from '../record-json.ts';
import { UNTERMINATED_HEADER } from '../input-records.ts';
import { type Batch, readAsMember } from '../member-reading.ts';
import { readPlain } from '../plain-reading.ts';
import { readFromQueue } from '../queue-reading.ts';
import { LEVEL_OF_MEMBERS } from '../../group/group-consumer.ts';

/** Options of `read`. */
export interface ReadOptions extends CommonOptions {
  readonly from: StartFrom;
  readonly follow?: boolean;
  /** Exclusive. */
  readonly to?: StartFrom;
  /** Key. */
  readonly filter?: Uint8Array;
  readonly max?: number;
  readonly partition?: readonly number[];
  readonly format?: ReadFormat;
  readonly keys?: boolean;
  readonly nullDelimited?: boolean;
  readonly rack?: string;
  readonly group?: string;
  readonly alone?: boolean;
  readonly queue?: string;
  /** By plain calls, through the given servers alone. */
  readonly plain?: boolean;
  readonly onReset: ResetPolicy;
  readonly onLoss: 'tell' | 'fail';
}

type Writer = (record: ConsumedRecord) => Uint8Array | string;

export async function read(
  topic: string | undefined,
  options: ReadOptions,
  around: Surroundings,
): Promise<void> {
  if (options.queue !== undefined) await takeFrom(options.queue, topic, options, around);
  else if (topic !== undefined) await readTopic(topic, options, around);
  else
    throw new CliError(
      'INVALID_ARGUMENT',
      'Cannot read: topic is missing, must be given without --queue',
    );
}

/** Records that are leased at a time; with a bound of them no more than one is taken in vain. */
const LEASED_MAX = 100;

async function takeFrom(
  queue: string,
  topic: string | undefined,
  options: ReadOptions,
  around: Surroundings,
): Promise<void> {
  const { follow = false, max } = options;
  await withPatience(options, around, async (cluster, { heard }) => {
    const write = writerOf(options, around);
    const selection = new Selection(max === undefined ? {} : { max });
    const take = async (batch: Batch): Promise<boolean> => {
      heard();
      await print(around, batch, selection.take(batch), write);
      return selection.isDone;
    };
    const recordsMax = max === undefined ? LEASED_MAX : 1;
    const member = cluster.queue(queue, { recordsMax, ...(topic === undefined ? {} : { topic }) });
    await readFromQueue(member, { take, interrupted: around.interrupted, follow });
  });
}

async function readTopic(topic: string, options: ReadOptions, around: Surroundings): Promise<void> {
  const { from, follow = false, partition: partitions, onReset, rack, group } = options;
  // A cursor says all before it is handled: it cannot leave out a rest that was not written.
  if (group !== undefined && options.to !== undefined)
    throw new CliError(
      'INVALID_ARGUMENT',
      'Cannot read: --to does not go with --group, which goes on up to the end; to stop earlier use --max',
    );
  await withPatience(options, around, async (cluster, { heard, out }) => {
    const onLoss: LossPolicy = options.onLoss === 'fail' ? 'throw' : 'yield';
    const settings = { topic, from, follow, onReset, onLoss, partitions, rack, group };
    // Also while it starts: nobody waits for a cluster that does not answer.
    const { interrupted } = around;
    const write = writerOf(options, around);
    const selection = new Selection({
      ...(options.max === undefined ? {} : { max: options.max }),
      ...(options.filter === undefined ? {} : { key: options.filter }),
      ...(options.to === undefined
        ? {}
        : { ends: await endsOf(cluster, topic, { ...options, to: options.to }, interrupted) }),
    });
    if (selection.isDone) return;
    const take = async (item: Batch | LossRange): Promise<boolean> => {
      heard();
      if ('kind' in item) {
        out.note(out.format === 'json' ? JSON.stringify({ loss: item }) : lossSentence(item));
        return false;
      }
      const records = selection.take(item);
      if (records.length > 0) await print(around, item, records, write);
      return selection.isDone;
    };
    if (options.plain === true) {
      const reading = { from, follow, ...(partitions && { partitions }), signal: interrupted };
      await readPlain(cluster.plain(), topic, { ...reading, take });
      return;
    }
    if (group !== undefined && (await isMember(cluster, options))) {
      const start = from === 'earliest' || from === 'latest' ? from : refuseStart();
      // Of one topic alone, so that there is nothing to go on with.
      const onFailed = (_: unknown, error: Error): never => {
        throw error;
      };
      const options = { topics: [topic], from: start, onReset, onLoss, onFailed };
      const member = cluster.group(group, { ...options, ...(rack === undefined ? {} : { rack }) });
      const onIdle = (): void => out.note(`Other members of ${group} read all partitions`);
      await readAsMember(member, { take, interrupted, follow, onIdle });
      return;
    }
    const consumer = cluster.consumer(settings);
    if (group !== undefined && options.max !== undefined)
      await takeOneByOne(consumer, take, interrupted);
    else if (follow && options.to !== undefined)
      await closedAtEnd(consumer, selection, async () => {
        for await (const batch of consumer.batches({ signal: interrupted }))
          if (await take(batch)) break;
      });
    else
      for await (const batch of consumer.batches({ signal: interrupted }))
        if (await take(batch)) break;
  });
}

/** Whoever names partitions, or wants to, reads alone; so does everybody in an older cluster. */
async function isMember(cluster: Tidemark, { alone, partition }: ReadOptions): Promise<boolean> {
  if (alone === true || (partition ?? []).length > 0) return false;
  const { featureLevel } = await cluster.admin().describeCluster();
  return featureLevel >= LEVEL_OF_MEMBERS;
}

function refuseStart(): never {
  throw new CliError(
    'INVALID_ARGUMENT',
    'Cannot read: --from of a member of a group is earliest or latest, where the group has no cursor; to begin elsewhere use tidemark group seek, or --alone',
  );
}

/**
 * Until `take` says that it is enough. Each record counts as handled once it was taken, so that the
 * cursor of a group stands right behind the last of them, in the middle of a batch too.
 */
async function takeOneByOne(
  consumer: Consumer<Uint8Array, Uint8Array, LossRange>,
  take: (item: Batch | LossRange) => Promise<boolean>,
  interrupted: AbortSignal,
): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, interrupted]);
  const handle = async (record: ConsumedRecord | LossRange): Promise<void> => {
    if (enough.signal.aborted) return;
    const item = 'kind' in record ? record : { ...record, records: [record] };
    if (await take(item)) enough.abort();
  };
  try {
    await consumer.parallel({ max: 1, by: 'partition' }, handle, { signal });
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
}

/** Closed once each partition has come to its end, where perhaps no record stands to tell it. */
async function closedAtEnd(
  consumer: Consumer<Uint8Array, Uint8Array, LossRange>,
  selection: Selection,
  read: () => Promise<void>,
): Promise<void> {
  const watch = setInterval(() => {
    if (selection.isPast(consumer.positions())) void consumer.close();
  }, END_WATCH_MS);
  try {
    await read();
  } finally {
    clearInterval(watch);
  }
}

/** The exclusive end in each partition: an offset is the same in all, a moment is looked up. */
async function endsOf(
  cluster: Tidemark,
  topic: string,
  { to, partition: partitions = [] }: ReadOptions & { readonly to: StartFrom },
  signal: AbortSignal,
): Promise<Map<number, number>> {
  const isOffset = typeof to === 'object' && 'offset' in to;
  const found = await cluster
    .admin()
    .listOffsets(topic, { partitions, ...(isOffset ? {} : { at: to }) }, { signal });
  return new Map(
    found.map(({ partition, offset, highWaterMark, error }) => {
      if (error !== undefined) throw error;
      return [partition, isOffset ? to.offset : (offset ?? highWaterMark)];
    }),
  );
}

/** One write for a batch; waits where the reader of our output is slower than we are. */
async function print(
  around: Surroundings,
  batch: Batch,
  records: Batch['records'],
  write: Writer,
): Promise<void> {
  const parts = records.map((record) => Buffer.from(write(consumed(batch, record))));
  if (!around.stdout.write(Buffer.concat(parts)) && !around.interrupted.aborted)
    await once(around.stdout, 'drain');
}

function writerOf(options: ReadOptions, around: Surroundings): Writer {
  const byDefault = around.stdout.isTTY === true ? 'text' : 'raw';
  const format = options.format ?? (options.output === 'json' ? 'json' : byDefault);
  const hasKeys = options.keys === true;
  const delimiter = Buffer.from(options.nullDelimited === true ? '\0' : '\n');
  if (typeof format === 'function') return (record) => Buffer.concat([format(record), delimiter]);
  if (format === 'json') return (record) => `${JSON.stringify(recordToJson(record))}\n`;
  if (format === 'text') {
    const isPainted = hasColour(around.stdout, around.env);
    return (record) => recordText(record, hasKeys, isPainted);
  }
  return rawWriter(hasKeys, delimiter);
}

/** How often a reader that follows up to an end is asked whether it is there. */
const END_WATCH_MS = 100;
const NOTHING = new Uint8Array(0);
const TAB = Buffer.from('\t');

/**
 * The bytes as they were appended; of a tombstone, which has none, the key alone, if keys show. A
 * record that was appended without a delimiter gets one once another follows it: the end of an
 * input is its own, the boundary between two records is not.
 */
function rawWriter(hasKeys: boolean, delimiter: Uint8Array): Writer {
  let isOpen = false;
  return ({ key, value, headers }) => {
    if (value === null && (!hasKeys || key === undefined)) return NOTHING;
    const keyAndTab = hasKeys && value !== null ? [key ?? NOTHING, TAB] : [];
    const parts = [...(isOpen ? [delimiter] : []), ...keyAndTab, value ?? key ?? NOTHING];
    isOpen = value !== null && headers.some((header) => header.key === UNTERMINATED_HEADER);
    return Buffer.concat(isOpen ? parts : [...parts, delimiter]);
  };
}

function recordText(record: ConsumedRecord, hasKeys: boolean, isPainted: boolean): string {
  const { partition, offset, timestampMs, key, value } = record;
  const place = `${partition}:${offset}  ${formatTime(timestampMs)}`;
  const shownKey = hasKeys ? `  ${key === undefined ? '-' : printable(key)}` : '';
  return `${isPainted ? `\u001b[2m${place}\u001b[0m` : place}${shownKey}  ${value === null ? '(tombstone)' : printable(value)}\n`;
}

/** Text with what would move the cursor or ring the bell made visible. */
function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  return text.replaceAll(
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
