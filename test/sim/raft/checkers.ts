/**
 * One checker per property of a Raft group (thesis figure 3.2; invariant (m);
 * docs/rules.md#metadata-quorum). Each sees every step and every message of every replica, and
 * throws a {@link Violation} with the property's name.
 */
import { peerKey } from '../../../broker/raft/peer.ts';
import { isSamePeer } from '../../../broker/raft/peer.ts';
import type {
  Entry,
  Envelope,
  Peer,
  PeerKey,
  RaftInput,
  RaftOutput,
} from '../../../broker/raft/types.ts';
import { History } from './history.ts';
import type { SimNode } from './node.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface Checker {
  /** After a step of a running replica, before its output is carried out. */
  onStep?(node: SimNode, output: RaftOutput, input: RaftInput): void;
  /** When a message really leaves. */
  onSend?(node: SimNode, envelope: Envelope): void;
  onStart?(node: SimNode): void;
  onAnswer?(
    kind: 'propose' | 'read',
    request: Request,
    output: RaftOutput['proposals'][number],
  ): void;
  atEnd?(nodes: readonly SimNode[]): void;
}

export interface Request {
  readonly data: string;
  /** Nobody proposes the same data again. */
  readonly isUnique: boolean;
  /** End of the committed history when it was made. */
  readonly committedBefore: number;
}

function fail(property: string, message: string): never {
  throw new Violation(`${property}: ${message}`);
}

/** At most one leader per term. */
export class ElectionSafety implements Checker {
  readonly #leaders = new Map<number, PeerKey>();

  onStep(node: SimNode, { status }: RaftOutput): void {
    if (status.role !== 'leader') return;
    const leader = this.#leaders.get(status.term);
    if (leader !== undefined && leader !== node.key)
      fail('election safety', `${leader} and ${node.key} both lead term ${status.term}`);
    this.#leaders.set(status.term, node.key);
  }
}

/**
 * Two logs that share (index, term) are equal up to there: each such pair has one content and one
 * predecessor.
 */
export class LogMatching implements Checker {
  readonly #seen = new Map<string, string>();

  onStep(node: SimNode, { writes }: RaftOutput): void {
    for (const write of writes) {
      if (write.kind !== 'append') continue;
      for (const entry of write.entries) this.#compare(node, entry);
    }
  }

  #compare(node: SimNode, entry: Entry): void {
    const key = `${entry.index}@${entry.term}`;
    const value = `${node.raft?.termAt(entry.index - 1)}|${entry.kind}|${entry.data}`;
    const seen = this.#seen.get(key);
    if (seen !== undefined && seen !== value)
      fail('log matching', `${node.key} has ${value} at ${key}, another had ${seen}`);
    this.#seen.set(key, value);
  }
}

/**
 * Committed entries never change, every replica applies all of them in order, and a restored image
 * is that of its index.
 */
export class StateMachineSafety implements Checker {
  readonly history: History;

  constructor(history: History) {
    this.history = history;
  }

  onStep(node: SimNode, { restore, committed, status }: RaftOutput): void {
    let applied = node.image.index;
    if (restore !== null) {
      const image = node.imageOf(restore);
      if (image.index !== restore.index || image.hash !== this.history.hashAt(restore.index))
        fail('state machine safety', `${node.key} restored a wrong image at ${restore.index}`);
      applied = restore.index;
    }
    for (const entry of committed) {
      if (entry.index !== applied + 1)
        fail('state machine safety', `${node.key} was given ${entry.index} after ${applied}`);
      applied = entry.index;
      if (entry.index > this.history.lastIndex) this.history.push(entry, status.term);
      const known = this.history.at(entry.index);
      if (known?.term !== entry.term || known.data !== entry.data)
        fail(
          'state machine safety',
          `${node.key} committed ${entry.term}:${entry.data} at ${entry.index}, known is ${known?.term}:${known?.data}`,
        );
    }
    if (applied !== status.commitIndex)
      fail(
        'state machine safety',
        `${node.key} applied ${applied}, commit index is ${status.commitIndex}`,
      );
  }

  atEnd(nodes: readonly SimNode[]): void {
    for (const node of nodes) {
      if (
        node.image.index !== this.history.lastIndex ||
        node.image.hash !== this.history.hashAt(this.history.lastIndex)
      )
        fail(
          'state machine safety',
          `${node.key} ends at ${node.image.index}, the history at ${this.history.lastIndex}`,
        );
    }
  }
}

/** A leader holds every entry that leaders of earlier terms committed. */
export class LeaderCompleteness implements Checker {
  readonly history: History;
  readonly #checked = new Map<PeerKey, number>();

  constructor(history: History) {
    this.history = history;
  }

