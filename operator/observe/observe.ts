/**
 * One snapshot for one pass. Objects come from the caches, which the caller has made sure to show
 * all own writes; volumes of unscheduled pods are read uncached; brokers are asked at the addresses
 * of their pods, all at once.
 */
import type { Kind, KubeObject } from '../api/kinds.ts';
import {
  CLAIM,
  DISRUPTION_BUDGET,
  LOG_CLUSTER,
  LOG_TOPIC,
  NETWORK_POLICY,
  NODE,
  POD,
  SERVICE,
  STATEFUL_SET,
} from '../api/kinds.ts';
import { brokersServiceName, DATA_VOLUME, selectorLabels } from '../api/names.ts';
import type { DepartedTopic, LogCluster, LogTopic, TlsPhase } from '../api/types.ts';
import { logClusterNameFaults, readLogClusterSpec, readLogTopicSpec } from '../api/validate.ts';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
  buildNetworkPolicy,
} from '../objects/services.ts';
import { buildClaimOverlay } from '../objects/claims.ts';
import { differences } from '../objects/compare.ts';
import type { ListenerAddresses } from '../objects/listeners.ts';
import { tlsPhaseOf } from '../objects/pod.ts';
import type { Secrets } from '../objects/secret-files.ts';
import { canonicalJson, type RecordedTemplate } from '../objects/template.ts';
import { buildStatefulSet, planned, planTemplate, readRecord } from '../objects/workload.ts';
import type {
  Manifest,
  PlannedTemplate,
  TemplateDefaults,
  WorkloadRecord,
} from '../objects/workload.ts';
import { isControlledBy, ownersOf } from '../objects/owners.ts';
import { wantedClusterId } from '../decide/identity.ts';
import { jointSets } from '../decide/roll.ts';
import { hasNewcomer } from '../decide/scale.ts';
import { plannedPhase, usesCertificates } from '../decide/to-tls.ts';
import type {
  BudgetView,
  LogTopicView,
  Observation,
  PodView,
  Verdict,
  WorkloadView,
} from '../decide/types.ts';
import type { BrokerAdmin, BrokerCalls } from './broker-admin.ts';
import { type ListenersSeen, readListeners, seeListeners } from './listeners.ts';
import type { CertificateReader, CertificatesSeen } from './certificates.ts';
import type { Applications } from './applied.ts';
import { type CachedClaim, readClaims } from './claims.ts';
import type { Sightings } from './sightings.ts';
import type { ObjectSource, UncachedSource } from './sources.ts';
import { clientTlsFault, imageBefore, resourcesBefore, tlsPhaseBefore } from './before.ts';
import {
  askBroker,
  askController,
  askControllerAt,
  type Asked,
  askRebalance,
  askVerdict,
} from './brokers.ts';
import {
  clusterIdOf,
  isCordonedNode,
  nodeOfPod,
  ordinalOf,
  podAddress,
  podView,
} from './objects.ts';

export interface ObserverOptions {
  /** Topics whose LogTopics were seen to go. */
  readonly departed: readonly DepartedTopic[];
  readonly cache: ObjectSource;
  readonly client: UncachedSource;
  readonly admin: Pick<BrokerAdmin, 'call' | 'dialWith'>;
  /** Of clusters that name none. */
  readonly imageDefault: string;
  readonly templateDefaults: TemplateDefaults;
  /** May nodes and volumes be read? */
  readonly canReadNodes: boolean;
  /** Namespace of the operator, whose pods a NetworkPolicy lets in; null: none is made. */
  readonly policyFor: string | null;
  /** Of nodes that are missing. */
  readonly sightings: Sightings;
  /** Of objects of this cluster. */
  readonly applications: Applications;
  /** Of this cluster's certificates. */
  readonly certificates: CertificateReader;
  readonly monotonicMs: () => number;
}

/** What acting on an observation needs besides it. */
export interface Observed {
  readonly observation: Observation;
  readonly template: PlannedTemplate;
  readonly record: WorkloadRecord | null;
  /** Where clients of listeners dial brokers. */
  readonly listeners: readonly ListenerAddresses[];
  readonly secrets: Secrets;
  /** Where each broker is dialled, by its id. */
  readonly addresses: ReadonlyMap<number, string>;
  /** Null where there is none. */
  readonly controllerAddress: string | null;
}

/** What a pass over one LogTopic sees. */
export interface TopicSeen {
  readonly observation: Pick<Observation, 'cluster' | 'metadata' | 'logTopics'>;
  readonly view: LogTopicView;
  readonly controllerAddress: string | null;
}

