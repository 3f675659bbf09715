/**
 * A compacted topic on real brokers, whose passes run in threads: killed in the middle of passes,
 * and with a replica that is made anew, all copies come to hold the same, the last record of each
 * key among it, and no key that was deleted.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Random } from '../../base/random.ts';
import type { Producer } from '../../client/index.ts';
import { splitFrames } from '../../wire/batch/frame.ts';
import { contentOf } from '../fixtures/keyed-log.ts';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { readReplica } from './harness/replicas.ts';
import { when } from './harness/wait.ts';

const KEYS = 300;
const VALUE_BYTES = 4_000;
const ARGS = [
  ...['--retention-check-ms', '100', '--flush-interval-ms', '100', '--replica-lag-ms-max', '2000'],
  // So slow that a pass can be met.
  ...['--compaction-bytes-per-second', '4000000'],
];
const CONFIG = {
  cleanup: 'compact',
  compactionDirtyPercent: 10,
  tombstoneRetentionMs: 500,
  segmentBytes: 1024 * 1024,
  segmentMs: 1_000,
} as const;
/** A few batches each. */
const SMALL = { ...CONFIG, segmentBytes: 2 ** 17, batchBytesMax: 2 ** 17, segmentMs: 60_000 };
/**
 * Between the records of a load: of one without pauses a pass takes as long as the log is large by
 * then, and a copy that is made anew waits for it to end.
 */
const PAUSE_MS = 50;
/** Written in each round; without merging all of their files would stay. */
const SEGMENTS = 40;
const ROUNDS = 4;
/** What is merged, what stands above X, and what is written to. */
const FILES_MAX = 5;
const FAST = { 'compaction-bytes-per-second': '1000000000' };
const SLOW = { 'compaction-bytes-per-second': '4000000' };
/** Without a replica until one is lost. */
const SPARE = 4;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start({ brokers: 4, voters: 3, args: ARGS });
});
afterAll(() => cluster.close());

/** Writes keys at random until it is stopped; remembers the last record of each. */
class KeyedLoad {
  /** By key; null: it was deleted. */
  readonly last = new Map<string, { offset: number; value: string | null }>();
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #random = new Random(1);
  readonly #keys: number;
  readonly #ended: Promise<void>;
  #isOn = true;
  acknowledged = 0;

