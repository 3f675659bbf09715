/**
 * One snapshot for one pass. Objects come from the caches, which the caller has made sure to show all own writes; volumes of unscheduled pods are read
 * uncached; brokers are asked at the addresses of their pods, all at once.
 */
import type { Kind, KubeObject, ObjectName } from '../api/kinds.ts';
import {
  CLAIM,
  DISRUPTION_BUDGET,
  LOG_TOPIC,
  NODE,
  POD,
  SERVICE,
  STATEFUL_SET,
  VOLUME,
} from '../api/kinds.ts';
import { BROKER_PORT, brokersServiceName, DATA_VOLUME, selectorLabels } from '../api/names.ts';
import type { LogCluster, LogTopic } from '../api/types.ts';
import { logClusterNameFaults, validateLogCluster, validateLogTopic } from '../api/validate.ts';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
} from '../build/services.ts';
import { buildStatefulSet, planTemplate, readRecord } from '../build/workload.ts';
import type { PlannedTemplate, WorkloadRecord } from '../build/workload.ts';
import { wantedClusterId } from '../decide/identity.ts';
import { jointSets } from '../decide/roll.ts';
import { hasNewcomer } from '../decide/scale.ts';
import type {
  BudgetView,
  ClaimView,
  LogTopicView,
  Observation,
  PodView,
  Verdict,
  WorkloadView,
} from '../decide/types.ts';
import type { BrokerCalls } from './broker-admin.ts';
import { askBroker, askController, askRebalance, askVerdict } from './brokers.ts';
import {
  asksForLess,
  claimView,
  clusterIdOf,
  growthPatch,
  holds,
  nodeOfVolume,
  nodeView,
  ordinalOf,
  podAddress,
  podView,
  volumeOf,
} from './objects.ts';

/** The caches. */
export interface ObjectSource {
  get(type: Kind, name: ObjectName): KubeObject | undefined;
  list(type: Kind, namespace?: string): KubeObject[];
}

/** The API server itself. */
export interface UncachedSource {
  get(
    type: Kind,
    name: ObjectName,
    options: { readonly signal: AbortSignal },
  ): Promise<KubeObject | undefined>;
  refusalOfPatch(
    type: Kind,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: { readonly signal: AbortSignal },
  ): Promise<string | null>;
}

export interface ObserverOptions {
  readonly cache: ObjectSource;
  readonly client: UncachedSource;
  readonly admin: BrokerCalls;
  /** Of clusters that name none. */
  readonly imageDefault: string;
  /** May nodes and volumes be read? */
  readonly canReadNodes: boolean;
}

/** What acting on an observation needs besides it. */
export interface Observed {
  readonly observation: Observation;
  readonly template: PlannedTemplate;
  readonly record: WorkloadRecord | null;
  /** Where each broker is dialled, by its id. */
  readonly addresses: ReadonlyMap<number, string>;
  /** Null where there is none. */
  readonly controllerAddress: string | null;
}

