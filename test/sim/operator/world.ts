/**
 * A model of what the operator works on: API server with a lagging cache, StatefulSet controller, scheduler, kubelet, eviction, brokers and their controller. One
 * tick is one small thing that somebody does. It carries out actions by the same preconditions as the real ones, and checks each stop that the operator causes.
 */
import type { LogClusterSpec, LogClusterStatus } from '../../../operator/api/types.ts';
import type {
  Action,
  Observation,
  PartitionView,
  PodView,
  Verdict,
} from '../../../operator/decide/types.ts';
import {
  broker,
  claim,
  cluster,
  CLUSTER_ID,
  partition,
  topic,
} from '../../fixtures/operator/observations.ts';
import { harmOf } from '../../../operator/decide/service.ts';
import { candidateSets } from '../../../operator/decide/roll.ts';
import { hasNewcomer } from '../../../operator/decide/scale.ts';

interface Pod {
  readonly id: number;
  readonly uid: string;
  readonly hash: string;
  state: 'pending' | 'starting' | 'ready' | 'stopping';
}

interface ModelBroker {
  readonly id: number;
  epoch: number;
  isUp: boolean;
  isFenced: boolean;
  isStopping: boolean;
  isCordoned: boolean;
}

interface ModelPartition {
  replicas: number[];
  syncSet: number[];
  leader: number | null;
  /** Records that the disk of each broker holds. */
  readonly ends: Map<number, number>;
  /** Records acknowledged to somebody. */
  acked: number;
}

export type Random = (bound: number) => number;

const IMAGES = ['good-1', 'good-2', 'broken', 'good-3'];

export class World {
  readonly #random: Random;
  readonly faults: string[] = [];
  spec: Partial<Record<keyof LogClusterSpec, unknown>> & {
    replicas: number;
    minInSyncReplicas: number;
  };
  image = 'good-1';
  status: LogClusterStatus = {};
  budget = 0;
  #workload: { replicas: number; version: number; hash: string } | null = null;
  readonly #pods = new Map<number, Pod>();
  #seenPods: readonly PodView[] = [];
  readonly #brokers = new Map<number, ModelBroker>();
  readonly #disks = new Set<number>();
  readonly #partitions: ModelPartition[] = [];
  #min = 2;
  #isFormed = false;
  #serial = 0;
  #isDepartureKnown = false;

  constructor(random: Random) {
    this.#random = random;
    this.spec = { replicas: 3, minInSyncReplicas: 2 };
  }