/** Snapshot for one LogTopic of `resource`; null where the cache does not have it. */
export async function observeTopic(
  { cache, admin }: { readonly cache: ObjectSource; readonly admin: BrokerCalls },
  resource: KubeObject,
  { name, controllerAddress }: { readonly name: string; readonly controllerAddress: string | null },
  signal: AbortSignal,
): Promise<TopicSeen | null> {
  const { spec } = readLogClusterSpec(resource['spec']);
  const cluster = { ...resource, spec } as unknown as LogCluster;
  const logTopics = readLogTopics(cache, cluster);
  const view = logTopics.find((each) => each.resource.metadata.name === name);
  if (view === undefined) return null;
  const names = [view.resource.spec.topicName ?? name];
  const metadata =
    controllerAddress === null
      ? null
      : await askControllerAt(admin, controllerAddress, names, signal);
  return { observation: { cluster, metadata, logTopics }, view, controllerAddress };
}

/** Snapshot of `resource`, a LogCluster as the cache has it. */
export async function observe(
  options: ObserverOptions,
  resource: KubeObject,
  signal: AbortSignal,
): Promise<Observed> {
  const { admin } = options;
  const { spec, faults } = readLogClusterSpec(resource['spec']);
  const cluster = { ...resource, spec } as unknown as LogCluster;
  const allFaults = [...faults, ...logClusterNameFaults(cluster.metadata.name)];
  const objects = readObjects(options, cluster, allFaults.length > 0);
  const { clusterId, fault } = objects;
  const certificates = objects.hasCertificates
    ? await options.certificates.read(
        options.client,
        { cluster, clusterId, brokers: brokersOf(cluster, objects) },
        signal,
      )
    : NO_CERTIFICATES;
  const reached = await Promise.all(
    objects.pods.map(({ pod, view }) =>
      askBroker(admin, dialled(options, pod, { ...view, clusterId }, certificates), signal),
    ),
  );
  const whole = await askController(admin, reached, signal);
  const pods = objects.pods.map(({ view }) => view);
  const metadata = whole?.metadata ?? null;
  const of = { cluster, metadata };
  const listeners = await readListeners(options.client, of, objects.listeners, signal);
  const strange = [...listeners.foreign, ...certificates.foreign];
  const seen = {
    cluster,
    faults: [...allFaults.map(({ message }) => message), ...(fault === null ? [] : [fault])],
    clusterId,
    template: { hash: objects.template.hash, image: objects.template.image },
    workload: objects.workload,
    services: objects.services,
    listeners: listeners.view,
    isPolicyCurrent: objects.isPolicyCurrent,
    budget: objects.budget,
    tls: certificates.view,
    tlsPhases: objects.tlsPhases,
    foreign: [...objects.foreign, ...strange.flatMap((each) => foreignView(each, cluster) ?? [])],
    mutated: objects.mutated,
    pods,
    claims: await readClaims(
      options,
      cluster,
      objects.claims,
      { pods, isFaulty: allFaults.length > 0 || fault !== null },
      signal,
    ),
    answers: reached.map(({ answer }) => answer),
    metadata,
    logTopics: readLogTopics(options.cache, cluster),
    departed: options.departed,
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
    listeners: objects.listeners?.addresses ?? [],
    secrets: certificates.secrets,
    addresses,
    controllerAddress: address,
  };
}

/** Brokers that there are, or that are to be. */
function brokersOf({ spec }: LogCluster, { workload, pods, claims }: Objects): number {
  const ids = [...pods.map(({ view }) => view), ...claims].map(({ brokerId }) => brokerId + 1);
  return Math.max(spec.replicas, workload?.replicas ?? 0, ...ids);
}

/** Of a cluster whose brokers speak plaintext. */
const NO_CERTIFICATES = { view: null, secrets: {}, foreign: [], own: null } as const;

/** Where a broker is asked, and with which certificates. */
function dialled(
  { admin }: ObserverOptions,
  pod: KubeObject,
  { brokerId, clusterId }: { readonly brokerId: number; readonly clusterId: string },
  { own }: Pick<CertificatesSeen, 'own'>,
): Asked {
  const address = podAddress(pod);
  if (address === null) return { brokerId, address };
  const isSecure = tlsPhaseOf(pod) !== 'Plaintext';
  if (isSecure && own === null)
    return { brokerId, address, fault: 'the operator has no certificate to show it' };
  admin.dialWith(address, isSecure && own !== null ? { clusterId, brokerId, material: own } : null);
  return { brokerId, address };
}

