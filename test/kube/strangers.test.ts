/**
 * What strangers do to an operator: objects of theirs under its names, a port that they add, a
 * policy that refuses what it writes, a namespace that is deleted with everything in it.
 */
// cspell:ignore validatingadmissionpolicy validatingadmissionpolicybinding
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { useKube } from './harness.ts';
import { BROKER_PORT } from './objects.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

/** Two minutes of an operator that fights would hold hundreds. */
const APPLIES_MAX = 5;
/** Binds in the namespace of the test alone. */
const POLICY = 'tidemark-test-frozen-budgets';

describe('strangers', () => {
  const scene = useKube(async (kube) => {
    const spec = { selector: { app: 'theirs' }, ports: [{ port: BROKER_PORT }] };
    // Before the LogCluster comes.
    await kube.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'log' }, spec });
    await kube.installChart('tidemark');
    await kube.apply({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: { name: 'log' },
      spec: { replicas: 3, minInSyncReplicas: 2, storage: { size: '1Gi' } },
    });
    return { kube, cluster: new OperatedCluster(kube) };
  });

  it('keep a Service that has our name, which is said, and all else is made', async () => {
    const { kube, cluster } = scene();
    await cluster.waitStatus('the name to be told as taken', ({ conditions = [] }) =>
      conditions.some(
        ({ type, reason, message }) =>
          type === 'Ready' && reason === 'NameTaken' && message.includes('Service log '),
      ),
    );
    await kube.wait('three brokers to be ready', async (note) => {
      const { status } = await cluster.resource();
      note(status);
      return when(status?.readyReplicas === 3);
    });
    const selector = ['get', 'service', 'log', '-o', 'jsonpath={.spec.selector.app}'];
    expect(await kube.kubectl(...selector)).toBe('theirs');
    await kube.kubectl('delete', 'service', 'log');
    await cluster.waitReady();
    expect(await kube.kubectl(...selector)).toBe('');
  });

  it('may add a port to ours: it stays, and a roll goes on beside it', async () => {
    const { kube, cluster } = scene();
    const added = [{ op: 'add', path: '/spec/ports/-', value: { name: 'theirs', port: 80 } }];
    const patch = ['--type=json', `--patch=${JSON.stringify(added)}`];
    await kube.kubectl('patch', 'service', 'log', ...patch);
    const verdict = await cluster.underLoad('ports', async () => {
      const before = await cluster.podUids();
      await cluster.change({ config: { heartbeatMs: 300 } });
      await cluster.waitReady();
      const after = await cluster.podUids();
      expect(after.filter((uid) => before.includes(uid))).toEqual([]);
    });
    expect(verdict).toMatchObject(UNHARMED);
    const log = await kube.kubectl(
      ...['logs', '-l', 'app.kubernetes.io/component=operator', '--tail=-1'],
    );
    const applies = log.split('\n').filter((line) => line.includes('apply-clients-service'));
    expect(applies.length).toBeLessThan(APPLIES_MAX);
    const ports = await kube.kubectl(
      'get',
      'service',
      'log',
      '-o',
      'jsonpath={.spec.ports[*].port}',
    );
    expect(ports.split(' ').map(Number).sort()).toEqual([80, BROKER_PORT].sort());
  });

  it('may refuse what we write: their words are told, and all goes on once they let it', async () => {
    const { kube, cluster } = scene();
    await kube.apply(...frozenBudgets(kube.namespace));
    try {
      // Whoever asks for another budget first: a roll holds evictions off.
      await cluster.change({ config: { heartbeatMs: 250 } });
      await cluster.waitStatus('the refusal to be told', ({ conditions = [] }) =>
        conditions.some(
          ({ reason, message }) => reason === 'WriteRefused' && message.includes('frozen by them'),
        ),
      );
      const notes = await cluster.notes('WriteRefused');
      expect(notes.join()).toContain('frozen by them');
    } finally {
      const kinds = ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'];
      for (const kind of kinds) await kube.kubectl('delete', kind, POLICY);
    }
    await cluster.waitReady();
  });

  it('may delete the namespace with LogTopics in it: nothing of ours holds it', async () => {
    const { kube, cluster } = scene();
    const other = `${kube.namespace}-gone`;
    await kube.kubectl('create', 'namespace', other);
    const topic = {
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogTopic',
      metadata: { name: 'orphan', namespace: other },
      spec: { clusterName: cluster.name, deletionPolicy: 'Delete' },
    };
    await kube.create(JSON.stringify(topic), other);
    await kube.kubectl('delete', 'namespace', other, '--wait', '--timeout=60s');
  });
});

/** Nobody changes a disruption budget in this namespace. */
function frozenBudgets(namespace: string): object[] {
  const metadata = { name: POLICY };
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const rule = {
    apiGroups: ['policy'],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources: ['poddisruptionbudgets'],
  };
  const chosen = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
  return [
    {
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicy', metadata },
      spec: {
        matchConstraints: { resourceRules: [rule] },
        validations: [{ expression: 'false', message: 'budgets are frozen by them' }],
      },
    },
    {
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicyBinding', metadata },
      spec: {
        policyName: POLICY,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: chosen },
      },
    },
  ];
}
