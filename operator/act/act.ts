/**
 * Carries out one action. Before each it asks whether this process still leads; what destroys is
 * looked at uncached and deleted by uid and resourceVersion. A failure ends the pass, and the next
 * one decides anew.
 */
import type { Kind, KubeObject, ObjectName } from '../api/kinds.ts';
import {
  CERTIFICATE,
  CLAIM,
  DISRUPTION_BUDGET,
  LOG_ACCESS,
  LOG_CLUSTER,
  LOG_TOPIC,
  NETWORK_POLICY,
  POD,
  SECRET,
  SERVICE,
  STATEFUL_SET,
  VOLUME,
} from '../api/kinds.ts';
import { CLUSTER_ID_LABEL, KEPT_ANNOTATION, TEMPLATE_HASH_LABEL } from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
  buildNetworkPolicy,
} from '../objects/services.ts';
import { buildClaimOverlay } from '../objects/claims.ts';
import { differences } from '../objects/compare.ts';
import { canonicalJson } from '../objects/template.ts';
import { buildStatefulSet, planned } from '../objects/workload.ts';
import type { Manifest, PlannedTemplate, WorkloadRecord } from '../objects/workload.ts';
import { buildCertificate } from '../objects/issued.ts';
import type { ListenerAddresses } from '../objects/listeners.ts';
import { isControlledBy } from '../objects/owners.ts';
import type { Secrets } from '../objects/secret-files.ts';
import type { SecretManifest } from '../objects/secrets.ts';
import { harmOf } from '../decide/service.ts';
import type { Action, Observation } from '../decide/types.ts';
import { type AccessAction, changeAccess } from './access.ts';
import { applyAddresses, serviceOf } from './addresses.ts';
import { OutdatedError } from './outdated.ts';
import type { Admin, CallOptions } from './calls.ts';
import { type SecretAction, secretAfter } from './certificates.ts';
import { configOf, settingsOf } from './settings.ts';
import { AdminServiceService as ADMIN } from '../../proto/gen/tidemark/v1/admin.ts';

/** The API server. */
export interface Api {
  get(type: Kind, name: ObjectName, options: CallOptions): Promise<KubeObject | undefined>;
  apply(type: Kind, object: KubeObject, options: CallOptions): Promise<KubeObject>;
  create(type: Kind, object: KubeObject, options: CallOptions): Promise<KubeObject>;
  applyStatus(type: Kind, object: KubeObject, options: CallOptions): Promise<KubeObject>;
  mergePatch(
    type: Kind,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: CallOptions,
  ): Promise<KubeObject>;
  delete(
    type: Kind,
    name: ObjectName,
    preconditions: { readonly uid: string; readonly resourceVersion: string },
    options: CallOptions,
  ): Promise<'accepted' | 'absent'>;
}

export interface ActorOptions {
  readonly api: Api;
  readonly admin: Admin;
  readonly isLeading: () => boolean;
  /** Namespace of the operator's pods. */
  readonly namespace: string;
  /** Called before each action. */
  readonly beforeAction: (action: Action) => void;
  /** What was written, for whoever waits until the caches show it. */
  readonly onWritten: (type: Kind, object: KubeObject) => void;
  /** @param fields that the answer shows otherwise than applied */
  readonly onApplied: (id: string, text: string, fields: readonly string[]) => void;
  readonly onDeleted: (type: Kind, name: ObjectName, uid: string) => void;
}

/** What the plan was made from. */
export interface Basis {
  readonly observation: Pick<Observation, 'cluster' | 'metadata' | 'logTopics'>;
  /** Where clients of listeners dial brokers; absent: the pass plans nothing of it. */
  readonly listeners?: readonly ListenerAddresses[];
  /** Null: the pass plans no pods. */
  readonly template: PlannedTemplate | null;
  readonly record: WorkloadRecord | null;
  /** Of certificates, as they were read. */
  readonly secrets: Secrets;
  readonly addresses: ReadonlyMap<number, string>;
  readonly controllerAddress: string | null;
}

const CALL_TIMEOUT_MS = 10_000;
/**
 * Leaderships move a few at a time; a broker gives up after its own stop timeout, 10 s by default.
 */
const DRAIN_TIMEOUT_MS = 30_000;

