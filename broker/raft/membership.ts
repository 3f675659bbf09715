/**
 * Who takes part: voters change one at a time through the log (thesis 4.1 with the correction of
 * 2015: only after an entry of the leader's term has committed); everyone else finds the leader,
 * asks to follow and is replicated to as a learner that never counts.
 */
import type { Core } from './core.ts';
import { encodeVoters, isSamePeer, peerKey } from './peer.ts';
import { Progress } from './progress.ts';
import { appendEntry, sendEntries } from './replicate.ts';
import type { LeaderState } from './roles.ts';
import type { Follow, FollowReply, Peer, RaftMessage } from './types.ts';

/** While the leader's connection was just reset, seeds are asked this often. */
const QUICK_FOLLOW_TICKS = 3;
/** Learners silent for this many longest election timeouts are dropped. */
const LEARNER_SILENCE_ELECTIONS = 3;

/** Leader: takes a change of voters into the log, or says why not. It is in force at once. */
export function onChangeVoters(
  core: Core,
  leading: LeaderState,
  id: number,
  voters: readonly Peer[],
): void {
  const isChanging = core.log.votersIndex > core.commitIndex;
  if (!core.isLeaderReady || isChanging || leading.transfer !== null) {
    core.answerProposal(
      id,
      core.refusal(
        'BUSY',
        'the barrier of this term, an earlier change of voters or a transfer of leadership is in flight',
      ),
    );
    return;
  }
  const fault = faultOf(core, leading, voters);
  if (fault !== null) {
    core.answerProposal(id, core.refusal('REFUSED', fault));
    return;
  }
  const index = appendEntry(core, leading, 'voters', encodeVoters(voters));
  leading.pending.set(index, id);
  trackVoters(core, leading);
}

/** The rule that `voters` breaks; null for none. */
function faultOf(core: Core, leading: LeaderState, voters: readonly Peer[]): string | null {
  const added = voters.filter((peer) => !core.log.isVoter(peer));
  const removed = core.log.voters.filter(
    (peer) => !voters.some((other) => isSamePeer(peer, other)),
  );
  if (added.length + removed.length !== 1)
    return `voters change one at a time: this adds ${added.length} and removes ${removed.length}`;
  if (voters.length === 0) return 'the last voter cannot be removed';
  if (new Set(voters.map((peer) => peer.brokerId)).size !== voters.length)
    return 'a broker can have one voter only: remove its old directory first';
  const [candidate] = added;
  if (candidate === undefined) return null;
  const progress = leading.progress.get(peerKey(candidate));
  if (progress === undefined || core.now - progress.heardAt > core.settings.electionTicksMin)
    return `${peerKey(candidate)} does not follow the log at present`;
  const lag = core.commitIndex - progress.matchIndex;
  return lag > core.settings.promotionLagEntriesMax
    ? `${peerKey(candidate)} is ${lag} entries behind, at most ${core.settings.promotionLagEntriesMax} are allowed`
    : null;
}

/**
 * Leader: every other voter has a progress. Removed voters keep theirs as learners, so that they
 * learn of it.
 */
export function trackVoters(core: Core, leading: LeaderState): void {
  for (const peer of core.otherVoters) {
    const key = peerKey(peer);
    if (!leading.progress.has(key))
      leading.progress.set(key, new Progress(peer, core.log.lastIndex + 1, core.now));
  }
}

/** Leader: forgets learners that are gone. */
export function dropSilentLearners(core: Core, leading: LeaderState): void {
  const silenceTicks = LEARNER_SILENCE_ELECTIONS * core.settings.electionTicksMax;
  for (const [key, progress] of leading.progress) {
    if (!core.log.isVoter(progress.peer) && core.now - progress.heardAt > silenceTicks)
      leading.progress.delete(key);
  }
}

/** Somebody has no leader: a leader starts replicating to it, everyone else names theirs. */
export function onFollow(core: Core, from: Peer, message: RaftMessage & Follow): void {
  const { leading } = core;
  if (leading === null) {
    core.send(from, { kind: 'follow-reply', leader: core.leader });
    return;
  }
  const key = peerKey(from);
  const known = leading.progress.get(key);
  if (known === undefined && learnerCount(core, leading) >= core.settings.learnersMax) return;
  const progress = known ?? new Progress(from, message.lastIndex + 1, core.now);
  leading.progress.set(key, progress);
  progress.heardAt = core.now;
  if (progress.hasForgotten(message.lastIndex, message.incarnation))
    core.noteIncarnation(from, message.incarnation + 1);
  progress.probeFrom(Math.min(message.lastIndex, core.log.lastIndex) + 1);
  greet(core, leading, progress);
}

/** Tells a new follower who leads: with entries when it lacks some, else with an empty append. */
function greet(core: Core, leading: LeaderState, progress: Progress): void {
  const isBehind = progress.nextIndex <= core.log.lastIndex;
  if (isBehind) {
    sendEntries(core, leading, progress);
    return;
  }
  const prevIndex = core.log.lastIndex;
  core.send(progress.peer, {
    kind: 'append',
    prevIndex,
    prevTerm: core.log.lastTerm,
    entries: [],
    commitIndex: core.commitIndex,
    round: leading.round,
  });
}

function learnerCount(core: Core, { progress }: LeaderState): number {
  return Array.from(progress.values()).filter(({ peer }) => !core.log.isVoter(peer)).length;
}

/** Somebody named the leader. */
export function onFollowReply(core: Core, message: FollowReply): void {
  askLeader(core, message.leader);
}

/** Asks the leader that somebody named, unless one is known already. */
export function askLeader(core: Core, leader: Peer | null): void {
  const isUseful = leader !== null && core.leader === null && !isSamePeer(leader, core.self);
  if (!isUseful || core.askedAt === core.now) return;
  core.askedAt = core.now;
  core.send(leader, follow(core));
}

function follow(core: Core): Follow {
  return { kind: 'follow', lastIndex: core.log.lastIndex, lastTerm: core.log.lastTerm };
}

/** Whoever has no leader asks one voter or seed after another. */
export function tickFollow(core: Core): void {
  const isSeeking = core.role === 'learner' || core.role === 'pre-candidate';
  if (!isSeeking || core.leader !== null || core.now < core.followAt) return;
  const peers = askable(core);
  const peer = peers[core.seedTurn % Math.max(1, peers.length)];
  core.seedTurn += 1;
  const isQuick = core.role === 'learner' && core.quickTries > 0;
  if (isQuick) core.quickTries -= 1;
  core.followAt = core.now + (isQuick ? QUICK_FOLLOW_TICKS : core.settings.heartbeatTicks);
  if (peer !== undefined) core.send(peer, follow(core));
}

function askable(core: Core): readonly Peer[] {
  const peers = new Map([...core.log.voters, ...core.seeds].map((peer) => [peerKey(peer), peer]));
  peers.delete(peerKey(core.self));
  return [...peers.values()];
}
