/** Queues on real brokers: members by handlers, while brokers and members are killed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { QUEUE_WINDOW_RECORDS } from '../../base/limits.ts';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import { type QueueJob, RejectError, type Tidemark } from '../../client/index.ts';
import { ensurePython } from '../../scripts/python.mjs';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { QueueProcesses } from './harness/queue-processes.ts';
import { when } from './harness/wait.ts';

const PARTITIONS = 6;
const LEASE_MS = 4_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.wait('the newest feature level', async () => {
    const { featureLevel } = await cluster.describe();
    return when(featureLevel === FEATURE_LEVEL_MAX);
  });
});
afterEach(() => cluster.restore());
afterAll(() => cluster.close());

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}${String(at).padStart(4, '0')}`);

const text = (value: Uint8Array | null): string => Buffer.from(value ?? []).toString();

/** A topic, its dead-letter topic, and a queue. */
async function makeQueue(client: Tidemark, queue: string, deliveriesMax = 0) {
  const { name: topic } = await cluster.createTopic({ partitions: PARTITIONS });
  const { name: deadLetterTopic } = await cluster.createTopic({
    ...{ partitions: 1, config: { batchBytesMax: 2 * 1024 * 1024 } },
  });
  const config = { leaseMs: LEASE_MS, deadLetterTopic, deliveriesMax };
  await client.queues().create(queue, { topic, ...config });
  return { topic, deadLetterTopic };
}

async function send(client: Tidemark, topic: string, values: readonly string[]): Promise<void> {
  await using producer = client.producer();
  await Promise.all(
    values.map((value, at) => producer.send({ topic, partition: at % PARTITIONS, value })),
  );
}

/** Values of a topic, as they stand now. */
async function valuesOf(client: Tidemark, topic: string): Promise<string[]> {
  const found: string[] = [];
  await using consumer = client.consumer({ topic, follow: false });
  for await (const item of consumer.records()) if (!('kind' in item)) found.push(text(item.value));
  return found;
}

/** Members in this process, each with connections of its own. */
class Members {
  /** How often each value was accepted. */
  readonly accepted = new Map<string, number>();
  readonly failures: unknown[] = [];
  readonly #queue: string;
  readonly #clients: Tidemark[] = [];

  constructor(queue: string, count: number, handle: (job: QueueJob) => unknown) {
    this.#queue = queue;
    for (let at = 0; at < count; at += 1) this.#add(handle);
  }