type TopicAction = Extract<Action, { kind: 'create-topic' | 'alter-topic' | 'delete-topic' }>;
/** Actions that a broker carries out, asked through its admin calls. */
type BrokerAction =
  | TopicAction
  | Extract<
      Action,
      {
        kind:
          | 'bootstrap'
          | 'check-safe'
          | 'prepare-stop'
          | 'decommission'
          | 'confirm-empty'
          | 'recommission'
          | 'cancel-stop'
          | 'set-settings'
          | 'remove-broker'
          | 'reassign'
          | 'limit-moves'
          | AccessAction['kind'];
      }
    >;

export class Actor {
  readonly #options: ActorOptions;

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  /** Writes the status of a LogAccess, whether its LogCluster is there or not. */
  async tellAccess(action: Action, signal: AbortSignal): Promise<void> {
    const { isLeading, beforeAction } = this.#options;
    if (!isLeading()) throw new OutdatedError('leadership is lost');
    beforeAction(action);
    if (action.kind === 'write-access-status')
      await this.#writeStatus(LOG_ACCESS, action.of, action.status, signal);
  }

  /** Throws where this process leads no longer. */
  async perform(action: Action, basis: Basis, signal: AbortSignal): Promise<void> {
    if (!this.#options.isLeading()) throw new OutdatedError('leadership is lost');
    this.#options.beforeAction(action);
    const { cluster } = basis.observation;
    const { namespace } = cluster.metadata;
    switch (action.kind) {
      case 'apply-brokers-service':
        return this.#apply(SERVICE, buildBrokersService(cluster), signal);
      case 'apply-clients-service':
        return this.#apply(SERVICE, buildClientService(cluster), signal);
      case 'apply-network-policy':
        return this.#apply(
          NETWORK_POLICY,
          buildNetworkPolicy(cluster, this.#options.namespace),
          signal,
        );
      case 'apply-listener-service':
        return this.#apply(SERVICE, serviceOf(cluster, basis.listeners, action.name), signal);
      case 'apply-addresses':
        return applyAddresses(this.#options.api, cluster, basis.listeners ?? [], signal);
      case 'apply-workload':
        return this.#applyWorkload(action, basis, signal);
      case 'apply-certificate':
        return this.#applyCertificate(action, cluster, signal);
      case 'apply-authority':
      case 'apply-certificates':
      case 'apply-issued':
      case 'apply-trust':
        return this.#applyCertificates(action, basis, signal);
      case 'apply-budget':
        return this.#apply(
          DISRUPTION_BUDGET,
          buildDisruptionBudget(cluster, action.maxUnavailable),
          signal,
        );
      case 'delete-pod':
      case 'delete-claim':
      case 'delete-service':
        return this.#delete(DELETED[action.kind], action, cluster.metadata, signal);
      case 'keep-volume':
        return this.#keepVolume(action.name, cluster.metadata, signal);
      case 'grow-claim':
      case 'mark-claim':
      case 'label-claim':
        return this.#changeClaim(action, cluster, signal);
      case 'set-topic-finalizer': {
        const patch = {
          metadata: { finalizers: action.finalizers, resourceVersion: action.resourceVersion },
        };
        return this.#patch(LOG_TOPIC, { namespace, name: action.name }, patch, signal);
      }
      case 'write-status':
        return this.#writeStatus(LOG_CLUSTER, cluster.metadata, action.status, signal);
      case 'write-topic-status':
        return this.#writeTopicStatus(action, basis, signal);
      case 'write-access-status':
        return this.#writeStatus(LOG_ACCESS, action.of, action.status, signal);
      case 'bootstrap':
      case 'check-safe':
      case 'prepare-stop':
      case 'decommission':
      case 'confirm-empty':
      case 'recommission':
      case 'cancel-stop':
      case 'set-settings':
      case 'remove-broker':
      case 'reassign':
      case 'limit-moves':
      case 'create-topic':
      case 'alter-topic':
      case 'delete-topic':
      case 'grant-access':
      case 'revoke-access':
        return this.#call(action, basis, signal);
    }
  }

  async #writeTopicStatus(
    { name, status }: Extract<Action, { kind: 'write-topic-status' }>,
    { observation }: Basis,
    signal: AbortSignal,
  ): Promise<void> {
    const { logTopics } = observation;
    const topic = logTopics.find(({ resource }) => resource.metadata.name === name)?.resource;
    if (topic !== undefined) await this.#writeStatus(LOG_TOPIC, topic.metadata, status, signal);
  }

