/** `kubectl drain`: the PodDisruptionBudget follows what the brokers say may be stopped. */
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { useKube, type KubeObject } from './harness.ts';
import { NODES } from './launcher/settings.ts';
import { TOOLS_POD } from './objects.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

interface Budget extends KubeObject {
  readonly status?: { readonly disruptionsAllowed: number };
}

/** A drain that runs. */
interface Drain {
  readonly node: string;
  readonly brokerId: number;
  readonly ended: Promise<unknown>;
  isEnded: boolean;
}

describe('a drain', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      await cluster.start();
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  function drain(node: string, brokerId: number): Drain {
    const { kube } = scene();
    const how = ['--ignore-daemonsets', '--delete-emptydir-data', '--timeout=300s'];
    const begun: Drain = {
      node,
      brokerId,
      isEnded: false,
      ended: kube.kubectl('drain', node, ...how).then(() => {
        begun.isEnded = true;
      }),
    };
    return begun;
  }

  it('while no operator runs takes no second broker before the first is back in sync', async () => {
    const { kube, cluster } = scene();
    const operator = ['scale', 'deployment/tidemark'];
    await kube.wait('the budget to be open', async (note) => {
      const budget = await kube.get<Budget>('poddisruptionbudget', cluster.name);
      note(budget);
      return when(budget.status?.disruptionsAllowed === 1);
    });
    await kube.kubectl(...operator, '--replicas=0');
    await kube.kubectl('wait', '--for=delete', 'pod', '-l', 'app.kubernetes.io/component=operator');
    try {
      const spared = await kube.nodeOf(TOOLS_POD);
      const verdict = await cluster.underLoad(
        'unwatched',
        async ({ progress }) => {
          const before = await cluster.podUids();
          // One after the other, each as soon as the API server lets it go: it asks nobody else.
          for (const brokerId of [0, 1, 2]) {
            await kube.evict(cluster.podName(brokerId));
            await progress();
          }
          await kube.wait('every broker to be another pod, in sync', async (note) => {
            const uids = await cluster.podUids();
            note(uids);
            return when(uids.length === 3 && uids.every((uid) => !before.includes(uid)));
          });
          await cluster.waitInSync('unwatched');
        },
        { node: spared },
      );
      expect(verdict).toMatchObject(UNHARMED);
    } finally {
      await kube.kubectl(...operator, '--replicas=2');
      await cluster.waitReady();
    }
  });

  it('of two nodes at once takes one broker, and the other when the first is back', async () => {
    const { kube, cluster } = scene();
    const spared = await kube.nodeOf(TOOLS_POD);
    const places = await Promise.all(
      [0, 1, 2].map(async (brokerId) => ({
        brokerId,
        node: await kube.nodeOf(cluster.podName(brokerId)),
      })),
    );
    const victims = places.filter(({ node }) => node !== spared);
    expect(victims).toHaveLength(2);
    try {
      const verdict = await cluster.underLoad(
        'drained',
        async ({ progress }) => {
          const drains = victims.map(({ node, brokerId }) => drain(node, brokerId));
          await Promise.race(drains.map(({ ended }) => ended));
          const [first, second] = drains.toSorted((one) => (one.isEnded ? -1 : 1));
          await cluster.waitStatus('the evicted broker to be missed', ({ conditions = [] }) =>
            conditions.some(
              ({ type, message }) =>
                type === 'Degraded' && message.startsWith(`broker ${first!.brokerId} is not in`),
            ),
          );
          await kube.wait('the budget to hold the other one', async (note) => {
            const budget = await kube.get<Budget>('poddisruptionbudget', cluster.name);
            note(budget);
            return when(budget.status?.disruptionsAllowed === 0);
          });
          await progress();
          expect(second!.isEnded).toBe(false);
          expect((await cluster.pod(second!.brokerId)).metadata.deletionTimestamp).toBeUndefined();
          await kube.kubectl('uncordon', first!.node);
          await second!.ended;
          await progress();
          await kube.kubectl('uncordon', second!.node);
          await cluster.waitReady();
        },
        { node: spared },
      );
      expect(verdict).toMatchObject(UNHARMED);
      // Nobody but the one who drained has stopped a broker.
      expect(await cluster.acts('delete-pod', 'prepare-stop')).toEqual([]);
    } finally {
      await kube.kubectl('uncordon', ...victims.map(({ node }) => node));
    }
  });

  it('of each node in turn, one right after the other, needs nobody and fails no append', async () => {
    const { kube, cluster } = scene();
    // Pods of the test are nobody's, and stay: of a drain they would have to be given up by name.
    const ours = '--pod-selector=app.kubernetes.io/name=tidemark';
    const before = await cluster.podUids();
    const verdict = await cluster.underLoad('in-turn', async ({ progress }) => {
      for (const { name } of NODES) {
        await kube.kubectl('drain', name, ours, '--ignore-daemonsets', '--timeout=300s');
        await kube.kubectl('uncordon', name);
      }
      await cluster.waitReady();
      await progress();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const after = await cluster.podUids();
    expect(after.filter((uid) => before.includes(uid))).toEqual([]);
    expect(await cluster.acts('delete-pod', 'prepare-stop')).toEqual([]);
  });
});
