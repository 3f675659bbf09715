/** What a producer knows of one topic that it sends to. Must not know how records travel. */
import type { RecordInput } from '../../proto/records/record-set.ts';
import type { PartitionQueue, Settler } from './partition-queue.ts';
import type { Partitioner } from './partitioner.ts';
import type { ProducerRecord } from './types.ts';

/** A record that came before its topic was looked up. */
export interface Waiting {
  readonly record: ProducerRecord;
  /** The record as it is encoded. */
  readonly input: RecordInput;
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
export function newTopicState(name: string): TopicState {
  return {
    name,
    topicId: undefined,
    partitioner: undefined,
    queues: [],
    waiting: [],
    isRefreshing: false,
    lookedUpAtMs: Date.now(),
    refreshFailures: 0,
  };
}
