import { describe, expect, it } from 'vitest';
import { Turns } from '../../../../../broker/service/queues/turns.ts';

describe('Turns', () => {
  it('lets only so many begin, and the others in the order in which they came', () => {
    const turns = new Turns(2);
    const begun: string[] = [];
    const take = (name: string) => turns.take(() => begun.push(name));
    const [a, b, c, d] = [take('a'), take('b'), take('c'), take('d')];
    expect([a.isNow, b.isNow, c.isNow, d.isNow]).toEqual([true, true, false, false]);
    b.end();
    b.end();
    expect([begun, c.isNow, d.isNow]).toEqual([['c'], true, false]);
    a.end();
    expect([begun, a.isNow, d.isNow]).toEqual([['c', 'd'], false, true]);
  });

  it('passes over those that wait no more', () => {
    const turns = new Turns(1);
    const begun: string[] = [];
    const first = turns.take(() => {});
    turns.take(() => begun.push('gone')).end();
    turns.take(() => begun.push('next'));
    first.end();
    expect(begun).toEqual(['next']);
  });

  it('runs one work after the other, also after one that fails', async () => {
    const turns = new Turns(1);
    let running = 0;
    const most: number[] = [];
    const work = async (): Promise<number> => {
      running += 1;
      most.push(running);
      await Promise.resolve();
      running -= 1;
      return running;
    };
    const failing = turns.run(() => Promise.reject(new Error('no')));
    const others = [turns.run(work), turns.run(work)];
    await expect(failing).rejects.toThrow('no');
    expect([await Promise.all(others), most]).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });
});