  onStep(node: SimNode, { status }: RaftOutput): void {
    if (status.role !== 'leader' || this.#checked.get(node.key) === status.term) return;
    this.#checked.set(node.key, status.term);
    for (let index = this.history.lastIndex; index > status.snapshotIndex; index -= 1) {
      const entry = this.history.at(index);
      if (entry === null || entry.byTerm >= status.term) continue;
      if (node.raft?.termAt(index) !== entry.term)
        fail(
          'leader completeness',
          `${node.key} leads term ${status.term} without ${index}@${entry.term}, committed in term ${entry.byTerm}`,
        );
    }
  }
}

/**
 * Within one start, the commit index and the term only rise; from start to start, the term does.
 */
export class Monotony implements Checker {
  readonly #last = new Map<PeerKey, { term: number; commitIndex: number; incarnation: number }>();

  onStep(node: SimNode, { status: { term, commitIndex } }: RaftOutput): void {
    const last = this.#last.get(node.key);
    const { incarnation } = node.disk;
    if (last?.incarnation === incarnation && (term < last.term || commitIndex < last.commitIndex))
      fail(
        'monotony',
        `${node.key} fell from ${JSON.stringify(last)} to term ${term}, commit index ${commitIndex}`,
      );
    this.#last.set(node.key, { term, commitIndex, incarnation });
  }
}

/** A vote, once told, stands for its term, whatever crash follows. */
export class VoteOnce implements Checker {
  readonly #votes = new Map<string, PeerKey>();

  onSend(node: SimNode, { to, message }: Envelope): void {
    if (message.kind === 'vote') this.#vote(node.key, message.term, node.key);
    if (message.kind === 'vote-reply' && message.isGranted)
      this.#vote(node.key, message.term, peerKey(to));
  }

  #vote(voter: PeerKey, term: number, candidate: PeerKey): void {
    const key = `${voter}@${term}`;
    const earlier = this.#votes.get(key);
    if (earlier !== undefined && earlier !== candidate)
      fail('vote once', `${voter} voted for ${earlier} and ${candidate} in term ${term}`);
    this.#votes.set(key, candidate);
  }
}

/** What a message states to be durable is on disk when it leaves. */
export class DurableBeforeTold implements Checker {
  onSend(node: SimNode, { to, message }: Envelope): void {
    const { durable, lastIndex } = node.disk;
    // One sync may carry a later term too, whose leader replaced what an earlier one wrote: that
    // can never commit, so the word is harmless.
    if (durable.hardState.term > message.term) return;
    if (message.kind === 'append-accepted' && message.matchIndex > lastIndex)
      fail(
        'durable before told',
        `${node.key} accepted ${message.matchIndex}, its disk ends at ${lastIndex}`,
      );
    const vote =
      message.kind === 'vote'
        ? node.key
        : message.kind === 'vote-reply' && message.isGranted
          ? peerKey(to)
          : null;
    if (vote === null) return;
    const stored = durable.hardState.vote === null ? null : peerKey(durable.hardState.vote);
    if (durable.hardState.term !== message.term || stored !== vote)
      fail(
        'durable before told',
        `${node.key} told its vote for ${vote} in term ${message.term}, its disk has ${stored} in ${durable.hardState.term}`,
      );
  }
}

/** An acknowledged proposal is in the history for good; a refused one never is. */
export class Acknowledged implements Checker {
  readonly history: History;
  readonly acked = new Map<number, string>();
  readonly #refused = new Set<string>();

  constructor(history: History) {
    this.history = history;
  }

  onAnswer(
    kind: 'propose' | 'read',
    { data, isUnique }: Request,
    { result }: RaftOutput['proposals'][number],
  ): void {
    if (kind !== 'propose') return;
    if (result.ok) this.acked.set(result.index, data);
    else if (result.code !== 'OUTCOME_UNKNOWN' && isUnique) this.#refused.add(data);
  }

  atEnd(): void {
    for (const [index, data] of this.acked) {
      if (this.history.at(index)?.data !== data)
        fail(
          'acknowledged',
          `${data} was acknowledged at ${index}, which holds ${this.history.at(index)?.data}`,
        );
    }
    for (let index = History.START + 1; index <= this.history.lastIndex; index += 1) {
      const entry = this.history.at(index);
      if (entry !== null && this.#refused.has(entry.data))
        fail('acknowledged', `${entry.data} was refused, and committed at ${index}`);
    }
  }
}

/** A read sees everything that was committed before it was asked. */
export class LinearizableReads implements Checker {
  onAnswer(
    kind: 'propose' | 'read',
    { committedBefore }: Request,
    { id, result }: RaftOutput['reads'][number],
  ): void {
    if (kind !== 'read' || !result.ok) return;
    if (result.index < committedBefore)
      fail(
        'linearizable reads',
        `read ${id} was answered at ${result.index}, ${committedBefore} was committed before it`,
      );
  }
}

/** A disk that was rolled back neither votes nor acknowledges nor leads. */
export class RolledBackSilent implements Checker {
  onSend(node: SimNode, { message }: Envelope): void {
    if (!node.isRolledBack) return;
    const isTestimony =
      (message.kind === 'vote-reply' && message.isGranted) ||
      (message.kind === 'append-accepted' && message.matchIndex > 0);
    if (isTestimony) fail('rolled back silent', `${node.key} sent ${message.kind}`);
  }

