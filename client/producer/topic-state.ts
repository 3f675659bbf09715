/** What a producer knows of one topic that it sends to. Must not know how records travel. */
import type { MonotonicMs } from '../../base/units.ts';
import type { PartitionQueue, Settler } from './partition-queue.ts';
import type { Partitioner } from './partitioner.ts';
import type { PreparedRecord } from './prepare.ts';

/** A record, and those that travel with it, that came before its topic was looked up. */
export interface Waiting {
  readonly record: PreparedRecord;
  /** Of all of them in a batch. */
  readonly bytes: number;
  readonly settler: Settler | undefined;
  readonly createdAtMs: number;
}

/** One topic. */
export interface TopicState {
  readonly name: string;
  topicId: string | undefined;
  /** Undefined before the first look-up. */
  partitioner: Partitioner | undefined;
  /** By partition. */
  queues: PartitionQueue[];
  waiting: Waiting[];
  isRefreshing: boolean;
  /** When the latest look-up ended. */
  lookedUpAtMs: number;
  refreshFailures: number;
}

/** A topic of which nothing is known yet. */
export function newTopicState(name: string, nowMs: MonotonicMs): TopicState {
  return {
    name,
    topicId: undefined,
    partitioner: undefined,
    queues: [],
    waiting: [],
    isRefreshing: false,
    lookedUpAtMs: nowMs,
    refreshFailures: 0,
  };
}