interface Objects {
  readonly clusterId: string;
  readonly tlsPhases: Observation['tlsPhases'];
  /** Certificates are to be kept. */
  readonly hasCertificates: boolean;
  /** What the spec wants and this cluster cannot have; null: nothing. */
  readonly fault: string | null;
  readonly template: PlannedTemplate;
  readonly record: WorkloadRecord | null;
  readonly workload: WorkloadView | null;
  readonly services: Observation['services'];
  readonly listeners: ListenersSeen | null;
  readonly isPolicyCurrent: boolean;
  readonly budget: BudgetView | null;
  readonly foreign: Observation['foreign'];
  readonly mutated: Observation['mutated'];
  readonly pods: readonly { readonly pod: KubeObject; readonly view: PodView }[];
  readonly claims: readonly CachedClaim[];
}

/** @param hasFaults the spec cannot be believed: nothing is made from it */
function readObjects(options: ObserverOptions, cluster: LogCluster, hasFaults: boolean): Objects {
  const { cache, imageDefault, policyFor } = options;
  const { name, namespace, uid } = cluster.metadata;
  const named = (kind: Kind, objectName: string): KubeObject | undefined =>
    cache.get(kind, { namespace, name: objectName });
  const set = named(STATEFUL_SET, name);
  const brokers = named(SERVICE, brokersServiceName(name));
  const clients = named(SERVICE, name);
  const budget = named(DISRUPTION_BUDGET, name);
  const policy = policyFor === null ? undefined : named(NETWORK_POLICY, name);
  const foreign = [set, brokers, clients, budget, policy].flatMap((object) => {
    const view = object === undefined ? null : foreignView(object, cluster);
    return view === null ? [] : [view];
  });
  const ownSet = isControlledBy(set, uid) ? set : undefined;
  const record = ownSet === undefined ? null : readRecord(ownSet, cluster);
  const { pods, claims } = readOwn(options, cluster, set);
  const clusterId = wantedClusterId(
    cluster,
    claims.map(({ claim }) => clusterIdOf(claim)),
  );
  const defaults = { ...options.templateDefaults, ...resourcesBefore(ownSet, pods) };
  const image = imageBefore(cluster, pods) ?? imageDefault;
  const recorded = record?.template ?? null;
  const phases = pods.map(({ view }) => view.tlsPhase);
  const tlsPhases = readPhases(cluster, recorded, phases);
  const fault = clientTlsFault(cluster, tlsPhases.given);
  const isFaulty = hasFaults || fault !== null;
  const template = isFaulty
    ? ((recorded && planned(recorded)) ?? NO_TEMPLATE)
    : planTemplate(cluster, recorded, image, clusterId, defaults, tlsPhases.planned);
  const given = recorded === null ? template : planned(recorded);
  const mutated: Observation['mutated'][number][] = [];
  const stands = standing(options, (each) => mutated.push(each));
  // Somebody else's is as it is.
  const isSettled = (object: KubeObject | undefined, manifest: Manifest): boolean =>
    object !== undefined && (!isControlledBy(object, uid) || stands(object, manifest));
  const all = { named: (service: string) => named(SERVICE, service), isSettled };
  const listeners = isFaulty
    ? null
    : seeListeners(cluster, ownSet, { ...all, all: cache.list(SERVICE, namespace) });
  foreign.push(...(listeners?.taken ?? []).flatMap((each) => foreignView(each, cluster) ?? []));
  return {
    clusterId,
    tlsPhases,
    hasCertificates:
      cluster.spec.internalTls.mode === 'Enabled' || usesCertificates(tlsPhases, phases),
    fault,
    template,
    record,
    workload:
      ownSet === undefined
        ? null
        : workloadView(
            ownSet,
            given.hash,
            (replicas) =>
              isFaulty || isSettled(ownSet, buildStatefulSet(cluster, replicas, given, record)),
          ),
    services: {
      isBrokersCurrent: isSettled(brokers, buildBrokersService(cluster)),
      isClientsCurrent: isSettled(clients, buildClientService(cluster)),
    },
    listeners,
    isPolicyCurrent:
      policyFor === null || isSettled(policy, buildNetworkPolicy(cluster, policyFor)),
    budget:
      budget === undefined || !isControlledBy(budget, uid)
        ? null
        : budgetView(budget, (allowed) =>
            isSettled(budget, buildDisruptionBudget(cluster, allowed)),
          ),
    foreign,
    mutated,
    pods,
    claims: claims.map((each) => ({
      ...each,
      isLabelled: isFaulty || hasOverlay(cluster, clusterId, each.claim, stands),
    })),
  };
}

/** What the claims of another cluster have is that cluster's. */
function hasOverlay(
  cluster: LogCluster,
  clusterId: string,
  claim: KubeObject,
  stands: Stands,
): boolean {
  if (clusterIdOf(claim) !== clusterId) return true;
  return stands(claim, buildClaimOverlay(cluster, claim.metadata.name));
}

/** Whether an object is as far as applying it brings it. */
type Stands = (object: KubeObject, manifest: object) => boolean;

