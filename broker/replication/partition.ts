/**
 * One replica of one partition: `step(input) -> output`, synchronous and total. It takes a role for
 * each leader epoch and hands the input to it; what outlives an epoch, the log, stays here. Never
 * sees payloads. Every message of another epoch is dropped here, on both sides (rule 5, KIP-320).
 * Rules: docs/rules.md.
 */
import { assertNever } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { ErrorDetails } from '../../base/errors.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionEpoch,
  PartitionKey,
} from '../../base/units.ts';
import { NO_BROKER } from '../../base/units.ts';
import { Abdication } from './abdication.ts';
import type { CompactionStatus } from './compactions.ts';
import type { EpochEnd } from './epochs.ts';
import { Follower } from './follower.ts';
import { type AppendInput, HeldAppends } from './held-appends.ts';
import { Leader } from './leader.ts';
import { ReplicaLog } from './log.ts';
import { OutputBuilder } from './output.ts';
import type { ProducerTable } from './producers.ts';
import type {
  Assignment,
  LogStart,
  LogState,
  PartitionInput,
  PartitionOutput,
  Position,
  PushWindow,
} from './types.ts';

export interface PartitionOptions {
  readonly self: BrokerId;
  /** Incarnation of this broker: it leads only under an assignment that names it. */
  readonly selfEpoch: BrokerEpoch;
  readonly key: PartitionKey;
  /** A member that has not been caught up for this long leaves S (rule 15). */
  readonly lagMsMax: number;
  /** Appends that may be pending, and as many that may be held; past it they are refused. */
  readonly appendsPendingMax: number;
  readonly nowMs: MonotonicMs;
  /**
   * What metadata has against a producer as a batch of it is judged (rule 20). Absent: nothing
   * ever.
   */
  readonly producerFault?: (producerId: number, producerEpoch: number) => BrokerError | null;
}

/**
 * `waiting`: no leader is known, or this replica is not assigned. `spent`: it is to lead an epoch
 * that it led before, and needs another. `stopped`: it must not go on in this epoch, see
 * `PartitionOutput.stopped`. `failed`: a write or sync failed, for good.
 */
export type Role = 'leader' | 'follower' | 'waiting' | 'spent' | 'stopped' | 'failed';

/** A follower as its leader sees it. */
export interface FollowerStatus {
  readonly brokerId: BrokerId;
  /** Acknowledged end; null while nothing is acknowledged in this epoch and incarnation. */
  readonly endOffset: Offset | null;
  readonly lagMs: number;
  /** Member of S. */
  readonly isInSync: boolean;
  /** It acknowledged more than it holds: lossy, whatever it claims. */
  readonly hasLost: boolean;
}

export interface PartitionStatus {
  readonly role: Role;
  /** NO_BROKER while unknown. */
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly logStart: Offset;
  /**
   * Below it nothing is certain, neither that it is there nor that it is gone: a trim is not
   * committed yet. 0: none.
   */
  readonly undecidedTo: Offset;
  /** With what is on its way to the disk. */
  readonly logEnd: Offset;
  readonly writtenEnd: Offset;
  readonly highWaterMark: Offset;
  /** Everything below has passed fdatasync. */
  readonly syncedOffset: Offset;
  readonly syncSet: readonly BrokerId[];
  readonly quorum: number;
  readonly suspects: readonly BrokerId[];
  /** Leader only, else empty. */
  readonly followers: readonly FollowerStatus[];
  /** Fewer than min members of S are unfenced and trusted: appends are refused. Leader only. */
  readonly belowMin: boolean;
  /** A replica is missing from S. */
  readonly isUnderReplicated: boolean;
  readonly appendsPending: number;
  /**
   * Refuses appends, and everything appended is committed: leadership may move without loss at any
   * ack level (rule 22).
   */
  readonly isDrained: boolean;
  /** Follower: its log is a prefix of the leader's. */
  readonly isMatched: boolean;
}

/** A replica that failed changes nothing more, and still says so to whoever asks. */
function isHeardFailed({ kind }: PartitionInput): boolean {
  return kind === 'append' || kind === 'trim' || kind === 'assign';
}

export class Partition {
  readonly #options: PartitionOptions;
  readonly #output = new OutputBuilder();
  readonly #log: ReplicaLog;
  #assignment: Assignment | null = null;
  #leader: Leader | null = null;
  #follower: Follower | null = null;
  /** Named as leader, and must not lead. */
  #abdication: Abdication | null = null;
  /** To lead once a cut has ended: where the log ends is not known before. */
  #mustLead = false;
  /** Why there is neither leader nor follower. */
  #idle: 'waiting' | 'spent' | 'stopped' | 'failed' = 'waiting';
  /**
   * The newest position of each broker that came before the metadata that explains it. At most one
   * for each broker.
   */
  readonly #early = new Map<BrokerId, Position>();
  readonly #held: HeldAppends;
  #nowMs: MonotonicMs;
  #lagMsMax: number;

