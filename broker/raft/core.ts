/**
 * State of one replica that the rule files share, and the few moves all of them need: to send, to
 * change role, to answer requests. Rules live elsewhere: `election`, `replicate`, `snapshot`,
 * `membership`, `read`, `transfer`.
 */
import { assert } from '../../base/assert.ts';
import { Random } from '../../base/random.ts';
import { RaftLog } from './log.ts';
import { isSamePeer, majority, peerKey } from './peer.ts';
import { newLeaderState } from './roles.ts';
import type { CandidateState, LeaderState } from './roles.ts';
import type {
  Durable,
  Entry,
  Envelope,
  MessageBody,
  Peer,
  PeerKey,
  RaftOptions,
  RaftOutput,
  RaftStatus,
  RaftWrite,
  RequestReply,
  RequestResult,
  Role,
  Snapshot,
} from './types.ts';

/**
 * {@link RaftOptions} with every default filled in. At 10 ms per tick: elections after 0.6 to 1.2 s
 * of silence, heartbeats every 0.1 s.
 */
export type Settings = Required<RaftOptions>;

const DEFAULTS = {
  electionTicksMin: 60,
  electionTicksMax: 120,
  heartbeatTicks: 10,
  checkQuorumTicks: 60,
  appendBytesMax: 1024 * 1024,
  inflightAppendsMax: 16,
  proposalsPendingMax: 1024,
  learnersMax: 256,
  tailEntriesMax: 1024,
  promotionLagEntriesMax: 128,
  entryFault: () => null,
  imageFault: () => null,
  bootstrapVoters: null,
};

/**
 * Incarnations remembered from messages; committed metadata is the authority, so the oldest may go.
 */
const INCARNATIONS_SEEN_MAX = 1024;

/** Fills in defaults and checks how the numbers relate. */
export function settle(options: RaftOptions): Settings {
  const settings: Settings = { ...DEFAULTS, ...options };
  const { heartbeatTicks, electionTicksMin, electionTicksMax, checkQuorumTicks } = settings;
  assert(settings.incarnation >= 1, `incarnation ${settings.incarnation} must be 1 or greater`);
  assert(
    heartbeatTicks >= 1 && heartbeatTicks * 2 <= electionTicksMin,
    `heartbeatTicks ${heartbeatTicks} must be 1 to half of electionTicksMin ${electionTicksMin}`,
  );
  assert(
    electionTicksMin < electionTicksMax,
    `electionTicksMin ${electionTicksMin} must be below electionTicksMax ${electionTicksMax}`,
  );
  assert(
    checkQuorumTicks >= electionTicksMin,
    `checkQuorumTicks ${checkQuorumTicks} must be at least electionTicksMin ${electionTicksMin}`,
  );
  return settings;
}

/** A snapshot that is arriving in chunks. */
export interface Reception {
  /** Sender and its term: two leaderships may not write the same image alike. */
  readonly from: string;
  readonly index: number;
  readonly term: number;
  readonly total: number;
  readonly chunks: string[];
  received: number;
  /** The application cannot read it. */
  isRefused: boolean;
}

export class Core {
  readonly settings: Settings;
  readonly self: Peer;
  readonly random: Random;
  readonly log: RaftLog;

  term: number;
  vote: Peer | null;
  commitIndex: number;
  /** The application can act on what is committed. */
  isEligible = true;
  /** Reason why this disk must stay silent. */
  deposed: string | null = null;

  /** Ticks since the start. */
  now = 0;
  /**
   * When a voter without a word from a leader, or a candidate without a majority, tries (again).
   */
  electionAt = 0;
  heardLeaderAt = 0;
  /** The connection to the leader was reset and it has not been heard since. */
  isLeaderUnreachable = false;
  /** Quick tries left after the leader's connection was reset. */
  quickTries = 0;
  /** A sole voter that was started again asks others, if it knows any, before it leads. */
  mustAskFirst: boolean;

  /** Whom to ask for the leader, which of them next, and when. */
  seeds: readonly Peer[] = [];
  seedTurn = 0;
  followAt = 0;
  /** When a leader that somebody named was last asked. */
  askedAt = -1;
  reception: Reception | null = null;

