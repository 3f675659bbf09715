/**
 * Changes of (S, q) that the leader asks the controller for: which one is due, and which ones may
 * come into force unseen. One is in flight at a time (rule 11); until its outcome is known, HW must
 * satisfy it as well (rule 12). Knows no logs: what a member has proved comes in as a
 * {@link MemberView}. Sources: KIP-497, KIP-841, KIP-903, docs/rules.md#sync-set-and-q.
 */
import type { BrokerError } from '../../base/errors.ts';
import { quorumTarget } from '../../base/quorum-target.ts';
import type { BrokerEpoch, BrokerId, MonotonicMs, PartitionEpoch } from '../../base/units.ts';
import type { CommitRule } from './high-water.ts';
import type { Assignment, ReplicaInfo, SyncSetProposal } from './types.ts';

/**
 * Pause after an answer before the next proposal: the assignment that the answer speaks of is on
 * its way.
 */
export const PROPOSAL_PAUSE_MS = 500;
/**
 * A change that was refused waits for twice as long each time, up to this, unless the row changes
 * before: others may be due meanwhile.
 */
export const REFUSED_PAUSE_MS_MAX = 30_000;

export type SyncSetChange = SyncSetProposal['change'];

type Condition = (change: SyncSetChange) => boolean;

/** What the leader knows of the members. */
export interface MemberView {
  /**
   * Broker epoch under which the replica's certificate stands (rule 13): matched in this epoch, at
   * or past HW and epoch start. Null: none.
   */
  certificate(member: BrokerId): BrokerEpoch | null;
  /**
   * Time since the member was caught up (rule 15); Infinity for a log that has lost what it once
   * acknowledged.
   */
  lagMs(member: BrokerId): number;
  /**
   * The member's log, matched in this epoch, has lost what it once acknowledged, whatever class it
   * registered with.
   */
  isLossy(member: BrokerId): boolean;
  /**
   * Successor that holds everything this leader ever appended, all of it committed, while it takes
   * no appends (rule 22). Null: none.
   */
  drainedFor(): BrokerId | null;
}

/**
 * A change that may be in force already, or yet come into force, under the present partition epoch.
 * Each proposal of it is one attempt or several, and each attempt that left this broker may arrive
 * at any time, also after the answer to a later one.
 */
interface Floating {
  readonly change: SyncSetChange;
  /**
   * An attempt of it has no certain answer: a refusal of another attempt proves nothing about that
   * one. Only a new partition epoch does.
   */
  isUnknown: boolean;
}

/** A change that the controller refused for certain. */
interface Refused {
  readonly change: SyncSetChange;
  pauseMs: number;
  untilMs: MonotonicMs;
}

export class SyncSetChanges {
  readonly #self: BrokerId;
  #lagMsMax: number;
  #assignment: Assignment;
  #floating: Floating[] = [];
  /** Bounded by the changes that one row can ask for. */
  #refused: Refused[] = [];
  #inFlight: { readonly proposalId: number; readonly floating: Floating } | null = null;
  #proposeAtMs: MonotonicMs;
  #nextProposalId = 1;
  /** Partition epoch under which a hand-over was last asked for. */
  #handOverEpoch: PartitionEpoch = 0;
  #rules: readonly CommitRule[] = [];

  constructor(
    options: { readonly self: BrokerId; readonly lagMsMax: number; readonly nowMs: MonotonicMs },
    assignment: Assignment,
  ) {
    this.#self = options.self;
    this.#lagMsMax = options.lagMsMax;
    this.#proposeAtMs = options.nowMs;
    this.#assignment = assignment;
    this.#updateRules();
  }

  setLagLimit(lagMsMax: number): void {
    this.#lagMsMax = lagMsMax;
  }

  /** Every (S, q) that HW must satisfy now (rule 12). */
  get rules(): readonly CommitRule[] {
    return this.#rules;
  }

  /**
   * Members of S that are unfenced and trusted: what `min` is compared with before an append (rule
   * 8).
   */
  get trustedCount(): number {
    const { syncSet, suspects, replicas } = this.#assignment;
    let count = 0;
    for (const { brokerId, fenced } of replicas) {
      if (!fenced && syncSet.includes(brokerId) && !suspects.includes(brokerId)) count += 1;
    }
    return count;
  }

