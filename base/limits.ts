/**
 * Bounds that several parts must agree on, or that a user meets. One number each, with the reason.
 * `docs/operations.md` lists {@link LIMITS}; a test compares them, and holds how they relate.
 * Bounds that one file keeps for itself (queues, retries) stay there.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DAY_MS = 24 * 60 * 60 * 1000;

// Brokers and topics

/**
 * Largest broker id: it is sent as a number and kept in lists, so only its size in text matters.
 */
export const BROKER_ID_MAX = 65_535;
/** Brokers of a LogCluster. Assignments, voters and the safety function are tested up to here. */
export const BROKERS_MAX = 100;
/** Largest TCP port. */
export const PORT_MAX = 65_535;
/**
 * Named listeners of a broker, beside the two that each has: every one costs a socket, a file to
 * watch and a row in each metric, and every broker's metadata holds their addresses.
 */
export const LISTENERS_MAX = 8;
/** Characters of a listener's name: part of names of Kubernetes' ports, which end at 15. */
export const LISTENER_NAME_LENGTH_MAX = 12;
/**
 * Characters of a topic's or producer's name. A topic's is part of a path, and common file systems
 * end at 255 bytes.
 */
export const NAME_LENGTH_MAX = 249;
/**
 * Partitions of one topic. Measured with 2,000 on three brokers (bench/results/2026-11-23.md):
 * created in 0.3 s, 30 % of a core and 200 MB for each broker at rest. One record creates them all,
 * and stays well under 1 MiB.
 */
export const PARTITIONS_PER_TOPIC_MAX = 2_000;
/**
 * Partitions of a whole cluster. Every broker holds the metadata of all, and works for those that
 * it has replicas of: at the 2,000 replicas a broker that were measured, 30 brokers at replication
 * factor 3 hold so many. More was not measured.
 */
export const PARTITIONS_PER_CLUSTER_MAX = 20_000;
/** Replicas of a partition: each costs the leader a copy of every byte. */
export const REPLICATION_FACTOR_MAX = 16;

/**
 * Replicas of which one heartbeat says whether they can lead; a broker that has more to say goes on
 * with the next.
 */
export const ABILITIES_PER_HEARTBEAT_MAX = 1_000;

/** Changes of sync sets in one request to the controller: one entry of its log. */
export const SYNC_SET_CHANGES_MAX = 500;

// Batches and messages

/**
 * Largest batch frame of the format, header included. A topic's `batchBytesMax` sets a lower limit.
 */
export const FRAME_BYTES_MAX = 8 * MIB;
/**
 * Records of one batch: keeps a reader's memory in proportion when every record is empty, and
 * offsets from being burnt.
 */
export const RECORDS_PER_BATCH_MAX = 1_048_576;
/**
 * Batches that a leader remembers for a producer in a partition, and so the most that may be in
 * flight.
 */
export const PRODUCER_WINDOW_BATCHES = 5;
/** Largest gRPC message: a frame of the largest size, and as much around it. */
export const MESSAGE_BYTES_MAX = 16 * MIB;
/** Bytes that a reader or a follower may ask for before it grants more. */
export const CREDIT_BYTES_MAX = 256 * MIB;
/** Records that a consumer of a queue may have out. */
export const CREDIT_RECORDS_MAX = 100_000;
/**
 * Offset that a log may reach. Offsets are exact up to 2^53 - 1; above this one a log has no room
 * to go on, and nobody honest states it.
 */
export const OFFSET_MAX = Number.MAX_SAFE_INTEGER - 2 ** 40;

/** Whether a number that somebody stated can be an offset. */
export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= OFFSET_MAX;
}
/** Records of one `Append` call. */
export const APPEND_RECORDS_MAX = 100_000;
/** Bytes of the records of one `Append` call: what every generated client sends without options. */
export const APPEND_BYTES_MAX = 4 * MIB;
/**
 * How far a record's timestamp may lie ahead of a broker's clock. Further ahead it would keep its
 * segment from retention by time for ever.
 */
