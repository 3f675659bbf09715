/**
 * Joins time, API server, Kubernetes, brokers, network and processes of the operator, with the
 * checkers at each seam.
 */
import type { LogClusterSpec, LogClusterStatus } from '../../../operator/api/types.ts';
import { LOG_CLUSTER, LOG_TOPIC } from '../../../operator/api/kinds.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { ApiHandler } from '../../fixtures/kube/api-handler.ts';
import type { Json } from '../../fixtures/kube/field-ownership.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { served } from '../../fixtures/kube/resources.ts';
import { ACCESS_TYPE, AccessModel } from './access.ts';
import { type BrokerProcess, Brokers } from './brokers.ts';
import { Checkers } from './checkers.ts';
import { CLAIM, Kubernetes, NODE, type Slowness } from './kubernetes.ts';
import { type Call, Network } from './network.ts';
import { LEASE_NAME, NAMESPACE, Process } from './process.ts';
import { between, type Random, randomOf, SimulatedTime } from './time.ts';
import { Tls } from './tls.ts';

const CRD = { hasStatus: true, hasGeneration: true } as const;
export const CLUSTER_TYPE = served(
  LOG_CLUSTER.apiVersion,
  LOG_CLUSTER.kind,
  LOG_CLUSTER.plural,
  CRD,
);
export const TOPIC_TYPE = served(LOG_TOPIC.apiVersion, LOG_TOPIC.kind, LOG_TOPIC.plural, CRD);
const EVENT_TYPE = builtIn('Event');
export const NAME = { namespace: NAMESPACE, name: 'tm' } as const;

export const BRISK: Slowness = { startMs: [300, 1_500], stopMs: [200, 1_000], turnMs: [100, 300] };
export const SLOW: Slowness = {
  startMs: [1_000, 25_000],
  stopMs: [500, 40_000],
  turnMs: [200, 2_000],
};

export interface WorldOptions {
  readonly seed: number;
  /** Copies of the operator. Default 1. */
  readonly copies?: number;
  /** Operators with leases of their own, each of `copies`. Default 1. */
  readonly operators?: number;
  /** Label selectors of the operators, in their order. Default: each looks after everything. */
  readonly selectors?: readonly string[];
  readonly slowness?: Slowness;
  readonly isLocal?: boolean;
  readonly isRenamed?: boolean;
  /** The definition of LogAccess is there. Default true. */
  readonly hasAccess?: boolean;
  /** Default 3, each in a zone of its own. */
  readonly nodes?: number;
  readonly trace?: ((line: string) => void) | undefined;
}

/**
 * When a process of the operator is to die: with its n-th write since {@link World.arm} carried out
 * and unanswered, or before its n-th call of any kind.
 */
export type KillPlan =
  | { readonly after: 'write'; readonly count: number }
  | { readonly after: 'call'; readonly count: number };

export class World {
  readonly #selectors: readonly string[];
  readonly time = new SimulatedTime();
  readonly random: Random;
  readonly faults: string[] = [];
  readonly handler: ApiHandler;
  readonly access: AccessModel;
  readonly brokers: Brokers;
  readonly kubernetes: Kubernetes;
  readonly tls: Tls;
  readonly network: Network;
  readonly checkers: Checkers;
  readonly #trace: WorldOptions['trace'];
  readonly #processes = new Set<Process>();
  #plan: KillPlan | undefined;
  /**
   * Lasts until the next write that does not end a pass: whoever sent that stands still for so long
   * before it has its answer, ms.
   */
  pauseWithWriteMs = 0;
  #started = 0;
  /** Since {@link arm}. */
  writes = 0;
  calls = 0;
  /** What the hostile parts did, by kind. */
  readonly happened = new Map<string, number>();
  #isDeserted = false;
  readonly #uninstalled = new Set<Process>();

