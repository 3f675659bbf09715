/** Orders as a shop would append them, at a fixed rate whatever the answers; and when each came. */
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type Producer, type Tidemark } from '../../client/index.ts';

const ITEMS = ['pen', 'ink', 'pad', 'desk', 'lamp', 'chair', 'clock', 'globe'];
const CITIES = ['Oslo', 'Porto', 'Ghent', 'Turku', 'Graz', 'Split'];
const CUSTOMERS = 4_999;
/** Primes, so that no field follows another. */
const [AMOUNTS, CENTS] = [7, 8_971];

/** One acknowledged record. */
export interface Acknowledged {
  /** Milliseconds of `performance.now()`. */
  readonly atMs: number;
  /** From the moment when it was due. */
  readonly latencyMs: number;
  readonly partition: number;
}

export class Orders {
  readonly acknowledged: Acknowledged[] = [];
  readonly #client: Tidemark;
  readonly #producer: Producer;
  readonly #sending: Promise<void>;
  #failed = 0;
  #isStopping = false;

  /** Begins at once. */
  constructor(servers: string, topic: string, partitions: number, perSecond: number) {
    this.#client = connect({ servers });
    this.#producer = this.#client.producer({
      onDelivery: ({ partition, contexts, error }) => {
        const atMs = performance.now();
        for (const dueMs of contexts as readonly number[])
          if (error === undefined)
            this.acknowledged.push({ atMs, latencyMs: atMs - dueMs, partition });
          else this.#failed += 1;
      },
    });
    this.#sending = this.#send(topic, partitions, perSecond);
  }

  /** Records that failed. */
  get failed(): number {
    return this.#failed;
  }

  /** Resolves when every record's fate is known. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#sending;
    await this.#producer.close();
    await this.#client.close();
  }

  async #send(topic: string, partitions: number, perSecond: number): Promise<void> {
    const startMs = performance.now();
    for (let index = 0; !this.#isStopping; ) {
      const due = Math.floor(((performance.now() - startMs) / 1_000) * perSecond);
      for (; index < due && !this.#isStopping; index += 1) {
        const context = startMs + (index / perSecond) * 1_000;
        const record = { topic, partition: index % partitions, ...order(index), context };
        while (!this.#producer.enqueue(record))
          await Promise.race([this.#producer.ready(), pause(100)]);
      }
      await pause(1);
    }
  }
}

function order(index: number): { readonly key: string; readonly value: string } {
  // Partitions take turns, so what follows the index would be the same in one.
  const step = Math.floor(index / AMOUNTS);
  const customer = (index * 31) % CUSTOMERS;
  const value = {
    order: 100_000 + index,
    item: ITEMS[step % ITEMS.length],
    amount: 1 + (index % AMOUNTS),
    cents: 250 + ((index * 37) % CENTS),
    city: CITIES[(step * 5) % CITIES.length],
  };
  return { key: `customer-${customer}`, value: JSON.stringify(value) };
}
