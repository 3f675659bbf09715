/**
 * A broker in a small container, and one with few descriptors, under clients that take what they
 * can: it lives, and goes on writing.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUP_SESSION_MS_MAX } from '../../base/limits.ts';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import type { Producer } from '../../client/index.ts';
import { processEnvironment } from '../../scripts/process-environment.mjs';
import { Attacker } from './harness/attacks.ts';
import { Cgroup } from './harness/cgroup.ts';
import { TestCluster } from './harness/cluster.ts';
import { ManyStreams } from './harness/streams.ts';
import { waitFor, when } from './harness/wait.ts';

const MIB = 1024 * 1024;
const MEMORY_BYTES = 300 * MIB;
const DESCRIPTORS = 128;
/** Of what readers are thrown at: more than windows and caches hold. */
const RECORDS = 48;
/** Of queues: 100 MiB in one topic, read by each of them. */
const QUEUES = 6;
const QUEUE_PARTITIONS = 100;
const QUEUE_RECORDS = 10;
const QUEUE_RECORD_BYTES = 100_000;
const COMING_AND_GOING = 2_000;
const ALONE = { partitions: 1, replicationFactor: 1, config: { minInSyncReplicas: 1 } };

const ATTACKS = [
  'unfinished messages over one connection',
  'unfinished messages over many connections',
  'idle streams',
  'readers that do not read',
  'connections that say nothing',
  'headers that never end',
  'large headers',
  'streams as fast as can be',
  'streams that are reset at once',
];

const portOf = ({ address }: { readonly address: string }): number =>
  Number(address.split(':').at(-1));

/** Appends one record after another until it is told to stop. */
class Calm {
  appended = 0;
  slowestMs = 0;
  #isRunning = true;
  readonly #ended: Promise<void>;

  constructor(producer: Producer, topic: string) {
    this.#ended = this.#run(producer, topic);
  }

  /** Rejects where an append failed. */
  stop(): Promise<void> {
    this.#isRunning = false;
    return this.#ended;
  }

