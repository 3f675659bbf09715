/**
 * Handing leadership to a chosen voter (thesis 3.10): no new proposals, wait until it holds the whole log, ask it to campaign at once.
 */
import type { Core } from './core.ts';
import { peerKey } from './peer.ts';
import type { BrokerId } from '../base/units.ts';
import type { Progress } from './progress.ts';

/** Begins a transfer; ignored by others than the leader and for whoever is no other voter. */
export function onTransfer(core: Core, to: BrokerId): void {
  const target = core.otherVoters.find((peer) => peer.brokerId === to);
  if (core.role !== 'leader' || target === undefined) return;
  core.transfer = { to: target, until: core.now + core.settings.electionTicksMin };
  advanceTransfer(core);
}

/** Lets the target campaign once it is caught up. */
export function advanceTransfer(core: Core): void {
  if (core.transfer === null) return;
  const progress = core.progress.get(peerKey(core.transfer.to));
  if (progress?.matchIndex === core.log.lastIndex)
    core.send(progress.peer, { kind: 'timeout-now' });
}

/** Gives up on a target that did not take over: proposals are taken again. */
export function expireTransfer(core: Core): void {
  if (core.transfer !== null && core.now >= core.transfer.until) core.transfer = null;
}

/** A leader that has committed its own removal names the voter that is furthest, so that nobody has to wait for a timeout. */
export function nominateSuccessor(core: Core): void {
  let best: Progress | null = null;
  for (const peer of core.otherVoters) {
    const progress = core.progress.get(peerKey(peer)) ?? null;
    if (progress !== null && progress.matchIndex > (best?.matchIndex ?? -1)) best = progress;
  }
  if (best !== null) core.send(best.peer, { kind: 'timeout-now' });
}
