/**
 * The pod of a broker. Pure. It satisfies Kubernetes' restricted pod security standard, has no
 * token for the API server, and learns what it is from its environment: the ordinal in its host
 * name, its rack from the label that Kubernetes copies from the node.
 */
import { READY_PAGE_OF_PODS } from '../../base/ready-page.ts';
import { STOP_PAGE } from '../../base/stop-veto.ts';
import { CONFIG_VARIABLES } from '../api/broker-config.ts';
import {
  BROKER_CONTAINER,
  BROKER_HTTP_PORT,
  BROKER_INTERNAL_PORT,
  BROKER_PORT,
  brokersServiceName,
  DATA_VOLUME,
  INTERNAL_PORT_NAME,
  TLS_VOLUME,
  addressesName,
  listenerPortName,
  certificatesSecretName,
  objectLabels,
  podHost,
  selectorLabels,
} from '../api/names.ts';
import { graceSeconds } from '../api/pod-overlay.ts';
import type { LogCluster, PodTemplate, Rack, TlsPhase } from '../api/types.ts';
import { ADDRESSES_PATH, clientListener, SECRET_MODE } from './client-listener.ts';
import { leafFiles, TLS_PATH, TRUST_FILE } from './secret-files.ts';

/** A Kubernetes PodTemplateSpec. */
export interface PodTemplateSpec {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Who says as whom a pod runs. */
export type PodUser = 'image' | 'platform';

const ADDRESSES_VOLUME = 'addresses';
const DATA_PATH = '/var/lib/tidemark';
/** The user of the image, who also owns what he mounts. */
const IMAGE_USER = { runAsUser: 1_000, runAsGroup: 1_000, fsGroup: 1_000 };
/** A broker finds the rest of the cluster through any one of these. */
const SEEDS_MAX = 3;
/**
 * Recovery reads the tail of every log: at 2 s a probe this allows half an hour of it before the
 * kubelet gives up.
 */
const STARTUP_PROBE_FAILURES_MAX = 900;
/**
 * Data I/O uses fewer threads than the pool has, so that the sync of the quorum log always finds
 * one free.
 */
const THREADS = 16;
/** What brokers take from each other, and how they dial (docs/security.md#tls). */
const MODE_VARIABLE = 'TIDEMARK_INTERNAL_TLS_MODE';
const MODES = { Allow: 'allow', Prefer: 'prefer' } as const;

/**
 * @param image of the brokers; see {@link import('./workload.ts').planTemplate} for which one that
 * is
 * @param internalTls between brokers: how far they are on the way to TLS
 * @param user platform: whoever admits the pod chooses, as OpenShift does, and refuses who chose
 */
export function buildPodTemplate(
  cluster: LogCluster,
  image: string,
  clusterId: string,
  internalTls: TlsPhase,
  user: PodUser = 'image',
): PodTemplateSpec {
  const { metadata, spec } = cluster;
  const { labels, annotations, topologySpreadConstraints, ...rest } = spec.podTemplate;
  const { securityContext, containers = [], volumes: added = [], ...passed } = ownFields(rest);
  const { listeners = [] } = spec;
  const volumes = [
    ...(internalTls !== 'Plaintext' ? [internalTlsVolume(metadata.name)] : []),
    ...clientListener(spec).volumes,
    ...(listeners.length > 0 ? [addressesVolume(metadata.name)] : []),
    ...added,
  ];
  return {
    metadata: {
      labels: { ...labels, ...objectLabels(metadata.name) },
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: {
      ...passed,
      topologySpreadConstraints:
        topologySpreadConstraints ?? defaultSpread(metadata.name, spec.rack),
      automountServiceAccountToken: false,
      // A Service called tidemark would otherwise set variables that look like options.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: passed.terminationGracePeriodSeconds ?? graceSeconds(spec),
      securityContext: {
        runAsNonRoot: true,
        ...(user === 'image' ? IMAGE_USER : {}),
        // A volume of many segments takes minutes to walk, and is walked only once.
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
        ...securityContext,
      },
      // The broker's is the first: whoever asks for the image of a template looks there.
      containers: [buildContainer(cluster, image, clusterId, internalTls), ...containers],
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}

/** What a pod has of a template, without what its broker's container has. */
function ownFields({
  imagePullPolicy: _,
  env: __,
  volumeMounts: ___,
  ...pod
}: PodTemplate): Omit<PodTemplate, 'imagePullPolicy' | 'env' | 'volumeMounts'> {
  return pod;
}

/** How far the brokers of a template, or the one of a pod, are from plaintext to TLS. */
export function tlsPhaseOf(pod: object): TlsPhase {
  const { volumes = [], containers = [] } = ((pod as { readonly spec?: object }).spec ?? {}) as {
    readonly volumes?: readonly { readonly name?: string }[];
    readonly containers?: readonly {
      readonly name?: string;
      readonly env?: readonly { readonly name?: string; readonly value?: string }[];
    }[];
  };
  if (!volumes.some(({ name }) => name === TLS_VOLUME)) return 'Plaintext';
  const { env = [] } = containers.find(({ name }) => name === BROKER_CONTAINER) ?? {};
  const mode = env.find(({ name }) => name === MODE_VARIABLE)?.value;
  return mode === MODES.Allow ? 'Allow' : mode === MODES.Prefer ? 'Prefer' : 'Require';
}

/** Whole, and not file by file: only so do new certificates reach a pod that runs. */
function internalTlsVolume(cluster: string): Record<string, unknown> {
  return {
    name: TLS_VOLUME,
    secret: { secretName: certificatesSecretName(cluster), defaultMode: SECRET_MODE },
  };
}

/** Whole too. It may come after the pod: until then nobody is sent there. */
function addressesVolume(cluster: string): Record<string, unknown> {
  return { name: ADDRESSES_VOLUME, configMap: { name: addressesName(cluster), optional: true } };
}

function buildContainer(
  cluster: LogCluster,
  image: string,
  clusterId: string,
  internalTls: TlsPhase,
): Record<string, unknown> {
  const { imagePullPolicy, env = [], volumeMounts = [] } = cluster.spec.podTemplate;
  const { listeners = [] } = cluster.spec;
  return {
    name: BROKER_CONTAINER,
    image,
    ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
    args: ['broker'],
    env: [...buildEnvironment(cluster, clusterId, internalTls), ...env],
    ports: [
      { name: 'grpc', containerPort: BROKER_PORT, protocol: 'TCP' },
      { name: INTERNAL_PORT_NAME, containerPort: BROKER_INTERNAL_PORT, protocol: 'TCP' },
      { name: 'metrics', containerPort: BROKER_HTTP_PORT, protocol: 'TCP' },
      ...listeners.map(({ name, port }) => ({
        name: listenerPortName(name),
        containerPort: port,
        protocol: 'TCP',
      })),
    ],
    ...(cluster.spec.resources === undefined ? {} : { resources: cluster.spec.resources }),
    // A no makes a warning among the pod's events: so the first question comes when the process
    // listens, and the answer on readiness comes when it is a yes, if that is soon.
    startupProbe: {
      ...probe('/livez'),
      initialDelaySeconds: 2,
      periodSeconds: 2,
      failureThreshold: STARTUP_PROBE_FAILURES_MAX,
    },
    readinessProbe: { ...probe(READY_PAGE_OF_PODS), periodSeconds: 2, failureThreshold: 2 },
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, failureThreshold: 6 },
    // Whoever deletes the pod may not have asked what that would stop: the broker makes it wait.
    lifecycle: { preStop: httpGet(STOP_PAGE) },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    // Why it ended stands in the last line of its log, and is shown where a person looks first.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: DATA_VOLUME, mountPath: DATA_PATH },
      ...(internalTls !== 'Plaintext'
        ? [{ name: TLS_VOLUME, mountPath: TLS_PATH, readOnly: true }]
        : []),
      ...clientListener(cluster.spec).mounts,
      ...(listeners.length > 0
        ? [{ name: ADDRESSES_VOLUME, mountPath: ADDRESSES_PATH, readOnly: true }]
        : []),
      ...volumeMounts,
    ],
  };
}

function probe(path: string): Record<string, unknown> {
  return { ...httpGet(path), timeoutSeconds: 5 };
}

function httpGet(path: string): Record<string, unknown> {
  return { httpGet: { path, port: 'metrics', scheme: 'HTTP' } };
}

function buildEnvironment(
  { metadata, spec }: LogCluster,
  clusterId: string,
  internalTls: TlsPhase,
): Record<string, unknown>[] {
  const { name, namespace } = metadata;
  const service = `${brokersServiceName(name)}.${namespace}.svc`;
  const seeds = Array.from(
    { length: Math.min(spec.replicas, SEEDS_MAX) },
    (_, id) => `${podHost(name, namespace, id)}:${BROKER_INTERNAL_PORT}`,
  );
  const chosen = [...CONFIG_VARIABLES].flatMap(([field, variable]) => {
    const value = spec.config[field];
    return value === undefined ? [] : [{ name: variable, value: String(value) }];
  });
  return [
    // Before its use: Kubernetes expands only variables that come earlier.
    fromPod('POD_NAME', 'metadata.name'),
    fromPod('TIDEMARK_POD_UID', 'metadata.uid'),
    fromPod('TIDEMARK_RACK', `metadata.labels['${spec.rack.topologyKey}']`),
    { name: 'TIDEMARK_ID', value: 'auto' },
    { name: 'TIDEMARK_DATA', value: DATA_PATH },
    { name: 'TIDEMARK_LISTEN', value: `[::]:${BROKER_PORT}` },
    { name: 'TIDEMARK_ADVERTISE', value: `$(POD_NAME).${service}:${BROKER_PORT}` },
    // By name, since the broker's own choice is to be reached from its machine alone.
    { name: 'TIDEMARK_INTERNAL_LISTEN', value: `[::]:${BROKER_INTERNAL_PORT}` },
    {
      name: 'TIDEMARK_INTERNAL_ADVERTISE',
      value: `$(POD_NAME).${service}:${BROKER_INTERNAL_PORT}`,
    },
    { name: 'TIDEMARK_SEEDS', value: seeds.join(',') },
    { name: 'TIDEMARK_CLUSTER_ID', value: clusterId },
    { name: 'TIDEMARK_HTTP_PORT', value: String(BROKER_HTTP_PORT) },
    { name: 'UV_THREADPOOL_SIZE', value: String(THREADS) },
    ...(internalTls !== 'Plaintext' ? internalTlsEnvironment(internalTls) : []),
    ...clientListener(spec).environment,
    ...chosen,
  ];
}

/** Every pod has the certificates of all, and takes its own. */
function internalTlsEnvironment(phase: Exclude<TlsPhase, 'Plaintext'>): Record<string, unknown>[] {
  const { cert, key } = leafFiles('$(POD_NAME)');
  const file = (name: string): string => `${TLS_PATH}/${name}`;
  return [
    { name: 'TIDEMARK_INTERNAL_TLS_CERT', value: file(cert) },
    { name: 'TIDEMARK_INTERNAL_TLS_KEY', value: file(key) },
    { name: 'TIDEMARK_INTERNAL_TLS_CA', value: file(TRUST_FILE) },
    // The brokers' own default is left out: so most pods never have it.
    ...(phase === 'Require' ? [] : [{ name: MODE_VARIABLE, value: MODES[phase] }]),
  ];
}

function fromPod(name: string, fieldPath: string): Record<string, unknown> {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}

function defaultSpread(name: string, rack: Rack): Record<string, unknown>[] {
  const whenUnsatisfiable = rack.spread === 'Required' ? 'DoNotSchedule' : 'ScheduleAnyway';
  const keys = new Set([rack.topologyKey, 'kubernetes.io/hostname']);
  return [...keys].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable,
    labelSelector: { matchLabels: selectorLabels(name) },
    // A cordoned or tainted node is no place that a broker could go to, so it must not count as an
    // empty one.
    nodeTaintsPolicy: 'Honor',
  }));
}
