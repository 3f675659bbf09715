/**
 * Kubernetes objects of the tests: the namespace, pods that run programs, and brokers without an
 * operator.
 */
import { PROGRAMS_DIR } from './programs.ts';

/** The pod in which commands are run. */
export const TOOLS_POD = 'tools';
const PROGRAMS = 'programs';

const POD_SECURITY = {
  runAsNonRoot: true,
  runAsUser: 1000,
  runAsGroup: 1000,
  fsGroup: 1000,
  seccompProfile: { type: 'RuntimeDefault' },
} as const;
const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
} as const;

/** A namespace that takes only pods that need no right at all. */
export function testNamespace(name: string): object {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** Files by name. */
export function programsConfigMap(files: readonly (readonly [string, string])[]): object {
  const data = Object.fromEntries(files);
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: PROGRAMS }, data };
}

/** What {@link programPod} makes, as far as callers add to it. */
export interface ProgramPod {
  readonly spec: { readonly containers: readonly object[]; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/**
 * A pod that runs a command once, with the image's own files and those of
 * {@link programsConfigMap}.
 */
export function programPod(
  name: string,
  image: string,
  command: readonly string[],
  node?: string,
): ProgramPod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      securityContext: POD_SECURITY,
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
      containers: [
        {
          name: 'program',
          image,
          command,
          securityContext: CONTAINER_SECURITY,
          volumeMounts: [{ name: PROGRAMS, mountPath: PROGRAMS_DIR }],
        },
      ],
      volumes: [{ name: PROGRAMS, configMap: { name: PROGRAMS } }],
    },
  };
}

/** A container of a pod, as far as callers add to it. */
interface Dressed {
  readonly env?: readonly object[];
  readonly volumeMounts?: readonly object[];
}

/**
 * The same pod as a client of a LogCluster that speaks TLS with the operator's certificates: it
 * trusts their authority.
 *
 * @param account whose token it shows, made for this audience; absent: none
 */
export function clientPod(
  pod: ProgramPod,
  cluster: string,
  account?: { readonly name: string; readonly audience: string },
): ProgramPod {
  const { spec } = pod;
  const [container] = spec.containers as readonly [Dressed];
  const projected = {
    sources: [{ serviceAccountToken: { path: 'tidemark', audience: account?.audience } }],
  };
  const tokenFile = { name: 'TIDEMARK_TOKEN_FILE', value: '/var/run/secrets/tokens/tidemark' };
  const own = {
    env: [
      { name: 'TIDEMARK_SERVER', value: `${cluster}:${BROKER_PORT}` },
      { name: 'TIDEMARK_TLS_CA', value: '/etc/tidemark/ca/ca.crt' },
      ...(account === undefined ? [] : [tokenFile]),
    ],
    mounts: [
      { name: 'ca', mountPath: '/etc/tidemark/ca' },
      ...(account === undefined ? [] : [{ name: 'token', mountPath: '/var/run/secrets/tokens' }]),
    ],
    volumes: [
      { name: 'ca', secret: { secretName: `${cluster}-brokers-ca-cert` } },
      ...(account === undefined ? [] : [{ name: 'token', projected }]),
    ],
  };
  return {
    ...pod,
    spec: {
      ...spec,
      ...(account === undefined ? {} : { serviceAccountName: account.name }),
      containers: [
        {
          ...container,
          env: [...(container.env ?? []), ...own.env],
          volumeMounts: [...(container.volumeMounts ?? []), ...own.mounts],
        },
      ],
      volumes: [...((spec['volumes'] as readonly object[] | undefined) ?? []), ...own.volumes],
    },
  };
}

/**
 * Brokers as the operator makes them, but by hand: ordinal as id, rack from the pod's topology
 * label, a Service for peers and one for clients.
 */
export interface BrokerSet {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly clusterId: string;
  readonly replicas: number;
}

export const BROKER_PORT = 9641;
const INTERNAL_PORT = 9643;
const HTTP_PORT = 9642;
const DATA_DIR = '/var/lib/tidemark';

/** Name under which a broker of the set is dialled. */
function brokerHost({ name, namespace }: BrokerSet, ordinal: number): string {
  return `${name}-${ordinal}.${name}-brokers.${namespace}.svc`;
}

/** Where clients dial it. */
export function brokerAddress(set: BrokerSet, ordinal: number): string {
  return `${brokerHost(set, ordinal)}:${BROKER_PORT}`;
}

export function brokerObjects(set: BrokerSet): object[] {
  return [
    service(`${set.name}-brokers`, set.name, { clusterIP: 'None', publishNotReadyAddresses: true }),
    service(set.name, set.name, {}),
    statefulSet(set),
  ];
}

function service(name: string, app: string, rest: object): object {
  const ports = [{ name: 'grpc', port: BROKER_PORT }];
  const spec = { selector: { app }, ports, ...rest };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
}

function statefulSet(set: BrokerSet): object {
  const labels = { app: set.name };
  const spread = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  };
  const claim = {
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: set.name },
    spec: {
      replicas: set.replicas,
      serviceName: `${set.name}-brokers`,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 60,
          automountServiceAccountToken: false,
          securityContext: POD_SECURITY,
          topologySpreadConstraints: [spread],
          containers: [brokerContainer(set)],
        },
      },
      volumeClaimTemplates: [claim],
    },
  };
}

function brokerContainer(set: BrokerSet): object {
  const ordinals = Array.from({ length: Math.min(set.replicas, 3) }, (_, ordinal) => ordinal);
  return {
    name: 'broker',
    image: set.image,
    args: ['broker'],
    ports: [
      { containerPort: BROKER_PORT },
      { containerPort: INTERNAL_PORT },
      { containerPort: HTTP_PORT },
    ],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'TIDEMARK_POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } },
      { name: 'TIDEMARK_RACK', valueFrom: { fieldRef: { fieldPath: ZONE_LABEL } } },
      { name: 'TIDEMARK_ID', value: 'auto' },
      { name: 'TIDEMARK_DATA', value: DATA_DIR },
      { name: 'TIDEMARK_LISTEN', value: `0.0.0.0:${BROKER_PORT}` },
      {
        name: 'TIDEMARK_ADVERTISE',
        value: `$(POD_NAME).${set.name}-brokers.${set.namespace}.svc:${BROKER_PORT}`,
      },
      { name: 'TIDEMARK_INTERNAL_LISTEN', value: `0.0.0.0:${INTERNAL_PORT}` },
      {
        name: 'TIDEMARK_INTERNAL_ADVERTISE',
        value: `$(POD_NAME).${set.name}-brokers.${set.namespace}.svc:${INTERNAL_PORT}`,
      },
      { name: 'TIDEMARK_CLUSTER_ID', value: set.clusterId },
      {
        name: 'TIDEMARK_SEEDS',
        value: ordinals.map((ordinal) => `${brokerHost(set, ordinal)}:${INTERNAL_PORT}`).join(','),
      },
      { name: 'TIDEMARK_HTTP_PORT', value: `${HTTP_PORT}` },
    ],
    readinessProbe: { httpGet: { path: '/readyz', port: HTTP_PORT }, periodSeconds: 1 },
    livenessProbe: { httpGet: { path: '/livez', port: HTTP_PORT }, timeoutSeconds: 5 },
    securityContext: CONTAINER_SECURITY,
    volumeMounts: [{ name: 'data', mountPath: DATA_DIR }],
  };
}

const ZONE_LABEL = "metadata.labels['topology.kubernetes.io/zone']";