  get isCalm(): boolean {
    const ready = this.status.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
    const isNew = [...this.#pods.values()].every(({ hash }) => hash === this.image);
    return (
      ready &&
      isNew &&
      this.#workload?.replicas === this.spec.replicas &&
      this.#brokers.size === this.spec.replicas &&
      this.#min === this.spec.minInSyncReplicas &&
      this.status.disruption === undefined
    );
  }

  /** One thing happens that nobody asked for. `isHostile`: also crashes, evictions, and people who change their minds. */
  tick(isHostile: boolean): void {
    const steps = [
      () => this.#runStatefulSet(),
      () => this.#runKubelet(),
      () => this.#runKubelet(),
      () => this.#runController(),
      () => this.#runController(),
      () => this.#catchUp(),
      () => this.#append(),
      () => this.#append(),
    ];
    const hostile = [() => this.#crash(), () => this.#evict(), () => this.#changeSpec()];
    const all = isHostile && this.#random(10) === 0 ? hostile : steps;
    all[this.#random(all.length)]!();
    if (this.#random(3) > 0) this.refresh();
    this.#checkRecords();
  }

  /** The operator's caches catch up with the API server. */
  refresh(): void {
    this.#seenPods = [...this.#pods.values()]
      .map((pod) => this.#podView(pod))
      .sort((left, right) => left.brokerId - right.brokerId);
  }

  observe(): Observation {
    const pods = this.#seenPods;
    const metadata =
      this.#controller() === undefined
        ? null
        : {
            clusterId: CLUSTER_ID,
            controller: this.#controller()!,
            brokers: [...this.#brokers.values()]
              .sort((left, right) => left.id - right.id)
              .map(({ id, epoch, isFenced, isStopping, isCordoned }) =>
                broker(id, {
                  brokerEpoch: epoch,
                  isFenced,
                  isStopping,
                  isCordoned,
                  isVoter: this.#voters().includes(id),
                  rack: `z${id % 3}`,
                }),
              ),
            topics:
              this.#partitions.length === 0
                ? []
                : [
                    {
                      ...topic('orders', [], { minInSyncReplicas: this.#min }),
                      replicationFactor: 3,
                      partitions: this.#partitions.map((each, number) =>
                        this.#partitionView(each, number),
                      ),
                    },
                  ],
            losses: [],
            moveBytesPerSecond: -1,
          };
    const seen: Observation = {
      cluster: cluster({
        spec: { ...this.spec },
        replicas: this.spec.replicas,
        status: this.status,
      }),
      faults: [],
      clusterId: CLUSTER_ID,
      template: { hash: this.image, image: this.image },
      workload:
        this.#workload === null
          ? null
          : {
              uid: 'w',
              resourceVersion: String(this.#workload.version),
              replicas: this.#workload.replicas,
              isCurrent: this.#workload.hash === this.image,
              isObserved: true,
            },
      services: { isBrokersCurrent: true, isClientsCurrent: true },
      budget: { maxUnavailable: this.budget, isCurrent: true },
      pods,
      claims: pods.map(({ brokerId }) =>
        claim(brokerId, { clusterId: this.#isFormed ? CLUSTER_ID : null }),
      ),
      nodes: null,
      answers: pods.map(({ brokerId }) => this.#answer(brokerId)),
      metadata,
      verdicts: [],
      rebalance: null,
      logTopics: [],
    };
    if (metadata === null) return seen;
    const sets = [
      ...metadata.brokers.map(({ brokerId }) => [brokerId]),
      ...candidateSets(seen).filter(({ length }) => length > 1),
    ];
    const moves = hasNewcomer(seen) ? this.#moves() : null;
    return { ...seen, verdicts: sets.map((set) => this.#verdict(set)), rebalance: moves };
  }

  /** Carries out one action; false where a precondition fails, which ends the pass. */
  perform(action: Action): boolean {
    switch (action.kind) {
      case 'apply-workload': {
        const version = this.#workload === null ? null : String(this.#workload.version);
        if (version !== action.resourceVersion) return false;
        // Who registers after that is given replicas while its pod goes, and is removed in order: no fault of this action.
        this.#isDepartureKnown = this.#brokers.has(action.replicas);
        this.#workload = {
          replicas: action.replicas,
          version: (this.#workload?.version ?? 0) + 1,
          hash: this.image,
        };
        return true;
      }
      case 'apply-budget':
        this.budget = action.maxUnavailable;
        return true;
      case 'bootstrap':
        if (this.#isFormed) this.faults.push('formed twice');
        this.#isFormed = true;
        this.#register(action.brokerId);
        this.#partitions.push(
          ...[0, 1].map(() => ({
            replicas: [0, 1, 2],
            syncSet: [0],
            leader: 0,
            ends: new Map([[0, 0]]),
            acked: 0,
          })),
        );
        return true;
      case 'mark-claim':
        return true;
      case 'write-status':
        this.status = action.status;
        return true;
      case 'check-safe':
        return harmOf(this.observe(), this.#verdict(action.brokerIds)) === null;
      case 'prepare-stop': {
        const stopping = this.#brokers.get(action.brokerId);
        if (stopping?.isUp !== true) return false;
        stopping.isStopping = true;
        for (const each of this.#partitions)
          if (each.leader === stopping.id) each.leader = this.#successor(each);
        return true;
      }
      case 'delete-pod': {
        const pod = this.#pods.get(action.brokerId);
        if (pod?.uid !== action.uid) return false;
        this.#checkStop(action.brokerId, 'delete-pod');
        pod.state = 'stopping';
        this.refresh();
        return true;
      }
      case 'decommission':
      case 'recommission': {
        const moved = this.#brokers.get(action.brokerId);
        if (moved !== undefined) moved.isCordoned = action.kind === 'decommission';
        return moved !== undefined;
      }
      case 'confirm-empty':
        return this.#partitions.every(({ replicas }) => !replicas.includes(action.brokerId));
      case 'remove-broker': {
        const gone = this.#brokers.get(action.brokerId);
        if (
          gone?.isFenced !== true ||
          this.#partitions.some(({ replicas }) => replicas.includes(action.brokerId))
        )
          return false;
        this.#brokers.delete(action.brokerId);
        return true;
      }
      case 'reassign':
        this.#partitions[action.move.partition]!.replicas = [...action.move.replicas];
        return true;
      case 'alter-topic':
        this.#min = action.change.minInSyncReplicas ?? this.#min;
        return true;
      case 'apply-brokers-service':
      case 'apply-clients-service':
      case 'create-topic':
      case 'delete-claim':
      case 'delete-topic':
      case 'grow-claim':
      case 'limit-moves':
      case 'set-topic-finalizer':
      case 'write-topic-status':
        // Nothing of the model depends on these.
        return true;
    }
  }

  #controller(): number | undefined {
    const voters = this.#voters();
    const up = voters.filter((id) => this.#brokers.get(id)?.isUp === true);
    return this.#isFormed && up.length * 2 > voters.length ? up[0] : undefined;
  }

  /** The lowest three that are registered and not on their way out; a dead one keeps its vote until somebody replaces it. */
  #voters(): number[] {
    const able = [...this.#brokers.values()]
      .filter(({ isCordoned }) => !isCordoned)
      .map(({ id }) => id)
      .sort((left, right) => left - right);
    return able.slice(0, able.length < 3 ? 1 : 3);
  }

  #isLive(id: number): boolean {
    const state = this.#brokers.get(id);
    return state !== undefined && state.isUp && !state.isFenced;
  }

  #successor({ syncSet }: ModelPartition): number | null {
    return (
      syncSet.find((id) => this.#isLive(id) && this.#brokers.get(id)?.isStopping === false) ??
      syncSet.find((id) => this.#isLive(id)) ??
      null
    );
  }

  #verdict(brokerIds: readonly number[]): Verdict {
    const partitions = this.#partitions
      .map((each, number) => ({
        each,
        number,
        left: each.syncSet.filter((id) => this.#isLive(id) && !brokerIds.includes(id)).length,
      }))
      .filter(
        ({ each, left }) => each.syncSet.some((id) => brokerIds.includes(id)) && left < this.#min,
      )
      .map(({ number, left }) => ({
        topic: 'orders',
        partition: number,
        stopsWrites: true,
        takesLastCopy: left === 0,
        reason: `${left} would be left`,
      }));
    const voters = this.#voters();
    const left = voters.filter((id) => this.#isLive(id) && !brokerIds.includes(id)).length;
    const takesQuorum = voters.some((id) => brokerIds.includes(id)) && left * 2 <= voters.length;
    return {
      brokerIds: brokerIds.toSorted((a, b) => a - b),
      isSafe: partitions.length === 0 && !takesQuorum,
      takesQuorum,
      reason: takesQuorum ? 'quorum' : '',
      partitions,
    };
  }

  /** The operator's own stop of a broker that runs must leave every partition its minimum. */
  #checkStop(brokerId: number, what: string): void {
    if (!this.#isLive(brokerId)) return;
    for (const [number, { syncSet }] of this.#partitions.entries()) {
      const left = syncSet.filter(
        (id) => id !== brokerId && this.#isLive(id) && this.#pods.get(id)?.state === 'ready',
      ).length;
      if (syncSet.includes(brokerId) && left < this.#min)
        this.faults.push(
          `${what} of broker ${brokerId} left orders/${number} with ${left} in sync, min ${this.#min}`,
        );
    }
  }

  #podView({ id, uid, hash, state }: Pod): PodView {
    const isBroken = hash === 'broken' && state !== 'stopping';
    return {
      brokerId: id,
      name: `tm-${id}`,
      uid,
      resourceVersion: '1',
      isReady: state === 'ready',
      isTerminating: state === 'stopping',
      node: `n${id % 3}`,
      templateHash: hash,
      stuck: isBroken && state === 'pending' ? 'ImagePullBackOff: no such image' : null,
    };
  }

  #partitionView({ replicas, syncSet, leader }: ModelPartition, number: number): PartitionView {
    const leaving = syncSet.filter((id) => !replicas.includes(id));
    const adding = replicas.filter((id) => !syncSet.includes(id) && leaving.length > 0);
    return partition(number, [...replicas, ...leaving], {
      syncSet,
      leader,
      adding,
      removing: leaving,
    });
  }

  #answer(id: number): Observation['answers'][number] {
    const state = this.#brokers.get(id);
    const pod = this.#pods.get(id);
    const isUp =
      pod !== undefined &&
      (pod.state === 'ready' || pod.state === 'starting') &&
      pod.hash !== 'broken';
    const common = { brokerId: id, version: '', freeBytes: 1, replicas: [] };
    if (!isUp) return { ...common, fault: 'no answer', clusterId: null, brokerEpoch: 0 };
    return {
      ...common,
      fault: null,
      clusterId: state === undefined ? '' : CLUSTER_ID,
      brokerEpoch: state?.epoch ?? 0,
    };
  }

  #register(id: number): void {
    this.#serial += 1;
    const before = this.#brokers.get(id);
    this.#brokers.set(id, {
      id,
      epoch: this.#serial,
      isUp: true,
      isFenced: false,
      isStopping: false,
      isCordoned: before?.isCordoned ?? false,
    });
    this.#disks.add(id);
  }

  #runStatefulSet(): void {
    const { replicas, hash } = this.#workload ?? { replicas: 0, hash: '' };
    for (const pod of this.#pods.values()) {
      if (pod.id < replicas || pod.state === 'stopping') continue;
      this.#checkStop(pod.id, 'scale-down');
      if (
        this.#isDepartureKnown &&
        this.#partitions.some(({ syncSet }) => syncSet.includes(pod.id))
      )
        this.faults.push(`broker ${pod.id} was taken away with replicas`);
      pod.state = 'stopping';
      return;
    }
    for (let id = 0; id < replicas; id += 1) {
      if (this.#pods.has(id)) continue;
      this.#serial += 1;
      this.#pods.set(id, { id, uid: `pod-${this.#serial}`, hash, state: 'pending' });
      return;
    }
  }

  #runKubelet(): void {
    const pods = [...this.#pods.values()].filter(({ state }) => state !== 'ready');
    const pod = pods[this.#random(Math.max(1, pods.length))];
    if (pod === undefined) return;
    if (pod.state === 'stopping') {
      const state = this.#brokers.get(pod.id);
      if (state !== undefined)
        Object.assign(state, { isUp: false, isFenced: true, isStopping: false });
      this.#pods.delete(pod.id);
    } else if (pod.state === 'pending' && pod.hash !== 'broken') pod.state = 'starting';
    else if (pod.state === 'starting' && this.#isFormed) {
      this.#register(pod.id);
      pod.state = 'ready';
    }
  }

  /** Fences the dead, shrinks S, elects, moves replicas off cordoned brokers, gives leadership back. */
  #runController(): void {
    if (this.#controller() === undefined) return;
    for (const state of this.#brokers.values()) if (!state.isUp) state.isFenced = true;
    for (const each of this.#partitions) {
      const live = each.syncSet.filter((id) => this.#isLive(id));
      if (live.length > 0) each.syncSet = live;
      if (each.leader === null || !this.#isLive(each.leader) || !each.syncSet.includes(each.leader))
        each.leader = this.#successor(each);
      this.#moveOff(each);
      const [preferred] = each.replicas;
      const isFit =
        preferred !== undefined &&
        each.syncSet.includes(preferred) &&
        this.#brokers.get(preferred)?.isStopping === false;
      if (isFit && this.#isLive(preferred)) each.leader = preferred;
      const isMoved = each.replicas.every((id) => each.syncSet.includes(id));
      if (isMoved) each.syncSet = each.syncSet.filter((id) => each.replicas.includes(id));
      if (isMoved && each.leader !== null && !each.syncSet.includes(each.leader))
        each.leader = this.#successor(each);
    }
  }

  #moveOff(each: ModelPartition): void {
    const spare = [...this.#brokers.values()].filter(
      ({ id, isCordoned }) => !isCordoned && this.#isLive(id) && !each.replicas.includes(id),
    );
    const leaving = each.replicas.findIndex((id) => this.#brokers.get(id)?.isCordoned === true);
    const [target] = spare;
    if (leaving >= 0 && target !== undefined)
      each.replicas = each.replicas.with(leaving, target.id);
  }

  /** One follower fetches all that it lacks and joins S. */
  #catchUp(): void {
    for (const each of this.#partitions) {
      if (each.leader === null || !this.#isLive(each.leader)) continue;
      const behind = each.replicas.find((id) => this.#isLive(id) && !each.syncSet.includes(id));
      if (behind === undefined) continue;
      each.ends.set(behind, each.ends.get(each.leader) ?? 0);
      each.syncSet = [...each.syncSet, behind];
      return;
    }
  }

  #append(): void {
    for (const each of this.#partitions) {
      const { leader, syncSet } = each;
      const isWhole = syncSet.every((id) => this.#isLive(id));
      if (leader === null || !isWhole || syncSet.length < this.#min || !syncSet.includes(leader))
        continue;
      const end = (each.ends.get(leader) ?? 0) + 1;
      for (const id of syncSet) each.ends.set(id, end);
      each.acked = end;
    }
  }

  #checkRecords(): void {
    for (const [number, { leader, ends, acked }] of this.#partitions.entries()) {
      if (leader !== null && this.#isLive(leader) && (ends.get(leader) ?? 0) < acked) {
        this.faults.push(
          `leader ${leader} of orders/${number} has ${ends.get(leader) ?? 0} records, ${acked} are acknowledged`,
        );
      }
    }
  }

  #moves(): Observation['rebalance'] {
    const holders = new Set(this.#partitions.flatMap(({ replicas }) => replicas));
    const empty = [...this.#brokers.values()].find(
      ({ id, isCordoned }) => this.#isLive(id) && !isCordoned && !holders.has(id),
    );
    const count = (id: number): number =>
      this.#partitions.filter(({ replicas }) => replicas.includes(id)).length;
    const number = this.#partitions.findIndex(({ replicas }) =>
      replicas.some((id) => count(id) > 1),
    );
    const from = this.#partitions[number]?.replicas;
    const index = from?.findIndex((id) => count(id) > 1) ?? -1;
    if (empty === undefined || from === undefined || index < 0) return [];
    return [{ topic: 'orders', partition: number, replicas: from.with(index, empty.id) }];
  }

  #crash(): void {
    const up = [...this.#pods.values()].filter(({ state }) => state === 'ready');
    const pod = up[this.#random(Math.max(1, up.length))];
    if (pod === undefined) return;
    pod.state = 'starting';
    const state = this.#brokers.get(pod.id);
    if (state !== undefined) Object.assign(state, { isUp: false, isStopping: false });
  }

  /** The eviction API: refuses by the budget as it is now. */
  #evict(): void {
    const pods = [...this.#pods.values()];
    const unhealthy =
      (this.#workload?.replicas ?? 0) - pods.filter(({ state }) => state === 'ready').length;
    const pod = pods[this.#random(Math.max(1, pods.length))];
    if (pod?.state === 'ready' && unhealthy < this.budget) pod.state = 'stopping';
  }

  #changeSpec(): void {
    switch (this.#random(4)) {
      case 0:
        this.image = IMAGES[this.#random(IMAGES.length)]!;
        break;
      case 1:
        this.spec = { ...this.spec, replicas: 3 + this.#random(3) };
        break;
      case 2:
        this.spec = { ...this.spec, minInSyncReplicas: 1 + this.#random(2) };
        break;
      default: {
        const { paused: _, ...rest } = this.spec;
        this.spec = this.#random(2) === 0 ? { ...rest, paused: 'Disruptions' } : rest;
      }
    }
  }

  /** People want something sensible, and leave it at that. */
  settle(): void {
    const { paused: _, ...rest } = this.spec;
    this.spec = { ...(rest as typeof this.spec), replicas: 3 };
    this.image = 'good-3';
  }

  get partitions(): readonly ModelPartition[] {
    return this.#partitions;
  }

  describe(): string {
    return JSON.stringify(
      {
        status: { ...this.status, conditions: this.status.conditions?.[0] },
        workload: this.#workload,
        pods: [...this.#pods.values()],
        brokers: [...this.#brokers.values()],
        partitions: this.#partitions.map(({ ends: _, ...each }) => each),
        min: this.#min,
        spec: this.spec,
        image: this.image,
      },
      null,
      1,
    );
  }
}
