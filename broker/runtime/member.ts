/**
 * A broker that belongs to a cluster: its quorum, its registration, its replicas and the streams between them, joined. Exists from the moment its
 * directory is formatted. What is decided stands in the cores; this file only carries one part's output to another's input.
 */
import { BrokerError } from '../base/errors.ts';
import type { BrokerEpoch, BrokerId } from '../base/units.ts';
import { NO_BROKER } from '../base/units.ts';
import { CLOCK_SKEW_MS_MAX } from '../metadata/clock-skew.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import type { MetadataImage, RestartClass } from '../metadata/types.ts';
import type { Durable, Peer, RaftStatus } from '../raft/types.ts';
import type { SyncSetProposal } from '../replication/types.ts';
import { AddressBook } from './address-book.ts';
import { ControllerSeat } from './controller-seat.ts';
import { refuseCopy } from './copy-guard.ts';
import { FollowerStreams } from './follower-streams.ts';
import { askAll } from './formation.ts';
import { Lifecycle } from './lifecycle.ts';
import type { BrokerOptions } from './options.ts';
import { OrderlyStop } from './orderly-stop.ts';
import type {
  Cancel,
  DirectoryMeta,
  FollowerLink,
  InspectedLog,
  Inspection,
  PeerHandler,
} from './ports.ts';
import { Pusher } from './pusher.ts';
import { Quorum } from './quorum.ts';
import { Replicas } from './replicas.ts';
import type { Replica, ReplicaHost } from './replica.ts';
import { retireOffset } from './retention.ts';
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
const SYNC_SET_DEADLINE_MS = 2_000;
/** A controller that does not answer within this finds out by itself. */
const LEAVE_DEADLINE_MS = 1_000;
/** Pause between looks at the seeds while no controller is known. */
const FIND_PEERS_MS = 200;

export class Member {
  readonly meta: DirectoryMeta;
  readonly quorum: Quorum;
  readonly lifecycle: Lifecycle;
  readonly replicas: Replicas;
  readonly #options: BrokerOptions;
  readonly #host: MemberHost;
  readonly #self: Peer;
  readonly #addresses: AddressBook;
  readonly #pusher: Pusher;
  readonly #streams: FollowerStreams;
  readonly #seat: ControllerSeat;
  readonly #orderlyStop: OrderlyStop;
  #isStopping = false;
  #wasHeard = false;
  #isTimeRetentionPaused = false;
  #cancels: Cancel[] = [];
  #cancelFind: Cancel = () => {};
  #cancelRetention: Cancel = () => {};

  /** Recovers every log (P6), then joins. Rejects when the directory cannot be read. */
  static async open(
    options: BrokerOptions,
    meta: DirectoryMeta,
    claimed: RestartClass,
    host: MemberHost,
  ): Promise<Member> {
    const { durable, directoryId } = await loadQuorum(options, meta);
    // Before anything is sent: a copy would pass for a later start of the original, and displace it.
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
    this.#addresses = new AddressBook(options.brokerId);
    this.#pusher = new Pusher({
      clock: options.clock,
      onReadFailed: (replica, error) => {
        this.readFailed(replica, error);
      },
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
      inspectLocal: (inspection) => this.#inspect(inspection),
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

  /** Retention by time waits, because this broker's clock is too far off. */
  get isTimeRetentionPaused(): boolean {
    return this.#isTimeRetentionPaused;
  }

  start(): void {
    const { disk, clock } = this.#options;
    disk.onSynced((topicId, partition, offset) =>
      this.replicas.get(topicId, partition)?.synced(offset),
    );
    this.quorum.start();
    this.#findPeers();
    this.lifecycle.start();
    this.#cancels = [
      clock.every(REPLICA_TICK_MS, () => {
        for (const replica of this.replicas) replica.tick();
        this.#watchHeard();
      }),
    ];
    this.#scheduleRetention();
  }

