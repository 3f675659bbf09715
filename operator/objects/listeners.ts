/**
 * Services of a LogCluster's listeners, and where clients of each dial every broker. Pure. What a
 * cloud has yet to say stands in the status once it has said it: certificates are made from there.
 */
import { hostPort, type HostPort } from '../../base/host-port.ts';
import { ID_PLACE } from '../api/listeners.ts';
import {
  addressesName,
  addressFile,
  LISTENER_LABEL,
  listenerPortName,
  listenerServiceName,
  podHost,
  podName,
  selectorLabels,
} from '../api/names.ts';
import type { ClientListener, ListenerStatus, LogCluster } from '../api/types.ts';
import { type Manifest, objectMetadata } from './workload.ts';

/** Of TLS, where a Gateway listens. */
const GATEWAY_PORT = 443;
const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name';

/** An object that holds texts and has no spec. */
export type TextsManifest = Omit<Manifest, 'spec'> & {
  readonly data: Readonly<Record<string, string>>;
};

/** What is read of a Service that is there. */
export interface ServiceJson {
  readonly spec?: { readonly ports?: readonly { readonly nodePort?: number }[] };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly hostname?: string; readonly ip?: string }[];
    };
  };
}

/** All Services of all listeners. @param brokers how many there are, or are to be */
export function buildListenerServices(cluster: LogCluster, brokers: number): readonly Manifest[] {
  const { listeners = [] } = cluster.spec;
  return listeners.flatMap((listener) => [
    buildService(cluster, listener, null),
    // Within the cluster each pod has a name already.
    ...(listener.type === 'ClusterIP'
      ? []
      : Array.from({ length: brokers }, (_, id) => buildService(cluster, listener, id))),
  ]);
}

function buildService(
  cluster: LogCluster,
  listener: ClientListener,
  brokerId: number | null,
): Manifest {
  const { name } = cluster.metadata;
  const { loadBalancerSourceRanges, port, tls, type } = listener;
  const of = listener.brokers?.find(({ broker }) => broker === brokerId);
  const nodePort = brokerId === null ? listener.nodePort : of?.nodePort;
  const service = listenerServiceName(name, listener.name, brokerId);
  const metadata = objectMetadata(cluster, service, listener);
  const pod = brokerId === null ? {} : { [POD_NAME_LABEL]: podName(name, brokerId) };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, labels: { ...metadata.labels, [LISTENER_LABEL]: listener.name } },
    spec: {
      type: type === 'Gateway' ? 'ClusterIP' : type,
      selector: { ...selectorLabels(name), ...pod },
      // Whoever leads is dialled, ready or not: it becomes ready by and by.
      ...(brokerId === null ? {} : { publishNotReadyAddresses: true }),
      ...(loadBalancerSourceRanges === undefined ? {} : { loadBalancerSourceRanges }),
      ports: [
        {
          name: 'grpc',
          port,
          targetPort: listenerPortName(listener.name),
          protocol: 'TCP',
          ...(tls.mode === 'Enabled' ? {} : { appProtocol: 'kubernetes.io/h2c' }),
          ...(nodePort === undefined ? {} : { nodePort }),
        },
      ],
    },
  };
}

/**
 * Where clients of each listener begin and dial each broker, as far as that is known.
 *
 * @param serviceOf a Service by its name; undefined: it is not there
 */
export function listenerAddresses(
  cluster: LogCluster,
  brokers: number,
  serviceOf: (name: string) => ServiceJson | undefined,
): readonly ListenerAddresses[] {
  const { name } = cluster.metadata;
  return (cluster.spec.listeners ?? []).map((listener) => {
    const service = (id: number | null): ServiceJson | undefined =>
      serviceOf(listenerServiceName(name, listener.name, id));
    return {
      name: listener.name,
      bootstrap: bootstrapOf(cluster, listener, service(null)),
      brokers: Array.from({ length: brokers }, (_, id) =>
        addressOf(cluster, listener, id, service(id)),
      ),
    };
  });
}

export interface ListenerAddresses {
  readonly name: string;
  /** Null: not known yet; so are the others. */
  readonly bootstrap: HostPort | null;
  /** By id. */
  readonly brokers: readonly (HostPort | null)[];
}

function addressOf(
  { metadata: { name, namespace } }: LogCluster,
  listener: ClientListener,
  brokerId: number,
  service: ServiceJson | undefined,
): HostPort | null {
  const { type, port, advertisedHost, advertisedPort, brokers = [] } = listener;
  const own = brokers.find(({ broker }) => broker === brokerId);
  const byType = {
    ClusterIP: { host: podHost(name, namespace, brokerId), port },
    NodePort: { host: undefined, port: service?.spec?.ports?.[0]?.nodePort },
    LoadBalancer: { host: balancerOf(service), port },
    Gateway: { host: undefined, port: GATEWAY_PORT },
  }[type];
  const host = own?.host ?? advertisedHost?.replaceAll(ID_PLACE, String(brokerId)) ?? byType.host;
  return known(host, own?.port ?? advertisedPort ?? byType.port);
}

function bootstrapOf(
  { metadata: { name, namespace } }: LogCluster,
  { name: listener, type, port, bootstrapHost, advertisedPort }: ClientListener,
  service: ServiceJson | undefined,
): HostPort | null {
  const byType = {
    ClusterIP: { host: `${listenerServiceName(name, listener, null)}.${namespace}.svc`, port },
    NodePort: { host: undefined, port: service?.spec?.ports?.[0]?.nodePort },
    LoadBalancer: { host: balancerOf(service), port },
    Gateway: { host: undefined, port: GATEWAY_PORT },
  }[type];
  const isShared = type === 'Gateway' || type === 'ClusterIP';
  return known(
    bootstrapHost ?? byType.host,
    (isShared ? advertisedPort : undefined) ?? byType.port,
  );
}

function balancerOf(service: ServiceJson | undefined): string | undefined {
  const [first] = service?.status?.loadBalancer?.ingress ?? [];
  return first?.hostname ?? first?.ip;
}

function known(host: string | undefined, port: number | undefined): HostPort | null {
  return host === undefined || host === '' || port === undefined ? null : { host, port };
}

/** As the status has them. @param isTold whether a broker tells its clients this address */
export function listenerStatuses(
  addresses: readonly ListenerAddresses[],
  isTold: (brokerId: number, listener: string, address: HostPort) => boolean,
): readonly ListenerStatus[] {
  return addresses.map(({ name, bootstrap, brokers }) => ({
    name,
    ...(bootstrap === null ? {} : { bootstrap: hostPort(bootstrap.host, bootstrap.port) }),
    brokers: brokers.map((address, broker) => ({
      broker,
      ...(address === null ? {} : { address: hostPort(address.host, address.port) }),
      advertised: address !== null && isTold(broker, name, address),
    })),
  }));
}

/** The ConfigMap in which each broker finds its own. */
export function buildAddresses(
  cluster: LogCluster,
  addresses: readonly ListenerAddresses[],
): TextsManifest {
  const { name } = cluster.metadata;
  const data = addresses.flatMap(({ name: listener, brokers }) =>
    brokers.flatMap((address, id) =>
      address === null
        ? []
        : [[addressFile(listener, podName(name, id)), hostPort(address.host, address.port)]],
    ),
  );
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: objectMetadata(cluster, addressesName(name)),
    data: Object.fromEntries(data) as Record<string, string>,
  };
}
