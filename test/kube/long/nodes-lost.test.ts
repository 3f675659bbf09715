/**
 * Nodes that are cut off, or gone for good with their disks, under a LogCluster: what its status
 * says, what the operator mends, and what a person does.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { type Broker, RestartClass } from '../../../proto/gen/tidemark/v1/admin.ts';
import { when } from '../../cluster/harness/wait.ts';
import { useKube } from '../harness.ts';
import { signalContainer } from '../launcher/cgroups.ts';
import {
  crashNode,
  cutNode,
  deleteNode,
  healNode,
  reconnectNode,
  replaceNode,
} from '../launcher/launcher.ts';
import { TOOLS_POD } from '../objects.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';

/** A broker, and the node whose only broker it is. */
interface Victim {
  readonly brokerId: number;
  readonly node: string;
}

describe('a LogCluster that loses a node', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      // Two copies of the operator: the node that is lost may have one of them.
      await cluster.start({ rack: { spread: 'Required' } }, 'rbac.nodes=true');
      return { kube, cluster };
    },
    { needs: 'launched' },
  );
  /** What gives the node of a test back, whether the test passed or not. */
  const restore: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const back of restore.splice(0)) await back();
  });

  /** @param spared node of the load */
  async function victimBeside(spared: string): Promise<Victim> {
    const { kube, cluster } = scene();
    const places = await Promise.all(
      [0, 1, 2].map(async (brokerId) => ({
        brokerId,
        node: await kube.nodeOf(cluster.podName(brokerId)),
      })),
    );
    expect(new Set(places.map(({ node }) => node)).size).toBe(3);
    const found = places.find(({ node }) => node !== spared);
    if (found === undefined) throw new Error(`every broker is on ${spared}`);
    return found;
  }

  /** The broker as the controller has it, once that is `isSo`. */
  async function waitRegistered(
    brokerId: number,
    what: string,
    isSo: (broker: Broker) => boolean = () => true,
  ): Promise<Broker> {
    const { kube, cluster } = scene();
    return kube.wait(`broker ${brokerId} to be ${what}`, async (note) => {
      const { brokers } = await cluster.described();
      note(brokers);
      return brokers.find((broker) => broker.brokerId === brokerId && isSo(broker));
    });
  }

  /**
   * Resolves when a broker has begun with an empty directory, and has everything that it should
   * have.
   */
  async function waitReplaced(
    { brokerId }: Victim,
    before: Broker,
    topic: string,
  ): Promise<Broker> {
    const { cluster } = scene();
    const after = await waitRegistered(
      brokerId,
      'replaced',
      ({ directoryId, fenced }) => directoryId !== before.directoryId && !fenced,
    );
    expect(after.restartClass).toBe(RestartClass.RESTART_CLASS_NEW);
    await cluster.waitReady();
    await cluster.waitInSync(topic);
    return after;
  }

  async function waitMissed({ brokerId, node }: Victim): Promise<void> {
    const { cluster } = scene();
    const text = `broker ${brokerId} is not in service: it does not answer on node ${node} (no `;
    await cluster.waitStatus(
      'the broker to be missed, and appends to go on',
      ({ conditions = [] }) => {
        const of = (wanted: string) => conditions.find(({ type }) => type === wanted);
        return (
          of('Available')?.status === 'True' && of('Degraded')?.message.startsWith(text) === true
        );
      },
    );
  }

  it('goes on when it is cut off, and is whole again when it is back', async () => {
    const { kube, cluster } = scene();
    const node = await kube.nodeOf(TOOLS_POD);
    const verdict = await cluster.underLoad(
      'cut',
      async ({ progress }) => {
        const victim = await victimBeside(node);
        const before = await waitRegistered(victim.brokerId, 'registered');
        restore.push(() => healNode(victim.node));
        await cutNode(victim.node);
        await progress();
        await waitMissed(victim);
        await progress();
        await healNode(victim.node);
        await cluster.waitReady();
        await cluster.waitInSync('cut');
        const after = await waitRegistered(victim.brokerId, 'registered');
        expect(after.directoryId).toBe(before.directoryId);
      },
      { node },
    );
    expect(verdict).toMatchObject(UNHARMED);
    // A node that may come back with its disks is nobody's to give up.
    expect(await cluster.notes('VolumeReplaced')).toEqual([]);
  });

  it('gives a volume up whose node is no more, and fills another', async () => {
    const { kube, cluster } = scene();
    const node = await kube.nodeOf(TOOLS_POD);
    const verdict = await cluster.underLoad(
      'gone',
      async ({ progress }) => {
        const victim = await victimBeside(node);
        const { brokerId } = victim;
        const before = await waitRegistered(brokerId, 'registered');
        await deleteNode(victim.node);
        await progress();
        const elsewhere = await waitReplaced(victim, before, 'gone');
        expect(await kube.nodeOf(cluster.podName(brokerId))).not.toBe(victim.node);
        expect(await cluster.notes('VolumeReplaced')).toEqual([
          `Node ${victim.node} is gone with the volume of broker ${brokerId}; it begins with an empty one and copies from the others`,
        ]);
        await replaceNode(victim.node);
        await progress();
        // The new machine has nothing. A person sends the broker there, to have one on each node
        // again.
        await kube.kubectl('delete', 'pvc', `data-${cluster.podName(brokerId)}`, '--wait=false');
        await kube.kubectl('delete', 'pod', cluster.podName(brokerId));
        await waitReplaced(victim, elsewhere, 'gone');
        expect(await kube.nodeOf(cluster.podName(brokerId))).toBe(victim.node);
      },
      { node },
    );
    expect(verdict).toMatchObject(UNHARMED);
  });

  it('does not take back a broker that was given up and still runs', async () => {
    const { kube, cluster } = scene();
    const node = await kube.nodeOf(TOOLS_POD);
    const verdict = await cluster.underLoad(
      'ghost',
      async ({ progress }) => {
        const victim = await victimBeside(node);
        const before = await waitRegistered(victim.brokerId, 'registered');
        const { status } = await cluster.pod(victim.brokerId);
        const [{ containerID = '' } = {}] = status.containerStatuses ?? [];
        const ghost = containerID.replace('containerd://', '');
        restore.push(async () => {
          // A kubelet registers its node when it starts.
          await crashNode(victim.node);
          await replaceNode(victim.node);
        });
        await cutNode(victim.node);
        restore.unshift(() => reconnectNode(victim.node));
        await waitMissed(victim);
        await kube.kubectl('delete', 'node', victim.node);
        const after = await waitReplaced(victim, before, 'ghost');
        // Fails where it does not run any more.
        signalContainer(ghost, 'SIGCONT');
        await reconnectNode(victim.node);
        await kube.wait('the ghost to be ended by its kubelet', () => when(!isRunning(ghost)));
        await progress();
        const { brokerEpoch, directoryId } = await waitRegistered(victim.brokerId, 'registered');
        expect({ brokerEpoch, directoryId }).toEqual({
          brokerEpoch: after.brokerEpoch,
          directoryId: after.directoryId,
        });
        await cluster.waitReady();
        await cluster.waitInSync('ghost');
      },
      { node },
    );
    expect(verdict).toMatchObject(UNHARMED);
  });
});

function isRunning(container: string): boolean {
  try {
    signalContainer(container, 'SIGCONT');
    return true;
  } catch {
    return false;
  }
}