export const TIMESTAMP_AHEAD_MS_MAX = 3_600_000;

/** Last moment that a date can show (ECMA-262, time values): no client writes a later one. */
export const TIMESTAMP_MS_MAX = 8_640_000_000_000_000;

// Producers

/** Producers with a name, whose epochs metadata keeps. */
export const NAMED_PRODUCERS_MAX = 100_000;
/** The same of one principal, where clients are asked who they are. */
export const NAMED_PRODUCERS_PER_PRINCIPAL_MAX = 10_000;
/**
 * Days for which a name is kept after it was last taken; then it goes where there is no room for
 * another. Whoever writes under it must take it anew, so this is longer than programs run.
 */
export const PRODUCER_NAME_KEPT_DAYS = 30;
/**
 * Producers that a partition remembers, about 1 KiB each. While all of them wrote within the last
 * hour, no other is admitted.
 */
export const PRODUCERS_PER_PARTITION_MAX = 10_000;

// Access

/**
 * Rules of access. Every broker holds all of them, 0.5 KiB each at their longest, and a grant
 * copies the table.
 */
export const ACCESS_RULES_MAX = 10_000;
/** Quotas, as rules. */
export const QUOTAS_MAX = 10_000;

// Groups

/**
 * Groups of one partition of `__groups`, those without members too. Its coordinator looks at each
 * of them whenever topics change.
 */
export const GROUPS_PER_COORDINATOR_MAX = 1_000;
/**
 * Members of a group, those that are away included. With 2,000 partitions a target for so many was
 * measured to take 10 to 30 ms, and 40 to 80 ms by racks.
 */
export const GROUP_MEMBERS_MAX = 5_000;
/** Members of all groups of one partition of `__groups`: every replica of it holds them. */
export const GROUP_MEMBERS_PER_COORDINATOR_MAX = 20_000;
/** Names and beginnings of names that a member subscribes to. */
export const GROUP_TOPICS_MAX = 100;
/** Longest session of a member: so long may a dead one keep its partitions. */
export const GROUP_SESSION_MS_MAX = 1_800_000;
/** Longest time that the place of a member with an instance id is kept while it is away. */
export const GROUP_RETURN_MS_MAX = 3_600_000;
/** Members with a stream to one broker, of all of which one heartbeat speaks. */
export const GROUP_HEARTBEAT_MEMBERS_MAX = 5_000;
/** Parts of one acknowledgement of a member. */
export const ACKNOWLEDGEMENTS_PER_CALL_MAX = 1_000;
/** Longest time that a member may take to let go of a partition. */
export const GROUP_RELEASE_MS_MAX = 600_000;
/** How long a group without members is kept, and with it where it has read to. */
export const GROUP_EMPTY_MS_MAX = 30 * DAY_MS;
/** Cursors of one group: as many as a cluster has partitions. */
export const GROUP_CURSORS_MAX = 20_000;
/** Cursors of all groups of one partition of `__groups`: every replica holds them, 0.5 KiB each. */
export const CURSORS_PER_COORDINATOR_MAX = 200_000;
/** Cursors of one call. */
export const CURSORS_PER_CALL_MAX = 1_000;

// Compaction

/**
 * Passes of compaction that a broker runs at once; the others wait, one for each replica at most.
 * One is enough to use up the rate that all of them share, and memory is bounded for each.
 */
export const COMPACTION_PASSES_MAX = 1;
/**
 * Longest that the thread of a pass may take over one block of frames: a mebibyte takes it some
 * milliseconds, a frame of the largest size a second on a busy machine. It is ended then, or a
 * thread that hangs would keep the turn of all others.
 */
export const COMPACTION_SILENCE_MS_MAX = 60_000;

// Queues

