/**
 * The one table of errors that a caller can meet. Codes are stable: clients branch on them,
 * `docs/errors.md` documents them and is tested against this table, and `service` maps them to gRPC
 * status.
 */

import { printable } from './printable.ts';

/** gRPC status names used by the table (https://grpc.io/docs/guides/status-codes). */
export type StatusName =
  | 'INVALID_ARGUMENT'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
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

/**
 * What the caller should do: `no` never helps, `same` the same call again after a pause, `refresh`
 * look up the leader first.
 */
export type Retry = 'no' | 'same' | 'refresh';

/**
 * What the request that got this answer can still do. `none`: it has changed nothing, and never
 * will, so its sequence is free. `unknown`: it may have been carried out, or may be yet. Whoever
 * repeats a request or reports it as failed asks this, never a list of codes.
 */
export type Effect = 'none' | 'unknown';

/** One row: status, advice, certainty, and the sentence that `docs/errors.md` shows. */
export interface ErrorRow {
  readonly status: StatusName;
  readonly retry: Retry;
  readonly effect: Effect;
  readonly meaning: string;
}

/** Every code there is. */
export const ERROR_TABLE = {
  INVALID_ARGUMENT: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    effect: 'none',
    meaning:
      'A field has a value that is not allowed; the message names field, value and what is allowed',
  },
  UNAUTHENTICATED: {
    status: 'UNAUTHENTICATED',
    retry: 'no',
    effect: 'none',
    meaning:
      'The listener does not know who the caller is: a certificate or token is missing, wrong or over',
  },
  PERMISSION_DENIED: {
    status: 'PERMISSION_DENIED',
    retry: 'no',
    effect: 'none',
    meaning: 'No rule of access lets the caller do this; it says nothing of what is there',
  },
  CORRUPT_BATCH: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    effect: 'none',
    meaning: 'A batch frame is malformed or its checksum does not match',
  },
  BATCH_TOO_LARGE: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    effect: 'none',
    meaning: 'A batch frame or record is larger than the limit',
  },
  TIMESTAMP_IN_FUTURE: {
    status: 'INVALID_ARGUMENT',
    retry: 'no',
    effect: 'none',
    meaning: "A batch's largest timestamp is more than an hour ahead of the leader's clock",
  },
  UNKNOWN_TOPIC: {
    status: 'NOT_FOUND',
    retry: 'no',
    effect: 'none',
    meaning: 'No topic has this name or id',
  },
  UNKNOWN_PARTITION: {
    status: 'NOT_FOUND',
    retry: 'no',
    effect: 'none',
    meaning: 'The topic has no partition of this number',
  },
  UNKNOWN_GROUP: {
    status: 'NOT_FOUND',
    retry: 'no',
    effect: 'none',
    meaning: 'No group has this name',
  },
  UNKNOWN_QUEUE: {
    status: 'NOT_FOUND',
    retry: 'no',
    effect: 'none',
    meaning: 'No queue has this name or id',
  },
  CURSOR_GONE: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'The group has a cursor of a topic that was deleted; one that was made under the name since is another, and only a seek says where the group goes on there',
  },
  CURSOR_AHEAD: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'The cursor of the group stands above the offset that is to be committed; only a seek moves it back',
  },
  CURSOR_FENCED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'The commit states a generation of the cursor that a seek has ended; whoever made it reads the cursor again',
  },
  LEASE_LOST: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'The lease that the acknowledgement names is over, and the record is or will be delivered again; nothing was settled by it',
  },
  UNKNOWN_BROKER: {
    status: 'NOT_FOUND',
    retry: 'no',
    effect: 'none',
    meaning: 'No broker of this id is registered',
  },
  TOPIC_EXISTS: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    effect: 'none',
    meaning: 'A topic has this name already',
  },
  QUEUE_EXISTS: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    effect: 'none',
    meaning: 'A queue, or a group, has this name already',
  },
  NOT_LEADER: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    effect: 'none',
    meaning:
      'The broker that was asked does not lead the partition; the details name the leader where it is known',
  },
  LEADER_UNKNOWN: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    effect: 'none',
    meaning: 'The partition has no leader at the moment',
  },
  NOT_CONTROLLER: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    effect: 'none',
    meaning:
      'The broker that was asked is not the controller; the details name it where it is known',
  },
  STALE_EPOCH: {
    status: 'ABORTED',
    retry: 'refresh',
    effect: 'unknown',
    meaning:
      "The epoch of the request is over: the caller's leader, partition or broker epoch is behind, or the leader lost its role before the append was committed",
  },
  FENCED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'A newer incarnation of this broker, producer or member of a group has taken its place, or the session of the member is over',
  },
  NOT_ENOUGH_REPLICAS: {
    status: 'UNAVAILABLE',
    retry: 'same',
    effect: 'none',
    meaning:
      'Fewer than minInSyncReplicas members of the sync set are unfenced and trusted; nothing was appended',
  },
  BROKER_NOT_READY: {
    status: 'UNAVAILABLE',
    retry: 'same',
    effect: 'none',
    meaning: 'The broker is starting, stopping or not yet part of a cluster',
  },
  OFFSET_OUT_OF_RANGE: {
    status: 'OUT_OF_RANGE',
    retry: 'no',
    effect: 'none',
    meaning:
      'The offset is below the log start or beyond the end of the log; the details name both',
  },
  POSITION_DIVERGED: {
    status: 'ABORTED',
    retry: 'no',
    effect: 'none',
    meaning:
      'The position of a reader, or the end that an append expects, belongs to an epoch that this log does not hold up to that offset; a reader is told where they agree',
  },
  OFFSET_NOT_AVAILABLE: {
    status: 'UNAVAILABLE',
    retry: 'same',
    effect: 'none',
    meaning:
      'The leader cannot vouch for the end of the log: it has committed nothing in its epoch yet, hands over, or has not heard from the controller for a session; or its log does not reach as far as an append expects; or a trim that is not committed yet decides whether what is asked for is there',
  },
  UNKNOWN_PRODUCER: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning: 'The partition holds no state of this producer id, and the batch may not be its first',
  },
  OUT_OF_ORDER_SEQUENCE: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning: 'The sequence of the batch leaves a gap after the last one appended',
  },
  DUPLICATE_SEQUENCE: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    effect: 'none',
    meaning:
      'A batch of this sequence was appended long ago, and its offset is no longer remembered',
  },
  OFFSET_TAKEN: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'Records were appended at or above the offset that the append expected to be the end; this one was not appended',
  },
  SEQUENCE_REUSED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'The log holds another batch of this producer id, epoch and sequence; this one was not appended',
  },
  PRODUCER_FENCED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'A newer epoch of this producer id has taken the name, or the name was not taken for 30 days and made room for another',
  },
  OUTCOME_UNKNOWN: {
    status: 'UNKNOWN',
    retry: 'no',
    effect: 'unknown',
    meaning:
      'The deadline passed, or the broker lost its role, while the request was under way; it may or may not have been carried out',
  },
  UNREACHABLE: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    effect: 'unknown',
    meaning:
      'No broker answered: the connection broke, or the transport refused or gave up the call',
  },
  OVERLOADED: {
    status: 'RESOURCE_EXHAUSTED',
    retry: 'same',
    effect: 'none',
    meaning:
      'A bounded queue of the broker is full, the broker holds as much for its clients as it may, the caller is over a quota, or a partition has as many producers as it can remember',
  },
  DISK_FULL: {
    status: 'RESOURCE_EXHAUSTED',
    retry: 'same',
    effect: 'none',
    meaning:
      'The data volume has less free space than the reserve; reads, deletes and admin calls still work',
  },
  STORAGE_FAILED: {
    status: 'UNAVAILABLE',
    retry: 'refresh',
    effect: 'unknown',
    meaning: 'The broker met an I/O error and is leaving to come back as a lossy replica',
  },
  DATA_CORRUPT: {
    status: 'DATA_LOSS',
    retry: 'refresh',
    effect: 'unknown',
    meaning:
      'Stored bytes fail their checksum; the broker is fetching them again from another replica',
  },
  CLUSTER_EXISTS: {
    status: 'ALREADY_EXISTS',
    retry: 'no',
    effect: 'none',
    meaning: 'The broker, or a peer of it, belongs to a cluster already',
  },
  WRONG_CLUSTER: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning: 'The cluster id does not match; the message names both',
  },
  CONFLICT: {
    status: 'ABORTED',
    retry: 'same',
    effect: 'none',
    meaning: 'Another change of the same thing is in flight',
  },
  UNDECODABLE: {
    status: 'DATA_LOSS',
    retry: 'no',
    effect: 'none',
    meaning:
      'A stored batch or a record cannot be decoded; the message names topic, partition, offset and the offset behind it',
  },
  REFUSED: {
    status: 'FAILED_PRECONDITION',
    retry: 'no',
    effect: 'none',
    meaning:
      'A safety rule forbids the change at the moment; the message names the rule and what it waits for',
  },
  INTERNAL: {
    status: 'INTERNAL',
    retry: 'no',
    effect: 'unknown',
    meaning: 'A defect of the broker; the message helps whoever reports it',
  },
} as const satisfies Record<string, ErrorRow>;