/** Snapshot of `resource`, a LogCluster as the cache has it. */
export async function observe(
  options: ObserverOptions,
  resource: KubeObject,
  signal: AbortSignal,
): Promise<Observed> {
  const { admin, canReadNodes } = options;
  const { spec, faults } = validateLogCluster(resource['spec']);
  const cluster = { ...resource, spec } as unknown as LogCluster;
  const nameFaults = logClusterNameFaults(cluster.metadata.name);
  const objects = readObjects(options, cluster);
  const reached = await Promise.all(
    objects.pods.map(({ pod, view }) =>
      askBroker(admin, { brokerId: view.brokerId, address: podAddress(pod, BROKER_PORT) }, signal),
    ),
  );
  const whole = await askController(admin, reached, signal);
  const pods = objects.pods.map(({ view }) => view);
  const seen = {
    cluster,
    faults: [...faults, ...nameFaults].map(({ message }) => message),
    clusterId: objects.clusterId,
    template: { hash: objects.template.hash, image: objects.template.image },
    workload: objects.workload,
    services: objects.services,
    budget: objects.budget,
    pods,
    claims: await readClaims(options, cluster, objects.claims, pods, signal),
    nodes: canReadNodes ? options.cache.list(NODE).map(nodeView) : null,
    answers: reached.map(({ answer }) => answer),
    metadata: whole?.metadata ?? null,
    logTopics: readLogTopics(options.cache, cluster),
  };
  const address = whole?.address ?? null;
  const verdicts =
    address === null
      ? []
      : await readVerdicts(admin, address, { ...seen, verdicts: [], rebalance: null }, signal);
  const rebalance =
    address !== null && hasNewcomer(seen) ? await askRebalance(admin, address, signal) : null;
  const addresses = new Map(
    reached.flatMap(({ answer, address: at }) =>
      at === null ? [] : [[answer.brokerId, at] as const],
    ),
  );
  return {
    observation: { ...seen, verdicts, rebalance },
    template: objects.template,
    record: objects.record,
    addresses,
    controllerAddress: address,
  };
}

interface Objects {
  readonly clusterId: string;
  readonly template: PlannedTemplate;
  readonly record: WorkloadRecord | null;
  readonly workload: WorkloadView | null;
  readonly services: Observation['services'];
  readonly budget: BudgetView | null;
  readonly pods: readonly { readonly pod: KubeObject; readonly view: PodView }[];
  readonly claims: readonly { readonly claim: KubeObject; readonly brokerId: number }[];
}

function readObjects({ cache, imageDefault }: ObserverOptions, cluster: LogCluster): Objects {
  const { name, namespace } = cluster.metadata;
  const set = cache.get(STATEFUL_SET, { namespace, name });
  const record =
    set === undefined
      ? null
      : readRecord(set as unknown as Parameters<typeof readRecord>[0], cluster);
  const labels = Object.entries(selectorLabels(name));
  const isOurs = ({ metadata }: KubeObject): boolean =>
    labels.every(([key, value]) => metadata.labels?.[key] === value);
  const claims = byBroker(
    cache.list(CLAIM, namespace).filter(isOurs),
    `${DATA_VOLUME}-${name}`,
  ).map(({ object, brokerId }) => ({ claim: object, brokerId }));
  const clusterId = wantedClusterId(
    cluster,
    claims.map(({ claim }) => clusterIdOf(claim)),
  );
  const template = planTemplate(cluster, record?.template ?? null, imageDefault, clusterId);
  const brokers = cache.get(SERVICE, { namespace, name: brokersServiceName(name) });
  const clients = cache.get(SERVICE, { namespace, name });
  return {
    clusterId,
    template,
    record,
    workload: set === undefined ? null : workloadView(set, cluster, template, record),
    services: {
      isBrokersCurrent: brokers !== undefined && holds(brokers, buildBrokersService(cluster)),
      isClientsCurrent: clients !== undefined && holds(clients, buildClientService(cluster)),
    },
    budget: budgetView(cache.get(DISRUPTION_BUDGET, { namespace, name }), cluster),
    pods: byBroker(cache.list(POD, namespace).filter(isOurs), name).map(({ object, brokerId }) => {
      const view = podView(object, brokerId);
      const isKept = isOwnedBy(set, cluster.metadata.uid) && isOwnedBy(object, set?.metadata.uid);
      return { pod: object, view: { ...view, isTerminating: view.isTerminating || !isKept } };
    }),
    claims,
  };
}

/**
 * What an owner left that was deleted, and made again under the same name, looks well and is about to go: the garbage collector comes for it, and for what it owns.
 */
function isOwnedBy(object: KubeObject | undefined, uid: string | undefined): boolean {
  const owners = object?.metadata['ownerReferences'] as
    | readonly { readonly uid: string }[]
    | undefined;
  return owners?.some((owner) => owner.uid === uid) === true;
}

