/**
 * BrokerError on the wire: as a `tidemark.v1.Error` inside a message, and as a gRPC status whose
 * trailer `grpc-status-details-bin` holds a google.rpc.Status with that error as its detail
 * (https://google.aip.dev/193), which the rich-status helpers of every gRPC language decode. Both
 * directions. The only place that knows how a code becomes a status.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { Metadata, type ServiceError, type StatusObject, status as Status } from '@grpc/grpc-js';

import {
  BrokerError,
  type Effect,
  ERROR_TABLE,
  type ErrorCode,
  type ErrorDetails,
  type Retry,
} from '../../base/errors.ts';
import {
  Effect as EffectValue,
  Error as ErrorMessage,
  RetryAdvice,
} from '../../proto/gen/tidemark/v1/errors.ts';
import { reasonOf } from '../../base/reason.ts';

/** Trailer of the rich error. */
export const DETAILS_TRAILER = 'grpc-status-details-bin';
const ERROR_TYPE_URL = 'type.googleapis.com/tidemark.v1.Error';
/**
 * Trailers travel in one HTTP/2 header block, and proxies commonly bound it to 8 KiB: text and
 * details must both fit.
 */
const MESSAGE_UNITS_MAX = 1_000;
/** Of a uint32. */
const RETRY_AFTER_MS_MAX = 0xffff_ffff;

/** Words of a status, as far as they fit. */
export function boundedText(text: string): string {
  return text.slice(0, MESSAGE_UNITS_MAX).toWellFormed();
}

const ADVICE = {
  no: RetryAdvice.RETRY_ADVICE_NO,
  same: RetryAdvice.RETRY_ADVICE_SAME,
  refresh: RetryAdvice.RETRY_ADVICE_REFRESH,
} as const satisfies Record<Retry, RetryAdvice>;

const EFFECT = {
  none: EffectValue.EFFECT_NONE,
  unknown: EffectValue.EFFECT_UNKNOWN,
} as const satisfies Record<Effect, EffectValue>;

/**
 * Statuses that a transport makes by itself. Without details such a call failed on its way, and
 * nobody knows how far it came: a status alone is never read as a broker's refusal.
 */
const TRANSPORT_FAILURES: ReadonlySet<Status> = new Set([
  Status.CANCELLED,
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
  Status.ABORTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
]);

/** Codes that builds which state no effect also used for requests that were under way. */
const UNCERTAIN_WHEN_UNSTATED: ReadonlySet<ErrorCode> = new Set([
  'NOT_LEADER',
  'LEADER_UNKNOWN',
  'NOT_CONTROLLER',
  'BROKER_NOT_READY',
  'OVERLOADED',
]);

/** Anything thrown, as a BrokerError: unknown things become INTERNAL and keep their cause. */
export function asBrokerError(thrown: unknown): BrokerError {
  if (thrown instanceof BrokerError) return thrown;
  const text = reasonOf(thrown);
  return new BrokerError('INTERNAL', `Unexpected failure: ${text}`, {}, thrown);
}

/** A BrokerError as a message. */
export function errorToMessage(error: BrokerError): ErrorMessage {
  const { details } = error;
  return {
    code: error.code,
    message: boundedText(error.message),
    retry: ADVICE[error.retry],
    retryAfterMs: Math.min(details.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX),
    leader: idOrAbsent(details.leader),
    leaderEpoch: details.leaderEpoch,
    controller: idOrAbsent(details.controller),
    logStart: details.logStart,
    logEnd: details.logEnd,
    agreedEpoch: details.agreedEpoch,
    effect: EFFECT[error.effect],
    dataEnd: details.dataEnd,
    holder: details.holder,
  };
}

/**
 * A message as a BrokerError. A code that this build does not know becomes INTERNAL and is named in
 * the text; its maker's advice holds.
 */