  constructor(options: WorldOptions) {
    const { seed, copies = 1, operators = 1, slowness = BRISK, trace } = options;
    const { isLocal = false, isRenamed = false, nodes = 3, hasAccess = true } = options;
    const { time } = this;
    const random = randomOf(seed);
    this.random = random;
    this.#trace = trace;
    const types = [CLUSTER_TYPE, TOPIC_TYPE, ...(hasAccess ? [ACCESS_TYPE] : [])];
    this.handler = new ApiHandler(() => time.wallMs, types);
    const { store } = this.handler;
    const fault = (text: string): void => this.#fault(text);
    this.access = new AccessModel({ time, store, cluster: () => this.cluster, fault });
    this.brokers = new Brokers({ time, random, fault, access: this.access });
    const { brokers } = this;
    this.tls = new Tls({ time, random: randomOf(seed + 1), store, brokers, fault });
    this.kubernetes = new Kubernetes({
      time,
      random,
      store,
      brokers,
      tls: this.tls,
      slowness,
      isLocal,
      isRenamed,
      onEvict: (id) => this.checkers.evicted(id),
      onScaleDown: (id) => this.checkers.scaledDown(id),
    });
    for (let node = 3; node < nodes; node += 1) this.kubernetes.addNode(`n${node}`, `z${node}`);
    this.checkers = new Checkers({
      time,
      store,
      brokers,
      kubernetes: () => this.kubernetes,
      cluster: () => this.cluster,
      isWatched: () => !this.#isDeserted,
      fault,
    });
    this.network = new Network({
      time,
      random,
      handler: this.handler,
      brokers,
      addressOf: (address) => this.#brokerAt(address),
      isLetIn: (address, tls) => {
        const pod = this.#podAt(address);
        return pod !== undefined && this.tls.isLetIn(pod, tls);
      },
      onSent: (process, call) => this.#sent(process, call),
      onArrived: (_, call) => this.checkers.arrived(call),
      onDone: (process, call, error) => this.#done(process, call, error),
    });
    this.#selectors = options.selectors ?? [];
    for (let copy = 0; copy < copies * operators; copy += 1)
      this.#startProcess(copy < copies ? LEASE_NAME : `${LEASE_NAME}-${Math.floor(copy / copies)}`);
  }

  get cluster(): KubeObject | undefined {
    return this.handler.store
      .list(CLUSTER_TYPE, NAMESPACE)
      .find(({ metadata }) => metadata.name === NAME.name);
  }

  get spec(): Partial<LogClusterSpec> {
    return this.cluster?.['spec'] ?? {};
  }

  get status(): LogClusterStatus {
    return this.cluster?.['status'] ?? {};
  }

