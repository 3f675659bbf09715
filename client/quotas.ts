/**
 * Quotas as programs state and read them: what one principal may ask of each broker in a second.
 * Checks what is handed in, and translates.
 */
import { statedLimits } from '../base/quotas.ts';
import type { Quota as WireQuota } from '../proto/gen/tidemark/v1/quotas.ts';
import { bound, named, optional, shape } from './check.ts';

/** A second's worth at each broker, 1 or more; -1: no limit. What is absent is not stated. */
export interface QuotaLimits {
  /** Bytes of records and batches appended. */
  readonly appendBytesPerSecond?: number | undefined;
  /** Bytes of records and batches read. */
  readonly readBytesPerSecond?: number | undefined;
  /** Ids of producers taken. */
  readonly producerIdsPerSecond?: number | undefined;
  /** Calls of `Admin`, but for those that every client begins with. */
  readonly adminCallsPerSecond?: number | undefined;
}

/** Limits of one principal. */
export interface Quota extends QuotaLimits {
  /** As it is, or `*`: each one, by itself, that has no limit of its own. */
  readonly principal: string;
}

/** What is kept, and what holds where nothing is stated, for callers that a listener knows. */
export interface QuotaList {
  readonly quotas: Quota[];
  readonly defaults: QuotaLimits;
}

const limit = optional(bound);

export const QUOTA = shape({
  principal: named,
  appendBytesPerSecond: limit,
  readBytesPerSecond: limit,
  producerIdsPerSecond: limit,
  adminCallsPerSecond: limit,
});

export function quotaToWire(quota: Quota): WireQuota {
  return {
    principal: quota.principal,
    appendBytesPerSecond: quota.appendBytesPerSecond,
    readBytesPerSecond: quota.readBytesPerSecond,
    producerIdsPerSecond: quota.producerIdsPerSecond,
    adminCallsPerSecond: quota.adminCallsPerSecond,
  };
}

/** Without what is not stated. */
export function limitsFromWire(wire: Omit<WireQuota, 'principal'>): QuotaLimits {
  return Object.fromEntries(statedLimits(wire));
}

export function quotaFromWire(wire: WireQuota): Quota {
  return { principal: wire.principal, ...limitsFromWire(wire) };
}
