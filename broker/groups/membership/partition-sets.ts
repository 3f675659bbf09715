/**
 * Sets of partitions as text: ranges by topic. Most members hold a few ranges of each topic, so a
 * record stays small whatever their number; 2,000 partitions without any neighbours take 10 KiB.
 */
import { refuseValue } from '../../../base/shape.ts';
import { PARTITIONS_PER_TOPIC_MAX } from '../../../base/limits.ts';
import { type PartitionKey, partitionKey, type TopicId } from '../../../base/units.ts';

/** Topic and number of a partition. */
export interface PartitionName {
  readonly topicId: TopicId;
  readonly partition: number;
}

/** What a key names. */
export function partitionName(key: PartitionKey): PartitionName {
  const at = key.lastIndexOf('/');
  return { topicId: key.slice(0, at), partition: Number(key.slice(at + 1)) };
}

/** Order of topic ids, then of numbers. */
export function comparePartitions(left: PartitionName, right: PartitionName): number {
  if (left.topicId !== right.topicId) return left.topicId < right.topicId ? -1 : 1;
  return left.partition - right.partition;
}

/** Topic id and ranges such as `0-4,7`, sorted: equal sets give equal texts. */
export function rangesOf(keys: Iterable<PartitionKey>): [TopicId, string][] {
  const names = [...keys].map(partitionName).toSorted(comparePartitions);
  const byTopic = new Map<TopicId, [number, number][]>();
  for (const { topicId, partition } of names) {
    let ranges = byTopic.get(topicId);
    if (ranges === undefined) byTopic.set(topicId, (ranges = []));
    const last = ranges.at(-1);
    if (last?.[1] === partition - 1) last[1] = partition;
    else ranges.push([partition, partition]);
  }
  return [...byTopic].map(([topicId, ranges]) => [
    topicId,
    ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(','),
  ]);
}

/** Reads one such text. Throws BrokerError DATA_CORRUPT naming `path`. */
export function keysIn(topicId: TopicId, text: string, path: string): PartitionKey[] {
  const fault = (): never => refuseValue(path, text, 'rising ranges such as "0-4,7"');
  if (!/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(text)) return fault();
  const keys: PartitionKey[] = [];
  let last = -1;
  for (const range of text.split(',')) {
    const [from = 0, to = from] = range.split('-').map(Number);
    if (from <= last || to < from || to >= PARTITIONS_PER_TOPIC_MAX) fault();
    for (let partition = from; partition <= to; partition += 1)
      keys.push(partitionKey(topicId, partition));
    last = to;
  }
  return keys;
}
