/**
 * Linearizable reads without a log entry (thesis 6.4): the leader notes its commit index, a
 * majority confirms that it still leads, and the application answers once it has applied that
 * index. Reads that arrive during a round share the next one.
 */
import type { Core } from './core.ts';
import { isSamePeer, peerKey } from './peer.ts';
import type { LeaderState } from './roles.ts';

/** Takes a read; true when a new heartbeat round must start for it. */
export function onRead(core: Core, leading: LeaderState, id: number): boolean {
  if (!core.isLeaderReady)
    core.answerRead(
      id,
      core.refusal('BUSY', 'the new leader has not committed an entry of its term yet'),
    );
  else if (leading.readsWaiting.length >= core.settings.proposalsPendingMax)
    core.answerRead(
      id,
      core.refusal('BUSY', `${leading.readsWaiting.length} reads are waiting, which is the limit`),
    );
  else {
    leading.readsWaiting.push(id);
    return leading.readRound === null;
  }
  return false;
}

/** Binds the waiting reads to the round that starts now. */
export function beginReadRound(core: Core, leading: LeaderState): void {
  const { readRound, readsWaiting: ids, round } = leading;
  if (readRound !== null || ids.length === 0) return;
  leading.readRound = { round, readIndex: core.commitIndex, ids };
  leading.readsWaiting = [];
}

/** Answers the reads whose round a majority has confirmed; true when others wait for a new one. */
export function finishReadRound(core: Core, leading: LeaderState): boolean {
  const { readRound } = leading;
  if (readRound === null) return false;
  const isConfirmed = core.isMajority(
    (peer) =>
      isSamePeer(peer, core.self) ||
      (leading.progress.get(peerKey(peer))?.ackedRound ?? 0) >= readRound.round,
  );
  if (!isConfirmed) return false;
  leading.readRound = null;
  for (const id of readRound.ids) core.answerRead(id, { ok: true, index: readRound.readIndex });
  return leading.readsWaiting.length > 0;
}
