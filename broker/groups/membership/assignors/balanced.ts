/**
 * Even, and then sticky: no move of one partition makes loads more even (so, where all subscribe
 * to the same, they differ by one at most), and nothing moves that need not for that. With racks:
 * even, then near, then sticky.
 *
 * Keep what is still allowed; give what nobody has to the least loaded; move from those who have
 * most to those who have least. Each move makes the sum of squares smaller, so it ends.
 */
import { type PartitionKey, partitionKey, type TopicId } from '../../../../base/units.ts';
import type { GroupTopic } from '../types.ts';
import type { Assignee, Targets } from './types.ts';
import { Loads } from './loads.ts';
import { bringNearer } from './racks.ts';
import { give, type Share, type Spread } from './spread.ts';

/** @param assignees in their order */
export function balanced(
  assignees: readonly Assignee[],
  topics: ReadonlyMap<TopicId, GroupTopic>,
  withRacks: boolean,
): Targets {
  const spread: Spread = {
    assignees,
    loads: new Loads(assignees, withRacks),
    byTopic: new Map(
      [...topics.values()].map((topic) => [topic.topicId, sharesOf(topic, withRacks)]),
    ),
  };
  keep(spread);
  fill(spread);
  while (even(spread));
  if (withRacks) bringNearer(spread);
  const targets: Targets = new Map(assignees.map(({ memberId }) => [memberId, new Set()]));
  for (const shares of spread.byTopic.values())
    for (const { owner, key } of shares) targets.get(assignees[owner]?.memberId ?? '')?.add(key);
  return targets;
}

function sharesOf({ topicId, partitions, racks }: GroupTopic, withRacks: boolean): Share[] {
  return Array.from({ length: partitions }, (_, partition) => ({
    key: partitionKey(topicId, partition),
    topicId,
    racks: withRacks ? (racks[partition] ?? []) : [],
    owner: -1,
    before: -1,
  }));
}

function keep(spread: Spread): void {
  const owners = new Map<PartitionKey, number>();
  for (const [member, { previous, held }] of spread.assignees.entries())
    for (const key of previous) if (!owners.has(key) || held.has(key)) owners.set(key, member);
  for (const [topicId, shares] of spread.byTopic)
    for (const share of shares) {
      const owner = owners.get(share.key);
      if (owner === undefined || spread.assignees[owner]?.topics.has(topicId) !== true) continue;
      share.before = owner;
      give(spread, share, owner);
    }
}

/** Topics with the fewest subscribers first: they have the least choice. */
function fill(spread: Spread): void {
  const subscribers = new Map<TopicId, number>();
  for (const { topics } of spread.assignees)
    for (const topicId of topics) subscribers.set(topicId, (subscribers.get(topicId) ?? 0) + 1);
  const order = [...spread.byTopic].toSorted(
    ([a], [b]) => (subscribers.get(a) ?? 0) - (subscribers.get(b) ?? 0),
  );
  for (const [topicId, shares] of order)
    for (const share of shares) {
      if (share.owner >= 0) continue;
      const member = spread.loads.leastOf(topicId, share.racks);
      if (member >= 0) give(spread, share, member);
    }
}

/** One look at each topic. True if something moved. */
function even(spread: Spread): boolean {
  let hasMoved = false;
  for (const [topicId, shares] of spread.byTopic)
    if (evenTopic(spread, topicId, shares)) hasMoved = true;
  return hasMoved;
}

function evenTopic(spread: Spread, topicId: TopicId, shares: readonly Share[]): boolean {
  const { loads } = spread;
  const owned = Map.groupBy(shares, ({ owner }) => owner);
  owned.delete(-1);
  // Holders by load. An entry whose load has changed since is old, and another one stands for it.
  const byLoad: number[][] = [];
  const enter = (member: number): void => {
    const load = loads.of(member);
    while (byLoad.length <= load) byLoad.push([]);
    byLoad[load]?.push(member);
  };
  for (const member of owned.keys()) enter(member);
  let hasMoved = false;
  for (let load = byLoad.length - 1; load > 0; ) {
    const to = loads.leastOf(topicId, []);
    if (to < 0 || load - loads.of(to) < 2) break;
    const from = byLoad[load]?.pop();
    if (from === undefined) {
      load -= 1;
      continue;
    }
    const own = owned.get(from);
    if (loads.of(from) !== load || own === undefined || own.length === 0) continue;
    const share = takeOne(spread, own);
    give(spread, share, to);
    const others = owned.get(to);
    if (others === undefined) owned.set(to, [share]);
    else others.push(share);
    enter(to);
    enter(from);
    hasMoved = true;
  }
  return hasMoved;
}

/** What costs least to move: what is new to its owner, then what is far from it, then any. */
function takeOne({ assignees }: Spread, shares: Share[]): Share {
  let at = shares.findIndex(({ owner, before }) => owner !== before);
  if (at < 0)
    at = shares.findIndex(
      ({ owner, racks }) => racks.length > 0 && !racks.includes(assignees[owner]?.rack ?? ''),
    );
  return shares.splice(at < 0 ? shares.length - 1 : at, 1)[0]!;
}
