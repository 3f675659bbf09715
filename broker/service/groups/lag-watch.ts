/** How far the groups are behind that this broker coordinates, now and then, for its metrics. */
import type { Cursor } from '../../groups/fold.ts';
import type { GroupLag } from '../../telemetry/group-metrics.ts';
import { Sampling } from '../sampling.ts';
import type { GroupParts } from './coordinated.ts';
import { clusterLags } from './lags.ts';

const LOOK_MS = 10_000;
const DEADLINE_MS = 3_000;
/** Pairs of group and topic of one look. */
const PAIRS_MAX = 2_000;
const AT_ONCE = 16;

type LagParts = Pick<GroupParts, 'cluster' | 'report'>;

/** What the leaders do not answer is not known. */
export function watchLags(
  parts: LagParts,
  onSamples: (lags: readonly GroupLag[]) => void,
): Sampling<readonly Cursor[], GroupLag> {
  const { cluster, report } = parts;
  return new Sampling({
    ...{ clock: cluster.clock, report, everyMs: LOOK_MS, atOnce: AT_ONCE, onSamples },
    items: () => pairsOf(parts),
    sample: (cursors) => lagOf(parts, cursors),
  });
}

/** Cursors by group and topic, of groups and topics in the order of their names. */
function pairsOf({ cluster: { broker } }: LagParts): readonly (readonly Cursor[])[] {
  if (!broker.isInformed()) return [];
  const pairs = new Map<string, Cursor[]>();
  for (const { cursors } of broker.groups().coordinated().values())
    for (const cursor of cursors.values()) {
      const key = `${cursor.group}/${cursor.topicId}`;
      const found = pairs.get(key);
      if (found === undefined) pairs.set(key, [cursor]);
      else found.push(cursor);
    }
  const names = [...pairs.keys()].sort().slice(0, PAIRS_MAX);
  return names.map((name) => pairs.get(name) ?? []);
}

async function lagOf({ cluster, report }: LagParts, cursors: readonly Cursor[]): Promise<GroupLag> {
  const [{ group, topic: name, topicId } = { group: '', topic: '', topicId: '' }] = cursors;
  const topic = cluster.image().topics.get(topicId);
  if (topic === undefined) return { group, topic: name, lag: null };
  const positions = cursors.map(({ partition, offset }) => ({ partition, offset }));
  // Nobody asked for it.
  const question = { topic, positions, principal: '' };
  const found = await clusterLags(cluster, question, DEADLINE_MS, report);
  const lags = found.flatMap(({ lag }) => (lag === undefined ? [] : [lag]));
  if (lags.length < cursors.length) return { group, topic: name, lag: null };
  const records = lags.reduce((sum, lag) => sum + lag.records, 0);
  const ageMs = lags.reduce((most, lag) => Math.max(most, lag.ageMs), 0);
  return { group, topic: name, lag: { records, ageMs } };
}
