/**
 * Brings partitions to members of their racks without making loads less even: a member with one
 * less takes one more, or two members swap. Each step brings one more partition near, so it ends.
 */
import { give, type Share, type Spread } from './spread.ts';

/** Partitions that one is compared with before it stays where it is: a bound on the work. */
const LOOKS_MAX = 200;

/** Where members differ in what they subscribe to, only partitions of one topic are swapped. */
export function bringNearer(spread: Spread): void {
  const isUniform = new Set(spread.assignees.map(({ topics }) => topics)).size === 1;
  const sets = isUniform ? [[...spread.byTopic.values()].flat()] : [...spread.byTopic.values()];
  for (const shares of sets) while (improve(spread, shares, isUniform));
}

function improve(spread: Spread, shares: readonly Share[], isUniform: boolean): boolean {
  const byRack = Map.groupBy(
    shares.filter((share) => isLoose(spread, share)),
    ({ owner }) => rackOf(spread, owner),
  );
  let hasImproved = false;
  for (const share of shares) {
    if (share.owner < 0 || isNear(spread, share, share.owner)) continue;
    const isDone = share.racks.some(
      (rack) =>
        rack !== '' &&
        ((isUniform && moveTo(spread, share, rack)) ||
          swapWith(spread, share, byRack.get(rack) ?? [])),
    );
    hasImproved ||= isDone;
  }
  return hasImproved;
}

function moveTo(spread: Spread, share: Share, rack: string): boolean {
  const member = spread.loads.inRack(rack, spread.loads.of(share.owner) - 1);
  if (member < 0) return false;
  give(spread, share, member);
  return true;
}

/** With one that is far from its own member, or would be near this one's. */
function swapWith(spread: Spread, share: Share, others: readonly Share[]): boolean {
  const from = share.owner;
  for (const other of others.slice(0, LOOKS_MAX)) {
    const to = other.owner;
    if (to === from || !isNear(spread, share, to)) continue;
    if (isNear(spread, other, to) && !isNear(spread, other, from)) continue;
    if (spread.assignees[to]?.topics.has(share.topicId) !== true) continue;
    if (spread.assignees[from]?.topics.has(other.topicId) !== true) continue;
    give(spread, share, to);
    give(spread, other, from);
    return true;
  }
  return false;
}

/** Whether it may go without being further away than before: far as it is, or near others too. */
function isLoose(spread: Spread, share: Share): boolean {
  return share.owner >= 0 && (share.racks.length > 1 || !isNear(spread, share, share.owner));
}

function isNear(spread: Spread, { racks }: Share, member: number): boolean {
  const rack = rackOf(spread, member);
  return rack !== '' && racks.includes(rack);
}

function rackOf({ assignees }: Spread, member: number): string {
  return assignees[member]?.rack ?? '';
}
