import { describe, expect, it } from 'vitest';
import { microTime, sleep, systemClock } from '../../../../operator/runtime/clock.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';

describe('microTime', () => {
  it('has six fractional digits', () => {
    expect(microTime(Date.UTC(2026, 0, 2, 3, 4, 5, 60))).toBe('2026-01-02T03:04:05.060000Z');
  });
});

describe('sleep', () => {
  it('ends with its time and leaves nothing behind', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 50, abort.signal);
    expect(clock.timers).toEqual([50]);
    clock.advance(50);
    await slept;
    expect(clock.timers).toEqual([]);
  });

  it('ends with its signal, also with one that had aborted before', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 50, abort.signal);
    abort.abort();
    await slept;
    await sleep(clock, 50, abort.signal);
    expect(clock.timers).toEqual([]);
  });
});

describe('systemClock', () => {
  it('calls once, unless cancelled, also where the delay exceeds what a timer can hold', async () => {
    const calls: string[] = [];
    systemClock.after(0, () => calls.push('cancelled'))();
    const cancelLong = systemClock.after(2 ** 40, () => calls.push('long'));
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
    cancelLong();
    expect(calls).toEqual([]);
  });
});