export function errorFromMessage(message: ErrorMessage): BrokerError {
  const details: { -readonly [Key in keyof ErrorDetails]: ErrorDetails[Key] } = {};
  if (message.leader !== undefined) details.leader = message.leader;
  if (message.leaderEpoch !== undefined) details.leaderEpoch = message.leaderEpoch;
  if (message.controller !== undefined) details.controller = message.controller;
  if (message.logStart !== undefined) details.logStart = message.logStart;
  if (message.logEnd !== undefined) details.logEnd = message.logEnd;
  if (message.agreedEpoch !== undefined) details.agreedEpoch = message.agreedEpoch;
  if (message.dataEnd !== undefined) details.dataEnd = message.dataEnd;
  if (message.holder !== undefined) details.holder = message.holder;
  if (message.retryAfterMs !== 0) details.retryAfterMs = message.retryAfterMs;
  const { code } = message;
  if (isErrorCode(code)) {
    const effect = effectOf(message.effect, code);
    if (effect !== ERROR_TABLE[code].effect) details.effect = effect;
    return new BrokerError(code, message.message, details);
  }
  const retry = retryOf(message.retry);
  if (retry !== 'no') details.retry = retry;
  if (message.effect === EffectValue.EFFECT_NONE) details.effect = 'none';
  return new BrokerError('INTERNAL', `Unknown error code "${code}": ${message.message}`, details);
}

/** What a message says of its request; of one that says nothing, what the code alone proves. */
export function effectOf(stated: EffectValue, code: ErrorCode | null): Effect {
  if (stated === EffectValue.EFFECT_NONE) return 'none';
  const isSilent = stated === EffectValue.EFFECT_UNSPECIFIED;
  if (!isSilent || code === null || UNCERTAIN_WHEN_UNSTATED.has(code)) return 'unknown';
  return ERROR_TABLE[code].effect;
}

/** What a failed call answers. */
export function errorToStatus(
  thrown: unknown,
): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const message = errorToMessage(asBrokerError(thrown));
  const code = Status[ERROR_TABLE[message.code as ErrorCode].status];
  const any = new BinaryWriter()
    .uint32(10)
    .string(ERROR_TYPE_URL)
    .uint32(18)
    .bytes(ErrorMessage.encode(message).finish())
    .finish();
  const rich = new BinaryWriter()
    .uint32(8)
    .int32(code)
    .uint32(18)
    .string(message.message)
    .uint32(26)
    .bytes(any)
    .finish();
  const metadata = new Metadata();
  metadata.set(DETAILS_TRAILER, Buffer.from(rich.buffer, rich.byteOffset, rich.byteLength));
  return { code, details: message.message, metadata };
}

/** What a failed call said, as a BrokerError. */
export function errorFromStatus(
  failure: Pick<ServiceError, 'code' | 'details' | 'metadata'>,
): BrokerError {
  const packed = failure.metadata.get(DETAILS_TRAILER)[0];
  const message = packed instanceof Uint8Array ? findDetail(packed) : null;
  if (message !== null) return errorFromMessage(message);
  const code = TRANSPORT_FAILURES.has(failure.code) ? 'UNREACHABLE' : 'INTERNAL';
  return new BrokerError(
    code,
    `Call failed with status ${Status[failure.code]}: ${failure.details}`,
    {},
    failure,
  );
}

function retryOf(advice: RetryAdvice): Retry {
  if (advice === RetryAdvice.RETRY_ADVICE_REFRESH) return 'refresh';
  return advice === RetryAdvice.RETRY_ADVICE_SAME ? 'same' : 'no';
}

/** Whether this build knows the code. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, code);
}

/** Brokers are numbered from 0; NO_BROKER means unknown. */
function idOrAbsent(brokerId: number | undefined): number | undefined {
  return brokerId === undefined || brokerId < 0 ? undefined : brokerId;
}

/**
 * The Error among the details of a google.rpc.Status; null when there is none or the bytes are not
 * one.
 */
function findDetail(status: Uint8Array): ErrorMessage | null {
  try {
    const value = anysOf(status)
      .map(valueOfAny)
      .find((each) => each !== null);
    return value === undefined || value === null ? null : ErrorMessage.decode(value);
  } catch {
    // The trailer is another program's; the status itself still says enough.
    return null;
  }
}

function anysOf(status: Uint8Array): Uint8Array[] {
  const reader = new BinaryReader(status);
  const anys: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 26) anys.push(reader.bytes());
    else reader.skip(tag & 7);
  }
  return anys;
}

function valueOfAny(any: Uint8Array): Uint8Array | null {
  const reader = new BinaryReader(any);
  let typeUrl = '';
  let value: Uint8Array = new Uint8Array(0);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) typeUrl = reader.string();
    else if (tag === 18) value = reader.bytes();
    else reader.skip(tag & 7);
  }
  return typeUrl === ERROR_TYPE_URL ? value : null;
}
