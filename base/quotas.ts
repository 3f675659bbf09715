/**
 * Quotas as values, for all who state, keep, enforce or show them: what one principal may ask of
 * each broker in a second. Pure.
 */
import { principalFault } from './access.ts';

/** What is limited, in the order in which it is shown. */
export const QUOTA_NAMES = [
  'appendBytesPerSecond',
  'readBytesPerSecond',
  'producerIdsPerSecond',
  'adminCallsPerSecond',
] as const;
export type QuotaName = (typeof QUOTA_NAMES)[number];

/** The same as people, metrics and events write them. */
export const QUOTA_WORDS = {
  appendBytesPerSecond: 'append-bytes',
  readBytesPerSecond: 'read-bytes',
  producerIdsPerSecond: 'producer-ids',
  adminCallsPerSecond: 'admin-calls',
} as const satisfies Record<QuotaName, string>;

/**
 * From 1 to {@link QUOTA_PER_SECOND_MAX} a second, or {@link NO_LIMIT}. Absent: that of
 * {@link EACH_PRINCIPAL}, else of {@link QUOTA_DEFAULTS}.
 */
export type QuotaLimits = { readonly [Name in QuotaName]?: number | undefined };

export interface Quota extends QuotaLimits {
  readonly principal: string;
}

/** In the place of a principal: each one, by itself, that has no limit of its own. */
export const EACH_PRINCIPAL = '*';
export const NO_LIMIT = -1;
/** A terabyte: far above what a broker does. */
export const QUOTA_PER_SECOND_MAX = 1_000_000_000_000;

/**
 * Where no quota says otherwise, for callers that a listener knows. Bytes are the business of who
 * runs the cluster. Names of producers stay in metadata, and a decision is written by all voters:
 * far above what programs need, these keep one caller from filling the one and taking the other.
 */
export const QUOTA_DEFAULTS = {
  appendBytesPerSecond: NO_LIMIT,
  readBytesPerSecond: NO_LIMIT,
  producerIdsPerSecond: 100,
  adminCallsPerSecond: 100,
} as const satisfies Required<QuotaLimits>;

/** What is wrong with the principal of a quota, or null. */
export function quotaPrincipalFault(text: string): string | null {
  if (text === EACH_PRINCIPAL) return null;
  return text.endsWith('*')
    ? `principal is '${text}', must be one as it is, or ${EACH_PRINCIPAL} for each one that has no quota of its own`
    : principalFault(text);
}

/** What is wrong with a quota: one sentence a fault. */
export function quotaFaults(quota: Quota): string[] {
  const stated = statedLimits(quota);
  return [
    quotaPrincipalFault(quota.principal),
    stated.length === 0 ? 'limits are none, must be one or more' : null,
    ...stated.map(([name, limit]) =>
      isLimit(limit)
        ? null
        : `${name} is ${String(limit)}, must be from 1 to ${String(QUOTA_PER_SECOND_MAX)}, or ${String(NO_LIMIT)} for none`,
    ),
  ].filter((fault) => fault !== null);
}

/** Limits that are stated, in the order of {@link QUOTA_NAMES}. */
export function statedLimits(limits: QuotaLimits): (readonly [QuotaName, number])[] {
  return QUOTA_NAMES.flatMap((name) => {
    const limit = limits[name];
    return limit === undefined ? [] : [[name, limit] as const];
  });
}

/** A quota with nothing in it but what is stated, in one order. */
export function quotaOf(principal: string, limits: QuotaLimits): Quota {
  return { principal, ...Object.fromEntries(statedLimits(limits)) };
}

function isLimit(limit: number): boolean {
  return (
    limit === NO_LIMIT || (Number.isInteger(limit) && limit >= 1 && limit <= QUOTA_PER_SECOND_MAX)
  );
}
