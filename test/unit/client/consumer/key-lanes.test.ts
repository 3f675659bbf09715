import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Job, KeyLanes } from '../../../../client/consumer/key-lanes.ts';

interface Given {
  readonly slot: string;
  readonly lane: string | null;
}

const WIDE = { runningMax: 100, jobsMax: 1_000 };

function lanesOf(
  limits: Partial<typeof WIDE>,
  ...given: readonly Given[]
): KeyLanes<string, number> {
  const lanes = new KeyLanes<string, number>({ ...WIDE, ...limits });
  for (const [at, { slot, lane }] of given.entries())
    lanes.add({ item: `${slot}${at}`, slot, lane }, at + 1);
  return lanes;
}

function itemsOf(jobs: readonly Job<string>[]): string[] {
  return jobs.map(({ item }) => item);
}

describe('KeyLanes', () => {
  it('runs lanes beside each other, and jobs of one lane in turn', () => {
    const lanes = lanesOf(
      {},
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'l' },
      { slot: 'p', lane: null },
      { slot: 'p', lane: null },
    );
    const begun = lanes.begin();
    expect(itemsOf(begun)).toEqual(['p0', 'p2', 'p3', 'p4']);
    expect(lanes.begin()).toEqual([]);
    lanes.finish(begun[0]!);
    expect(itemsOf(lanes.begin())).toEqual(['p1']);
  });

  it('runs no more at a time than it may', () => {
    const lanes = lanesOf({ runningMax: 2 }, ...Array<Given>(3).fill({ slot: 'p', lane: null }));
    const [first] = lanes.begin();
    expect(lanes.running).toBe(2);
    lanes.finish(first!);
    expect(itemsOf(lanes.begin())).toEqual(['p2']);
  });

  it('moves a position past no gap, and past all that lies behind once it is closed', () => {
    const lanes = lanesOf({}, ...Array<Given>(3).fill({ slot: 'p', lane: null }));
    const [first, second, third] = lanes.begin();
    expect(lanes.finish(second!)).toBeUndefined();
    expect(lanes.finish(first!)).toBe(2);
    expect(lanes.pass('p', 9)).toBe(false);
    expect(lanes.finish(third!)).toBe(9);
    expect(lanes.pass('p', 10)).toBe(true);
  });

  it('is full while the oldest job and the newest are too far apart, whatever is finished between', () => {
    const lanes = lanesOf({ jobsMax: 2 }, { slot: 'p', lane: null }, { slot: 'p', lane: null });
    const [first, second] = lanes.begin();
    lanes.finish(second!);
    expect([lanes.isFull, lanes.isIdle]).toEqual([true, false]);
    lanes.finish(first!);
    expect([lanes.isFull, lanes.isIdle]).toEqual([false, true]);
  });

  it('stays before what was given up, and begins nothing that it dropped', () => {
    const lanes = lanesOf(
      {},
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'l' },
    );
    const [first, other] = lanes.begin();
    lanes.dropWaiting();
    lanes.giveUp(first!);
    expect(lanes.begin()).toEqual([]);
    expect(lanes.finish(other!)).toBeUndefined();
    expect(lanes.isIdle).toBe(true);
  });

  it('drops what waits of one slot, and moves its position past no job that it dropped', () => {
    const lanes = lanesOf(
      { runningMax: 3 },
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'k' },
      { slot: 'p', lane: 'l' },
      { slot: 'q', lane: 'o' },
      { slot: 'p', lane: 'm' },
      { slot: 'q', lane: 'o' },
    );
    const [first, third, other] = lanes.begin();
    lanes.dropSlot('p');
    expect([lanes.isBusy('p'), lanes.isBusy('q'), lanes.isBusy('r')]).toEqual([true, true, false]);
    expect(lanes.finish(third!)).toBeUndefined();
    expect(lanes.finish(first!)).toBe(1);
    expect(lanes.isBusy('p')).toBe(false);
    expect(itemsOf(lanes.begin())).toEqual([]);
    expect(lanes.finish(other!)).toBe(4);
    const [last] = lanes.begin();
    expect(lanes.finish(last!)).toBe(6);
    expect([lanes.isIdle, lanes.isFull]).toEqual([true, false]);
  });

  it('takes jobs of a slot again that was dropped, with a lane that had its name', () => {
    const lanes = lanesOf({ jobsMax: 2 }, ...Array<Given>(2).fill({ slot: 'p', lane: 'k' }));
    lanes.dropSlot('p');
    expect([lanes.isFull, lanes.isIdle]).toEqual([false, true]);
    lanes.add({ item: 'again', slot: 'p', lane: 'k' }, 7);
    const [job] = lanes.begin();
    expect(lanes.finish(job!)).toBe(7);
  });

  it('keeps order, bounds and positions, whatever ends when', () => {
    const given = fc.record({
      slot: fc.constantFrom('p', 'q'),
      lane: fc.constantFrom('k', 'l', 'm', null),
    });
    fc.assert(
      fc.property(
        fc.array(given, { maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 20 }),
        fc.infiniteStream(fc.nat()),
        (all, runningMax, jobsMax, chance) => {
          const lanes = new KeyLanes<number, number>({ runningMax, jobsMax });
          const running: Job<number>[] = [];
          const done = new Set<number>();
          const begun: number[] = [];
          const positions = new Map<string, number>();
          const laneOf = (at: number): string | null =>
            all[at]!.lane === null ? null : `${all[at]!.slot}${all[at]!.lane}`;
          let next = 0;
          while (next < all.length || !lanes.isIdle) {
            const isAdding = next < all.length && !lanes.isFull && chance.next().value! % 2 === 0;
            if (isAdding) {
              lanes.add({ item: next, slot: all[next]!.slot, lane: laneOf(next) }, next + 1);
              next += 1;
            }
            for (const job of lanes.begin()) {
              running.push(job);
              begun.push(job.item);
            }
            expect(running.length).toBeLessThanOrEqual(runningMax);
            const inLanes = running.map(({ lane }) => lane).filter((lane) => lane !== null);
            expect(new Set(inLanes).size).toBe(inLanes.length);
            if (running.length === 0 || isAdding) continue;
            const [job] = running.splice(chance.next().value! % running.length, 1);
            done.add(job!.item);
            const moved = lanes.finish(job!);
            if (moved !== undefined) positions.set(job!.slot, moved);
            // Against the slower way: everything of the slot up to its first unfinished job.
            const own = [...all.keys()].filter((at) => at < next && all[at]!.slot === job!.slot);
            const open = own.findIndex((at) => !done.has(at));
            const closed = open < 0 ? own : own.slice(0, open);
            expect(positions.get(job!.slot)).toBe(
              closed.length === 0 ? undefined : closed.at(-1)! + 1,
            );
          }
          expect(done.size).toBe(all.length);
          for (const lane of new Set(all.keys().map(laneOf)))
            if (lane !== null) {
              const order = begun.filter((at) => laneOf(at) === lane);
              expect(order).toEqual(order.toSorted((left, right) => left - right));
            }
        },
      ),
    );
  });
});
