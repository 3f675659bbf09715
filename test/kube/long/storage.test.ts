/**
 * Volumes that fill up and grow. Local volumes cannot be expanded by Kubernetes, so each is a small
 * file system in memory, and the test plays the part of the storage driver's resizer: once a claim
 * asks for more, it grows the file system and writes the new size on volume and claim.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { when } from '../../cluster/harness/wait.ts';
import { type Kube, type KubeObject, useKube } from '../harness.ts';
import { mountMemory } from '../launcher/node.ts';
import { type NodePlace, NODES } from '../launcher/settings.ts';
import { TOOLS_POD } from '../objects.ts';
import { OperatedCluster } from '../operated.ts';

const CLASS = 'growing';
const SIZE = '512Mi';
const GROWN = '1Gi';
/** What is really there, so that a test need not write half a gigabyte: before and after. */
const REAL_SIZE = '96M';
const REAL_GROWN = '256M';
const TOPIC = 'full';
/** More than fits before, less than after: a thousand bytes each. */
const RECORDS = 150_000;
const FILL = `yes "$(printf %0999d 0)" | head -n ${RECORDS} | TIDEMARK_SERVER=$0 tidemark append ${TOPIC} --timeout 4m`;

interface Claim extends KubeObject {
  readonly spec: {
    readonly volumeName: string;
    readonly resources: { readonly requests: { readonly storage: string } };
  };
}

const pathOf = ({ dir }: NodePlace): string => join(dir, 'volumes', CLASS);

/** One volume a node, of a class that lets claims grow. */
async function makeVolumes(kube: Kube): Promise<void> {
  await kube.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: CLASS },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
    allowVolumeExpansion: true,
  });
  for (const node of NODES) {
    const path = pathOf(node);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o777);
    await mountMemory(node, path, REAL_SIZE);
    const isHere = { key: 'kubernetes.io/hostname', operator: 'In', values: [node.name] };
    await kube.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volumeName(node) },
      spec: {
        capacity: { storage: SIZE },
        accessModes: ['ReadWriteOnce'],
        storageClassName: CLASS,
        local: { path },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [isHere] }] } },
      },
    });
  }
}

function volumeName({ name }: NodePlace): string {
  return `${CLASS}-${name}`;
}

/** What the resizer of a storage driver does once the claims ask for more. */
async function resize(kube: Kube, claims: readonly Claim[]): Promise<void> {
  const capacity = { storage: GROWN };
  for (const node of NODES) {
    await mountMemory(node, pathOf(node), REAL_GROWN);
    const patch = JSON.stringify({ spec: { capacity } });
    await kube.kubectl('patch', 'persistentvolume', volumeName(node), `--patch=${patch}`);
  }
  for (const { metadata } of claims) {
    const patch = JSON.stringify({ status: { capacity } });
    const of = ['persistentvolumeclaim', metadata.name, '--subresource=status'];
    await kube.kubectl('patch', ...of, '--type=merge', `--patch=${patch}`);
  }
}

describe('volumes of a class that lets them grow', () => {
  const scene = useKube(
    async (kube) => {
      await makeVolumes(kube);
      const cluster = new OperatedCluster(kube);
      const storage = { size: SIZE, storageClassName: CLASS, whenDeleted: 'Delete' };
      // The reserve of a broker would be larger than these disks.
      await cluster.start({ storage, config: { diskReserveBytes: 8_388_608 } });
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  const claims = async (): Promise<Claim[]> => scene().kube.list('persistentvolumeclaim');

  it('are reported when they are full, and take records again once they have grown', async () => {
    const { kube, cluster } = scene();
    await cluster.createTopic(TOPIC, '--partitions', '1');
    // It stands still while there is no room, and goes on by itself.
    const filling = kube.exec(TOOLS_POD, ['sh', '-c', FILL, cluster.server]);
    await cluster.waitStatus('the full volumes to be reported', ({ conditions = [] }) =>
      [
        ['Degraded', 'True', /^the volumes? of brokers? 0.* full: .* 512Mi, is raised/],
        ['Available', 'False', /^1 partition .* on a full volume: full\/0/],
        ['Ready', 'False', /full/],
      ].every(([type, status, message]) =>
        conditions.some(
          (each) =>
            each.type === type && each.status === status && (message as RegExp).test(each.message),
        ),
      ),
    );
    await cluster.change({ storage: { size: GROWN } });
    expect(await cluster.waitWaitingFor('volumes to have')).toBe(
      'waiting for 3 volumes to have 1Gi: data-log-0, data-log-1, data-log-2',
    );
    const asking = await kube.wait('the claims to ask for more', async (note) => {
      const found = await claims();
      note(found.map(({ spec }) => spec.resources));
      const isAsking = found.every(({ spec }) => spec.resources.requests.storage === GROWN);
      return isAsking ? found : undefined;
    });
    await resize(kube, asking);
    await cluster.waitReady();
    expect(await filling).toMatch(/Appended 150.?000 records/);
  });

  it('never shrink', async () => {
    const { kube, cluster } = scene();
    const patch = JSON.stringify({ spec: { storage: { size: SIZE } } });
    const how = ['logcluster', cluster.name, '--type=merge', `--patch=${patch}`];
    expect(await kube.refused(['patch', ...how])).toContain(
      'size is 512Mi, must be at least 1Gi: a volume cannot shrink',
    );
  });
});

describe('volumes of a class that does not let them grow', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  it('are said not to, and everything else goes on', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    await cluster.change({ storage: { size: '2Gi' } });
    const { conditions = [] } = await cluster.waitStatus(
      'the refusal to be told',
      ({ conditions: said = [] }) => said.some(({ reason }) => reason === 'GrowthRefused'),
    );
    expect(conditions.find(({ type }) => type === 'Ready')?.message).toMatch(
      /^claim data-log-0 cannot grow to 2Gi: .*only dynamically provisioned pvc can be resized/,
    );
    expect(conditions.find(({ type }) => type === 'Available')?.status).toBe('True');
    // A roll is one of the other things.
    await cluster.change({ config: { heartbeatMs: 300 } });
    await kube.wait('all brokers to be restarted', async (note) => {
      const uids = await cluster.podUids();
      note(uids);
      return when(uids.length === 3 && uids.every((uid) => !before.includes(uid)));
    });
  });
});
