import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../process/system-clock.ts';

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