  constructor(producer: Producer, topic: string, keys = KEYS) {
    this.#keys = keys;
    this.#producer = producer;
    this.#topic = topic;
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    for (let count = 0; this.#isOn; count += 1) {
      const batch = Array.from({ length: 20 }, (_, at) => this.#send(`${count}.${at}`));
      await Promise.all(batch);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #send(name: string): Promise<void> {
    const key = `key ${this.#random.below(this.#keys)}`;
    const value = this.#random.chance(0.2) ? null : name.padEnd(VALUE_BYTES, '.');
    const { offset } = await this.#producer.send({ topic: this.#topic, partition: 0, key, value });
    this.acknowledged += 1;
    if (offset > (this.last.get(key)?.offset ?? -1)) this.last.set(key, { offset, value });
  }
}

async function compactionOf(topicId: string, brokerId: number) {
  const { replicas } = await cluster.admin.describeBroker(brokerId);
  return replicas.find((replica) => replica.topicId === topicId)?.compaction;
}

function runs(topicId: string, brokerId: number): Promise<boolean> {
  return cluster.wait(`a pass on broker ${brokerId}`, async (note) => {
    const compaction = await compactionOf(topicId, brokerId);
    note(compaction);
    return when(compaction?.phase === 'running');
  });
}

/**
 * All replicas have carried out the same, and dropped tombstones.
 *
 * @param filesMax how many files may be left: what was ordered before may be carried out while what
 *   was written last is not ordered yet
 */
async function settled(topicId: string, copies: number, filesMax = Infinity): Promise<void> {
  await cluster.wait(
    'every replica to be compacted',
    async (note) => {
      const replicas = await cluster.replicas(topicId);
      note(replicas);
      const states = replicas.map(({ logEnd, highWaterMark, compaction }) =>
        JSON.stringify([
          ...[logEnd, highWaterMark, compaction?.orderedTo, compaction?.phase],
          compaction?.tombstonesBelow,
        ]),
      );
      const isDone = replicas.every(
        ({ compaction }) =>
          compaction?.phase === 'idle' &&
          compaction.orderedTo > 0 &&
          compaction.segments <= filesMax &&
          compaction.compactedTo === compaction.orderedTo &&
          compaction.tombstonesBelow === compaction.orderedTo,
      );
      return when(replicas.length === copies && new Set(states).size === 1 && isDone);
    },
    90_000,
  );
}

function logFiles(topicId: string, brokerId: number): string[] {
  const folder = join(cluster.broker(brokerId).dataDir, 'partitions', `${topicId}-0`);
  return readdirSync(folder).filter((name) => name.endsWith('.log'));
}

it('merges small segments, so that files stay few however many were written', async () => {
  await cluster.admin.setClusterSettings({ brokerOptions: FAST });
  const { name, topicId } = await cluster.createTopic({ assignments: [[1, 2]], config: SMALL });
  const client = cluster.connect();
  for (let round = 0; round < ROUNDS; round += 1) {
    const load = new KeyedLoad(client.producer({ deliveryTimeoutMs: 60_000 }), name, 10);
    await cluster.wait(`${SEGMENTS} segments to be written`, (note) => {
      const written = (load.acknowledged * VALUE_BYTES) / SMALL.segmentBytes;
      note(written);
      return when(written > SEGMENTS);
    });
    await load.stop();
    // A follower that was away merges other segments than its leader, and holds the same.
    if (round === 1) {
      await cluster.broker(2).kill();
      await cluster.restart(2);
      await cluster.waitInSync(name);
    }
    await settled(topicId, 2, FILES_MAX);
    for (const { brokerId, compaction } of await cluster.replicas(topicId))
      expect(logFiles(topicId, brokerId)).toHaveLength(compaction!.segments);
  }
  await client.close();
  await cluster.admin.setClusterSettings({ brokerOptions: SLOW });
});

it('holds the last record of each key on every copy, through kills in the middle of passes', async () => {
  const { name, topicId } = await cluster.createTopic({ assignments: [[1, 2, 3]], config: CONFIG });
  const client = cluster.connect();
  const load = new KeyedLoad(client.producer({ deliveryTimeoutMs: 60_000 }), name);
  for (const brokerId of [1, 2, 3]) {
    await runs(topicId, brokerId);
    await cluster.broker(brokerId).kill();
    await cluster.restart(brokerId);
    await cluster.waitInSync(name);
  }
  await runs(topicId, 3);
  await cluster.lose(3);
  await cluster.admin.reassignPartition(name, 0, [1, 2, SPARE]);
  await cluster.wait(
    'the replica to be made anew',
    async (note) => {
      const { syncSet, replicas, target } = await cluster.partition(name);
      note({ syncSet, replicas, target });
      return when(replicas.includes(SPARE) && syncSet.includes(SPARE) && target.length === 0);
    },
    90_000,
  );
  await load.stop();
  // How much there is depends on how fast the machine appends.
  await cluster.admin.setClusterSettings({ brokerOptions: FAST });
  await settled(topicId, 3);

  await cluster.lead(name, 0, SPARE);
  const found = new Map<string, { offset: number; value: string | null }>();
  await using consumer = client.consumer({ topic: name, follow: false });
  let read = 0;
  for await (const { key, value, offset } of consumer.records()) {
    read += 1;
    found.set(Buffer.from(key ?? '').toString(), {
      offset,
      value: value === null ? null : Buffer.from(value).toString(),
    });
  }
  expect(load.acknowledged).toBeGreaterThan(1_000);
  expect(read).toBeLessThan(load.acknowledged / 2);
  for (const [key, { offset, value }] of load.last) {
    const now = found.get(key);
    if (value === null) expect([key, now?.value ?? null]).toEqual([key, null]);
    else expect([key, now]).toEqual([key, { offset, value }]);
  }
  await settled(topicId, 3);
  await client.close();

  const held = (await cluster.waitSettled(name)).get(0);
  for (const broker of cluster.present) await broker.stop();
  const contents = [1, 2, SPARE].map((brokerId) => {
    const place = { topicId, partition: 0, logStart: 0, highWaterMark: held?.highWaterMark ?? 0 };
    const { frames } = readReplica(cluster.broker(brokerId).dataDir, brokerId, place);
    const whole = splitFrames(frames).frames;
    return contentOf(whole.map(({ at, header }) => frames.subarray(at, at + header.length)));
  });
  expect(contents[1]).toEqual(contents[0]);
  expect(contents[2]).toEqual(contents[0]);
  for (const brokerId of [1, 2, SPARE]) {
    const { code, stdout } = await command(process.execPath, [
      join(ROOT, 'client/cli/main.ts'),
      ...['log', 'verify', cluster.broker(brokerId).dataDir],
    ]).result;
    expect(code, stdout.toString()).toBe(0);
  }
});
