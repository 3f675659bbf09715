/**
 * Elections: pre-vote, vote, and when to hold them (thesis 3.4, 3.6.1, 4.2.3, 9.6).
 *
 * A node that hears a live leader grants nothing, so a returning or removed voter disturbs nobody;
 * a leader that no majority answers steps down. When the leader's connection is reset its voters do
 * not wait for the timeout: they campaign one after another in a fixed order, some 80 ms apart, and
 * since all must agree in a pre-vote that the leader is gone, a mere broken connection changes
 * nothing.
 *
 * A candidate's requests leave after its own vote is durable, and so after every entry whose
 * position they state: a grant that arrives after a crash cannot elect a shorter log than the one
 * it was given to.
 */
import type { Core } from './core.ts';
import { isSamePeer, peerKey } from './peer.ts';
import { appendEntry, heartbeat } from './replicate.ts';
import type { CandidateState, LeaderState } from './roles.ts';
import { askLeader, dropSilentLearners, trackVoters } from './membership.ts';
import { advanceTransfer, expireTransfer } from './transfer.ts';
import type { Peer, PreVote, PreVoteReply, RaftMessage, Vote, VoteReply } from './types.ts';

const QUICK_TRIES = 10;
const QUICK_RANK_TICKS = 8;
const QUICK_JITTER_TICKS = 4;
const QUICK_RETRY_TICKS = 5;

/** True while this node leads, or hears a leader whose connection stands. */
function isLeaderAlive(core: Core): boolean {
  if (core.leading !== null) return true;
  return (
    core.leader !== null &&
    !core.isLeaderUnreachable &&
    core.now - core.heardLeaderAt < core.settings.electionTicksMin
  );
}

/** Time passed, for a leader. */
export function tickLeader(core: Core, leading: LeaderState): void {
  expireTransfer(core, leading);
  // At every tick: what a leader without its quorum still says as controller, others may have been
  // told otherwise soon after.
  if (!isQuorumHeard(core, leading)) {
    core.becomeFollower(core.term, null);
    return;
  }
  if (core.now < leading.heartbeatAt) return;
  dropSilentLearners(core, leading);
  heartbeat(core, leading);
  advanceTransfer(core, leading);
}

/** Whether it is so many ticks from now, if nothing is heard until then. */
function isQuorumHeard(core: Core, { progress }: LeaderState, ticks = 0): boolean {
  const since = core.now + ticks - core.settings.checkQuorumTicks;
  return core.isMajority(
    (peer) => isSamePeer(peer, core.self) || (progress.get(peerKey(peer))?.heardAt ?? -1) >= since,
  );
}

/**
 * How many of the next ticks do nothing unless another input comes, counted from below: whoever has
 * a leader, or leads and is heard, waits for a time; everyone else is at work.
 */
export function ticksAtRest(core: Core): number {
  const { electionTicksMin } = core.settings;
  if (core.leading !== null) return leaderTicksAtRest(core, core.leading);
  if (core.leader === null || core.campaign !== null) return 0;
  const dueAt = core.role === 'learner' ? core.heardLeaderAt + electionTicksMin : core.electionAt;
  return Math.max(0, dueAt - core.now - 1);
}

function leaderTicksAtRest(core: Core, leading: LeaderState): number {
  const ticks = Math.max(0, leading.heartbeatAt - core.now - 1);
  return leading.transfer === null && isQuorumHeard(core, leading, ticks) ? ticks : 0;
}

/** Time passed, for everyone else. */
export function tickFollower(core: Core): void {
  if (core.role === 'learner') {
    const isSilent = core.now - core.heardLeaderAt >= core.settings.electionTicksMin;
    if (isSilent) core.loseLeader();
    return;
  }
  if (core.now < core.electionAt) return;
  // A slow disk must not raise the term again and again.
  if (mustAsk(core)) core.electionAt = core.now + core.settings.electionTicksMin;
  else if (core.role === 'candidate' && !core.isVoteDurable)
    core.electionAt = core.now + retryTicks(core);
  else preCampaign(core);
}

/**
 * An old copy of the first voter's disk needs nobody's vote: it must give those who know better the
 * time to say so.
 */
function mustAsk(core: Core): boolean {
  if (
    !core.mustAskFirst ||
    core.otherVoters.length > 0 ||
    core.seeds.every((peer) => isSamePeer(peer, core.self))
  )
    return false;
  core.mustAskFirst = false;
  core.stand('pre-candidate');
  return true;
}

/**
 * A failed campaign is repeated sooner than silence is believed, at a random time so that rivals
 * part.
 */
function retryTicks(core: Core): number {
  const { electionTicksMin } = core.settings;
  const ticksMin = Math.ceil(electionTicksMin / 4);
  if (core.quickTries > 0) return QUICK_RETRY_TICKS + core.random.below(QUICK_RANK_TICKS);
  return ticksMin + core.random.below(electionTicksMin - ticksMin);
}

