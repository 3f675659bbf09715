/** What a cluster needs before the first pod: the address of its DNS, and volumes. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { kubectl } from './kubectl.ts';
import {
  CONTROL_ADDRESS,
  DNS_ADDRESS,
  NODES,
  type NodePlace,
  VOLUME_SIZE,
  VOLUMES_PER_NODE,
} from './settings.ts';

const STORAGE_CLASS = 'local';

export async function applyAddons(): Promise<void> {
  const items = [...dns(), storageClass(), ...NODES.flatMap(volumesOf)];
  await apply(items);
}

/** Gives a node empty volumes: those of a machine that was never there before. */
export async function applyVolumes(node: NodePlace): Promise<void> {
  await apply(volumesOf(node));
}

async function apply(items: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '--server-side', '--filename=-'], { input });
}

/** Names of the volumes of a node. */
export function volumeNames({ name }: NodePlace): string[] {
  return Array.from({ length: VOLUMES_PER_NODE }, (_, index) => `${name}-${index}`);
}

function volumesOf(node: NodePlace): object[] {
  return volumeNames(node).map((name) => {
    const path = join(node.dir, 'volumes', name);
    mkdirSync(path, { recursive: true });
    // A local volume is mounted as it is: its user is the pod's, which is nobody's on this machine.
    chmodSync(path, 0o777);
    return volume(name, path, node.name);
  });
}

function volume(name: string, path: string, node: string): object {
  const isHere = { key: 'kubernetes.io/hostname', operator: 'In', values: [node] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: VOLUME_SIZE },
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      persistentVolumeReclaimPolicy: 'Retain',
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [isHere] }] } },
    },
  };
}

function storageClass(): object {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: STORAGE_CLASS,
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
}

/** A Service without a selector: CoreDNS is no pod, it runs beside the API server. */
function dns(): object[] {
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ];
  const namespace = 'kube-system';
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace },
      spec: { clusterIP: DNS_ADDRESS, ports },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'kube-dns',
        namespace,
        labels: { 'kubernetes.io/service-name': 'kube-dns' },
      },
      addressType: 'IPv4',
      ports,
      endpoints: [{ addresses: [CONTROL_ADDRESS], conditions: { ready: true } }],
    },
  ];
}
