import { describe, expect, it } from 'vitest';
import {
  type Move,
  MoveQueue,
  type Pushed,
} from '../../../../../broker/runtime/partitions/move-queue.ts';
import { FakeClock } from '../fake-clock.ts';

interface Job extends Move {
  left: number;
}

/** A queue whose pieces are of the size that it asks for. */
function queueOf(clock: FakeClock, pieceBytesMax = 1_000_000) {
  const served: { readonly key: string; readonly bytes: number }[] = [];
  const queue = new MoveQueue<Job>({
    clock,
    pieceBytesMax,
    push: (job, bytesMax): Pushed => {
      const bytes = Math.min(job.left, bytesMax);
      job.left -= bytes;
      served.push({ key: job.key, bytes });
      return { bytes, hasMore: job.left > 0 };
    },
  });
  return { queue, served };
}

function sum(served: readonly { readonly bytes: number }[]): number {
  return served.reduce((total, { bytes }) => total + bytes, 0);
}

describe('MoveQueue', () => {
  it('keeps to the limit, over all that waits', () => {
    const clock = new FakeClock();
    const { queue, served } = queueOf(clock);
    queue.setLimit(1_000_000);
    queue.add({ follower: 2, key: 'a', left: 50_000_000 });
    queue.add({ follower: 3, key: 'b', left: 50_000_000 });
    clock.advance(10_000);
    expect(sum(served)).toBeGreaterThan(9_800_000);
    expect(sum(served)).toBeLessThan(10_300_000);
  });

  it('serves in turn', () => {
    const clock = new FakeClock();
    const { queue, served } = queueOf(clock);
    queue.setLimit(1_000_000);
    for (const key of ['a', 'b', 'c']) queue.add({ follower: 2, key, left: 1_000_000 });
    clock.advance(900);
    expect(served.slice(0, 6).map(({ key }) => key)).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('takes a new limit at once, while something waits', () => {
    const clock = new FakeClock();
    const { queue, served } = queueOf(clock);
    queue.setLimit(1);
    queue.add({ follower: 2, key: 'a', left: 400_000 });
    clock.advance(1_000);
    expect(served).toHaveLength(1);
    queue.setLimit(1_000_000);
    clock.advance(300);
    expect(sum(served)).toBeGreaterThan(250_000);
    queue.setLimit(-1);
    clock.advance(1);
    expect(sum(served)).toBe(400_000);
  });

  it('serves nothing at 0, and everything once the limit is gone', () => {
    const clock = new FakeClock();
    const { queue, served } = queueOf(clock);
    queue.setLimit(0);
    queue.add({ follower: 2, key: 'a', left: 10 });
    clock.advance(5_000);
    expect(served).toEqual([]);
    queue.setLimit(-1);
    clock.settle();
    expect(served).toEqual([{ key: 'a', bytes: 10 }]);
  });

  it('forgets a follower', () => {
    const clock = new FakeClock();
    const { queue, served } = queueOf(clock);
    queue.add({ follower: 2, key: 'a', left: 10 });
    queue.add({ follower: 3, key: 'a', left: 10 });
    queue.drop(2);
    clock.settle();
    expect(served).toHaveLength(1);
  });

  it('reads one piece at a time', async () => {
    const clock = new FakeClock();
    const waiting: ((pushed: Pushed) => void)[] = [];
    const queue = new MoveQueue<Move>({
      clock,
      pieceBytesMax: 10,
      push: () => new Promise((resolve) => waiting.push(resolve)),
    });
    queue.add({ follower: 2, key: 'a' });
    queue.add({ follower: 2, key: 'b' });
    clock.settle();
    expect(waiting).toHaveLength(1);
    waiting[0]?.({ bytes: 10, hasMore: false });
    await Promise.resolve();
    clock.settle();
    expect(waiting).toHaveLength(2);
  });
});
