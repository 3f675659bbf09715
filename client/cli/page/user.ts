/** Looks, reads and appends for the page, by one connection to a cluster. */
import type {
  About,
  Action,
  LogClusterSeen,
  ProcessDeed,
  ProcessSeen,
  RecordSeen,
  Snapshot,
  TailSeen,
} from '../../../page/snapshot.ts';
import type { ConsumedRecord, Producer, Tidemark } from '../../index.ts';
import { reportOf } from '../exit.ts';
import { look } from '../look.ts';
import { GroupLooks } from './groups.ts';
import { type Beside, snapshotOf, type TimedLook, unreachable } from './snapshot.ts';
import type { PageUser } from './visit.ts';

/** A broker that says nothing for so long is shown as silent. */
const LOOK_MS_MAX = 2_000;
/** Records of a tail. */
const TAIL_RECORDS = 20;
const TAIL_MS_MAX = 5_000;
/** Characters of a key and of a value. */
const SHOWN_LENGTH_MAX = 400;
/** An append of the page says within this what became of it. */
const APPEND_MS_MAX = 10_000;

/** The processes of brokers on this machine. */
export interface ProcessControl {
  status(): readonly ProcessSeen[];
  /** What was done. @throws Error with a sentence for a person */
  carryOut(brokerId: number, deed: ProcessDeed): string;
}

/** What there is beside the cluster itself. */
export interface PageExtras {
  readonly processes?: ProcessControl;
  /** Never rejects. */
  readonly logCluster?: () => Promise<LogClusterSeen>;
  /** Of a connection that is the page's own. */
  readonly close?: () => Promise<void>;
}

/** `close` ends what this made; the connection is its caller's, unless `extras` closes it. */
export function pageUser(
  tidemark: Tidemark,
  about: Omit<About, 'visit'>,
  { processes, logCluster, close }: PageExtras = {},
): PageUser {
  const admin = tidemark.admin();
  const groups = new GroupLooks(tidemark.groups(), () => performance.now());
  let before: TimedLook | undefined;
  let producer: Producer | undefined;
  const lookOnce = async (): Promise<Snapshot> => {
    const seen = logCluster?.() ?? null;
    const beside = async (): Promise<Beside> => ({
      processes: processes?.status() ?? null,
      logCluster: await seen,
      groups: groups.seen,
    });
    try {
      const now = { look: await look(admin, LOOK_MS_MAX), atMs: Date.now() };
      const snapshot = snapshotOf(now, before, await beside());
      before = now;
      return snapshot;
    } catch (error) {
      return unreachable(Date.now(), reportOf(error).message, await beside());
    }
  };
  const carryOut = async (action: Action): Promise<string> => {
    if (action.kind === 'process') {
      if (processes === undefined) throw new Error('no processes of this page');
      return processes.carryOut(action.brokerId, action.deed);
    }
    const { topic, partition, key, value } = action;
    producer ??= tidemark.producer({ deliveryTimeoutMs: APPEND_MS_MAX });
    const record = { topic, partition, value, ...(key === null ? {} : { key }) };
    const { offset } = await producer.send(record);
    return `appended at ${topic}/${partition}, offset ${offset}`;
  };
  return {
    about,
    look: lookOnce,
    tail: (topic, partition, from) => tailOf(tidemark, topic, partition, from),
    carryOut,
    close: async () => {
      await producer?.close();
      await close?.();
    },
  };
}

/** However many were appended since, the newest few are read, and it is said what was passed by. */
async function tailOf(
  tidemark: Tidemark,
  topic: string,
  partition: number,
  from: number | null,
): Promise<TailSeen> {
  const signal = AbortSignal.timeout(TAIL_MS_MAX);
  const [end] = await tidemark.admin().listOffsets(topic, { partitions: [partition] }, { signal });
  if (end?.error !== undefined) throw end.error;
  const { highWaterMark = 0, logStart = 0 } = end ?? {};
  const start = Math.max(logStart, highWaterMark - TAIL_RECORDS, from ?? 0);
  const skipped = from === null ? 0 : start - from;
  if (start >= highWaterMark) return { records: [], next: Math.max(start, highWaterMark), skipped };
  const consumer = tidemark.consumer({
    topic,
    partitions: [partition],
    from: { offset: start },
    follow: false,
    onReset: 'earliest',
    onLoss: 'yield',
  });
  const stop = (): void => void consumer.close();
  signal.addEventListener('abort', stop);
  const records: RecordSeen[] = [];
  let next = start;
  try {
    for await (const record of consumer.records()) {
      if ('kind' in record) continue;
      records.push(seen(record));
      next = record.offset + 1;
      if (records.length >= TAIL_RECORDS) break;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await consumer.close();
  }
  signal.throwIfAborted();
  // What leaders wrote for themselves is no record: the mark may be above the last one.
  if (records.length < TAIL_RECORDS) next = Math.max(next, highWaterMark);
  return { records, next, skipped };
}

function seen({ offset, timestampMs, key, value, headers }: ConsumedRecord): RecordSeen {
  return {
    offset,
    timestampMs,
    key: key === undefined ? null : shown(key),
    value: value === null ? null : shown(value),
    valueBytes: value?.length ?? 0,
    headers: headers.length,
  };
}

/** As many characters as are shown; a character of UTF-8 has four bytes at most. */
function shown(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 4 * SHOWN_LENGTH_MAX));
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}
