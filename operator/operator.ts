/**
 * One copy of the operator, joined from its parts: lease, caches, observer, decision, actor, events
 * and metrics. One pass: wait for the own writes to show, observe, decide, act. All it knows of the
 * world is {@link OperatorPorts}, so that the simulator runs this very code.
 */
import type { Logger } from 'pino';
import { Actor, type ActorOptions, type Basis } from './act/act.ts';
import { OutdatedError } from './act/outdated.ts';
import { AccessPasses } from './access-passes.ts';
import { Attempts } from './act/attempts.ts';
import { reasonOf } from '../base/reason.ts';
import { carryOut, isUnreachable } from './act/carry-out.ts';
import type { Kind, KubeObject } from './api/kinds.ts';
import { DEPLOYMENT, LOG_ACCESS, LOG_CLUSTER, LOG_TOPIC, NODE, POD } from './api/kinds.ts';
import { claimName, FIELD_MANAGER, podName, TOPIC_FINALIZER } from './api/names.ts';
import type { OperatorConfig } from './config.ts';
import { DEPARTED_MAX } from './api/status.ts';
import type { DepartedTopic, LogCluster, LogTopic } from './api/types.ts';
import { departed, departing } from './decide/departed.ts';
import { decide, statusAfter } from './decide/decide.ts';
import { kindOf } from './decide/events.ts';
import { planTopic, refusedTopic, topicsToVisit } from './decide/topics.ts';
import type { Action, EventNote, Refusal } from './decide/types.ts';
import type { BrokerAdmin } from './observe/broker-admin.ts';
import { observe, observeTopic, type TopicSeen } from './observe/observe.ts';
import { clusterKeyOf } from './observe/access.ts';
import { Applications } from './observe/applied.ts';
import { CertificateReader } from './observe/certificates.ts';
import { Sightings } from './observe/sightings.ts';
import type { Random } from './kube/backoff.ts';
import { Claims } from './kube/claims.ts';
import { type CacheChange, ObjectCache } from './kube/cache.ts';
import type { Clock } from '../base/clock.ts';
import { EventRecorder } from './kube/events.ts';
import { Expectations } from './kube/expectations.ts';
import { KubeClient } from './kube/kube-client.ts';
import { keyOf, nameOf } from './kube/kube-object.ts';
import type { KubeTransport } from './kube/kube-transport.ts';
import { KubeError } from './kube/kube-error.ts';
import { LeaderLease, type LeaseOwner } from './kube/leader-lease.ts';
import type { OperatorMetrics } from './runtime/metrics.ts';
import { Reconciler, type PassResult } from './runtime/reconciler.ts';
import { Watches } from './watches.ts';

/** The part of the options that does not concern the process. */
export type OperatorSettings = Pick<
  OperatorConfig,
  | 'podName'
  | 'podNamespace'
  | 'namespaces'
  | 'selector'
  | 'leaseName'
  | 'deploymentName'
  | 'brokerImage'
  | 'brokerPull'
  | 'brokerUser'
  | 'canReadNodes'
  | 'makesPolicies'
>;

/** Everything outside. */
export interface OperatorPorts {
  readonly transport: KubeTransport;
  readonly admin: Pick<BrokerAdmin, 'call' | 'dialWith' | 'close'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Never the same twice, in any copy. */
  readonly newId: () => string;
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>;
  readonly metrics: OperatorMetrics;
  readonly beforeAction: ActorOptions['beforeAction'];
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
}

const CLUSTERS = 'logcluster';
const TOPICS = 'logtopic';
const ACCESS = 'logaccess';
/** Longest pause before a LogTopic or LogAccess that was refused is tried again. */
const TOPIC_RETRY_MS_MAX = 30_000;
/**
 * Own writes show in the caches within milliseconds; a pass that comes sooner is put off for so
 * long.
 */
const CATCH_UP_MS = 100;
/** Of one cluster; older ones are kept after all. */
const DEPARTED_REMEMBERED_MAX = 5_000;
/** Between looks at a claim that another operator has. */
const CLAIM_LOOK_MS = 5_000;
const FLUSH_MS_MAX = 3_000;
/** Of a pass that looks at no pods. */
const NO_OBJECTS = { template: null, record: null, secrets: {}, addresses: new Map() } as const;

