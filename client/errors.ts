/**
 * What a caller of the client meets when something fails. Converts the two forms in which errors
 * arrive (gRPC status with details, and `tidemark.v1.Error` inside a stream) once, here. Must not
 * know topics or streams.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type ServiceError, status } from '@grpc/grpc-js';
import { type Effect, ERROR_TABLE } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { RetryAdvice, Error as WireError } from '../proto/gen/tidemark/v1/errors.ts';
import { effectOf, isErrorCode } from '../wire/grpc/errors.ts';
import type { LossRange } from './losses.ts';
import { reasonOf } from '../base/reason.ts';

/** `no`: never helps; `same`: the same call after a pause; `refresh`: look up the leader first. */
export type Retry = 'no' | 'same' | 'refresh';

export type { Effect } from '../base/errors.ts';

/** A batch in a log, by who wrote it. */
export interface BatchIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Sequence and offset of its first record. */
  readonly baseSequence: number;
  readonly baseOffset: number;
}

/** What an error tells beyond its code. Absent means unknown. */
export interface TidemarkErrorDetails {
  /** Broker that leads the partition, and its epoch. */
  readonly leader?: number | undefined;
  readonly leaderEpoch?: number | undefined;
  /** Broker that is the controller. */
  readonly controller?: number | undefined;
  /** Smallest and (exclusive) largest offset that can be read. */
  readonly logStart?: number | undefined;
  readonly logEnd?: number | undefined;
  /** Where the records of the partition end that an append expected to end elsewhere. */
  readonly dataEnd?: number | undefined;
  /** The first batch at or above the end that was expected, where its producer is remembered. */
  readonly holder?: BatchIdentity | undefined;
  /** Of an append at an expected end whose outcome is not known: the batch that it would be. */
  readonly own?: Omit<BatchIdentity, 'baseOffset'> | undefined;
  /** What could not be decoded or read on at, and the offset behind it, where that can be told. */
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
  readonly nextOffset?: number | undefined;
  /**
   * Of RECORDS_MAY_BE_LOST, and of a position that is gone: what unclean elections since the
   * position may have lost, oldest first.
   */
  readonly losses?: readonly LossRange[] | undefined;
  /** Of DELETIONS_MISSED: from here on every tombstone is there. */
  readonly tombstonesBelow?: number | undefined;
  /** Pause before another try, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** See {@link TidemarkError.effect}; absent: what the code alone says. */
  readonly effect?: Effect | undefined;
}

/** Codes of the client's own; docs/errors.md says what to do, and a test compares them. */
export const CLIENT_ERRORS: Readonly<
  Record<string, { readonly effect: Effect; readonly meaning: string }>
> = {
  TIMED_OUT: {
    effect: 'none',
    meaning: 'The deadline passed. The error of a call that was sent says `unknown`',
  },
  BUFFER_FULL: {
    effect: 'none',
    meaning: "More than `bufferBytesMax` is waiting, and the producer's `whenFull` is `fail`",
  },
  CLOSED: { effect: 'none', meaning: 'The client or the producer was closed' },
  RECORDS_MAY_BE_LOST: {
    effect: 'none',
    meaning:
      'The reader came across an unclean election, which may have lost records; `details.losses` names the ranges',
  },
  DELETIONS_MISSED: {
    effect: 'none',
    meaning:
      'Tombstones of a compacted topic that the reader had yet to come to are gone: keys that it knows may be deleted',
  },
  ABORTED: {
    effect: 'unknown',
    meaning:
      "The caller's signal was aborted; `cause` is its reason. The error says `none` where nothing was sent",
  },
};

/**
 * An expected failure. `code` is one of docs/errors.md, or one of the client's own: `TIMED_OUT`
 * (the deadline passed), `BUFFER_FULL`, `CLOSED`, `RECORDS_MAY_BE_LOST`, `DELETIONS_MISSED`,
 * `ABORTED`. Branch on `code`, never on the text; ask `effect` before sending again what must not
 * happen twice.
 */
export class TidemarkError extends Error {
  override readonly name = 'TidemarkError';
  readonly code: string;
  readonly retry: Retry;
  readonly details: TidemarkErrorDetails;

  constructor(
    code: string,
    message: string,
    retry: Retry = 'no',
    details: TidemarkErrorDetails = {},
    cause?: unknown,
  ) {
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
    this.retry = retry;
    this.details = details;
  }

  /**
   * `none`: what was asked was not done, and never will be. `unknown`: it may have been done, or
   * may be yet.
   */
  get effect(): Effect {
    return this.details.effect ?? effectOfCode(this.code);
  }
}

const DETAILS_KEY = 'grpc-status-details-bin';
const ERROR_TYPE_URL = 'type.googleapis.com/tidemark.v1.Error';

