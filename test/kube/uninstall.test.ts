/** What is left when everything was deleted, and what comes back from it. */
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { type Kube, type KubeObject, useKube } from './harness.ts';
import { OperatedCluster } from './operated.ts';

const TOPIC = 'letters';
const LETTERS = Array.from({ length: 100 }, (_, index) => `letter ${index}`);

describe('volumes that are kept', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  const idOf = (): Promise<string> => {
    const { kube, cluster } = scene();
    return kube.kubectl('get', 'logcluster', cluster.name, '-o', 'jsonpath={.status.clusterId}');
  };
  const claims = (): Promise<KubeObject[]> => scene().kube.list('persistentvolumeclaim');
  async function letters(): Promise<string[]> {
    const { kube, cluster } = scene();
    const text = await kube.tidemark(cluster.server, ['read', TOPIC, '--format', 'raw']);
    return text.trimEnd().split('\n').sort();
  }

  it('are all that an uninstall leaves, and bring the cluster back', async () => {
    const { kube, cluster } = scene();
    await cluster.createTopic(TOPIC, '--partitions', '3');
    await kube.tidemark(cluster.server, ['append', TOPIC], `${LETTERS.join('\n')}\n`);
    const clusterId = await idOf();
    const { spec } = await cluster.resource();
    const before = await leftIn(kube);
    await kube.kubectl('delete', 'logcluster', cluster.name, '--wait');
    await kube.uninstallChart('tidemark');
    const left = await kube.wait('everything else to be gone', async (note) => {
      const found = await leftIn(kube);
      note(found);
      return found.every((name) => name.startsWith('persistentvolumeclaim/')) ? found : undefined;
    });
    expect(before.length).toBeGreaterThan(left.length);
    expect(left).toEqual(
      [0, 1, 2].map((id) => `persistentvolumeclaim/data-${cluster.podName(id)}`),
    );

    await cluster.start(spec);
    expect(await idOf()).toBe(clusterId);
    expect((await cluster.resource()).metadata.uid).not.toBe(clusterId);
    expect(await letters()).toEqual(LETTERS.toSorted());
    await kube.tidemark(cluster.server, ['append', TOPIC], 'one more\n');
  });

  it('go with the LogCluster where it says so', async () => {
    const { kube, cluster } = scene();
    const { spec } = await cluster.resource();
    // Deleted and applied in one breath: the objects of the first are still there.
    await kube.kubectl('delete', 'logcluster', cluster.name);
    await kube.apply({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: { name: cluster.name },
      spec: { ...spec, storage: { size: '1Gi', whenDeleted: 'Delete' } },
    });
    await cluster.waitReady();
    expect(await letters()).toEqual([...LETTERS, 'one more'].sort());
    await kube.kubectl('delete', 'logcluster', cluster.name, '--wait');
    await kube.wait('the volumes to be given up', async (note) => {
      const found = await claims();
      note(found);
      return when(found.length === 0);
    });
  });
});

/**
 * Objects of the namespace other than those that Kubernetes or the test itself put there, as
 * `kind/name`.
 */
async function leftIn(kube: Kube): Promise<string[]> {
  const listing = await kube.kubectl(
    'api-resources',
    '--namespaced',
    '--verbs=list',
    '--output=name',
  );
  const kinds = listing
    .trim()
    .split('\n')
    .filter((kind) => !IGNORED_KINDS.test(kind));
  const names = await kube.kubectl('get', kinds.join(','), '--output=name', '--ignore-not-found');
  return names
    .trim()
    .split('\n')
    .filter((name) => !OWN_OBJECTS.includes(name))
    .sort();
}

const IGNORED_KINDS = /^events|^podmetrics|^localsubjectaccessreviews/;
const OWN_OBJECTS = [
  'configmap/kube-root-ca.crt',
  'configmap/programs',
  'pod/tools',
  'serviceaccount/default',
];