  async #call(action: BrokerAction, basis: Basis, signal: AbortSignal): Promise<void> {
    const { admin } = this.#options;
    if (action.kind === 'bootstrap') {
      const address = basis.addresses.get(action.brokerId);
      if (address === undefined)
        throw new OutdatedError(`broker ${action.brokerId} has no address`);
      const request = { clusterId: action.clusterId };
      await admin.call(address, ADMIN.bootstrap, request, { timeoutMs: CALL_TIMEOUT_MS, signal });
      return;
    }
    const controller = basis.controllerAddress;
    if (controller === null) throw new OutdatedError('no broker answers as controller');
    if (action.kind === 'check-safe')
      return this.#checkSafe(action.brokerIds, basis, controller, signal);
    if (
      action.kind === 'create-topic' ||
      action.kind === 'alter-topic' ||
      action.kind === 'delete-topic'
    )
      return this.#callTopic(action, controller, signal);
    if (action.kind === 'grant-access' || action.kind === 'revoke-access')
      return changeAccess(admin, controller, action, { timeoutMs: CALL_TIMEOUT_MS, signal });
    return this.#callBroker(action, controller, signal);
  }

  async #callBroker(
    action: Exclude<
      BrokerAction,
      TopicAction | AccessAction | { kind: 'bootstrap' | 'check-safe' }
    >,
    controller: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { admin } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
    if (action.kind === 'reassign') {
      const { topic, partition, replicas } = action.move;
      const request = { topic, partition, replicas: [...replicas] };
      await admin.call(controller, ADMIN.reassignPartition, request, options);
      return;
    }
    if (action.kind === 'limit-moves' || action.kind === 'set-settings') {
      const request = { settings: settingsOf(action) };
      await admin.call(controller, ADMIN.setClusterSettings, request, options);
      return;
    }
    const request = { brokerId: action.brokerId };
    switch (action.kind) {
      case 'prepare-stop': {
        // Best effort: a broker that cannot hand over everything does so again when it is told to
        // stop.
        const drain = { timeoutMs: DRAIN_TIMEOUT_MS, signal };
        const { brokerEpoch } = action;
        await admin.call(controller, ADMIN.prepareStop, { ...request, brokerEpoch }, drain);
        return;
      }
      case 'decommission':
        await admin.call(controller, ADMIN.decommission, request, options);
        return;
      case 'confirm-empty': {
        const { replicasLeft } = await admin.call(controller, ADMIN.decommission, request, options);
        if (replicasLeft > 0)
          throw new OutdatedError(`broker ${action.brokerId} holds ${replicasLeft} replicas again`);
        return;
      }
      case 'cancel-stop':
        await admin.call(controller, ADMIN.cancelStop, request, options);
        return;
      case 'recommission':
        await admin.call(controller, ADMIN.recommission, request, options);
        return;
      case 'remove-broker':
        await admin.call(controller, ADMIN.removeBroker, request, options);
        return;
    }
  }

  async #callTopic(action: TopicAction, controller: string, signal: AbortSignal): Promise<void> {
    const { admin } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
    const { name } = action;
    if (action.kind === 'delete-topic') {
      await admin.call(controller, ADMIN.deleteTopic, { name }, options);
      return;
    }
    const { partitions, replicationFactor, change } = action;
    const request = { name, partitions, replicationFactor, config: configOf(change) };
    if (action.kind === 'create-topic') {
      const creation = { ...request, assignments: [], validateOnly: false };
      await admin.call(controller, ADMIN.createTopic, creation, options);
    } else {
      await admin.call(controller, ADMIN.alterTopic, { ...request, waitMs: 0 }, options);
    }
  }

  /** The verdict once more, of this moment. */
  async #checkSafe(
    brokerIds: readonly number[],
    { observation }: Basis,
    controller: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { admin } = this.#options;
    const response = await admin.call(
      controller,
      ADMIN.checkDisruption,
      { brokerIds: [...brokerIds] },
      { timeoutMs: CALL_TIMEOUT_MS, signal },
    );
    const { safe, takesQuorum, reason, verdicts } = response;
    const harm = harmOf(observation, {
      brokerIds,
      isSafe: safe,
      takesQuorum,
      reason,
      partitions: verdicts,
    });
    if (harm !== null)
      throw new OutdatedError(
        `stopping brokers ${brokerIds.join(', ')} is not safe any more: ${harm}`,
      );
  }

  /**
   * Never over what is not ours, whatever the cache shows.
   *
   * @param resourceVersion of the object that was looked at; null: there was none; absent: any
   */
  async #apply(
    type: Kind,
    manifest: Manifest,
    signal: AbortSignal,
    resourceVersion?: string | null,
  ): Promise<void> {
    const { api, onApplied } = this.#options;
    const { namespace, name } = manifest.metadata;
    const live = await api.get(type, { namespace, name }, { signal });
    if (live !== undefined && resourceVersion === null)
      throw new OutdatedError(
        `${type.kind} ${namespace}/${name} exists, which the cache does not show`,
      );
    if (live !== undefined && !isControlledBy(live, manifest.metadata.ownerReferences[0]?.uid))
      throw new OutdatedError(`${type.kind} ${namespace}/${name} is not of this LogCluster`);
    const seen = {
      ...(live === undefined ? {} : { uid: live.metadata.uid }),
      ...(resourceVersion == null ? {} : { resourceVersion }),
    };
    const metadata = { ...manifest.metadata, ...seen };
    const object = { ...manifest, metadata } as unknown as KubeObject;
    const applied = await api.apply(type, object, { signal });
    this.#written(type, applied);
    const fields = differences(applied, manifest);
    onApplied(`${type.kind} ${name}`, canonicalJson(manifest), fields);
    const needed = fields.filter((field) => NEEDED_FIELDS.includes(field));
    if (needed.length > 0)
      throw new Error(
        `${type.kind} ${namespace}/${name} was applied, and a policy keeps ${needed.join(', ')} otherwise`,
      );
  }

  /** Never over a StatefulSet that was not looked at: its number of pods may be another by now. */
  async #applyWorkload(
    { replicas, resourceVersion, hasNewTemplate }: Extract<Action, { kind: 'apply-workload' }>,
    { observation: { cluster }, template, record }: Basis,
    signal: AbortSignal,
  ): Promise<void> {
    if (template === null) throw new OutdatedError('this pass knows no template');
    const isKept = record?.template != null && hasNewTemplate !== true;
    const given = isKept ? planned(record.template) : template;
    const manifest = buildStatefulSet(cluster, replicas, given, record);
    return this.#apply(STATEFUL_SET, manifest, signal, resourceVersion);
  }

  /** What cert-manager is asked for; read uncached, so nothing waits until a cache shows it. */
  async #applyCertificate(
    { brokerId, clusterId }: Extract<Action, { kind: 'apply-certificate' }>,
    cluster: LogCluster,
    signal: AbortSignal,
  ): Promise<void> {
    const { api } = this.#options;
    const issuer = cluster.spec.internalTls.issuerRef;
    if (issuer === undefined) throw new OutdatedError('the spec names no issuer');
    const manifest = buildCertificate(cluster, clusterId, brokerId, issuer);
    const { namespace, name } = manifest.metadata;
    const live = await api.get(CERTIFICATE, { namespace, name }, { signal });
    if (live !== undefined && !isControlledBy(live, cluster.metadata.uid))
      throw new OutdatedError(`Certificate ${namespace}/${name} is not of this LogCluster`);
    const uid = live === undefined ? {} : { uid: live.metadata.uid };
    const metadata = { ...manifest.metadata, ...uid };
    await api.apply(CERTIFICATE, { ...manifest, metadata } as unknown as KubeObject, { signal });
  }

  #applyCertificates(
    action: SecretAction,
    { observation: { cluster }, secrets }: Basis,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#applySecret(secretAfter(cluster, secrets, action), action.resourceVersion, signal);
  }

  /**
   * Never over a Secret that was not looked at, nor over one that somebody else has made meanwhile:
   * a new one is made empty, and filled only while it is that. Secrets are read uncached, so
   * nothing waits until a cache shows it.
   */
  async #applySecret(
    manifest: SecretManifest,
    resourceVersion: string | null,
    signal: AbortSignal,
  ): Promise<void> {
    const { api } = this.#options;
    const { namespace, name } = manifest.metadata;
    const live = await api.get(SECRET, { namespace, name }, { signal });
    if (live !== undefined && !isControlledBy(live, manifest.metadata.ownerReferences[0]?.uid))
      throw new OutdatedError(`Secret ${namespace}/${name} is not of this LogCluster`);
    if ((live?.metadata.resourceVersion ?? null) !== resourceVersion)
      throw new OutdatedError(`Secret ${namespace}/${name} is not as it was looked at`);
    const { data: _, ...empty } = manifest;
    const seen = live ?? (await api.create(SECRET, empty, { signal }));
    const { uid, resourceVersion: version } = seen.metadata;
    const metadata = { ...manifest.metadata, uid, resourceVersion: version };
    await api.apply(SECRET, { ...manifest, metadata } as unknown as KubeObject, { signal });
  }

  async #changeClaim(
    action: Extract<Action, { kind: 'grow-claim' | 'mark-claim' | 'label-claim' }>,
    cluster: LogCluster,
    signal: AbortSignal,
  ): Promise<void> {
    const { name } = action;
    if (action.kind !== 'label-claim') {
      const patch =
        action.kind === 'grow-claim'
          ? { spec: { resources: { requests: { storage: action.size } } } }
          : { metadata: { labels: { [CLUSTER_ID_LABEL]: action.clusterId } } };
      return this.#patch(CLAIM, { namespace: cluster.metadata.namespace, name }, patch, signal);
    }
    const manifest = buildClaimOverlay(cluster, name);
    // By uid: a claim that is gone is not made anew.
    const object = { ...manifest, metadata: { ...manifest.metadata, uid: action.uid } };
    const applied = await this.#options.api.apply(CLAIM, object, { signal });
    this.#written(CLAIM, applied);
    const fields = differences(applied, manifest);
    this.#options.onApplied(`${CLAIM.kind} ${name}`, canonicalJson(manifest), fields);
  }

  async #patch(
    type: Kind,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<void> {
    this.#written(type, await this.#options.api.mergePatch(type, name, patch, { signal }));
  }

  /** Volumes are not watched, so nothing waits until a cache shows it. */
  async #keepVolume(name: string, of: ObjectName, signal: AbortSignal): Promise<void> {
    const patch = {
      metadata: { annotations: { [KEPT_ANNOTATION]: `${of.namespace}/${of.name}` } },
      spec: { persistentVolumeReclaimPolicy: 'Retain' },
    };
    await this.#options.api.mergePatch(VOLUME, { name }, patch, { signal });
  }

  async #delete(
    type: Kind,
    { name: given, uid }: { readonly name: string; readonly uid: string },
    { namespace }: LogCluster['metadata'],
    signal: AbortSignal,
  ): Promise<void> {
    const name: ObjectName = { namespace, name: given };
    const { api, onDeleted, isLeading } = this.#options;
    const live = await api.get(type, name, { signal });
    if (live === undefined || live.metadata.uid !== uid)
      throw new OutdatedError(`${type.kind} ${name.name} is not the one that was looked at`);
    if (live.metadata.deletionTimestamp !== undefined) return;
    if (!isLeading()) throw new OutdatedError('leadership is lost');
    await api.delete(
      type,
      name,
      { uid, resourceVersion: live.metadata.resourceVersion ?? '' },
      { signal },
    );
    onDeleted(type, name, uid);
  }

  /**
   * By uid: another object of the same name must not inherit what this one was. And only over what
   * was looked at: a copy that has just taken over may have an old cache, and the status holds the
   * ledger.
   */
  async #writeStatus(
    type: Kind,
    { name, namespace, uid, resourceVersion }: LogCluster['metadata'],
    status: object,
    signal: AbortSignal,
  ): Promise<void> {
    const object: KubeObject = {
      apiVersion: type.apiVersion,
      kind: type.kind,
      metadata: { name, namespace, uid, resourceVersion },
      status,
    };
    this.#written(type, await this.#options.api.applyStatus(type, object, { signal }));
  }

  #written(type: Kind, object: KubeObject): void {
    this.#options.onWritten(type, object);
  }
}

/** What actions delete. */
const DELETED = { 'delete-pod': POD, 'delete-claim': CLAIM, 'delete-service': SERVICE } as const;

/** Without these as applied, nothing that follows would do what it says. */
const NEEDED_FIELDS = [
  'spec.maxUnavailable',
  'spec.replicas',
  `spec.template.metadata.labels.${TEMPLATE_HASH_LABEL}`,
];
