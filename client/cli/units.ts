/**
 * Arguments as people write them: durations, sizes, counts, places in a log. Must not load the
 * client.
 */
import { BATCH_BYTES_MIN, FRAME_BYTES_MAX, REPLICATION_FACTOR_MAX } from '../../base/limits.ts';
import { MIN_OF_CLUSTER } from '../../base/units.ts';
import { InvalidArgumentError } from 'commander';
import { parseMoment } from './moments.ts';
import type { StartFrom } from '../consumer/types.ts';
import type { LossRange } from '../losses.ts';
import type { HeaderInput } from '../values.ts';
import { reasonOf } from '../../base/reason.ts';

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Largest batch of a producer: it and what travels with it must fit a frame. */
export const PRODUCER_BATCH_BYTES_MAX = FRAME_BYTES_MAX - 1024;

/** Brokers work at a call for five minutes at most. */
const WAIT_MS_MAX = 240_000;

/** Milliseconds of a whole number, or of what {@link parseDuration} takes. */
export function parseMilliseconds(text: string): number {
  return parseDuration(/^[1-9]\d*$/.test(text) ? `${text}ms` : text);
}

/**
 * Milliseconds of `7d`, `12h`, `90s`, `500ms`; -1 for `forever` or `-1`. A number without a unit is
 * none: who writes 5 may mean days.
 */
export function parseDuration(text: string): number {
  if (text === 'forever' || text === '-1') return -1;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?$/.exec(text) ?? [];
  return wholeNumber(
    number,
    text === '0' ? 1 : DURATION_MS[unit],
    'Must be a number with ms, s, m, h, d or w (for example 7d), or forever.',
  );
}

/** Milliseconds of an age: as {@link parseMilliseconds}, 0 too, but not for ever. */
export function parseAge(text: string): number {
  const ageMs = parseMilliseconds(text);
  if (ageMs >= 0) return ageMs;
  throw new InvalidArgumentError('Must be a number with ms, s, m, h, d or w (for example 1d).');
}

/** A number of records, 0 or more; -1 for `unlimited` or `-1`. */
export function parseRecords(text: string): number {
  if (text === 'unlimited' || text === '-1') return -1;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('Must be a whole number of 0 or more, or unlimited.');
}

/** Bytes of `1GiB`, `500MB`, `64KiB` or a plain number; -1 for `unlimited` or `-1`. */
export function parseSize(text: string): number {
  if (text === 'unlimited' || text === '-1') return -1;
  const [, number, unit = 'B'] = /^(\d+(?:\.\d+)?)([KMGT]?i?B)?$/.exec(text) ?? [];
  return wholeNumber(
    number,
    SIZE_BYTES[unit],
    'Must be a number with B, KB, MB, GB, KiB, MiB or GiB (for example 1GiB), or unlimited.',
  );
}

/** Bytes of one record, at least 1, and what fits one batch frame. */
export function parseRecordSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= 1 && bytes < FRAME_BYTES_MAX) return bytes;
  throw new InvalidArgumentError(`Must be 1 byte or more and below ${FRAME_BYTES_MAX} bytes.`);
}

/** Bytes per second of `50MiB` and the like, at least 1; -1 for `none`. */
export function parseRate(text: string): number {
  if (text === 'none') return -1;
  const [, number, unit = 'B'] = /^(\d+(?:\.\d+)?)([KMGT]?i?B)?$/.exec(text) ?? [];
  const allowed =
    'Must be 1 or more, with B, KB, MB, GB, KiB, MiB or GiB (for example 50MiB), or none.';
  const bytes = wholeNumber(number, SIZE_BYTES[unit], allowed);
  if (bytes >= 1) return bytes;
  throw new InvalidArgumentError(allowed);
}

/** Milliseconds of a time to wait: as {@link parseDuration}, but not for ever. */
export function parseWait(text: string): number {
  const waitMs = parseDuration(text);
  if (waitMs >= 0 && waitMs <= WAIT_MS_MAX) return waitMs;
  throw new InvalidArgumentError('Must be at most 4m (for example 30s).');
}

/** Milliseconds within which a record must be delivered: as {@link parseWait}, a second or more. */
export function parseDelivery(text: string): number {
  const waitMs = parseDuration(text);
  if (waitMs >= 1_000 && waitMs <= WAIT_MS_MAX) return waitMs;
  throw new InvalidArgumentError('Must be from 1s to 4m (for example 30s).');
}

/** Bytes of a producer's largest batch. */
export function parseBatchSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= BATCH_BYTES_MIN && bytes <= PRODUCER_BATCH_BYTES_MAX) return bytes;
  throw new InvalidArgumentError(
    `Must be from ${BATCH_BYTES_MIN} to ${PRODUCER_BATCH_BYTES_MAX} bytes (for example 4MiB).`,
  );
}

/** A header as `name=value`, behind those that were given before. */
export function parseHeader(
  text: string,
  before: readonly HeaderInput[] = [],
): readonly HeaderInput[] {
  const at = text.indexOf('=');
  if (at > 0) return [...before, { key: text.slice(0, at), value: text.slice(at + 1) }];
  throw new InvalidArgumentError('Must be name=value, such as source=import.');
}

