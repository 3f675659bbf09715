/**
 * The state of queues on one broker: a folded log for each replica of `__queues` that it holds,
 * kept short, and without what is left of queues that were deleted.
 */
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import { QUEUES_PARTITIONS, QUEUES_TOPIC } from '../../../base/internal-topics.ts';
import type { Offset, WallMs } from '../../../base/units.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import {
  bytesOf,
  placeKey,
  type QueuesImage,
  type QueueState,
  recordsOf,
} from '../../queues/fold.ts';
import type { QueuesRecord } from '../../queues/records.ts';
import type { OwnedQueue, QueuesApi, QueueWorld } from '../api.ts';
import { FoldedLog } from '../folded/folded-log.ts';
import { HeldPartitions, type KeptPartition } from '../folded/held-partitions.ts';
import type { Replica } from '../partitions/replica.ts';
import type { Replicas } from '../partitions/replicas.ts';
import type { TextRecords } from '../ports.ts';
import { QueueOwners } from './owners.ts';
import { QUEUES_CODEC, type QueuesLog } from './queues-log.ts';

/** The log is let grow to so many times what a snapshot takes. */
const GROWTH = 4;
/** Of one batch of a snapshot: far below the topic's `batchBytesMax`. */
const SNAPSHOT_CHARACTERS = 512 * 1024;
/** Tombstones of one batch. */
const FORGOTTEN_AT_ONCE = 1_000;

export interface QueuesHostParts {
  readonly clock: Clock;
  readonly records: TextRecords;
  /** Bytes of the log below which it is let grow. */
  readonly snapshotBytesMin: number;
  readonly image: () => MetadataImage;
  readonly replicas: Pick<Replicas, 'get' | 'require'>;
  readonly onDamage: (replica: Replica, error: BrokerError) => void;
  readonly onFact: OnFact;
  /** Null: the clock is not trusted. */
  readonly wallMs: () => WallMs | null;
}

interface Held extends KeptPartition {
  readonly log: QueuesLog;
  readonly replica: Replica;
  isKeeping: boolean;
}

export class QueuesHost implements QueuesApi {
  readonly #parts: QueuesHostParts;
  readonly #held: HeldPartitions<Held>;
  readonly #owners: QueueOwners;

  constructor(parts: QueuesHostParts) {
    this.#parts = parts;
    const open = (replica: Replica): Held => this.#open(replica);
    this.#held = new HeldPartitions({
      ...{ ...parts, topic: QUEUES_TOPIC, partitions: QUEUES_PARTITIONS, open },
    });
    this.#owners = new QueueOwners({ ...parts, host: this });
  }

  /** Replicas or metadata have changed, or time has passed. */
  look(): void {
    this.#held.look();
    this.#owners.look();
  }

  close(): void {
    this.#owners.close();
    this.#held.close();
  }

  // What the service asks: QueuesApi

  serve(world: QueueWorld): void {
    this.#owners.serve(world);
  }

  owned(queueId: string, partition: number): OwnedQueue {
    return this.#owners.owned(queueId, partition);
  }

  all(): Iterable<OwnedQueue> {
    return this.#owners.all();
  }

  // What owners ask

  logs(): QueuesLog[] {
    return [...this.#held].map(({ log }) => log);
  }

  /** Throws NOT_LEADER or BROKER_NOT_READY where it is not held here. */
  log(partition: number): QueuesLog {
    return this.#held.get(partition).log;
  }

  /** Keeps logs short, and without queues that were deleted. */
  keep(): void {
    for (const held of this.#held) {
      if (held.isKeeping || held.log.refusal() !== null) continue;
      const isGone = this.#goneIn(held.log).length > 0;
      if (isGone || this.#isLong(held.log)) void this.#keepOne(held);
    }
  }

  // Parts

  #open(replica: Replica): Held {
    const { clock, records, onDamage, onFact } = this.#parts;
    const log = new FoldedLog(replica, {
      ...{ clock, records, codec: QUEUES_CODEC, what: 'queues' },
      onUnreadable: (reason) => {
        onFact('queues-unreadable', { partition: replica.name, reason });
      },
      onDamage: (error) => {
        onDamage(replica, error);
      },
    });
    return {
      ...{ log, replica, isKeeping: false },
      look: () => {
        log.look();
      },
      close: () => {
        log.close();
      },
    };
  }

  #isLong({ sizes: { logBytes, imageBytes } }: QueuesLog): boolean {
    return logBytes > Math.max(this.#parts.snapshotBytesMin, GROWTH * imageBytes);
  }

  /** Of queues, or partitions, that there are no more. A queue's id never comes again. */
  #goneIn(log: QueuesLog): QueueState[] {
    const { queues } = this.#parts.image();
    const gone: QueueState[] = [];
    for (const state of log.image().queues.values()) {
      if (!queues.has(state.queue)) gone.push(state);
      if (gone.length >= FORGOTTEN_AT_ONCE) break;
    }
    return gone;
  }

  async #keepOne(held: Held): Promise<void> {
    const { log } = held;
    held.isKeeping = true;
    try {
      const gone = this.#goneIn(log);
      if (gone.length > 0)
        await log.propose({
          subject: null,
          judge: () =>
            gone.map(
              ({ queue, topicId, partition }): QueuesRecord => ({
                ...{ kind: 'state', queue, topicId, partition, value: null },
              }),
            ),
        });
      if (this.#isLong(log)) await this.#shorten(held);
    } catch (error) {
      // The next look, or the next owner, does it.
      if (!(error instanceof BrokerError)) throw error;
    } finally {
      held.isKeeping = false;
    }
  }

  /** Writes everything again, and drops what lies before. */
  async #shorten({ log, replica }: Held): Promise<void> {
    const { epoch, sizes } = log;
    let keys: string[] = [];
    let start: Offset = 0;
    // What there is to write is looked up as the first batch is judged: behind everything that
    // stands before it in the log, and is trimmed.
    let at = 0;
    const next = (image: QueuesImage): QueuesRecord[] => {
      const records: QueuesRecord[] = [];
      for (let characters = 0; at < keys.length && characters < SNAPSHOT_CHARACTERS; at += 1) {
        const state = image.queues.get(keys[at]!);
        if (state === undefined) continue;
        records.push(...recordsOf(state));
        characters += bytesOf({ queues: new Map([[placeKey(state), state]]) });
      }
      return records;
    };
    const first = await log.propose({
      subject: null,
      judge: (image) => {
        keys = [...image.queues.keys()];
        start = log.foldedTo;
        return next(image);
      },
    });
    while (at < keys.length) {
      await log.propose({ subject: null, judge: next });
      // Another leadership began: it has trimmed nothing, and begins anew.
      if (log.refusal() !== null || log.epoch !== epoch) return;
    }
    const logStart = await replica.trim(first ?? start);
    this.#parts.onFact('queues-shortened', {
      partition: replica.name,
      logStart,
      bytes: sizes.logBytes,
    });
  }
}
