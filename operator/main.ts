/**
 * The operator's program: composes lease, caches, observer, decision, actor, events and metrics, and ends in order on SIGTERM or SIGINT. The only reader of the
 * environment. One pass: wait for the own writes to show, observe, decide, act.
 */
import { randomUUID } from 'node:crypto';
import { pino, type Logger } from 'pino';
import { Actor, OutdatedError } from './act/act.ts';
import { stopAtAction } from './act/stop-at-action.ts';
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
import { OperatorConfigError, readOperatorConfig, type OperatorConfig } from './config.ts';
import { decide } from './decide/decide.ts';
import type { EventNote } from './decide/types.ts';
import { BrokerAdmin } from './observe/broker-admin.ts';
import { observe } from './observe/observe.ts';
import { ObjectCache } from './runtime/cache.ts';
import { systemClock } from './runtime/clock.ts';
import { EventRecorder } from './runtime/events.ts';
import { Expectations } from './runtime/expectations.ts';
import { HttpServer } from './runtime/http.ts';
import { KubeClient } from './runtime/kube-client.ts';
import {
  anonymousCredentials,
  inClusterCredentials,
  kubeconfigCredentials,
  type KubeCredentials,
} from './runtime/kube-credentials.ts';
import { keyOf, nameOf } from './runtime/kube-object.ts';
import { LeaderLease } from './runtime/leader-lease.ts';
import { OperatorMetrics } from './runtime/metrics.ts';
import { Reconciler, type PassResult } from './runtime/reconciler.ts';
import { Reflector } from './runtime/reflector.ts';

const METRICS_PREFIX = 'tidemark_operator_';
const CONTROLLER = 'logcluster';
/** Own writes show in the caches within milliseconds; a pass that comes sooner is put off for so long. */
const CATCH_UP_MS = 100;
const FLUSH_MS_MAX = 3_000;
const EXIT_USAGE = 64;
const WATCHED: readonly Kind[] = [
  LOG_CLUSTER,
  LOG_TOPIC,
  STATEFUL_SET,
  POD,
  CLAIM,
  SERVICE,
  DISRUPTION_BUDGET,
];

function credentialsOf({
  apiServer,
  serviceHost,
  servicePort,
}: OperatorConfig): Promise<KubeCredentials> {
  if (apiServer !== undefined) return Promise.resolve(anonymousCredentials(apiServer));
  if (serviceHost === undefined || servicePort === undefined) return kubeconfigCredentials();
  return inClusterCredentials({ host: serviceHost, port: servicePort });
}

class Operator {
  readonly #config: OperatorConfig;
  readonly #logger: Logger;
  readonly #client: KubeClient;
  readonly #cache: ObjectCache;
  readonly #expectations: Expectations;
  readonly #admin = new BrokerAdmin();
  readonly #metrics = new OperatorMetrics(METRICS_PREFIX);
  readonly #reflectors: readonly Reflector[];
  readonly #events: EventRecorder;
  readonly #reconciler: Reconciler;
  readonly #lease: LeaderLease;
  readonly #http: HttpServer;
  readonly #beforeAction: () => void;

  constructor(
    config: OperatorConfig,
    logger: Logger,
    credentials: KubeCredentials,
    exit: (code: number) => never,
  ) {
    this.#config = config;
    this.#logger = logger;
    const report = (error: unknown): void => logger.warn({ err: error }, 'failed');
    const machinery = { clock: systemClock, random: Math.random, onError: report } as const;
    this.#client = new KubeClient({ credentials, fieldManager: FIELD_MANAGER });
    const client = this.#client;
    this.#cache = new ObjectCache((error) => logger.error({ err: error }, 'defect'));
    this.#expectations = new Expectations(this.#cache);
    this.#reflectors = this.#makeReflectors(machinery);
    this.#events = new EventRecorder({
      client,
      controller: 'tidemark.dev/operator',
      instance: config.podName,
      observer: this.#metrics,
      ...machinery,
    });
    this.#reconciler = new Reconciler({
      ...machinery,
      reconcile: (key, signal) => this.#pass(key, signal),
      allKeys: () => this.#cache.list(LOG_CLUSTER).map(({ metadata }) => keyOf(metadata)),
      ready: () => Promise.all(this.#reflectors.map((reflector) => reflector.whenSynced())),
      onError: (key, error) => this.#failed(key, error),
      observer: this.#metrics.controller(CONTROLLER),
    });
    this.#lease = new LeaderLease({
      ...machinery,
      client,
      name: { namespace: config.podNamespace, name: config.leaseName },
      identity: `${config.podName}_${randomUUID()}`,
      onStarted: () => {
        logger.info('leading');
        this.#reconciler.start();
      },
      onLost: (why) => {
        logger.fatal({ why }, 'leadership lost');
        this.#reconciler.abort(why);
        exit(1);
      },
    });
    this.#beforeAction = stopAtAction(config.exitBeforeAction, () => exit(1));
    this.#http = new HttpServer({
      isAlive: () => !this.#reconciler.isStuck(),
      isReady: () => this.#reflectors.every(({ hasSynced }) => hasSynced),
      metrics: () => this.#metrics.text(),
      metricsContentType: this.#metrics.contentType,
    });
    this.#metrics.attach({
      isLeading: () => this.#lease.isLeading(),
      reflectors: () => this.#reflectors,
      depths: () => [{ controller: CONTROLLER, ...this.#reconciler.depth }],
    });
  }

  async start(): Promise<void> {
    this.#cache.subscribe(({ object }) => this.#changed(object));
    await this.#http.listen('0.0.0.0', this.#config.httpPort);
    for (const reflector of this.#reflectors) reflector.start();
    this.#lease.start();
  }

  /** Ends what is under way, then gives the lease away. */
  async stop(): Promise<void> {
    await this.#reconciler.stop();
    await this.#events.flush(AbortSignal.timeout(FLUSH_MS_MAX));
    await this.#lease.stop();
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
    this.#admin.close();
    await this.#http.close();
  }

  #makeReflectors(machinery: {
    readonly clock: typeof systemClock;
    readonly random: () => number;
    readonly onError: (error: unknown) => void;
  }): Reflector[] {
    const { namespaces, canReadNodes } = this.#config;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    const common = {
      client: this.#client,
      cache: this.#cache,
      observer: this.#metrics,
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
        admin: this.#admin,
        imageDefault: brokerImage,
        canReadNodes,
      },
      resource,
      signal,
    );
    const plan = decide(basis.observation, systemClock.wallMs());
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
      admin: this.#admin,
      isLeading: () => this.#lease.isLeading(),
      beforeAction: this.#beforeAction,
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

async function run(): Promise<void> {
  const config = readOperatorConfig(process.env);
  const logger = pino({ level: config.logLevel, base: { pod: config.podName } });
  const exit = (code: number): never => process.exit(code);
  const operator = new Operator(config, logger, await credentialsOf(config), exit);
  const stop = (signal: string): void => {
    logger.info({ signal }, 'stopping');
    operator.stop().then(
      () => exit(0),
      (error: unknown) => {
        logger.fatal({ err: error }, 'stop failed');
        exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await operator.start();
  logger.info({ namespaces: config.namespaces, readsNodes: config.canReadNodes }, 'started');
}

run().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof OperatorConfigError ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  process.exit(error instanceof OperatorConfigError ? EXIT_USAGE : 1);
});
