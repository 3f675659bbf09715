/** What a call to the API server may end with, other than an answer. */

/**
 * Reasons that the API server never gives: the call did not get that far, or its answer made no
 * sense.
 */
export type LocalReason = 'Unreachable' | 'DeadlineExceeded' | 'Cancelled' | 'Malformed';

const RETRYABLE_STATUS = [408, 409, 410, 429, 500, 502, 503, 504];
const RETRYABLE_REASONS: readonly string[] = [
  'Unreachable',
  'DeadlineExceeded',
] satisfies LocalReason[];

export interface KubeErrorFields {
  /** HTTP status; 0 where no answer came, and then a write may or may not have happened. */
  readonly status: number;
  /**
   * `reason` of the API server's Status (`Conflict`, `Expired`, `Invalid`, …), or a
   * {@link LocalReason}.
   */
  readonly reason: string;
  /** What the server asks for before the next attempt, 0 where it asks for nothing. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number;

  constructor(message: string, fields: KubeErrorFields) {
    super(message, fields.cause === undefined ? {} : { cause: fields.cause });
    this.status = fields.status;
    this.reason = fields.reason;
    this.retryAfterMs = fields.retryAfterMs ?? 0;
  }

  /** The same call may succeed later with nothing changed by us. */
  get isTransient(): boolean {
    return RETRYABLE_STATUS.includes(this.status) || RETRYABLE_REASONS.includes(this.reason);
  }

  /**
   * The version asked for is no longer kept: list again. Arrives as HTTP status 410 and inside a
   * watch.
   */
  get isExpired(): boolean {
    return this.status === 410;
  }
}

interface StatusBody {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: { readonly name?: string; readonly retryAfterSeconds?: number };
}

/** An error from a `Status` object. `text` that is none (a proxy's page) becomes the message. */
export function errorFromStatus(
  call: string,
  status: number,
  text: string,
  retryAfterHeader: string | undefined,
): KubeError {
  const body = parseStatus(text);
  const headerSeconds = Number(retryAfterHeader);
  const seconds =
    Number.isFinite(headerSeconds) && headerSeconds > 0
      ? headerSeconds
      : (body.details?.retryAfterSeconds ?? 0);
  return new KubeError(
    `${call}: ${body.message ?? (text.slice(0, 200).trim() || `status ${status}`)}`,
    {
      status: body.code ?? status,
      reason: body.reason ?? 'Unknown',
      retryAfterMs: seconds * 1_000,
      cause: body.details,
    },
  );
}

/**
 * Whether a 404 means "no such object" and not "no such kind": only the former names the object.
 */
export function isObjectMissing(error: unknown, name: string): boolean {
  if (!(error instanceof KubeError) || error.status !== 404 || error.reason !== 'NotFound')
    return false;
  return (error.cause as StatusBody['details'])?.name === name;
}

function parseStatus(text: string): StatusBody {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : {};
  } catch {
    return {};
  }
}