/** Builds a parser of whole numbers from `min` to `max`. */
export function parseCount(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Must be a whole number ${range}.`);
  };
}

/** A minInSyncReplicas, which may be left to the cluster: see `TopicConfig`. */
export function parseMin(text: string): number {
  if (text === 'default') return MIN_OF_CLUSTER;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= REPLICATION_FACTOR_MAX) return value;
  throw new InvalidArgumentError(
    `Must be a whole number from 1 to ${REPLICATION_FACTOR_MAX}, or default.`,
  );
}

/** The same for an option that may be given several times, or once with commas. */
export function parseCounts(min: number): (text: string, before: number[] | undefined) => number[] {
  const one = parseCount(min);
  return (text, before = []) => [...before, ...text.split(',').map(one)];
}

/**
 * A moment as a date of ISO 8601; where no date can show it, as `@` and milliseconds.
 * {@link parseStart} reads both.
 */
export function formatTime(timestampMs: number): string {
  const date = new Date(timestampMs);
  return Number.isNaN(date.getTime()) ? `@${timestampMs}` : date.toISOString();
}

/** What an unclean election may have lost, by a report of the cluster or as a reader met it. */
export function lossSentence(
  loss: Pick<LossRange, 'topic' | 'partition' | 'fromOffset' | 'leaderEpoch' | 'atMs'> & {
    readonly isCompacted?: true;
    readonly compacted?: boolean | undefined;
  },
): string {
  const { topic, partition, fromOffset, leaderEpoch, atMs } = loss;
  const where = `${topic}/${partition} from offset ${fromOffset} of epochs before ${leaderEpoch}`;
  const isCompacted = loss.isCompacted === true || loss.compacted === true;
  const older = isCompacted
    ? '; of a key whose newest record is, the older ones may be gone too'
    : '';
  return `Records may be lost: ${where} (unclean election, ${formatTime(atMs)})${older}`;
}

/** An exclusive end: an offset, `@` and milliseconds, or a date of ISO 8601. */
export function parseEnd(text: string): StartFrom {
  const end = text === 'earliest' || text === 'latest' ? undefined : parseStart(text);
  if (end !== undefined) return end;
  throw new InvalidArgumentError('Must be an offset, @milliseconds or a date.');
}

const START_ALLOWED =
  'an offset, @milliseconds or a date that there is, such as 2026-01-31, 2026-01-31T12:00Z or 2026-01-31T12:00:00.5+02:00';

/** Where a log is to begin: as {@link parseStart}, but for `earliest`, which changes nothing. */
export function parseTrimTo(text: string): StartFrom {
  const to = text === 'earliest' ? undefined : startOf(text);
  if (to !== undefined) return to;
  throw new InvalidArgumentError(`Must be latest, ${START_ALLOWED}.`);
}

/** `key=` and the key. */
export function parseFilter(text: string): Uint8Array {
  if (text.startsWith('key=')) return Buffer.from(text.slice('key='.length));
  throw new InvalidArgumentError('Must be key= and the whole key.');
}

/** `earliest`, `latest`, an offset, `@` and milliseconds, or a date of ISO 8601. */
export function parseStart(text: string): StartFrom {
  const start = startOf(text);
  if (start !== undefined) return start;
  throw new InvalidArgumentError(`Must be earliest, latest, ${START_ALLOWED}.`);
}

function startOf(text: string): StartFrom | undefined {
  if (text === 'earliest' || text === 'latest') return text;
  const number = /^@?(\d+)$/.exec(text)?.[1];
  if (number !== undefined && Number.isSafeInteger(Number(number))) {
    return text.startsWith('@') ? { timestampMs: Number(number) } : { offset: Number(number) };
  }
  const timestampMs = parseMoment(text) ?? Number.NaN;
  return timestampMs >= 0 ? { timestampMs } : undefined;
}

/** A regular expression. */
export function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    throw new InvalidArgumentError(`Must be a regular expression: ${reasonOf(error)}.`);
  }
}

/** `12.3 MB` and the like. */
export function formatBytes(bytes: number): string {
  const unit =
    ['B', 'KB', 'MB', 'GB', 'TB'].find((_, index) => bytes < 1000 ** (index + 1)) ?? 'TB';
  const scaled = bytes / (SIZE_BYTES[unit] ?? 1);
  return `${unit === 'B' ? Math.round(scaled) : scaled.toFixed(1)} ${unit}`;
}

/** `7d`, `12h`, `1500ms`: the largest unit that leaves a whole number. */
export function formatDuration(ms: number): string {
  if (ms < 0) return 'forever';
  const unit =
    ['d', 'h', 'm', 's'].find((one) => ms > 0 && ms % (DURATION_MS[one] ?? 1) === 0) ?? 'ms';
  return `${ms / (DURATION_MS[unit] ?? 1)}${unit}`;
}

/** `2m 5s`, `40s`, `1h 3m`: about how long, for people. */
export function formatAbout(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
}

/** `1,234,567`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

function wholeNumber(
  number: string | undefined,
  factor: number | undefined,
  allowed: string,
): number {
  const value = Math.round(Number(number) * (factor ?? Number.NaN));
  if (number !== undefined && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError(allowed);
}
