/**
 * The image in pods, without an operator: three brokers of a StatefulSet in three zones, and what
 * becomes of their records when pods end.
 */
import { describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { BrokerPods } from './brokers.ts';
import { type Kube, type Pod, useKube } from './harness.ts';

const PARTITIONS = 3;
const NOTHING_LOST = { refused: 0, unknown: 0, violations: [], failures: [] };
/** Ways for a leader to end, and how its successor may count what it finds on the disk. */
const ENDINGS = [
  {
    name: 'container',
    what: 'is killed in its pod: warm',
    end: (kube: Kube, { metadata }: Pod) => kube.killContainer(metadata.name),
    classes: [RestartClass.RESTART_CLASS_WARM],
  },
  {
    name: 'forced',
    // The kubelet allows two seconds after all, so whether the stop was orderly depends on how fast
    // it was.
    what: 'loses its pod by force: never warm',
    end: async (kube: Kube, { metadata }: Pod): Promise<void> => {
      await kube.kubectl('delete', 'pod', metadata.name, '--grace-period=0', '--force');
    },
    classes: [RestartClass.RESTART_CLASS_CLEAN, RestartClass.RESTART_CLASS_LOSSY],
  },
  {
    name: 'deleted',
    what: 'loses its pod in order: clean',
    end: async (kube: Kube, { metadata }: Pod): Promise<void> => {
      await kube.kubectl('delete', 'pod', metadata.name);
    },
    classes: [RestartClass.RESTART_CLASS_CLEAN],
  },
];

describe('brokers of a StatefulSet', () => {
  const scene = useKube(async (kube) => {
    const brokers = new BrokerPods(kube);
    await brokers.start();
    return { kube, brokers };
  });

  it('have the number of their pod, and its zone as rack', async () => {
    const { brokers } = scene();
    const registered = await Promise.all([0, 1, 2].map((id) => brokers.registered(id)));
    expect(registered.map(({ brokerId }) => brokerId)).toEqual([0, 1, 2]);
    const zones = await Promise.all([0, 1, 2].map((brokerId) => brokers.zoneOf(brokerId)));
    expect(registered.map(({ rack }) => rack)).toEqual(zones);
    expect(new Set(zones).size).toBe(3);
  });

  it('serve a pod that knows the Service alone', async () => {
    const { kube, brokers } = scene();
    await brokers.createTopic('letters', PARTITIONS);
    const lines = Array.from({ length: 100 }, (_, index) => `letter ${index}`);
    await kube.tidemark(brokers.server, ['append', 'letters'], `${lines.join('\n')}\n`);
    const read = await kube.tidemark(brokers.server, ['read', 'letters', '--format', 'raw']);
    expect(read.trimEnd().split('\n').sort()).toEqual(lines.sort());
  });

  it.for(ENDINGS)('lose nothing when a leader $what', async ({ name, end, classes }, { skip }) => {
    const { kube, brokers } = scene();
    if (name === 'container' && !kube.isOurs)
      skip("only the launcher's own nodes let a container be killed from outside");
    await brokers.createTopic(name, PARTITIONS);
    const [first] = (await brokers.topic(name))[0]?.partitions ?? [];
    const place = { topic: name, partitions: PARTITIONS, server: brokers.server };
    const load = await kube.startLoad(place);
    const registered = await brokers.replace(first?.leader ?? 0, async (pod) => {
      await end(kube, pod);
      await load.progress();
    });
    expect(classes).toContain(registered.restartClass);
    await brokers.waitInSync(name);
    await load.progress();
    expect(await load.stop()).toMatchObject(NOTHING_LOST);
  });
});
