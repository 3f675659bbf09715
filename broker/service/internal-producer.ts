/**
 * The idempotent producer that a broker is for its plain Append calls: one id for all partitions,
 * taken when first needed. A partition that gave it up gets the next one; the others keep theirs,
 * so that trouble in one costs the others nothing.
 */
import type { BrokerApi } from '../runtime/api.ts';
import { initProducer, type ProducerIdentity } from './init-producer.ts';

/** Bound of one attempt; whoever waits tries again within its own deadline. */
const INIT_DEADLINE_MS = 5_000;

export class InternalProducer {
  readonly #broker: BrokerApi;
  #identity: ProducerIdentity | null = null;
  #pending: Promise<ProducerIdentity> | null = null;

  constructor(broker: BrokerApi) {
    this.#broker = broker;
  }

  /**
   * The newest identity, unless that is the one which the partition has given up: then another.
   * Never gives a partition one that it had before.
   */
  identity(givenUp: ProducerIdentity | null): ProducerIdentity | Promise<ProducerIdentity> {
    if (this.#identity !== null && this.#identity !== givenUp) return this.#identity;
    this.#pending ??= this.#init();
    return this.#pending;
  }

  async #init(): Promise<ProducerIdentity> {
    try {
      this.#identity = await initProducer(this.#broker, { name: '' }, INIT_DEADLINE_MS);
      return this.#identity;
    } finally {
      this.#pending = null;
    }
  }
}
