/**
 * What a caller of the client meets when something fails. Converts the two forms in which errors arrive (gRPC status with details,
 * and `tidemark.v1.Error` inside a stream) once, here. Must not know topics or streams.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type ServiceError, status } from '@grpc/grpc-js';
import { RetryAdvice, Error as WireError } from '../proto/gen/tidemark/v1/errors.ts';

/** `no`: never helps; `same`: the same call after a pause; `refresh`: look up the leader first. */
export type Retry = 'no' | 'same' | 'refresh';

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
  /** Pause before another try, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * An expected failure. `code` is one of docs/errors.md, or one of the client's own: `UNREACHABLE` (no server answered), `TIMED_OUT` (the
 * deadline passed and nothing was written), `BUFFER_FULL`, `CLOSED`. Branch on `code`, never on the text.
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
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retry = retry;
    this.details = details;
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
]);

/** The error that a stream's message carries. */
export function fromWire(error: WireError): TidemarkError {
  const { leader, leaderEpoch, controller, logStart, logEnd } = error;
  const retryAfterMs = error.retryAfterMs === 0 ? undefined : error.retryAfterMs;
  const details = { leader, leaderEpoch, controller, logStart, logEnd, retryAfterMs };
  return new TidemarkError(error.code, error.message, retryOf(error.retry), details);
}

/** Any failure of a call as a {@link TidemarkError}; `peer` names the server in messages about the transport. */
export function fromCall(error: unknown, peer: string): TidemarkError {
  if (error instanceof TidemarkError) return error;
  if (!isServiceError(error)) {
    const reason = error instanceof Error ? error.message : String(error);
    return new TidemarkError('INTERNAL', `Cannot call ${peer}: ${reason}`, 'no', {}, error);
  }
  const detail = detailOf(error);
  if (detail !== undefined) return detail;
  if (error.code === status.DEADLINE_EXCEEDED) {
    return new TidemarkError(
      'TIMED_OUT',
      `Cannot call ${peer}: no answer in time`,
      'same',
      {},
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
  return details
    .replace(/^No connection established\. Last error: (Error: )?/, '')
    .replace(/\. Resolution note: *$/, '');
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
