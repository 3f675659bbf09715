/**
 * The operator as a person meets it: `helm install`, ten lines of manifest, and a Service to append
 * to.
 */
import type { ListTopicsResponse } from '../../proto/gen/tidemark/v1/admin.ts';
import { describe, expect, it } from 'vitest';
import { BAD_LOG_CLUSTERS } from '../fixtures/operator/bad-log-clusters.ts';
import { BAD_LOG_ACCESSES } from '../fixtures/operator/bad-log-accesses.ts';
import { BAD_LOG_TOPICS } from '../fixtures/operator/bad-log-topics.ts';
import type { BadManifest } from '../fixtures/operator/bad-manifest.ts';
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

  it('passes its own test, as the notes say, and leaves no topic behind', async () => {
    const kube = scene();
    await kube.helm('test', 'tidemark', '--timeout=120s');
    const [found] = await kube.call<ListTopicsResponse>('listTopics', [SERVER], { names: [] });
    expect(found?.topics.map(({ name }) => name)).toEqual(['letters']);
  });

  it('leaves every bad manifest to the API server, which refuses it and says why', async () => {
    const kube = scene();
    // Where no operator looks: what is changed badly must be there first.
    const elsewhere = `${kube.namespace}-bad`;
    await kube.kubectl('create', 'namespace', elsewhere);
    try {
      for (const [index, bad] of [
        ...BAD_LOG_CLUSTERS,
        ...BAD_LOG_TOPICS,
        ...BAD_LOG_ACCESSES,
      ].entries()) {
        const name = `bad-${index}`;
        const put = (spec: unknown): string =>
          JSON.stringify(manifestOf(bad, spec, name, elsewhere));
        if (bad.before !== undefined) await kube.create(put(bad.before), elsewhere);
        const verb = bad.before === undefined ? 'create' : 'replace';
        const where = `--namespace=${elsewhere}`;
        const said = await kube.refused([verb, where, '--filename=-'], put(bad.spec));
        const told = { title: `${bad.kind}: ${bad.title}`, causes: causesOf(said) };
        expect.soft(told).toEqual({ title: told.title, causes: expectedCauses(bad) });
      }
    } finally {
      await kube.kubectl('delete', 'namespace', elsewhere, '--wait', '--timeout=90s');
    }
  });
});

function manifestOf({ kind }: BadManifest, spec: unknown, name: string, namespace: string): object {
  return { apiVersion: 'tidemark.dev/v1alpha1', kind, metadata: { name, namespace }, spec };
}

function expectedCauses({ faults, causes }: BadManifest): string[] {
  const ofRules = faults.map((fault) => fault.replace(': ', ': Invalid value: '));
  return [...(causes ?? ofRules)].sort();
}

/**
 * What the API server adds of itself where a field has a wrong type: rules and subresources that it
 * could not look at.
 */
const REMARK = /some validation rules were not checked| accessor error: /;

/**
 * `The LogCluster "x" is invalid: FIELD: MESSAGE`, or a line with `* FIELD: MESSAGE` for each of
 * several.
 */
function causesOf(said: string): string[] {
  const list = said.replace(/^.*? is invalid: *|^.*?"STDIN": /s, '').trim();
  const causes = list.startsWith('*') ? list.split(/^\* /m).slice(1) : [list];
  return causes
    .map((cause) => cause.trim().replace(/^<nil>: /, ''))
    .filter((cause) => !REMARK.test(cause))
    .sort();
}
