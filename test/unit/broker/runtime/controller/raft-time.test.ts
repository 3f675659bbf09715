import { describe, expect, it } from 'vitest';
import { RaftTime } from '../../../../../broker/runtime/controller/raft-time.ts';
import { FakeClock } from '../fake-clock.ts';

/** A core that does something at these ticks, and when it was told of which. */
function core(...dueAt: number[]) {
  const clock = new FakeClock();
  const told: number[] = [];
  const state = { tick: 0, dueAt };
  const time = new RaftTime({
    clock,
    ticksAtRest: () =>
      Math.max(0, (state.dueAt.find((due) => due > state.tick) ?? 1_000_000) - state.tick - 1),
    tick: () => {
      state.tick += 1;
      if (state.dueAt.includes(state.tick)) told.push(clock.nowMs);
    },
  });
  time.start();
  return { clock, state, time, told };
}

describe('RaftTime', () => {
  it('tells each tick that does something in its time', () => {
    const { clock, told } = core(1, 2, 7, 30, 47);
    clock.advance(1_000);
    expect(told).toEqual([10, 20, 70, 300, 470]);
  });

  it('wakes up ten times a second while nothing is due', () => {
    const { clock, time, state } = core();
    let wakeUps = 0;
    const after = clock.after.bind(clock);
    clock.after = (delayMs, callback) => {
      wakeUps += 1;
      return after(delayMs, callback);
    };
    clock.advance(1_000);
    expect(wakeUps).toBe(10);
    time.close();
    clock.advance(1_000);
    expect(state.tick).toBe(100);
  });

  it('tells an input what passed of the sleep, and no more', () => {
    const { clock, state, time } = core();
    clock.advance(35);
    time.pass();
    expect(state.tick).toBe(3);
    time.pass();
    clock.advance(4);
    time.pass();
    expect(state.tick).toBe(3);
    clock.advance(1);
    time.pass();
    expect(state.tick).toBe(4);
    time.sleep();
    clock.advance(60);
    expect(state.tick).toBe(10);
  });

  it('wakes up sooner where an input asks for it', () => {
    const { clock, state, time, told } = core();
    clock.advance(35);
    time.pass();
    state.dueAt.push(5);
    time.sleep();
    clock.advance(15);
    expect(told).toEqual([50]);
  });

  it('forgets what a wake-up is late by', () => {
    const { clock, state, time } = core();
    clock.nowMs += 5_000;
    time.pass();
    expect(state.tick).toBe(10);
    clock.advance(1);
    expect(state.tick).toBe(10);
    clock.advance(100);
    expect(state.tick).toBe(20);
  });
});
