/**
 * The partitions of queues that this broker owns: of each log of `__queues` that it leads, one core
 * for every partition of a queue that hashes there. Follows leadership and metadata, and gives
 * cores their ticks; a broker without queues has no timer.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import type { WallMs } from '../../../base/units.ts';
import type { MetadataImage, QueueDefinition } from '../../metadata/types.ts';
import { placeKey } from '../../queues/fold.ts';
import { type QueuePlace, TICK_MS } from '../../queues/types.ts';
import type { OwnedQueue, QueueWorld } from '../api.ts';
import { OwnedPartition } from './owned-partition.ts';
import { partitionOfQueue } from './place.ts';
import type { QueuesLog } from './queues-log.ts';

/** Logs are looked at, whether they are to be shortened, each so many ticks. */
const KEEP_TICKS = 8;

/** The logs that this broker holds. */
export interface OwnedLogs {
  logs(): readonly QueuesLog[];
  /** Throws NOT_LEADER or BROKER_NOT_READY where it is not held here. */
  log(partition: number): QueuesLog;
  /** Keeps them short, and without queues that were deleted. */
  keep(): void;
}

export interface OwnersParts {
  readonly clock: Clock;
  readonly host: OwnedLogs;
  readonly image: () => MetadataImage;
  readonly wallMs: () => WallMs | null;
  readonly onFact: OnFact;
}

/** A partition of a queue, and which log keeps it. */
interface Wanted {
  readonly definition: QueueDefinition;
  readonly partition: number;
}

export class QueueOwners {
  readonly #parts: OwnersParts;
  /** By partition of `__queues`, then by place. */
  readonly #owned = new Map<number, Map<string, OwnedPartition>>();
  #world: QueueWorld | null = null;
  #wanted: ReadonlyMap<number, readonly Wanted[]> = new Map();
  #wantedOf: readonly [MetadataImage['queues'] | null, MetadataImage['topics'] | null] = [
    ...([null, null] as const),
  ];
  #cancelTick: Cancel | null = null;
  #ticks = 0;

  constructor(parts: OwnersParts) {
    this.#parts = parts;
  }

  /** Whoever reaches other partitions is there: queues are served from now on. */
  serve(world: QueueWorld): void {
    this.#world = world;
    this.look();
  }

  /** Leadership, metadata, or who hears this broker may have changed. */
  look(): void {
    if (this.#world === null) return;
    const logs = this.#parts.host.logs();
    const held = new Set(logs.map(({ partition }) => partition));
    for (const partition of this.#owned.keys()) if (!held.has(partition)) this.#drop(partition);
    let isKept = false;
    for (const log of logs) isKept = this.#follow(log, this.#world) || isKept;
    this.#keepTime(isKept);
  }

  /** Throws UNKNOWN_QUEUE, UNKNOWN_PARTITION, NOT_LEADER or BROKER_NOT_READY. */
  owned(queueId: string, partition: number): OwnedQueue {
    const image = this.#parts.image();
    const definition = image.queues.get(queueId);
    if (definition === undefined)
      throw new BrokerError('UNKNOWN_QUEUE', `No queue has id ${queueId}`);
    const { topicId, name } = definition;
    const partitions = image.topics.get(topicId)?.partitions.length ?? 0;
    if (partition >= partitions)
      throw new BrokerError(
        'UNKNOWN_PARTITION',
        `Queue "${name}" has no partition ${String(partition)}, must be 0 to ${String(partitions - 1)}`,
      );
    const place = { queue: queueId, topicId, partition };
    const log = this.#parts.host.log(partitionOfQueue(place));
    const refusal = log.refusal();
    if (refusal !== null) throw refusal;
    const known = this.#ownedIn(log, place);
    if (known !== undefined) return known;
    // What metadata has only just brought here.
    this.look();
    const found = this.#ownedIn(log, place);
    if (found !== undefined) return found;
    throw new BrokerError('BROKER_NOT_READY', `The owner of queue "${name}" begins`);
  }

  *all(): Generator<OwnedQueue> {
    for (const some of this.#owned.values()) yield* some.values();
  }

  close(): void {
    this.#world = null;
    for (const partition of [...this.#owned.keys()]) this.#drop(partition);
    this.#keepTime(false);
  }

  /** In the leadership that the log serves now, in which the controller hears this broker. */
  #ownedIn(log: QueuesLog, place: QueuePlace): OwnedPartition | undefined {
    const found = this.#owned.get(log.partition)?.get(placeKey(place));
    if (found?.epoch !== log.epoch) return undefined;
    found.heard(true);
    return found;
  }

  /** Whether there is anything in it. */
  #follow(log: QueuesLog, world: QueueWorld): boolean {
    const { partition } = log;
    const refusal = log.refusal();
    if (refusal !== null) {
      // While it is not heard it may yet go on in this leadership.
      if (refusal.code === 'NOT_LEADER') this.#drop(partition);
      else for (const each of this.#owned.get(partition)?.values() ?? []) each.heard(false);
      return this.#owned.has(partition);
    }
    const wanted = this.#wantedIn(partition);
    let owned = this.#owned.get(partition);
    if ([...(owned?.values() ?? [])].some(({ epoch }) => epoch !== log.epoch)) {
      this.#drop(partition);
      owned = undefined;
    }
    if (owned === undefined)
      this.#owned.set(partition, (owned = new Map<string, OwnedPartition>()));
    const { clock, wallMs, onFact } = this.#parts;
    const keys = new Set<string>();
    for (const { definition, partition: at } of wanted) {
      const { queueId: queue, topicId } = definition;
      const key = placeKey({ queue, topicId, partition: at });
      keys.add(key);
      const present = owned.get(key);
      if (present === undefined)
        owned.set(key, new OwnedPartition(definition, at, { log, clock, world, wallMs, onFact }));
      else {
        present.configure(definition);
        present.heard(true);
      }
    }
    for (const [key, each] of owned) {
      if (keys.has(key)) continue;
      owned.delete(key);
      each.close();
    }
    return owned.size > 0 || log.image().queues.size > 0;
  }

  #wantedIn(partition: number): readonly Wanted[] {
    const { queues, topics } = this.#parts.image();
    if (this.#wantedOf[0] !== queues || this.#wantedOf[1] !== topics) {
      this.#wantedOf = [queues, topics];
      this.#wanted = placesByLog(queues, topics);
    }
    return this.#wanted.get(partition) ?? [];
  }

  #drop(partition: number): void {
    const owned = this.#owned.get(partition);
    this.#owned.delete(partition);
    for (const each of owned?.values() ?? []) each.close();
  }

  #keepTime(isKept: boolean): void {
    if (!isKept) {
      this.#cancelTick?.();
      this.#cancelTick = null;
      return;
    }
    this.#cancelTick ??= this.#parts.clock.every(TICK_MS, () => {
      this.#ticks += 1;
      for (const owned of this.#owned.values()) for (const each of owned.values()) each.tick();
      if (this.#ticks % KEEP_TICKS === 0) this.#parts.host.keep();
    });
  }
}

function placesByLog(
  queues: MetadataImage['queues'],
  topics: MetadataImage['topics'],
): ReadonlyMap<number, readonly Wanted[]> {
  const found = new Map<number, Wanted[]>();
  for (const definition of queues.values()) {
    const { queueId: queue, topicId } = definition;
    for (const { partition } of topics.get(topicId)?.partitions ?? []) {
      const log = partitionOfQueue({ queue, topicId, partition });
      const some = found.get(log);
      if (some === undefined) found.set(log, [{ definition, partition }]);
      else some.push({ definition, partition });
    }
  }
  return found;
}