/** The connection to the leader was reset: prepare to replace it. */
export function onLeaderUnreachable(core: Core): void {
  core.isLeaderUnreachable = true;
  core.quickTries = QUICK_TRIES;
  if (core.role === 'learner') {
    core.loseLeader();
    core.followAt = core.now;
    return;
  }
  const rivals = core.log.voters
    .filter((peer) => !isSamePeer(peer, core.leader))
    .map(peerKey)
    .sort();
  const rank = Math.max(0, rivals.indexOf(peerKey(core.self)));
  core.electionAt = Math.min(
    core.electionAt,
    core.now + 1 + rank * QUICK_RANK_TICKS + core.random.below(QUICK_JITTER_TICKS),
  );
}

/** Asks whether a campaign would succeed. */
function preCampaign(core: Core): void {
  core.quickTries = Math.max(0, core.quickTries - 1);
  const attempt = core.stand('pre-candidate');
  attempt.votes.add(peerKey(core.self));
  core.loseLeader();
  core.electionAt = core.now + retryTicks(core);
  core.followAt = Math.max(core.followAt, core.now + core.settings.heartbeatTicks);
  const { lastIndex, lastTerm } = core.log;
  for (const peer of core.otherVoters)
    core.send(peer, { kind: 'pre-vote', campaignTerm: core.term + 1, lastIndex, lastTerm });
  if (core.isEligible && isGrantedByMajority(core, attempt)) campaign(core, false);
}

/** Stands for the next term. */
function campaign(core: Core, isTransfer: boolean): void {
  core.becomeFollower(core.term, null);
  core.setHardState(core.term + 1, core.self);
  core.stand('candidate');
  core.electionAt = core.now + retryTicks(core);
  const { lastIndex, lastTerm } = core.log;
  for (const peer of core.otherVoters)
    core.sendDurable(peer, { kind: 'vote', lastIndex, lastTerm, isTransfer });
}

/** A candidate counts its own vote once it is durable, like any other. */
export function onVoteDurable(core: Core): void {
  if (core.campaign?.role !== 'candidate' || !core.isSelfVoteGranted) return;
  core.campaign.votes.add(peerKey(core.self));
  if (isGrantedByMajority(core, core.campaign)) becomeLeader(core);
}

function isGrantedByMajority(core: Core, { votes }: CandidateState): boolean {
  return core.isMajority((peer) => votes.has(peerKey(peer)));
}

function becomeLeader(core: Core): void {
  const leading = core.lead();
  trackVoters(core, leading);
  appendEntry(core, leading, 'barrier', '');
}

/** Somebody asks whether it would be elected. Nothing changes here, whatever the answer. */
export function onPreVote(core: Core, from: Peer, message: RaftMessage & PreVote): void {
  const isGranted =
    message.term >= core.term &&
    !isLeaderAlive(core) &&
    core.log.isUpToDate(message.lastIndex, message.lastTerm);
  core.send(from, {
    kind: 'pre-vote-reply',
    campaignTerm: message.campaignTerm,
    isGranted,
    leader: core.leader,
  });
}

export function onPreVoteReply(core: Core, from: Peer, message: PreVoteReply): void {
  const { campaign: attempt } = core;
  if (attempt?.role !== 'pre-candidate' || message.campaignTerm !== core.term + 1) return;
  if (!message.isGranted) {
    askLeader(core, message.leader);
    return;
  }
  attempt.votes.add(peerKey(from));
  if (core.isEligible && isGrantedByMajority(core, attempt)) campaign(core, false);
}

/**
 * True when a vote request must leave no trace: its sender does not know that a leader is alive
 * (thesis 4.2.3).
 */
export function isDisturbing(core: Core, message: RaftMessage & Vote): boolean {
  return !message.isTransfer && isLeaderAlive(core);
}

/**
 * A request of this node's term: at most one vote per term, only for a log not behind ours, told
 * only once durable. Whoever is addressed by its identity votes, voter or not in its own view: the
 * candidate may know a later change of voters.
 */
export function onVote(core: Core, from: Peer, message: RaftMessage & Vote): void {
  const isFree = core.vote === null ? core.leader === null : isSamePeer(core.vote, from);
  const isGranted = isFree && core.log.isUpToDate(message.lastIndex, message.lastTerm);
  if (!isGranted) {
    core.send(from, { kind: 'vote-reply', isGranted });
    return;
  }
  if (core.vote === null) core.setHardState(core.term, from);
  core.electionAt = core.now + core.randomElectionTicks();
  core.sendDurable(from, { kind: 'vote-reply', isGranted });
}

export function onVoteReply(core: Core, from: Peer, message: VoteReply): void {
  if (core.campaign?.role !== 'candidate' || !message.isGranted) return;
  core.campaign.votes.add(peerKey(from));
  if (isGrantedByMajority(core, core.campaign)) becomeLeader(core);
}

/** The leader wants this node to take over. */
export function onTimeoutNow(core: Core): void {
  if (core.isVoter && core.isEligible && core.leading === null) campaign(core, true);
}

/**
 * The application says whether it can act on what is committed. One that cannot still asks who
 * leads.
 */
export function onEligible(core: Core, isEligible: boolean): void {
  core.isEligible = isEligible;
  const isStanding = core.leading !== null || core.campaign?.role === 'candidate';
  if (!isEligible && isStanding) core.becomeFollower(core.term, null);
}