  get total(): number {
    return [...this.accepted.values()].reduce((sum, times) => sum + times, 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  #add(handle: (job: QueueJob) => unknown): void {
    const client = cluster.connect();
    this.#clients.push(client);
    const member = client.queue(this.#queue);
    const handler = async (job: QueueJob): Promise<void> => {
      await handle(job);
      await job.accept();
      const value = text(job.value);
      this.accepted.set(value, (this.accepted.get(value) ?? 0) + 1);
    };
    const onError = (error: unknown): unknown => this.failures.push(error);
    const ran = member.run(handler, { concurrency: 8, delayMsMax: 100, onError });
    ran.catch((error: unknown) => this.failures.push(error));
  }
}

describe('a queue', () => {
  it('has every record accepted exactly once, where nothing is killed', async () => {
    await using client = cluster.connect();
    const { topic } = await makeQueue(client, 'calm');
    const values = names('v', 600);
    await send(client, topic, values);
    const members = new Members('calm', 4, () => undefined);
    await cluster.wait('every record to be accepted', async (note) => {
      note(members.accepted.size);
      return when(members.accepted.size === values.length);
    });
    await members.close();
    expect([members.total, members.failures]).toEqual([values.length, []]);
  });

  it('tells who has how many records, and which key blocks a partition', async () => {
    await using client = cluster.connect();
    const { name: topic } = await cluster.createTopic({ partitions: 1 });
    await client.queues().create('full', { topic, isKeyOrdered: true });
    await using producer = client.producer();
    const keys = names('key', QUEUE_WINDOW_RECORDS + 1);
    const [first] = await Promise.all(keys.map((key) => producer.send({ topic, key, value: '' })));
    const member = client.queue('full', { recordsMax: QUEUE_WINDOW_RECORDS + 1 });
    // The others wait in the member, while this one is handled.
    const done = Promise.withResolvers<void>();
    const taking = (async (): Promise<void> => {
      for await (const job of member) await done.promise.then(() => job.release());
    })();
    const blocked = await cluster.wait('the window to be full', async (note) => {
      const { partitions, members } = await client.queues().describe('full');
      note({ partitions, members });
      const [found, holder] = [partitions[0]?.blocked, members[0]];
      const isFull = holder?.leased === QUEUE_WINDOW_RECORDS;
      return found === undefined || !isFull ? undefined : { found, holder };
    });
    const { found, holder } = blocked;
    const { memberId } = holder;
    expect(found).toMatchObject({ offset: first?.offset, kind: 'leased', memberId });
    expect(text(found.key ?? null)).toBe(keys[0]);
    const leased = `tidemark_queue_records{queue="full",state="leased"} ${QUEUE_WINDOW_RECORDS}`;
    await cluster.wait('its owner to show it', async () => {
      const pages = cluster.brokers.map(async (broker) => (await broker.page('/metrics')).text());
      return when((await Promise.all(pages)).some((page) => page.includes(leased)));
    });
    const closing = member.close();
    done.resolve();
    await Promise.all([closing, taking]);
  });

  it('has rejected records in the dead-letter topic, and those that failed too often', async () => {
    await using client = cluster.connect();
    const { topic, deadLetterTopic } = await makeQueue(client, 'dying', 3);
    const [good, bad, failing] = [names('good', 90), names('bad', 30), names('failing', 6)];
    await send(client, topic, [...good, ...bad, ...failing]);
    const tried = new Map<string, number[]>();
    const members = new Members('dying', 3, ({ value, delivery }) => {
      const found = text(value);
      if (found.startsWith('bad')) throw new RejectError('of no use');
      if (!found.startsWith('failing')) return;
      tried.set(found, [...(tried.get(found) ?? []), delivery]);
      throw new Error('not now');
    });
    const dead = [...bad, ...failing].toSorted();
    await cluster.wait('all of them to be settled', async (note) => {
      const letters = await valuesOf(client, deadLetterTopic);
      note({ accepted: members.accepted.size, letters: letters.length });
      return when(members.accepted.size === good.length && letters.length >= dead.length);
    });
    await members.close();
    expect((await valuesOf(client, deadLetterTopic)).toSorted()).toEqual(dead);
    expect([...tried.values()]).toEqual(failing.map(() => [1, 2, 3]));
    expect(members.total).toBe(good.length);
  });

  it('has every record handled, and each rejected one dead-lettered once, through kills', async () => {
    await using client = cluster.connect();
    const { topic, deadLetterTopic } = await makeQueue(client, 'killed');
    const processes = new QueueProcesses({ servers: cluster.servers, queue: 'killed' });
    await using producer = client.producer();
    const good: string[] = [];
    const bad: string[] = [];
    let isOn = true;
    const producing = (async (): Promise<void> => {
      for (let at = 0; isOn; at += 1) {
        const value = `${at % 10 === 9 ? 'bad' : 'good'}${String(at).padStart(6, '0')}`;
        await producer.send({ topic, partition: at % PARTITIONS, value });
        (at % 10 === 9 ? bad : good).push(value);
      }
    })();
    try {
      for (let at = 0; at < 4; at += 1) processes.start();
      for (const brokerId of [1, 2, 3]) {
        const before = processes.handled.size;
        await cluster.wait('records to be handled', async () =>
          when(processes.handled.size > before + 50),
        );
        await processes.kill(processes.living[0]!);
        await cluster.broker(brokerId).kill();
        await cluster.restart(brokerId);
        await cluster.waitInSync(topic);
        processes.start();
      }
      isOn = false;
      await producing;
      const missing = (): string[] => good.filter((value) => !processes.handled.has(value));
      await cluster.wait('every record to be settled', async (note) => {
        const letters = await valuesOf(client, deadLetterTopic);
        note({ missing: missing().slice(0, 5), letters: letters.length });
        return when(missing().length === 0 && letters.length >= bad.length);
      });
      expect((await valuesOf(client, deadLetterTopic)).toSorted()).toEqual(bad);
      expect(processes.failures).toEqual([]);
    } finally {
      isOn = false;
      await processes.killAll();
    }
  });
});

describe('generated Python', () => {
  const environment = ensurePython();
  const python = 'python' in environment ? environment.python : '';
  const generated = mkdtempSync(join(tmpdir(), 'tidemark-python-'));
  afterAll(() => rmSync(generated, { recursive: true, force: true }));

  it('is a member of a queue', async (context) => {
    if ('missing' in environment) context.skip(environment.missing);
    const protos = ['errors', 'losses', 'records', 'log', 'consume'].map(
      (name) => `tidemark/v1/${name}.proto`,
    );
    const compiled = await command(python, [
      ...['-m', 'grpc_tools.protoc', '-I', join(ROOT, 'proto')],
      ...[`--python_out=${generated}`, `--grpc_python_out=${generated}`, ...protos],
    ]).result;
    expect(compiled, compiled.stderr).toMatchObject({ code: 0 });
    await using client = cluster.connect();
    const { topic } = await makeQueue(client, 'python');
    const values = names('v', 12);
    await send(client, topic, values);
    const member = join(import.meta.dirname, 'python', 'queue_member.py');
    const result = await command(
      python,
      [member, cluster.servers[2] ?? '', 'python', String(values.length)],
      { env: { PYTHONPATH: generated, PYTHONDONTWRITEBYTECODE: '1' } },
    ).result;
    expect(result, `${result.stderr}\n${cluster.logs(10)}`).toMatchObject({ code: 0 });
    expect(JSON.parse(result.stdout.toString())).toEqual(values);
  });
});
