/**
 * What compaction may take, exactly and no more, and what must hold of it whatever happens
 * (docs/rules.md#compaction).
 */
import { BrokerError } from '../../../base/errors.ts';
import type { TopicState } from '../../../broker/metadata/types.ts';
import type { CompactionReport } from '../../../broker/runtime/api.ts';
import type { Broker } from '../../../broker/runtime/broker.ts';
import type { FinalLog } from './final-log.ts';
import type { History, Seen, Table } from './history.ts';
import type { KeyedRecord } from './keyed.ts';

/** One record of a key, where it is known to have stood. */
interface Stood {
  readonly offset: number;
  readonly value: string;
  readonly isTombstone: boolean;
}

/** All that is known of the keys of one partition, from whoever was told of a record in it. */
class KeysOf {
  readonly #stood = new Map<string, Map<number, Stood>>();
  /** Keys of which there may be a tombstone somewhere, as far as anybody knows. */
  readonly #perhapsDeleted = new Set<string>();
  readonly #keyed: ReadonlyMap<string, KeyedRecord>;

  constructor(history: History, seen: readonly Seen[], log: FinalLog) {
    this.#keyed = history.keyed;
    const { topic, partition } = log;
    for (const { value, fate } of history.sent) {
      const keyed = history.keyed.get(value);
      if (keyed?.topic !== topic || keyed.partition !== partition) continue;
      if (fate?.kind === 'acknowledged' && fate.offset >= 0) this.#note(value, fate.offset);
      else if (keyed.isTombstone && !(fate?.kind === 'refused' && fate.effect === 'none'))
        this.#perhapsDeleted.add(keyed.key);
    }
    for (const each of seen)
      if (each.topic === topic && each.partition === partition) this.#note(each.value, each.offset);
    for (const [offset, value] of log.values) this.#note(value, offset);
  }