  /** @param log what recovery found @param producers the table as of the end of that log */
  constructor(options: PartitionOptions, log: LogState, producers: ProducerTable) {
    this.#options = options;
    this.#nowMs = options.nowMs;
    this.#lagMsMax = options.lagMsMax;
    this.#log = new ReplicaLog(log, producers, this.#output);
    this.#held = new HeldAppends(options.appendsPendingMax);
  }

  step(input: PartitionInput): PartitionOutput {
    if (this.#idle !== 'failed' || isHeardFailed(input)) this.#step(input);
    if (this.#held.count > 0 && !this.#isBetweenLeaders())
      for (const held of this.#held.takeAll()) this.#judge(held);
    if (this.#leader !== null) this.#leader.compactIfDue();
    else if (this.#follower?.isMatched === true) this.#log.compactIfDue();
    return this.#output.take();
  }

  /**
   * What to push to a follower now; null when this is not the leader, the follower is not matched
   * yet, or it has been told everything.
   */
  pushWindow(follower: BrokerId): PushWindow | null {
    return this.#leader?.pushWindow(follower) ?? null;
  }

  /**
   * The runtime has put the bytes up to `upTo`, with this HW and the present log start, on the
   * follower's stream.
   */
  pushed(follower: BrokerId, upTo: Offset, highWaterMark: Offset): void {
    this.#leader?.pushed(follower, upTo, highWaterMark);
  }

  /**
   * The follower's stream closed: its progress counts no more (rule 14). Must be called before a
   * position of another stream comes in.
   */
  followerGone(follower: BrokerId): void {
    this.#early.delete(follower);
    this.#leader?.followerGone(follower);
  }

  /**
   * As a follower: the position to state on a stream that has just opened; null while there is none
   * to state.
   */
  position(): { readonly to: BrokerId; readonly position: Position } | null {
    const position = this.#follower?.position() ?? null;
    return position === null || this.#assignment === null
      ? null
      : { to: this.#assignment.leader, position };
  }

  /**
   * Log end for an election, sealed: this replica has left every epoch below `leaderEpoch`, so it
   * acknowledges nothing more in them. Null before that, and once failed: the log is no evidence
   * then.
   */
  inspect(leaderEpoch: LeaderEpoch): {
    readonly lastEpoch: LeaderEpoch;
    readonly endOffset: Offset;
    readonly start: LogStart;
  } | null {
    if (
      this.#log.isCutting ||
      this.#idle === 'failed' ||
      this.#assignment === null ||
      this.#assignment.leaderEpoch < leaderEpoch
    )
      return null;
    const { writtenEpoch, writtenEnd, start } = this.#log;
    return { lastEpoch: writtenEpoch, endOffset: writtenEnd, start };
  }

  /** Of the last batch, with what is on its way to the disk; 0 for none. */
  get lastEpoch(): LeaderEpoch {
    return this.#log.epochs.lastEpoch;
  }

  /** End (exclusive) of what consumers may read. */
  readEnd(): Offset {
    return this.#log.highWaterMark;
  }

  /**
   * The latest offset; null until the epoch start is committed, while leadership is handed over,
   * and on a replica that does not lead (rule 7).
   */
  latest(): Offset | null {
    return this.#leader?.isEndKnown === true ? this.#log.highWaterMark : null;
  }

  /**
   * Where a reader's statement "I have read up to `offset`, the last batch being of `epoch`" stops
   * agreeing with this log (rule 21). Null: it agrees as far as this log goes. An epoch above that
   * of `status()` means that this replica is the one behind: also null.
   */
  divergence(epoch: LeaderEpoch, offset: Offset): EpochEnd | null {
    if (offset <= this.#log.startOffset || epoch > (this.#assignment?.leaderEpoch ?? 0))
      return null;
    const agreed = this.#log.endOf(epoch);
    if (agreed.endOffset >= offset && agreed.epoch === epoch) return null;
    // Only a leader's log is known to be whole: on a follower the rest of the last epoch, and later
    // ones, may be on their way.
    if (this.#leader === null && epoch >= this.#log.epochs.lastEpoch) return null;
    return { epoch: agreed.epoch, endOffset: Math.min(agreed.endOffset, offset) };
  }

  /** Epoch of the batch before `offset`, or of the one it lies in; 0: none, or nobody knows. */
  epochBefore(offset: Offset): LeaderEpoch {
    return this.#log.epochs.epochBefore(offset);
  }

  /** End of what this log holds of `epoch` and earlier ones. */
  endOf(epoch: LeaderEpoch): Offset {
    return this.#log.endOf(epoch).endOffset;
  }

  /** End of the data in the log, uncommitted included: see `data-end.ts`. */
  dataEnd(): Offset {
    return this.#log.dataEnd;
  }

  /** The same of the part of the log below `offset`. */
  dataEndBelow(offset: Offset): Offset {
    return this.#log.dataEnds.below(offset);
  }

  compaction(): CompactionStatus {
    return this.#log.compactions.status(this.#leader?.compactableTo() ?? 0);
  }

  /** Why this replica cannot lead, whatever metadata says; null: it can. */
  whyNotLead(): 'spent' | 'stopped' | 'failed' | null {
    return this.#idle === 'waiting' ? null : this.#idle;
  }

  status(): PartitionStatus {
    const assignment = this.#assignment;
    const leader = this.#leader;
    const syncSet = assignment?.syncSet ?? [];
    return {
      role: this.#role(),
      leader: assignment?.leader ?? NO_BROKER,
      leaderEpoch: assignment?.leaderEpoch ?? 0,
      partitionEpoch: assignment?.partitionEpoch ?? 0,
      logStart: this.#log.startOffset,
      undecidedTo: this.#log.trims.undecidedTo,
      logEnd: this.#log.endOffset,
      writtenEnd: this.#log.writtenEnd,
      highWaterMark: this.#log.highWaterMark,
      syncedOffset: this.#log.syncedOffset,
      syncSet,
      quorum: assignment?.quorum ?? 0,
      suspects: assignment?.suspects ?? [],
      followers: leader === null ? [] : this.#followers(leader, syncSet),
      belowMin: leader !== null && leader.trustedCount < (assignment?.minInSyncReplicas ?? 0),
      isUnderReplicated: syncSet.length < (assignment?.replicas.length ?? 0),
      appendsPending: leader?.appendsPending ?? 0,
      isDrained:
        leader !== null && leader.isDraining && this.#log.highWaterMark === this.#log.endOffset,
      isMatched: this.#follower?.isMatched ?? false,
    };
  }

  #step(input: PartitionInput): void {
    switch (input.kind) {
      case 'append':
        return this.#append(input);
      case 'written':
        return this.#written(input);
      case 'position':
        return this.#position(input.position);
      case 'frames':
        if (this.#isOfLeader(input)) this.#follower?.frames(input);
        return this.#stopIfAsked();
      case 'diverged':
        if (this.#isOfLeader(input)) this.#follower?.diverged(input);
        return this.#stopIfAsked();
      case 'reset-to':
        if (this.#isOfLeader(input)) this.#follower?.resetTo(input, this.#nowMs);
        return;
      case 'assign':
        return this.#assign(input.assignment);
      case 'synced':
        this.#log.synced(input.offset);
        return this.#tellSynced();
      case 'sync-set-result':
        // Rule 12: the answer to an earlier leadership says nothing of what floats now.
        if (input.leaderEpoch === this.#assignment?.leaderEpoch)
          this.#leader?.result(input.proposalId, input.error);
        return;
      case 'retire':
        // Only the leader retires; a follower's log start follows with the frames.
        return this.#leader?.retire(input.offset);
      case 'trim':
        if (this.#leader !== null) return this.#leader.trim(input.requestId, input.offset);
        return this.#output.refuse(input.requestId, this.#notLeader('Cannot trim'));
      case 'compact':
        return this.#leader?.compact(input);
      case 'compacted':
        this.#log.compactions.done(input.order);
        return this.#leader?.compacted();
      case 'producers-given':
        // Asked for under an earlier leadership, it may lack what another leader has taken since.
        if (this.#leader !== null && input.leaderEpoch === this.#assignment?.leaderEpoch)
          this.#log.producers.learn(input.given);
        return;
      case 'tick':
        return this.#tick(input.nowMs);
      case 'drain':
        return this.#leader?.drain();
      case 'resume':
        return this.#leader?.resume();
      case 'lag-limit':
        this.#lagMsMax = input.lagMsMax;
        return this.#leader?.setLagLimit(input.lagMsMax);
      case 'failed':
        return this.#failed();
      default:
        return assertNever(input);
    }
  }

  #append(input: AppendInput): void {
    if (!this.#isBetweenLeaders() || !this.#held.add(input, this.#nowMs)) this.#judge(input);
  }

  #judge(input: AppendInput): void {
    if (this.#leader !== null) this.#leader.append(input);
    else this.#output.refuse(input.requestId, this.#notLeader('Cannot append'));
  }

  /** Somebody is about to lead, and it is not known who, or not yet. */
  #isBetweenLeaders(): boolean {
    if (this.#leader !== null) return this.#leader.isLeaving;
    if (this.#idle === 'spent' || this.#mustLead) return true;
    return this.#idle === 'waiting' && this.#assignment?.leader === NO_BROKER;
  }

  #written({ writeId, endOffset }: Extract<PartitionInput, { kind: 'written' }>): void {
    this.#log.written(writeId, endOffset);
    this.#leader?.written();
    this.#follower?.written(this.#nowMs);
    if (!this.#mustLead || this.#log.isCutting || this.#assignment === null) return;
    this.#lead(this.#assignment);
    this.#replayEarly();
  }

  #position(position: Position): void {
    const { from, leaderEpoch, brokerEpoch } = position;
    if (from === this.#options.self) return;
    const present = this.#assignment?.leaderEpoch ?? 0;
    const registered =
      this.#assignment?.replicas.find(({ brokerId }) => brokerId === from)?.brokerEpoch ?? 0;
    if (leaderEpoch > present || brokerEpoch > registered) {
      // The follower's metadata is ahead of ours: the statement is judged when ours has caught up
      // (rule 5).
      this.#early.set(from, position);
    } else if (leaderEpoch === present) {
      this.#leader?.position(position);
    }
  }

  #tick(nowMs: MonotonicMs): void {
    this.#nowMs = nowMs;
    this.#log.producers.tick(nowMs);
    this.#leader?.tick(nowMs);
    this.#follower?.tick(nowMs);
    this.#abdicate();
    for (const overdue of this.#held.takeOverdue(nowMs)) this.#judge(overdue);
  }

  #assign(assignment: Assignment): void {
    const previous = this.#assignment;
    const isOlder =
      previous !== null &&
      (assignment.leaderEpoch < previous.leaderEpoch ||
        assignment.partitionEpoch < previous.partitionEpoch);
    if (isOlder) return;
    this.#assignment = assignment;
    if (this.#idle === 'failed') return;
    const isSameLeader =
      previous !== null &&
      assignment.leaderEpoch === previous.leaderEpoch &&
      assignment.leader === previous.leader;
    const isAssigned = assignment.replicas.some(({ brokerId }) => brokerId === this.#options.self);
    if (!isSameLeader || !isAssigned) {
      this.#takeRole(assignment, isAssigned);
    } else {
      this.#leader?.assign(assignment);
      this.#follower?.assign(assignment.uncleanEpoch, this.#nowMs);
      this.#tellSynced();
    }
    this.#replayEarly();
  }

  #tellSynced(): void {
    if (this.#assignment?.isCompacted === true) this.#follower?.synced(this.#nowMs);
  }

  /** A new leader or epoch: the old role ends with everything it knew of others. */
  #takeRole(assignment: Assignment, isAssigned: boolean): void {
    this.#leader?.resign(this.#epochOver(assignment));
    this.#leader = null;
    this.#follower = null;
    this.#abdication = null;
    this.#mustLead = false;
    this.#idle = 'waiting';
    this.#output.changed();
    if (!isAssigned || assignment.leader === NO_BROKER) return;
    if (assignment.leader !== this.#options.self) {
      const { self, selfEpoch, key } = this.#options;
      const { leader, leaderEpoch, uncleanEpoch } = assignment;
      this.#follower = new Follower(
        { self, selfEpoch, key, leader, leaderEpoch, nowMs: this.#nowMs },
        uncleanEpoch,
        this.#log,
        this.#output,
      );
      return;
    }
    this.#lead(assignment);
  }

  #lead(assignment: Assignment): void {
    const { self, selfEpoch, key } = this.#options;
    const registered = assignment.replicas.find(({ brokerId }) => brokerId === self);
    this.#mustLead = this.#log.isCutting;
    if (this.#mustLead) return;
    // Leadership was given to another incarnation, which may have used offsets of this epoch
    // already.
    if (registered?.brokerEpoch !== selfEpoch) return;
    // This incarnation led the epoch before its replica was opened again. No offset may be given
    // twice, so it waits for another epoch.
    if (this.#log.epochs.lastEpoch >= assignment.leaderEpoch) {
      this.#idle = 'spent';
      return;
    }
    const fault = this.#leaderFault(assignment);
    if (fault !== null) {
      this.#output.stop(`${key}: cannot lead epoch ${assignment.leaderEpoch}, ${fault}`);
      this.#idle = 'stopped';
      this.#abdication = new Abdication(self, this.#nowMs);
      this.#abdicate();
      return;
    }
    // An unclean election has reported what stood below as lost: from here on the log starts where
    // it starts.
    this.#log.acceptStart();
    this.#leader = new Leader(
      { ...this.#options, lagMsMax: this.#lagMsMax, nowMs: this.#nowMs },
      assignment,
      this.#log,
      this.#output,
    );
    if (registered.stopping) this.#leader.drain();
  }

  /** Why this log must not lead, or null. */
  #leaderFault({ leaderEpoch, uncleanEpoch }: Assignment): string | null {
    const { lacksBeginning, startOffset, retiredTo } = this.#log;
    return lacksBeginning && uncleanEpoch !== leaderEpoch
      ? `the log starts at ${startOffset}, and retention reached ${retiredTo} only: it has lost its beginning`
      : null;
  }

  #abdicate(): void {
    if (this.#abdication === null || this.#assignment === null) return;
    const proposal = this.#abdication.propose(this.#assignment, this.#nowMs);
    if (proposal !== null) this.#output.propose(proposal);
  }

  #replayEarly(): void {
    const waiting = [...this.#early.values()];
    this.#early.clear();
    for (const position of waiting) this.#position(position);
  }

  /**
   * Bytes may have left whose write failed: another leader must give their offsets, in another
   * epoch.
   */
  #failed(): void {
    this.#leader?.resign(this.#storageFailed('Outcome of the append is unknown'));
    this.#leader = null;
    this.#follower = null;
    this.#abdication = null;
    this.#mustLead = false;
    this.#idle = 'failed';
    this.#output.changed();
  }

  #stopIfAsked(): void {
    if (!this.#output.isStopped) return;
    this.#follower = null;
    this.#idle = 'stopped';
  }

  #isOfLeader(input: { readonly from: BrokerId; readonly leaderEpoch: LeaderEpoch }): boolean {
    return (
      this.#assignment !== null &&
      input.leaderEpoch === this.#assignment.leaderEpoch &&
      input.from === this.#assignment.leader
    );
  }

  #role(): Role {
    if (this.#leader !== null) return 'leader';
    return this.#follower !== null ? 'follower' : this.#idle;
  }

  #followers(leader: Leader, syncSet: readonly BrokerId[]): FollowerStatus[] {
    return Array.from(leader.followers, (progress) => ({
      brokerId: progress.follower,
      endOffset: progress.isMatched ? progress.endOffset : null,
      lagMs: progress.lagMs(this.#nowMs),
      isInSync: syncSet.includes(progress.follower),
      hasLost: leader.hasLost(progress),
    }));
  }

  #notLeader(what: string): BrokerError {
    if (this.#idle === 'failed') return this.#storageFailed(what);
    const { self, key } = this.#options;
    const leader = this.#assignment?.leader ?? NO_BROKER;
    const leaderEpoch = this.#assignment?.leaderEpoch ?? 0;
    if (leader === NO_BROKER || this.#idle === 'spent')
      return new BrokerError(
        'LEADER_UNKNOWN',
        `${what} on ${key}: it has no leader in epoch ${leaderEpoch}`,
        { leaderEpoch },
      );
    const details: ErrorDetails = leader === self ? { leaderEpoch } : { leader, leaderEpoch };
    return new BrokerError(
      'NOT_LEADER',
      `${what} on ${key}: broker ${self} does not lead epoch ${leaderEpoch}, the leader is broker ${leader}`,
      details,
    );
  }

  /**
   * For appends that stand in the log: the epochs that follow decide whether they stay, so no
   * certain refusal may answer them.
   */
  #epochOver({ leader, leaderEpoch }: Assignment): BrokerError {
    const { self, key } = this.#options;
    return new BrokerError(
      'STALE_EPOCH',
      `Outcome of the append on ${key} is unknown: broker ${self} stopped leading before it was committed, the epoch is ${leaderEpoch}`,
      leader === self || leader === NO_BROKER ? { leaderEpoch } : { leader, leaderEpoch },
    );
  }

  #storageFailed(what: string): BrokerError {
    return new BrokerError(
      'STORAGE_FAILED',
      `${what} on ${this.#options.key}: a write of broker ${this.#options.self} failed`,
    );
  }
}
