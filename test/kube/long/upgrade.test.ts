/** A newer operator: brokers do not notice. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../cluster/harness/child.ts';
import { type Kube, type Pod, useKube } from '../harness.ts';
import { tagImage } from '../launcher/image.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';
import { operatorWith } from '../programs.ts';

const RELEASE = 'tidemark';
const NEXT_TAG = 'next';
/** Source of the brokers' pods, and a variable that a newer operator gives them. */
const POD_SOURCE = 'operator/objects/pod.ts';
const VARIABLE = 'TIDEMARK_TEST_NEWER';

interface BrokerPod extends Pod {
  readonly spec: Pod['spec'] & {
    readonly containers: readonly { readonly env: readonly { readonly name: string }[] }[];
  };
}

describe('an upgrade of the operator', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      await cluster.start();
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  const lives = async (): Promise<object[]> =>
    (await scene().cluster.pods()).map(({ metadata, status }) => ({
      uid: metadata.uid,
      restarts: status.containerStatuses?.[0]?.restartCount,
    }));

  it('restarts no broker, by another image or by code that makes other pods', async () => {
    const { kube, cluster } = scene();
    const before = await lives();
    const verdict = await cluster.underLoad('upgrade', async ({ progress }) => {
      const name = kube.image.replace(/:[^:/]+$/, '');
      await tagImage(kube.image, `${name}:${NEXT_TAG}`);
      const chart = join(ROOT, 'charts', 'tidemark');
      const set = ['--reuse-values', '--set', `image.tag=${NEXT_TAG}`];
      await kube.helm('upgrade', RELEASE, chart, ...set, '--wait', '--timeout=120s');
      await changeCode(kube);
      // A cluster that this operator makes has what it makes by now, so it is the newer one that
      // left the others alone.
      await kube.apply({
        apiVersion: 'tidemark.dev/v1alpha1',
        kind: 'LogCluster',
        metadata: { name: 'later' },
        spec: { replicas: 1, replicationFactor: 1, minInSyncReplicas: 1 },
      });
      await kube.kubectl('wait', '--for=condition=Ready', 'logcluster/later', '--timeout=120s');
      const { spec } = await kube.get<BrokerPod>('pod', 'later-0');
      expect(spec.containers[0]?.env.map((variable) => variable.name)).toContain(VARIABLE);
      await cluster.waitReady();
      await progress();
    });
    expect(verdict).toMatchObject(UNHARMED);
    expect(await lives()).toEqual(before);
  });
});

/** Runs the operator with other code, which a ConfigMap lays over the image's. */
async function changeCode(kube: Kube): Promise<void> {
  const source = readFileSync(join(ROOT, POD_SOURCE), 'utf8');
  const changed = source.replace(
    "{ name: 'TIDEMARK_ID', value: 'auto' },",
    `{ name: 'TIDEMARK_ID', value: 'auto' }, { name: '${VARIABLE}', value: 'x' },`,
  );
  expect(changed).not.toBe(source);
  const file = 'main.js';
  await kube.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'newer' },
    data: { [file]: await operatorWith(POD_SOURCE, changed) },
  });
  const mount = { name: 'newer', mountPath: `/opt/tidemark/operator/${file}`, subPath: file };
  const spec = {
    containers: [{ name: 'operator', volumeMounts: [mount] }],
    volumes: [{ name: 'newer', configMap: { name: 'newer' } }],
  };
  const patch = JSON.stringify({ spec: { template: { spec } } });
  await kube.kubectl('patch', 'deployment', RELEASE, `--patch=${patch}`);
  await kube.kubectl('rollout', 'status', `deployment/${RELEASE}`, '--timeout=120s');
}