  /** Null at rest. */
  #standing: LeaderState | CandidateState | null = null;
  /** Whom this replica follows. */
  #followed: Peer | null = null;

  /** Own; rises with a new registration of this broker. */
  incarnation: number;
  readonly #incarnationsSeen: Map<PeerKey, number> = new Map();
  incarnationsKnown: ReadonlyMap<PeerKey, number> = new Map();

  #writeId = 0;
  #persistedId = 0;
  #hardStateId = 0;
  #isHardStateUnwritten = false;
  #send: Envelope[] = [];
  #sendDurable: Envelope[] = [];
  #committed: Entry[] = [];
  #restore: Snapshot | null = null;
  #proposals: RequestReply[] = [];
  #reads: RequestReply[] = [];
  #refused: string | null = null;

  constructor(options: RaftOptions, durable: Durable) {
    this.settings = settle(options);
    this.self = options.self;
    this.incarnation = options.incarnation;
    this.random = new Random(options.seed).fork(peerKey(options.self));
    this.log = new RaftLog(durable);
    this.term = durable.hardState.term;
    this.vote = durable.hardState.vote;
    this.commitIndex = this.log.snapshotIndex;
    assert(
      this.term >= this.log.lastTerm,
      `stored term ${this.term} is below the log's ${this.log.lastTerm}`,
    );
    this.electionAt = this.firstElectionTicks();
    this.mustAskFirst = options.incarnation > 1;
  }

  get role(): Role {
    return this.#standing?.role ?? this.#roleAtRest();
  }
  /** What this replica holds as the leader; null while it does not lead. */
  get leading(): LeaderState | null {
    return this.#standing?.role === 'leader' ? this.#standing : null;
  }
  /** What it holds as a candidate or pre-candidate; null while it does not campaign. */
  get campaign(): CandidateState | null {
    return this.#standing === null || this.#standing.role === 'leader' ? null : this.#standing;
  }
  /** Who leads this term as far as is known. */
  get leader(): Peer | null {
    return this.leading === null ? this.#followed : this.self;
  }
  get isVoter(): boolean {
    return this.log.isVoter(this.self);
  }
  /** An entry of the leader's own term is committed (thesis 3.6.2, 6.4). */
  get isLeaderReady(): boolean {
    return this.leading !== null && this.log.termAt(this.commitIndex) === this.term;
  }
  /** The vote and term are on disk. */
  get isVoteDurable(): boolean {
    return !this.#isHardStateUnwritten && this.#hardStateId <= this.#persistedId;
  }
  get isSelfVoteGranted(): boolean {
    return isSamePeer(this.vote, this.self) && this.isVoteDurable;
  }
  get otherVoters(): readonly Peer[] {
    return this.log.voters.filter((peer) => !isSamePeer(peer, this.self));
  }

