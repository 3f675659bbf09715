/**
 * Replicas that move: limited, watched, taken back, and with whoever takes part killed on the way.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from './harness/cluster.ts';
import {
  atRest,
  bytesAt,
  copying,
  heldBy,
  holders,
  type MoveShown,
  movesShown,
} from './harness/moves.ts';
import { type Scene, type ScenarioOptions, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

/** The lowest limit there is: nothing moves to speak of. */
const NEARLY_NOTHING = 16 * 1024;
const SOME = 1024 * 1024;
/**
 * What may pass after a limit was lowered: pieces of the old limit that were under way, and one of
 * the new.
 */
const UNDER_WAY_BYTES = 256 * 1024;
const CLEAN = { refused: 0, unknown: 0, violations: [] };
/** Some 300 records of 4 KiB per second. */
const LOAD = { recordsPerTick: 1, valueBytes: 4096 };
/** Records to begin with, so that a move takes a while. */
const RECORDS = 150;

describe('replicas that move', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: 5, args: ['--voters-max', '5'] });
  });
  afterEach(async () => {
    await cluster.restore();
    await limit(-1);
  });
  afterAll(() => cluster.close());

  const limit = (moveBytesPerSecond: number) =>
    cluster.admin.setClusterSettings({ moveBytesPerSecond });

  /**
   * Brokers, the controller first: those behind it may be killed without a pause of the whole
   * cluster.
   */
  async function brokerIds(): Promise<[number, number, number, number, number]> {
    const controller = await cluster.controller();
    const others = cluster.others(controller).map(({ brokerId }) => brokerId);
    return [controller, ...others] as [number, number, number, number, number];
  }

  /** A topic of one partition on these brokers, with something in it. */
  async function scene(
    replicas: readonly number[],
    act: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const options: ScenarioOptions = { assignments: [replicas], load: LOAD };
    const { verdict } = await underLoad(cluster, options, async (at) => {
      await at.progress(RECORDS);
      await act(at);
    });
    expect(verdict).toMatchObject(CLEAN);
  }

  const reassign = (topic: string, replicas: readonly number[]) =>
    cluster.admin.reassignPartition(topic, 0, replicas);

  /** Resolves with the only move, when it is shown in this way. */
  const shown = (what: string, isSo: (move: MoveShown) => boolean): Promise<MoveShown> =>
    cluster.wait(`a move that ${what}`, async (note) => {
      const moves = await movesShown(cluster);
      note(moves);
      return moves.find(isSo);
    });

  it('keep to a limit that changes on the way, and tell how far they are', async () => {
    const [a, b, c, d] = await brokerIds();
    await scene([a, b, c], async ({ topic, progress }) => {
      const { name, topicId } = topic;
      await limit(SOME);
      await reassign(name, [a, b, d]);
      await copying(cluster, d, topicId);
      await limit(NEARLY_NOTHING);
      const startMs = performance.now();
      const before = await bytesAt(cluster, d, topicId);
      await progress(RECORDS);
      const moved = (await bytesAt(cluster, d, topicId)) - before;
      const allowed = (NEARLY_NOTHING * (performance.now() - startMs)) / 1000 + UNDER_WAY_BYTES;
      expect(moved).toBeLessThan(allowed);
      // The leader's log grows in between, and the records that are on their way are not
      // acknowledged yet.
      const leastLeft = (await bytesAt(cluster, a, topicId)) - (await bytesAt(cluster, d, topicId));
      const { bytesLeft = 0, etaMs } = await shown(
        'falls behind',
        ({ stalled }) => stalled !== undefined,
      );
      expect(bytesLeft).toBeGreaterThan(leastLeft * 0.9);
      expect(bytesLeft).toBeLessThan((await bytesAt(cluster, a, topicId)) * 1.1);
      expect(etaMs).toBeUndefined();
      await limit(-1);
      const { partitions } = await atRest(cluster, name);
      expect(partitions[0]?.replicas).toEqual([a, b, d]);
      await heldBy(cluster, topicId, [a, b, d]);
    });
  });

  it('go back before they have begun, on the way, and when one has arrived', async () => {
    const [a, b, c, d, e] = await brokerIds();
    await scene([a, b, c], async ({ topic, progress }) => {
      const { name, topicId } = topic;
      const takeBack = async (): Promise<void> => {
        const back = await reassign(name, []);
        expect(back.adding).toEqual([]);
        const { partitions } = await atRest(cluster, name);
        expect(partitions[0]?.replicas).toEqual([a, b, c]);
        await progress();
      };
      cluster.broker(d).pause();
      await reassign(name, [a, b, d]);
      expect(holders(cluster, topicId)).not.toContain(d);
      await takeBack();
      cluster.broker(d).resume();
      await cluster.waitServing();
      await heldBy(cluster, topicId, [a, b, c]);

      await limit(NEARLY_NOTHING);
      await reassign(name, [a, b, d]);
      await copying(cluster, d, topicId);
      await takeBack();
      await heldBy(cluster, topicId, [a, b, c]);
      await limit(-1);

      cluster.broker(e).pause();
      await reassign(name, [a, d, e]);
      await cluster.wait(`broker ${d} to be in sync`, async () =>
        when((await cluster.partition(name)).syncSet.includes(d)),
      );
      await takeBack();
      cluster.broker(e).resume();
      await cluster.waitServing();
      await heldBy(cluster, topicId, [a, b, c]);
    });
  });

  it('leave nothing behind on a broker that was down when they finished', async () => {
    const [a, b, c, d] = await brokerIds();
    await scene([a, b, c], async ({ topic, progress }) => {
      await cluster.broker(c).kill();
      await reassign(topic.name, [a, b, d]);
      await atRest(cluster, topic.name);
      await progress();
      expect(holders(cluster, topic.topicId)).toContain(c);
      await cluster.restart(c);
      await heldBy(cluster, topic.topicId, [a, b, d]);
    });
  });

  it('follow the last of several wishes', async () => {
    const [a, b, c, d, e] = await brokerIds();
    await scene([a, b, c], async ({ topic, progress }) => {
      const clients = cluster.brokers.map(() => cluster.connect());
      for (let round = 0; round < 3; round += 1) {
        const wishes = [
          [a, d, e],
          [d, b, c],
          [e, c, a],
          [b, c, d],
          [a, b, c],
        ];
        const asked = clients.map((client, index) =>
          client.admin().reassignPartition(topic.name, 0, wishes[index] ?? []),
        );
        // Each is answered, whoever came last.
        await Promise.all(asked);
        await progress();
      }
      await reassign(topic.name, [d, e, a]);
      const { partitions } = await atRest(cluster, topic.name);
      expect(partitions[0]?.replicas).toEqual([d, e, a]);
      await heldBy(cluster, topic.topicId, [d, e, a]);
      await Promise.all(clients.map((client) => client.close()));
    });
  });

  it('wait for a target that died, and say so', async () => {
    const [a, b, c, d] = await brokerIds();
    await scene([a, b, c], async ({ topic, progress }) => {
      await limit(NEARLY_NOTHING);
      await reassign(topic.name, [a, b, d]);
      await copying(cluster, d, topic.topicId);
      await cluster.broker(d).kill();
      const { etaMs } = await shown(
        'waits for its target',
        ({ stalled }) => stalled === `broker ${d} down`,
      );
      expect(etaMs).toBeUndefined();
      await progress();
      await limit(-1);
      await cluster.restart(d);
      const { partitions } = await atRest(cluster, topic.name);
      expect(partitions[0]?.replicas).toEqual([a, b, d]);
      await heldBy(cluster, topic.topicId, [a, b, d]);
    });
  });

  it('go on when the controller dies', async () => {
    const phases = ['asked', 'copying', 'arrived'];
    const [a, b, c, d, e] = await brokerIds();
    let [from, to] = [
      [a, b, c],
      [a, d, e],
    ];
    await scene(from, async ({ topic, progress }) => {
      for (const phase of phases) {
        const [target = 0] = to.filter((id) => !from.includes(id));
        const controller = await cluster.controller();
        if (phase === 'copying') await limit(NEARLY_NOTHING);
        await reassign(topic.name, to);
        if (phase === 'copying') await copying(cluster, target, topic.topicId);
        if (phase === 'arrived')
          await cluster.wait('one to arrive', async () => {
            const { syncSet, replicas } = await cluster.partition(topic.name);
            return when(syncSet.includes(target) || !replicas.includes(target));
          });
        await cluster.broker(controller).kill();
        await progress();
        await limit(-1);
        await cluster.restart(controller);
        const { partitions } = await atRest(cluster, topic.name);
        expect(partitions[0]?.replicas).toEqual(to);
        await heldBy(cluster, topic.topicId, to);
        [from, to] = [to, from];
      }
    });
  });

  it('go on when the leader, or the target, dies', async () => {
    const [a, b, c, d, e] = await brokerIds();
    await scene([b, c, d], async ({ topic, progress }) => {
      await limit(NEARLY_NOTHING);
      await reassign(topic.name, [a, c, e]);
      await copying(cluster, e, topic.topicId);
      const leader = await cluster.leader(topic.name);
      await cluster.broker(leader).kill();
      await progress();
      await cluster.broker(e).kill();
      await limit(-1);
      await progress();
      await cluster.restart(leader, e);
      const { partitions } = await atRest(cluster, topic.name);
      expect(partitions[0]?.replicas).toEqual([a, c, e]);
      await heldBy(cluster, topic.topicId, [a, c, e]);
    });
  });
});