  #note(value: string, offset: number): void {
    const keyed = this.#keyed.get(value);
    if (keyed === undefined) return;
    const stood = this.#stood.get(keyed.key) ?? new Map<number, Stood>();
    this.#stood.set(keyed.key, stood.set(offset, { ...keyed, offset, value }));
  }

  keys(): Iterable<string> {
    return this.#stood.keys();
  }

  of(key: string): readonly Stood[] {
    return [...(this.#stood.get(key)?.values() ?? [])];
  }

  last(key: string): Stood | undefined {
    return this.of(key).reduce<Stood | undefined>(
      (last, each) => (last === undefined || each.offset > last.offset ? each : last),
      undefined,
    );
  }

  isPerhapsDeleted(key: string): boolean {
    return this.#perhapsDeleted.has(key);
  }
}

/**
 * Whether compaction may have taken a record, by X and D of the log: one of its key stands later
 * below X, or did until it was a tombstone below D, or it is such a one itself (K1).
 */
export function compactedAway(
  history: History,
  seen: readonly Seen[],
  log: FinalLog,
  { upTo, tombstonesBelow }: { readonly upTo: number; readonly tombstonesBelow: number },
): (offset: number, value: string) => boolean {
  const keys = new KeysOf(history, seen, log);
  return (offset, value) => {
    const keyed = history.keyed.get(value);
    if (keyed === undefined || offset >= upTo) return false;
    const isBelowD = (each: { readonly offset: number; readonly isTombstone: boolean }): boolean =>
      each.isTombstone && each.offset < tombstonesBelow;
    const isLater = (each: Stood): boolean => each.offset > offset && each.offset < upTo;
    if (isBelowD({ ...keyed, offset })) return true;
    if (keys.of(keyed.key).some((each) => isLater(each) && log.values.has(each.offset)))
      return true;
    if (keys.of(keyed.key).some((each) => isLater(each) && isBelowD(each))) return true;
    return offset < tombstonesBelow && keys.isPerhapsDeleted(keyed.key);
  };
}

/**
 * Whoever follows a log misses no deletion unawares: of a key that a reader knows, the log still
 * has the record that it knows, or a later one.
 */
export function checkTables(
  history: History,
  tables: readonly Table[],
  logs: readonly FinalLog[],
): string[] {
  return logs.flatMap((log) => {
    const { topic, partition, logStart, end, values, losses } = log;
    if (losses.length > 0) return [];
    const lasts = new Map<string | undefined, number>();
    for (const [offset, value] of values) {
      const key = history.keyed.get(value)?.key;
      lasts.set(key, Math.max(offset, lasts.get(key) ?? 0));
    }
    return tables.flatMap(({ reader, topic: own, records }) => {
      if (own !== topic) return [];
      return [...records.values()].flatMap(({ partition: at, offset, value }) => {
        if (at !== partition || offset < logStart || offset >= end) return [];
        const keyed = history.keyed.get(value);
        if (keyed === undefined || keyed.isTombstone) return [];
        if ((lasts.get(keyed.key) ?? -1) >= offset) return [];
        const where = `${topic}/${partition}`;
        return [
          `${reader} knows "${keyed.key}" of ${where} as of ${offset}, which was deleted since, and was told nothing`,
        ];
      });
    });
  });
}

/**
 * (o): whoever reads the log from its beginning finds, of each key, the last record that anybody
 * was told of, or nothing where that deleted it; never an earlier one.
 */
export function checkKeys(
  history: History,
  seen: readonly Seen[],
  logs: readonly FinalLog[],
): string[] {
  return logs.flatMap((log) => {
    const keys = new KeysOf(history, seen, log);
    return [...keys.keys()].flatMap((key) => {
      const last = keys.last(key);
      const found = Math.max(
        ...keys.of(key).map(({ offset }) => (log.values.has(offset) ? offset : -1)),
      );
      // What an unclean election gave up may have been the last one.
      if (last === undefined || log.losses.length > 0) return [];
      if (found < 0 || found === last.offset) return [];
      const where = `${log.topic}/${log.partition}`;
      return [
        `"${key}" of ${where} is as of ${found}, and was "${last.value}" at ${last.offset}, which is gone`,
      ];
    });
  });
}

/** A compacted replica, as it tells of itself. */
export interface CompactedReplica {
  readonly brokerId: number;
  readonly logStart: number;
  readonly highWaterMark: number;
  readonly compaction: Pick<
    CompactionReport,
    'orderedTo' | 'upTo' | 'tombstonesBelow' | 'floor' | 'phase'
  >;
}

/** Why the replicas of one log have not all carried out what was ordered of it; null: they have. */
export function whyUnsettled(replicas: readonly CompactedReplica[]): string | null {
  const upTo = Math.max(...replicas.map(({ compaction }) => compaction.orderedTo));
  const tombstones = Math.max(...replicas.map(({ compaction }) => compaction.tombstonesBelow));
  const end = Math.max(...replicas.map(({ highWaterMark }) => highWaterMark));
  for (const { brokerId, logStart, highWaterMark, compaction } of replicas) {
    // Where the order itself is retired, so is all that it was about.
    const isDone = compaction.upTo === upTo && compaction.tombstonesBelow === tombstones;
    const isSettled = compaction.phase === 'idle' && highWaterMark === end;
    if (!isSettled || (!isDone && upTo > logStart))
      return `broker ${brokerId} is at ${highWaterMark} of ${end}, and has ${JSON.stringify(compaction)}, ordered is ${upTo}`;
  }
  return null;
}

/** Replicas of a partition on these brokers. */
export function compactedReplicas(
  holders: readonly Broker[],
  topicId: string,
  partition: number,
): CompactedReplica[] {
  return holders.map((broker) => {
    const found = broker
      .report()
      .replicas.find((each) => each.topicId === topicId && each.partition === partition);
    if (found === undefined)
      throw new BrokerError('BROKER_NOT_READY', `${topicId}/${partition} is not open everywhere`);
    const { logStart, highWaterMark } = found.status;
    const { brokerId } = broker;
    return { brokerId, logStart, highWaterMark, compaction: found.compaction };
  });
}

export function isCompactedTopic({ config }: Pick<TopicState, 'config'>): boolean {
  return config.cleanup !== 'delete';
}
