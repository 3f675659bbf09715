/**
 * What metadata says of producers with a name: a leader takes no batch of an epoch below the newest
 * one given out (rule 20). Its metadata is the newest only while the controller hears this broker:
 * InitProducer waits for every leader but those that were fenced, and a fenced one may not know it.
 */
import { BrokerError } from '../../../base/errors.ts';
import { PRODUCER_ID_BLOCK } from '../../metadata/controller/producers.ts';
import { hasLevel, LEVEL_OF_NAMES } from '../../metadata/features.ts';
import type { ControllerRequest, Decision } from '../../metadata/controller-types.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { ProducersGiven } from '../../replication/producers.ts';

const PRODUCER_ID_DEADLINE_MS = 2_000;

export class ProducerFence {
  readonly #image: () => MetadataImage;
  readonly #isHeard: () => boolean;
  readonly #takeId: () => Promise<number>;
  #named: MetadataImage['namedProducers'] | null = null;
  #epochs = new Map<number, number>();

  /** @param takeId asks the controller for a producer id that nobody has */
  constructor(image: () => MetadataImage, isHeard: () => boolean, takeId: () => Promise<number>) {
    this.#image = image;
    this.#isHeard = isHeard;
    this.#takeId = takeId;
  }

  /**
   * Every producer that was given out before the call, and perhaps some later ones: an id that is
   * new now lies above all of them. Rejects while the controller gives none; try again.
   */
  async given(): Promise<ProducersGiven> {
    const { nextProducerId } = this.#image();
    const idMax = await this.#takeId();
    if (idMax < nextProducerId - PRODUCER_ID_BLOCK) {
      throw new BrokerError(
        'NOT_CONTROLLER',
        `Producer id ${idMax} is of a controller that was replaced: ids below ${nextProducerId} are taken`,
      );
    }
    return { idMax, epochs: this.#newest() };
  }

  /**
   * Why a batch of this producer may not be appended now; null: metadata has nothing against it.
   */
  fault(producerId: number, producerEpoch: number): BrokerError | null {
    const newest = this.#newest().get(producerId);
    if (newest === undefined) return this.#namelessFault(producerId, producerEpoch);
    if (producerEpoch < newest) {
      return new BrokerError(
        'PRODUCER_FENCED',
        `Cannot append batch of producer ${producerId}, epoch ${producerEpoch}: epoch ${newest} was given out`,
      );
    }
    if (this.#isHeard()) return null;
    return new BrokerError(
      'LEADER_UNKNOWN',
      `Cannot append batch of producer ${producerId}: this broker has not heard from the controller for a session, so it may lead no more, and a newer epoch may have been given out`,
    );
  }

  /**
   * Of an id that no name has. Epochs of names are above 0, those of others never (level 10), and a
   * name is committed before any later one is given out: so an id up to the greatest that was
   * forgotten had a name, and a later one has a name that this broker has not heard of.
   */
  #namelessFault(producerId: number, producerEpoch: number): BrokerError | null {
    const image = this.#image();
    if (producerEpoch === 0 || !hasLevel(image, LEVEL_OF_NAMES)) return null;
    if (producerId > image.forgottenNames.idMax)
      return new BrokerError(
        'LEADER_UNKNOWN',
        `Cannot append batch of producer ${producerId}, epoch ${producerEpoch}: this broker does not know its name yet, so its metadata is behind`,
      );
    return new BrokerError(
      'PRODUCER_FENCED',
      `Cannot append batch of producer ${producerId}, epoch ${producerEpoch}: its name was not taken for long and went to make room for others; take the name anew`,
    );
  }

  #newest(): ReadonlyMap<number, number> {
    const { namedProducers } = this.#image();
    if (namedProducers !== this.#named) {
      this.#named = namedProducers;
      this.#epochs = new Map(
        [...namedProducers.values()].map((named) => [named.producerId, named.producerEpoch]),
      );
    }
    return this.#epochs;
  }
}

/** An id of nobody's, which is above all that were given out before. Rejects as `decide` does. */
export async function takeProducerId(
  decide: (request: ControllerRequest, deadlineMs: number) => Promise<Decision>,
): Promise<number> {
  const reply = await decide({ kind: 'init-producer', name: '' }, PRODUCER_ID_DEADLINE_MS);
  if (reply.kind !== 'init-producer')
    throw new BrokerError('INTERNAL', `Answer to "init-producer" is "${reply.kind}"`);
  return reply.producerId;
}
