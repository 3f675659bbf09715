/**
 * One copy of the operator, joined from its parts: lease, caches, observer, decision, actor, events and metrics. One pass: wait for the own writes to show, observe,
 * decide, act. All it knows of the world is {@link OperatorPorts}, so that the simulator runs this very code.
 */
import type { Logger } from 'pino';
import { Actor, type ActorOptions, OutdatedError } from './act/act.ts';
import type { Kind, KubeObject } from './api/kinds.ts';
import {
  CLAIM,
  DISRUPTION_BUDGET,
  LOG_CLUSTER,
  LOG_TOPIC,
  NODE,
  POD,
  SERVICE,
  STATEFUL_SET,
} from './api/kinds.ts';
import { FIELD_MANAGER, podName, TOPIC_FINALIZER } from './api/names.ts';
import type { OperatorConfig } from './config.ts';
import { decide } from './decide/decide.ts';
import type { EventNote } from './decide/types.ts';
import type { BrokerAdmin } from './observe/broker-admin.ts';
import { observe } from './observe/observe.ts';
import type { Random } from './runtime/backoff.ts';
import { ObjectCache } from './runtime/cache.ts';
import type { Clock } from './runtime/clock.ts';
import { EventRecorder } from './runtime/events.ts';
import { Expectations } from './runtime/expectations.ts';
import { KubeClient } from './runtime/kube-client.ts';
import { keyOf, nameOf } from './runtime/kube-object.ts';
import type { KubeTransport } from './runtime/kube-transport.ts';
import { LeaderLease } from './runtime/leader-lease.ts';
import type { OperatorMetrics } from './runtime/metrics.ts';
import { Reconciler, type PassResult } from './runtime/reconciler.ts';
import { Reflector } from './runtime/reflector.ts';

/** The part of the options that does not concern the process. */
export type OperatorSettings = Pick<
  OperatorConfig,
  'podName' | 'podNamespace' | 'namespaces' | 'leaseName' | 'brokerImage' | 'canReadNodes'
>;