  /**
   * A voter, or one whose removal is not known to be committed. The latter still campaigns, without
   * counting itself: it may be the only one that holds the entry which removes it, and then nobody
   * else can be elected (thesis 4.2.2).
   */
  #roleAtRest(): Role {
    return this.isVoter || this.log.isVoterSince(this.commitIndex, this.self)
      ? 'follower'
      : 'learner';
  }

  /** A sole voter has nobody to wait for. */
  firstElectionTicks(): number {
    return this.isVoter && this.log.voters.length === 1 ? 1 : this.randomElectionTicks();
  }

  randomElectionTicks(): number {
    const { electionTicksMin, electionTicksMax } = this.settings;
    return electionTicksMin + this.random.below(electionTicksMax - electionTicksMin);
  }

  /** True when at least a majority of the voters satisfies `holds`; never without voters. */
  isMajority(holds: (peer: Peer) => boolean): boolean {
    const { voters } = this.log;
    return voters.length > 0 && voters.filter(holds).length >= majority(voters.length);
  }

  /** The last incarnation known of a peer; 0 for none. */
  incarnationOf(peer: Peer): number {
    const key = peerKey(peer);
    return Math.max(this.incarnationsKnown.get(key) ?? 0, this.#incarnationsSeen.get(key) ?? 0);
  }

  raiseIncarnation(incarnation: number): void {
    assert(
      incarnation >= this.incarnation,
      `own incarnation would fall from ${this.incarnation} to ${incarnation}`,
    );
    this.incarnation = incarnation;
  }

  noteIncarnation(peer: Peer, incarnation: number): void {
    if (incarnation <= this.incarnationOf(peer)) return;
    this.#incarnationsSeen.set(peerKey(peer), incarnation);
    if (this.#incarnationsSeen.size <= INCARNATIONS_SEEN_MAX) return;
    for (const oldest of this.#incarnationsSeen.keys()) {
      this.#incarnationsSeen.delete(oldest);
      return;
    }
  }

  /** A message counts for nothing. */
  refuse(from: Peer, kind: MessageBody['kind'], fault: string): void {
    this.#refused = `${kind} of ${peerKey(from)}: ${fault}`;
  }

  /** Sends at once. */
  send(to: Peer, body: MessageBody): void {
    this.#send.push(this.#envelope(to, body));
  }

  /** Sends once every write decided up to the end of this step is durable (P1). */
  sendDurable(to: Peer, body: MessageBody): void {
    this.#sendDurable.push(this.#envelope(to, body));
  }

  #envelope(to: Peer, body: MessageBody): Envelope {
    return {
      to,
      message: {
        ...body,
        term: this.term,
        incarnation: this.incarnation,
        toIncarnation: this.incarnationOf(to),
      },
    };
  }

  setHardState(term: number, vote: Peer | null): void {
    assert(term >= this.term, `term would fall from ${this.term} to ${term}`);
    this.term = term;
    this.vote = vote;
    this.#isHardStateUnwritten = true;
  }

  /** Makes an empty disk that of a new group's first voters. */
  form(durable: Durable): void {
    assert(durable.snapshot !== null && this.commitIndex === 0, 'only an empty disk can be formed');
    this.setHardState(durable.hardState.term, null);
    this.restore(durable.snapshot);
    this.electionAt = this.firstElectionTicks();
  }

  /** A message of the leader of this term arrived. */
  hearLeader(leader: Peer): void {
    assert(
      this.leading === null,
      `two leaders in term ${this.term}: ${peerKey(this.self)} and ${peerKey(leader)}`,
    );
    this.becomeFollower(this.term, leader);
    this.isLeaderUnreachable = false;
    this.quickTries = 0;
    this.heardLeaderAt = this.now;
    this.electionAt = this.now + this.randomElectionTicks();
  }

  /** Begins a leadership of the present term. */
  lead(): LeaderState {
    const leading = newLeaderState(this.now + this.settings.heartbeatTicks);
    this.#standing = leading;
    this.isLeaderUnreachable = false;
    this.quickTries = 0;
    this.reception = null;
    return leading;
  }

  /** Begins a campaign. */
  stand(role: CandidateState['role']): CandidateState {
    const campaign: CandidateState = { role, votes: new Set() };
    this.#standing = campaign;
    return campaign;
  }

  /** Follows nobody any more; a campaign goes on. */
  loseLeader(): void {
    this.#followed = null;
  }

  /** Enters `term` (or stays in it) without a leadership or candidacy of its own. */
  becomeFollower(term: number, leader: Peer | null): void {
    const { leading } = this;
    if (term > this.term) this.setHardState(term, null);
    if (!isSamePeer(leader, this.leader)) this.isLeaderUnreachable = false;
    this.#followed = leader;
    this.#standing = null;
    if (leading === null) return;
    this.electionAt = this.now + this.randomElectionTicks();
    this.#failPending(leading);
  }

  /** Leadership is gone: what was appended may or may not be committed by the next leader. */
  #failPending({ pending, readRound, readsWaiting }: LeaderState): void {
    for (const id of pending.values())
      this.answerProposal(
        id,
        this.refusal('OUTCOME_UNKNOWN', 'leadership was lost before the entry was committed'),
      );
    for (const id of [...(readRound?.ids ?? []), ...readsWaiting])
      this.answerRead(
        id,
        this.refusal('NOT_LEADER', 'leadership was lost before a majority confirmed it'),
      );
  }

  notLeader(): RequestResult {
    return this.refusal('NOT_LEADER', 'this broker does not lead the metadata quorum');
  }

  refusal(
    code: 'NOT_LEADER' | 'BUSY' | 'REFUSED' | 'OUTCOME_UNKNOWN',
    message: string,
  ): RequestResult {
    return { ok: false, code, message, leader: this.leader };
  }

  answerProposal(id: number, result: RequestResult): void {
    this.#proposals.push({ id, result });
  }

  answerRead(id: number, result: RequestResult): void {
    this.#reads.push({ id, result });
  }

  /** Everything up to `index` is committed: hand it to the application, answer who waits for it. */
  commitTo(index: number): void {
    if (index <= this.commitIndex) return;
    const pending = this.leading?.pending;
    for (const entry of this.log.range(this.commitIndex + 1, index)) {
      this.#committed.push(entry);
      const id = pending?.get(entry.index);
      if (id === undefined) continue;
      pending?.delete(entry.index);
      this.answerProposal(id, { ok: true, index: entry.index });
    }
    this.commitIndex = index;
  }

  /** The leader's snapshot takes the place of log and image. */
  restore(snapshot: Snapshot): void {
    assert(
      snapshot.index > this.commitIndex,
      `snapshot ${snapshot.index} is not above commit index ${this.commitIndex}`,
    );
    this.log.install(snapshot);
    this.commitIndex = snapshot.index;
    this.#restore = snapshot;
  }

  persisted(writeId: number): void {
    assert(
      writeId <= this.#writeId,
      `write ${writeId} was never asked for: the last is ${this.#writeId}`,
    );
    this.#persistedId = Math.max(this.#persistedId, writeId);
    this.log.persisted(writeId);
  }

  /** Ends a step: numbers its writes and hands out what it decided. */
  takeOutput(): RaftOutput {
    const writes: RaftWrite[] = [];
    if (this.#isHardStateUnwritten) {
      this.#writeId += 1;
      this.#hardStateId = this.#writeId;
      writes.push({
        id: this.#writeId,
        kind: 'hard-state',
        hardState: { term: this.term, vote: this.vote },
      });
      this.#isHardStateUnwritten = false;
    }
    writes.push(...this.log.takeWrites(() => (this.#writeId += 1)));
    const writeId = this.#writeId;
    const isDurable = writeId <= this.#persistedId;
    const output: RaftOutput = {
      writes,
      send: isDurable ? [...this.#send, ...this.#sendDurable] : this.#send,
      sendAfter: isDurable ? [] : this.#sendDurable.map((envelope) => ({ writeId, envelope })),
      restore: this.#restore,
      committed: this.#committed,
      proposals: this.#proposals,
      reads: this.#reads,
      status: this.status(),
      refused: this.#refused,
      deposed: this.deposed,
    };
    this.#send = [];
    this.#sendDurable = [];
    this.#restore = null;
    this.#committed = [];
    this.#proposals = [];
    this.#reads = [];
    this.#refused = null;
    return output;
  }

  status(): RaftStatus {
    return {
      role: this.role,
      term: this.term,
      leader: this.leader,
      commitIndex: this.commitIndex,
      lastIndex: this.log.lastIndex,
      durableIndex: this.log.durableIndex,
      snapshotIndex: this.log.snapshotIndex,
      voters: this.log.voters,
      areVotersCommitted: this.log.votersIndex <= this.commitIndex,
      isLeaderReady: this.isLeaderReady,
      logBytes: this.log.bytes,
      progress: Array.from(this.leading?.progress.values() ?? [], (item) => ({
        peer: item.peer,
        isVoter: this.log.isVoter(item.peer),
        state: item.state,
        matchIndex: item.matchIndex,
        nextIndex: item.nextIndex,
        silenceTicks: this.now - item.heardAt,
      })),
    };
  }
}
