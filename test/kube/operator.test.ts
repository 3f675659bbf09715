/** The operator as a person meets it: `helm install`, ten lines of manifest, and a Service to append to. */
import { describe, expect, it } from 'vitest';
import { useKube } from './harness.ts';

const MANIFEST = `
apiVersion: tidemark.dev/v1alpha1
kind: LogCluster
metadata:
  name: orders
spec:
  replicas: 3
  minInSyncReplicas: 2
  storage:
    size: 1Gi
`;
const SERVER = 'orders:9641';

describe('operator', () => {
  const scene = useKube(async (kube) => {
    await kube.installChart('tidemark');
    return kube;
  });

  it('makes three brokers in three zones of a LogCluster, and a Service that takes and gives records', async () => {
    const kube = scene();
    await kube.apply(MANIFEST);
    await kube.kubectl('wait', '--for=condition=Ready', 'logcluster/orders', '--timeout=120s');
    const nodes = await Promise.all([0, 1, 2].map((ordinal) => kube.nodeOf(`orders-${ordinal}`)));
    expect(new Set(nodes).size).toBe(3);
    await kube.tidemark(SERVER, ['topic', 'create', 'letters', '--partitions', '3']);
    const lines = Array.from({ length: 100 }, (_, index) => `letter ${index}`);
    await kube.tidemark(SERVER, ['append', 'letters'], `${lines.join('\n')}\n`);
    const read = await kube.tidemark(SERVER, ['read', 'letters', '--format', 'raw']);
    expect(read.trimEnd().split('\n').sort()).toEqual(lines.sort());
  });
});
