import { describe, expect, it } from 'vitest';
import { Asks } from '../../../../../broker/service/queues/asks.ts';

function asksOf(partitions: number, records: number, bytes = 6_000): Asks {
  const asks = new Asks(partitions);
  asks.addCredit(records, bytes);
  return asks;
}

describe('asks of one member', () => {
  it('share the credit among the partitions', () => {
    expect(asksOf(3, 100).next()).toEqual([
      { partition: 0, records: 34, bytes: 2_000 },
      { partition: 1, records: 33, bytes: 2_000 },
      { partition: 2, records: 33, bytes: 2_000 },
    ]);
  });

  it('ask as many partitions as there is credit for, and the others in turn', () => {
    const asks = asksOf(3, 1);
    expect(asks.next().map(({ partition }) => partition)).toEqual([0]);
    expect(asks.next()).toEqual([]);
    asks.answered(0);
    expect(asks.next().map(({ partition }) => partition)).toEqual([1]);
    asks.answered(1);
    expect(asks.next().map(({ partition }) => partition)).toEqual([2]);
  });

  it('ask everybody where those that were asked have nothing, and one record ends that', () => {
    const asks = asksOf(3, 1);
    asks.next();
    expect(asks.hasUnasked).toBe(true);
    expect(asks.extra()).toEqual([
      { partition: 1, records: 1, bytes: 1 },
      { partition: 2, records: 1, bytes: 1 },
    ]);
    expect(asks.hasUnasked).toBe(false);
    asks.answered(2);
    asks.spend(1, 100);
    expect(asks.surplus()).toEqual([0, 1]);
    // Once.
    expect(asks.surplus()).toEqual([]);
    for (const partition of [0, 1]) asks.answered(partition);
    expect(asks.next()).toEqual([]);
    asks.addCredit(1, 100);
    expect(asks.next()).toHaveLength(1);
  });

  it('keep what the credit covers', () => {
    const asks = asksOf(3, 2);
    expect(asks.next()).toHaveLength(2);
    asks.extra();
    asks.answered(2);
    asks.spend(1, 10);
    // One of the two is still covered.
    expect(asks.surplus()).toEqual([1]);
  });

  it('leave partitions in peace that failed, until they are woken', () => {
    const asks = asksOf(2, 10);
    asks.next();
    asks.answered(1);
    asks.rest(1);
    expect(asks.next()).toEqual([]);
    asks.wake(1);
    expect(asks.next().map(({ partition }) => partition)).toEqual([1]);
  });

  it('ask for a bounded part of a large credit', () => {
    const [ask] = asksOf(1, 100_000, 2 ** 30).next();
    expect(ask).toEqual({ partition: 0, records: 500, bytes: 2 ** 20 });
  });

  it('never reserve more than the credit, and reserve nothing once all is answered', () => {
    const asks = asksOf(5, 7, 700);
    for (let turn = 0; turn < 50; turn += 1) {
      const given = asks.next();
      expect(given.reduce((sum, { records }) => sum + records, 0)).toBeLessThanOrEqual(7);
      for (const { partition } of given) asks.answered(partition);
    }
    expect(asks.isWaiting).toBe(false);
    expect(asks.credit).toEqual({ records: 7, bytes: 700 });
  });

  it('know of partitions that were added', () => {
    const asks = asksOf(1, 10);
    asks.next();
    asks.grow(2);
    asks.addCredit(5, 100);
    expect(asks.next().map(({ partition }) => partition)).toEqual([1]);
  });
});
