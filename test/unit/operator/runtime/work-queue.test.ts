import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { WorkQueue } from '../../../../operator/runtime/work-queue.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';

let clock: ManualClock;
let queue: WorkQueue;
beforeEach(() => {
  clock = new ManualClock();
  queue = new WorkQueue({ clock, random: () => 1, keysMax: 10 });
});

async function taken(): Promise<string | undefined> {
  return (await queue.take())?.key;
}

describe('WorkQueue.add', () => {
  it('holds a key once, in the order of first adding', async () => {
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    expect(queue.depth).toBe(2);
    expect([await taken(), await taken()]).toEqual(['a', 'b']);
    expect(queue.depth).toBe(0);
  });

  it('hands a key to one worker at a time, and again afterwards if added meanwhile', async () => {
    queue.add('a');
    await taken();
    queue.add('a');
    queue.add('a');
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(await taken()).toBe('a');
    queue.done('a');
    expect(queue.depth).toBe(0);
  });

  it('wakes workers that wait, first come first', async () => {
    const first = taken();
    const second = taken();
    queue.add('a');
    queue.add('b');
    expect(await Promise.all([first, second])).toEqual(['a', 'b']);
  });

  it('lets the urgent overtake, also where it was added as normal before', async () => {
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.add('c', 'urgent');
    expect([await taken(), await taken(), await taken()]).toEqual(['c', 'a', 'b']);
  });

  it('keeps the urgency of a key that is being worked on', async () => {
    queue.add('a');
    await taken();
    queue.add('a');
    queue.add('b');
    queue.add('a', 'urgent');
    queue.done('a');
    expect(await taken()).toBe('a');
  });

  it('refuses what is too much, but never a key that it holds', () => {
    const accepted = Array.from({ length: 12 }, (_, index) => queue.add(`k${index}`));
    expect(accepted.filter((isAccepted) => isAccepted)).toHaveLength(10);
    expect(queue.add('k0')).toBe(true);
  });

  it('measures from the first adding', async () => {
    queue.add('a');
    clock.advance(30);
    queue.add('a');
    clock.advance(12);
    expect((await queue.take())?.waitedMs).toBe(42);
  });
});

describe('WorkQueue.addAfter', () => {
  it('adds when it is time', () => {
    queue.addAfter('a', 100);
    clock.advance(99);
    expect(queue.depth).toBe(0);
    clock.advance(1);
    expect(queue.depth).toBe(1);
  });

  it('keeps the sooner of two', () => {
    queue.addAfter('a', 100);
    queue.addAfter('a', 200);
    expect(clock.timers).toEqual([100]);
    queue.addAfter('a', 50);
    expect(clock.timers).toEqual([50]);
  });

  it('is cancelled by a pass that comes sooner', async () => {
    queue.addAfter('a', 100);
    queue.add('a');
    await taken();
    expect(clock.timers).toEqual([]);
  });

  it('outlasts a pass during which it was asked for', async () => {
    queue.add('a');
    await taken();
    queue.addAfter('a', 100);
    clock.advance(100);
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(queue.depth).toBe(1);
  });

  it('comes back later when the queue is full in its moment', () => {
    queue.addAfter('late', 100);
    for (let index = 0; index < 10; index += 1) queue.add(`k${index}`);
    clock.advance(100);
    expect(clock.timers).toEqual([120_000]);
  });

  it('refuses what is too much', () => {
    const accepted = Array.from({ length: 12 }, (_, index) => queue.addAfter(`k${index}`, 100));
    expect(accepted.filter((isAccepted) => isAccepted)).toHaveLength(10);
  });
});

describe('WorkQueue.retry', () => {
  it('doubles the pause up to two minutes, and forgets after a success', () => {
    const pauses = Array.from({ length: 12 }, () => queue.retry('a'));
    expect(pauses.slice(0, 4)).toEqual([200, 400, 800, 1_600]);
    expect(pauses.at(-1)).toBe(120_000);
    expect(queue.retrying).toBe(1);
    queue.forget('a');
    expect(queue.retrying).toBe(0);
    expect(queue.retry('a')).toBe(200);
  });

  it('draws half of the pause', () => {
    const drawing = (draw: number): number =>
      new WorkQueue({ clock, random: () => draw, keysMax: 1 }).retry('a');
    expect([drawing(0), drawing(0.5)]).toEqual([100, 150]);
  });

  it('waits as long as the server asked', () => {
    expect(queue.retry('a', 9_000)).toBe(9_000);
  });

  it('spreads what fails everywhere: a hundred at once, then ten a second', () => {
    const keys = Array.from({ length: 130 }, (_, index) => `k${index}`);
    const all = new WorkQueue({ clock, random: () => 1, keysMax: 1_000 });
    const pauses = keys.map((key) => all.retry(key));
    expect(pauses.slice(0, 100).every((pause) => pause === 200)).toBe(true);
    expect(pauses.at(-1)).toBe(3_000);
  });
});

describe('WorkQueue.close', () => {
  it('ends all waiting, hands out nothing more and leaves no timer', async () => {
    const waiting = taken();
    queue.addAfter('a', 100);
    queue.close();
    expect(await waiting).toBeUndefined();
    queue.add('b');
    queue.addAfter('c', 10);
    expect(await taken()).toBeUndefined();
    expect(clock.timers).toEqual([]);
  });
});

describe('WorkQueue', () => {
  it('loses no key and never has one twice in work, whatever the order of calls', async () => {
    const step = fc.record({
      call: fc.constantFrom('add', 'urgent', 'take', 'done', 'advance'),
      key: fc.constantFrom('a', 'b', 'c'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const subject = new WorkQueue({ clock, random: () => 0.5, keysMax: 10 });
        /** Keys with an adding that no pass has begun after. */
        const wanted = new Set<string>();
        const working = new Set<string>();
        const take = async (): Promise<void> => {
          const key = (await subject.take())?.key ?? '';
          expect(working.has(key)).toBe(false);
          expect(wanted.delete(key)).toBe(true);
          working.add(key);
        };
        for (const { call, key } of steps) {
          if (call === 'add' || call === 'urgent') {
            subject.add(key, call === 'urgent' ? 'urgent' : 'normal');
            wanted.add(key);
          } else if (call === 'take' && subject.depth > 0) await take();
          else if (call === 'done' && working.delete(key)) subject.done(key);
        }
        for (const key of working) subject.done(key);
        working.clear();
        while (subject.depth > 0) await take();
        expect(wanted.size).toBe(0);
      }),
    );
  });
});
