/**
 * Checks of what arrives in messages. Every failure is INVALID_ARGUMENT and names field, value and
 * what is allowed. Protobuf has checked the types already; numbers of 64 bits beyond a safe integer
 * never get here, generated code refuses them.
 */
import { NAME_LENGTH_MAX } from '../../base/limits.ts';
import { BrokerError } from '../../base/errors.ts';
import type { TopicId } from '../../base/units.ts';
import { TOPIC_ID_BYTES, topicIdFromBytes, topicIdToBytes } from '../../wire/batch/frame.ts';

const TOPIC_NAME = new RegExp(`^[a-zA-Z0-9._-]{1,${NAME_LENGTH_MAX}}$`);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/**
 * Topic ids repeat in every message: both directions are remembered, and forgotten all at once at
 * the bound.
 */
const TOPIC_IDS_CACHED_MAX = 16_384;
/** How much of a refused value the message shows. */
const SHOWN_UNITS_MAX = 60;

/** Refuses a field. */
export function refuse(field: string, value: string | number, allowed: string): never {
  const shown =
    typeof value === 'number' ? `${value}` : `"${value.slice(0, SHOWN_UNITS_MAX).toWellFormed()}"`;
  throw new BrokerError('INVALID_ARGUMENT', `${field} is ${shown}, must be ${allowed}`);
}

/** The value, when it is an integer within the bounds, both inclusive. */
export function integerField(field: string, value: number, min: number, max: number): number {
  return Number.isInteger(value) && value >= min && value <= max
    ? value
    : refuse(field, value, `an integer of ${min} to ${max}`);
}

/** The name of a topic. */
export function topicNameField(field: string, value: string): string {
  return TOPIC_NAME.test(value) && value !== '.' && value !== '..'
    ? value
    : refuse(field, value, `1 to ${NAME_LENGTH_MAX} of a-z A-Z 0-9 . _ -`);
}

/** Text of at most `unitsMax` UTF-16 units. */
export function textField(
  field: string,
  value: string,
  unitsMax: number = NAME_LENGTH_MAX,
): string {
  return value.length <= unitsMax ? value : refuse(field, value, `${unitsMax} characters or fewer`);
}

/** A UUID in lower case. */
export function uuidField(field: string, value: string): string {
  return UUID.test(value) ? value : refuse(field, value, 'a UUID in lower case');
}

/** A message that must be there. */
export function presentField<T>(field: string, value: T | undefined): T {
  return value ?? refuse(field, 'absent', 'present');
}

/* eslint-disable no-restricted-syntax -- Whatever is remembered, the answers are the same. */
const idByKey = new Map<string, TopicId>();
const bytesById = new Map<TopicId, Uint8Array>();
/* eslint-enable no-restricted-syntax */

/** The topic id of 16 bytes. */
export function topicIdField(field: string, bytes: Uint8Array): TopicId {
  if (bytes.length !== TOPIC_ID_BYTES)
    refuse(`${field} length`, bytes.length, `${TOPIC_ID_BYTES} bytes`);
  const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  let topicId = idByKey.get(key);
  if (topicId === undefined) {
    topicId = topicIdFromBytes(bytes);
    if (idByKey.size >= TOPIC_IDS_CACHED_MAX) idByKey.clear();
    idByKey.set(key, topicId);
  }
  return topicId;
}

/** The 16 bytes of a topic id. Shared: read only. */
export function topicIdBytes(topicId: TopicId): Uint8Array {
  let bytes = bytesById.get(topicId);
  if (bytes === undefined) {
    bytes = topicIdToBytes(topicId);
    if (bytesById.size >= TOPIC_IDS_CACHED_MAX) bytesById.clear();
    bytesById.set(topicId, bytes);
  }
  return bytes;
}
