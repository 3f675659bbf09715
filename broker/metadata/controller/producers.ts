/**
 * Ids and names of producers. Ids are taken from metadata in blocks, so that an anonymous producer
 * rarely costs a record. Ids of a block that a lost controller had not given out are skipped; an id
 * is never given twice (rule 20).
 *
 * A name is kept while there is room. Where there is none, one goes that nobody has taken for
 * {@link PRODUCER_NAME_KEPT_DAYS}: of the principal that asks, or of the one that has most names,
 * so that nobody's names push out those of somebody who has fewer. Time is what controllers have
 * counted of their own monotonic clocks; it stands still while there is none. Whoever still writes
 * under a name that went is refused everywhere before the next holder is answered, and an epoch
 * that is given out again lies above all that went.
 */
import {
  NAMED_PRODUCERS_MAX,
  NAMED_PRODUCERS_PER_PRINCIPAL_MAX,
  NAME_LENGTH_MAX,
  PRODUCER_NAME_KEPT_DAYS,
} from '../../../base/limits.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { MonotonicMs } from '../../../base/units.ts';
import type { ControllerReply, InitProducerRequest } from '../controller-types.ts';
import { hasLevel, LEVEL_OF_NAMES } from '../features.ts';
import type { MetadataImage, MetadataRecord, NamedProducer, ProducerName } from '../types.ts';
import type { Desk } from './desk.ts';

/** Ids taken at once: one record per thousand anonymous producers. */
export const PRODUCER_ID_BLOCK = 1000;
/**
 * Epochs are 32 bits wide in the batch header (wire/batch/FORMAT.md); at the end a name takes a new
 * id.
 */
const PRODUCER_EPOCH_MAX = 0xffff_ffff;
const HOUR_MS = 3_600_000;

type InitProducerReply = Extract<ControllerReply, { kind: 'init-producer' }>;

export interface ProducerBounds {
  readonly namesMax: number;
  readonly namesPerPrincipalMax: number;
  readonly keptHours: number;
}

const BOUNDS: ProducerBounds = {
  namesMax: NAMED_PRODUCERS_MAX,
  namesPerPrincipalMax: NAMED_PRODUCERS_PER_PRINCIPAL_MAX,
  keptHours: 24 * PRODUCER_NAME_KEPT_DAYS,
};

export class ProducerIds {
  readonly #bounds: ProducerBounds;
  #next = 0;
  #end = 0;
  /** When the hour began that is being counted; null: before the first tick. */
  #hourMs: MonotonicMs | null = null;

