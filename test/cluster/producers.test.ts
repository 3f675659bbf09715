import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { AckLevel, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt, DirectProduce } from './harness/direct.ts';
import { readAll } from './harness/scenario.ts';

const BROKERS = [1, 2, 3] as const;
const ROUNDS = 5;
const SESSION_TIMEOUT_MS = 1_000;
const ARGS = ['--session-timeout-ms', `${SESSION_TIMEOUT_MS}`, '--heartbeat-ms', '100'];

describe('named producers', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ args: ARGS });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  const init = (brokerId: number): Promise<Identity> =>
    callAt(
      cluster.broker(brokerId).address,
      LogServiceService.initProducer,
      { name: 'importer', expected: undefined },
      10_000,
    );

  it('shuts out older epochs on every leader by the time a newer one is given out', async () => {
    const leaders = await Leaders.of(cluster);
    try {
      let before = await init(1);
      const answers = [await leaders.append(before, 0)];
      const zombies: (string | undefined)[][] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const next = await init(BROKERS[round % BROKERS.length] ?? 1);
        // The new epoch has written nowhere.
        zombies.push(await leaders.append(before, 1));
        answers.push(await leaders.append(next, 0));
        before = next;
      }

      const fenced = BROKERS.map(() => 'PRODUCER_FENCED');
      const taken = BROKERS.map(() => undefined);
      expect(zombies).toEqual(Array.from({ length: ROUNDS }, () => fenced));
      expect(answers).toEqual(Array.from({ length: ROUNDS + 1 }, () => taken));
    } finally {
      leaders.close();
    }
  });

  it('gives out no epoch that a sleeping leader may not have heard of', async () => {
    const leaders = await Leaders.of(cluster);
    try {
      const before = await init(1);
      await leaders.append(before, 0);
      cluster.broker(3).pause();
      const next = await init(1);
      // Broker 3 knows only the old epoch: if it still leads when it wakes up, it takes this.
      leaders.send(2, before, 1);
      cluster.broker(3).resume();
      await leaders.answerOf(2);
      await cluster.waitInSync(leaders.topic);

      const stored = await readAll(cluster, leaders.topic);
      const values = stored.map(({ value }) => Buffer.from(value).toString());
      expect(values).not.toContain(`${before.producerEpoch}/1`);
      expect(next).toEqual({ ...before, producerEpoch: before.producerEpoch + 1 });
    } finally {
      leaders.close();
    }
  });
});

interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A topic whose partitions 0, 1, 2 are led by brokers 1, 2, 3, and a stream to each. */
class Leaders {
  readonly topic: string;
  readonly #topicId: string;
  readonly #cluster: TestCluster;
  readonly #streams: readonly DirectProduce[];
  #batchId = 0;

  static async of(cluster: TestCluster): Promise<Leaders> {
    const assignments = BROKERS.map((brokerId) => [
      brokerId,
      ...BROKERS.filter((other) => other !== brokerId),
    ]);
    const { name, topicId } = await cluster.createTopic({ assignments });
    for (const [partition, brokerId] of BROKERS.entries())
      await cluster.lead(name, partition, brokerId);
    return new Leaders(cluster, name, topicId);
  }

  private constructor(cluster: TestCluster, topic: string, topicId: string) {
    this.#cluster = cluster;
    this.topic = topic;
    this.#topicId = topicId;
    this.#streams = BROKERS.map((id) => new DirectProduce(cluster.broker(id).address));
  }

  /** Sends one record to every leader at once; resolves with what each of them said. */
  async append(identity: Identity, baseSequence: number): Promise<(string | undefined)[]> {
    this.#batchId += 1;
    for (const partition of this.#streams.keys()) this.#send(partition, identity, baseSequence);
    return await Promise.all([...this.#streams.keys()].map((each) => this.answerOf(each)));
  }

  send(partition: number, identity: Identity, baseSequence: number): void {
    this.#batchId += 1;
    this.#send(partition, identity, baseSequence);
  }

  /** The code that the last batch was refused with; undefined: it was taken. */
  async answerOf(partition: number): Promise<string | undefined> {
    const stream = this.#streams[partition];
    const answer = await this.#cluster.wait(`an answer for partition ${partition}`, () => {
      const result = stream?.results.find(({ batchId }) => batchId === this.#batchId);
      if (result !== undefined) return { code: result.error?.code };
      return stream?.isOver === true ? { code: 'the stream ended' } : undefined;
    });
    return answer.code;
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
  }

  #send(partition: number, identity: Identity, baseSequence: number): void {
    const value = Buffer.from(`${identity.producerEpoch}/${baseSequence}`);
    const producer = { ...identity, baseSequence };
    const frame = encodeBatch([{ value, timestampMs: 1 }], { codec: 0, producer }, crc32);
    this.#streams[partition]?.send(
      { topicId: this.#topicId, partition },
      new Map([[this.#batchId, frame]]),
      AckLevel.ACK_LEVEL_ALL,
    );
  }
}
