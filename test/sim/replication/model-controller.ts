/**
 * The controller as the partition core may rely on it: linearizable, compare-and-set, and by
 * docs/rules.md#sync-set-and-q. What it does not model is how that is decided: metadata consensus
 * has its own tests.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import { bestLog, lacksBeginning, lossStart } from '../../../broker/metadata/leader-election.ts';
import type { LogEnd } from '../../../broker/metadata/leader-election.ts';
import type { Assignment, SyncSetProposal } from '../../../broker/replication/types.ts';

interface Registration {
  epoch: number;
  fenced: boolean;
}

export interface ModelState extends Assignment {
  readonly version: number;
}

/** What the world tells the controller of the brokers. */
export interface ControllerView {
  /**
   * The log of a replica that is up, reachable, of this incarnation and sealed at `leaderEpoch`;
   * else null.
   */
  inspect(brokerId: number, brokerEpoch: number, leaderEpoch: number): LogEnd | null;
  changed(what: string): void;
  elected(leader: number): void;
  /** Every record that may be lost stands at `fromOffset` or above. */
  electedUncleanly(leader: number, fromOffset: number): void;
}

type Change = Partial<
  Pick<
    Assignment,
    | 'leader'
    | 'leaderEpoch'
    | 'syncSet'
    | 'quorum'
    | 'suspects'
    | 'uncleanEpoch'
    | 'commitMode'
    | 'successor'
  >
>;

export class ModelController {
  readonly #random: Random;
  readonly #view: ControllerView;
  readonly #brokers: Registration[];
  #lastEpoch: number;
  #version = 1;
  #state: Omit<Assignment, 'replicas'>;

