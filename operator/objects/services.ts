/** Services, PodDisruptionBudget and NetworkPolicy of a LogCluster. Pure. */
import {
  BROKER_HTTP_PORT,
  BROKER_INTERNAL_PORT,
  BROKER_PORT,
  brokersServiceName,
  INTERNAL_PORT_NAME,
  OPERATOR_LABELS,
  selectorLabels,
} from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import { objectMetadata } from './workload.ts';
import type { Manifest } from './workload.ts';

const H2C = { protocol: 'TCP', appProtocol: 'kubernetes.io/h2c' };
const GRPC_PORT = { name: 'grpc', port: BROKER_PORT, targetPort: 'grpc', ...H2C };
const INTERNAL_PORT = {
  name: INTERNAL_PORT_NAME,
  port: BROKER_INTERNAL_PORT,
  targetPort: INTERNAL_PORT_NAME,
  ...H2C,
};

/** An address of each family that the cluster has. */
const BOTH_FAMILIES = { ipFamilyPolicy: 'PreferDualStack' };

/**
 * Headless: gives every broker the name that it advertises, before it is ready, and Prometheus its
 * targets.
 */
export function buildBrokersService(cluster: LogCluster): Manifest {
  const { name } = cluster.metadata;
  const { objects } = cluster.spec;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: objectMetadata(cluster, brokersServiceName(name), objects?.brokersService),
    spec: {
      clusterIP: 'None',
      ...BOTH_FAMILIES,
      publishNotReadyAddresses: true,
      selector: selectorLabels(name),
      ports: [
        GRPC_PORT,
        INTERNAL_PORT,
        { name: 'metrics', port: BROKER_HTTP_PORT, targetPort: 'metrics', protocol: 'TCP' },
      ],
    },
  };
}

/** Where clients begin: any ready broker tells them of the others. */
export function buildClientService(cluster: LogCluster): Manifest {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: objectMetadata(cluster, name, cluster.spec.objects?.clientsService),
    spec: {
      type: 'ClusterIP',
      ...BOTH_FAMILIES,
      selector: selectorLabels(name),
      ports: [GRPC_PORT],
    },
  };
}

/** @param maxUnavailable brokers that may be evicted now, as the safety function has it */
export function buildDisruptionBudget(cluster: LogCluster, maxUnavailable: number): Manifest {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: objectMetadata(cluster, name, cluster.spec.objects?.budget),
    spec: {
      maxUnavailable,
      selector: { matchLabels: selectorLabels(name) },
      // A broker that recovers may hold the last copy of something: it is not to be evicted because
      // it is not ready.
      unhealthyPodEvictionPolicy: 'IfHealthyBudget',
    },
  };
}

/**
 * Whoever reaches the internal port can act as a broker, so it is open to brokers and operator
 * alone. Policies add up: who needs more has one of his own beside this.
 *
 * @param operatorNamespace where the operator's pods run
 */
export function buildNetworkPolicy(cluster: LogCluster, operatorNamespace: string): Manifest {
  const { name } = cluster.metadata;
  const { clients, scrapers } = cluster.spec.networkPolicy;
  const { listeners = [] } = cluster.spec;
  const own = [
    { podSelector: { matchLabels: selectorLabels(name) } },
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': operatorNamespace } },
      podSelector: { matchLabels: OPERATOR_LABELS },
    },
  ];
  const to = (port: number, from?: readonly object[]): object => ({
    ports: [{ protocol: 'TCP', port }],
    ...(from === undefined ? {} : { from }),
  });
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: objectMetadata(cluster, name),
    spec: {
      podSelector: { matchLabels: selectorLabels(name) },
      policyTypes: ['Ingress'],
      ingress: [
        to(BROKER_INTERNAL_PORT, own),
        // Commands in a broker's pod, and pods from before there was an internal port.
        to(BROKER_PORT, clients === undefined ? undefined : [...own, ...clients]),
        ...listeners.map(({ port, clients: from }) =>
          to(port, from === undefined ? undefined : [...own, ...from]),
        ),
        to(BROKER_HTTP_PORT, scrapers),
      ],
    },
  };
}
