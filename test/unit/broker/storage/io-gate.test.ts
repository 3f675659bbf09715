import { describe, expect, it } from 'vitest';
import { dataCallsMax, IoGate } from '../../../../broker/storage/io-gate.ts';

describe('dataCallsMax', () => {
  it.each([
    [undefined, 2],
    [16, 8],
    [128, 8],
    [8, 4],
    [5, 2],
    [2, 1],
    [1, 1],
  ])('leaves half of a pool of %s threads free: %i calls', (threads, calls) => {
    expect(dataCallsMax(threads)).toBe(calls);
  });
});

describe('IoGate', () => {
  it('runs so many calls at one time, the rest in order, failures included', async () => {
    const gate = new IoGate(2);
    const started: number[] = [];
    const ends: (() => void)[] = [];
    const calls = [0, 1, 2, 3].map((call) =>
      gate.run(async () => {
        started.push(call);
        await new Promise<void>((resolve) => ends.push(resolve));
        if (call === 0) throw new Error('first');
      }),
    );
    const outcomes = Promise.allSettled(calls);
    await Promise.resolve();
    expect(started).toEqual([0, 1]);
    ends[0]?.();
    await expect(calls[0]).rejects.toThrow('first');
    await new Promise((resolve) => setImmediate(resolve));
    expect(started).toEqual([0, 1, 2]);
    ends[1]?.();
    ends[2]?.();
    await calls[2];
    await new Promise((resolve) => setImmediate(resolve));
    ends[3]?.();
    expect((await outcomes).map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ]);
  });
});
