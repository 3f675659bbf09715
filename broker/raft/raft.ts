/**
 * The metadata consensus core: one replica of the quorum's log as a deterministic function of its
 * seed and its inputs. This file dispatches; the rules stand in `election`, `replicate`,
 * `membership`, `snapshot`, `read` and `transfer`.
 *
 * The caller's duties: carry out `writes` in order and report them with `persisted`; send `send`
 * when it likes, `sendAfter` only once its write is durable; apply `restore`, then `committed`;
 * stop for good when `deposed` is set.
 */
import { assertNever } from '../../base/assert.ts';
import { Core } from './core.ts';
import {
  isDisturbing,
  onEligible,
  onLeaderUnreachable,
  onPreVote,
  onPreVoteReply,
  onTimeoutNow,
  onVote,
  onVoteDurable,
  onVoteReply,
  tickFollower,
  tickLeader,
  ticksAtRest,
} from './election.ts';
import { messageFault } from './faults.ts';
import { checkLog, checkStep, markOf } from './invariants.ts';
import { textBytes } from './log.ts';
import { onChangeVoters, onFollow, onFollowReply, tickFollow } from './membership.ts';
import { isSamePeer, peerKey } from './peer.ts';
import { onRead } from './read.ts';
import {
  advanceCommit,
  appendEntry,
  heartbeat,
  onAppend,
  onAppendAccepted,
  onAppendRejected,
  sendEntries,
} from './replicate.ts';
import { onCompact, onSnapshot, onSnapshotReply } from './snapshot.ts';
import { onTransfer } from './transfer.ts';
import type {
  Durable,
  Entry,
  Peer,
  RaftInput,
  RaftMessage,
  RaftOptions,
  RaftOutput,
  RaftStatus,
} from './types.ts';

/**
 * What the disk of a group's first voters holds before anything happened: formation is this one
 * explicit act (docs/rules.md#formation).
 */
export function bootstrap(voters: Peer | readonly Peer[]): Durable {
  const list = 'brokerId' in voters ? [voters] : voters;
  return {
    hardState: { term: 1, vote: null },
    snapshot: { index: 1, term: 1, voters: list, data: '' },
    entries: [],
  };
}

/** What an unformatted disk holds: such a node learns, and never forms a group by itself. */
export const EMPTY_DURABLE: Durable = {
  hardState: { term: 0, vote: null },
  snapshot: null,
  entries: [],
};

/** One replica. */
export class Raft {
  readonly #core: Core;

  constructor(options: RaftOptions, durable: Durable) {
    const isEmpty =
      durable.snapshot === null && durable.entries.length === 0 && durable.hardState.term === 0;
    const voters = options.bootstrapVoters ?? null;
    this.#core = new Core(options, isEmpty ? EMPTY_DURABLE : durable);
    if (isEmpty && voters !== null) this.#core.form(bootstrap(voters));
  }

  /**
   * Takes one input; total and synchronous. The application takes `durable.snapshot` by itself at
   * start: only later ones come as `restore`. Throws {@link AssertionError} only for a defect of
   * this program or its caller.
   */
  step(input: RaftInput): RaftOutput {
    const core = this.#core;
    if (core.deposed === null) {
      const before = markOf(core);
      this.#dispatch(input);
      checkStep(before, core);
    }
    return core.takeOutput();
  }

  status(): RaftStatus {
    return this.#core.status();
  }