/** Transport failures that another server, or the same one later, may not have. */
const TRANSPORT_FAILURES: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.CANCELLED,
  status.UNKNOWN,
  status.INTERNAL,
  status.ABORTED,
  status.RESOURCE_EXHAUSTED,
]);

/** The error that a stream's message carries. */
export function fromWire(error: WireError): TidemarkError {
  const { leader, leaderEpoch, controller, logStart, logEnd, dataEnd, holder } = error;
  const retryAfterMs = error.retryAfterMs === 0 ? undefined : error.retryAfterMs;
  const effect = effectOf(error.effect, isErrorCode(error.code) ? error.code : null);
  const log = { logStart, logEnd, dataEnd, holder };
  const details = { leader, leaderEpoch, controller, ...log, retryAfterMs, effect };
  return new TidemarkError(error.code, error.message, retryOf(error.retry), details);
}

/**
 * Any failure of a call as a {@link TidemarkError}; `peer` names the server in messages about the
 * transport.
 */
export function fromCall(error: unknown, peer: string): TidemarkError {
  if (error instanceof TidemarkError) return error;
  if (!isServiceError(error)) {
    const reason = reasonOf(error);
    return new TidemarkError('INTERNAL', `Cannot call ${peer}: ${reason}`, 'no', {}, error);
  }
  const detail = detailOf(error);
  if (detail !== undefined) return detail;
  if (error.code === status.DEADLINE_EXCEEDED) {
    return new TidemarkError(
      'TIMED_OUT',
      `Cannot call ${peer}: no answer in time`,
      'same',
      { effect: 'unknown' },
      error,
    );
  }
  if (TRANSPORT_FAILURES.has(error.code)) {
    return new TidemarkError(
      'UNREACHABLE',
      `Cannot reach ${peer}: ${transportReason(error.details)}`,
      'refresh',
      {},
      error,
    );
  }
  return new TidemarkError('INTERNAL', `Cannot call ${peer}: ${error.message}`, 'no', {}, error);
}

/** An error of the codecs in `proto`, which carry a code of the same table. */
export function fromCodec(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return new TidemarkError(error.code, error.message, 'no', {}, error);
  }
  throw error;
}

/** The cause inside grpc-js's account of it. */
function transportReason(details: string): string {
  if (details.includes('ECONNREFUSED')) return 'connection refused';
  // What a listener with TLS does to plain bytes, and OpenSSL's words for plain bytes.
  if (details.includes('Failed to connect'))
    return 'it closed the connection before it said anything: does it want TLS, and is dialled without TLS?';
  if (details.includes('wrong version number'))
    return 'it does not speak TLS, and is dialled with TLS';
  return details
    .replace(/^No connection established\. Last error: (Error: )?/, '')
    .replace(/\. Resolution note: *$/, '');
}

/**
 * What the table says; of a code that neither the table nor the client knows, nothing is certain.
 */
function effectOfCode(code: string): Effect {
  return isErrorCode(code) ? ERROR_TABLE[code].effect : (CLIENT_ERRORS[code]?.effect ?? 'unknown');
}

function retryOf(advice: RetryAdvice): Retry {
  if (advice === RetryAdvice.RETRY_ADVICE_REFRESH) return 'refresh';
  return advice === RetryAdvice.RETRY_ADVICE_SAME ? 'same' : 'no';
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'metadata' in error && 'details' in error;
}

function detailOf(error: ServiceError): TidemarkError | undefined {
  const [packed] = error.metadata.get(DETAILS_KEY);
  if (packed === undefined || typeof packed === 'string') return undefined;
  try {
    return readStatus(packed);
  } catch {
    // Malformed details say nothing; the status beside them still does.
    return undefined;
  }
}

/** google.rpc.Status: field 3 holds the details, each a google.protobuf.Any. */
function readStatus(bytes: Uint8Array): TidemarkError | undefined {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 3) {
      const found = readAny(reader.bytes());
      if (found !== undefined) return found;
    } else {
      reader.skip(wireType);
    }
  }
  return undefined;
}

function readAny(bytes: Uint8Array): TidemarkError | undefined {
  const reader = new BinaryReader(bytes);
  let typeUrl = '';
  let value: Uint8Array | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) typeUrl = reader.string();
    else if (field === 2) value = reader.bytes();
    else reader.skip(wireType);
  }
  return typeUrl === ERROR_TYPE_URL
    ? fromWire(WireError.decode(value ?? new Uint8Array(0)))
    : undefined;
}

/**
 * A failure of something else than the append: whatever it says of itself, a record that was not
 * sent was not appended.
 */
export function notAppended(error: TidemarkError): TidemarkError {
  const { code, message, retry, details } = error;
  return new TidemarkError(code, message, retry, { ...details, effect: 'none' }, error);
}