  constructor(
    options: { brokers: number; min: number; commitMode: 'in-sync' | 'quorum'; random: Random },
    view: ControllerView,
  ) {
    this.#random = options.random;
    this.#view = view;
    this.#brokers = Array.from({ length: options.brokers }, () => ({ epoch: 0, fenced: true }));
    this.#lastEpoch = 0;
    const syncSet = this.#brokers.map((_, index) => index);
    const quorum =
      options.commitMode === 'in-sync'
        ? options.brokers
        : Math.max(options.min, Math.floor(options.brokers / 2) + 1);
    this.#state = {
      leader: -1,
      leaderEpoch: 1,
      partitionEpoch: 1,
      syncSet,
      quorum,
      suspects: [],
      uncleanEpoch: 0,
      minInSyncReplicas: options.min,
      commitMode: options.commitMode,
      batchBytesMax: 1_000,
      successor: -1,
    };
  }

  get state(): ModelState {
    const replicas = this.#brokers.map(({ epoch, fenced }, brokerId) => ({
      brokerId,
      brokerEpoch: epoch,
      fenced,
      stopping: false,
    }));
    return { ...this.#state, replicas, version: this.#version };
  }

  isCurrent(brokerId: number, epoch: number): boolean {
    return this.#broker(brokerId).epoch === epoch;
  }

  register(brokerId: number, isLossy: boolean): number {
    this.#lastEpoch += 1;
    const broker = this.#broker(brokerId);
    broker.epoch = this.#lastEpoch;
    broker.fenced = true;
    const change: { -readonly [Key in keyof Change]: Change[Key] } = {};
    const { syncSet, quorum, minInSyncReplicas, suspects, leader } = this.#state;
    if (leader === brokerId)
      Object.assign(change, { leader: -1, leaderEpoch: this.#state.leaderEpoch + 1 });
    if (isLossy && syncSet.includes(brokerId)) {
      // P7: out of S at once, or suspect where that would break min.
      if (quorum - 1 >= minInSyncReplicas) Object.assign(change, this.#without(brokerId));
      else if (!suspects.includes(brokerId)) change.suspects = [...suspects, brokerId];
    }
    this.#commit(change, `register ${brokerId} epoch ${broker.epoch}${isLossy ? ' lossy' : ''}`);
    return broker.epoch;
  }

  fence(brokerId: number): void {
    const broker = this.#broker(brokerId);
    if (broker.fenced) return;
    broker.fenced = true;
    const change: Change =
      this.#state.leader === brokerId
        ? { leader: -1, leaderEpoch: this.#state.leaderEpoch + 1 }
        : {};
    this.#commit(
      { ...change, ...(this.#maySpare(brokerId) ? this.#without(brokerId) : {}) },
      `fence ${brokerId}`,
    );
    this.elect();
  }

  unfence(brokerId: number, epoch: number): void {
    const broker = this.#broker(brokerId);
    if (broker.epoch !== epoch || !broker.fenced) return;
    broker.fenced = false;
    this.#commit({}, `unfence ${brokerId}`);
    this.elect();
  }

  /**
   * A planned move: the leader is asked to hand over (rule 22), or it is moved without being asked.
   * A second one takes the first back.
   */
  move(): void {
    const { leader, syncSet, suspects, successor } = this.#state;
    if (leader === -1) return;
    const able = syncSet.filter(
      (member) => member !== leader && !suspects.includes(member) && !this.#broker(member).fenced,
    );
    if (successor !== -1 || (able.length > 0 && this.#random.chance(0.7))) {
      const next = successor === -1 ? this.#random.pick(able) : -1;
      this.#commit({ successor: next }, `successor ${next}`);
      return;
    }
    this.depose();
  }

  /** The leader is moved without being asked. */
  depose(): void {
    const { leader, leaderEpoch } = this.#state;
    if (leader === -1) return;
    this.#commit({ leader: -1, leaderEpoch: leaderEpoch + 1 }, 'move');
    this.elect();
  }

  setMode(commitMode: 'in-sync' | 'quorum'): void {
    const { quorum, minInSyncReplicas } = this.#state;
    const majority = Math.max(minInSyncReplicas, Math.floor(this.#brokers.length / 2) + 1);
    // Lowering q is always safe; raising it is the leader's to ask for.
    this.#commit(
      { commitMode, quorum: commitMode === 'quorum' ? Math.min(quorum, majority) : quorum },
      `mode ${commitMode}`,
    );
  }

  /**
   * Elects from trusted logs if there are enough; called again and again while there is no leader.
   */
  elect(): void {
    const { leader, syncSet, quorum, suspects, leaderEpoch } = this.#state;
    if (leader !== -1) return;
    const trusted = syncSet.filter((member) => !suspects.includes(member));
    if (quorum === syncSet.length) {
      const candidates = trusted.filter((member) => !this.#broker(member).fenced);
      if (candidates.length > 0) this.#lead(this.#random.pick(candidates));
      return;
    }
    const answers = this.#inspect(trusted);
    const unfit = answers.find(lacksBeginning);
    if (unfit !== undefined) {
      this.#commit(this.#distrusted(unfit.brokerId), `distrust ${unfit.brokerId}`);
      return;
    }
    if (answers.length < syncSet.length - quorum + 1) return;
    const best = bestLog(
      answers,
      answers.map(({ brokerId }) => brokerId),
    );
    if (this.#broker(best.brokerId).fenced) return;
    this.#commit(
      { leader: best.brokerId },
      `elect ${best.brokerId} epoch ${leaderEpoch} of ${answers.length} logs`,
    );
    this.#view.elected(best.brokerId);
  }

  /** P11: every replica answers, the largest (epoch, end) wins, the loss is reported. */
  electUncleanly(): void {
    const { leader, leaderEpoch } = this.#state;
    if (leader !== -1) return;
    const everybody = this.#brokers.map((_, index) => index);
    const answers = this.#inspect(everybody);
    if (answers.length < this.#brokers.length) return;
    const best = bestLog(answers, everybody);
    if (this.#broker(best.brokerId).fenced) return;
    const { uncleanEpoch } = this.#state;
    const fromOffset = lossStart({ leader, leaderEpoch, uncleanEpoch }, best);
    this.#commit(
      {
        leader: best.brokerId,
        leaderEpoch: leaderEpoch + 1,
        uncleanEpoch: leaderEpoch + 1,
        syncSet: [best.brokerId],
        quorum: 1,
        suspects: [],
      },
      `elect ${best.brokerId} uncleanly`,
    );
    this.#view.electedUncleanly(best.brokerId, fromOffset);
  }

  alter(from: number, fromEpoch: number, proposal: SyncSetProposal): BrokerError | null {
    const { leader, leaderEpoch, partitionEpoch } = this.#state;
    const isCurrent =
      from === leader && this.isCurrent(from, fromEpoch) && proposal.leaderEpoch === leaderEpoch;
    if (!isCurrent || proposal.partitionEpoch !== partitionEpoch)
      return new BrokerError('STALE_EPOCH', 'compare-and-set failed');
    const change = this.#judge(proposal.change);
    if (change === null)
      return new BrokerError('REFUSED', `change ${JSON.stringify(proposal.change)} is not allowed`);
    this.#commit(change, `alter by ${from}: ${JSON.stringify(proposal.change)}`);
    if (proposal.change.op === 'hand-over') this.#view.elected(proposal.change.successor);
    this.elect();
    return null;
  }

  #judge(change: SyncSetProposal['change']): Change | null {
    const { syncSet, quorum, suspects, commitMode } = this.#state;
    if (change.op === 'raise')
      return change.quorum === quorum + 1 && change.quorum <= syncSet.length
        ? { quorum: change.quorum }
        : null;
    if (change.op === 'hand-over') {
      const { successor, leaderEpoch } = this.#state;
      return change.successor === successor
        ? { leader: successor, leaderEpoch: leaderEpoch + 1 }
        : null;
    }
    const broker = this.#broker(change.member);
    if (change.op === 'remove') {
      if (!syncSet.includes(change.member)) return { syncSet };
      return this.#maySpare(change.member) ? this.#without(change.member) : null;
    }
    if (change.op === 'distrust') {
      if (!syncSet.includes(change.member) || suspects.includes(change.member)) return null;
      const { leader, leaderEpoch } = this.#state;
      const isOfItself = change.member === leader;
      return {
        ...this.#distrusted(change.member),
        ...(isOfItself ? { leader: -1, leaderEpoch: leaderEpoch + 1 } : {}),
      };
    }
    if (broker.fenced || broker.epoch !== change.memberEpoch) return null;
    if (change.op === 'trust')
      return suspects.includes(change.member)
        ? { suspects: suspects.filter((member) => member !== change.member) }
        : null;
    if (syncSet.includes(change.member)) return null;
    return {
      syncSet: [...syncSet, change.member],
      quorum: commitMode === 'in-sync' ? quorum + 1 : quorum,
    };
  }

  #lead(leader: number): void {
    this.#commit(
      { leader, leaderEpoch: this.#state.leaderEpoch + 1 },
      `elect ${leader} epoch ${this.#state.leaderEpoch + 1}`,
    );
    this.#view.elected(leader);
  }

  /** The state is leaderless at its epoch: the replicas seal at it. */
  #inspect(members: readonly number[]): LogEnd[] {
    const { leaderEpoch } = this.#state;
    return members.flatMap(
      (brokerId) => this.#view.inspect(brokerId, this.#broker(brokerId).epoch, leaderEpoch) ?? [],
    );
  }

  #distrusted(member: number): Change {
    return this.#maySpare(member)
      ? this.#without(member)
      : { suspects: [...this.#state.suspects, member] };
  }

  /** q - 1 >= min, and the rest still holds enough evidence for an election. */
  #maySpare(member: number): boolean {
    const { syncSet, quorum, minInSyncReplicas, suspects } = this.#state;
    if (!syncSet.includes(member) || quorum - 1 < minInSyncReplicas) return false;
    const trustedLeft = syncSet.filter(
      (other) => other !== member && !suspects.includes(other),
    ).length;
    return trustedLeft >= syncSet.length - quorum + 1;
  }

  #without(member: number): Change {
    const { syncSet, quorum, suspects } = this.#state;
    return {
      syncSet: syncSet.filter((other) => other !== member),
      quorum: quorum - 1,
      suspects: suspects.filter((other) => other !== member),
    };
  }

  #commit(change: Change, what: string): void {
    this.#version += 1;
    const { syncSet, suspects, successor, leader } = { ...this.#state, ...change };
    const isSuccessorKept =
      leader === this.#state.leader &&
      syncSet.includes(successor) &&
      !suspects.includes(successor) &&
      !this.#broker(successor).fenced;
    const isPartitionChanged =
      Object.keys(change).length > 0 || (successor !== -1 && !isSuccessorKept);
    this.#state = {
      ...this.#state,
      ...change,
      successor: isSuccessorKept ? successor : -1,
      partitionEpoch: this.#state.partitionEpoch + (isPartitionChanged ? 1 : 0),
    };
    this.#view.changed(what);
  }

  #broker(brokerId: number): Registration {
    return this.#brokers[brokerId] as Registration;
  }
}
