/** A node that is cordoned: its broker leads nothing by the time that a drain evicts it. */
import { describe, expect, it } from 'vitest';
import type { ListTopicsResponse } from '../../../proto/gen/tidemark/v1/admin.ts';
import { when } from '../../cluster/harness/wait.ts';
import { TOOLS_POD } from '../objects.ts';
import { useKube } from '../harness.ts';
import { OperatedCluster } from '../operated.ts';

describe('a cordoned node', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      await cluster.start({}, 'rbac.nodes=true');
      await cluster.createTopic('letters', '--partitions', '6');
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  async function isLeading(brokerId: number): Promise<boolean> {
    const { kube, cluster } = scene();
    const [found] = await kube.call<ListTopicsResponse>('listTopics', [cluster.server], {
      names: [],
    });
    const leaders = (found?.topics ?? []).flatMap(({ partitions }) =>
      partitions.map(({ leader }) => leader),
    );
    return leaders.includes(brokerId);
  }

  it('gives leaderships away, and back when it is uncordoned', async () => {
    const { kube, cluster } = scene();
    const spared = await kube.nodeOf(TOOLS_POD);
    const nodes = await Promise.all([0, 1, 2].map((id) => kube.nodeOf(cluster.podName(id))));
    const brokerId = nodes.findIndex((node) => node !== spared);
    const node = nodes[brokerId] ?? '';
    await kube.wait('the broker to lead', async () => when(await isLeading(brokerId)));
    const before = await cluster.podUids();
    await kube.kubectl('cordon', node);
    try {
      await kube.wait('the broker to lead nothing', async () => when(!(await isLeading(brokerId))));
      await cluster.waitReady();
    } finally {
      await kube.kubectl('uncordon', node);
    }
    await kube.wait('the broker to lead again', async () => when(await isLeading(brokerId)));
    expect(await cluster.podUids()).toEqual(before);
  });
});
