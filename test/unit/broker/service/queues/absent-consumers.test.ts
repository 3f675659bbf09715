import { describe, expect, it } from 'vitest';
import { AbsentConsumers } from '../../../../../broker/service/queues/absent-consumers.ts';

/** A clock of which only the timers are of interest. */
function timers() {
  const due = new Map<() => void, number>();
  return {
    due,
    after: (ms: number, fire: () => void) => {
      due.set(fire, ms);
      return () => void due.delete(fire);
    },
  };
}

describe('AbsentConsumers', () => {
  it('ends an absence when its grace is over', () => {
    const clock = timers();
    const gone: string[] = [];
    new AbsentConsumers(clock, 2).add(3_000, () => gone.push('a'));
    const [[fire, ms] = [() => {}, 0]] = [...clock.due];
    expect([ms, gone]).toEqual([3_000, []]);
    fire();
    expect([gone, clock.due.size]).toEqual([['a'], 0]);
  });

  it('takes the one that is away for longest for gone, where too many are', () => {
    const clock = timers();
    const gone: string[] = [];
    const absent = new AbsentConsumers(clock, 2);
    for (const name of ['a', 'b', 'c']) absent.add(1_800_000, () => gone.push(name));
    expect([gone, clock.due.size]).toEqual([['a'], 2]);
  });

  it('forgets one that is back, which makes room', () => {
    const clock = timers();
    const gone: string[] = [];
    const absent = new AbsentConsumers(clock, 2);
    const back = absent.add(1_000, () => gone.push('a'));
    absent.add(1_000, () => gone.push('b'));
    back();
    absent.add(1_000, () => gone.push('c'));
    expect([gone, clock.due.size]).toEqual([[], 2]);
  });
});
