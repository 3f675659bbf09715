/**
 * The rest of Kubernetes as far as the operator can tell: StatefulSet controller, volumes,
 * scheduler, a kubelet on each node, the controller of nodes, eviction. Each looks at the store
 * when its turn comes and does one thing; turns come at random.
 */
import { STOP_VETO_AWAY_MS_MAX, STOP_VETO_MS_MAX } from '../../../base/stop-veto.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { quantityValue } from '../../../operator/api/quantity.ts';
import { ApiFailure } from '../../fixtures/kube/api-failure.ts';
import type { Json } from '../../fixtures/kube/field-ownership.ts';
import type { ObjectStore } from '../../fixtures/kube/object-store.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import type { ServedType } from '../../fixtures/kube/resources.ts';
import type { Brokers, Disk } from './brokers.ts';
import { NAMESPACE } from './process.ts';
import { between, pick, type Random, type SimulatedTime } from './time.ts';
import type { Tls } from './tls.ts';

export const POD = builtIn('Pod');
export const CLAIM = builtIn('PersistentVolumeClaim');
export const VOLUME = builtIn('PersistentVolume');
export const NODE = builtIn('Node');
export const SET = builtIn('StatefulSet');
export const BUDGET = builtIn('PodDisruptionBudget');

const MANAGER = 'kubernetes';
const PROTECTION = 'kubernetes.io/pvc-protection';
/** Times of the real ones, shortened. */
const NOT_READY_MS = 5_000;
const EVICTED_MS = 30_000;
export const BROKEN_IMAGE = 'tidemark:broken';

export interface Slowness {
  /** From the pod's being bound to its container. */
  readonly startMs: readonly [number, number];
  readonly stopMs: readonly [number, number];
  readonly turnMs: readonly [number, number];
}

export interface KubernetesOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly store: ObjectStore;
  readonly brokers: Brokers;
  readonly tls: Tls;
  readonly slowness: Slowness;
  /** A volume stays on the node where it was made. */
  readonly isLocal: boolean;
  /** Nodes are called otherwise than their label `kubernetes.io/hostname` says. */
  readonly isRenamed: boolean;
  /** An eviction is about to be carried out. */
  readonly onEvict: (brokerId: number) => void;
  /** A broker is about to be stopped because its StatefulSet has become smaller. */
  readonly onScaleDown: (brokerId: number) => void;
}

interface Node {
  readonly name: string;
  readonly zone: string;
  lostMs: number | null;
}

interface PodRun {
  state: 'bound' | 'running' | 'stopping';
  untilMs: number;
  /** Since when its preStop hook runs. */
  askedMs?: number;
}

export class Kubernetes {
  readonly #options: KubernetesOptions;
  readonly #nodes = new Map<string, Node>();
  readonly #runs = new Map<string, PodRun>();
  #addresses = 0;
  /** Pods whose end hangs until then. */
  readonly #stuck = new Map<string, number>();
  readonly #crashing = new Set<string>();

  constructor(options: KubernetesOptions) {
    this.#options = options;
    for (const name of ['n0', 'n1', 'n2']) this.addNode(name, `z${name.slice(1)}`);
    const turns = [
      () => this.#runStatefulSets(),
      () => this.#runVolumes(),
      () => this.#schedule(),
      () => this.#runKubelets(),
      () => this.#watchNodes(),
    ];
    for (const turn of turns) this.#loop(turn);
  }