function standing(
  { applications, monotonicMs }: ObserverOptions,
  onMutated: (mutated: Observation['mutated'][number]) => void,
): Stands {
  return (object, manifest) => {
    const id = `${object.kind} ${object.metadata.name}`;
    const fields = differences(object, manifest);
    const now = applications.standing(id, canonicalJson(manifest), fields, monotonicMs());
    if (now.mutated.length > 0) onMutated({ object: id, fields: now.mutated });
    return now.isSettled;
  };
}

function readPhases(
  cluster: LogCluster,
  recorded: RecordedTemplate | null,
  pods: readonly TlsPhase[],
): Observation['tlsPhases'] {
  const given = tlsPhaseBefore(cluster, recorded, pods);
  return { given, planned: plannedPhase(given, pods, cluster.spec, cluster.status?.internalTls) };
}

/** Of a cluster whose spec cannot be believed and whose StatefulSet tells of none. */
const NO_TEMPLATE: PlannedTemplate = {
  template: { metadata: { labels: {} }, spec: { containers: [] } },
  inputs: '',
  hash: '',
  image: '',
};

/** Pods and claims by our labels, each of a broker. */
function readOwn(
  options: ObserverOptions,
  { metadata: { name, namespace, uid } }: LogCluster,
  set: KubeObject | undefined,
): Pick<Objects, 'pods'> & { readonly claims: readonly Omit<CachedClaim, 'isLabelled'>[] } {
  const { cache } = options;
  const labels = Object.entries(selectorLabels(name));
  const isOurs = ({ metadata }: KubeObject): boolean =>
    labels.every(([key, value]) => metadata.labels?.[key] === value);
  return {
    claims: byBroker(cache.list(CLAIM, namespace).filter(isOurs), `${DATA_VOLUME}-${name}`).map(
      ({ object, brokerId }) => ({ claim: object, brokerId }),
    ),
    pods: byBroker(cache.list(POD, namespace).filter(isOurs), name).map(({ object, brokerId }) => {
      const view = podView(object, brokerId, cordonedForMs(options, object));
      const isKept = isControlledBy(set, uid) && isOwnedBy(object, set?.metadata.uid);
      return { pod: object, view: { ...view, isTerminating: view.isTerminating || !isKept } };
    }),
  };
}

/** The cache holds nodes only where they may be read. */
function cordonedForMs(
  { cache, sightings, monotonicMs }: ObserverOptions,
  pod: KubeObject,
): number | null {
  const name = nodeOfPod(pod);
  const key = `cordon ${name} ${pod.metadata.uid}`;
  if (name !== null && isCordonedNode(cache.get(NODE, { name })))
    return sightings.missed(key, monotonicMs()).forMs;
  sightings.found(key);
  return null;
}

/** An object under our name that is not ours; null where it is. */
function foreignView(
  object: KubeObject,
  { metadata: { name, uid } }: LogCluster,
): Observation['foreign'][number] | null {
  if (isControlledBy(object, uid)) return null;
  const isLeaving = ownersOf(object).some(
    (owner) => owner.kind === LOG_CLUSTER.kind && owner.name === name && owner.controller === true,
  );
  return { kind: object.kind, name: object.metadata.name, isLeaving };
}

/**
 * What an owner left that was deleted, and made again under the same name, looks well and is about
 * to go: the garbage collector comes for it, and for what it owns.
 */
function isOwnedBy(object: KubeObject | undefined, uid: string | undefined): boolean {
  return ownersOf(object).some((owner) => owner.uid === uid);
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
  templateHash: string,
  isCurrent: (replicas: number) => boolean,
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
    isCurrent: isCurrent(replicas),
    templateHash,
  };
}

function budgetView(budget: KubeObject, isCurrent: (allowed: number) => boolean): BudgetView {
  const { maxUnavailable } = budget['spec'] as { readonly maxUnavailable?: unknown };
  const allowed = typeof maxUnavailable === 'number' ? maxUnavailable : -1;
  return { maxUnavailable: allowed, isCurrent: isCurrent(allowed) };
}

function readLogTopics(cache: ObjectSource, cluster: LogCluster): LogTopicView[] {
  return cache
    .list(LOG_TOPIC, cluster.metadata.namespace)
    .map((resource): LogTopicView => {
      const { spec, faults } = readLogTopicSpec(resource['spec']);
      return {
        resource: { ...resource, spec } as unknown as LogTopic,
        faults: faults.map(({ message }) => message),
      };
    })
    .filter(({ resource }) => resource.spec.clusterName === cluster.metadata.name)
    .sort((left, right) => (left.resource.metadata.name < right.resource.metadata.name ? -1 : 1));
}

/**
 * Each broker alone, for drains and the next stop; and the sets that a roll might stop together.
 */
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