/** A stable code of {@link ERROR_TABLE}. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/**
 * Certain refusals by which a log says that it and the producer disagree about sequences: under a
 * new id they begin again.
 */
const SEQUENCE_FAULTS: ReadonlySet<string> = new Set<ErrorCode>([
  'UNKNOWN_PRODUCER',
  'OUT_OF_ORDER_SEQUENCE',
  'DUPLICATE_SEQUENCE',
  'SEQUENCE_REUSED',
  'PRODUCER_FENCED',
]);

/** Whether a log refused a batch for its sequence, or for what it knows of its producer. */
export function isSequenceFault(code: string): boolean {
  return SEQUENCE_FAULTS.has(code);
}

/**
 * What an error can tell a client beyond its code. All optional: absent means unknown or not
 * meaningful.
 */
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
  /** Of a position that the log does not hold: epoch of the log's last batch below `logEnd`. */
  readonly agreedEpoch?: number;
  /** Pause before another try. */
  readonly retryAfterMs?: number;
  /** Where the data ends that an append did not expect. */
  readonly dataEnd?: number;
  /** Of the first batch at or above the end that an append expected, where it is remembered. */
  readonly holder?: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
    readonly baseOffset: number;
  };
  /** What the broker that made the error says of it, where that is not what the table says. */
  readonly retry?: Retry;
  readonly effect?: Effect;
}

/**
 * An expected failure with a code of the table. Branch on `code`, never on the text, which is made
 * {@link printable}: it names values as they were handed in.
 */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  /** Advice of whoever made it, else of the table. */
  get retry(): Retry {
    return this.details.retry ?? ERROR_TABLE[this.code].retry;
  }

  /** Whether the request that got this answer may still have been, or be, carried out. */
  get effect(): Effect {
    return this.details.effect ?? ERROR_TABLE[this.code].effect;
  }
}