  #scheduleRetention(): void {
    const { clock, live } = this.#options;
    this.#cancelRetention();
    this.#cancelRetention = clock.every(live.values.retentionCheckMs, () => {
      this.#retire();
      this.replicas.resumeFull();
    });
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
    this.#cancelFind();
    for (const cancel of this.#cancels) cancel();
    this.#cancelRetention();
    this.#seat.close();
    this.#streams.close();
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
    onFollower: (link, targetEpoch) => {
      this.#admit(link, targetEpoch);
    },
    onPosition: (link, topicId, partition, position) => {
      const replica = this.#pusher.isCurrent(link) ? this.replicas.get(topicId, partition) : null;
      if (replica === null) return;
      replica.position(position);
      this.#pusher.wake(link.brokerId, replica);
    },
    onCredit: (link) => {
      this.#pusher.resume(link);
    },
    onFollowerClosed: (link) => {
      if (!this.#pusher.closed(link)) return;
      for (const replica of this.replicas) replica.followerGone(link.brokerId);
    },
    onController: (request) => this.#seat.decideHere(request),
    onInspect: (inspection) => this.#inspect(inspection),
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

  /** A stream belongs to one pair of broker epochs (DESIGN.md section 5). */
  #admit(link: FollowerLink, targetEpoch: BrokerEpoch): void {
    const { brokerId } = this.#self;
    const own = this.lifecycle.brokerEpoch;
    if (targetEpoch !== own) {
      throw new BrokerError(
        'STALE_EPOCH',
        `Cannot follow broker ${brokerId} at epoch ${targetEpoch}: its epoch is ${own}`,
      );
    }
    const known = this.quorum.image.brokers.get(link.brokerId)?.brokerEpoch ?? 0;
    if (link.brokerEpoch !== known) {
      throw new BrokerError(
        'STALE_EPOCH',
        `Cannot follow as broker ${link.brokerId} at epoch ${link.brokerEpoch}: epoch ${known} is registered here`,
      );
    }
    // Before its first position: progress of another stream counts no more (rule 14).
    for (const replica of this.replicas) replica.followerGone(link.brokerId);
    this.#pusher.open(link);
  }

  /**
   * Waits until this broker knows the epoch, so that nothing older is acknowledged any more, then reads the end of the log. Null for a question to another
   * registration: what it was to say about its disk, this one cannot know.
   */
  async #inspect(inspection: Inspection): Promise<InspectedLog | null> {
    const { topicId, partition, leaderEpoch, brokerEpoch } = inspection;
    const epoch = (): number =>
      this.quorum.image.topics.get(topicId)?.partitions[partition]?.leaderEpoch ?? 0;
    await this.#host.imageWatchers.until(() => epoch() >= leaderEpoch);
    if (brokerEpoch !== 0 && brokerEpoch !== this.lifecycle.brokerEpoch) return null;
    return this.replicas.get(topicId, partition)?.inspect(leaderEpoch) ?? null;
  }

  /** Corruption is a lossy event (P9): the next start finds it, cuts it, and fetches the range again from a trusted replica. */
  readFailed(replica: Replica, error: unknown): void {
    if (!(error instanceof BrokerError) || error.code !== 'DATA_CORRUPT') return;
    this.#host.onDiskFailed(
      new BrokerError(
        'DATA_CORRUPT',
        `${replica.topic}/${replica.partition}: ${error.message}`,
        {},
        error,
      ),
    );
  }

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
      onFatal: (reason, isRolledBack) => {
        this.#host.onQuorumFailed(reason, isRolledBack);
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
    const { clock, heartbeatMs, sessionTimeoutMs, advertised, rack, brokerId } = this.#options;
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
        rack,
        featureLevelMax,
      },
      decide: (request: ControllerRequest, deadlineMs: number) =>
        this.#seat.decide(request, deadlineMs),
      onRegistered: (epoch: BrokerEpoch, accepted: RestartClass) =>
        this.#registered(epoch, accepted),
      onFenced: this.#host.onFenced,
      onDisplaced: (reason: string) => {
        onExit(reason, false);
      },
      onFact,
    };
    return new Lifecycle(options, restartClass);
  }

  #replicaHost(): ReplicaHost {
    const { clock, crc32, onFact } = this.#options;
    const nameOf = (replica: Replica): string => `${replica.topic}/${replica.partition}`;
    return {
      clock,
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
      onStopped: (replica, reason) => {
        onFact('replica-stopped', { partition: nameOf(replica), reason });
      },
      onFact: (event, replica, fields) => {
        onFact(event, { partition: nameOf(replica), ...fields });
      },
    };
  }

  // ---- registration ----

  async #registered(epoch: BrokerEpoch, accepted: RestartClass): Promise<void> {
    const { disk, brokerId, onFact } = this.#options;
    await this.#host.imageWatchers.until(
      () => this.quorum.image.brokers.get(brokerId)?.brokerEpoch === epoch,
    );
    // Both are synced before the broker asks to be unfenced: from here on nothing older can pass for this incarnation.
    await disk.writeSession(epoch);
    this.quorum.step({
      kind: 'own-incarnation',
      incarnation: await disk.quorum.noteBrokerEpoch(epoch),
    });
    onFact('registered', { brokerEpoch: epoch, restartClass: accepted });
    this.replicas.begin(epoch, this.quorum.image);
    this.#followLeaders();
  }

  /** Learns who stands at the seeds' addresses while no controller is known. */
  #findPeers(): void {
    const { seeds, peers, brokerId, clock } = this.#options;
    const look =
      this.quorum.leader === NO_BROKER ? askAll(peers, seeds, brokerId) : Promise.resolve([]);
    const again = (): void => {
      if (this.#isStopping) return;
      this.#cancelFind = clock.after(FIND_PEERS_MS, () => {
        this.#findPeers();
      });
    };
    look
      .then((infos) => {
        const mates = infos.filter((info) => info.clusterId === this.meta.clusterId);
        if (mates.length === 0) return;
        this.#addresses.met(mates, this.quorum.image);
        peers.setAddresses(this.#addresses.all(this.quorum.image));
        this.#seat.told(
          mates.find((mate) => mate.controller !== NO_BROKER)?.controller ?? NO_BROKER,
        );
        this.quorum.step({
          kind: 'seeds',
          peers: mates.map((mate) => ({ brokerId: mate.brokerId, directoryId: mate.directoryId })),
        });
      })
      .then(again, again);
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
    this.#options.peers.setAddresses(this.#addresses.all(image));
    this.replicas.update(image);
    this.#pusher.setMoveLimit(image.settings.moveBytesPerSecond);
    this.#followOptions(image);
    this.#pusher.closeStale((brokerId) => image.brokers.get(brokerId)?.brokerEpoch);
    this.#followLeaders();
    this.#host.imageWatchers.notify();
  }

  #followOptions({ settings }: MetadataImage): void {
    const { live, onFact } = this.#options;
    const before = live.values;
    if (!live.follow(settings.brokerOptions)) return;
    onFact('options-changed', { settings: JSON.stringify(settings.brokerOptions) });
    if (live.values.lagMsMax !== before.lagMsMax) this.replicas.setLagLimit(live.values.lagMsMax);
    if (live.values.retentionCheckMs !== before.retentionCheckMs && this.#cancels.length > 0)
      this.#scheduleRetention();
  }

  /** Rule 19: what a reassignment adds holds nobody up until it is in S. */
  #isMoving({ topicId, partition }: Replica, follower: BrokerId): boolean {
    const state = this.quorum.image.topics.get(topicId)?.partitions[partition];
    return state?.adding.includes(follower) === true && !state.syncSet.includes(follower);
  }

  /** Readers of replicas that do not lead are sent away when the controller has not heard this broker for a session. */
  #watchHeard(): void {
    const { isHeard } = this.lifecycle;
    if (isHeard === this.#wasHeard) return;
    this.#wasHeard = isHeard;
    for (const replica of this.replicas) replica.wakeReaders();
  }

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
    const { brokerEpoch } = this.lifecycle;
    const { brokerId } = this.#self;
    await this.#seat.decide(
      {
        kind: 'alter-sync-set',
        brokerId,
        brokerEpoch,
        topicId,
        partition,
        leaderEpoch,
        partitionEpoch,
        change,
      },
      SYNC_SET_DEADLINE_MS,
    );
    this.#options.onFact('sync-set-change', {
      partition: `${replica.topic}/${replica.partition}`,
      op: change.op,
      leaderEpoch,
    });
  }

  /** A clock that is far off would retire records years too early, or never: then retention by time waits (DESIGN.md section 3). */
  #judgeClock(): void {
    const { clockSkewMs } = this.lifecycle;
    const isPaused = clockSkewMs !== null && Math.abs(clockSkewMs) > CLOCK_SKEW_MS_MAX;
    if (isPaused === this.#isTimeRetentionPaused) return;
    this.#isTimeRetentionPaused = isPaused;
    const event = isPaused ? 'time-retention-paused' : 'time-retention-resumed';
    const fields = { clockSkewMs: clockSkewMs ?? 0, clockSkewMsMax: CLOCK_SKEW_MS_MAX };
    this.#options.onFact(event, fields);
  }

  #retire(): void {
    this.#judgeClock();
    const nowMs = this.#options.clock.wallMs();
    for (const replica of this.replicas) {
      const config = this.quorum.image.topics.get(replica.topicId)?.config;
      const marks = replica.marks();
      if (config !== undefined && marks.isLeader) {
        const offset = retireOffset(replica.log.sealedSegments(), {
          config,
          marks,
          nowMs,
          sizeBytes: replica.log.sizeBytes(),
          isClockTrusted: !this.#isTimeRetentionPaused,
        });
        if (offset > marks.logStart) replica.retire(offset);
      }
      replica.saveSnapshot(false);
    }
  }
}

/** A damaged quorum log may hide a vote: such a directory returns as a learner, under another id (DESIGN.md section 4). */
async function loadQuorum(
  options: BrokerOptions,
  meta: DirectoryMeta,
): Promise<{ readonly durable: Durable; readonly directoryId: string }> {
  const { disk, newUuid, onFact } = options;
  try {
    return { durable: await disk.quorum.load(), directoryId: meta.directoryId };
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'DATA_CORRUPT') throw error;
    const directoryId = newUuid();
    onFact('quorum-log-damaged', { reason: error.message, directoryId });
    await disk.renew(directoryId);
    return { durable: await disk.quorum.load(), directoryId };
  }
}