  /** How many of the next ticks do nothing unless another input comes; 0: the next may. */
  ticksAtRest(): number {
    return ticksAtRest(this.#core);
  }

  /** The entry at `index`; null when it does not exist or was compacted away. */
  entryAt(index: number): Entry | null {
    return this.#core.log.entryAt(index);
  }

  /**
   * Term of the entry at `index`, also where the entry itself has just been compacted away; null
   * when unknown.
   */
  termAt(index: number): number | null {
    return this.#core.log.termAt(index);
  }

  /** Reads the whole log and throws if it breaks an invariant; for tests. */
  checkLog(): void {
    checkLog(this.#core.log);
  }

  #dispatch(input: RaftInput): void {
    const core = this.#core;
    switch (input.kind) {
      case 'tick':
        this.#tick();
        return;
      case 'message':
        if (isSamePeer(input.to, core.self)) this.#receive(input.from, input.message);
        return;
      case 'propose':
        this.#propose(input.id, input.data);
        return;
      case 'read':
        this.#read(input.id);
        return;
      case 'persisted':
        core.persisted(input.writeId);
        onVoteDurable(core);
        if (core.leading !== null) advanceCommit(core, core.leading);
        return;
      case 'change-voters':
        this.#changeVoters(input.id, input.voters);
        return;
      case 'transfer':
        if (core.leading !== null) onTransfer(core, core.leading, input.to);
        return;
      case 'compact':
        onCompact(core, input.index, input.data);
        return;
      case 'incarnations':
        core.incarnationsKnown = input.known;
        this.#checkIncarnation(core.incarnationsKnown.get(peerKey(core.self)) ?? 0);
        return;
      case 'own-incarnation':
        core.raiseIncarnation(input.incarnation);
        return;
      case 'resign':
        if (core.leading !== null) core.becomeFollower(core.term, null);
        return;
      case 'eligible':
        onEligible(core, input.isEligible);
        return;
      case 'seeds':
        core.seeds = input.peers;
        return;
      case 'peer-unreachable':
        this.#unreachable(input.peer);
        return;
      default:
        assertNever(input);
    }
  }

  #tick(): void {
    const core = this.#core;
    core.now += 1;
    if (core.leading !== null) tickLeader(core, core.leading);
    else tickFollower(core);
    tickFollow(core);
  }

