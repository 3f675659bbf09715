import { describe, expect, it } from 'vitest';
import {
  QUOTA_DEFAULTS,
  QUOTA_NAMES,
  QUOTA_PER_SECOND_MAX,
  quotaFaults,
  quotaOf,
} from '../../../base/quotas.ts';

const good = { principal: 'token:ops', appendBytesPerSecond: 1 };

describe('quotaFaults()', () => {
  it.each([
    good,
    { principal: '*', adminCallsPerSecond: -1 },
    { principal: 'anonymous', readBytesPerSecond: QUOTA_PER_SECOND_MAX },
    { principal: 'cert:CN=alice', ...QUOTA_DEFAULTS },
  ])('finds none in %j', (quota) => {
    expect(quotaFaults(quota)).toEqual([]);
  });

  it.each([
    [{ principal: 'token:ops' }, /limits are none/],
    [{ ...good, principal: '' }, /principal is ''/],
    [{ ...good, principal: 'ops' }, /must begin with one of/],
    [{ ...good, principal: 'token:a*' }, /must be one as it is, or \*/],
    [{ ...good, principal: 'token:a\nb' }, /can be printed/],
    [{ ...good, principal: `token:${'a'.repeat(600)}` }, /characters/],
    [{ ...good, readBytesPerSecond: 0 }, /readBytesPerSecond is 0, must be from 1 to/],
    [{ ...good, readBytesPerSecond: -2 }, /readBytesPerSecond is -2/],
    [{ ...good, readBytesPerSecond: 1.5 }, /readBytesPerSecond is 1.5/],
    [{ ...good, readBytesPerSecond: Number.NaN }, /readBytesPerSecond is NaN/],
    [
      { ...good, readBytesPerSecond: QUOTA_PER_SECOND_MAX + 1 },
      /readBytesPerSecond is 1000000000001/,
    ],
  ])('finds one in %j', (quota, fault) => {
    const faults = quotaFaults(quota);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });
});

describe('quotaOf()', () => {
  it('holds what is stated and nothing else, in one order', () => {
    const given = { adminCallsPerSecond: 2, appendBytesPerSecond: 1, other: 3 };
    expect(JSON.stringify(quotaOf('*', given))).toBe(
      '{"principal":"*","appendBytesPerSecond":1,"adminCallsPerSecond":2}',
    );
    expect(Object.keys(QUOTA_DEFAULTS)).toEqual(QUOTA_NAMES);
  });
});
