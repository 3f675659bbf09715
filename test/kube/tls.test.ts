/** TLS between the brokers of a LogCluster, as it is made by default. */
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { type KubeObject, useKube } from './harness.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

const AUTHORITY = 'log-brokers-ca';
const CERTIFICATES = 'log-brokers-tls';
/** A kubelet looks at its Secrets about once a minute. */
const LOADED = '"tls-loaded"';

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

describe('a LogCluster that is made with the defaults', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  /** How often each broker has taken certificates. */
  async function loads(): Promise<number[]> {
    const { kube, cluster } = scene();
    const logs = await Promise.all(
      [0, 1, 2].map((id) => kube.kubectl('logs', cluster.podName(id), '--tail=-1')),
    );
    return logs.map((log) => log.split(LOADED).length - 1);
  }

  it('has TLS between its brokers, with certificates of its own', async () => {
    const { kube, cluster } = scene();
    const { status } = await cluster.resource();
    expect(status).toMatchObject({ internalTls: { mode: 'Enabled' } });
    const { data } = await kube.get<Secret>('secret', CERTIFICATES);
    expect(Object.keys(data).sort()).toEqual([
      'ca.crt',
      'log-0.crt',
      'log-0.key',
      'log-1.crt',
      'log-1.key',
      'log-2.crt',
      'log-2.key',
      'operator.crt',
      'operator.key',
    ]);
    expect(await loads()).toEqual([1, 1, 1]);
    for (const id of [0, 1, 2])
      expect(await kube.kubectl('logs', cluster.podName(id), '--tail=-1')).not.toContain(
        'internal-listener-open',
      );
  });

  it('makes certificates again whose Secret is deleted; no pod moves and no append fails', async () => {
    const { kube, cluster } = scene();
    const pods = await cluster.podUids();
    const before = await loads();
    const verdict = await cluster.underLoad('certificates', async (load) => {
      const { metadata } = await kube.get<Secret>('secret', CERTIFICATES);
      await kube.kubectl('delete', 'secret', CERTIFICATES);
      await kube.wait('brokers to take new certificates', async (note) => {
        const now = await loads();
        note(now);
        return when(now.every((count, index) => count > (before[index] ?? 0)));
      });
      const made = await kube.get<Secret>('secret', CERTIFICATES);
      expect(made.metadata.uid).not.toBe(metadata.uid);
      await load.progress();
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
    expect(await cluster.podUids()).toEqual(pods);
  });

  it('rolls and grows with them, and no append fails', async () => {
    const { cluster } = scene();
    const verdict = await cluster.underLoad('roll', async (load) => {
      await cluster.change({ podTemplate: { annotations: { round: '2' } } });
      await cluster.waitReady();
      await load.progress();
      await cluster.scale(4);
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
  });

  it('says that its authority is lost, makes no other, and goes on once it is restored', async () => {
    const { kube, cluster } = scene();
    const { metadata, ...rest } = await kube.get<Secret>('secret', AUTHORITY);
    const { name, labels, ownerReferences } = metadata as KubeObject['metadata'] & {
      readonly labels: object;
      readonly ownerReferences: object;
    };
    await kube.kubectl('delete', 'secret', AUTHORITY);
    await cluster.waitStatus('the loss to be told', ({ conditions = [] }) =>
      conditions.some(({ reason }) => reason === 'CertificateAuthorityLost'),
    );
    expect(await kube.kubectl('get', 'secrets', '-o', 'name')).not.toContain(AUTHORITY);
    await kube.apply({ ...rest, metadata: { name, labels, ownerReferences } });
    await cluster.waitReady();
  });
});