/** What is remembered of one cluster from pass to pass; lost with the process, and not missed. */
interface Memory {
  readonly attempts: Attempts;
  readonly applications: Applications;
  readonly sightings: Sightings;
  readonly certificates: CertificateReader;
}

function newMemory(): Memory {
  return {
    attempts: new Attempts(),
    applications: new Applications(),
    sightings: new Sightings(),
    certificates: new CertificateReader(),
  };
}

export class Operator {
  readonly #config: OperatorSettings;
  readonly #ports: OperatorPorts;
  readonly #logger: OperatorPorts['logger'];
  readonly #client: KubeClient;
  readonly #cache: ObjectCache;
  readonly #expectations: Expectations;
  readonly #watches: Watches;
  readonly #events: EventRecorder;
  readonly #reconciler: Reconciler;
  /** LogTopics have a queue of their own: one that is refused holds up nothing else. */
  readonly #topics: Reconciler;
  /** So have LogAccess resources, by their cluster. */
  readonly #access: Reconciler;
  /** Where a pass over a cluster last found its controller, by key; null: nowhere. */
  readonly #controllers = new Map<string, string | null>();
  readonly #memories = new Map<string, Memory>();
  readonly #claims: Claims;
  /** Topics whose LogTopics went, until the status of their cluster has them. */
  readonly #departed = new Map<string, readonly DepartedTopic[]>();
  readonly #lease: LeaderLease;

