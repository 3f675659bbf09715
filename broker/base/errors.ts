/**
 * The one table of errors that a caller can meet. Codes are stable: clients branch on them, `docs/errors.md` documents them
 * and is tested against this table, and `service` maps them to gRPC status.
 */

/** gRPC status names used by the table (https://grpc.io/docs/guides/status-codes). */
export type StatusName =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'DEADLINE_EXCEEDED'
  | 'UNKNOWN'
  | 'INTERNAL';

/** What the caller should do: `no` never helps, `same` the same call again after a pause, `refresh` look up the leader first. */
export type Retry = 'no' | 'same' | 'refresh';

/** One row: status, advice, and the sentence that `docs/errors.md` shows. */
export interface ErrorRow {
  readonly status: StatusName;
  readonly retry: Retry;
  readonly meaning: string;
}

/** Every code there is. */
export const ERROR_TABLE = {
  INVALID_ARGUMENT: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    meaning:
      'A field has a value that is not allowed; the message names field, value and what is allowed',
  },
  CORRUPT_BATCH: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    meaning: 'A batch frame is malformed or its checksum does not match',
  },
  BATCH_TOO_LARGE: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    meaning: 'A batch frame or record is larger than the limit',
  },
  TIMESTAMP_IN_FUTURE: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    meaning: "A batch's largest timestamp is more than an hour ahead of the leader's clock",
  },
  UNKNOWN_TOPIC: { status: 'NOT_FOUND', retry: 'no', meaning: 'No topic has this name or id' },
  UNKNOWN_PARTITION: {
    status: 'NOT_FOUND',
    retry: 'no',
    meaning: 'The topic has no partition of this number',
  },
  UNKNOWN_BROKER: {
    status: 'NOT_FOUND',
    retry: 'no',
    meaning: 'No broker of this id is registered',
  },
  TOPIC_EXISTS: { status: 'ALREADY_EXISTS', retry: 'no', meaning: 'A topic has this name already' },
  NOT_LEADER: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    meaning:
      'The broker that was asked does not lead the partition; the details name the leader where it is known',
  },
  LEADER_UNKNOWN: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    meaning: 'The partition has no leader at the moment',
  },
  NOT_CONTROLLER: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    meaning:
      'The broker that was asked is not the controller; the details name it where it is known',
  },
  STALE_EPOCH: {
    status: 'ABORTED',
    retry: 'refresh',
    meaning: "The caller's leader, partition or broker epoch is behind the present one",
  },
  FENCED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning: 'A newer incarnation of this broker or producer has taken its place',
  },
  NOT_ENOUGH_REPLICAS: {
    status: 'UNAVAILABLE',
    retry: 'same',
    meaning:
      'Fewer than minInSyncReplicas members of the sync set are unfenced and trusted; nothing was appended',
  },
  BROKER_NOT_READY: {
    status: 'UNAVAILABLE',
    retry: 'same',
    meaning: 'The broker is starting, stopping or not yet part of a cluster',
  },
  OFFSET_OUT_OF_RANGE: {
    status: 'OUT_OF_RANGE',
    retry: 'no',
    meaning:
      'The offset is below the log start or beyond the end of the log; the details name both',
  },
  POSITION_DIVERGED: {
    status: 'ABORTED',
    retry: 'no',
    meaning:
      "The reader's position belongs to an epoch that this log does not hold up to that offset; the details name where they agree",
  },
  OFFSET_NOT_AVAILABLE: {
    status: 'UNAVAILABLE',
    retry: 'same',
    meaning:
      'The leader cannot vouch for the end of the log: it has committed nothing in its epoch yet, hands over, or has not heard from the controller for a session',
  },
  UNKNOWN_PRODUCER: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning:
      'The partition holds no state of this producer id and the batch does not start a sequence',
  },
  OUT_OF_ORDER_SEQUENCE: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning: 'The sequence of the batch leaves a gap after the last one appended',
  },
  DUPLICATE_SEQUENCE: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    meaning: 'The batch was appended long ago and its offset is no longer remembered',
  },
  PRODUCER_FENCED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning: 'A newer epoch of this producer id has taken the name',
  },
  OUTCOME_UNKNOWN: {
    status: 'UNKNOWN',
    retry: 'no',
    meaning:
      'The deadline passed while the append was in flight; it may or may not have been committed',
  },
  OVERLOADED: {
    status: 'RESOURCE_EXHAUSTED',
    retry: 'same',
    meaning: 'A bounded queue of the broker is full',
  },
  DISK_FULL: {
    status: 'RESOURCE_EXHAUSTED',
    retry: 'same',
    meaning:
      'The data volume has less free space than the reserve; reads, deletes and admin calls still work',
  },
  STORAGE_FAILED: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    meaning: 'The broker met an I/O error and is leaving to come back as a lossy replica',
  },
  DATA_CORRUPT: {
    status: 'DATA_LOSS',
    retry: 'refresh',
    meaning:
      'Stored bytes fail their checksum; the broker is fetching them again from another replica',
  },
  CLUSTER_EXISTS: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    meaning: 'The broker, or a peer of it, belongs to a cluster already',
  },
  WRONG_CLUSTER: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning: 'The cluster id does not match; the message names both',
  },
  CONFLICT: {
    status: 'ABORTED',
    retry: 'same',
    meaning: 'Another change of the same thing is in flight',
  },
  REFUSED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    meaning:
      'A safety rule forbids the change at the moment; the message names the rule and what it waits for',
  },
  INTERNAL: {
    status: 'INTERNAL',
    retry: 'no',
    meaning: 'A defect of the broker; the message helps whoever reports it',
  },
} as const satisfies Record<string, ErrorRow>;

/** A stable code of {@link ERROR_TABLE}. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** What an error can tell a client beyond its code. All optional: absent means unknown or not meaningful. */
export interface ErrorDetails {
  /** Broker that leads the partition. */
  readonly leader?: number;
  /** Its leader epoch. */
  readonly leaderEpoch?: number;
  /** Broker that is the controller. */
  readonly controller?: number;
  /** Smallest and (exclusive) largest offset that can be read. */
  readonly logStart?: number;
  readonly logEnd?: number;
  /** Pause before another try. */
  readonly retryAfterMs?: number;
}

/** An expected failure with a code of the table. Branch on `code`, never on the text. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  /** Advice of the table. */
  get retry(): Retry {
    return ERROR_TABLE[this.code].retry;
  }
}
