/**
 * Brokers that hang instead of dying, alone and while others die: a leader that wakes up must not
 * believe that it still leads.
 */
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AckLevel, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt, DirectFetch, DirectProduce } from './harness/direct.ts';
import { type Append, checkRepeatable, valueOf } from './harness/history.ts';
import { readAll, type Scene, underLoad } from './harness/scenario.ts';

const SESSION_TIMEOUT_MS = 1_000;
const ARGS = ['--session-timeout-ms', `${SESSION_TIMEOUT_MS}`, '--heartbeat-ms', '100'];
/** Codes that tell a caller to try again, or that nobody knows. */
const NOT_YET = [
  'NOT_ENOUGH_REPLICAS',
  'LEADER_UNKNOWN',
  'NOT_LEADER',
  'STALE_EPOCH',
  'OUTCOME_UNKNOWN',
  'BROKER_NOT_READY',
];

/** An append that does not go through the client library. */
function appendOf(counter: number): { append: Append; frame: Uint8Array } {
  const append: Append = {
    producer: 'direct',
    counter,
    key: 'direct',
    outcome: { kind: 'unknown', reason: 'no answer' },
  };
  const record = { key: Buffer.from('direct'), value: valueOf(append), timestampMs: Date.now() };
  return { append, frame: encodeBatch([record], { codec: 0 }, crc32) };
}

