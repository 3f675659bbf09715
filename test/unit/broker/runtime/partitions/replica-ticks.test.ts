import { describe, expect, it } from 'vitest';
import { ReplicaTicks } from '../../../../../broker/runtime/partitions/replica-ticks.ts';
import { FakeClock } from '../fake-clock.ts';

/** A replica that wants so many ticks. */
function replica(wanted: number) {
  const state = { told: 0, tick: () => (state.told += 1) < wanted };
  return state;
}

describe('ReplicaTicks', () => {
  it('tells time while it matters, and holds no timer when it matters to nobody', () => {
    const clock = new FakeClock();
    let timers = 0;
    const every = clock.every.bind(clock);
    clock.every = (periodMs, callback) => {
      timers += 1;
      const cancel = every(periodMs, callback);
      return () => {
        timers -= 1;
        cancel();
      };
    };
    const ticks = new ReplicaTicks(clock);
    expect(timers).toBe(0);
    const [one, other] = [replica(2), replica(3)];
    ticks.wake(one);
    ticks.wake(other);
    ticks.wake(other);
    clock.advance(200);
    expect([one.told, other.told, timers]).toEqual([2, 2, 1]);
    clock.advance(1_000);
    expect([one.told, other.told, timers]).toEqual([2, 3, 0]);
    ticks.wake(one);
    clock.advance(1_000);
    expect([one.told, timers]).toEqual([3, 0]);
  });

  it('wakes nobody any more once it is closed', () => {
    const clock = new FakeClock();
    const ticks = new ReplicaTicks(clock);
    const one = replica(9);
    ticks.wake(one);
    ticks.close();
    ticks.wake(one);
    clock.advance(1_000);
    expect(one.told).toBe(0);
  });
});