  /** Processes that live, the leader first where there is one. */
  get processes(): readonly Process[] {
    return [...this.#processes];
  }

  /** As the spec wants it, and the status says so of this very spec. */
  get isCalm(): boolean {
    const { observedGeneration, conditions, disruption } = this.status;
    const { image, storage, minInSyncReplicas } = this.spec;
    const ready = conditions?.find(({ type }) => type === 'Ready')?.status;
    const images = this.kubernetes.pods().map((pod) => (pod['spec'] as { image: string }).image);
    const claims = this.handler.store
      .list(CLAIM, NAMESPACE)
      .map(
        (claim) =>
          (claim['spec'] as { resources: { requests: { storage: string } } }).resources.requests
            .storage,
      );
    const topic = this.brokers.topics.get('orders');
    return (
      ready === 'True' &&
      observedGeneration === this.cluster?.metadata.generation &&
      disruption === undefined &&
      this.checkers.isAsSpecified() &&
      images.every((each) => image === undefined || each === image) &&
      claims.filter((each) => each === storage?.size).length >= (this.spec.replicas ?? 0) &&
      (topic === undefined || topic.config.minInSyncReplicas === minInSyncReplicas)
    );
  }

  apply(spec: object): void {
    const object = {
      apiVersion: LOG_CLUSTER.apiVersion,
      kind: LOG_CLUSTER.kind,
      metadata: { ...NAME },
      spec,
    };
    this.handler.store.create(CLUSTER_TYPE, object, { manager: 'kubectl' });
  }

  edit(spec: Json): void {
    this.say(`the spec changes: ${JSON.stringify(spec)}`);
    this.handler.store.mergePatch(CLUSTER_TYPE, NAME, { spec }, { manager: 'kubectl' });
  }

  label(key: string, value: string | null): void {
    this.say(`label ${key}: ${value}`);
    const patch = { metadata: { labels: { [key]: value } } };
    this.handler.store.mergePatch(CLUSTER_TYPE, NAME, patch, { manager: 'kubectl' });
  }

  annotate(key: string, value: string | null): void {
    this.say(`annotation ${key}: ${value}`);
    const patch = { metadata: { annotations: { [key]: value } } };
    this.handler.store.mergePatch(CLUSTER_TYPE, NAME, patch, { manager: 'kubectl' });
  }

  cordon(node: string, isCordoned: boolean): void {
    const patch = { spec: { unschedulable: isCordoned } };
    this.handler.store.mergePatch(NODE, { name: node }, patch, { manager: 'kubectl' });
  }

  applyTopic(name: string, spec: object): void {
    const { apiVersion, kind } = LOG_TOPIC;
    const object = { apiVersion, kind, metadata: { namespace: NAMESPACE, name }, spec };
    this.handler.store.create(TOPIC_TYPE, object, { manager: 'kubectl' });
  }

  /** Of the fields of its spec those that are stated; null takes one out. */
  changeTopic(name: string, spec: Readonly<Record<string, Json>>): void {
    const key = { namespace: NAMESPACE, name };
    this.handler.store.mergePatch(TOPIC_TYPE, key, { spec }, { manager: 'kubectl' });
  }

  /** Condition Ready of a LogTopic as `False Reason: message`; empty where it has none. */
  readyOfTopic(name: string): string {
    const topic = this.handler.store.get(TOPIC_TYPE, { namespace: NAMESPACE, name });
    return conditionText(topic['status'] as LogClusterStatus | undefined, 'Ready');
  }

  /** A condition of the LogCluster, the same way. */
  condition(type: string): string {
    return conditionText(this.status, type);
  }

  /** Reasons of the events told so far, each once. */
  get reasons(): ReadonlySet<string> {
    const events = this.handler.store.list(EVENT_TYPE, NAMESPACE);
    return new Set(events.map((event) => event['reason'] as string));
  }

  /**
   * The load's topic, made by a client that states no minimum: where brokers do not know that such
   * a topic follows, it has that of the spec.
   */
  createOrders(): void {
    const { minInSyncReplicas } = this.spec;
    this.brokers.createTopic('orders', 3, 3, {
      commitMode: 0,
      ...(this.brokers.featureLevel < 16 ? { minInSyncReplicas } : {}),
    });
  }

  arm(plan: KillPlan | undefined): void {
    this.#plan = plan;
    this.writes = 0;
    this.calls = 0;
  }

  /** Harm from outside: crashes, lost nodes. */
  harm(what: string, run: () => void): void {
    this.say(what);
    this.#count(what.split(' ')[0] ?? what);
    this.checkers.adverse();
    run();
  }

  /** The operator is hindered. */
  hinder(what: string, run: () => void): void {
    this.say(what);
    this.#count(what.split(' ')[0] ?? what);
    this.checkers.hindered();
    run();
  }

  kill(process: Process): void {
    this.hinder(`kill ${process.name}`, () => process.kill());
  }

  /** Every copy of the operator goes, and none comes back until it {@link returns}. */
  desert(): void {
    this.#isDeserted = true;
    for (const process of this.processes) this.kill(process);
  }

  /** This copy goes for good. */
  uninstall(process: Process): void {
    this.#uninstalled.add(process);
    this.kill(process);
  }

  /** Operator that has claimed the cluster: `namespace/lease`; empty: none. */
  get claimant(): string {
    const lease = this.handler.store
      .list(builtIn('Lease'), NAMESPACE)
      .find(({ metadata }) => metadata.name === `logcluster-${NAME.name}`);
    return (lease?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity ?? '';
  }

  /** The operator is there again. */
  returns(): void {
    this.#isDeserted = false;
    this.hinder('return of the operator', () => this.#startProcess());
  }

  /** Runs for `ms`, less where a fault is found. */
  async sleep(ms: number): Promise<void> {
    await this.time.run(() => this.faults.length > 0, ms);
  }

  /** Until it holds; where it does not within `limitMs`, that is a fault. */
  async until(what: string, holds: () => boolean, limitMs = 900_000): Promise<void> {
    if (this.faults.length > 0) return;
    const isOver = await this.time.run(() => this.faults.length > 0 || holds(), limitMs);
    if (!isOver) this.#fault(`does not come to an end: ${what}; ${this.#describe()}`);
  }

  say(text: string): void {
    this.#trace?.(`${this.time.monotonicMs.toFixed(0).padStart(7)} ${text}`);
  }

  #fault(text: string): void {
    this.say(`FAULT ${text}`);
    this.faults.push(`${text} (at ${this.time.monotonicMs.toFixed(0)} ms)`);
  }

  #count(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1);
  }

  /** A Deployment: what ends is started again. */
  #startProcess(leaseName = LEASE_NAME): void {
    this.#started += 1;
    const trace = this.#trace === undefined ? undefined : (line: string) => this.say(line);
    const process = new Process({
      time: this.time,
      random: randomOf(Math.floor(this.random() * 2 ** 32)),
      podName: `op-${this.#started}`,
      leaseName,
      selector: this.#selectors[Number(leaseName.split('-').at(-1))] ?? this.#selectors[0] ?? '',
      canReadNodes: true,
      transportOf: (self) => this.network.transportOf(self),
      adminOf: (self) => this.network.adminOf(self),
      onEnd: (self) => {
        this.#processes.delete(self);
        this.checkers.hindered();
        if (this.#isDeserted || this.#uninstalled.has(self)) return;
        this.time.wake(between(this.random, 300, 3_000), () => {
          if (!this.#isDeserted) this.#startProcess(leaseName);
        });
      },
      trace,
    });
    this.#processes.add(process);
  }

  #podAt(address: string): KubeObject | undefined {
    const [ip] = address.split(':');
    return this.kubernetes
      .pods()
      .find((each) => (each['status'] as { podIP?: string } | undefined)?.podIP === ip);
  }

  #brokerAt(address: string): BrokerProcess | undefined {
    const pod = this.#podAt(address);
    return pod === undefined ? undefined : this.brokers.processes.get(pod.metadata.uid ?? '');
  }

