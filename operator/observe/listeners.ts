/**
 * What there is for a LogCluster's listeners: Services, from the cache, and the ConfigMap of
 * addresses, which is read by name where there are listeners and nowhere else.
 */
import { CONFIG_MAP, type Kind, type KubeObject, type ObjectName } from '../api/kinds.ts';
import { addressesName, LISTENER_LABEL, selectorLabels } from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import type { ListenersView, MetadataView } from '../decide/types.ts';
import {
  buildAddresses,
  buildListenerServices,
  type ListenerAddresses,
  listenerAddresses,
  listenerStatuses,
  type ServiceJson,
} from '../objects/listeners.ts';
import { isControlledBy } from '../objects/owners.ts';
import type { Manifest } from '../objects/workload.ts';

/** Services as they stand, and what follows from them. */
export interface ListenersSeen {
  readonly addresses: readonly ListenerAddresses[];
  readonly outdated: readonly string[];
  readonly leftovers: ListenersView['leftovers'];
  /** Under our names, of somebody else. */
  readonly taken: readonly KubeObject[];
}

export interface Sources {
  /** Of Services, from the cache. */
  readonly named: (name: string) => KubeObject | undefined;
  readonly all: readonly KubeObject[];
  /** The Service holds what would be applied, or applying it does not help now. */
  readonly isSettled: (object: KubeObject | undefined, manifest: Manifest) => boolean;
}

/** Null: there are no listeners, and nothing is left of any. */
export function seeListeners(
  cluster: LogCluster,
  workload: KubeObject | undefined,
  { named, all, isSettled }: Sources,
): ListenersSeen | null {
  const { name, uid } = cluster.metadata;
  const { replicas = 0 } = (workload?.['spec'] ?? {}) as { readonly replicas?: number };
  const brokers = Math.max(cluster.spec.replicas, replicas);
  const manifests = buildListenerServices(cluster, brokers);
  const wanted = new Set(manifests.map(({ metadata }) => metadata.name));
  const isOurs = ({ metadata: { labels = {} } }: KubeObject): boolean =>
    labels[LISTENER_LABEL] !== undefined &&
    Object.entries(selectorLabels(name)).every(([key, value]) => labels[key] === value);
  const leftovers = all
    .filter((each) => isOurs(each) && isControlledBy(each, uid) && !wanted.has(each.metadata.name))
    .map(({ metadata }) => ({ name: metadata.name, uid: metadata.uid ?? '' }));
  if (manifests.length === 0 && leftovers.length === 0) return null;
  const ownService = (service: string): ServiceJson | undefined => {
    const object = named(service);
    return isControlledBy(object, uid) ? (object as unknown as ServiceJson) : undefined;
  };
  return {
    addresses: listenerAddresses(cluster, brokers, ownService),
    outdated: manifests.flatMap((manifest) => {
      const object = named(manifest.metadata.name);
      return isSettled(object, manifest) ? [] : [manifest.metadata.name];
    }),
    leftovers,
    taken: manifests.flatMap(({ metadata }) => {
      const object = named(metadata.name);
      return object === undefined || isControlledBy(object, uid) ? [] : [object];
    }),
  };
}

/** With what brokers find, and what they tell clients. @param seen null: nothing */
export async function readListeners(
  client: {
    get(
      type: Kind,
      name: ObjectName,
      options: { readonly signal: AbortSignal },
    ): Promise<KubeObject | undefined>;
  },
  { cluster, metadata }: { readonly cluster: LogCluster; readonly metadata: MetadataView | null },
  seen: ListenersSeen | null,
  signal: AbortSignal,
): Promise<{ readonly view: ListenersView | null; readonly foreign: readonly KubeObject[] }> {
  if (seen === null) return { view: null, foreign: [] };
  const { addresses, outdated, leftovers } = seen;
  const { name, namespace, uid } = cluster.metadata;
  const map = await client.get(CONFIG_MAP, { namespace, name: addressesName(name) }, { signal });
  const isForeign = map !== undefined && !isControlledBy(map, uid);
  const wanted = buildAddresses(cluster, addresses).data;
  const data = (map?.['data'] ?? {}) as Readonly<Record<string, string>>;
  const isSame =
    map !== undefined &&
    Object.keys(data).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([file, text]) => data[file] === text);
  const isTold = (brokerId: number, listener: string, at: { host: string; port: number }) =>
    metadata?.brokers
      .find((broker) => broker.brokerId === brokerId)
      ?.listeners?.some(
        (told) => told.listener === listener && told.host === at.host && told.port === at.port,
      ) ?? false;
  const view = {
    outdated,
    leftovers,
    areAddressesCurrent: isForeign || isSame || addresses.length === 0,
    statuses: listenerStatuses(addresses, isTold),
  };
  return { view, foreign: isForeign ? [map] : [] };
}
