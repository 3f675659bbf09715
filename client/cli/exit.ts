/**
 * Exit codes, and which one an error means. Must not load the client: `--help` is answered without
 * it.
 */

import { printable } from '../../base/printable.ts';
import { reasonOf } from '../../base/reason.ts';

/** All is well. */
export const EXIT_OK = 0;
/**
 * The cluster's fault, or nobody's: unreachable, not enough replicas, a stop that is not safe.
 * Trying again may help.
 */
export const EXIT_CLUSTER = 1;
/** The user's fault: an argument, an unknown topic. Trying the same again never helps. */
export const EXIT_USER = 2;
/** Only `cluster health`: every append is taken, but a broker or copy is missing. */
export const EXIT_DEGRADED = 3;
/** Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

/** Codes of docs/errors.md that name a mistake in what was asked. */
const USER_CODES: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'BATCH_TOO_LARGE',
  'TIMESTAMP_IN_FUTURE',
  'UNKNOWN_TOPIC',
  'UNKNOWN_PARTITION',
  'UNKNOWN_BROKER',
  'UNKNOWN_GROUP',
  'UNKNOWN_QUEUE',
  'CURSOR_GONE',
  'CURSOR_AHEAD',
  'CURSOR_FENCED',
  'LEASE_LOST',
  'TOPIC_EXISTS',
  'QUEUE_EXISTS',
  'OFFSET_OUT_OF_RANGE',
  'POSITION_DIVERGED',
]);

/** A fault found by the command itself. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;
  /** As of a `TidemarkError`; undefined where the command alone found the fault. */
  readonly retry: string | undefined;
  readonly effect: string | undefined;

  /** `code` as in docs/errors.md. `cause`: what it passes on, with its advice. */
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    const advice = cause === undefined ? undefined : reportOf(cause);
    this.retry = advice?.retry;
    this.effect = advice?.effect;
  }
}

/** What is told of an error, in words and to scripts. */
export interface ErrorReport {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly retry: string | undefined;
  readonly effect: string | undefined;
}

/** What scripts are told of an error. */
export function errorJson(error: unknown): Omit<ErrorReport, 'exitCode'> {
  const { code, message, retry, effect } = reportOf(error);
  return { code, message, retry, effect };
}

/** Reads any error. */
export function reportOf(error: unknown): ErrorReport {
  const words = reasonOf(error).replaceAll('\n', ' ');
  const message = printable(words);
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code
      : 'INTERNAL';
  const retry =
    error instanceof Error && 'retry' in error && typeof error.retry === 'string'
      ? error.retry
      : undefined;
  const effect =
    error instanceof Error && 'effect' in error && typeof error.effect === 'string'
      ? error.effect
      : undefined;
  const exitCode = USER_CODES.has(code) ? EXIT_USER : EXIT_CLUSTER;
  return { exitCode, code, message, retry, effect };
}
