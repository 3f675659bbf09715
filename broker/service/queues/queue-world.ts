/**
 * What owners of queues need of other partitions: their records, where they end, and dead letters
 * in them. Also brings the records that a member was leased, from memory where they are.
 */
import type { DecodedRecord } from '../../../wire/records/record-set.ts';
import { BrokerError } from '../../../base/errors.ts';
import { type LeaderEpoch, type Offset, partitionKey, type TopicId } from '../../../base/units.ts';
import type { QueueDefinition } from '../../metadata/types.ts';
import type { LetterResult, LetterTask, QueuePlace } from '../../queues/types.ts';
import { expected } from '../../messages/handlers.ts';
import type { QueueNews, QueueReading, QueueWorld } from '../../runtime/api.ts';
import type { Appender } from '../appender.ts';
import type { FeedParts } from '../feeds.ts';
import { clusterLags } from '../groups/lags.ts';
import { carryOutLetters } from './letters.ts';
import { openFrame } from './open-frame.ts';
import { QueueReader } from './queue-reader.ts';
import { ReadAhead } from './read-ahead.ts';
import { readOnce } from './read-once.ts';
import { RecordCache } from './record-cache.ts';
import { Turns } from './turns.ts';

const AGAIN_BYTES = 256 * 1024;
/**
 * Partitions that are begun to be read at a time, and records that are read again: each brings a
 * batch at least, which may be of 8 MiB, and what it decodes to.
 */
const READS_MAX = 8;
const END_MS = 5_000;

/** Which record. */
export interface RecordPlace {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
}

export interface QueueWorldParts extends FeedParts {
  readonly appender: Pick<Appender, 'append'>;
  /**
   * Memory for all queues of the broker: half of it for records that were read and are not leased
   * yet, half for frames that are not looked at yet.
   */
  readonly memoryBytes: number;
}

export class BrokerQueueWorld implements QueueWorld {
  readonly #parts: QueueWorldParts;
  readonly #cache: RecordCache;
  readonly #ahead: ReadAhead;
  readonly #begins = new Turns(READS_MAX);
  readonly #again = new Turns(READS_MAX);

  constructor(parts: QueueWorldParts) {
    this.#parts = parts;
    this.#cache = new RecordCache(parts.memoryBytes / 2);
    this.#ahead = new ReadAhead(parts.memoryBytes / 2);
  }

  read({ topicId, partition }: QueuePlace, take: (news: QueueNews) => void): QueueReading {
    const key = partitionKey(topicId, partition);
    const keep = (record: DecodedRecord, epoch: LeaderEpoch): void => {
      this.#cache.keep(key, record, epoch);
    };
    return new QueueReader({
      ...{ ...this.#parts, topicId, partition, take, keep },
      ...{ ahead: this.#ahead, turns: this.#begins },
    });
  }

  bury(queue: QueueDefinition, place: QueuePlace, task: LetterTask): Promise<LetterResult> {
    const parts = {
      ...this.#parts,
      end: (topicId: TopicId, partition: number) => this.end(topicId, partition),
      recordsAt: (at: QueuePlace, wanted: readonly RecordPlace[]) => this.recordsAt(at, wanted),
    };
    return carryOutLetters(parts, queue, place, task);
  }

  async end(topicId: TopicId, partition: number): Promise<RecordPlace | null> {
    const { cluster, report } = this.#parts;
    const topic = cluster.image().topics.get(topicId);
    if (topic === undefined) return null;
    const lagAt = async (offset: Offset): ReturnType<typeof clusterLags> =>
      clusterLags(
        cluster,
        { topic, positions: [{ partition, offset }], principal: '' },
        END_MS,
        report,
      );
    try {
      const [first] = await lagAt(0);
      const offset = first?.lag?.endOffset;
      if (offset === undefined) return null;
      const [second] = await lagAt(offset);
      const epoch = second?.lag?.positionEpoch;
      return epoch === undefined ? null : { offset, epoch };
    } catch (error) {
      expected(error, report);
      return null;
    }
  }

  /**
   * The records, by offset; those that are gone are absent. Rejects where that cannot be known now.
   */
  async recordsAt(
    { topicId, partition }: QueuePlace,
    wanted: readonly RecordPlace[],
  ): Promise<ReadonlyMap<Offset, DecodedRecord>> {
    const key = partitionKey(topicId, partition);
    const found = new Map<Offset, DecodedRecord>();
    const open = new Map<Offset, LeaderEpoch>();
    for (const { offset, epoch } of wanted) {
      const record = this.#cache.take(key, offset, epoch);
      if (record === undefined) open.set(offset, epoch);
      else found.set(offset, record);
    }
    while (open.size > 0) {
      const offset = Math.min(...open.keys());
      await this.#again.run(() => this.#readAgain({ topicId, partition, offset }, open, found));
    }
    return found;
  }

  /** One read, from the first that is open; what it covers is open no more. */
  async #readAgain(
    place: { readonly topicId: TopicId; readonly partition: number; readonly offset: Offset },
    open: Map<Offset, LeaderEpoch>,
    found: Map<Offset, DecodedRecord>,
  ): Promise<void> {
    const { offset } = place;
    // A log that holds the record has its epoch up to here: no other may say what is gone.
    const leaderEpoch = open.get(offset) ?? 0;
    try {
      const read = await readOnce(this.#parts, { ...place, leaderEpoch }, AGAIN_BYTES);
      for (const frame of read.frames) {
        const { header, records } = openFrame(frame);
        const isWanted = ({ offset: at }: DecodedRecord): boolean =>
          open.get(at) === header.leaderEpoch;
        for (const record of records.filter(isWanted)) found.set(record.offset, record);
      }
      const to = read.frames.length === 0 ? read.highWaterMark : read.nextOffset;
      if (to <= offset) throw notCommittedYet(offset, to);
      for (const each of open.keys()) if (each < to) open.delete(each);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      const { logStart = 0, logEnd = Infinity } = error.details;
      const isGone = ([each, epoch]: readonly [Offset, LeaderEpoch]): boolean =>
        error.code === 'POSITION_DIVERGED'
          ? each >= logEnd && epoch === leaderEpoch
          : error.code === 'OFFSET_OUT_OF_RANGE' && each < logStart;
      const gone = [...open].filter(isGone);
      if (gone.length === 0) throw error;
      for (const [each] of gone) open.delete(each);
    }
  }
}

/** A new leader knows what is committed only once it has committed something itself. */
function notCommittedYet(offset: Offset, highWaterMark: Offset): BrokerError {
  return new BrokerError(
    'OFFSET_NOT_AVAILABLE',
    `The leader does not know yet that offset ${offset} is committed, only what is below ${highWaterMark}`,
  );
}
