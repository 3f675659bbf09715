/** Brokers that are restarted for another configuration or image, while records flow. */
import { describe, expect, it } from 'vitest';
import type { DescribeBrokerResponse } from '../../proto/gen/tidemark/v1/admin.ts';
import { when } from '../cluster/harness/wait.ts';
import { useKube } from './harness.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

/** Nobody has it. */
const NO_IMAGE = 'registry.test/tidemark:none';

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
    // A kubelet may ask once more before it sees that the process has ended.
    const unhealthy = await cluster.notes('Unhealthy');
    expect(unhealthy.filter((note) => !note.endsWith('connect: connection refused'))).toEqual([]);
    expect(unhealthy.length).toBeLessThanOrEqual(acts.length / 2);
  });

  it('is not made for a live option, which takes effect all the same', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    const runsWith = (flushIntervalMs: string): Promise<true> =>
      kube.wait(`brokers to run with ${flushIntervalMs} ms`, async (note) => {
        const values: (string | undefined)[] = [];
        for (const brokerId of [0, 1, 2]) {
          const request = { brokerId };
          const [found] = await kube.call<DescribeBrokerResponse>(
            'describeBroker',
            [cluster.server],
            request,
          );
          values.push(found?.options.find(({ name }) => name === 'flush-interval-ms')?.value);
        }
        note(values);
        return when(values.every((value) => value === flushIntervalMs));
      });
    await cluster.change({ config: { flushIntervalMs: 700 } });
    await runsWith('700');
    await cluster.change({ config: { flushIntervalMs: null } });
    await cluster.waitReady();
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
