import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Visit } from '../../../../../client/cli/page/visit.ts';
import { fakeUser, snapshot } from '../../../page/fixture.ts';

/** A response whose reader is slow, or not. */
class Watcher extends EventEmitter {
  writableNeedDrain = false;
  written = 0;
  isDestroyed = false;

  write(): boolean {
    this.written += 1;
    return true;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

describe('Visit', () => {
  let looks = 0;
  let visit: Visit;
  beforeEach(() => {
    vi.useFakeTimers();
    looks = 0;
    visit = new Visit(
      'id',
      fakeUser(() => {
        looks += 1;
        return Promise.resolve(snapshot(looks));
      }),
    );
  });
  afterEach(async () => {
    await visit.close();
    vi.useRealTimers();
  });

  function add(): Watcher {
    const watcher = new Watcher();
    visit.add(watcher as unknown as ServerResponse);
    return watcher;
  }

  it('tells everybody each second, and looks no more once nobody watches', async () => {
    const watchers = [add(), add()];
    await vi.advanceTimersByTimeAsync(2_500);
    expect(watchers.map(({ written }) => written)).toEqual([3, 3]);
    for (const watcher of watchers) watcher.destroy();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(looks).toBe(3);
    expect(visit.watchers).toBe(0);
  });

  it('leaves snapshots out for who has not read the one before', async () => {
    const [slow, quick] = [add(), add()];
    await vi.advanceTimersByTimeAsync(0);
    slow.writableNeedDrain = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect([slow.written, quick.written]).toEqual([1, 6]);
    slow.writableNeedDrain = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(slow.written).toBe(2);
  });

  it('drops who reads nothing for thirty', async () => {
    const slow = add();
    await vi.advanceTimersByTimeAsync(0);
    slow.writableNeedDrain = true;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(slow.isDestroyed).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(slow.isDestroyed).toBe(true);
  });

  it('says for how long nobody watched', async () => {
    const watcher = add();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(visit.idleMs).toBe(0);
    watcher.destroy();
    expect(visit.watchers).toBe(0);
  });
});
