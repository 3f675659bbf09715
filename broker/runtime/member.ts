/**
 * A broker that belongs to a cluster: its quorum, its registration, its replicas and the streams
 * between them, joined. Exists from the moment its directory is formatted. What is decided stands
 * in the cores; this file only carries one part's output to another's input.
 */
import { BrokerError } from '../../base/errors.ts';
import { type BrokerEpoch, type BrokerId, NO_BROKER } from '../../base/units.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import type { Comparison } from '../metadata/clock-trust.ts';
import type { MetadataImage, ProcessStart, RestartClass } from '../metadata/types.ts';
import type { Durable, Peer, RaftStatus } from '../raft/types.ts';
import type { SyncSetProposal } from '../replication/types.ts';
import { ControllerSeat } from './controller/controller-seat.ts';
import { refuseCopy } from './membership/copy-guard.ts';
import { FollowerAdmission } from './partitions/follower-admission.ts';
import { FollowerStreams } from './partitions/follower-streams.ts';
import { ClusterClock } from './membership/cluster-clock.ts';
import { OwnTopics } from './own-topics.ts';
import { Lifecycle } from './membership/lifecycle.ts';
import { SpaceWatch, writeSession } from './membership/space.ts';
import { newAddresses, standingOf, type Standing } from './membership/registration-standing.ts';
import type { BrokerOptions } from './options.ts';
import { PeerFinder } from './membership/peer-finder.ts';
import { drainAll, isTakenForStopping, OrderlyStop } from './membership/orderly-stop.ts';
import type { Cancel } from '../../base/clock.ts';
import type { DirectoryMeta, PeerHandler } from './ports.ts';
import { Pusher } from './partitions/pusher.ts';
import { loadQuorum } from './controller/load-quorum.ts';
import { Quorum, type UnreadableMetadata } from './controller/quorum.ts';
import { ProducerFence, takeProducerId } from './partitions/producer-fence.ts';
import { Replicas } from './partitions/replicas.ts';
import type { Replica } from './partitions/replica.ts';
import type { ReplicaHost } from './partitions/replica-host.ts';
import { RetentionDriver } from './partitions/retention-driver.ts';
import { ChangeRequests } from './partitions/change-requests.ts';
import type { Watchers } from './watchers.ts';

/** What a member tells the broker around it. */
export interface MemberHost {
  readonly imageWatchers: Watchers;
  readonly onFenced: (isFenced: boolean) => void;
  /** A read or write of this broker's data failed: it must leave and come back as lossy. */
  readonly onDiskFailed: (error: unknown) => void;
  /** The metadata log cannot be written, or is behind what others know (`isRolledBack`). */
  readonly onQuorumFailed: (reason: string, isRolledBack: boolean) => void;
}

/** What recovery found before anything was answered. */
interface Recovered {
  readonly meta: DirectoryMeta;
  readonly durable: Durable;
  readonly incarnation: number;
  readonly restartClass: RestartClass;
}

const REPLICA_TICK_MS = 100;
/** A controller that does not answer within this finds out by itself. */
const LEAVE_DEADLINE_MS = 1_000;

export class Member {
  readonly meta: DirectoryMeta;
  readonly quorum: Quorum;
  readonly clock: ClusterClock;
  readonly lifecycle: Lifecycle;
  readonly replicas: Replicas;
  readonly ownTopics: OwnTopics;
  readonly #options: BrokerOptions;
  readonly #host: MemberHost;
  readonly #self: Peer;
  readonly #start: ProcessStart;
  readonly #peerFinder: PeerFinder;
  readonly #pusher: Pusher;
  readonly #space: SpaceWatch;
  readonly #streams: FollowerStreams;
  readonly #admission: FollowerAdmission;
  readonly #retention: RetentionDriver;
  readonly #seat: ControllerSeat;
  readonly #changes: ChangeRequests;
  readonly #orderlyStop: OrderlyStop;
  readonly #producerFence = new ProducerFence(
    () => this.quorum.image,
    () => this.lifecycle.isHeard,
    () => takeProducerId((request, deadlineMs) => this.#seat.decide(request, deadlineMs)),
  );
  #namedProducers: MetadataImage['namedProducers'] | null = null;
  #isStopping = false;
  #wasHeard = false;
  #cancelTick: Cancel = () => {};

