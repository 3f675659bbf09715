/**
 * What other tests try on an open cluster, once with everything on: TLS between brokers and for
 * clients, tokens, rules. Nothing that was acknowledged is lost, doubled, moved or different on any
 * replica.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../client/index.ts';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { TestCluster } from './harness/cluster.ts';
import { atRest } from './harness/moves.ts';
import { underLoad } from './harness/scenario.ts';
import { Secured } from './harness/secured.ts';
import { when } from './harness/wait.ts';

const BROKERS = 4;
const FIRST = [1, 2, 3];
const SESSION = ['--session-timeout-ms', '1000', '--heartbeat-ms', '100'];
const SOUND = { refused: 0, unknown: 0, violations: [] };

describe('a cluster with TLS, tokens and rules', () => {
  const secured = new Secured();
  let cluster: TestCluster;
  beforeAll(async () => {
    const options = secured.options(BROKERS);
    cluster = await TestCluster.start({ ...options, args: SESSION, initially: FIRST.length });
    await secured.grant(cluster.admin, 'topic-*');
  });
  afterEach(() => cluster.restore());
  afterAll(async () => {
    await cluster.close();
    secured.close();
  });

  it('lets programs do what rules allow, and strangers nothing', async () => {
    // A broker that is not there says nothing of TLS.
    const servers = cluster.present.map(({ address }) => address);
    const topic = await cluster.createTopic({ partitions: 1 });
    await using program = cluster.connect();
    await expect(program.admin().describeTopic(topic.name)).resolves.toMatchObject({
      topicId: topic.topicId,
    });
    const wanted = { name: 'topic-of-its-own', partitions: 1, replicationFactor: 3 };
    await expect(program.admin().createTopic(wanted)).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
    await using stranger = connect({ servers, credentials: secured.stranger });
    await expect(stranger.admin().describeCluster()).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
    await using plain = connect({ servers });
    await expect(plain.admin().describeCluster()).rejects.toThrow(/without TLS\?/);
  });

  it('loses nothing when the controller is killed, a leader hangs, and all are restarted in turn', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }) => {
      const killed = await cluster.controller();
      await cluster.broker(killed).kill();
      await progress();
      const [warm] = await cluster.restart(killed);
      expect(warm?.restartClass).toBe(RestartClass.RESTART_CLASS_WARM);
      await cluster.waitInSync(topic.name);
      const paused = await cluster.leader(topic.name);
      cluster.broker(paused).pause();
      await cluster.wait('another leader', async (note) => {
        const { leader } = await cluster.partition(topic.name);
        note(leader);
        return when(leader !== undefined && leader !== paused);
      });
      await progress();
      cluster.broker(paused).resume();
      await cluster.waitInSync(topic.name);
      for (const id of FIRST) {
        expect(await cluster.broker(id).stop()).toEqual({ code: 0, signal: null });
        await progress();
        const [clean] = await cluster.restart(id);
        expect(clean?.restartClass).toBe(RestartClass.RESTART_CLASS_CLEAN);
        await cluster.waitInSync(topic.name);
      }
    });
    expect(verdict).toMatchObject(SOUND);
  });

  it('loses nothing when it grows, and a broker is emptied while another dies', async () => {
    const assignments = [FIRST, FIRST];
    const { verdict } = await underLoad(cluster, { assignments }, async ({ topic, progress }) => {
      await cluster.join(BROKERS);
      for (const partition of [0, 1])
        await cluster.admin.reassignPartition(topic.name, partition, [2, 3, BROKERS]);
      await cluster.broker(2).kill();
      await progress();
      await cluster.restart(2);
      const { partitions } = await atRest(cluster, topic.name);
      for (const { replicas } of partitions)
        expect(replicas.toSorted((a, b) => a - b)).toEqual([2, 3, BROKERS]);
      await progress();
    });
    expect(verdict).toMatchObject(SOUND);
  });
});