  async #run(producer: Producer, topic: string): Promise<void> {
    while (this.#isRunning) {
      const startMs = performance.now();
      await producer.send({ topic, partition: 0, value: Buffer.from('calm') });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      this.appended += 1;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('broker in a container of 300 MiB', () => {
  const group = Cgroup.make(`tidemark-test-${process.pid}`, MEMORY_BYTES);
  let cluster: TestCluster | undefined;
  let topic = '';
  let producer: Producer;
  beforeAll(async () => {
    if (typeof group === 'string') return;
    cluster = await TestCluster.start({
      brokers: 1,
      before: group.entry,
      env: processEnvironment(MEMORY_BYTES),
    });
    topic = (await cluster.createTopic(ALONE)).name;
    producer = cluster.client.producer();
    const value = Buffer.alloc(MIB / 2);
    for (let each = 0; each < RECORDS; each += 1)
      await producer.send({ topic, partition: 0, value });
  });
  afterAll(async () => {
    await cluster?.close();
    if (typeof group !== 'string') await waitFor('an empty group', () => when(group.remove()));
  });

  it.for(ATTACKS)('stands %s', async (name, { skip }) => {
    if (typeof group === 'string') return skip(group);
    if (cluster === undefined) throw new Error('there is no cluster');
    const [broker] = cluster.present;
    if (broker === undefined) throw new Error('there is no broker');
    const { pid } = broker;
    const calm = new Calm(producer, topic);
    const worker = new Worker(new URL('./harness/attack-worker.ts', import.meta.url), {
      workerData: { name, port: portOf(broker), topic },
    });
    const done = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    const during = calm.appended;
    await cluster.wait('appends that go on under it', () => when(calm.appended > during + 10));
    worker.postMessage('stop');
    await new Promise((resolve) => worker.once('exit', resolve));
    const after = calm.appended;
    await cluster.wait('appends that go on after it', () => when(calm.appended > after + 10));
    await calm.stop();
    const held = await broker.metric('tidemark_connection_memory_limit_bytes');
    expect(held).toBe(MEMORY_BYTES / 8);
    expect([broker.pid, broker.isRunning]).toEqual([pid, true]);
    console.info(name, done, {
      appended: calm.appended,
      slowestMs: Math.round(calm.slowestMs),
      residentMiB: Math.round(residentBytes(pid) / MIB),
    });
  });
});

describe('broker in a container of 300 MiB that owns queues', () => {
  const group = Cgroup.make(`tidemark-test-queues-${process.pid}`, MEMORY_BYTES);
  let cluster: TestCluster | undefined;
  beforeAll(async () => {
    if (typeof group === 'string') return;
    cluster = await TestCluster.start({
      brokers: 1,
      before: group.entry,
      env: processEnvironment(MEMORY_BYTES),
    });
  });
  afterAll(async () => {
    await cluster?.close();
    if (typeof group !== 'string') await waitFor('an empty group', () => when(group.remove()));
  });

  /** A topic that holds more than the container, in as many partitions as one consumer asks. */
  async function filled(client: TestCluster): Promise<string> {
    const { name } = await client.createTopic({ ...ALONE, partitions: QUEUE_PARTITIONS });
    await using filling = client.client.producer();
    const value = Buffer.alloc(QUEUE_RECORD_BYTES);
    for (let each = 0; each < QUEUE_RECORDS; each += 1)
      for (let partition = 0; partition < QUEUE_PARTITIONS; partition += 1)
        await filling.send({ topic: name, partition, value });
    return name;
  }

  it('stands consumers of many queues, and many that come and go', async ({ skip }) => {
    if (typeof group === 'string') return skip(group);
    if (cluster === undefined) throw new Error('there is no cluster');
    const [broker] = cluster.present;
    if (broker === undefined) throw new Error('there is no broker');
    const { pid } = broker;
    await cluster.wait('the newest feature level', async () => {
      const { featureLevel } = await cluster!.describe();
      return when(featureLevel === FEATURE_LEVEL_MAX);
    });
    const topic = await filled(cluster);
    const streams = new ManyStreams(broker.address);
    const credit = { creditRecords: QUEUE_PARTITIONS, creditBytes: 64 * MIB };
    for (let each = 0; each < QUEUES; each += 1) {
      await cluster.client.queues().create(`jobs-${each}`, { topic });
      streams.open(1, { kind: 'consumer', queue: `jobs-${each}`, more: credit });
    }
    await cluster.wait('records of each', () => when(streams.answered === QUEUES));
    for (let each = 0; each < COMING_AND_GOING; each += 1) {
      const more = { graceMs: GROUP_SESSION_MS_MAX };
      const gone = streams.openOne({ kind: 'consumer', queue: 'jobs-0', more });
      if (each % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 50));
      setTimeout(() => gone.cancel(), 500);
    }
    const last = new ManyStreams(broker.address);
    last.open(1, { kind: 'consumer', queue: 'jobs-1', more: { creditRecords: 1 } });
    await cluster.wait('an answer to whoever comes next', () => when(last.answered === 1));
    for (const each of [streams, last]) each.close();
    expect([broker.pid, broker.isRunning]).toEqual([pid, true]);
    console.info({ residentMiB: Math.round(residentBytes(pid) / MIB) });
  });
});

describe('broker with few descriptors', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: 1, before: `ulimit -n ${DESCRIPTORS}` });
  });
  afterAll(() => cluster.close());

  it('refuses connections, and goes on writing', async () => {
    const { name: topic } = await cluster.createTopic(ALONE);
    const [broker] = cluster.present;
    if (broker === undefined) throw new Error('there is no broker');
    const calm = new Calm(cluster.client.producer(), topic);
    const attacker = new Attacker(portOf(broker));
    await attacker.connections(3 * DESCRIPTORS);
    await cluster.wait('refused ones', () => when(attacker.closed > DESCRIPTORS));
    // Segments, checkpoints and files of partitions that come now need descriptors.
    const more = await cluster.createTopic({ ...ALONE, partitions: 4 });
    const producer = cluster.client.producer();
    for (let partition = 0; partition < 4; partition += 1)
      await producer.send({ topic: more.name, partition, value: Buffer.from('more') });
    const before = calm.appended;
    await cluster.wait('appends that go on', () => when(calm.appended > before + 10));
    attacker.stop();
    await calm.stop();
    await broker.stop();
    broker.start();
    await cluster.waitFormed();
    const { brokers } = await cluster.describe();
    expect(brokers.map(({ restartClass }) => restartClass)).toEqual([
      RestartClass.RESTART_CLASS_CLEAN,
    ]);
  });
});

function residentBytes(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}