function byBroker(
  objects: readonly KubeObject[],
  prefix: string,
): { readonly object: KubeObject; readonly brokerId: number }[] {
  return objects
    .flatMap((object) => {
      const brokerId = ordinalOf(object.metadata.name, prefix);
      return brokerId === null ? [] : [{ object, brokerId }];
    })
    .sort((left, right) => left.brokerId - right.brokerId);
}

function workloadView(
  set: KubeObject,
  cluster: LogCluster,
  template: PlannedTemplate,
  record: WorkloadRecord | null,
): WorkloadView {
  const { uid = '', resourceVersion = '', generation = 0 } = set.metadata;
  const { replicas } = set['spec'] as { readonly replicas: number };
  const { observedGeneration = 0 } = (set['status'] ?? {}) as {
    readonly observedGeneration?: number;
  };
  return {
    uid,
    resourceVersion,
    replicas,
    isObserved: observedGeneration >= generation,
    isCurrent: holds(set, buildStatefulSet(cluster, replicas, template, record)),
  };
}

function budgetView(budget: KubeObject | undefined, cluster: LogCluster): BudgetView | null {
  if (budget === undefined) return null;
  const { maxUnavailable } = budget['spec'] as { readonly maxUnavailable?: unknown };
  const allowed = typeof maxUnavailable === 'number' ? maxUnavailable : -1;
  return {
    maxUnavailable: allowed,
    isCurrent: holds(budget, buildDisruptionBudget(cluster, allowed)),
  };
}

/**
 * Volumes are looked up only where it matters on which node they are. Whether claims may grow depends on their storage class, which only an administrator may
 * read: the API server is asked about the first one that is to.
 */
function readClaims(
  { client, canReadNodes }: ObserverOptions,
  { spec }: LogCluster,
  claims: Objects['claims'],
  pods: readonly PodView[],
  signal: AbortSignal,
): Promise<ClaimView[]> {
  const { size } = spec.storage;
  const growing = claims.find(
    ({ claim, brokerId }) => brokerId < spec.replicas && asksForLess(claim, size),
  );
  return Promise.all(
    claims.map(async ({ claim, brokerId }) => {
      const isPending = pods.some((pod) => pod.brokerId === brokerId && pod.node === null);
      const name = volumeOf(claim);
      const volume =
        isPending && canReadNodes && name !== null
          ? await client.get(VOLUME, { name }, { signal })
          : undefined;
      const growthRefusal =
        claim === growing?.claim
          ? await client.refusalOfPatch(CLAIM, claim.metadata, growthPatch(size), { signal })
          : null;
      const node = volume === undefined ? null : nodeOfVolume(volume);
      return claimView(claim, brokerId, { node, growthRefusal });
    }),
  );
}

function readLogTopics(cache: ObjectSource, cluster: LogCluster): LogTopicView[] {
  return cache
    .list(LOG_TOPIC, cluster.metadata.namespace)
    .map((resource): LogTopicView => {
      const { spec, faults } = validateLogTopic(resource['spec']);
      return {
        resource: { ...resource, spec } as unknown as LogTopic,
        faults: faults.map(({ message }) => message),
      };
    })
    .filter(({ resource }) => resource.spec.clusterName === cluster.metadata.name)
    .sort((left, right) => (left.resource.metadata.name < right.resource.metadata.name ? -1 : 1));
}

/** Each broker alone, for drains and the next stop; and the sets that a roll might stop together. */
async function readVerdicts(
  admin: BrokerCalls,
  address: string,
  seen: Observation,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const brokers = seen.metadata?.brokers ?? [];
  const sets = [...brokers.map(({ brokerId }) => [brokerId]), ...jointSets(seen)];
  const verdicts = await Promise.all(sets.map((set) => askVerdict(admin, address, set, signal)));
  return verdicts.filter((verdict) => verdict !== null);
}
