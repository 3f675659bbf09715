/**
 * Tries a whole cluster with a topic of its own: asks each broker, appends to each, reads back what
 * was appended and compares it, and deletes the topic whatever happens.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { placeOf } from '../rows.ts';
import { recordCrc } from '../../../wire/records/record-crc.ts';
import type { Tidemark } from '../../index.ts';
import { type CommonOptions, type Context, withPatience } from '../context.ts';
import { EXIT_CLUSTER, EXIT_OK, reportOf } from '../exit.ts';
import { Histogram } from '../histogram.ts';
import type { Surroundings } from '../output.ts';
import { formatCount } from '../units.ts';

/** Options of `self-test`. */
export interface SelfTestOptions extends CommonOptions {
  /** Records for each broker. */
  readonly records: number;
  /** Bytes of each value. */
  readonly size: number;
  /** Milliseconds that each step may take. */
  readonly timeout: number;
}

type Latency = ReturnType<Histogram['summary']>;

/** What was found of one broker. */
interface BrokerResult {
  readonly brokerId: number;
  readonly address: string;
  /** Milliseconds until it answered; absent: it did not. */
  readonly answerMs?: number;
  readonly error?: string;
  /** Of appends to the partition that it was to lead. */
  records: number;
  appendMs?: Latency;
}

interface Report {
  readonly topic: string;
  readonly brokers: readonly BrokerResult[];
  records: number;
  /** Records that came back with the bytes that were appended. */
  recordsSame: number;
  readBackMs: number;
  isDeleted: boolean;
}

/** Most copies of the temporary topic: those of a topic by default. */
const COPIES_MAX = 3;
const MIN_IN_SYNC = 2;

/** Resolves to the exit code. */
export async function selfTest(options: SelfTestOptions, around: Surroundings): Promise<number> {
  return withPatience(options, around, async (cluster, context) => {
    const faults: string[] = [];
    const brokers = await askEach(cluster, options, context);
    for (const { brokerId, error } of brokers)
      if (error !== undefined) faults.push(`broker ${brokerId} does not answer: ${error}`);
    // No other run, and no person, names a topic so.
    const topic = `tidemark-self-test-${randomUUID()}`;
    const report = { topic, brokers, records: 0, recordsSame: 0, readBackMs: 0, isDeleted: false };
    const up = brokers.filter(({ error }) => error === undefined);
    if (up.length > 0) faults.push(...(await tryTopic(cluster, report, up, options, context)));
    tell(report, faults, context);
    return faults.length === 0 ? EXIT_OK : EXIT_CLUSTER;
  });
}

/** Each at its own address, as clients dial it. */
async function askEach(
  cluster: Tidemark,
  { timeout }: SelfTestOptions,
  { connectTo, heard }: Context & { readonly heard: () => void },
): Promise<BrokerResult[]> {
  const { brokers } = await cluster.admin().describeCluster();
  heard();
  return Promise.all(
    brokers.map(async (broker) => {
      const { brokerId, fenced, unreachable } = broker;
      const address = placeOf(broker);
      const result = { brokerId, address, records: 0 };
      if (fenced) return { ...result, error: 'the controller does not hear it' };
      if (unreachable !== '') return { ...result, error: unreachable };
      const startMs = performance.now();
      try {
        const signal = AbortSignal.timeout(timeout);
        // Whoever may come in may ask this, so that rights to the test's own topic are enough.
        await connectTo(address).admin().describeCluster({ signal });
        return { ...result, answerMs: performance.now() - startMs };
      } catch (error) {
        return { ...result, error: reportOf(error).message };
      }
    }),
  );
}

/** Faults in words; none: everything came back as it was appended. */
async function tryTopic(
  cluster: Tidemark,
  report: Report,
  up: readonly BrokerResult[],
  options: SelfTestOptions,
  context: Context & { readonly heard: () => void },
): Promise<string[]> {
  const { topic } = report;
  const faults: string[] = [];
  const step = async (doing: string, work: () => Promise<void>): Promise<boolean> => {
    if (faults.length > 0 || context.around.interrupted.aborted) return false;
    try {
      await work();
      context.heard();
      return true;
    } catch (error) {
      if (!context.around.interrupted.aborted)
        faults.push(`cannot ${doing}: ${reportOf(error).message}`);
      return false;
    }
  };
  try {
    await step('create a topic', () => create(cluster, topic, up));
    const wanted = new Map<number, number[]>();
    await step('append', () => appendTo(cluster, report, up, wanted, options, context.around));
    await step('read back', async () => {
      faults.push(...(await compare(cluster, report, wanted, options, context)));
    });
  } finally {
    // Also where it may not be there: a call that failed may have made it.
    try {
      await cluster.admin().deleteTopic(topic);
      report.isDeleted = true;
    } catch (error) {
      const { code, message } = reportOf(error);
      report.isDeleted = code === 'UNKNOWN_TOPIC';
      if (!report.isDeleted) faults.push(`cannot delete topic "${topic}": ${message}`);
    }
  }
  return faults;
}

