/**
 * One broker, from an empty directory to an orderly stop, as `service` sees it (BrokerApi).
 * Composition only: a broker is unformatted until it is bootstrapped or joins, and a Member from
 * then on.
 */
import { liveOptionFaults } from '../../base/broker-options.ts';
import { BrokerError } from '../../base/errors.ts';
import { internalAddress } from '../../base/host-port.ts';
import { isInternalTopic } from '../../base/internal-topics.ts';
import { FairShares } from '../access/fair-shares.ts';
import type { Rights } from '../access/rules.ts';
import type { BrokerId, Offset, PartitionKey, TopicId, WallMs } from '../../base/units.ts';
import { NO_BROKER } from '../../base/units.ts';
import { emptyImage } from '../metadata/apply.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import { presentOf } from '../metadata/explain.ts';
import { LEVEL_OF_EXPECTED_ENDS, LEVEL_OF_TRIMS, requireLevel } from '../metadata/features.ts';
import { planRebalance } from '../metadata/rebalance.ts';
import type { RebalancePlan } from '../metadata/rebalance.ts';
import { checkDisruption, stopVeto } from '../metadata/safety.ts';
import type { DisruptionVerdict, StopVeto } from '../metadata/safety.ts';
import { reportSpread } from '../metadata/spread.ts';
import type { SpreadFault } from '../metadata/spread.ts';
import type { MetadataImage, RestartClass } from '../metadata/types.ts';
import type { AppendResult, AppendTerms } from '../replication/types.ts';
import type {
  BrokerApi,
  BrokerPhase,
  BrokerReport,
  Explanation,
  GroupsApi,
  QueuesApi,
  NamedDecision,
  OptionReport,
  ReplicaMarks,
  ReplicaRead,
} from './api.ts';
import type { UnreadableMetadata } from './controller/quorum.ts';
import { Formation } from './membership/formation.ts';
import { NO_PASSES } from './partitions/compactor.ts';
import type { CrossedLoss, ReaderWay } from './partitions/crossed-losses.ts';
import type { Replica } from './partitions/replica.ts';
import { Member } from './member.ts';
import type { BrokerOptions } from './options.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import type { DirectoryMeta, NodeInfo, PeerHandler } from './ports.ts';
import { Watchers } from './watchers.ts';

/**
 * How long a broker whose disk failed tries to tell the controller before it exits all the same.
 */
const LOSSY_TELL_MS = 5_000;
const EMPTY: MetadataImage = emptyImage();

export class Broker implements BrokerApi {
  readonly shares = new FairShares();
  readonly #options: BrokerOptions;
  readonly #formation: Formation;
  readonly #imageWatchers: Watchers;
  readonly #startedMs: number;
  #meta: DirectoryMeta | null = null;
  #member: Member | null = null;
  #phase: BrokerPhase = 'unformatted';
  #didServe = false;