describe('cluster under SIGSTOP', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ args: ARGS });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  async function leaderOtherThan(scene: Scene, ...ids: number[]): Promise<number> {
    return cluster.wait(`a leader other than ${ids.join(' and ')}`, async (note) => {
      const partition = await cluster.partition(scene.topic.name);
      note(partition);
      const { leader } = partition;
      return leader === undefined || ids.includes(leader) ? undefined : leader;
    });
  }

  it('lets no leader that was replaced while it was paused acknowledge or serve anything else', async () => {
    const assignments = [[1, 2, 3]];
    let fetched: DirectFetch | undefined;
    const { topic } = await underLoad(cluster, { assignments }, async (scene) => {
      const { load, progress } = scene;
      const place = { topicId: scene.topic.topicId, partition: 0 };
      const produce = new DirectProduce(cluster.broker(1).address);
      fetched = new DirectFetch(cluster.broker(1).address, place);
      const before = appendOf(0);
      const during = appendOf(1);
      load.appends.push(before.append, during.append);
      produce.send(place, new Map([[0, before.frame]]), AckLevel.ACK_LEVEL_ALL);
      await cluster.wait('the direct append', () => produce.results[0]);
      const mark = fetched.highWaterMark;
      cluster.broker(1).pause();
      // It lies in the leader's socket and is the first thing that it finds when it wakes up.
      produce.send(place, new Map([[1, during.frame]]), AckLevel.ACK_LEVEL_ALL);
      await leaderOtherThan(scene, 1);
      await progress();
      cluster.broker(1).resume();
      await cluster.wait('an answer to what was sent to a paused leader', (note) => {
        note({ results: produce.results, isOver: produce.isOver });
        return produce.results.length === 2 || produce.isOver ? true : undefined;
      });
      for (const { batchId, baseOffset, error } of produce.results) {
        const { append } = [before, during][batchId] ?? before;
        append.outcome =
          error === undefined
            ? { kind: 'acknowledged', partition: 0, offset: baseOffset }
            : { kind: 'unknown', reason: error.code };
      }
      await cluster.waitInSync(scene.topic.name);
      await progress();
      // What it sends by then, it sends as a follower; a stream that broke says as much.
      await cluster.wait('news from the paused broker', (note) => {
        note({ mark: fetched?.highWaterMark, errors: fetched?.errors });
        const isNew = (fetched?.highWaterMark ?? 0) > mark;
        return isNew || fetched?.isOver || fetched?.errors.length !== 0 ? true : undefined;
      });
      produce.close();
      fetched.close();
    });
    const records = fetched?.records ?? [];
    expect(records.length).toBeGreaterThan(0);
    expect(checkRepeatable(records, await readAll(cluster, topic.name))).toEqual([]);
  });

  it('lets a leader that nobody hears serve what is committed, and not say where the log ends', async () => {
    const { verdict } = await underLoad(cluster, { assignments: [[1, 2, 3]] }, async (scene) => {
      const place = { topicId: scene.topic.topicId, partition: 0 };
      const end = async (): Promise<string> => {
        const start = { point: { $case: 'latest', value: true } } as const;
        const { offsets } = await callAt(
          cluster.broker(1).address,
          LogServiceService.listOffsets,
          { topic: scene.topic.name, partitions: [0], start },
          20 * SESSION_TIMEOUT_MS,
        );
        return offsets[0]?.error?.code ?? 'an offset';
      };
      expect(await end()).toBe('an offset');
      cluster.broker(2).pause();
      cluster.broker(3).pause();
      await cluster.wait('the leader to know that it knows no end', async (note) => {
        const answer = await end();
        note(answer);
        return answer === 'OFFSET_NOT_AVAILABLE' ? true : undefined;
      });
      const fetched = new DirectFetch(cluster.broker(1).address, place);
      await cluster.wait('committed records', () =>
        fetched.records.length > 0 ? true : undefined,
      );
      fetched.close();
      cluster.broker(2).resume();
      cluster.broker(3).resume();
      await scene.progress();
      await cluster.waitInSync(scene.topic.name);
    });
    expect(verdict).toMatchObject({ violations: [] });
  });

  it('loses nothing when one is paused, another killed, and the first one wakes up', async () => {
    // The schedule of jepsen-io/nats, nemesis.clj: the one that wakes up has an old log, and the
    // one with the new log is gone.
    const { verdict } = await underLoad(cluster, { assignments: [[1, 2, 3]] }, async (scene) => {
      const { topic, progress } = scene;
      for (let round = 0; round < 2; round += 1) {
        const leader = await cluster.leader(topic.name);
        const [paused = 0, third = 0] = cluster.others(leader).map(({ brokerId }) => brokerId);
        cluster.broker(paused).pause();
        await cluster.wait('the paused follower to leave the sync set', async (note) => {
          const { syncSet } = await cluster.partition(topic.name);
          note(syncSet);
          return syncSet.includes(paused) ? undefined : true;
        });
        await progress();
        await cluster.broker(leader).kill();
        cluster.broker(paused).resume();
        const next = await leaderOtherThan(scene, leader);
        expect(next).toBe(third);
        await cluster.restart(leader);
        await progress();
        await cluster.waitInSync(topic.name);
      }
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('loses nothing when the leader is paused, its successor killed, and the old leader wakes up', async () => {
    const { verdict } = await underLoad(cluster, { assignments: [[2, 3, 1]] }, async (scene) => {
      const { topic, progress } = scene;
      const old = await cluster.leader(topic.name);
      cluster.broker(old).pause();
      const successor = await leaderOtherThan(scene, old);
      await progress();
      await cluster.broker(successor).kill();
      cluster.broker(old).resume();
      await cluster.restart(successor);
      await cluster.waitInSync(topic.name);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('acknowledges nothing with two of three down, and goes on when they return', async () => {
    const { verdict } = await underLoad(cluster, { assignments: [[3, 1, 2]] }, async (scene) => {
      const leader = await cluster.leader(scene.topic.name);
      const down = cluster.others(leader);
      await Promise.all(down.map((broker) => broker.kill()));
      const { append } = appendOf(0);
      scene.load.appends.push(append);
      const answer = await callAt(
        cluster.broker(leader).address,
        LogServiceService.append,
        {
          topic: scene.topic.name,
          acks: AckLevel.ACK_LEVEL_ALL,
          condition: undefined,
          records: [
            {
              partition: 0,
              key: Buffer.from('direct'),
              value: Buffer.from(valueOf(append)),
              headers: [],
              timestampMs: 0,
              tombstone: false,
            },
          ],
        },
        2 * SESSION_TIMEOUT_MS,
      ).then(
        ({ results }) => results[0]?.error?.code ?? 'acknowledged',
        (error: unknown) => (error as { code: string }).code,
      );
      expect(NOT_YET).toContain(answer);
      await cluster.restart(...down.map(({ brokerId }) => brokerId));
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 1, violations: [] });
  });
});
