/**
 * Definitions outlive releases: a LogCluster and its brokers go on while a release is uninstalled
 * and another one, of another name, takes them over (docs/gitops.md).
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../cluster/harness/child.ts';
import { when } from '../../cluster/harness/wait.ts';
import { useKube } from '../harness.ts';
import { OperatedCluster } from '../operated.ts';

const DEFINITIONS = ['logclusters.tidemark.dev', 'logtopics.tidemark.dev'];

describe('a change of release', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start({}, 'crds.keep=true');
    return { kube, cluster };
  });

  it('keeps definitions, LogCluster and brokers, and restarts nothing', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    await kube.uninstallChart('tidemark');
    await kube.kubectl('get', 'crd', ...DEFINITIONS);
    const left = await kube.kubectl('get', 'lease', '--output=name');
    expect(left.trim().split('\n')).toEqual([
      `lease.coordination.k8s.io/logcluster-${cluster.name}`,
    ]);
    const refused = kube.helm('install', 'other', join(ROOT, 'charts', 'tidemark'));
    await expect(refused).rejects.toThrow('invalid ownership metadata');
    await kube.installChart('other', '--take-ownership');
    await cluster.change({ minInSyncReplicas: 1 });
    await kube.wait('the other release to look after it', async (note) => {
      const { status } = await cluster.resource();
      note(status);
      return when(status?.minInSyncReplicas === 1);
    });
    await cluster.waitReady();
    expect(await cluster.podUids()).toEqual(before);
  });

  it('keeps others from the brokers by a policy of the LogCluster, which goes with it', async () => {
    const { kube, cluster } = scene();
    const name = await kube.kubectl('get', 'networkpolicy', cluster.name, '--output=name');
    expect(name.trim()).toBe(`networkpolicy.networking.k8s.io/${cluster.name}`);
  });
});