/** Queues of a cluster: each is about 400 bytes of every snapshot of the metadata. */
export const QUEUES_MAX = 1_000;
/** What a dead letter says of its record, in bytes, at most: its batch is larger by as much. */
export const QUEUE_LETTER_BYTES = 64 * KIB;

/** Records of one partition that a queue has handed out, or holds back, at a time. */
export const QUEUE_WINDOW_RECORDS = 2_000;
/** Records of a consumer whose acknowledgements wait, from which on it is not listened to. */
export const QUEUE_SETTLING_RECORDS_MAX = 2_000;
/** Of a record that states all of them: where they are too uneven for it, they are fewer. */
export const QUEUE_STATE_BYTES_MAX = 16 * KIB;
/** Changes of a queue's partition in the log before all of it is written again. */
export const QUEUE_DELTAS_MAX = 500;
export const QUEUE_LEASE_MS_MIN = 1_000;
/** A member that needs longer extends its leases. */
export const QUEUE_LEASE_MS_MAX = 3_600_000;
/** Most deliveries after which a record may die. */
export const QUEUE_DELIVERIES_MAX = 1_000;
/** Longest time for which a record may be put back. */
export const QUEUE_DELAY_MS_MAX = 3_600_000;
/** Characters of the reason of a rejection. */
export const QUEUE_REASON_LENGTH_MAX = 256;
/** Records of one partition that are on their way to the dead-letter topic. */
export const QUEUE_DYING_MAX = 200;
/** Of them in one frame. */
export const QUEUE_LETTERS_AT_ONCE = 100;
/** Acknowledgements of one request. */
export const QUEUE_ACKNOWLEDGEMENTS_MAX = 2_000;
/** Requests that wait for the owner of one partition. */
export const QUEUE_REQUESTS_MAX = 10_000;

// Configs of a topic

/** Least `batchBytesMax` of a topic. */
export const BATCH_BYTES_MIN = KIB;
export const SEGMENT_BYTES_MIN = 64 * KIB;
/** Positions in an index are 32 bits wide. */
export const SEGMENT_BYTES_MAX = GIB;
export const SEGMENT_MS_MIN = 1_000;
export const SEGMENT_MS_MAX = 365 * DAY_MS;
/**
 * Least limit on the bytes that moves of replicas send: below it a move would hardly come nearer.
 */
export const MOVE_BYTES_PER_SECOND_MIN = 16 * KIB;