  constructor(bounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /**
   * Counts an hour of names that there are. Whatever was slept through counts as one: a name lives
   * longer than it must, and never shorter.
   */
  tick(desk: Desk): void {
    this.#hourMs ??= desk.nowMs;
    if (desk.nowMs - this.#hourMs < HOUR_MS) return;
    this.#hourMs = desk.nowMs;
    const { image } = desk;
    if (hasLevel(image, LEVEL_OF_NAMES) && image.namedProducers.size > 0)
      desk.propose([{ kind: 'hours-counted', hours: image.hours + 1 }]);
  }

  /** Proposes what is to be committed before the reply. Throws {@link BrokerError}. */
  init(desk: Desk, { name, expected, principal = '' }: InitProducerRequest): InitProducerReply {
    const { image } = desk;
    if (name === '') {
      const { records, producerId } = this.#take(image);
      desk.propose(records);
      return { kind: 'init-producer', producerId, producerEpoch: 0 };
    }
    if (name.length > NAME_LENGTH_MAX) {
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `name has ${String(name.length)} characters, must have at most ${String(NAME_LENGTH_MAX)}`,
      );
    }
    const known = image.namedProducers.get(name);
    requireExpected(name, known, expected);
    const gone = known === undefined ? this.#makeRoom(image, name, principal) : null;
    const isEpochLeft = known !== undefined && known.producerEpoch < PRODUCER_EPOCH_MAX;
    const { records, producerId } = isEpochLeft
      ? { records: [], producerId: known.producerId }
      : this.#take(image);
    const producerEpoch = isEpochLeft ? known.producerEpoch + 1 : firstEpoch(image, gone);
    const [owner, hour] = hasLevel(image, LEVEL_OF_NAMES) ? [principal, image.hours] : ['', 0];
    if (gone !== null) desk.fact('producer-name-forgotten', factOf(gone, image));
    desk.propose([
      ...records,
      ...(gone === null ? [] : [{ kind: 'producer-forgotten', name: gone.name } as const]),
      { kind: 'producer-named', name, producerId, producerEpoch, owner, hour },
    ]);
    return { kind: 'init-producer', producerId, producerEpoch };
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

  /** The name that goes for another one; null: there is room. Throws REFUSED where none may go. */
  #makeRoom(image: MetadataImage, name: string, principal: string): NamedEntry | null {
    const { namesMax, namesPerPrincipalMax } = this.#bounds;
    const names = image.namedProducers;
    const isFull = names.size >= namesMax;
    const refuse = (why: string): never => {
      throw new BrokerError('REFUSED', `Cannot name producer "${name}": ${why}`);
    };
    if (!hasLevel(image, LEVEL_OF_NAMES))
      return isFull ? refuse(`there are ${String(namesMax)} names already`) : null;
    const hasOwner = principal !== '' && names.size >= namesPerPrincipalMax;
    if (!isFull && !hasOwner) return null;
    const counts = countByOwner(names);
    const isOverOwn = hasOwner && (counts.get(principal) ?? 0) >= namesPerPrincipalMax;
    if (!isFull && !isOverOwn) return null;
    const gone = this.#oldest(image, counts, isOverOwn ? principal : null);
    const kept = `none of them was last taken ${String(this.#bounds.keptHours / 24)} days ago or earlier`;
    return (
      gone ??
      refuse(
        isOverOwn
          ? `${principal} has ${String(namesPerPrincipalMax)} names already, the most of one principal, and ${kept}`
          : `there are ${String(namesMax)} names already, and ${kept}`,
      )
    );
  }

  /**
   * Of names that may go, one of whoever has most of all, the oldest.
   *
   * @param of whose alone; null: anybody's
   */
  #oldest(
    { namedProducers, hours }: MetadataImage,
    counts: ReadonlyMap<string, number>,
    of: string | null,
  ): NamedEntry | null {
    let best: NamedEntry | null = null;
    for (const [name, producer] of namedProducers) {
      const { owner, hour, producerEpoch } = producer;
      if (of !== null && owner !== of) continue;
      // Epoch 0 is one of before level 10: an anonymous producer looks the same, so it could not
      // be told apart once its name is gone.
      if (hours - hour < this.#bounds.keptHours || producerEpoch === 0) continue;
      const lead = (counts.get(owner) ?? 0) - (counts.get(best?.owner ?? '') ?? 0);
      const isBetter =
        best === null ||
        lead > 0 ||
        (lead === 0 && (hour < best.hour || (hour === best.hour && name < best.name)));
      if (isBetter) best = { name, ...producer };
    }
    return best;
  }
}

type NamedEntry = ProducerName & { readonly name: string };

function countByOwner(names: MetadataImage['namedProducers']): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { owner } of names.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

/** Above 0, which anonymous producers have, and above every name that went (rule 20). */
function firstEpoch(image: MetadataImage, gone: NamedEntry | null): number {
  if (!hasLevel(image, LEVEL_OF_NAMES)) return 0;
  const floor = Math.max(image.forgottenNames.epochMax, gone?.producerEpoch ?? 0);
  // Ids shut the others out; at the end of all epochs numbers begin anew.
  return floor < PRODUCER_EPOCH_MAX ? floor + 1 : 1;
}

function factOf({ name, owner, producerId, producerEpoch, hour }: NamedEntry, at: MetadataImage) {
  return { name, owner, producerId, producerEpoch, hours: at.hours - hour };
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