  /** Recovers every log (P6), then joins. Rejects when the directory cannot be read. */
  static async open(
    options: BrokerOptions,
    meta: DirectoryMeta,
    claimed: RestartClass,
    host: MemberHost,
  ): Promise<Member> {
    const { durable, directoryId } = await loadQuorum(options, meta);
    // Before anything is sent: a copy would pass for a later start of the original, and displace
    // it.
    await refuseCopy(options, meta, durable);
    const incarnation = await options.disk.quorum.beginIncarnation();
    const member = new Member(
      options,
      { meta: { ...meta, directoryId }, durable, incarnation, restartClass: claimed },
      host,
    );
    const damages = await member.replicas.recover();
    for (const damage of damages) options.onFact('damage-found', { damage });
    if (damages.length > 0 || directoryId !== meta.directoryId) member.lifecycle.claim('lossy');
    return member;
  }

  private constructor(options: BrokerOptions, recovered: Recovered, host: MemberHost) {
    this.#options = options;
    this.#host = host;
    this.meta = recovered.meta;
    this.#self = { brokerId: options.brokerId, directoryId: recovered.meta.directoryId };
    this.#start = { id: options.newUuid(), number: recovered.incarnation };
    this.clock = new ClusterClock(options);
    this.#space = new SpaceWatch(options.disk, options.onFact);
    this.#pusher = new Pusher({
      clock: options.clock,
      onReadFailed: this.readFailed,
      onRefused: this.#refused,
      isMoving: (replica, follower) => this.#isMoving(replica, follower),
    });
    this.replicas = this.#newReplicas();
    this.#streams = this.#newStreams();
    this.lifecycle = this.#newLifecycle(recovered.restartClass);
    this.quorum = this.#newQuorum(recovered);
    this.#seat = new ControllerSeat({
      broker: options,
      clusterId: this.meta.clusterId,
      quorum: this.quorum,
      inspectLocal: (inspection, deadlineMs) => this.#admission.inspect(inspection, deadlineMs),
    });
    this.#changes = new ChangeRequests({
      clock: options.clock,
      image: () => this.quorum.image,
      sender: () => ({ brokerId: options.brokerId, brokerEpoch: this.lifecycle.brokerEpoch }),
      decide: (request, deadlineMs) => this.#seat.decide(request, deadlineMs),
    });
    this.#peerFinder = this.#newPeerFinder();
    this.#admission = new FollowerAdmission({
      self: options.brokerId,
      brokerEpoch: () => this.lifecycle.brokerEpoch,
      image: () => this.quorum.image,
      imageWatchers: host.imageWatchers,
      replicas: this.replicas,
      pusher: this.#pusher,
    });
    this.#retention = new RetentionDriver({
      clock: this.clock,
      periodMs: () => options.live.values.retentionCheckMs,
      replicas: this.replicas,
      configOf: (topicId) => this.quorum.image.topics.get(topicId)?.config,
    });
    this.ownTopics = new OwnTopics({
      ...options,
      clusterClock: this.clock,
      bounds: options.groups,
      sessionMs: options.sessionTimeoutMs,
      records: options.textRecords,
      image: () => this.quorum.image,
      replicas: this.replicas,
      onDamage: this.readFailed,
    });
    this.#orderlyStop = new OrderlyStop({
      ...options,
      self: options.brokerId,
      replicas: this.replicas,
      lifecycle: this.lifecycle,
      image: () => this.quorum.image,
      imageWatchers: host.imageWatchers,
    });
  }

  start(): void {
    this.#options.disk.onSynced((topicId, partition, offset) =>
      this.replicas.get(topicId, partition)?.synced(offset),
    );
    this.quorum.start();
    this.#peerFinder.start();
    this.lifecycle.start();
    this.#cancelTick = this.#options.clock.every(REPLICA_TICK_MS, () => {
      for (const replica of this.replicas) replica.tick();
      this.replicas.resume();
      this.ownTopics.look();
      this.#space.look();
      this.#watchHeard();
      this.clock.look();
    });
    this.#retention.start();
    this.ownTopics.start();
  }

  /** Drains leadership. Resolves with the number of partitions that nobody else can lead. */
  prepareStop(): Promise<number> {
    return this.#orderlyStop.prepare();
  }

  /** Takes that back. */
  cancelStop(): Promise<void> {
    return this.#orderlyStop.cancel();
  }

  /** Drains leadership, hands over the quorum, syncs and closes everything. */
  async stop(): Promise<void> {
    await this.prepareStop();
    await this.#seat.handOver();
    await this.lifecycle.leave(LEAVE_DEADLINE_MS);
    this.#isStopping = true;
    this.lifecycle.close();
    this.#peerFinder.close();
    this.#cancelTick();
    this.#retention.close();
    this.#seat.close();
    this.#streams.close();
    this.ownTopics.close();
    await this.replicas.close();
    this.quorum.close();
  }

  /** Asks the controller, wherever it is. */
  decide(request: ControllerRequest, deadlineMs: number): Promise<Decision> {
    return this.#seat.decide(request, deadlineMs);
  }

  // ---- what peers ask ----

  /** Everything of the port's handler that needs a cluster. */
  readonly peerHandler: Omit<PeerHandler, 'nodeInfo'> = {
    onRaft: (from, to, message) => {
      this.quorum.receive(from, to, message);
    },
    onRaftRefused: (reason) => {
      this.quorum.noteRefusal(reason);
    },
    onFollower: (link, targetEpoch) => {
      this.#admission.open(link, targetEpoch);
    },
    onPosition: (link, topicId, partition, position) => {
      this.#admission.position(link, topicId, partition, position);
    },
    onCredit: (link) => {
      this.#pusher.resume(link);
    },
    onFollowerClosed: (link) => {
      this.#admission.closed(link);
    },
    onController: (request) => this.#seat.decideHere(request),
    onInspect: (inspection, deadlineMs) => this.#admission.inspect(inspection, deadlineMs),
    onDisconnected: (brokerId) => {
      const broker = this.quorum.image.brokers.get(brokerId);
      if (broker !== undefined)
        this.quorum.step({
          kind: 'peer-unreachable',
          peer: { brokerId, directoryId: broker.directoryId },
        });
      this.#seat.disconnected(brokerId);
    },
  };

  /**
   * Corruption is a lossy event (P9): the next start finds it, cuts it, and fetches the range again
   * from a trusted replica.
   */
  readonly readFailed = (replica: Replica, error: unknown): void => {
    if (!(error instanceof BrokerError) || error.code !== 'DATA_CORRUPT') {
      const partition = `${replica.topic}/${replica.partition}`;
      this.#options.onFact('push-failed', { partition, reason: String(error) });
      return;
    }
    this.#host.onDiskFailed(
      new BrokerError(
        'DATA_CORRUPT',
        `${replica.topic}/${replica.partition}: ${error.message}`,
        {},
        error,
      ),
    );
  };

  // ---- parts ----

  #newQuorum(recovered: Recovered): Quorum {
    const { seed, clock, disk, peers } = this.#options;
    return new Quorum({
      self: this.#self,
      incarnation: recovered.incarnation,
      seed,
      durable: recovered.durable,
      clock,
      log: disk.quorum,
      peers,
      onImage: (image) => {
        this.#imageMoved(image);
      },
      onStatus: (status) => {
        this.#quorumMoved(status);
      },
      onUnreadable: (unreadable) => {
        this.#unreadableChanged(unreadable);
      },
      onRefused: (reason, count) => {
        this.#options.onFact('quorum-message-refused', { reason, count });
      },
      onFatal: (reason, isRolledBack) => {
        this.#host.onQuorumFailed(reason, isRolledBack);
      },
    });
  }

  #newPeerFinder(): PeerFinder {
    const { brokerId, seeds, clock, peers } = this.#options;
    return new PeerFinder({
      self: brokerId,
      clusterId: this.meta.clusterId,
      seeds,
      clock,
      peers,
      image: () => this.quorum.image,
      isHeard: () => this.quorum.leader !== NO_BROKER && this.lifecycle.isHeard,
      onFound: (mates) => {
        this.#seat.told(
          mates.find((mate) => mate.controller !== NO_BROKER)?.controller ?? NO_BROKER,
        );
        this.quorum.step({
          kind: 'seeds',
          peers: mates.map(({ brokerId: mate, directoryId }) => ({ brokerId: mate, directoryId })),
        });
      },
    });
  }

  #newReplicas(): Replicas {
    const { brokerId, disk, live, appendsPendingMax, producersMax, defaults } = this.#options;
    return new Replicas({
      self: brokerId,
      disk,
      host: this.#replicaHost(),
      lagMsMax: () => live.values.lagMsMax,
      appendsPendingMax,
      producersMax,
      defaultLog: { segmentBytes: defaults.segmentBytes, segmentMs: defaults.segmentMs },
      onOpened: () => {
        this.#followLeaders();
      },
      onReopened: (leader) => {
        this.#streams.restart(leader);
      },
      onLeaderReopened: (follower) => {
        this.#pusher.close(follower, 'a replica that leads was opened again');
      },
      onFailure: (error) => {
        this.#host.onDiskFailed(error);
      },
    });
  }

  #newStreams(): FollowerStreams {
    const { clock, peers, brokerId } = this.#options;
    return new FollowerStreams({
      clock,
      peers,
      self: brokerId,
      clusterId: this.meta.clusterId,
      onOpen: (leader) => {
        for (const replica of this.replicas)
          if (replica.marks().leader === leader) replica.restatePosition();
      },
      onFrames: (leader, frames) => {
        const replica = this.replicas.get(frames.topicId, frames.partition);
        if (replica !== null) replica.frames(leader, frames);
        else
          this.#streams.sendCredit(
            leader,
            frames.chunks.reduce((sum, chunk) => sum + chunk.length, 0),
          );
      },
      onMessage: (leader, topicId, partition, message) => {
        this.replicas.get(topicId, partition)?.followerMessage(leader, message);
      },
    });
  }

  #newLifecycle(restartClass: RestartClass): Lifecycle {
    const { clock, heartbeatMs, sessionTimeoutMs, rack, brokerId } = this.#options;
    const { advertised, internalAdvertised } = this.#options;
    const { featureLevelMax, disk, onFact, onExit } = this.#options;
    const { clusterId, directoryId } = this.meta;
    const options = {
      clock,
      heartbeatMs,
      sessionTimeoutMs,
      registration: {
        clusterId,
        brokerId,
        directoryId,
        sessionEpoch: disk.start.meta?.directoryId === directoryId ? disk.start.sessionEpoch : 0,
        host: advertised.host,
        port: advertised.port,
        internal: internalAdvertised,
        rack,
        featureLevelMax,
        start: this.#start,
      },
      decide: (request: ControllerRequest, deadlineMs: number) =>
        this.#seat.decide(request, deadlineMs),
      heldEpoch: (epoch: BrokerEpoch) => this.#heldEpoch(epoch),
      onRegistered: (epoch: BrokerEpoch, accepted: RestartClass) =>
        this.#registered(epoch, accepted),
      metadataIndex: () => this.quorum.image.index,
      onCompared: (comparison: Comparison) => {
        this.clock.compared(comparison);
      },
      onFenced: this.#host.onFenced,
      abilities: () => this.replicas.abilities(),
      listeners: () => newAddresses(this.quorum.image, this.#options),
      drain: () => drainAll(this.replicas),
      isTakenForStopping: () => isTakenForStopping(this.quorum.image, brokerId),
      onDisplaced: (reason: string) => {
        onExit(reason, false);
      },
      onRolledBack: (reason: string) => {
        const what = `directory ${directoryId} was put back to an earlier state, or is a copy`;
        this.#host.onQuorumFailed(`${what}: ${reason}`, true);
      },
      onFact,
    };
    return new Lifecycle(options, restartClass);
  }

  #replicaHost(): Omit<ReplicaHost<Replica>, 'compactor'> {
    const { crc32, onFact } = this.#options;
    return {
      clock: this.clock,
      crc32,
      sendPosition: (to, replica, position) => {
        this.#streams.sendPosition(to, replica.topicId, replica.partition, position);
      },
      sendMessage: (replica, message) => {
        this.#pusher.send(replica, message);
      },
      proposeSyncSet: (replica, proposal) => this.#proposeSyncSet(replica, proposal),
      onChanged: (replica) => {
        this.#pusher.wakeAll(replica);
      },
      onConsumed: (from, bytes) => {
        this.#streams.sendCredit(from, bytes);
      },
      isHeard: () => this.lifecycle.isHeard,
      producerFault: (id, epoch) => this.#producerFence.fault(id, epoch),
      producersGiven: () => this.#producerFence.given(),
      onStopped: (replica, reason) => {
        onFact('replica-stopped', { partition: replica.name, reason });
        // Its partition may have no other leader to wait for.
        this.lifecycle.announce();
      },
      onRefused: this.#refused,
      onDamage: this.readFailed,
      onFact,
    };
  }

  // ---- registration ----

  async #heldEpoch(epoch: BrokerEpoch): Promise<BrokerEpoch | null> {
    await this.#host.imageWatchers.until(() => this.#standing(epoch).kind !== 'waiting');
    const standing = this.#standing(epoch);
    if (standing.kind === 'displaced') throw new BrokerError('FENCED', standing.reason);
    return standing.kind === 'held' ? standing.brokerEpoch : null;
  }

  #standing(epoch: BrokerEpoch): Standing {
    return standingOf(this.quorum.image, this.#options.brokerId, this.#start, epoch);
  }

  async #registered(epoch: BrokerEpoch, accepted: RestartClass): Promise<void> {
    const { disk, onFact } = this.#options;
    // Both are synced before the broker asks to be unfenced: from here on nothing older can pass
    // for this incarnation.
    await writeSession(this.#options, epoch);
    this.quorum.step({
      kind: 'own-incarnation',
      incarnation: await disk.quorum.noteBrokerEpoch(epoch),
    });
    onFact('registered', { brokerEpoch: epoch, restartClass: accepted });
    this.replicas.begin(epoch, this.quorum.image);
    this.#followLeaders();
  }

  // ---- following metadata ----

  #imageMoved(image: MetadataImage): void {
    const { featureLevelMax, onExit } = this.#options;
    if (image.featureLevel > featureLevelMax) {
      // It would vote, and could become controller, by metadata of which it may not know a part.
      onExit(
        `the cluster is at feature level ${image.featureLevel} and does not go back, this build runs ${featureLevelMax} at most`,
        false,
      );
      return;
    }
    const { brokerEpoch } = this.lifecycle;
    const standing = brokerEpoch === 0 ? null : this.#standing(brokerEpoch);
    if (standing?.kind === 'displaced') {
      // Its heartbeats would tell too, but a broker that is removed may have no controller to hear
      // it.
      onExit(standing.reason, false);
      return;
    }
    this.#peerFinder.publish(image);
    this.replicas.update(image);
    this.ownTopics.look();
    this.#pusher.setMoveLimit(image.settings.moveBytesPerSecond);
    this.#followOptions(image);
    this.#pusher.closeStale((brokerId) => image.brokers.get(brokerId)?.brokerEpoch);
    this.#followLeaders();
    this.#host.imageWatchers.notify();
    if (image.namedProducers !== this.#namedProducers) this.lifecycle.announce();
    this.#namedProducers = image.namedProducers;
  }

  /**
   * Whoever cannot follow what is decided must not be counted on. A later image may be readable
   * again.
   */
  #unreadableChanged(unreadable: UnreadableMetadata | null): void {
    const { onFact } = this.#options;
    if (unreadable === null) {
      onFact('metadata-readable', { index: this.quorum.image.index });
      this.lifecycle.resume();
    } else {
      onFact('metadata-unreadable', { ...unreadable });
      this.lifecycle.suspend();
    }
  }

  #followOptions({ settings }: MetadataImage): void {
    const { live, onFact } = this.#options;
    const before = live.values;
    if (!live.follow(settings.brokerOptions)) return;
    onFact('options-changed', { options: JSON.stringify(settings.brokerOptions) });
    if (live.values.lagMsMax !== before.lagMsMax) this.replicas.setLagLimit(live.values.lagMsMax);
    if (live.values.retentionCheckMs !== before.retentionCheckMs) this.#retention.reschedule();
  }

  /** Rule 19: what a reassignment adds holds nobody up until it is in S. */
  #isMoving({ topicId, partition }: Replica, follower: BrokerId): boolean {
    const state = this.quorum.image.topics.get(topicId)?.partitions[partition];
    return state?.adding.includes(follower) === true && !state.syncSet.includes(follower);
  }

  /**
   * Readers of replicas that do not lead are sent away when the controller has not heard this
   * broker for a session.
   */
  #watchHeard(): void {
    const { isHeard } = this.lifecycle;
    if (isHeard === this.#wasHeard) return;
    this.#wasHeard = isHeard;
    for (const replica of this.replicas) replica.wakeReaders();
  }

  /** What a peer said cannot be: its stream begins anew. */
  readonly #refused = (replica: Replica, peer: BrokerId, reason: string): void => {
    this.#options.onFact('peer-refused', { partition: replica.name, peer, reason });
    if (replica.isLeader) this.#pusher.close(peer, reason);
    else this.#streams.reopen(peer);
  };

  #followLeaders(): void {
    const { brokerEpoch } = this.lifecycle;
    if (brokerEpoch !== 0 && !this.#isStopping)
      this.#streams.update(brokerEpoch, this.replicas.leadersFollowed());
  }

  #quorumMoved(status: RaftStatus): void {
    const { role, term, isLeaderReady } = status;
    this.#options.onFact('quorum', {
      role,
      term,
      leader: status.leader?.brokerId ?? NO_BROKER,
      isReady: isLeaderReady,
    });
    this.#seat.moved(status);
  }

  async #proposeSyncSet(replica: Replica, proposal: SyncSetProposal): Promise<void> {
    const { leaderEpoch, partitionEpoch, change } = proposal;
    const { topicId, partition } = replica;
    await this.#changes.propose({ topicId, partition, leaderEpoch, partitionEpoch, change });
    this.#options.onFact('sync-set-change', {
      partition: replica.name,
      op: change.op,
      leaderEpoch,
    });
  }
}
