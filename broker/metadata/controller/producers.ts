/**
 * Producer ids: taken from metadata in blocks, so that an anonymous producer rarely costs a record.
 * Ids of a block that a lost controller had not given out are skipped; an id is never given twice
 * (rule 20).
 */
import { NAMED_PRODUCERS_MAX, NAME_LENGTH_MAX } from '../../../base/limits.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { ControllerReply, InitProducerRequest } from '../controller-types.ts';
import type { MetadataImage, MetadataRecord, NamedProducer } from '../types.ts';

/** Ids taken at once: one record per thousand anonymous producers. */
export const PRODUCER_ID_BLOCK = 1000;
/**
 * Epochs are 32 bits wide in the batch header (wire/batch/FORMAT.md); at the end a name takes a new
 * id.
 */
const PRODUCER_EPOCH_MAX = 0xffff_ffff;

type InitProducerReply = Extract<ControllerReply, { kind: 'init-producer' }>;

export class ProducerIds {
  #next = 0;
  #end = 0;

  /** Records to be committed before the reply, and the reply. Throws {@link BrokerError}. */
  init(
    image: MetadataImage,
    { name, expected }: InitProducerRequest,
  ): { readonly records: readonly MetadataRecord[]; readonly reply: InitProducerReply } {
    if (name === '') {
      const { records, producerId } = this.#take(image);
      return { records, reply: { kind: 'init-producer', producerId, producerEpoch: 0 } };
    }
    if (name.length > NAME_LENGTH_MAX) {
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `name has ${String(name.length)} characters, must have at most ${String(NAME_LENGTH_MAX)}`,
      );
    }
    const known = image.namedProducers.get(name);
    requireExpected(name, known, expected);
    if (known === undefined && image.namedProducers.size >= NAMED_PRODUCERS_MAX) {
      throw new BrokerError(
        'REFUSED',
        `Cannot name producer "${name}": there are ${String(NAMED_PRODUCERS_MAX)} names already`,
      );
    }
    const isEpochLeft = known !== undefined && known.producerEpoch < PRODUCER_EPOCH_MAX;
    const { records, producerId } = isEpochLeft
      ? { records: [], producerId: known.producerId }
      : this.#take(image);
    const producerEpoch = isEpochLeft ? known.producerEpoch + 1 : 0;
    return {
      records: [...records, { kind: 'producer-named', name, producerId, producerEpoch }],
      reply: { kind: 'init-producer', producerId, producerEpoch },
    };
  }

  #take(image: MetadataImage): {
    readonly records: readonly MetadataRecord[];
    readonly producerId: number;
  } {
    const records: MetadataRecord[] = [];
    if (this.#next === this.#end) {
      this.#next = image.nextProducerId;
      this.#end = image.nextProducerId + PRODUCER_ID_BLOCK;
      records.push({ kind: 'producer-ids', nextProducerId: this.#end });
    }
    const producerId = this.#next;
    this.#next += 1;
    return { records, producerId };
  }
}

/** Compare and set: whoever has taken the name since is fenced by none of the earlier callers. */
function requireExpected(
  name: string,
  known: NamedProducer | undefined,
  expected: NamedProducer | null | undefined,
): void {
  const isExpected =
    expected === undefined ||
    (expected?.producerId === known?.producerId &&
      expected?.producerEpoch === known?.producerEpoch);
  if (isExpected) return;
  throw new BrokerError(
    'PRODUCER_FENCED',
    `Cannot take the name "${name}" of ${shown(expected)}: it belongs to ${shown(known)} now`,
    { effect: 'none' },
  );
}

function shown(identity: NamedProducer | null | undefined): string {
  return identity === null || identity === undefined
    ? 'nobody'
    : `producer ${String(identity.producerId)} of epoch ${String(identity.producerEpoch)}`;
}