  assign(assignment: Assignment): void {
    // Compare-and-set on the partition epoch: under a newer one, whatever floated was applied or
    // never will be.
    if (assignment.partitionEpoch > this.#assignment.partitionEpoch) this.#floating = [];
    // What was refused may be granted now: the row, its topic or one of its brokers is another.
    this.#refused = [];
    this.#assignment = assignment;
    this.#floating = this.#floating.filter(({ change }) => !this.#isVoid(change));
    this.#updateRules();
  }

  /** The controller has answered, or will not. Other proposals are ignored. */
  result(proposalId: number, error: BrokerError | null, nowMs: MonotonicMs): void {
    if (this.#inFlight?.proposalId !== proposalId) return;
    const { floating } = this.#inFlight;
    this.#inFlight = null;
    this.#proposeAtMs = nowMs + PROPOSAL_PAUSE_MS;
    const isRefused = error !== null && error.effect === 'none';
    if (isRefused && error.retry === 'no') this.#noteRefusal(floating.change, nowMs);
    // Rule 12: the joint condition ends here only if no other attempt ever left.
    if (!isRefused) floating.isUnknown = true;
    else if (!floating.isUnknown)
      this.#floating = this.#floating.filter((other) => other !== floating);
    this.#updateRules();
  }

  /** The change that is due, now in flight, or null. */
  propose(view: MemberView, nowMs: MonotonicMs): SyncSetProposal | null {
    if (this.#inFlight !== null) return null;
    const change =
      this.#handOver(view, nowMs) ?? (nowMs < this.#proposeAtMs ? null : this.#choose(view, nowMs));
    if (change === null) return null;
    let floating = this.#floating.find((other) => isSame(other.change, change));
    if (floating === undefined) {
      floating = { change, isUnknown: false };
      this.#floating.push(floating);
    }
    const proposalId = this.#nextProposalId;
    this.#nextProposalId += 1;
    this.#inFlight = { proposalId, floating };
    this.#updateRules();
    const { leaderEpoch, partitionEpoch } = this.#assignment;
    return { proposalId, leaderEpoch, partitionEpoch, change };
  }

  get isIdle(): boolean {
    return this.#inFlight === null;
  }

  /** Appends wait for this one, so its first try does not wait for the pause. */
  #handOver(view: MemberView, nowMs: MonotonicMs): SyncSetChange | null {
    const { partitionEpoch } = this.#assignment;
    const successor = view.drainedFor();
    if (successor === null || this.#replica(successor)?.stopping !== false) return null;
    if (this.#handOverEpoch === partitionEpoch && nowMs < this.#proposeAtMs) return null;
    this.#handOverEpoch = partitionEpoch;
    return { op: 'hand-over', successor };
  }

  /**
   * The first change that is due, in the order of what harm its delay does. What was refused lately
   * does not hold up the others.
   */
  #choose(view: MemberView, nowMs: MonotonicMs): SyncSetChange | null {
    const mayBe = (change: SyncSetChange): boolean =>
      this.#refused.every((refused) => nowMs >= refused.untilMs || !isSame(refused.change, change));
    return (
      this.#cancel(view, mayBe) ??
      this.#distrust(view, mayBe) ??
      this.#trust(view, mayBe) ??
      this.#add(view, mayBe) ??
      this.#raise(view, mayBe) ??
      this.#remove(view, mayBe)
    );
  }

  #noteRefusal(change: SyncSetChange, nowMs: MonotonicMs): void {
    const before = this.#refused.find((refused) => isSame(refused.change, change));
    const pauseMs = Math.min((before?.pauseMs ?? PROPOSAL_PAUSE_MS / 2) * 2, REFUSED_PAUSE_MS_MAX);
    const untilMs = nowMs + pauseMs;
    if (before === undefined) this.#refused.push({ change, pauseMs, untilMs });
    else Object.assign(before, { pauseMs, untilMs });
  }

  /**
   * An addition or a raise of unknown outcome holds HW for members that have since fallen behind or
   * died. To remove that member, in S or not, or to stay at the present q, moves the partition
   * epoch, and the change can no longer come into force.
   */
  #cancel(view: MemberView, mayBe: Condition): SyncSetChange | null {
    for (const { change, isUnknown } of this.#floating) {
      const cancelled = isUnknown ? this.#cancelOf(change, view) : null;
      if (cancelled !== null && mayBe(cancelled)) return cancelled;
    }
    return null;
  }

  #cancelOf(change: SyncSetChange, view: MemberView): SyncSetChange | null {
    const { quorum } = this.#assignment;
    if (change.op === 'add' && view.certificate(change.member) === null)
      return { op: 'remove', member: change.member };
    const isRaiseHopeless = change.op === 'raise' && this.#certifiedCount(view) < change.quorum;
    return isRaiseHopeless ? { op: 'raise', quorum } : null;
  }

  /**
   * P7: a member that has lost what it acknowledged is no evidence. One that can be spared is
   * removed; one that cannot be stays as a suspect, so that nobody elects it while it catches up.
   * Until then it may be elected, so this comes before any addition.
   */
  #distrust(view: MemberView, mayBe: Condition): SyncSetChange | null {
    const { syncSet, suspects, quorum, minInSyncReplicas } = this.#assignment;
    const op = quorum - 1 >= minInSyncReplicas ? 'remove' : 'distrust';
    for (const member of syncSet) {
      if (member === this.#self || suspects.includes(member) || !view.isLossy(member)) continue;
      const change: SyncSetChange = { op, member };
      if (mayBe(change)) return change;
    }
    return null;
  }

