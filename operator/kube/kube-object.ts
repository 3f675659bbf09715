/**
 * Kubernetes objects as the API server wrote them: plain JSON, so that a field this program has
 * never heard of survives a read and a write. Knows no kind in particular.
 */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
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
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly [field: string]: unknown;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

/** A kind and where the API server serves it. */
export interface ResourceType {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** The word in the path: `statefulsets`. */
  readonly plural: string;
  readonly isNamespaced: boolean;
}

export interface ObjectName {
  /** Absent on objects of the whole cluster. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** `namespace/name`, or `name` for an object of the whole cluster. */
export function keyOf({ namespace, name }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The reverse of {@link keyOf}. */
export function nameOf(key: string): ObjectName {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/**
 * `/apis/apps/v1/namespaces/default/statefulsets`: all of a kind, in one namespace where one is
 * given.
 */
export function collectionPath(type: ResourceType, namespace?: string): string {
  const root = type.apiVersion.includes('/')
    ? `/apis/${type.apiVersion}`
    : `/api/${type.apiVersion}`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${type.plural}`;
}

/**
 * The path of one object, or of one of its subresources (`status`). Throws RangeError where the
 * namespace does not fit the kind.
 */
export function objectPath(
  type: ResourceType,
  { namespace, name }: ObjectName,
  subresource?: string,
): string {
  if (type.isNamespaced !== (namespace !== undefined)) {
    throw new RangeError(
      `${type.kind} ${keyOf({ namespace, name })}: ${type.isNamespaced ? 'needs a namespace' : 'has no namespace'}`,
    );
  }
  const path = `${collectionPath(type, namespace)}/${encodeURIComponent(name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/**
 * Below, at or above zero as `left` is older than, equal to or newer than `right`. Resource
 * versions are decimal numbers of any length that grow with every write (KEP-5504, stable since
 * Kubernetes 1.35); the empty one is older than all.
 */
export function compareVersions(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left === right ? 0 : 1;
}

/**
 * `MicroTime` of Kubernetes: exactly six fractional digits, or the API server refuses it. `wallMs`
 * is milliseconds since 1970.
 */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}
