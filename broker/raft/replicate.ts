/**
 * Log replication (thesis 3.5, 3.6.2, 10.2): the leader's pipelined appends and heartbeats, the
 * follower's answers, and the rule of commitment. The leader sends before its own write is durable,
 * but nobody, itself included, is counted before theirs is (P1).
 */
import type { Core } from './core.ts';
import { isSamePeer, majority, peerKey } from './peer.ts';
import type { Progress } from './progress.ts';
import type { LeaderState } from './roles.ts';
import { beginReadRound, finishReadRound } from './read.ts';
import { resendSnapshot, sendSnapshot } from './snapshot.ts';
import { advanceTransfer, nominateSuccessor } from './transfer.ts';
import type { Append, AppendAccepted, AppendRejected, Entry, Peer, RaftMessage } from './types.ts';

// Leader ------------------------------------------------------------------------------------------

/** Adds an entry of the leader's term and sends it on its way. Returns its index. */
export function appendEntry(
  core: Core,
  leading: LeaderState,
  kind: Entry['kind'],
  data: string,
): number {
  const index = core.log.lastIndex + 1;
  core.log.append([{ index, term: core.term, kind, data }], core.commitIndex);
  broadcastEntries(core, leading);
  return index;
}

/** Sends every peer what its window allows. */
export function broadcastEntries(core: Core, leading: LeaderState): void {
  for (const progress of leading.progress.values()) sendEntries(core, leading, progress);
}

/** Sends one peer what its window allows, and the commit index when that is all the news. */
export function sendEntries(core: Core, leading: LeaderState, progress: Progress): void {
  const { log, settings } = core;
  while (progress.canSend(settings.inflightAppendsMax)) {
    const prevIndex = progress.nextIndex - 1;
    const prevTerm = log.termAt(prevIndex);
    if (prevTerm === null) {
      sendSnapshot(core, progress);
      return;
    }
    const entries = log.batchFrom(progress.nextIndex, settings.appendBytesMax);
    const last = entries.at(-1);
    if (last === undefined) break;
    sendAppend(core, progress, { prevIndex, prevTerm, entries, round: leading.round });
    progress.sent(last.index);
  }
  const prevIndex = progress.nextIndex - 1;
  const prevTerm = log.termAt(prevIndex);
  const isCommitNews =
    progress.state === 'replicate' && Math.min(core.commitIndex, prevIndex) > progress.commitSent;
  if (isCommitNews && prevTerm !== null)
    sendAppend(core, progress, { prevIndex, prevTerm, entries: [], round: 0 });
}

function sendAppend(
  core: Core,
  progress: Progress,
  fields: Pick<Append, 'prevIndex' | 'prevTerm' | 'entries' | 'round'>,
): void {
  const reach = fields.prevIndex + fields.entries.length;
  progress.commitSent = Math.max(progress.commitSent, Math.min(core.commitIndex, reach));
  core.send(progress.peer, { kind: 'append', ...fields, commitIndex: core.commitIndex });
}

/** Where its log is known to equal ours: (0, 0) when that is no longer in memory. */
function matchedPosition(
  core: Core,
  progress: Progress,
): { readonly prevIndex: number; readonly prevTerm: number } {
  const prevTerm = core.log.termAt(progress.matchIndex);
  return prevTerm === null
    ? { prevIndex: 0, prevTerm: 0 }
    : { prevIndex: progress.matchIndex, prevTerm };
}

/**
 * Starts a round: every peer is told who leads and up to where, and its answer shows what was lost
 * on the way.
 */
export function heartbeat(core: Core, leading: LeaderState): void {
  leading.round += 1;
  leading.heartbeatAt = core.now + core.settings.heartbeatTicks;
  beginReadRound(core, leading);
  for (const progress of leading.progress.values()) {
    beat(core, leading, progress);
  }
  settleRound(core, leading);
}

function beat(core: Core, leading: LeaderState, progress: Progress): void {
  const prevIndex = progress.nextIndex - 1;
  const prevTerm = progress.state === 'snapshot' ? null : core.log.termAt(prevIndex);
  const position = prevTerm === null ? matchedPosition(core, progress) : { prevIndex, prevTerm };
  sendAppend(core, progress, { ...position, entries: [], round: leading.round });
  if (progress.state === 'snapshot') {
    resendSnapshot(core, progress);
  } else if (prevTerm === null) {
    // What it was sent has been compacted since: whether that arrived can no longer be asked, so it
    // takes the snapshot.
    progress.probeFrom(progress.nextIndex);
    sendEntries(core, leading, progress);
  }
}

/** Answers reads that a majority has confirmed; starts the next round if more wait. */
function settleRound(core: Core, leading: LeaderState): void {
  if (finishReadRound(core, leading)) heartbeat(core, leading);
}

