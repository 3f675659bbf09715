/** How the queues stand in the partitions that this broker owns, now and then, for its metrics. */
import type { QueuePartition } from '../../../proto/gen/tidemark/v1/queues.ts';
import type { QueueDefinition } from '../../metadata/types.ts';
import type { QueueStanding } from '../../telemetry/queue-metrics.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { Cluster } from '../cluster.ts';
import { Sampling } from '../sampling.ts';
import type { OwnedQueues } from './owned.ts';

const LOOK_MS = 10_000;
const AT_ONCE = 16;

export interface QueueWatchParts {
  readonly cluster: Cluster;
  readonly owned: Pick<OwnedQueues, 'describe'>;
  readonly report: ReportDefect;
}

/** Partitions of a queue that this broker owns. */
interface Held {
  readonly definition: QueueDefinition;
  readonly partitions: number[];
}

export function watchQueues(
  parts: QueueWatchParts,
  onSamples: (standings: readonly QueueStanding[]) => void,
): Sampling<Held, QueueStanding> {
  const { cluster, report } = parts;
  return new Sampling({
    ...{ clock: cluster.clock, report, everyMs: LOOK_MS, atOnce: AT_ONCE, onSamples },
    items: () => heldBy(parts),
    sample: (held) => sampleOf(parts, held),
  });
}

/** In the order of their names. */
function heldBy({ cluster: { broker } }: QueueWatchParts): readonly Held[] {
  if (!broker.isInformed()) return [];
  const byQueue = new Map<string, Held>();
  for (const { definition, place } of broker.queues().all()) {
    const held = byQueue.get(definition.queueId);
    if (held !== undefined) held.partitions.push(place.partition);
    else byQueue.set(definition.queueId, { definition, partitions: [place.partition] });
  }
  return [...byQueue.values()].sort((one, other) =>
    one.definition.name < other.definition.name ? -1 : 1,
  );
}

async function sampleOf(
  { cluster, owned, report }: QueueWatchParts,
  { definition, partitions }: Held,
): Promise<QueueStanding> {
  const { queueId, name: queue, topicId } = definition;
  const topic = cluster.image().topics.get(topicId)?.name ?? '';
  try {
    const described = await owned.describe(queueId, partitions);
    return { queue, topic, ...standingOf(described.partitions) };
  } catch (error) {
    // It was deleted meanwhile, or this broker knows nothing at the moment.
    expected(error, report);
    return { queue, topic, ...standingOf([]), lag: null, unknown: partitions.length };
  }
}

function standingOf(partitions: readonly QueuePartition[]): Omit<QueueStanding, 'queue' | 'topic'> {
  const sum = (of: (one: QueuePartition) => number): number =>
    partitions.reduce((total, one) => total + of(one), 0);
  const most = (of: (one: QueuePartition) => number): number =>
    partitions.reduce((greatest, one) => Math.max(greatest, of(one)), 0);
  const unknown = partitions.filter(({ error }) => error !== undefined).length;
  return {
    leased: sum(({ leased }) => leased),
    waiting: sum(({ waiting }) => waiting),
    delayed: sum(({ delayed }) => delayed),
    dying: sum(({ dying }) => dying),
    parked: sum(({ parked }) => parked),
    blocked: partitions.filter(({ blocked }) => blocked !== undefined).length,
    dyingMs: most(({ dyingMs }) => dyingMs),
    lag:
      unknown > 0
        ? null
        : { records: sum(({ lagRecords }) => lagRecords), ageMs: most(({ lagMs }) => lagMs) },
    unknown,
  };
}