  #read(id: number): void {
    const core = this.#core;
    const { leading } = core;
    if (leading === null) core.answerRead(id, core.notLeader());
    else if (onRead(core, leading, id)) heartbeat(core, leading);
  }

  #changeVoters(id: number, voters: readonly Peer[]): void {
    const core = this.#core;
    const { leading } = core;
    if (leading === null) {
      core.answerProposal(id, core.notLeader());
      return;
    }
    onChangeVoters(core, leading, id, voters);
    advanceCommit(core, leading);
  }

  #propose(id: number, data: string): void {
    const core = this.#core;
    const { leading } = core;
    const { appendBytesMax, proposalsPendingMax } = core.settings;
    if (leading === null) core.answerProposal(id, core.notLeader());
    else if (leading.transfer !== null)
      core.answerProposal(id, core.refusal('BUSY', 'leadership is being transferred'));
    else if (leading.pending.size >= proposalsPendingMax)
      core.answerProposal(
        id,
        core.refusal('BUSY', `${leading.pending.size} proposals are pending, which is the limit`),
      );
    else if (textBytes(data) > appendBytesMax)
      core.answerProposal(
        id,
        core.refusal(
          'REFUSED',
          `data has ${textBytes(data)} bytes, at most ${appendBytesMax} are allowed`,
        ),
      );
    else {
      const fault = core.settings.entryFault(data);
      if (fault === null) leading.pending.set(appendEntry(core, leading, 'data', data), id);
      else core.answerProposal(id, core.refusal('REFUSED', `data cannot be read: ${fault}`));
    }
  }

  #unreachable(peer: Peer): void {
    const core = this.#core;
    if (core.leading !== null) {
      // What was in flight is lost: the next heartbeat finds out what arrived.
      const progress = core.leading.progress.get(peerKey(peer));
      if (progress?.state === 'replicate') progress.probeFrom(progress.matchIndex + 1);
      return;
    }
    if (isSamePeer(peer, core.leader)) onLeaderUnreachable(core);
  }

  /**
   * A peer or committed metadata knows a later incarnation of this directory: it is an old copy,
   * which must neither vote nor acknowledge.
   */
  #checkIncarnation(known: number): boolean {
    const core = this.#core;
    const { incarnation } = core;
    if (known <= incarnation) return true;
    core.becomeFollower(core.term, null);
    const { brokerId, directoryId } = core.self;
    core.deposed =
      `directory ${directoryId} of broker ${brokerId} was put back to an earlier state, or a process that runs on a copy of it has taken this one's place: ` +
      `incarnation ${known} is known, this one is ${incarnation}`;
    return false;
  }

  #receive(from: Peer, message: RaftMessage): void {
    const core = this.#core;
    const fault = messageFault(core, from, message);
    if (fault !== null) {
      core.refuse(from, message.kind, fault);
      return;
    }
    if (!this.#checkIncarnation(message.toIncarnation)) return;
    if (message.incarnation < core.incarnationOf(from)) {
      this.#refuseOldIncarnation(from, message);
      return;
    }
    core.noteIncarnation(from, message.incarnation);
    if (message.term > core.term && !this.#adoptTerm(message)) return;
    if (message.term < core.term) {
      this.#answerOldTerm(from, message);
      return;
    }
    this.#handle(from, message);
  }

  /**
   * An old copy, or a message delayed since an earlier start, counts for nothing; the answer
   * carries the incarnation that is known.
   */
  #refuseOldIncarnation(from: Peer, message: RaftMessage): void {
    const core = this.#core;
    if (message.kind === 'vote') core.send(from, { kind: 'vote-reply', isGranted: false });
    else if (message.kind === 'pre-vote')
      core.send(from, {
        kind: 'pre-vote-reply',
        campaignTerm: message.campaignTerm,
        isGranted: false,
        leader: null,
      });
    else if (message.kind === 'follow') core.send(from, { kind: 'follow-reply', leader: null });
  }

  /** Enters the higher term of a message; false when the message is to be dropped instead. */
  #adoptTerm(message: RaftMessage): boolean {
    const core = this.#core;
    if (message.kind === 'pre-vote') return true;
    if (message.kind === 'vote' && isDisturbing(core, message)) return false;
    core.becomeFollower(message.term, null);
    return true;
  }

  /**
   * Tells an overtaken leader or candidate the present term; a node that seeks a leader may well be
   * behind.
   */
  #answerOldTerm(from: Peer, message: RaftMessage): void {
    const core = this.#core;
    switch (message.kind) {
      case 'pre-vote':
        onPreVote(core, from, message);
        return;
      case 'vote':
        core.send(from, { kind: 'vote-reply', isGranted: false });
        return;
      case 'append':
      case 'snapshot':
        core.send(from, {
          kind: 'append-rejected',
          rejectedIndex: 0,
          hintIndex: 0,
          hintTerm: 0,
          lastIndex: core.log.lastIndex,
          round: 0,
        });
        return;
      case 'follow':
        onFollow(core, from, message);
        return;
      case 'follow-reply':
        onFollowReply(core, message);
        return;
      case 'pre-vote-reply':
      case 'vote-reply':
      case 'append-accepted':
      case 'append-rejected':
      case 'snapshot-reply':
      case 'timeout-now':
        // An answer to, or an order of, a leadership or candidacy that is over.
        return;
      default:
        assertNever(message);
    }
  }

  #handle(from: Peer, message: RaftMessage): void {
    const core = this.#core;
    switch (message.kind) {
      case 'pre-vote':
        onPreVote(core, from, message);
        return;
      case 'pre-vote-reply':
        onPreVoteReply(core, from, message);
        return;
      case 'vote':
        onVote(core, from, message);
        return;
      case 'vote-reply':
        onVoteReply(core, from, message);
        return;
      case 'append':
        core.hearLeader(from);
        onAppend(core, from, message);
        return;
      case 'snapshot':
        core.hearLeader(from);
        onSnapshot(core, from, message);
        return;
      case 'append-accepted':
      case 'append-rejected':
      case 'snapshot-reply':
        this.#answered(from, message);
        return;
      case 'timeout-now':
        onTimeoutNow(core);
        return;
      case 'follow':
        onFollow(core, from, message);
        return;
      case 'follow-reply':
        onFollowReply(core, message);
        return;
      default:
        assertNever(message);
    }
  }

  /** A replica answered its leader. */
  #answered(
    from: Peer,
    message: RaftMessage & {
      readonly kind: 'append-accepted' | 'append-rejected' | 'snapshot-reply';
    },
  ): void {
    const core = this.#core;
    const { leading } = core;
    const progress = leading?.progress.get(peerKey(from));
    if (leading === null || progress === undefined) return;
    progress.heardAt = core.now;
    if (message.kind === 'append-accepted') onAppendAccepted(core, leading, progress, message);
    else if (message.kind === 'append-rejected') onAppendRejected(core, leading, progress, message);
    else onSnapshotReply(core, progress, message);
    if (core.leading === leading) sendEntries(core, leading, progress);
  }
}