/** A partition for each broker, which is its preferred leader. */
async function create(cluster: Tidemark, name: string, up: readonly BrokerResult[]): Promise<void> {
  const copies = Math.min(COPIES_MAX, up.length);
  const assignments = up.map((_, first) => ({
    replicas: Array.from({ length: copies }, (_one, at) => up[(first + at) % up.length]!.brokerId),
  }));
  await cluster.admin().createTopic({
    name,
    assignments,
    config: { minInSyncReplicas: Math.min(MIN_IN_SYNC, copies), commitMode: 'in-sync' },
  });
}

/** Remembers the checksum of every record, in order, by partition. */
async function appendTo(
  cluster: Tidemark,
  report: Report,
  up: readonly BrokerResult[],
  wanted: Map<number, number[]>,
  { records, size, timeout: deliveryTimeoutMs }: SelfTestOptions,
  { interrupted: signal }: Surroundings,
): Promise<void> {
  const producer = cluster.producer({ deliveryTimeoutMs });
  await Promise.all(
    up.map(async (broker, partition) => {
      const latency = new Histogram();
      const checksums: number[] = [];
      wanted.set(partition, checksums);
      for (let count = 0; count < records && !signal.aborted; count += 1) {
        const record = { key: randomBytes(16), value: randomBytes(size), timestampMs: Date.now() };
        const startMs = performance.now();
        await producer.send({ topic: report.topic, partition, ...record }, { signal });
        latency.record(performance.now() - startMs);
        checksums.push(recordCrc(record));
        broker.records += 1;
        report.records += 1;
      }
      broker.appendMs = latency.summary();
    }),
  );
}

async function compare(
  cluster: Tidemark,
  report: Report,
  wanted: ReadonlyMap<number, readonly number[]>,
  { timeout }: SelfTestOptions,
  { around, heard }: Context & { readonly heard: () => void },
): Promise<string[]> {
  const startMs = performance.now();
  const signal = AbortSignal.any([around.interrupted, AbortSignal.timeout(timeout)]);
  const found = new Map([...wanted.keys()].map((partition) => [partition, 0]));
  const faults: string[] = [];
  const consumer = cluster.consumer({ topic: report.topic, follow: false });
  for await (const record of consumer.records({ signal })) {
    heard();
    const { partition, offset } = record;
    const at = found.get(partition) ?? 0;
    found.set(partition, at + 1);
    if (recordCrc(record) === wanted.get(partition)?.[at]) report.recordsSame += 1;
    else if (faults.length === 0)
      faults.push(
        `partition ${partition} gave back another record at offset ${offset} than was appended`,
      );
  }
  report.readBackMs = performance.now() - startMs;
  for (const [partition, checksums] of wanted) {
    const count = found.get(partition) ?? 0;
    if (count !== checksums.length)
      faults.push(`partition ${partition} gave back ${count} records of ${checksums.length}`);
  }
  return faults;
}

function tell(report: Report, faults: readonly string[], { out, around }: Context): void {
  const { brokers, records, recordsSame, readBackMs, topic, isDeleted } = report;
  const isOk = faults.length === 0 && !around.interrupted.aborted;
  const sentence = isOk
    ? `ok: ${formatCount(records)} records appended to ${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'} came back as they were`
    : `failed: ${around.interrupted.aborted ? 'interrupted' : faults.join('; ')}`;
  const value = {
    ok: isOk,
    sentence,
    faults,
    topic,
    deleted: isDeleted,
    records,
    recordsSame,
    readBackMs,
    brokers,
  };
  out.result(value, () => {
    const ms = (value_: number | undefined): string =>
      value_ === undefined ? '-' : value_.toFixed(1);
    const rows = brokers.map(({ brokerId, address, answerMs, records: own, appendMs }) => [
      brokerId,
      address,
      ms(answerMs),
      own,
      ms(appendMs?.p50),
      ms(appendMs?.p99),
      ms(appendMs?.max),
    ]);
    out.table(
      ['BROKER', 'ADDRESS', 'ANSWER MS', 'RECORDS', 'MEDIAN MS', '99 % MS', 'MAX MS'],
      rows,
    );
    out.line(out.paint(isOk ? 'green' : 'red', sentence));
  });
}
