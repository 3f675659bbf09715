/**
 * Linearizable reads without a log entry (thesis 6.4): the leader notes its commit index, a majority confirms that it still leads, and the
 * application answers once it has applied that index. Reads that arrive during a round share the next one.
 */
import type { Core } from './core.ts';
import { isSamePeer, peerKey } from './peer.ts';

/** Takes a read; true when a new heartbeat round must start for it. */
export function onRead(core: Core, id: number): boolean {
  if (core.role !== 'leader')
    core.answerRead(
      id,
      core.refusal('NOT_LEADER', 'this broker does not lead the metadata quorum'),
    );
  else if (!core.isLeaderReady)
    core.answerRead(
      id,
      core.refusal('BUSY', 'the new leader has not committed an entry of its term yet'),
    );
  else if (core.readsWaiting.length >= core.settings.proposalsPendingMax)
    core.answerRead(
      id,
      core.refusal('BUSY', `${core.readsWaiting.length} reads are waiting, which is the limit`),
    );
  else {
    core.readsWaiting.push(id);
    return core.readRound === null;
  }
  return false;
}

/** Binds the waiting reads to the round that starts now. */
export function beginReadRound(core: Core): void {
  if (core.readRound !== null || core.readsWaiting.length === 0) return;
  core.readRound = { round: core.round, readIndex: core.commitIndex, ids: core.readsWaiting };
  core.readsWaiting = [];
}

/** Answers the reads whose round a majority has confirmed; true when others wait for a new one. */
export function finishReadRound(core: Core): boolean {
  const { readRound } = core;
  if (readRound === null) return false;
  const isConfirmed = core.isMajority(
    (peer) =>
      isSamePeer(peer, core.self) ||
      (core.progress.get(peerKey(peer))?.ackedRound ?? 0) >= readRound.round,
  );
  if (!isConfirmed) return false;
  core.readRound = null;
  for (const id of readRound.ids) core.answerRead(id, { ok: true, index: readRound.readIndex });
  return core.readsWaiting.length > 0;
}
