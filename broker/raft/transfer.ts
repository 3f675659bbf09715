/**
 * Handing leadership to a chosen voter (thesis 3.10): no new proposals, wait until it holds the
 * whole log, ask it to campaign at once.
 */
import type { Core } from './core.ts';
import { peerKey } from './peer.ts';
import type { BrokerId } from '../../base/units.ts';
import type { Progress } from './progress.ts';
import type { LeaderState } from './roles.ts';

/** Begins a transfer; ignored for whoever is no other voter. */
export function onTransfer(core: Core, leading: LeaderState, to: BrokerId): void {
  const target = core.otherVoters.find((peer) => peer.brokerId === to);
  if (target === undefined) return;
  leading.transfer = { to: target, until: core.now + core.settings.electionTicksMin };
  advanceTransfer(core, leading);
}

/** Lets the target campaign once it is caught up. */
export function advanceTransfer(core: Core, leading: LeaderState): void {
  if (leading.transfer === null) return;
  const progress = leading.progress.get(peerKey(leading.transfer.to));
  if (progress?.matchIndex === core.log.lastIndex)
    core.send(progress.peer, { kind: 'timeout-now' });
}

/** Gives up on a target that did not take over: proposals are taken again. */
export function expireTransfer(core: Core, leading: LeaderState): void {
  if (leading.transfer !== null && core.now >= leading.transfer.until) leading.transfer = null;
}

/**
 * A leader that has committed its own removal names the voter that is furthest, so that nobody has
 * to wait for a timeout.
 */
export function nominateSuccessor(core: Core, leading: LeaderState): void {
  let best: Progress | null = null;
  for (const peer of core.otherVoters) {
    const progress = leading.progress.get(peerKey(peer)) ?? null;
    if (progress !== null && progress.matchIndex > (best?.matchIndex ?? -1)) best = progress;
  }
  if (best !== null) core.send(best.peer, { kind: 'timeout-now' });
}
