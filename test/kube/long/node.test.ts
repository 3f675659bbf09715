/** Nodes that are cut off, lose power, or never come back, under brokers of a StatefulSet. */
import { describe, expect, it } from 'vitest';
import { RestartClass } from '../../../proto/gen/tidemark/v1/admin.ts';
import { BrokerPods } from '../brokers.ts';
import { type Kube, useKube } from '../harness.ts';
import {
  crashNode,
  cutNode,
  deleteNode,
  healNode,
  replaceNode,
  startNodeAgain,
} from '../launcher/launcher.ts';
import { TOOLS_POD } from '../objects.ts';

const PARTITIONS = 3;
const NOTHING_LOST = { refused: 0, violations: [] };

describe('brokers on a node that fails', () => {
  const scene = useKube(
    async (kube) => {
      const brokers = new BrokerPods(kube);
      await brokers.start();
      return { kube, brokers };
    },
    { needs: 'launched' },
  );

  /**
   * Appends from the node of the tools while `fault` is done to a node that has neither them nor
   * the load.
   */
  async function underLoad(
    name: string,
    fault: (victim: Victim, progress: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { kube, brokers } = scene();
    await brokers.createTopic(name, PARTITIONS);
    const node = await kube.nodeOf(TOOLS_POD);
    const place = { topic: name, partitions: PARTITIONS, server: brokers.server, node };
    const load = await kube.startLoad(place);
    await fault(await victimBeside(kube, brokers, node), load.progress);
    await brokers.waitServing();
    await brokers.waitInSync(name);
    await load.progress();
    expect(await load.stop()).toMatchObject(NOTHING_LOST);
  }

  it('lose nothing when it is cut off and comes back', async () => {
    await underLoad('cut', async ({ node }, progress) => {
      const { kube } = scene();
      await cutNode(node);
      await progress();
      await kube.kubectl('wait', '--for=condition=Ready=Unknown', `node/${node}`, '--timeout=90s');
      await progress();
      await healNode(node);
    });
  });

  it('lose nothing when it stops dead and starts again', async () => {
    await underLoad('power', async ({ node }, progress) => {
      await crashNode(node);
      await progress();
      await startNodeAgain(node);
    });
  });

  it('lose nothing when it is replaced by one with empty disks', async () => {
    const { kube, brokers } = scene();
    await underLoad('gone', async ({ node, brokerId }, progress) => {
      const before = await brokers.registered(brokerId);
      await deleteNode(node);
      await progress();
      await replaceNode(node);
      await kube.kubectl('delete', 'pvc', `data-${brokers.podName(brokerId)}`, '--wait=false');
      await kube.kubectl('delete', 'pod', brokers.podName(brokerId), '--grace-period=0', '--force');
      await brokers.waitServing(before);
      const after = await brokers.registered(brokerId);
      expect(after.restartClass).toBe(RestartClass.RESTART_CLASS_NEW);
      expect(after.directoryId).not.toBe(before.directoryId);
    });
  });
});

/** A broker and the node it is on. */
interface Victim {
  readonly brokerId: number;
  readonly node: string;
}

async function victimBeside(kube: Kube, brokers: BrokerPods, spared: string): Promise<Victim> {
  for (const brokerId of [0, 1, 2]) {
    const node = await kube.nodeOf(brokers.podName(brokerId));
    if (node !== spared) return { brokerId, node };
  }
  throw new Error(`all brokers are on ${spared}`);
}
