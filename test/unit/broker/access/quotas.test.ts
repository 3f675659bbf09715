import { beforeEach, describe, expect, it } from 'vitest';
import type { Quota } from '../../../../base/quotas.ts';
import { QuotaLedger } from '../../../../broker/access/quotas.ts';

const APPEND = 'appendBytesPerSecond';

function quotas(...given: Quota[]): ReadonlyMap<string, Quota> {
  return new Map(given.map((quota) => [quota.principal, quota]));
}

describe('QuotaLedger', () => {
  let ledger: QuotaLedger;
  beforeEach(() => {
    ledger = new QuotaLedger();
  });

  it('knows the limit of a principal, else that of each one, else the default', () => {
    expect(ledger.limitOf('token:a', APPEND)).toBe(-1);
    expect(ledger.limitOf('token:a', 'adminCallsPerSecond')).toBe(100);
    expect(ledger.limitOf('token:a', 'producerIdsPerSecond')).toBe(100);
    ledger.setQuotas(
      0,
      quotas(
        { principal: 'token:a', [APPEND]: 5, adminCallsPerSecond: -1 },
        { principal: '*', [APPEND]: 7, readBytesPerSecond: 9, adminCallsPerSecond: 2 },
      ),
    );
    expect(ledger.limitOf('token:a', APPEND)).toBe(5);
    expect(ledger.limitOf('token:a', 'readBytesPerSecond')).toBe(9);
    expect(ledger.limitOf('token:a', 'adminCallsPerSecond')).toBe(-1);
    expect(ledger.limitOf('token:b', APPEND)).toBe(7);
    expect(ledger.limitOf('token:b', 'producerIdsPerSecond')).toBe(100);
  });

  it('gives those without a name no default of one caller, and what is stated', () => {
    expect(ledger.limitOf('anonymous', 'adminCallsPerSecond')).toBe(-1);
    ledger.setQuotas(0, quotas({ principal: '*', adminCallsPerSecond: 3 }));
    expect(ledger.limitOf('anonymous', 'adminCallsPerSecond')).toBe(3);
    ledger.setQuotas(0, quotas({ principal: 'anonymous', adminCallsPerSecond: 4 }));
    expect(ledger.limitOf('anonymous', 'adminCallsPerSecond')).toBe(4);
  });

  it('counts each principal, and each thing, by itself', () => {
    ledger.setQuotas(0, quotas({ principal: '*', [APPEND]: 10, readBytesPerSecond: 10 }));
    ledger.take(0, 'token:a', APPEND, 20);
    expect(ledger.waitMs(0, 'token:a', APPEND)).toBe(1_000);
    expect(ledger.waitMs(0, 'token:a', 'readBytesPerSecond')).toBe(0);
    expect(ledger.waitMs(0, 'token:b', APPEND)).toBe(0);
    // Two things that could be one text.
    expect(ledger.waitMs(0, 'token:a ', APPEND)).toBe(0);
  });

  it('holds debts through changes, and forgets them with the limit', () => {
    const one = quotas({ principal: 'token:a', [APPEND]: 10 });
    ledger.setQuotas(0, one);
    ledger.take(0, 'token:a', APPEND, 20);
    ledger.setQuotas(0, quotas({ principal: 'token:a', [APPEND]: 100 }));
    expect(ledger.waitMs(0, 'token:a', APPEND)).toBe(100);
    ledger.setQuotas(0, quotas({ principal: '*', [APPEND]: 1 }));
    expect(ledger.waitMs(0, 'token:a', APPEND)).toBe(10_000);
    ledger.setQuotas(0, quotas());
    expect(ledger.waitMs(0, 'token:a', APPEND)).toBe(0);
    ledger.take(0, 'token:a', APPEND, 1_000_000);
    ledger.setQuotas(0, one);
    expect(ledger.waitMs(0, 'token:a', APPEND)).toBe(0);
  });

  it('has a bound for principals that are held apart, and forgets who owes nothing first', () => {
    ledger.setQuotas(0, quotas({ principal: '*', [APPEND]: 10 }));
    for (let at = 0; at < 10_000; at += 1) ledger.take(0, `token:${at}`, APPEND, 20);
    ledger.take(0, 'token:late', APPEND, 20);
    // Beyond, they share one, and are not free.
    expect(ledger.waitMs(0, 'token:later', APPEND)).toBe(1_000);
    expect(ledger.waitMs(0, 'token:17', APPEND)).toBe(1_000);
    expect(ledger.waitMs(10_000, 'token:latest', APPEND)).toBe(0);
    ledger.take(10_000, 'token:latest', APPEND, 20);
    expect(ledger.waitMs(10_000, 'token:later', APPEND)).toBe(0);
  });

  it('holds apart whoever has a quota of its own, however many others come', () => {
    const stated = quotas(
      { principal: '*', [APPEND]: 10 },
      { principal: 'token:low', [APPEND]: 1 },
      { principal: 'token:high', [APPEND]: 1_000 },
    );
    ledger.setQuotas(0, stated);
    for (let at = 0; at < 10_000; at += 1) ledger.take(0, `token:${at}`, APPEND, 2_000);
    ledger.take(0, 'token:low', APPEND, 5);
    expect(ledger.waitMs(0, 'token:low', APPEND)).toBe(4_000);
    ledger.take(0, 'token:high', APPEND, 2_000);
    expect(ledger.waitMs(0, 'token:high', APPEND)).toBe(1_000);
    // What others share is of the limit that they have.
    ledger.take(0, 'token:late', APPEND, 20);
    expect(ledger.waitMs(0, 'token:later', APPEND)).toBe(1_000);
  });
});