  get nodes(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  addNode(name: string, zone: string): void {
    this.#nodes.set(name, { name, zone, lostMs: null });
    this.registerNode(name);
  }

  /** The kubelet of a machine makes its Node object. */
  registerNode(name: string): void {
    const labels = {
      'topology.kubernetes.io/zone': this.#nodes.get(name)?.zone ?? '',
      'kubernetes.io/hostname': this.#hostname(name),
    };
    this.#create(NODE, { metadata: { name, labels }, spec: {} });
  }

  /** Somebody deletes the Node object of a machine that is there, with its disks. */
  unregisterNode(name: string): void {
    this.#options.store.delete(NODE, { name });
    for (const pod of this.#podsOn(name)) this.#finish(pod);
  }

  /** A machine of this name exists, registered or not. */
  isMachine(name: string): boolean {
    return this.#nodes.has(name);
  }

  #hostname(name: string): string {
    return this.#options.isRenamed ? `host-${name}` : name;
  }

  pods(): KubeObject[] {
    return this.#options.store.list(POD, NAMESPACE);
  }

  pod(brokerId: number): KubeObject | undefined {
    return this.pods().find(({ metadata }) => ordinal(metadata.name) === brokerId);
  }

  nodeOf(brokerId: number): string | undefined {
    const pod = this.pod(brokerId);
    return pod === undefined ? undefined : nodeName(pod);
  }

  /**
   * Cut off; with `isPowerLost` its processes die, and its disks may lack the end of what was
   * written.
   */
  loseNode(name: string, isPowerLost: boolean): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    node.lostMs = this.#options.time.monotonicMs;
    for (const pod of this.#podsOn(name)) {
      const process = this.#options.brokers.processes.get(pod.metadata.uid ?? '');
      if (process === undefined) continue;
      if (!isPowerLost) process.isCut = true;
      else {
        this.#options.brokers.end(process.podUid);
        process.disk.isLossy = true;
      }
    }
  }

  healNode(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    node.lostMs = null;
    for (const pod of this.#podsOn(name)) {
      const process = this.#options.brokers.processes.get(pod.metadata.uid ?? '');
      if (process !== undefined) process.isCut = false;
    }
  }

  /** The machine is gone for good, with what it holds: Node object, pods and local disks. */
  deleteNode(name: string): void {
    this.loseNode(name, true);
    this.#nodes.delete(name);
    this.#options.store.delete(NODE, { name });
    for (const pod of this.#podsOn(name)) this.#finish(pod);
  }

  /** The process of a broker dies; its container starts again. */
  crash(brokerId: number): void {
    const pod = this.pod(brokerId);
    const run = this.#runs.get(pod?.metadata.uid ?? '');
    if (pod === undefined || run?.state !== 'running') return;
    this.#options.brokers.end(pod.metadata.uid ?? '');
    run.state = 'bound';
    run.untilMs = this.#options.time.monotonicMs + between(this.#options.random, 200, 4_000);
  }

  /** This very pod's process dies whenever it runs; the kubelet waits longer and longer. */
  crashAlways(brokerId: number): void {
    const uid = this.pod(brokerId)?.metadata.uid;
    if (uid !== undefined) this.#crashing.add(uid);
  }

  /** The eviction API. False where the budget refuses. */
  evict(brokerId: number): boolean {
    const pod = this.pod(brokerId);
    if (pod === undefined || !this.isEvictable(brokerId)) return false;
    this.#options.onEvict(brokerId);
    this.#options.store.delete(POD, pod.metadata, { gracePeriodSeconds: 120 });
    return true;
  }

  /** Whether the budget lets this broker's pod be evicted. */
  isEvictable(brokerId: number): boolean {
    const { store } = this.#options;
    const pod = this.pod(brokerId);
    const budget = store.list(BUDGET, NAMESPACE)[0]?.['spec'] as
      | { maxUnavailable: number }
      | undefined;
    const set = store.list(SET, NAMESPACE)[0]?.['spec'] as { replicas: number } | undefined;
    if (pod === undefined || budget === undefined || set === undefined) return false;
    const healthy = this.pods().filter((each) => isReady(each) && !isTerminating(each)).length;
    const wanted = set.replicas - budget.maxUnavailable;
    return !isTerminating(pod) && (isReady(pod) ? healthy - 1 >= wanted : healthy >= wanted);
  }

  /** The end of this pod's container hangs. */
  hold(brokerId: number, delayMs: number): void {
    const uid = this.pod(brokerId)?.metadata.uid;
    if (uid !== undefined) this.#stuck.set(uid, this.#options.time.monotonicMs + delayMs);
  }

  #loop(turn: () => void): void {
    const { time, random, slowness } = this.#options;
    time.after(between(random, ...slowness.turnMs), () => {
      turn();
      this.#loop(turn);
    });
  }

