/** What a member of a queue takes and gives back. */
import type { AnyTopic } from '../codecs.ts';
import type { ParallelContext } from '../consumer/types.ts';
import type { TidemarkError } from '../errors.ts';
import type { QueueJob } from './job.ts';

/** What to do with a record that its codecs cannot decode. */
export type QueueUndecodablePolicy = 'throw' | 'reject';

/** Settings of a member of a queue. */
export interface QueueOptions<T extends string | AnyTopic = string> {
  /**
   * The queue's topic, by its name or with codecs; a queue of another topic is refused. Default:
   * whatever topic the queue has, keys and values as bytes.
   */
  readonly topic?: T;
  /**
   * Most records that are leased to this member at a time, 1 to 10,000. Those that wait in it are
   * with nobody else, so keep it low where a record takes long. Default: 1; with `run` as many as
   * handlers may run. It may be exceeded for a moment where a member goes on at another broker.
   */
  readonly recordsMax?: number;
  /** Most bytes of them, 64 KiB to 1 GiB. Default 8 MiB. One record may exceed it. */
  readonly bytesMax?: number;
  /**
   * How long leases go on once the connection broke and its broker lives, 0 to 1,800,000 ms.
   * Default 3,000.
   */
  readonly graceMs?: number;
  /**
   * Default `throw`: UNDECODABLE, and the record goes back. `reject` rejects it, with the reason,
   * and goes on; the queue needs a dead-letter topic.
   */
  readonly onUndecodable?: QueueUndecodablePolicy;
  /** Called when a record that was handed out is lost before it is settled. */
  readonly onLost?: (job: QueueJob<unknown, unknown>, error: TidemarkError) => unknown;
  /** For people, in lists of members. Default: the program and its process id. */
  readonly client?: string;
}

/** How `QueueConsumer.run` goes about it. */
export interface QueueRunOptions<Key = unknown, Value = unknown> {
  /** Most handlers that run at a time, 1 to 10,000. Default 1. */
  readonly concurrency?: number;
  /**
   * A record whose handler throws is put back with a delay: one second at its first delivery, twice
   * of that with each other one, and no more than this, 0 to 3,600,000 ms. Default 60,000. A queue
   * may have a lower bound (`delayMaxMs`): it refuses what is longer, which ends `run`.
   */
  readonly delayMsMax?: number;
  /**
   * Called with what a handler throws, other than a {@link RejectError}, and with TIMED_OUT where
   * the outcome of a record is not known. It may settle the record by itself; else it is put back.
   * What it throws ends `run`. Without it, subscribe to `tidemark:queue:failed`.
   */
  readonly onError?: (error: unknown, job: QueueJob<Key, Value>) => unknown;
  /**
   * How long handlers that run may take once `run` is to end, 0 to 3,600,000 ms. Their records are
   * lost then. Default 30,000.
   */
  readonly releaseMs?: number;
}

/** Handles one record. The signal says that the record will be handled by others. */
export type JobHandler<Key, Value> = (
  job: QueueJob<Key, Value>,
  context: ParallelContext,
) => unknown;

/**
 * Thrown by a handler of `QueueConsumer.run`: the record can never be handled, and is rejected. Its
 * message is the reason; what is beyond 256 characters is cut off.
 */
export class RejectError extends Error {
  override readonly name = 'RejectError';
}
