/**
 * What must hold whatever happens, one method for each property. They look at the world, never at
 * what the operator believes of it.
 *
 * - A broker is stopped, by the operator's own hand or through its disruption budget, only where
 *   every partition keeps its minimum and the quorum its majority. Excused is harm that came
 *   between the operator's last question and its act: it cannot stop the world.
 * - One disruption at a time.
 * - Only the holder of the lease writes, and of several operators only the one that has claimed the
 *   cluster.
 * - A volume claim is deleted only where its machine is gone for good, which keeps the volume and
 *   never the last copy unless a person named it; or where its broker was removed.
 * - A status speaks of a generation that exists, never of an older one than before, and says Ready
 *   only of what is.
 */
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { LEASE } from '../../../operator/kube/leader-lease.ts';
import type { LogClusterSpec, LogClusterStatus } from '../../../operator/api/types.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import type { ObjectStore } from '../../fixtures/kube/object-store.ts';
import { type Brokers, minOf } from './brokers.ts';
import {
  CLAIM,
  isReady,
  isTerminating,
  type Kubernetes,
  ordinal,
  SET,
  VOLUME,
} from './kubernetes.ts';
import type { Call } from './network.ts';
import { NAMESPACE, type Process } from './process.ts';
import type { SimulatedTime } from './time.ts';

const CLUSTER_NAME = 'tm';
/** How long the operator may need to notice something, where nothing disturbs it. */
const NOTICE_MS = 20_000;
const READY_WRONG_MS = 40_000;
const PAUSE_MS = 5_000;

export interface CheckersOptions {
  readonly time: SimulatedTime;
  readonly store: ObjectStore;
  readonly brokers: Brokers;
  readonly kubernetes: () => Kubernetes;
  readonly cluster: () => KubeObject | undefined;
  /** A copy of the operator runs, or soon will; else budget and status are as the last one left. */
  readonly isWatched: () => boolean;
  readonly fault: (text: string) => void;
}

export class Checkers {
  readonly #options: CheckersOptions;
  /** When the operator last asked whether these may stop, by broker. */
  readonly #askedMs = new Map<number, number>();
  /** Brokers that served when the operator deleted their pods, and that are not back. */
  readonly #restarting = new Set<number>();
  /** Brokers that were not registered when the StatefulSet was made too small for them. */
  readonly #strangers = new Set<number>();
  #observedGeneration = 0;
  #brokenMs: number | null = null;
  /** Something broke that is nobody's doing here. */
  #adverseMs = Number.NEGATIVE_INFINITY;
  /** The operator was hindered. */
  #hinderedMs = Number.NEGATIVE_INFINITY;
  #pausedMs: number | null = null;

  constructor(options: CheckersOptions) {
    this.#options = options;
    options.time.after(0, () => this.#watch());
  }

  adverse(): void {
    this.#adverseMs = this.#now;
  }

  hindered(): void {
    this.#hinderedMs = this.#now;
  }

  sent(process: Process, { isWrite, title }: Call): void {
    if (!isWrite) return;
    const holder = this.#holder(process.leaseName);
    if (holder?.startsWith(`${process.name}_`) !== true)
      this.#fault(`${process.name} sent ${title} while ${holder ?? 'nobody'} holds the lease`);
    const claimant = this.#holder(`logcluster-${CLUSTER_NAME}`);
    if (claimant !== `${NAMESPACE}/${process.leaseName}`)
      this.#fault(`${process.name} sent ${title} while ${claimant ?? 'nobody'} has the cluster`);
  }

  #holder(leaseName: string): string | undefined {
    const lease = this.#options.store
      .list(builtIn(LEASE.kind), NAMESPACE)
      .find(({ metadata }) => metadata.name === leaseName);
    return (lease?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity;
  }

  arrived({ title, request }: Call): void {
    const [verb = '', path = ''] = title.split(' ');
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (title === 'CheckDisruption')
      for (const id of request['brokerIds'] as number[]) this.#askedMs.set(id, this.#now);
    if (verb === 'DELETE' && path.includes('/pods/')) this.#podDeleted(name, request);
    if (verb === 'DELETE' && path.includes('/persistentvolumeclaims/'))
      this.#claimDeleted(name, request);
    if (verb === 'PATCH' && path.includes('/statefulsets/')) this.#setApplied(request);
  }

  /** A call that was not refused. */
  done({ title, request }: Call): void {
    if (title.startsWith('PATCH ') && /[/]logclusters[/][^/]+[/]status$/.test(title))
      this.#statusWritten((bodyOf(request) as { status: LogClusterStatus }).status);
  }

  evicted(brokerId: number): void {
    const isWatched = this.#options.isWatched();
    const isUnnoticed = this.#now - Math.max(this.#adverseMs, this.#hinderedMs) < NOTICE_MS;
    const harm = this.#harm(brokerId);
    if (harm !== null && isWatched && !isUnnoticed)
      this.#fault(`the disruption budget let broker ${brokerId} be evicted: ${harm}`);
    this.adverse();
  }

  scaledDown(brokerId: number): void {
    if (!this.#options.brokers.isLive(brokerId) || this.#strangers.has(brokerId)) return;
    const held = this.#options.brokers.partitions.filter(({ replicas, syncSet }) =>
      [...replicas, ...syncSet].includes(brokerId),
    );
    if (held.length > 0)
      this.#fault(`broker ${brokerId} is taken away with a replica of ${held[0]?.name}`);
    this.#stopped(brokerId, 'the smaller StatefulSet');
  }

  /** As the spec wants it, with every replica in sync. */
  isAsSpecified(): boolean {
    const { cluster, brokers, kubernetes } = this.#options;
    const spec = cluster()?.['spec'] as Partial<LogClusterSpec> | undefined;
    const pods = kubernetes().pods();
    return (
      pods.length === spec?.replicas &&
      pods.every((pod) => isReady(pod) && !isTerminating(pod)) &&
      brokers.registrations.size === spec.replicas &&
      [...brokers.registrations.values()].every(({ isCordoned }) => !isCordoned) &&
      pods.every(({ metadata }) => brokers.isLive(ordinal(metadata.name))) &&
      brokers.partitions.every(
        (partition) =>
          partition.leader !== null &&
          brokers.left(partition, []) >= Math.max(minOf(partition), partition.replicas.length),
      )
    );
  }

  get #now(): number {
    return this.#options.time.monotonicMs;
  }