  #create(type: ServedType, fields: object): KubeObject {
    const object = { apiVersion: type.apiVersion, kind: type.kind, ...fields } as KubeObject;
    return this.#options.store.create(type, object, { manager: MANAGER });
  }

  #patch(type: ServedType, { metadata }: KubeObject, patch: Json, subresource?: 'status'): void {
    try {
      this.#options.store.mergePatch(type, metadata, patch, { manager: MANAGER, subresource });
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
    }
  }

  #runStatefulSets(): void {
    for (const set of this.#options.store.list(SET, NAMESPACE)) {
      const { generation = 0 } = set.metadata;
      const status = set['status'] as { observedGeneration?: number } | undefined;
      if (status?.observedGeneration !== generation)
        this.#patch(SET, set, { status: { observedGeneration: generation } }, 'status');
      else this.#followSet(set);
    }
  }

  #followSet(set: KubeObject): void {
    const { store, onScaleDown } = this.#options;
    const { replicas, template } = set['spec'] as SetSpec;
    const own = this.pods();
    for (const pod of own) {
      const id = ordinal(pod.metadata.name);
      if (id < replicas || isTerminating(pod)) continue;
      onScaleDown(id);
      store.delete(POD, pod.metadata, { gracePeriodSeconds: 60 });
    }
    for (let id = 0; id < replicas; id += 1) {
      const name = `${set.metadata.name}-${id}`;
      if (own.some(({ metadata }) => metadata.name === name) || !this.#claim(set, id)) continue;
      const { name: owner, uid = '' } = set.metadata;
      const [container] = template.spec.containers;
      this.#create(POD, {
        metadata: {
          name,
          namespace: NAMESPACE,
          labels: template.metadata.labels,
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: owner, uid }],
        },
        spec: {
          image: container?.image ?? '',
          lifecycle: container?.lifecycle ?? {},
          volumes: template.spec.volumes ?? [],
          containers: [{ name: 'broker', env: container?.env ?? [] }],
        },
      });
    }
  }

  /** False where the claim of before is still on its way out. */
  #claim(set: KubeObject, id: number): boolean {
    const name = `data-${set.metadata.name}-${id}`;
    const known = this.#find(CLAIM, name);
    if (known !== undefined) return !isTerminating(known);
    const [template] = (set['spec'] as SetSpec).volumeClaimTemplates;
    this.#create(CLAIM, {
      metadata: {
        name,
        namespace: NAMESPACE,
        labels: template?.metadata.labels ?? {},
        finalizers: [PROTECTION],
      },
      spec: template?.spec ?? {},
    });
    return true;
  }

  #find(type: ServedType, name: string): KubeObject | undefined {
    return this.#options.store.list(type, NAMESPACE).find(({ metadata }) => metadata.name === name);
  }

  /** Protection of claims in use, volumes of claims that are gone, growth. */
  #runVolumes(): void {
    const { store, brokers } = this.#options;
    const claims = store.list(CLAIM, NAMESPACE);
    for (const claim of claims) {
      const id = ordinal(claim.metadata.name);
      if (isTerminating(claim) && this.pod(id) === undefined)
        this.#patch(CLAIM, claim, { metadata: { finalizers: [] } });
      const { resources, volumeName } = claim['spec'] as ClaimSpec;
      const { capacity } = (claim['status'] ?? {}) as { capacity?: { storage: string } };
      const wanted = resources.requests.storage;
      const isGrown =
        capacity !== undefined && quantityValue(capacity.storage) >= quantityValue(wanted);
      if (volumeName !== undefined && !isGrown)
        this.#patch(CLAIM, claim, { status: { capacity: { storage: wanted } } }, 'status');
    }
    for (const volume of store.list(VOLUME, undefined)) {
      const isClaimed = claims.some(
        (claim) => (claim['spec'] as ClaimSpec).volumeName === volume.metadata.name,
      );
      const { persistentVolumeReclaimPolicy } = volume['spec'] as Record<string, unknown>;
      if (isClaimed || persistentVolumeReclaimPolicy === 'Retain') continue;
      brokers.disks.delete(volume.metadata.name);
      store.delete(VOLUME, volume.metadata);
    }
  }

  #schedule(): void {
    for (const pod of this.pods()) {
      if (nodeName(pod) !== undefined) continue;
      if (isTerminating(pod)) {
        this.#finish(pod);
        continue;
      }
      const claim = this.#find(CLAIM, `data-${pod.metadata.name}`);
      if (claim === undefined || isTerminating(claim)) continue;
      const { volumeName } = claim['spec'] as ClaimSpec;
      const tied = volumeName === undefined ? undefined : this.#tiedNode(volumeName);
      const fit = this.#fitNodes().filter((name) => tied === undefined || name === tied);
      const load = (name: string): number => this.#podsOn(name).length;
      const [node] = fit.toSorted((left, right) => load(left) - load(right));
      if (node === undefined) {
        this.#condition(pod, 'PodScheduled', 'False', 'Unschedulable');
        continue;
      }
      if (volumeName === undefined) this.#provision(claim, node);
      this.#patch(POD, pod, { spec: { nodeName: node } });
      this.#condition(pod, 'PodScheduled', 'True', '');
    }
  }

  #fitNodes(): string[] {
    return this.#options.store
      .list(NODE, undefined)
      .filter((node) => (node['spec'] as { unschedulable?: boolean }).unschedulable !== true)
      .map(({ metadata }) => metadata.name)
      .filter((name) => this.#nodes.get(name)?.lostMs === null);
  }

  #tiedNode(volume: string): string | undefined {
    const { store, isLocal } = this.#options;
    return isLocal ? store.get(VOLUME, { name: volume }).metadata.labels?.['node'] : undefined;
  }

  #provision(claim: KubeObject, node: string): void {
    const { isLocal, brokers } = this.#options;
    const name = `pv-${claim.metadata.uid}`;
    const terms = [
      {
        matchExpressions: [
          { key: 'kubernetes.io/hostname', operator: 'In', values: [this.#hostname(node)] },
        ],
      },
    ];
    const spec = isLocal ? { nodeAffinity: { required: { nodeSelectorTerms: terms } } } : {};
    this.#create(VOLUME, { metadata: { name, labels: { node } }, spec });
    brokers.disks.set(name, {
      name,
      clusterId: '',
      directoryId: '',
      ends: new Map(),
      isLossy: false,
    });
    const { resources } = claim['spec'] as ClaimSpec;
    this.#patch(CLAIM, claim, { spec: { volumeName: name } });
    this.#patch(
      CLAIM,
      claim,
      { status: { capacity: { storage: resources.requests.storage } } },
      'status',
    );
  }

  #podsOn(node: string): KubeObject[] {
    return this.pods().filter((pod) => nodeName(pod) === node);
  }

  #runKubelets(): void {
    for (const { name, zone, lostMs } of this.#nodes.values()) {
      if (lostMs !== null) continue;
      for (const pod of this.#podsOn(name)) this.#runPod(pod, zone);
    }
  }

  #runPod(pod: KubeObject, zone: string): void {
    const { time, random, brokers, slowness } = this.#options;
    const { uid = '', name } = pod.metadata;
    const now = time.monotonicMs;
    const known = this.#runs.get(uid);
    const run: PodRun = known ?? {
      state: 'bound',
      untilMs: now + between(random, ...slowness.startMs),
    };
    this.#runs.set(uid, run);
    if (isTerminating(pod) && run.state !== 'stopping') {
      if (this.#isVetoed(pod, run)) return;
      brokers.terminate(uid);
      run.state = 'stopping';
      run.untilMs = Math.max(now + between(random, ...slowness.stopMs), this.#stuck.get(uid) ?? 0);
    }
    if (now < run.untilMs) return;
    if (run.state === 'stopping') return this.#finish(pod);
    if (run.state === 'bound') return this.#startContainer(pod, run, ordinal(name), zone);
    if (this.#crashing.has(uid)) return this.#crashLoop(pod);
    const isServing = brokers.isReady(uid);
    if (isServing !== isReady(pod)) this.#condition(pod, 'Ready', isServing ? 'True' : 'False', '');
  }

  #crashLoop(pod: KubeObject): void {
    const { uid = '' } = pod.metadata;
    this.#options.brokers.end(uid);
    if (isReady(pod)) this.#condition(pod, 'Ready', 'False', '');
    const waiting = { reason: 'CrashLoopBackOff', message: 'back-off 10s' };
    const patch = { status: { containerStatuses: [{ state: { waiting } }] } };
    this.#patch(POD, pod, patch, 'status');
  }

  /** Its preStop hook has not come back yet: the broker has its stop wait. */
  #isVetoed(pod: KubeObject, run: PodRun): boolean {
    const { lifecycle = {} } = pod['spec'] as { lifecycle?: { preStop?: object } };
    if (run.state !== 'running' || lifecycle.preStop === undefined) return false;
    const { time, brokers } = this.#options;
    run.askedMs ??= time.monotonicMs;
    const veto = brokers.stopVeto(pod.metadata.uid ?? '');
    const mostMs = veto === 'recovering' ? STOP_VETO_MS_MAX : STOP_VETO_AWAY_MS_MAX;
    return veto !== null && time.monotonicMs - run.askedMs < mostMs;
  }

  #startContainer(pod: KubeObject, run: PodRun, brokerId: number, zone: string): void {
    const { brokers } = this.#options;
    const { uid = '', name } = pod.metadata;
    if ((pod['spec'] as { image: string }).image === BROKEN_IMAGE) {
      const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };
      return this.#patch(
        POD,
        pod,
        { status: { containerStatuses: [{ state: { waiting } }] } },
        'status',
      );
    }
    const claim = this.#find(CLAIM, `data-${name}`);
    const volume = (claim?.['spec'] as ClaimSpec | undefined)?.volumeName;
    const disk: Disk | undefined = brokers.disks.get(volume ?? '');
    if (disk === undefined || !this.#options.tls.start(pod)) return;
    brokers.start(uid, brokerId, disk, zone);
    run.state = 'running';
    if ((pod['status'] as { podIP?: string } | undefined)?.podIP !== undefined) return;
    this.#addresses += 1;
    this.#patch(POD, pod, { status: { podIP: `10.0.0.${this.#addresses}` } }, 'status');
  }

  /** The pod is gone; so is its process. */
  #finish(pod: KubeObject): void {
    const { brokers, store } = this.#options;
    brokers.end(pod.metadata.uid ?? '');
    store.delete(POD, pod.metadata, { gracePeriodSeconds: 0 });
  }

  #condition(pod: KubeObject, type: string, status: string, reason: string): void {
    const { conditions = [] } = (pod['status'] ?? {}) as {
      conditions?: { type: string; status: string }[];
    };
    if (conditions.find((each) => each.type === type)?.status === status) return;
    const others = conditions.filter((each) => each.type !== type) as unknown as Json[];
    this.#patch(
      POD,
      pod,
      { status: { conditions: [...others, { type, status, reason }] } },
      'status',
    );
  }

  /** Pods of lost nodes are no longer ready, then told to go; of deleted ones, gone. */
  #watchNodes(): void {
    const { time, store } = this.#options;
    for (const pod of this.pods()) {
      const name = nodeName(pod);
      const node = name === undefined ? undefined : this.#nodes.get(name);
      if (name !== undefined && node === undefined) this.#finish(pod);
      if (node === undefined || node.lostMs === null) continue;
      const lostMs = time.monotonicMs - node.lostMs;
      if (lostMs > NOT_READY_MS && isReady(pod)) this.#condition(pod, 'Ready', 'False', 'NodeLost');
      if (lostMs > EVICTED_MS && !isTerminating(pod))
        store.delete(POD, pod.metadata, { gracePeriodSeconds: 60 });
    }
  }

  /** Somebody else's pick among the pods, for faults. */
  anyBroker(): number | undefined {
    const pod = pick(this.#options.random, this.pods());
    return pod === undefined ? undefined : ordinal(pod.metadata.name);
  }
}

interface SetSpec {
  readonly replicas: number;
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: {
      readonly containers: readonly {
        readonly image: string;
        readonly lifecycle?: Json;
        readonly env?: readonly Json[];
      }[];
      readonly volumes?: readonly Json[];
    };
  };
  readonly volumeClaimTemplates: readonly {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: object;
  }[];
}

interface ClaimSpec {
  readonly volumeName?: string;
  readonly resources: { readonly requests: { readonly storage: string } };
}

export function ordinal(name: string): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}

export function isTerminating({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

export function isReady(pod: KubeObject): boolean {
  const { conditions = [] } = (pod['status'] ?? {}) as {
    conditions?: { type: string; status: string }[];
  };
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

function nodeName(pod: KubeObject): string | undefined {
  return (pod['spec'] as { nodeName?: string }).nodeName;
}
