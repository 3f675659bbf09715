/** The idempotent producer that a broker is for its plain Append calls: one id for all partitions, taken when first needed. */
import { BrokerError } from '../base/errors.ts';
import type { BrokerApi } from '../runtime/api.ts';

/** Bound of one attempt; whoever waits tries again within its own deadline. */
const INIT_DEADLINE_MS = 5_000;

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export class InternalProducer {
  readonly #broker: BrokerApi;
  #identity: ProducerIdentity | null = null;
  #pending: Promise<ProducerIdentity> | null = null;

  constructor(broker: BrokerApi) {
    this.#broker = broker;
  }

  /** The present identity, at once when there is one. */
  identity(): ProducerIdentity | Promise<ProducerIdentity> {
    if (this.#identity !== null) return this.#identity;
    this.#pending ??= this.#init();
    return this.#pending;
  }

  /** Whether sequences of this identity are still those to continue. */
  isCurrent(identity: ProducerIdentity | null): boolean {
    return identity !== null && identity === this.#identity;
  }

  /** The fate of a batch of this identity is unknown, so its next sequence is too: the next batches get a new id. */
  abandon(identity: ProducerIdentity): void {
    if (this.#identity === identity) this.#identity = null;
  }

  async #init(): Promise<ProducerIdentity> {
    try {
      const reply = await this.#broker.decide(
        { kind: 'init-producer', name: '' },
        INIT_DEADLINE_MS,
      );
      if (reply.kind !== 'init-producer')
        throw new BrokerError('INTERNAL', `Answer to "init-producer" is "${reply.kind}"`);
      this.#identity = { producerId: reply.producerId, producerEpoch: reply.producerEpoch };
      return this.#identity;
    } finally {
      this.#pending = null;
    }
  }
}