  #fault(text: string): void {
    this.#options.fault(text);
  }

  /** What stopping this broker does besides what is stopping already; null: nothing. */
  #harm(brokerId: number): string | null {
    const { brokers, kubernetes } = this.#options;
    if (!brokers.isLive(brokerId)) return null;
    const stopping = kubernetes()
      .pods()
      .filter(isTerminating)
      .map(({ metadata }) => ordinal(metadata.name));
    const without = [brokerId, ...stopping];
    for (const partition of brokers.partitions) {
      const left = brokers.left(partition, without);
      const isAvoidable = minOf(partition) < partition.replicas.length;
      if (partition.syncSet.includes(brokerId) && left < minOf(partition) && isAvoidable)
        return `${partition.name} has ${left} in sync then, min ${minOf(partition)}`;
    }
    return brokers.voters.length >= 3 && brokers.takesQuorum(without) ? 'the quorum goes' : null;
  }

  #stopped(brokerId: number, how: string): void {
    const harm = this.#harm(brokerId);
    const askedMs = this.#askedMs.get(brokerId);
    if (harm === null || (askedMs !== undefined && this.#adverseMs >= askedMs)) return;
    const asked = askedMs === undefined ? 'never asked' : `asked ${this.#now - askedMs} ms before`;
    this.#fault(`${how} stops broker ${brokerId} (${asked}): ${harm}`);
  }

  #podDeleted(name: string, request: Call['request']): void {
    const { kubernetes, brokers, cluster } = this.#options;
    const brokerId = ordinal(name);
    const pod = kubernetes().pod(brokerId);
    const { preconditions } = bodyOf(request) as { preconditions?: { uid?: string } };
    if (pod === undefined || pod.metadata.uid !== preconditions?.uid || isTerminating(pod)) return;
    const { paused } = (cluster()?.['spec'] ?? {}) as Partial<LogClusterSpec>;
    const isKnown =
      this.#pausedMs !== null && this.#now - Math.max(this.#pausedMs, this.#hinderedMs) > PAUSE_MS;
    if (paused !== undefined && isKnown) this.#fault(`pod ${name} is deleted while paused`);
    if (!brokers.isLive(brokerId)) return;
    this.#stopped(brokerId, 'the deletion of its pod');
    const { rollout } = (cluster()?.['spec'] ?? {}) as Partial<LogClusterSpec>;
    this.#welcome();
    const others = [...this.#restarting].filter((id) => id !== brokerId);
    if (others.length >= (rollout?.maxUnavailable ?? 1))
      this.#fault(`broker ${brokerId} is stopped before ${others.join(', ')} are back`);
    this.#restarting.add(brokerId);
  }

  #claimDeleted(name: string, request: Call['request']): void {
    const { store, brokers } = this.#options;
    const claim = store.list(CLAIM, NAMESPACE).find(({ metadata }) => metadata.name === name);
    const { preconditions } = bodyOf(request) as { preconditions?: { uid?: string } };
    if (claim === undefined || claim.metadata.uid !== preconditions?.uid) return;
    const { volumeName = '' } = claim['spec'] as { volumeName?: string };
    const volume = store
      .list(VOLUME, undefined)
      .find(({ metadata }) => metadata.name === volumeName);
    const node = volume?.metadata.labels?.['node'] ?? '';
    const isNodeGone = volume !== undefined && !this.#options.kubernetes().isMachine(node);
    const id = ordinal(name);
    const isRemoved = !brokers.registrations.has(id) && this.#replicas() <= id;
    if (!isNodeGone && !isRemoved)
      this.#fault(
        `claim ${name} is deleted, whose broker is ${brokers.registrations.has(id) ? '' : 'not '}registered and whose node ${node} exists`,
      );
    if (isNodeGone && !isRemoved) this.#volumeGivenUp(name, volume, id);
  }

  #volumeGivenUp(claim: string, volume: KubeObject, id: number): void {
    const { brokers, cluster } = this.#options;
    const { persistentVolumeReclaimPolicy } = volume['spec'] as Record<string, unknown>;
    if (persistentVolumeReclaimPolicy !== 'Retain')
      this.#fault(`volume ${volume.metadata.name} goes with its claim`);
    const last = brokers.partitions.find(
      (partition) => partition.replicas.includes(id) && brokers.left(partition, [id]) === 0,
    );
    const named = cluster()?.metadata.annotations?.['tidemark.dev/give-up-volume'];
    if (last !== undefined && named !== claim)
      this.#fault(`claim ${claim} is deleted with the last copy of ${last.name}`);
  }

  #replicas(): number {
    const [set] = this.#options.store.list(SET, NAMESPACE);
    return (set?.['spec'] as { replicas: number } | undefined)?.replicas ?? 0;
  }

  #setApplied(request: Call['request']): void {
    const { replicas } = (bodyOf(request) as { spec: { replicas: number } }).spec;
    for (let id = replicas; id < this.#replicas(); id += 1) {
      if (this.#options.brokers.registrations.has(id)) this.#strangers.delete(id);
      else this.#strangers.add(id);
    }
  }

  #statusWritten({ observedGeneration = 0, conditions = [] }: LogClusterStatus): void {
    const generation = this.#options.cluster()?.metadata.generation ?? 0;
    if (observedGeneration > generation)
      this.#fault(`status speaks of generation ${observedGeneration}, the newest is ${generation}`);
    if (observedGeneration < this.#observedGeneration)
      this.#fault(
        `status speaks of generation ${observedGeneration} after ${this.#observedGeneration}`,
      );
    this.#observedGeneration = observedGeneration;
    const other = conditions.find((each) => each.observedGeneration !== observedGeneration);
    if (other !== undefined)
      this.#fault(
        `condition ${other.type} speaks of generation ${other.observedGeneration}, the status of ${observedGeneration}`,
      );
    const isReadySaid = conditions.some(
      ({ type, status }) => type === 'Ready' && status === 'True',
    );
    const isUnnoticed = this.#now - Math.max(this.#adverseMs, this.#hinderedMs) < NOTICE_MS;
    if (isReadySaid && generation === observedGeneration && !isUnnoticed && !this.isAsSpecified())
      this.#fault('status says Ready of a cluster that is not as specified');
  }

  /** Forgets those that are back. */
  #welcome(): void {
    const { kubernetes, brokers } = this.#options;
    for (const id of this.#restarting) {
      const pod = kubernetes().pod(id);
      const isIn = brokers.partitions.every(
        ({ replicas, syncSet }) => !replicas.includes(id) || syncSet.includes(id),
      );
      if (pod !== undefined && isReady(pod) && !isTerminating(pod) && brokers.isLive(id) && isIn)
        this.#restarting.delete(id);
      if (id >= this.#replicas()) this.#restarting.delete(id);
    }
  }

  /** Once a second. */
  #watch(): void {
    const { cluster, time, isWatched } = this.#options;
    if (!isWatched()) this.hindered();
    const resource = cluster();
    const { paused } = (resource?.['spec'] ?? {}) as Partial<LogClusterSpec>;
    this.#pausedMs = paused === undefined ? null : (this.#pausedMs ?? this.#now);
    this.#brokenMs = this.isAsSpecified() ? null : (this.#brokenMs ?? this.#now);
    const status = resource?.['status'] as LogClusterStatus | undefined;
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    const sinceMs = Math.max(this.#brokenMs ?? this.#now, this.#hinderedMs);
    const isCurrent = ready?.observedGeneration === resource?.metadata.generation;
    if (ready?.status === 'True' && isCurrent && this.#now - sinceMs > READY_WRONG_MS) {
      this.#fault('status goes on saying Ready of a cluster that is not as specified');
      this.#brokenMs = null;
    }
    time.after(1_000, () => this.#watch());
  }
}

function bodyOf({ body }: Call['request']): unknown {
  return JSON.parse((body as string | undefined) ?? '{}');
}
