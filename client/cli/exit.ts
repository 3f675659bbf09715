/** Exit codes, and which one an error means. Must not load the client: `--help` is answered without it. */

/** All is well. */
export const EXIT_OK = 0;
/** The cluster's fault, or nobody's: unreachable, not enough replicas, a stop that is not safe. Trying again may help. */
export const EXIT_CLUSTER = 1;
/** The user's fault: an argument, an unknown topic. Trying the same again never helps. */
export const EXIT_USER = 2;
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
  'TOPIC_EXISTS',
  'OFFSET_OUT_OF_RANGE',
  'POSITION_DIVERGED',
]);

/** A fault found by the command itself. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;

  /** `code` as in docs/errors.md. */
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What is told of an error, in words and to scripts. */
export interface ErrorReport {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly retry: string | undefined;
}

/** Reads any error. */
export function reportOf(error: unknown): ErrorReport {
  const message = (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ');
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code
      : 'INTERNAL';
  const retry =
    error instanceof Error && 'retry' in error && typeof error.retry === 'string'
      ? error.retry
      : undefined;
  return { exitCode: USER_CODES.has(code) ? EXIT_USER : EXIT_CLUSTER, code, message, retry };
}
