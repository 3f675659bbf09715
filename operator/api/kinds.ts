/** The kinds that the operator reads and writes, and where the API server serves them. Pure. */
import { API_VERSION, API_GROUP } from './names.ts';

/**
 * An object as the API server wrote it: fields that nobody here knows survive a read and a write.
 */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  /** Absent on objects of the whole cluster. */
  readonly namespace?: string | undefined;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly [field: string]: unknown;
}

export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  /** The word in the path. */
  readonly plural: string;
  readonly isNamespaced: boolean;
}

function namespaced(apiVersion: string, kind: string, plural: string): Kind {
  return { apiVersion, kind, plural, isNamespaced: true };
}

const OWN_VERSION = `${API_GROUP}/${API_VERSION}`;

export const LOG_CLUSTER = namespaced(OWN_VERSION, 'LogCluster', 'logclusters');
export const LOG_TOPIC = namespaced(OWN_VERSION, 'LogTopic', 'logtopics');
export const LOG_ACCESS = namespaced(OWN_VERSION, 'LogAccess', 'logaccesses');
export const STATEFUL_SET = namespaced('apps/v1', 'StatefulSet', 'statefulsets');
export const DEPLOYMENT = namespaced('apps/v1', 'Deployment', 'deployments');
export const POD = namespaced('v1', 'Pod', 'pods');
export const CLAIM = namespaced('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims');
export const SERVICE = namespaced('v1', 'Service', 'services');
/** Read by name, and never watched. */
export const CONFIG_MAP = namespaced('v1', 'ConfigMap', 'configmaps');
export const SECRET = namespaced('v1', 'Secret', 'secrets');
/** Of cert-manager: there only where that is. */
export const CERTIFICATE = namespaced('cert-manager.io/v1', 'Certificate', 'certificates');
export const DISRUPTION_BUDGET = namespaced(
  'policy/v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
);
export const NETWORK_POLICY = namespaced(
  'networking.k8s.io/v1',
  'NetworkPolicy',
  'networkpolicies',
);
export const NODE: Kind = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', isNamespaced: false };
export const VOLUME: Kind = {
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  isNamespaced: false,
};
