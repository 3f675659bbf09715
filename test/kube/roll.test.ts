/** Brokers that are restarted for another configuration or image, while records flow. */
import { describe, expect, it } from 'vitest';
import { useKube } from './harness.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

/** Nobody has it. */
const NO_IMAGE = 'registry.test/tidemark:none';
/** The most that brokers accept as their reserve. */
const MORE_THAN_IS_FREE = 2 ** 40;

describe('a roll', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  it('restarts one broker after the other, drained and the controller last, and no append fails', async () => {
    const { kube, cluster } = scene();
    const { controller = -1 } = await cluster.described();
    const others = [0, 1, 2].filter((id) => id !== controller);
    await kube.kubectl('delete', 'events', '--all');
    const verdict = await cluster.underLoad('config', async () => {
      await cluster.change({ config: { heartbeatMs: 300 } });
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const acts = await cluster.acts('prepare-stop', 'delete-pod');
    expect(acts.map(({ action, brokerId }) => `${action} ${brokerId}`)).toEqual(
      [...others, controller].flatMap((id) => [`prepare-stop ${id}`, `delete-pod ${id}`]),
    );
    // The operator's own events are to be found among those of the pods.
    expect(await cluster.notes('Unhealthy')).toEqual([]);
  });

  it('is not made for a live option, which takes effect all the same', async () => {
    const { kube, cluster } = scene();
    await cluster.createTopic('live', '--partitions', '3');
    const before = await cluster.podUids();
    await cluster.change({ config: { diskReserveBytes: MORE_THAN_IS_FREE } });
    await cluster.waitStatus('every volume to be full', ({ conditions = [] }) =>
      conditions.some(({ type, reason }) => type === 'Available' && reason === 'AppendsRefused'),
    );
    await expect(
      kube.tidemark(
        cluster.server,
        ['append', 'live', '--partition', '0', '--timeout', '2s'],
        'refused\n',
      ),
    ).rejects.toThrow('are free beyond the reserve');
    await cluster.change({ config: { diskReserveBytes: null } });
    await cluster.waitReady();
    await kube.tidemark(cluster.server, ['append', 'live', '--partition', '0'], 'taken\n');
    expect(await cluster.podUids()).toEqual(before);
  });

  it('stops after the first pod of a broken image, and goes on once the spec is corrected', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    const verdict = await cluster.underLoad('broken', async (load) => {
      await cluster.change({ image: NO_IMAGE });
      const said = await cluster.waitWaitingFor('ImagePull');
      expect(said).toMatch(
        /^waiting for broker \d to be in service: pod log-\d does not run \((Err)?ImagePull/,
      );
      await load.progress();
      const during = await cluster.podUids();
      expect(during.filter((uid) => !before.includes(uid))).toHaveLength(1);
      await cluster.change({ image: kube.image });
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
  });
});