  onStep(node: SimNode, { status }: RaftOutput): void {
    if (node.isRolledBack && status.role === 'leader')
      fail('rolled back silent', `${node.key} leads term ${status.term}`);
  }
}

/** What each replica knows of the others' incarnations. */
class Incarnations {
  readonly #known = new Map<PeerKey, Map<PeerKey, number>>();

  forget(node: SimNode): void {
    this.#known.delete(node.key);
  }

  /**
   * Takes what the input tells; true for a message of an incarnation that is over, or to another
   * directory.
   */
  isPast(node: SimNode, input: RaftInput): boolean {
    const known = this.#known.get(node.key) ?? new Map<PeerKey, number>();
    this.#known.set(node.key, known);
    if (input.kind === 'incarnations') {
      for (const [key, incarnation] of input.known)
        known.set(key, Math.max(known.get(key) ?? 0, incarnation));
    }
    if (input.kind !== 'message') return false;
    const key = peerKey(input.from);
    const { incarnation } = input.message;
    const isToOther = !isSamePeer(input.to, node.peer);
    if (isToOther || incarnation < (known.get(key) ?? 0)) return true;
    known.set(key, incarnation);
    return false;
  }
}

/** Ticks for which a leader that was heard counts as alive: the shortest election timeout. */
const LEADER_ALIVE_TICKS = 60;

/**
 * Whoever leads, or hears a leader, helps nobody else to lead: what returns disturbs no leader
 * (thesis 4.2.3).
 */
export class LeaderUndisturbed implements Checker {
  readonly #incarnations = new Incarnations();
  readonly #heard = new Map<PeerKey, { readonly leader: Peer; readonly ticksAgo: number }>();

  onStart(node: SimNode): void {
    this.#incarnations.forget(node);
    this.#heard.delete(node.key);
  }

  onStep(node: SimNode, output: RaftOutput, input: RaftInput): void {
    const { status, send, sendAfter, refused } = output;
    if (refused !== null || this.#incarnations.isPast(node, input)) return;
    const heard = this.#heard.get(node.key);
    const isWanted =
      input.kind === 'message' && input.message.kind === 'vote' && input.message.isTransfer;
    const sent = [...send, ...sendAfter.map(({ envelope }) => envelope)];
    const grant = sent.find(
      ({ to, message }) => isGrant(message) && !isSamePeer(to, heard?.leader ?? null),
    );
    if (heard !== undefined && heard.ticksAgo < LEADER_ALIVE_TICKS && !isWanted && grant)
      fail('leader undisturbed', `${node.key} granted ${heard.ticksAgo} ticks after its leader`);
    this.#note(node, status, input);
  }

  #note(node: SimNode, { leader }: RaftOutput['status'], input: RaftInput): void {
    const heard = this.#heard.get(node.key);
    const isWord =
      input.kind === 'message' &&
      (input.message.kind === 'append' || input.message.kind === 'snapshot') &&
      isSamePeer(input.from, leader);
    if (leader !== null && (isWord || isSamePeer(leader, node.peer)))
      this.#heard.set(node.key, { leader, ticksAgo: 0 });
    else if (leader === null || input.kind === 'peer-unreachable') this.#heard.delete(node.key);
    else if (input.kind === 'tick' && heard !== undefined)
      this.#heard.set(node.key, { leader: heard.leader, ticksAgo: heard.ticksAgo + 1 });
  }
}

function isGrant(message: Envelope['message']): boolean {
  return (message.kind === 'vote-reply' || message.kind === 'pre-vote-reply') && message.isGranted;
}

/** What an incarnation says that is over moves nothing. */
export class OldIncarnationUnheard implements Checker {
  readonly #incarnations = new Incarnations();
  readonly #before = new Map<PeerKey, string>();

  onStart(node: SimNode): void {
    this.#incarnations.forget(node);
  }

  onStep(node: SimNode, { status, writes, refused }: RaftOutput, input: RaftInput): void {
    const { role, term, commitIndex, lastIndex } = status;
    const after = `${role} ${term} ${commitIndex} ${lastIndex}`;
    const before = this.#before.get(node.key);
    this.#before.set(node.key, after);
    if (refused !== null || !this.#incarnations.isPast(node, input)) return;
    if (after !== before || writes.length > 0)
      fail('old incarnation unheard', `${node.key} went from ${before} to ${after}`);
  }
}

/** Every log is well formed by itself. */
export class WellFormed implements Checker {
  atEnd(nodes: readonly SimNode[]): void {
    for (const node of nodes) node.raft?.checkLog();
  }
  onStart(node: SimNode): void {
    node.raft?.checkLog();
  }
}

/** All of them, over one history. */
export function allCheckers(history: History): readonly Checker[] {
  return [
    new ElectionSafety(),
    new LogMatching(),
    new StateMachineSafety(history),
    new LeaderCompleteness(history),
    new Monotony(),
    new VoteOnce(),
    new DurableBeforeTold(),
    new Acknowledged(history),
    new LinearizableReads(),
    new RolledBackSilent(),
    new LeaderUndisturbed(),
    new OldIncarnationUnheard(),
    new WellFormed(),
  ];
}