  constructor(options: BrokerOptions) {
    const { brokerId, seeds, clock, disk, peers, newUuid, onFact } = options;
    this.#options = options;
    this.#startedMs = clock.monotonicMs();
    this.#imageWatchers = new Watchers(clock);
    const onFormatted = (meta: DirectoryMeta): void => {
      this.#join(meta, 'new', 'the directory was just formatted');
    };
    this.#formation = new Formation({
      brokerId,
      seeds,
      clock,
      disk,
      peers,
      newUuid,
      onFact,
      onFormatted,
    });
  }

  /**
   * Serves peers, then joins its cluster, or waits for one. @throws BrokerError when the directory
   * is another broker's or cluster's
   */
  start(): void {
    const { disk, peers, brokerId, clusterId } = this.#options;
    const { meta } = disk.start;
    if (meta !== null && meta.brokerId !== brokerId) {
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `Cannot start broker ${brokerId}: the data directory belongs to broker ${meta.brokerId}`,
      );
    }
    if (meta !== null && clusterId !== '' && meta.clusterId !== clusterId) {
      throw new BrokerError(
        'WRONG_CLUSTER',
        `Cannot start broker ${brokerId}: the data directory is of cluster ${meta.clusterId}, not ${clusterId}`,
      );
    }
    disk.onFailure((error) => {
      this.#diskFailed(error);
    });
    peers.serve(this.#handler());
    if (meta === null) {
      this.#formation.start();
      return;
    }
    this.#formation.close();
    this.#join(meta, disk.start.restartClass, disk.start.reason);
  }

  /** Orderly stop: no append fails that another broker could take, and the next start is clean. */
  async stop(): Promise<void> {
    const { disk, peers, clock, onFact } = this.#options;
    this.#didServe ||= this.#phase === 'serving';
    this.#phase = 'stopping';
    this.#formation.close();
    await this.#member?.stop();
    if (this.#member !== null) await disk.markClean();
    await peers.close();
    await disk.close();
    onFact('stopped', { uptimeMs: clock.monotonicMs() - this.#startedMs });
  }

  get brokerId(): BrokerId {
    return this.#options.brokerId;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  clusterWallMs(): WallMs {
    return (this.#member?.clock ?? this.#options.clock).wallMs();
  }

  get produceWindowBytes(): number {
    return this.#options.live.values.produceWindowBytes;
  }

  phase(): BrokerPhase {
    return this.#phase;
  }

  isInformed(): boolean {
    return this.#phase === 'serving' || (this.#phase === 'stopping' && this.#didServe);
  }

  nodeInfo(): NodeInfo {
    const member = this.#member;
    const controller = member?.quorum.leader ?? NO_BROKER;
    const row = member?.quorum.image.brokers.get(controller);
    return {
      brokerId: this.brokerId,
      directoryId: member?.meta.directoryId ?? this.#meta?.directoryId ?? '',
      clusterId: this.#meta?.clusterId ?? '',
      brokerEpoch: member?.lifecycle.brokerEpoch ?? 0,
      controller,
      controllerAddress: row === undefined ? null : internalAddress(row),
    };
  }

  rightsOf(principal: string): Rights {
    return this.#options.access.rightsOf(principal, this.image());
  }

  groups(): GroupsApi {
    return this.#requireMember().ownTopics.groups;
  }

  queues(): QueuesApi {
    return this.#requireMember().ownTopics.queues;
  }

  get administrators(): readonly string[] {
    return this.#options.access.administrators;
  }

  image(): MetadataImage {
    return this.#member?.quorum.image ?? EMPTY;
  }

  report(): BrokerReport {
    const { disk, clock } = this.#options;
    const member = this.#member;
    return {
      phase: this.#phase,
      restartClass: member?.lifecycle.restartClass ?? disk.start.restartClass,
      restartReason: disk.start.reason,
      replicas: member?.replicas.reports() ?? [],
      freeBytes: disk.freeBytes(),
      totalBytes: disk.totalBytes(),
      diskFault: disk.shortage(),
      flushAgeMs: disk.flushAgeMs(),
      stuckWriteMs: disk.stuckWriteMs(),
      uptimeMs: clock.monotonicMs() - this.#startedMs,
      raft: member?.quorum.status ?? null,
      metadataFault: faultText(member?.quorum.unreadable ?? null),
      clockSkewMs: member?.clock.skewMs ?? null,
      clockDoubt: member === null ? 'not-compared' : member.clock.doubt,
      compactions: member?.replicas.compactor.totals ?? NO_PASSES,
      options: this.#optionReports(),
    };
  }

  async bootstrap(clusterId: string): Promise<{ readonly directoryId: string }> {
    const required = this.#options.clusterId;
    if (required !== '' && clusterId !== required) {
      throw new BrokerError(
        'WRONG_CLUSTER',
        `Cannot bootstrap cluster ${clusterId}: broker ${this.brokerId} is configured for cluster ${required}`,
      );
    }
    const known = this.nodeInfo().clusterId;
    if (known !== '')
      throw new BrokerError(
        'CLUSTER_EXISTS',
        `Cannot bootstrap: broker ${this.brokerId} belongs to cluster ${known}`,
      );
    return await this.#formation.bootstrap(clusterId);
  }

  async decide(request: ControllerRequest, deadlineMs: number): Promise<Decision> {
    return await this.#requireMember().decide(request, deadlineMs);
  }

  append(
    topicId: TopicId,
    partition: number,
    frame: Uint8Array,
    terms: AppendTerms,
    done: (result: AppendResult) => void,
  ): void {
    const replica = this.#refusalOf(topicId) ?? this.#replicaFor(topicId, partition, frame.length);
    if (replica instanceof BrokerError) done({ ok: false, error: replica });
    else replica.append(frame, terms, done);
  }

  requireExpectedEnds(): void {
    requireLevel(this.image(), LEVEL_OF_EXPECTED_ENDS, 'append at an expected end');
  }

  async trim(topicId: TopicId, partition: number, offset: Offset): Promise<Offset> {
    requireLevel(this.image(), LEVEL_OF_TRIMS, 'trim a log');
    const refusal = this.#refusalOf(topicId);
    if (refusal !== null) throw refusal;
    const member = this.#requireMember();
    const replica = member.replicas.require(topicId, partition);
    try {
      return await replica.trim(offset);
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'DATA_CORRUPT')
        member.readFailed(replica, error);
      throw error;
    }
  }

  read(
    topicId: TopicId,
    partition: number,
    position: {
      readonly offset: Offset;
      readonly epoch: number;
      readonly bytesMax: number;
      readonly allowFollower: boolean;
      readonly inSyncOnly?: boolean;
    },
  ): ReplicaRead | Promise<ReplicaRead> {
    const member = this.#requireMember();
    const replica = member.replicas.require(topicId, partition);
    const read = replica.read(position);
    if (!(read instanceof Promise)) return read;
    return read.catch((error: unknown) => {
      member.readFailed(replica, error);
      throw error;
    });
  }

  crossedLosses(topicId: TopicId, partition: number, way: ReaderWay): readonly CrossedLoss[] {
    const replica = this.#requireMember().replicas.require(topicId, partition);
    const reports = this.image().losses.filter(
      (report) => report.topicId === topicId && report.partition === partition,
    );
    return reports.length === 0 ? [] : replica.crossedLosses(reports, way);
  }

  watch(topicId: TopicId, partition: number, callback: () => void): Cancel {
    return this.#requireMember().replicas.require(topicId, partition).watch(callback);
  }

  marks(topicId: TopicId, partition: number): ReplicaMarks {
    return this.#requireMember().replicas.require(topicId, partition).marks();
  }

  async offsetForTimestamp(
    topicId: TopicId,
    partition: number,
    timestampMs: number,
    fromOffset: Offset,
  ): Promise<Offset | null> {
    const replica = this.#requireMember().replicas.require(topicId, partition);
    const { highWaterMark } = replica.marks();
    return await replica.log.offsetForTimestamp(timestampMs, highWaterMark, fromOffset);
  }

  watchImage(callback: () => void): Cancel {
    return this.#imageWatchers.add(callback);
  }

  checkDisruption(brokerIds: readonly BrokerId[]): DisruptionVerdict {
    const { quorum } = this.#requireMember();
    const voters = quorum.status.voters.map((voter) => voter.brokerId);
    return checkDisruption(quorum.image, brokerIds, voters);
  }

  stopVeto(): StopVeto | null {
    const { quorum } = this.#requireMember();
    const voters = quorum.status.voters.map((voter) => voter.brokerId);
    return stopVeto(quorum.image, this.brokerId, voters);
  }

  planRebalance(sizes: ReadonlyMap<PartitionKey, number>): RebalancePlan {
    return planRebalance(this.#requireMember().quorum.image, sizes);
  }

  explain(topicId: TopicId, partition: number): Explanation {
    const { image, decisions } = this.#requireMember().quorum;
    const topic = image.topics.get(topicId);
    const state = topic?.partitions[partition];
    if (topic === undefined || state === undefined)
      throw new BrokerError(
        'UNKNOWN_PARTITION',
        `Cannot explain ${topicId}/${partition}: there is no such partition`,
      );
    return {
      ...presentOf(image, topic, state),
      decisions: decisions.of(topicId, partition),
      rememberedFrom: decisions.rememberedFrom,
    };
  }

  isController(): boolean {
    return this.#member?.quorum.status.role === 'leader';
  }

  decisionsAfter(index: number): NamedDecision[] {
    const { image, decisions } = this.#requireMember().quorum;
    return decisions.after(index).flatMap((decision) => {
      const topic = image.topics.get(decision.topicId)?.name;
      return topic === undefined ? [] : [{ ...decision, topic }];
    });
  }

  spreadFaults(): readonly SpreadFault[] {
    return reportSpread(this.#requireMember().quorum.image);
  }

  async prepareStop(): Promise<{ readonly leadersLeft: number; readonly reason: string }> {
    const leadersLeft = await this.#requireMember().prepareStop();
    const reason =
      leadersLeft === 0
        ? ''
        : `no other trusted member of the sync set can lead ${leadersLeft} partitions`;
    return { leadersLeft, reason };
  }

  async cancelStop(): Promise<void> {
    if (this.#phase === 'stopping')
      throw new BrokerError(
        'REFUSED',
        `Cannot take the stop back: the process of broker ${this.brokerId} is ending`,
      );
    await this.#requireMember().cancelStop();
  }

  /**
   * What a setting of the cluster says in a form that this build cannot take leaves the broker's
   * own value in force.
   */
  #optionReports(): OptionReport[] {
    const { options } = this.#options;
    const { brokerOptions } = this.image().settings;
    return options.map((option): OptionReport => {
      const value = brokerOptions[option.name];
      const isSet = value !== undefined && liveOptionFaults(option.name, value).length === 0;
      return isSet ? { ...option, value, source: 'cluster' } : option;
    });
  }

  #join(meta: DirectoryMeta, restartClass: RestartClass, reason: string): void {
    this.#meta = meta;
    this.#phase = 'recovering';
    this.#options.onFact('starting', {
      directoryId: meta.directoryId,
      clusterId: meta.clusterId,
      restartClass,
      reason,
    });
    const host = {
      imageWatchers: this.#imageWatchers,
      onFenced: (isFenced: boolean) => {
        this.#fencedChanged(isFenced);
      },
      onDiskFailed: (error: unknown) => {
        this.#diskFailed(error);
      },
      onQuorumFailed: (failure: string, isRolledBack: boolean) => {
        this.#quorumFailed(failure, isRolledBack);
      },
    };
    Member.open(this.#options, meta, restartClass, host).then(
      (member) => {
        if (this.#phase !== 'recovering') return;
        this.#member = member;
        this.#phase = 'joining';
        member.start();
      },
      (error: unknown) => {
        this.#exit(`the start failed: ${String(error)}`, true);
      },
    );
  }

  #handler(): PeerHandler {
    const required = (): Member['peerHandler'] => this.#requireMember().peerHandler;
    return {
      nodeInfo: () => this.nodeInfo(),
      // Best effort: raft repeats itself.
      onRaft: (from, to, message) => this.#member?.peerHandler.onRaft(from, to, message),
      onRaftRefused: (reason) => this.#member?.peerHandler.onRaftRefused(reason),
      onFollower: (link, targetEpoch) => {
        required().onFollower(link, targetEpoch);
      },
      onPosition: (link, topicId, partition, position) =>
        this.#member?.peerHandler.onPosition(link, topicId, partition, position),
      onCredit: (link) => this.#member?.peerHandler.onCredit(link),
      onFollowerClosed: (link) => this.#member?.peerHandler.onFollowerClosed(link),
      onController: async (request) => await required().onController(request),
      onInspect: async (inspection, deadlineMs) =>
        await required().onInspect(inspection, deadlineMs),
      onDisconnected: (brokerId) => this.#member?.peerHandler.onDisconnected(brokerId),
    };
  }

  #fencedChanged(isFenced: boolean): void {
    this.#options.onFact(isFenced ? 'fenced' : 'unfenced', {
      brokerEpoch: this.#member?.lifecycle.brokerEpoch ?? 0,
    });
    if (this.#phase === 'serving' || this.#phase === 'joining')
      this.#phase = isFenced ? 'joining' : 'serving';
  }

  /**
   * P3: after one I/O error nothing of this disk is vouched for. One of the two notices is enough
   * to be distrusted at the next start.
   */
  #diskFailed(error: unknown): void {
    if (this.#phase === 'failed') return;
    this.#phase = 'failed';
    const { disk, clock, onFact } = this.#options;
    onFact('storage-failed', { reason: String(error) });
    for (const replica of this.#member?.replicas ?? []) replica.fail();
    const told = this.#member?.lifecycle.declareLossy() ?? Promise.resolve();
    const bound = new Promise<void>((resolve) => {
      clock.after(LOSSY_TELL_MS, resolve);
    });
    Promise.race([Promise.any([told, disk.markLossy(String(error))]), bound])
      .catch(() => {
        onFact('lossy-notice-failed', { reason: String(error) });
      })
      .finally(() => {
        this.#exit(`storage failed: ${String(error)}`, true);
      });
  }

  #quorumFailed(reason: string, isRolledBack: boolean): void {
    // The core says it at every step, and two renewals at once would take each other's files away.
    if (this.#phase === 'failed') return;
    this.#phase = 'failed';
    const { disk, newUuid, onFact } = this.#options;
    onFact('quorum-failed', { reason, isRolledBack });
    const renewed = isRolledBack ? disk.renew(newUuid()) : Promise.resolve();
    renewed
      .catch((error: unknown) => {
        onFact('renew-failed', { reason: String(error) });
      })
      .finally(() => {
        this.#exit(reason, true);
      });
  }

  #exit(reason: string, comesBack: boolean): void {
    this.#phase = 'failed';
    this.#options.onExit(reason, comesBack);
  }

  /** Why nobody but the broker itself writes to this topic; null: others may. */
  #refusalOf(topicId: TopicId): BrokerError | null {
    const name = this.image().topics.get(topicId)?.name ?? '';
    if (!isInternalTopic(name)) return null;
    return new BrokerError(
      'REFUSED',
      `Cannot write to topic "${name}": it is the cluster's own, which alone writes there`,
    );
  }

  /** The replica that may be asked to append so many bytes; else why none may. */
  #replicaFor(topicId: TopicId, partition: number, bytes: number): Replica | BrokerError {
    try {
      // Before the core takes an offset: a write that is refused after that costs the partition its
      // leader.
      const freeBytes = this.#options.disk.freeBytes();
      if (freeBytes < bytes) {
        return new BrokerError(
          'DISK_FULL',
          `Cannot append ${bytes} bytes on broker ${this.brokerId}: ${freeBytes} bytes are free beyond the reserve on its volume`,
        );
      }
      return this.#requireMember().replicas.require(topicId, partition);
    } catch (error) {
      if (error instanceof BrokerError) return error;
      throw error;
    }
  }

  #requireMember(): Member {
    if (this.#member === null)
      throw new BrokerError(
        'BROKER_NOT_READY',
        `Cannot serve: broker ${this.brokerId} is ${this.#phase}`,
      );
    return this.#member;
  }
}

function faultText(unreadable: UnreadableMetadata | null): string | null {
  return unreadable === null
    ? null
    : `metadata entry ${unreadable.index} cannot be read: ${unreadable.reason}`;
}