  #sent(process: Process, call: Call): void {
    if (process.isDead) return;
    this.calls += 1;
    if (this.#plan?.after === 'call' && this.calls === this.#plan.count) {
      this.kill(process);
      return;
    }
    this.checkers.sent(process, call);
  }

  #done(process: Process, call: Call, error: unknown): void {
    if (error === undefined) this.checkers.done(call);
    if (!call.isWrite || process.isDead) return;
    if (this.pauseWithWriteMs > 0 && !call.title.endsWith('/status')) {
      const pauseMs = this.pauseWithWriteMs;
      this.pauseWithWriteMs = 0;
      this.hinder(`pause ${process.name}`, () => process.pause(pauseMs));
    }
    this.say(
      `${process.name}: ${call.title}${error instanceof Error ? ` -> ${error.message}` : ''}`,
    );
    this.writes += 1;
    if (this.#plan?.after === 'write' && this.writes === this.#plan.count) this.kill(process);
  }

  #describe(): string {
    const { conditions, ...status } = this.status;
    const registered = [...this.brokers.registrations.values()];
    return JSON.stringify({
      status: { ...status, ready: conditions?.[0] },
      spec: this.spec,
      voters: this.brokers.voters,
      controller: this.brokers.controller,
      brokers: registered.map(({ id, epoch, isFenced, isStopping, isCordoned }) => ({
        id,
        epoch,
        isFenced,
        isStopping,
        isCordoned,
      })),
      partitions: this.brokers.partitions.map(({ name, replicas, syncSet, leader }) => ({
        name,
        replicas,
        syncSet,
        leader,
      })),
      pods: this.kubernetes.pods().map(({ metadata, spec, status: state }) => ({
        name: metadata.name,
        deleted: metadata.deletionTimestamp,
        spec,
        state,
      })),
    });
  }
}

function conditionText(
  status: Pick<LogClusterStatus, 'conditions'> | undefined,
  type: string,
): string {
  const found = status?.conditions?.find((each) => each.type === type);
  return found === undefined ? '' : `${found.status} ${found.reason}: ${found.message}`;
}