/** What a user can meet, in words. */
export const LIMITS: readonly {
  readonly what: string;
  readonly bound: number;
  readonly unit: string;
}[] = [
  { what: 'Brokers of a LogCluster', bound: BROKERS_MAX, unit: 'brokers' },
  { what: 'Broker id', bound: BROKER_ID_MAX, unit: '' },
  { what: 'Named listeners of a broker', bound: LISTENERS_MAX, unit: 'listeners' },
  { what: 'Name of a listener', bound: LISTENER_NAME_LENGTH_MAX, unit: 'characters' },
  { what: 'Name of a topic, producer or group', bound: NAME_LENGTH_MAX, unit: 'characters' },
  { what: 'Partitions of a topic', bound: PARTITIONS_PER_TOPIC_MAX, unit: 'partitions' },
  { what: 'Partitions of a cluster', bound: PARTITIONS_PER_CLUSTER_MAX, unit: 'partitions' },
  { what: 'Replicas of a partition', bound: REPLICATION_FACTOR_MAX, unit: 'replicas' },
  { what: 'Batch frame', bound: FRAME_BYTES_MAX, unit: 'bytes' },
  { what: 'Records of a batch', bound: RECORDS_PER_BATCH_MAX, unit: 'records' },
  { what: 'Batches in flight of a producer', bound: PRODUCER_WINDOW_BATCHES, unit: 'batches' },
  { what: 'gRPC message', bound: MESSAGE_BYTES_MAX, unit: 'bytes' },
  { what: 'Credit of a reader', bound: CREDIT_BYTES_MAX, unit: 'bytes' },
  { what: 'Credit of a consumer of a queue', bound: CREDIT_RECORDS_MAX, unit: 'records' },
  { what: 'Records of an `Append` call', bound: APPEND_RECORDS_MAX, unit: 'records' },
  { what: 'Bytes of an `Append` call', bound: APPEND_BYTES_MAX, unit: 'bytes' },
  { what: 'Timestamp ahead of the clock', bound: TIMESTAMP_AHEAD_MS_MAX, unit: 'ms' },
  { what: 'Producers with a name', bound: NAMED_PRODUCERS_MAX, unit: 'producers' },
  {
    what: 'Names of producers of one principal',
    bound: NAMED_PRODUCERS_PER_PRINCIPAL_MAX,
    unit: 'producers',
  },
  {
    what: 'Producers that a partition remembers',
    bound: PRODUCERS_PER_PARTITION_MAX,
    unit: 'producers',
  },
  { what: 'Rules of access', bound: ACCESS_RULES_MAX, unit: 'rules' },
  { what: 'Quotas', bound: QUOTAS_MAX, unit: 'quotas' },
  { what: 'Cursors of a group', bound: GROUP_CURSORS_MAX, unit: 'cursors' },
  {
    what: 'Cursors of a partition of `__groups`',
    bound: CURSORS_PER_COORDINATOR_MAX,
    unit: 'cursors',
  },
  { what: 'Cursors of a call', bound: CURSORS_PER_CALL_MAX, unit: 'cursors' },
  {
    what: 'Groups of a partition of `__groups`',
    bound: GROUPS_PER_COORDINATOR_MAX,
    unit: 'groups',
  },
  { what: 'Members of a group', bound: GROUP_MEMBERS_MAX, unit: 'members' },
  {
    what: 'Members of a partition of `__groups`',
    bound: GROUP_MEMBERS_PER_COORDINATOR_MAX,
    unit: 'members',
  },
  { what: 'Topics that a member subscribes to', bound: GROUP_TOPICS_MAX, unit: 'names' },
  {
    what: 'Members with a stream to one broker',
    bound: GROUP_HEARTBEAT_MEMBERS_MAX,
    unit: 'members',
  },
  {
    what: 'Parts of an acknowledgement',
    bound: ACKNOWLEDGEMENTS_PER_CALL_MAX,
    unit: 'partitions or records',
  },
  { what: 'Letting go of a partition', bound: GROUP_RELEASE_MS_MAX, unit: 'ms' },
  { what: 'Session of a member', bound: GROUP_SESSION_MS_MAX, unit: 'ms' },
  { what: 'Kept place of a member that is away', bound: GROUP_RETURN_MS_MAX, unit: 'ms' },
  { what: 'Group without members', bound: GROUP_EMPTY_MS_MAX, unit: 'ms' },
  { what: 'Passes of compaction at once', bound: COMPACTION_PASSES_MAX, unit: 'passes' },
  { what: 'Queues of a cluster', bound: QUEUES_MAX, unit: 'queues' },
  { what: 'Silence of the thread of a pass', bound: COMPACTION_SILENCE_MS_MAX, unit: 'ms' },
  { what: 'Open records of a queue in a partition', bound: QUEUE_WINDOW_RECORDS, unit: 'records' },
  { what: 'Lease of a record', bound: QUEUE_LEASE_MS_MAX, unit: 'ms' },
  { what: 'Deliveries after which a record dies', bound: QUEUE_DELIVERIES_MAX, unit: 'deliveries' },
  { what: 'Delay of a released record', bound: QUEUE_DELAY_MS_MAX, unit: 'ms' },
  { what: 'Reason of a rejection', bound: QUEUE_REASON_LENGTH_MAX, unit: 'characters' },
  { what: 'Segment', bound: SEGMENT_BYTES_MAX, unit: 'bytes' },
];
