import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { OrderlyStop } from '../../../../../broker/runtime/membership/orderly-stop.ts';
import type { OrderlyStopOptions } from '../../../../../broker/runtime/membership/orderly-stop.ts';
import { FakeClock } from '../fake-clock.ts';

const STOP_TIMEOUT_MS = 1_000;

/** A replica as the stop sees it; it is drained once it was told to and `isCommitted`. */
class Led {
  isLeader: boolean;
  isCommitted = false;
  #isDraining = false;

  constructor(isLeader: boolean) {
    this.isLeader = isLeader;
  }

  drain(): void {
    if (this.isLeader) this.#isDraining = true;
  }

  status(): { readonly isDrained: boolean } {
    return { isDrained: this.#isDraining && this.isCommitted };
  }
}

function stopOf(replicas: readonly Led[]): {
  readonly stop: OrderlyStop;
  readonly clock: FakeClock;
} {
  const clock = new FakeClock();
  const options = {
    self: 1,
    clock,
    stopTimeoutMs: STOP_TIMEOUT_MS,
    replicas,
    // The answer is not the leaders left but the time: what is asked here.
    lifecycle: { prepareStop: (leftMs: number) => Promise.resolve(leftMs) },
    onFact: () => undefined,
  };
  return { stop: new OrderlyStop(options as unknown as OrderlyStopOptions), clock };
}

describe('OrderlyStop.prepare()', () => {
  it('drains what comes to be led here while it waits for something else', async () => {
    const first = new Led(true);
    const second = new Led(false);
    const { stop, clock } = stopOf([first, second]);
    const left = stop.prepare();

    second.isLeader = true;
    first.isCommitted = true;
    second.isCommitted = true;
    for (let ms = 0; ms < STOP_TIMEOUT_MS; ms += 10) {
      clock.advance(10);
      await setImmediate();
    }

    // The controller heard of it before the deadline.
    expect(await left).toBeGreaterThan(0);
  });
});
