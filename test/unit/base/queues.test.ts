/** What a queue may be told to do. */
import { describe, expect, it } from 'vitest';
import { type QueueConfig, queueConfigFault } from '../../../base/queues.ts';

const PLAIN: QueueConfig = {
  leaseMs: 30_000,
  deliveriesMax: 0,
  hasDeadLetters: false,
  isKeyOrdered: false,
  parksKeys: false,
  delayMsMin: 0,
  delayMsMax: 3_600_000,
};
const FULL: QueueConfig = {
  leaseMs: 1_000,
  deliveriesMax: 1_000,
  hasDeadLetters: true,
  isKeyOrdered: true,
  parksKeys: true,
  delayMsMin: 3_600_000,
  delayMsMax: 3_600_000,
};

describe('queueConfigFault()', () => {
  it.each<[string, QueueConfig]>([
    ['a plain queue', PLAIN],
    ['one with everything', FULL],
    ['the longest lease', { ...PLAIN, leaseMs: 3_600_000 }],
    ['rejections without a limit', { ...PLAIN, hasDeadLetters: true }],
    ['no delay at all', { ...PLAIN, delayMsMax: 0 }],
  ])('finds none in %s', (_, config) => {
    expect(queueConfigFault(config)).toBeNull();
  });

  it.each<[QueueConfig, string]>([
    [{ ...PLAIN, leaseMs: 999 }, 'lease_ms is 999, must be 1000 to 3600000'],
    [{ ...PLAIN, leaseMs: Number.NaN }, 'lease_ms is NaN, must be 1000 to 3600000'],
    [{ ...FULL, deliveriesMax: 1_001 }, 'deliveries_max is 1001, must be 0 (no limit) to 1000'],
    [{ ...PLAIN, deliveriesMax: 3 }, 'deliveries_max is 3, must be 0 without a dead-letter topic'],
    [
      { ...FULL, isKeyOrdered: false },
      'parks_keys is true, must be false without key order and a dead-letter topic',
    ],
    [{ ...PLAIN, delayMsMax: 3_600_001 }, 'delay_max_ms is 3600001, must be 0 to 3600000'],
    [{ ...PLAIN, delayMsMin: 2, delayMsMax: 1 }, 'delay_min_ms is 2, must be 0 to delay_max_ms, 1'],
  ])('names field, value and what is allowed: %o', (config, fault) => {
    expect(queueConfigFault(config)).toBe(fault);
  });
});