/** Everything outside. */
export interface OperatorPorts {
  readonly transport: KubeTransport;
  readonly admin: Pick<BrokerAdmin, 'call' | 'close'>;
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

const CONTROLLER = 'logcluster';
/** Own writes show in the caches within milliseconds; a pass that comes sooner is put off for so long. */
const CATCH_UP_MS = 100;
const FLUSH_MS_MAX = 3_000;
const WATCHED: readonly Kind[] = [
  LOG_CLUSTER,
  LOG_TOPIC,
  STATEFUL_SET,
  POD,
  CLAIM,
  SERVICE,
  DISRUPTION_BUDGET,
];

export class Operator {
  readonly #config: OperatorSettings;
  readonly #ports: OperatorPorts;
  readonly #logger: OperatorPorts['logger'];
  readonly #client: KubeClient;
  readonly #cache: ObjectCache;
  readonly #expectations: Expectations;
  readonly #reflectors: readonly Reflector[];
  readonly #events: EventRecorder;
  readonly #reconciler: Reconciler;
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
    this.#cache = new ObjectCache((error) => logger.error({ err: error }, 'defect'));
    this.#expectations = new Expectations(this.#cache);
    this.#reflectors = this.#makeReflectors(machinery);
    this.#events = new EventRecorder({
      client,
      controller: 'tidemark.dev/operator',
      instance: config.podName,
      observer: metrics,
      newId,
      ...machinery,
    });
    this.#reconciler = new Reconciler({
      ...machinery,
      reconcile: (key, signal) => this.#pass(key, signal),
      allKeys: () => this.#cache.list(LOG_CLUSTER).map(({ metadata }) => keyOf(metadata)),
      ready: () => Promise.all(this.#reflectors.map((reflector) => reflector.whenSynced())),
      onError: (key, error) => this.#failed(key, error),
      observer: metrics.controller(CONTROLLER),
    });
    this.#lease = new LeaderLease({
      ...machinery,
      client,
      name: { namespace: config.podNamespace, name: config.leaseName },
      identity: `${config.podName}_${newId()}`,
      onStarted: () => {
        logger.info('leading');
        this.#reconciler.start();
      },
      onLost: (why) => {
        logger.fatal({ why }, 'leadership lost');
        this.#reconciler.abort(why);
        ports.exit(1);
      },
    });
    metrics.attach({
      nowMs: () => clock.nowMs(),
      isLeading: () => this.#lease.isLeading(),
      reflectors: () => this.#reflectors,
      depths: () => [{ controller: CONTROLLER, ...this.#reconciler.depth }],
    });
  }

  /** False when only a new process can help. */
  get isAlive(): boolean {
    return !this.#reconciler.isStuck();
  }

  /** The caches are filled. */
  get isReady(): boolean {
    return this.#reflectors.every(({ hasSynced }) => hasSynced);
  }

  /** Starts once. */
  start(): void {
    this.#cache.subscribe(({ object }) => this.#changed(object));
    for (const reflector of this.#reflectors) reflector.start();
    this.#lease.start();
  }

  /** Ends what is under way, then gives the lease away. */
  async stop(): Promise<void> {
    await this.#reconciler.stop();
    const late = new AbortController();
    const cancel = this.#ports.clock.after(FLUSH_MS_MAX, () => late.abort());
    await this.#events.flush(late.signal);
    cancel();
    await this.#lease.stop();
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
    this.#ports.admin.close();
  }

  #makeReflectors(machinery: {
    readonly clock: Clock;
    readonly random: Random;
    readonly onError: (error: unknown) => void;
  }): Reflector[] {
    const { namespaces, canReadNodes } = this.#config;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    const common = {
      client: this.#client,
      cache: this.#cache,
      observer: this.#ports.metrics,
      ...machinery,
    };
    const namespaced = WATCHED.flatMap((type) =>
      scopes.map((namespace) => new Reflector({ ...common, type, namespace })),
    );
    return canReadNodes ? [...namespaced, new Reflector({ ...common, type: NODE })] : namespaced;
  }

  /** Which cluster a changed object belongs to. */
  #changed({ kind, metadata, spec }: KubeObject & { readonly spec?: unknown }): void {
    const { namespace, labels = {} } = metadata;
    if (kind === NODE.kind) {
      for (const cluster of this.#cache.list(LOG_CLUSTER))
        this.#reconciler.enqueue(keyOf(cluster.metadata));
      return;
    }
    const name =
      kind === LOG_CLUSTER.kind
        ? metadata.name
        : kind === LOG_TOPIC.kind
          ? (spec as { readonly clusterName?: string } | undefined)?.clusterName
          : labels['app.kubernetes.io/name'] === 'tidemark'
            ? labels['app.kubernetes.io/instance']
            : undefined;
    if (name !== undefined)
      this.#reconciler.enqueue(
        keyOf({ namespace, name }),
        metadata.deletionTimestamp === undefined ? 'normal' : 'urgent',
      );
  }

  async #pass(key: string, signal: AbortSignal): Promise<PassResult> {
    const resource = this.#cache.get(LOG_CLUSTER, nameOf(key));
    if (resource === undefined) return this.#passWithout(key, signal);
    const pending = this.#expectations.pending(key);
    if (pending.length > 0) {
      this.#logger.debug({ key, pending }, 'waiting for own writes');
      return { requeueAfterMs: CATCH_UP_MS };
    }
    const { brokerImage, canReadNodes } = this.#config;
    const basis = await observe(
      {
        cache: this.#cache,
        client: this.#client,
        admin: this.#ports.admin,
        imageDefault: brokerImage,
        canReadNodes,
      },
      resource,
      signal,
    );
    const { clock, metrics } = this.#ports;
    const plan = decide(basis.observation, clock.wallMs());
    metrics.blocked(key, plan.blockedBy, clock.nowMs());
    const actor = this.#actor(key);
    for (const action of plan.actions) {
      this.#logger.debug({ key, action }, 'action');
      if (!action.kind.startsWith('write-'))
        this.#logger.info({ key, action: action.kind, ...action }, 'act');
      await actor.perform(action, basis, signal);
    }
    this.#tell(resource, plan.events);
    return { requeueAfterMs: plan.actions.length > 0 ? CATCH_UP_MS : plan.requeueAfterMs };
  }

  /** Without its cluster a LogTopic has nothing to wait for. */
  async #passWithout(key: string, signal: AbortSignal): Promise<PassResult> {
    this.#expectations.forget(key);
    this.#ports.metrics.blocked(key, null, 0);
    const { namespace, name } = nameOf(key);
    const orphans = this.#cache
      .list(LOG_TOPIC, namespace)
      .filter(
        (topic) =>
          (topic['spec'] as { readonly clusterName?: string } | undefined)?.clusterName === name,
      );
    for (const { metadata } of orphans) {
      const { finalizers = [], deletionTimestamp, resourceVersion } = metadata;
      if (deletionTimestamp === undefined || !finalizers.includes(TOPIC_FINALIZER)) continue;
      if (!this.#lease.isLeading()) throw new OutdatedError('leadership is lost');
      const kept = finalizers.filter((each) => each !== TOPIC_FINALIZER);
      await this.#client.mergePatch(
        LOG_TOPIC,
        metadata,
        { metadata: { finalizers: kept, resourceVersion } },
        { signal },
      );
    }
    return { isGone: true };
  }

  #actor(key: string): Actor {
    return new Actor({
      api: this.#client,
      admin: this.#ports.admin,
      isLeading: () => this.#lease.isLeading(),
      beforeAction: this.#ports.beforeAction,
      onWritten: (type, object) => this.#expectations.expectWrite(key, type, object),
      onDeleted: (type, name, uid) => this.#expectations.expectDeletion(key, type, name, uid),
    });
  }

  #tell(regarding: KubeObject, events: readonly EventNote[]): void {
    const { namespace, name } = regarding.metadata;
    for (const { brokerId, ...report } of events) {
      const related =
        brokerId === undefined
          ? undefined
          : this.#cache.get(POD, { namespace, name: podName(name, brokerId) });
      this.#events.record({ regarding, ...report, ...(related === undefined ? {} : { related }) });
    }
  }

  #failed(key: string, error: unknown): void {
    if (error instanceof OutdatedError)
      this.#logger.info({ key, why: error.message }, 'pass ended early');
    else this.#logger.warn({ key, err: error }, 'pass failed');
  }
}