  constructor(config: OperatorSettings, ports: OperatorPorts) {
    const { clock, random, logger, metrics, newId } = ports;
    this.#config = config;
    this.#ports = ports;
    this.#logger = logger;
    const report = (error: unknown): void => logger.warn({ err: error }, 'failed');
    const machinery = { clock, random, onError: report };
    const client = new KubeClient({
      transport: ports.transport,
      fieldManager: FIELD_MANAGER,
      clock,
      observer: metrics,
    });
    this.#client = client;
    const onForbidden = (error: unknown): void =>
      logger.warn({ err: error }, 'LogClusters cannot be claimed');
    const holder = `${config.podNamespace}/${config.leaseName}`;
    this.#claims = new Claims({ client, holder, clock, onForbidden });
    this.#cache = new ObjectCache((error) => logger.error({ err: error }, 'defect'));
    this.#expectations = new Expectations(this.#cache);
    const cache = this.#cache;
    this.#watches = new Watches(config, { client, cache, observer: metrics, ...machinery });
    this.#events = new EventRecorder({
      client,
      controller: 'tidemark.dev/operator',
      instance: config.podName,
      observer: metrics,
      newId,
      ...machinery,
    });
    const keysOf = (kind: Kind): string[] =>
      cache.list(kind).map(({ metadata }) => keyOf(metadata));
    const ready = (): Promise<unknown> => this.#watches.whenSynced();
    const onError = (key: string, error: unknown): void => this.#failed(key, error);
    const queue = { ...machinery, ready, onError };
    const limits = { retryMsMax: TOPIC_RETRY_MS_MAX };
    this.#reconciler = new Reconciler({
      ...queue,
      reconcile: (key, signal) => this.#pass(key, signal),
      allKeys: () => keysOf(LOG_CLUSTER),
      observer: metrics.controller(CLUSTERS),
    });
    this.#topics = new Reconciler({
      ...queue,
      reconcile: (key, signal) => this.#passTopic(key, signal),
      allKeys: () => keysOf(LOG_TOPIC),
      observer: metrics.controller(TOPICS),
      limits,
    });
    const access = this.#makeAccessPasses();
    this.#access = new Reconciler({
      ...queue,
      reconcile: (key, signal) => access.pass(key, signal),
      allKeys: () => access.allKeys(),
      ready: () => this.#watches.whenAllSynced(),
      observer: metrics.controller(ACCESS),
      limits,
    });
    this.#lease = new LeaderLease({
      ...machinery,
      client,
      name: { namespace: config.podNamespace, name: config.leaseName },
      identity: `${config.podName}_${newId()}`,
      owner: () => this.#leaseOwner(),
      onStarted: () => {
        logger.info('leading');
        for (const each of this.#queues) each.start();
      },
      onLost: (why) => {
        logger.fatal({ why }, 'leadership lost');
        for (const each of this.#queues) each.abort(why);
        ports.exit(1);
      },
    });
    this.#attachMetrics();
  }

  /** False when only a new process can help. */
  get isAlive(): boolean {
    return !this.#queues.some((each) => each.isStuck());
  }

  /** The caches are filled. */
  get isReady(): boolean {
    return this.#watches.hasSynced;
  }

  /** Starts once. */
  start(): void {
    this.#cache.subscribe((change) => {
      if (change.kind === 'deleted' && change.isSeen) this.#departs(change.object);
      this.#changed(change.object);
      this.#changedAccess(change);
    });
    this.#watches.start();
    this.#lease.start();
  }

  /** Ends what is under way, then gives the lease away. */
  async stop(): Promise<void> {
    await Promise.all(this.#queues.map((each) => each.stop()));
    const late = new AbortController();
    const cancel = this.#ports.clock.after(FLUSH_MS_MAX, () => late.abort());
    await this.#events.flush(late.signal);
    cancel();
    await this.#lease.stop();
    await this.#watches.stop();
    this.#ports.admin.close();
  }

  #attachMetrics(): void {
    const { metrics, clock } = this.#ports;
    metrics.attach({
      monotonicMs: () => clock.monotonicMs(),
      isLeading: () => this.#lease.isLeading(),
      reflectors: () => this.#watches.all,
      depths: () => [
        { controller: CLUSTERS, ...this.#reconciler.depth },
        { controller: TOPICS, ...this.#topics.depth },
        { controller: ACCESS, ...this.#access.depth },
      ],
    });
  }

  get #queues(): readonly Reconciler[] {
    return [this.#reconciler, this.#topics, this.#access];
  }

  #makeAccessPasses(): AccessPasses {
    const { namespaces, selector } = this.#config;
    return new AccessPasses({
      cache: this.#cache,
      admin: this.#ports.admin,
      wallMs: () => this.#ports.clock.wallMs(),
      controllerOf: (key) => this.#controllers.get(key),
      wouldSee: ({ namespace = '' }) =>
        selector === '' && (namespaces.length === 0 || namespaces.includes(namespace)),
      hasPending: (key) => this.#expectations.pending(key).length > 0,
      forget: (key) => this.#expectations.forget(key),
      perform: (key, cluster, action, signal) => this.#performAccess(key, cluster, action, signal),
      tell: (regarding, events) => this.#tell(regarding, events),
    });
  }

  /** Of a cluster that is not there nothing is done but telling. */
  #performAccess(
    key: string,
    cluster: LogCluster | null,
    action: Action,
    signal: AbortSignal,
  ): Promise<void> {
    if (cluster === null) return this.#actor(key, null).tellAccess(action, signal);
    const clusterKey = keyOf(cluster.metadata);
    const observation = { cluster, metadata: null, logTopics: [] };
    const controllerAddress = this.#controllers.get(clusterKey) ?? null;
    const basis = { ...NO_OBJECTS, observation, controllerAddress };
    return this.#performer(key, basis, signal, clusterKey)(action);
  }

  /** The Deployment of this very operator, if it knows that and may read it. */
  async #leaseOwner(): Promise<LeaseOwner> {
    const { podNamespace: namespace, deploymentName } = this.#config;
    if (deploymentName === null) return 'none';
    try {
      const found = await this.#client.get(DEPLOYMENT, { namespace, name: deploymentName });
      if (found === undefined || found.metadata.deletionTimestamp !== undefined) return 'gone';
      const { name, uid = '' } = found.metadata;
      return { apiVersion: DEPLOYMENT.apiVersion, kind: DEPLOYMENT.kind, name, uid };
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'Forbidden')) throw error;
      this.#logger.warn({ err: error }, 'the lease has no owner');
      return 'none';
    }
  }

  /** A LogTopic is gone, as it last was: its topic may have to go too. */
  #departs(object: KubeObject): void {
    const name = object.kind === LOG_TOPIC.kind ? clusterOf(object) : undefined;
    const topic = name === undefined ? null : departing(object as unknown as LogTopic);
    if (name === undefined || topic === null) return;
    const key = keyOf({ namespace: object.metadata.namespace, name });
    const before = this.#departed.get(key) ?? [];
    this.#departed.set(key, [...before, topic].slice(-DEPARTED_REMEMBERED_MAX));
  }

  #changedAccess(change: CacheChange): void {
    const { kind, metadata } = change.object;
    const key = kind === LOG_ACCESS.kind ? clusterKeyOf(change.object) : keyOf(metadata);
    // A status that was written changes nothing of what a LogCluster consents to.
    const isNews =
      change.kind !== 'modified' || change.previous.metadata.generation !== metadata.generation;
    if (key !== null && (kind === LOG_ACCESS.kind || (kind === LOG_CLUSTER.kind && isNews)))
      this.#access.enqueue(key);
  }

  /** Which cluster a changed object belongs to. */
  #changed(object: KubeObject): void {
    const { kind, metadata } = object;
    const { namespace, labels = {}, deletionTimestamp } = metadata;
    const priority = deletionTimestamp === undefined ? 'normal' : 'urgent';
    if (kind === LOG_TOPIC.kind) this.#topics.enqueue(keyOf(metadata), priority);
    if (kind === NODE.kind) {
      for (const cluster of this.#cache.list(LOG_CLUSTER))
        this.#reconciler.enqueue(keyOf(cluster.metadata));
      return;
    }
    const name =
      kind === LOG_CLUSTER.kind
        ? metadata.name
        : kind === LOG_TOPIC.kind
          ? clusterOf(object)
          : labels['app.kubernetes.io/name'] === 'tidemark'
            ? labels['app.kubernetes.io/instance']
            : undefined;
    if (name !== undefined) this.#reconciler.enqueue(keyOf({ namespace, name }), priority);
  }

  async #pass(key: string, signal: AbortSignal): Promise<PassResult> {
    const resource = this.#cache.get(LOG_CLUSTER, nameOf(key));
    if (resource === undefined) return this.#passWithout(key);
    const pending = this.#expectations.pending(key);
    if (pending.length > 0) {
      this.#logger.debug({ key, pending }, 'waiting for own writes');
      return { requeueAfterMs: CATCH_UP_MS };
    }
    const rival = await this.#claims.take(resource, claimName(resource.metadata.name), signal);
    if (rival !== null) return this.#refrain(key, resource, rival);
    const { brokerImage, brokerPull, brokerUser, ...config } = this.#config;
    const { canReadNodes, makesPolicies, podNamespace } = config;
    const memory = this.#memories.get(key) ?? newMemory();
    this.#memories.set(key, memory);
    const basis = await observe(
      {
        cache: this.#cache,
        client: this.#client,
        admin: this.#ports.admin,
        imageDefault: brokerImage,
        templateDefaults: { ...brokerPull, user: brokerUser },
        canReadNodes,
        policyFor: makesPolicies ? podNamespace : null,
        departed: this.#departed.get(key) ?? [],
        ...memory,
        monotonicMs: () => this.#ports.clock.monotonicMs(),
      },
      resource,
      signal,
    );
    const { clock, metrics } = this.#ports;
    const { observation, controllerAddress } = basis;
    if (this.#controllers.get(key) !== controllerAddress) this.#access.nudge(key);
    this.#controllers.set(key, controllerAddress);
    const plan = decide(observation, clock.wallMs());
    metrics.blocked(key, plan.blockedBy, clock.monotonicMs());
    const perform = this.#performer(key, basis, signal);
    const { attempts } = memory;
    const { events, hasActed } = await carryOut(plan, {
      perform,
      isOver: () => signal.aborted || !this.#lease.isLeading(),
      monotonicMs: () => clock.monotonicMs(),
      attempts,
      onError: (action, error) => this.#refused(key, action, error),
    });
    const failures = attempts.failures();
    const refusals = failures.map(({ message }): Refusal => ({ gate: 'WriteRefused', message }));
    const status = statusAfter(observation, plan, refusals, clock.wallMs());
    const told = failures
      .filter(({ isNew }) => isNew)
      .map(({ message }): EventNote => ({ reason: 'WriteRefused', note: message }));
    this.#tell(resource, [...plan.events, ...events, ...told]);
    if (status !== null) await perform({ kind: 'write-status', status });
    const tooMany = departed(observation).slice(DEPARTED_MAX);
    const unwritten = (this.#departed.get(key) ?? []).filter(
      (each) => !observation.departed.includes(each) || tooMany.includes(each),
    );
    this.#departed.set(key, unwritten);
    for (const name of topicsToVisit(observation, clock.wallMs()))
      this.#topics.nudge(keyOf({ namespace: resource.metadata.namespace, name }));
    const retryMs = attempts.nextMs();
    const requeueAfterMs =
      hasActed || status !== null
        ? CATCH_UP_MS
        : Math.min(
            plan.requeueAfterMs,
            Math.max(CATCH_UP_MS, (retryMs ?? Infinity) - clock.monotonicMs()),
          );
    return { requeueAfterMs, hasFailed: failures.length > 0 };
  }

  /** Another operator looks after this cluster: it alone writes, its status too. */
  #refrain(key: string, resource: KubeObject, rival: string): PassResult {
    const { metrics, clock } = this.#ports;
    this.#controllers.delete(key);
    metrics.blocked(key, 'ManagedElsewhere', clock.monotonicMs());
    const holder = `${this.#config.podNamespace}/${this.#config.leaseName}`;
    const note = `operator ${rival} looks after this LogCluster (Lease ${claimName(resource.metadata.name)}), so operator ${holder} does nothing: let each watch namespaces of its own`;
    if (rival !== '') this.#tell(resource, [{ reason: 'ManagedElsewhere', note }]);
    return { requeueAfterMs: CLAIM_LOOK_MS };
  }

  #passWithout(key: string): PassResult {
    this.#claims.forget(key);
    this.#departed.delete(key);
    this.#expectations.forget(key);
    this.#controllers.delete(key);
    this.#access.enqueue(key);
    this.#memories.delete(key);
    this.#ports.metrics.blocked(key, null, 0);
    const { namespace, name } = nameOf(key);
    for (const topic of this.#cache.list(LOG_TOPIC, namespace))
      if (clusterOf(topic) === name) this.#topics.enqueue(keyOf(topic.metadata));
    return { isGone: true };
  }

  async #passTopic(key: string, signal: AbortSignal): Promise<PassResult> {
    const own = topicKey(key);
    const topic = this.#cache.get(LOG_TOPIC, nameOf(key));
    if (topic === undefined) {
      this.#expectations.forget(own);
      return { isGone: true };
    }
    if (this.#expectations.pending(own).length > 0) return { requeueAfterMs: CATCH_UP_MS };
    const { namespace, name } = topic.metadata;
    const clusterName = { namespace, name: clusterOf(topic) ?? '' };
    const cluster = this.#cache.get(LOG_CLUSTER, clusterName);
    if (cluster === undefined) return this.#passOrphan(own, topic, signal);
    const controllerAddress = this.#controllers.get(keyOf(clusterName));
    // The cluster's own pass comes first, and asks for this one again.
    if (controllerAddress === undefined) return {};
    const { admin } = this.#ports;
    const seen = await observeTopic(
      { cache: this.#cache, admin },
      cluster,
      { name, controllerAddress },
      signal,
    );
    return seen === null ? {} : this.#carryOutTopic(own, topic, seen, signal);
  }

  async #carryOutTopic(
    own: string,
    topic: KubeObject,
    { observation, view, controllerAddress }: TopicSeen,
    signal: AbortSignal,
  ): Promise<PassResult> {
    const { clock } = this.#ports;
    const { name } = topic.metadata;
    const plan = planTopic(observation, view, clock.wallMs());
    const basis = { ...NO_OBJECTS, observation, controllerAddress };
    const clusterKey = keyOf(observation.cluster.metadata);
    const perform = this.#performer(own, basis, signal, clusterKey);
    const conclude = async ({
      events,
      status,
    }: Pick<typeof plan, 'events' | 'status'>): Promise<void> => {
      this.#tell(topic, events);
      if (status !== null) await perform({ kind: 'write-topic-status', name, status });
    };
    try {
      for (const action of plan.actions) await perform(action);
    } catch (error) {
      const isTold = !signal.aborted && !(error instanceof OutdatedError) && !isUnreachable(error);
      if (isTold) await conclude(refusedTopic(observation, view, reasonOf(error), clock.wallMs()));
      throw error;
    }
    await conclude(plan);
    return plan.actions.length > 0 ? { requeueAfterMs: CATCH_UP_MS } : {};
  }

  /** Without its cluster a LogTopic has nothing to wait for. */
  async #passOrphan(
    own: string,
    { metadata }: KubeObject,
    signal: AbortSignal,
  ): Promise<PassResult> {
    const { finalizers = [], deletionTimestamp, resourceVersion } = metadata;
    if (deletionTimestamp === undefined || !finalizers.includes(TOPIC_FINALIZER)) return {};
    // Its cluster may be there, for another operator.
    if (this.#config.selector !== '') return {};
    if (!this.#lease.isLeading()) throw new OutdatedError('leadership is lost');
    const kept = finalizers.filter((each) => each !== TOPIC_FINALIZER);
    const patch = { metadata: { finalizers: kept, resourceVersion } };
    const written = await this.#client.mergePatch(LOG_TOPIC, metadata, patch, { signal });
    this.#expectations.expectWrite(own, LOG_TOPIC, written);
    return {};
  }

  #performer(
    key: string,
    basis: Basis,
    signal: AbortSignal,
    clusterKey = key,
  ): (action: Action) => Promise<void> {
    const actor = this.#actor(key, clusterKey);
    return (action) => {
      this.#logger.debug({ key, action }, 'action');
      if (!action.kind.startsWith('write-'))
        this.#logger.info({ key, action: action.kind, ...action }, 'act');
      return actor.perform(action, basis, signal);
    };
  }

  #actor(key: string, clusterKey: string | null): Actor {
    return new Actor({
      api: this.#client,
      admin: this.#ports.admin,
      isLeading: () =>
        this.#lease.isLeading() && (clusterKey === null || this.#claims.isHeld(clusterKey)),
      namespace: this.#config.podNamespace,
      beforeAction: this.#ports.beforeAction,
      onWritten: (type, object) => this.#expectations.expectWrite(key, type, object),
      onApplied: (id, text, fields) =>
        this.#memories
          .get(key)
          ?.applications.applied(id, text, fields, this.#ports.clock.monotonicMs()),
      onDeleted: (type, name, uid) => this.#expectations.expectDeletion(key, type, name, uid),
    });
  }

  #tell(regarding: KubeObject, events: readonly EventNote[]): void {
    const { namespace, name } = regarding.metadata;
    for (const { brokerId, reason, note } of events) {
      const related =
        brokerId === undefined
          ? undefined
          : this.#cache.get(POD, { namespace, name: podName(name, brokerId) });
      const report = { regarding, reason, note, ...kindOf(reason) };
      this.#events.record(related === undefined ? report : { ...report, related });
    }
  }

  #refused(key: string, { kind }: Action, error: unknown): void {
    if (error instanceof OutdatedError)
      this.#logger.info({ key, action: kind, why: error.message }, 'action not carried out');
    else this.#logger.warn({ key, action: kind, err: error }, 'action failed');
  }

  #failed(key: string, error: unknown): void {
    if (error instanceof OutdatedError)
      this.#logger.info({ key, why: error.message }, 'pass ended early');
    else this.#logger.warn({ key, err: error }, 'pass failed');
  }
}

function clusterOf(topic: KubeObject): string | undefined {
  return (topic['spec'] as { readonly clusterName?: string } | undefined)?.clusterName;
}

/** Of what is expected for a LogTopic: a cluster may have the same name. */
function topicKey(key: string): string {
  return `logtopic ${key}`;
}