  /**
   * P8: a suspect that has passed HW and epoch start in this epoch and incarnation is evidence
   * again.
   */
  #trust(view: MemberView, mayBe: Condition): SyncSetChange | null {
    for (const member of this.#assignment.suspects) {
      const memberEpoch = view.certificate(member);
      if (memberEpoch === null) continue;
      const change: SyncSetChange = { op: 'trust', member, memberEpoch };
      if (mayBe(change)) return change;
    }
    return null;
  }

  /**
   * Rule 13. In quorum mode an addition would be safe without the certificate; the rule is one for
   * both.
   */
  #add(view: MemberView, mayBe: Condition): SyncSetChange | null {
    for (const { brokerId: member, fenced, stopping } of this.#assignment.replicas) {
      if (fenced || stopping || this.#assignment.syncSet.includes(member)) continue;
      const memberEpoch = view.certificate(member);
      if (memberEpoch === null) continue;
      const change: SyncSetChange = { op: 'add', member, memberEpoch };
      if (mayBe(change)) return change;
    }
    return null;
  }

  /**
   * Raising q needs certificates of q + 1 trusted members, the leader's own among them. The
   * controller aims at the same q.
   */
  #raise(view: MemberView, mayBe: Condition): SyncSetChange | null {
    const { syncSet, quorum, leaving = [], commitMode, minInSyncReplicas } = this.#assignment;
    const [members, leavingCount] = [syncSet.length, leaving.length];
    const aim = quorumTarget({ commitMode, minInSyncReplicas, members, leaving: leavingCount });
    if (quorum >= aim || this.#certifiedCount(view) <= quorum) return null;
    const change: SyncSetChange = { op: 'raise', quorum: quorum + 1 };
    return mayBe(change) ? change : null;
  }

  /**
   * Members of S whose logs are evidence and hold everything committed, the leader's own among
   * them.
   */
  #certifiedCount(view: MemberView): number {
    const { syncSet, suspects } = this.#assignment;
    const isCertified = (member: BrokerId): boolean =>
      !suspects.includes(member) && (member === this.#self || view.certificate(member) !== null);
    return syncSet.filter(isCertified).length;
  }

  /**
   * Rule 15, and never below min (rule 16): a member that cannot be spared stays and freezes HW.
   */
  #remove(view: MemberView, mayBe: Condition): SyncSetChange | null {
    const { syncSet, quorum, minInSyncReplicas } = this.#assignment;
    if (quorum - 1 < minInSyncReplicas) return null;
    let slowest: SyncSetChange | null = null;
    let lagMsMost = this.#lagMsMax;
    for (const member of syncSet) {
      const lagMs = member === this.#self ? 0 : view.lagMs(member);
      if (lagMs < lagMsMost) continue;
      const change: SyncSetChange = { op: 'remove', member };
      if (!mayBe(change)) continue;
      slowest = change;
      lagMsMost = lagMs;
    }
    return slowest;
  }

  /**
   * The controller compares the member's registered epoch (KIP-903): an addition of an incarnation
   * that is gone never comes into force.
   */
  #isVoid(change: SyncSetChange): boolean {
    if (change.op !== 'add') return false;
    const registered = this.#replica(change.member);
    return registered !== undefined && registered.brokerEpoch > change.memberEpoch;
  }

  #replica(member: BrokerId): ReplicaInfo | undefined {
    return this.#assignment.replicas.find(({ brokerId }) => brokerId === member);
  }

  #updateRules(): void {
    const { syncSet, quorum } = this.#assignment;
    const rules: CommitRule[] = [{ syncSet, quorum }];
    for (const { change } of this.#floating) {
      // HW waits for whom this leader has asked to add (rule 10). A removal (S - x, q - 1), a trust
      // and a distrust ask no more than (S, q). For an addition q + 1 is the stricter of the two
      // modes: the mode may be switched before the proposal is judged.
      if (change.op === 'add' && !syncSet.includes(change.member))
        rules.push({ syncSet: [...syncSet, change.member], quorum: quorum + 1 });
      if (change.op === 'raise' && change.quorum > quorum)
        rules.push({ syncSet, quorum: change.quorum });
    }
    this.#rules = rules;
  }
}

function isSame(one: SyncSetChange, other: SyncSetChange): boolean {
  if (one.op === 'hand-over' || other.op === 'hand-over')
    return one.op === 'hand-over' && other.op === 'hand-over' && one.successor === other.successor;
  if (one.op === 'raise' || other.op === 'raise')
    return one.op === 'raise' && other.op === 'raise' && one.quorum === other.quorum;
  if (one.op !== other.op || one.member !== other.member) return false;
  const memberEpochOf = (change: typeof one): BrokerEpoch | null =>
    'memberEpoch' in change ? change.memberEpoch : null;
  return memberEpochOf(one) === memberEpochOf(other);
}
