/**
 * Names that the operator gives to things in the API server: its group, labels, annotations, and
 * the objects of one LogCluster. Pure. Labels follow Kubernetes' recommendation
 * (app.kubernetes.io); only what selects pods may never change.
 */

export const API_GROUP = 'tidemark.dev';
export const API_VERSION = 'v1alpha1';
export const GROUP_VERSION = `${API_GROUP}/${API_VERSION}`;

/** Server-side apply: owner of every field that the operator sets. */
export const FIELD_MANAGER = 'tidemark-operator';
/** On a LogTopic whose topic is to be deleted with it. */
export const TOPIC_FINALIZER = `${API_GROUP}/topic`;

/** On a pod, and in the StatefulSet's template: hash of the template that the pod was made from. */
export const TEMPLATE_HASH_LABEL = `${API_GROUP}/template-hash`;
/**
 * On the StatefulSet: the pod template as JSON, without its hash, and the fields of the spec that
 * it was made from.
 */
export const TEMPLATE_ANNOTATION = `${API_GROUP}/template`;
export const TEMPLATE_INPUTS_ANNOTATION = `${API_GROUP}/template-inputs`;
/**
 * On a LogCluster with `rollout.policy: Manual`: the template hash that may be rolled out. Another
 * template needs another approval.
 */
export const APPROVED_ROLLOUT_ANNOTATION = `${API_GROUP}/approved-rollout`;

/**
 * On a LogCluster: name of a volume claim whose node is gone, and which is given up although it
 * holds the last copy of something.
 */
export const GIVE_UP_ANNOTATION = `${API_GROUP}/give-up-volume`;
/** On a PersistentVolume that was given up, and kept: the LogCluster it was of. */
export const KEPT_ANNOTATION = `${API_GROUP}/kept-of`;

/**
 * On a LogCluster: id of its certificate authority (`status.internalTls.authority`) that another
 * one is to take the place of, be it lost or not. The next one has another id, so this asks once.
 */
export const NEW_AUTHORITY_ANNOTATION = `${API_GROUP}/new-certificate-authority`;
/** On the Secret of certificates: when what it holds last changed, RFC 3339. */
export const CHANGED_ANNOTATION = `${API_GROUP}/changed-at`;

/**
 * On volume claims, once their broker has said so: which cluster the records belong to. A
 * LogCluster of the same name takes it over.
 */
export const CLUSTER_ID_LABEL = `${API_GROUP}/cluster-id`;

/** On the Services of a listener: its name. */
export const LISTENER_LABEL = `${API_GROUP}/listener`;

/** Of clients. */
export const BROKER_PORT = 9641;
/** Of brokers and the operator. */
export const BROKER_INTERNAL_PORT = 9643;
/** Name of that port in a pod. */
export const INTERNAL_PORT_NAME = 'internal';
/** /livez, /readyz and /metrics. */
export const BROKER_HTTP_PORT = 9642;
export const BROKER_CONTAINER = 'broker';
export const DATA_VOLUME = 'data';
/** A pod that has this volume speaks TLS with other brokers and the operator. */
export const TLS_VOLUME = 'tls';

/**
 * Longest name of a LogCluster: `<name>-brokers` and `<name>-<ordinal>` are DNS labels, and the
 * StatefulSet's revision label adds 11 characters to it.
 */
export const CLUSTER_NAME_LENGTH_MAX = 45;
/**
 * `<name>` is the Service for clients and `<name>-brokers` the brokers' own, so no cluster may be
 * called the latter.
 */
export const BROKERS_SUFFIX = '-brokers';

/**
 * The StatefulSet, the Service for clients and the PodDisruptionBudget share the LogCluster's name.
 */
export function brokersServiceName(cluster: string): string {
  return `${cluster}${BROKERS_SUFFIX}`;
}

/** Secret of the authority that signs for one cluster, with its key. No pod mounts it. */
export function authoritySecretName(cluster: string): string {
  return `${brokersServiceName(cluster)}-ca`;
}

/** Secret of the certificates of brokers, and of the operator. */
export function certificatesSecretName(cluster: string): string {
  return `${brokersServiceName(cluster)}-tls`;
}

/**
 * Certificate that cert-manager is asked for, and the Secret that it makes of it.
 *
 * @param brokerId null: the operator's
 */
export function issuedSecretName(cluster: string, brokerId: number | null): string {
  return `${certificatesSecretName(cluster)}-${brokerId ?? 'operator'}`;
}

/** Secret in which clients find whom they may trust, without any key. */
export function trustSecretName(cluster: string): string {
  return `${brokersServiceName(cluster)}-ca-cert`;
}

/**
 * Service at which clients of a listener begin, or of one broker.
 *
 * @param brokerId null: where they begin
 */
export function listenerServiceName(
  cluster: string,
  listener: string,
  brokerId: number | null,
): string {
  return `${cluster}-${listener}${brokerId === null ? '' : `-${brokerId}`}`;
}

/** ConfigMap in which brokers find where clients of their listeners dial them. */
export function addressesName(cluster: string): string {
  return `${brokersServiceName(cluster)}-addresses`;
}

/** Name of a listener's port in a pod: 15 characters at most. */
export function listenerPortName(listener: string): string {
  return `on-${listener}`;
}

/** File of one broker in that ConfigMap. */
export function addressFile(listener: string, pod: string): string {
  return `${listener}.${pod}`;
}

/** The Lease that says which operator looks after a cluster. */
export function claimName(cluster: string): string {
  return `logcluster-${cluster}`;
}

export function podName(cluster: string, brokerId: number): string {
  return `${cluster}-${brokerId}`;
}

/**
 * Where a broker is dialled, without the port. Published before the pod is ready, since brokers
 * need each other to become so.
 */
export function podHost(cluster: string, namespace: string, brokerId: number): string {
  return `${podName(cluster, brokerId)}.${brokersServiceName(cluster)}.${namespace}.svc`;
}

/** Pods and volume claims of all clusters, as a label selector. */
export const BROKER_SELECTOR = 'app.kubernetes.io/name=tidemark,app.kubernetes.io/component=broker';

/** Selects the pods of one cluster. Immutable in the StatefulSet. */
export function selectorLabels(cluster: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'tidemark',
    'app.kubernetes.io/instance': cluster,
    'app.kubernetes.io/component': 'broker',
  };
}

/** The operator's own pods, as the chart labels them. */
export const OPERATOR_LABELS = {
  'app.kubernetes.io/name': 'tidemark',
  'app.kubernetes.io/component': 'operator',
} as const;

/** On every object that the operator makes for a cluster. */
export function objectLabels(cluster: string): Record<string, string> {
  return {
    ...selectorLabels(cluster),
    'app.kubernetes.io/part-of': 'tidemark',
    'app.kubernetes.io/managed-by': FIELD_MANAGER,
  };
}

/** `status.labelSelector`, which `kubectl scale` and autoscalers read. */
export function selectorText(cluster: string): string {
  return Object.entries(selectorLabels(cluster))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