/** Leader: a peer holds our log up to a point. */
export function onAppendAccepted(
  core: Core,
  leading: LeaderState,
  progress: Progress,
  message: RaftMessage & AppendAccepted,
): void {
  progress.ackedRound = Math.max(progress.ackedRound, message.round);
  const isNews = progress.accepted(message.matchIndex, message.incarnation);
  settleRound(core, leading);
  if (isNews) advanceCommit(core, leading);
  if (core.leading !== leading) return;
  sendEntries(core, leading, progress);
  if (isNews && isSamePeer(leading.transfer?.to ?? null, progress.peer))
    advanceTransfer(core, leading);
}

/** Leader: a peer lacks the entry before the ones we sent. */
export function onAppendRejected(
  core: Core,
  leading: LeaderState,
  progress: Progress,
  message: RaftMessage & AppendRejected,
): void {
  progress.ackedRound = Math.max(progress.ackedRound, message.round);
  if (progress.hasForgotten(message.lastIndex, message.incarnation)) {
    // Our next message makes it withdraw, and its answers count no more.
    core.noteIncarnation(progress.peer, message.incarnation + 1);
    return;
  }
  settleRound(core, leading);
  const hint = core.log.lastAtMost(message.hintIndex, message.hintTerm);
  const from =
    hint.index === core.log.base.index ? Math.min(hint.index, message.hintIndex) : hint.index;
  if (progress.rejected(message.rejectedIndex, from)) sendEntries(core, leading, progress);
}

/**
 * Commits the largest index that a majority of the voters in force has on disk, if it is of the
 * leader's own term: older entries are committed only through it (thesis 3.6.2, figure 3.7). A
 * leader outside the voters counts others only (thesis 4.2.2).
 */
export function advanceCommit(core: Core, leading: LeaderState): void {
  const { log } = core;
  const ends = log.voters.map((peer) =>
    isSamePeer(peer, core.self)
      ? log.durableIndex
      : (leading.progress.get(peerKey(peer))?.matchIndex ?? 0),
  );
  ends.sort((left, right) => right - left);
  const index = ends[majority(ends.length) - 1] ?? 0;
  if (index <= core.commitIndex || log.termAt(index) !== core.term) return;
  core.commitTo(index);
  broadcastEntries(core, leading);
  const isRemoved = !core.isVoter && log.votersIndex <= core.commitIndex;
  if (!isRemoved) return;
  nominateSuccessor(core, leading);
  core.becomeFollower(core.term, null);
}

// Follower ----------------------------------------------------------------------------------------

/** Follower: entries, or a heartbeat, of the leader of this term. */
export function onAppend(core: Core, from: Peer, message: Append): void {
  const { log } = core;
  // What lies below the base is committed, and so equal here and there.
  const skipped = Math.max(0, log.base.index - message.prevIndex);
  const entries = message.entries.slice(skipped);
  const prevIndex = message.prevIndex + skipped;
  const isMatching = skipped > 0 || log.termAt(prevIndex) === message.prevTerm;
  if (!isMatching) {
    const hint = log.lastAtMost(prevIndex, message.prevTerm);
    core.send(from, {
      kind: 'append-rejected',
      rejectedIndex: prevIndex,
      hintIndex: hint.index,
      hintTerm: hint.term,
      lastIndex: log.lastIndex,
      round: message.round,
    });
    return;
  }
  const readable = readableOf(core, from, entries);
  log.append(readable, core.commitIndex);
  const matchIndex = prevIndex + readable.length;
  core.commitTo(Math.min(message.commitIndex, matchIndex));
  acknowledge(core, from, {
    matchIndex,
    round: message.round,
    isHeartbeat: message.entries.length === 0,
  });
}

/**
 * Entries up to the first new one that the application cannot read: none is written that could not
 * be applied.
 */
function readableOf(core: Core, from: Peer, entries: readonly Entry[]): readonly Entry[] {
  for (const [position, entry] of entries.entries()) {
    const isNew = core.log.termAt(entry.index) !== entry.term;
    const fault = isNew && entry.kind === 'data' ? core.settings.entryFault(entry.data) : null;
    if (fault === null) continue;
    core.refuse(from, 'append', `entry ${entry.index} cannot be read: ${fault}`);
    return entries.slice(0, position);
  }
  return entries;
}

/**
 * Entries are acknowledged once durable. A heartbeat is answered at once with what is durable, so
 * that a slow disk deposes no leader. That the term may still be in flight then is harmless: only
 * an entry of this term, written after it, can be committed by the answer.
 */
function acknowledge(
  core: Core,
  to: Peer,
  answer: { readonly matchIndex: number; readonly round: number; readonly isHeartbeat: boolean },
): void {
  const { matchIndex, round, isHeartbeat } = answer;
  const { durableIndex } = core.log;
  if (isHeartbeat) {
    if (round > 0)
      core.send(to, {
        kind: 'append-accepted',
        matchIndex: Math.min(matchIndex, durableIndex),
        round,
      });
    return;
  }
  if (matchIndex <= durableIndex) core.send(to, { kind: 'append-accepted', matchIndex, round });
  else core.sendDurable(to, { kind: 'append-accepted', matchIndex, round });
}
