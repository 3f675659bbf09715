/**
 * Names for the numbers that travel between the parts. Aliases, not brands: they document, the
 * assertions check.
 */

/**
 * Position of a record in a partition: 0 or a positive safe integer. An *end* offset is exclusive.
 */
export type Offset = number;
/** Number of a leadership of one partition. Starts at 1; 0 means "none yet". Never falls. */
export type LeaderEpoch = number;
/** Number of a version of one partition's assignment (sync set, count, replicas). Never falls. */
export type PartitionEpoch = number;
/** Number of a broker: the pod's ordinal, 0 or greater. */
export type BrokerId = number;
/** "No broker", where a leader or controller is unknown. */
export const NO_BROKER: BrokerId = -1;
/**
 * In place of a minInSyncReplicas that is asked for: none is chosen for the topic, which has the
 * default of the cluster and changes with it.
 */
export const MIN_OF_CLUSTER = 0;
/**
 * Number of one registration of a broker, committed in metadata, rising over the whole cluster
 * (KIP-903's broker epoch). It names an incarnation: the broker syncs it into its session file
 * before it asks to be unfenced. 0 means "never registered".
 */
export type BrokerEpoch = number;
/**
 * Random UUID (36 characters, lower case) of one data directory. An emptied disk gets a new one
 * (P12).
 */
export type DirectoryId = string;
/**
 * Random UUID (36 characters, lower case) of a topic. A topic deleted and made again gets a new
 * one.
 */
export type TopicId = string;
/** Milliseconds of the monotonic clock. Only differences mean anything. */
export type MonotonicMs = number;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type WallMs = number;

/** Key of a partition in maps and logs: `<topicId>/<partition>`. */
export type PartitionKey = string;

/** Builds the {@link PartitionKey}. */
export function partitionKey(topicId: TopicId, partition: number): PartitionKey {
  return `${topicId}/${partition}`;
}
