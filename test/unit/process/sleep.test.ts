import { describe, expect, it } from 'vitest';
import { sleep } from '../../../process/sleep.ts';
import { ManualClock } from '../../fixtures/kube/manual-clock.ts';

describe('sleep', () => {
  it('ends with its time and leaves nothing behind', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 50, abort.signal);
    expect(clock.timers).toEqual([50]);
    clock.advance(50);
    await slept;
    expect(clock.timers).toEqual([]);
  });

  it('ends with its signal, also with one that had aborted before', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 50, abort.signal);
    abort.abort();
    await slept;
    await sleep(clock, 50, abort.signal);
    expect(clock.timers).toEqual([]);
  });
});
