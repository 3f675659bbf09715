/**
 * What principals have taken of their quotas at this broker: one bucket for each principal and each
 * thing that is limited, from the first taking until it is full again. Must not know what is
 * measured, nor how a caller is made to wait (docs/rules.md#quotas).
 */
import { ANONYMOUS } from '../../base/access.ts';
import {
  EACH_PRINCIPAL,
  NO_LIMIT,
  type Quota,
  QUOTA_DEFAULTS,
  type QuotaName,
} from '../../base/quotas.ts';
import { TokenBucket } from './token-bucket.ts';

/**
 * Buckets that are held apart. Beyond, principals without a quota of their own share one for each
 * thing that is limited.
 */
const BUCKETS_MAX = 10_000;
const OTHERS = '';
/** Pause between looks for buckets that are full again: it costs as many steps as there are. */
const LOOK_MS = 1_000;

interface Kept {
  readonly principal: string;
  readonly name: QuotaName;
  limit: number;
  readonly bucket: TokenBucket;
}

export class QuotaLedger {
  #quotas: ReadonlyMap<string, Quota> = new Map();
  readonly #kept = new Map<string, Kept>();
  #lookAtMs = Number.NEGATIVE_INFINITY;

  /** Quotas by principal, as of now on. */
  setQuotas(nowMs: number, quotas: ReadonlyMap<string, Quota>): void {
    if (quotas === this.#quotas) return;
    this.#quotas = quotas;
    for (const [key, kept] of this.#kept) {
      const limit = this.limitOf(kept.principal, kept.name);
      if (limit === NO_LIMIT) this.#kept.delete(key);
      else if (limit !== kept.limit) kept.bucket.setRate(nowMs, limit);
      kept.limit = limit;
    }
  }

  /** In a second; {@link NO_LIMIT}: any number. */
  limitOf(principal: string, name: QuotaName): number {
    const stated = this.#quotas.get(principal)?.[name] ?? this.#quotas.get(EACH_PRINCIPAL)?.[name];
    // Whoever comes in without a name is everybody: the default of one caller is not theirs.
    return stated ?? (principal === ANONYMOUS ? NO_LIMIT : QUOTA_DEFAULTS[name]);
  }

  /** As {@link TokenBucket.waitMs}; 0 where there is no limit. */
  waitMs(nowMs: number, principal: string, name: QuotaName, amount = 0): number {
    return this.#bucket(nowMs, principal, name)?.waitMs(nowMs, amount) ?? 0;
  }

  take(nowMs: number, principal: string, name: QuotaName, amount: number): void {
    this.#bucket(nowMs, principal, name)?.take(nowMs, amount);
  }

  #bucket(nowMs: number, principal: string, name: QuotaName): TokenBucket | null {
    const key = `${name} ${principal}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept.bucket;
    const limit = this.limitOf(principal, name);
    if (limit === NO_LIMIT) return null;
    const isNamed = this.#quotas.get(principal)?.[name] !== undefined;
    const whose = isNamed || this.#hasRoom(nowMs) ? principal : OTHERS;
    const shared = this.#kept.get(`${name} ${whose}`);
    if (shared !== undefined) return shared.bucket;
    const bucket = new TokenBucket(limit, nowMs);
    this.#kept.set(`${name} ${whose}`, { principal: whose, name, limit, bucket });
    return bucket;
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#kept.size < BUCKETS_MAX) return true;
    if (nowMs < this.#lookAtMs) return false;
    this.#lookAtMs = nowMs + LOOK_MS;
    for (const [key, { bucket }] of this.#kept) if (bucket.isFull(nowMs)) this.#kept.delete(key);
    return this.#kept.size < BUCKETS_MAX;
  }
}
