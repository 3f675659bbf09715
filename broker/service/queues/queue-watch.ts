/**
 * Looks now and then how the queues stand in the partitions that this broker owns, for its metrics.
 * One look at a time.
 */
import type { Cancel } from '../../../base/clock.ts';
import type { QueuePartition } from '../../../proto/gen/tidemark/v1/queues.ts';
import type { QueueDefinition } from '../../metadata/types.ts';
import type { QueueStanding } from '../../telemetry/queue-metrics.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { Cluster } from '../cluster.ts';
import type { OwnedQueues } from './owned.ts';

const LOOK_MS = 10_000;
/** Queues that are looked at at a time: each may be a question to every leader of its topic. */
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

export class QueueWatch {
  readonly #parts: QueueWatchParts;
  readonly #onStandings: (standings: readonly QueueStanding[]) => void;
  readonly #cancel: Cancel;
  #isLooking = false;

  constructor(parts: QueueWatchParts, onStandings: (standings: readonly QueueStanding[]) => void) {
    this.#parts = parts;
    this.#onStandings = onStandings;
    this.#cancel = parts.cluster.clock.every(LOOK_MS, () => void this.look());
  }

  close(): void {
    this.#cancel();
  }

  /** Resolves once its metrics are told. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const held = this.#held();
      const standings: QueueStanding[] = [];
      for (let from = 0; from < held.length; from += AT_ONCE) {
        const some = held.slice(from, from + AT_ONCE);
        standings.push(...(await Promise.all(some.map((one) => this.#standingOf(one)))));
      }
      this.#onStandings(standings);
    } catch (error) {
      expected(error, this.#parts.report);
    } finally {
      this.#isLooking = false;
    }
  }

  /** In the order of their names. */
  #held(): readonly Held[] {
    const { broker } = this.#parts.cluster;
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

  async #standingOf({ definition, partitions }: Held): Promise<QueueStanding> {
    const { cluster, owned, report } = this.#parts;
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
