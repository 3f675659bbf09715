/** Names are taken by comparison, so that a late attempt takes one from nobody (rule 20). */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import type { Decision } from '../../../../broker/metadata/controller-types.ts';
import type { NamedProducer } from '../../../../broker/metadata/types.ts';
import type { BrokerApi } from '../../../../broker/runtime/api.ts';
import { initProducer } from '../../../../broker/service/init-producer.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

/** A controller that compares, and an image that follows when told. */
class World {
  readonly clock = new FakeClock();
  held: NamedProducer | null = null;
  seen = new Map<string, NamedProducer>();
  readonly asked: unknown[] = [];
  readonly #watchers = new Set<() => void>();

  get watchers(): number {
    return this.#watchers.size;
  }

  take(): void {
    this.held =
      this.held === null
        ? { producerId: 7, producerEpoch: 0 }
        : { producerId: 7, producerEpoch: this.held.producerEpoch + 1 };
  }

  show(): void {
    if (this.held !== null) this.seen = new Map([['till', this.held]]);
    for (const watcher of [...this.#watchers]) watcher();
  }

  api(): BrokerApi {
    const api: Partial<BrokerApi> = {
      clock: this.clock,
      image: () => ({ namedProducers: this.seen }) as unknown as ReturnType<BrokerApi['image']>,
      watchImage: (callback) => {
        this.#watchers.add(callback);
        return () => this.#watchers.delete(callback);
      },
      decide: (request) => {
        this.asked.push(request);
        const { expected } = request as { readonly expected?: NamedProducer | null };
        const isExpected =
          expected === undefined || expected?.producerEpoch === this.held?.producerEpoch;
        if (!isExpected) return Promise.reject(new BrokerError('PRODUCER_FENCED', 'another'));
        this.take();
        return Promise.resolve({ kind: 'init-producer', ...this.held } as Decision);
      },
    };
    return api as BrokerApi;
  }
}

describe('initProducer', () => {
  it('takes a name from whom metadata shows', async () => {
    const world = new World();
    await initProducer(world.api(), { name: 'till' }, 1_000);
    world.show();
    expect(await initProducer(world.api(), { name: 'till' }, 1_000)).toEqual({
      producerId: 7,
      producerEpoch: 1,
    });
    expect(world.asked).toMatchObject([
      { expected: null },
      { expected: { producerId: 7, producerEpoch: 0 } },
    ]);
  });

  it('asks again once metadata shows who came first', async () => {
    const world = new World();
    world.take();
    const answered = initProducer(world.api(), { name: 'till' }, 1_000);
    await Promise.resolve();
    world.show();
    expect(await answered).toEqual({ producerId: 7, producerEpoch: 1 });
    expect(world.watchers).toBe(0);
  });

  it('ends with the deadline of its caller', async () => {
    const world = new World();
    world.take();
    const answered = initProducer(world.api(), { name: 'till' }, 1_000);
    const failure = expect(answered).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await new Promise((resolve) => setImmediate(resolve));
    world.clock.advance(1_000);
    await failure;
    expect(world.watchers).toBe(0);
  });

  it('tells a caller that held the name that it is fenced', async () => {
    const world = new World();
    world.take();
    world.take();
    world.show();
    const expected = { producerId: 7, producerEpoch: 0 };
    await expect(
      initProducer(world.api(), { name: 'till', expected }, 1_000),
    ).rejects.toMatchObject({ code: 'PRODUCER_FENCED' });
    expect(world.held?.producerEpoch).toBe(1);
  });
});
