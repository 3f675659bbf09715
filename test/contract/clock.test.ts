/**
 * The `Clock` port: what every part counts on, of the machine's clock and of a simulated process's.
 * Durations are never asserted.
 */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../process/system-clock.ts';
import { SimProcess } from '../sim/kit/sim-process.ts';
import { SimTime } from '../sim/kit/sim-time.ts';

interface Subject {
  readonly clock: Clock;
  /** Lets time pass until it is so. */
  readonly until: (isOver: () => boolean) => Promise<void>;
}

function simulated(): Subject {
  const time = new SimTime();
  const process = new SimProcess('test', time, {
    wallMs: () => 1_700_000_000_000 + time.nowMs,
    onThrow: (error) => {
      throw error;
    },
  });
  const until = async (isOver: () => boolean): Promise<void> => {
    expect(await time.run(isOver, 60_000)).toBe(true);
  };
  return { clock: process.clock, until };
}

const SUBJECTS: Record<string, () => Subject> = {
  'of the machine': () => ({
    clock: systemClock,
    until: async (isOver) => {
      while (!isOver()) await new Promise((resolve) => setImmediate(resolve));
    },
  }),
  simulated,
};

describe.each(Object.keys(SUBJECTS))('clock %s', (name) => {
  const subject = (): Subject => SUBJECTS[name]!();

  it('measures what has passed, and never goes back', async () => {
    const { clock, until } = subject();
    const from = clock.monotonicMs();
    let isCalled = false;
    clock.after(5, () => (isCalled = true));
    await until(() => isCalled);
    // Timers of the machine round down to whole milliseconds.
    expect(clock.monotonicMs() - from).toBeGreaterThanOrEqual(4);
    expect(Number.isInteger(clock.wallMs())).toBe(true);
  });

  it('calls once after a delay, in the order in which calls are due', async () => {
    const { clock, until } = subject();
    const calls: string[] = [];
    clock.after(40, () => calls.push('third'));
    clock.after(0, () => calls.push('first'));
    clock.after(20, () => calls.push('second'));
    expect(calls).toEqual([]);
    await until(() => calls.length === 3);
    expect(calls).toEqual(['first', 'second', 'third']);
  });

  it('does not call what was cancelled, however often, nor what lies beyond any timer', async () => {
    const { clock, until } = subject();
    const calls: string[] = [];
    const cancel = clock.after(1, () => calls.push('cancelled'));
    cancel();
    cancel();
    const cancelLong = clock.after(2 ** 40, () => calls.push('long'));
    const cancelEvery = clock.every(1, () => calls.push('every'));
    cancelEvery();
    clock.after(10, () => calls.push('end'));
    await until(() => calls.length > 0);
    cancelLong();
    expect(calls).toEqual(['end']);
  });

  it('calls again and again until it is cancelled, also from within the call', async () => {
    const { clock, until } = subject();
    let count = 0;
    const cancel = clock.every(1, () => {
      count += 1;
      if (count === 3) cancel();
    });
    await until(() => count === 3);
    let isOver = false;
    clock.after(10, () => (isOver = true));
    await until(() => isOver);
    expect(count).toBe(3);
  });

  it('calls soon after this turn, and never within it', async () => {
    const { clock, until } = subject();
    const calls: string[] = [];
    clock.soon(() => calls.push('soon'));
    await Promise.resolve().then(() => calls.push('promise'));
    calls.push('turn');
    await until(() => calls.includes('soon'));
    expect(calls).toEqual(['promise', 'turn', 'soon']);
  });
});
