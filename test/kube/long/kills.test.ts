/**
 * An operator that is killed at every action of a roll, a scale-up, a scale-down and a change of
 * the minimum: the work ends right all the same.
 */
import { expect, describe, it } from 'vitest';
import { useKube } from '../harness.ts';
import { programPod } from '../objects.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';
import { programCommand } from '../programs.ts';

const RELEASE = 'tidemark';
const POD = 'dying-operator';
/** What each part of the work cannot do without. */
const KILLED_AT = [
  ...['apply-budget 0', 'apply-budget 1', 'apply-workload 3', 'apply-workload 4'],
  ...['check-safe', 'prepare-stop 0', 'prepare-stop 1', 'prepare-stop 2', 'prepare-stop 3'],
  ...['delete-pod 0', 'delete-pod 1', 'delete-pod 2', 'reassign', 'decommission 3'],
  ...['confirm-empty 3', 'remove-broker 3', 'alter-topic', 'write-status restarting broker 0'],
];

describe('an operator that is killed at every action', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    await kube.kubectl('scale', `deployment/${RELEASE}`, '--replicas=0');
    await kube.kubectl('wait', '--for=delete', 'pod', '-l', 'app.kubernetes.io/component=operator');
    // The chart's role knows one lease by its name.
    const grant = ['--verb=get,update', '--resource=leases'];
    await kube.kubectl('create', 'role', POD, ...grant);
    const account = `--serviceaccount=${kube.namespace}:${RELEASE}`;
    await kube.kubectl('create', 'rolebinding', POD, `--role=${POD}`, account);
    await kube.apply(dyingOperator(kube.image, kube.namespace));
    return { kube, cluster };
  });

  it('rolls, scales and changes the minimum all the same', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    const verdict = await cluster.underLoad('kills', async () => {
      await cluster.change({ config: { heartbeatMs: 300 } });
      await cluster.waitReady();
      await cluster.scale(4);
      await cluster.waitReady();
      await cluster.scale(3);
      await cluster.waitReady();
      await cluster.change({ minInSyncReplicas: 1 });
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const after = await cluster.podUids();
    expect(after).toHaveLength(3);
    expect(after.filter((uid) => before.includes(uid))).toEqual([]);
    const [topic] = await cluster.topics('kills');
    expect(topic?.config?.minInSyncReplicas).toBe(1);
    const log = await kube.kubectl('logs', POD, '--tail=-1');
    const deaths = log
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => (JSON.parse(line) as { killedAt: string }).killedAt);
    console.log(`  killed ${deaths.length} times: ${deaths.join(', ')}`);
    expect(deaths).toEqual(expect.arrayContaining(KILLED_AT));
  });
});

/** The pod that runs and kills the operator, with the rights of the chart's. */
function dyingOperator(image: string, namespace: string): object {
  const pod = programPod(POD, image, programCommand('dying-operator'));
  const [container] = pod.spec.containers;
  const env = Object.entries({
    POD_NAME: POD,
    POD_NAMESPACE: namespace,
    TIDEMARK_NAMESPACES: namespace,
    TIDEMARK_BROKER_IMAGE: image,
  }).map(([name, value]) => ({ name, value }));
  const containers = [{ ...container, env }];
  const account = { serviceAccountName: RELEASE, automountServiceAccountToken: true };
  return { ...pod, spec: { ...pod.spec, ...account, containers } };
}
