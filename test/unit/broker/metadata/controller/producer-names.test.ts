/** Names of producers that expire: who makes room, and that nobody is let in twice. */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { Random } from '../../../../../base/random.ts';
import { apply, emptyImage } from '../../../../../broker/metadata/apply.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../../broker/metadata/codec.ts';
import type { Desk } from '../../../../../broker/metadata/controller/desk.ts';
import { ProducerIds } from '../../../../../broker/metadata/controller/producers.ts';
import { LEVEL_OF_NAMES, levelOf } from '../../../../../broker/metadata/features.ts';
import type {
  MetadataImage,
  MetadataRecord,
  NamedProducer,
} from '../../../../../broker/metadata/types.ts';
import { ProducerFence } from '../../../../../broker/runtime/partitions/producer-fence.ts';

const HOUR_MS = 3_600_000;
const BOUNDS = { namesMax: 5, namesPerPrincipalMax: 3, keptHours: 48 };

/** A controller's desk whose proposals are committed at once, and every image that there was. */
class FakeDesk {
  image: MetadataImage;
  nowMs = 0;
  readonly history: MetadataImage[] = [];
  readonly records: MetadataRecord[] = [];
  readonly facts: unknown[] = [];
  ids = new ProducerIds(BOUNDS);

  constructor(featureLevel = LEVEL_OF_NAMES) {
    const cluster: MetadataRecord = { kind: 'cluster', clusterId: 'c', featureLevel };
    this.image = apply(emptyImage(), [cluster], { index: 1, term: 1 });
    this.history.push(this.image);
    this.ids.tick(this.desk);
  }

  get desk(): Desk {
    return this as unknown as Desk;
  }

  propose(records: readonly MetadataRecord[]): void {
    if (records.length === 0) return;
    for (const record of records)
      expect(levelOf(record)).toBeLessThanOrEqual(this.image.featureLevel);
    this.records.push(...decodeRecords(encodeRecords(records)));
    this.image = apply(this.image, records, { index: this.image.index + 1, term: 1 });
    this.history.push(this.image);
  }

  fact(...fact: unknown[]): void {
    this.facts.push(fact);
  }

  hours(count: number): void {
    for (let hour = 0; hour < count; hour += 1) {
      this.nowMs += HOUR_MS;
      this.ids.tick(this.desk);
    }
  }

  take(name: string, principal = ''): NamedProducer | string {
    const behalf = principal === '' ? {} : { principal };
    try {
      const { producerId, producerEpoch } = this.ids.init(this.desk, {
        kind: 'init-producer',
        name,
        ...behalf,
      });
      return { producerId, producerEpoch };
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return error.message;
    }
  }

  get names(): string[] {
    return [...this.image.namedProducers.keys()].toSorted();
  }
}

function filled(): FakeDesk {
  const world = new FakeDesk();
  for (const name of ['a1', 'a2', 'a3']) world.take(name, 'token:a');
  world.take('b1', 'token:b');
  world.take('c1', 'token:c');
  return world;
}

describe('ProducerIds.tick()', () => {
  it('counts hours of its own clock while there are names, and a pause as one', () => {
    const world = new FakeDesk();
    world.hours(5);
    expect(world.image.hours).toBe(0);
    world.take('a1');
    world.hours(3);
    world.nowMs += 100 * HOUR_MS;
    world.ids.tick(world.desk);
    world.nowMs += HOUR_MS - 1;
    world.ids.tick(world.desk);
    expect(world.image.hours).toBe(4);
  });

  it('counts nothing below the level', () => {
    const world = new FakeDesk(LEVEL_OF_NAMES - 1);
    world.take('a1');
    world.hours(5);
    expect(world.image.hours).toBe(0);
    expect(world.image.namedProducers.get('a1')).toEqual({
      producerId: 1,
      producerEpoch: 0,
      owner: '',
      hour: 0,
    });
  });
});

describe('ProducerIds.init() without room', () => {
  it('forgets nothing while there is room, whatever its age', () => {
    const world = new FakeDesk();
    world.take('a1', 'token:a');
    world.hours(1_000);
    world.take('a2', 'token:a');
    expect(world.names).toEqual(['a1', 'a2']);
  });

  it('refuses a principal its fourth name, and says whose they are', () => {
    expect(filled().take('a4', 'token:a')).toBe(
      'Cannot name producer "a4": token:a has 3 names already, the most of one principal, and none of them was last taken 2 days ago or earlier',
    );
  });

  it('refuses everybody a sixth', () => {
    const world = filled();
    world.hours(47);
    expect(world.take('b2', 'token:b')).toBe(
      'Cannot name producer "b2": there are 5 names already, and none of them was last taken 2 days ago or earlier',
    );
    expect(world.names).toEqual(['a1', 'a2', 'a3', 'b1', 'c1']);
  });

  it('lets the oldest go of whoever has most, and tells', () => {
    const world = filled();
    world.hours(1);
    world.take('a1', 'token:a');
    world.hours(48);
    world.take('b2', 'token:b');
    expect(world.names).toEqual(['a1', 'a3', 'b1', 'b2', 'c1']);
    expect(world.facts).toEqual([
      [
        'producer-name-forgotten',
        { name: 'a2', owner: 'token:a', producerId: 2, producerEpoch: 1, hours: 49 },
      ],
    ]);
  });

  it('lets one of its own go for a principal that has as many as it may', () => {
    const world = filled();
    world.hours(48);
    world.take('a4', 'token:a');
    expect(world.names).toEqual(['a2', 'a3', 'a4', 'b1', 'c1']);
  });

  it('spares names of an epoch that anonymous producers have', () => {
    const world = new FakeDesk(LEVEL_OF_NAMES - 1);
    for (const name of ['1', '2', '3', '4', '5']) world.take(name);
    world.propose([{ kind: 'feature-level', featureLevel: LEVEL_OF_NAMES }]);
    world.hours(48);
    expect(world.take('6')).toMatch(/there are 5 names already/);
    world.take('3');
    world.hours(48);
    expect(world.take('6')).toEqual({ producerId: 6, producerEpoch: 2 });
    expect(world.names).toEqual(['1', '2', '4', '5', '6']);
  });

  it('gives a name that comes again an epoch above all that were forgotten, and another id', () => {
    const world = filled();
    for (let times = 0; times < 6; times += 1) world.take('a1', 'token:a');
    world.hours(48);
    world.take('b2', 'token:b');
    world.take('b3', 'token:b');
    world.hours(48);
    expect(world.names).not.toContain('a1');
    expect(world.take('a1', 'token:a')).toEqual({ producerId: 8, producerEpoch: 8 });
  });

  it('forgets as before below the level: nothing', () => {
    const world = new FakeDesk(LEVEL_OF_NAMES - 1);
    for (const name of ['1', '2', '3', '4', '5']) world.take(name, 'token:a');
    world.hours(1_000);
    expect(world.take('6')).toBe('Cannot name producer "6": there are 5 names already');
  });
});

describe('records of names', () => {
  it('are text that earlier builds read, where they say nothing new', () => {
    const plain: MetadataRecord = {
      kind: 'producer-named',
      name: 'p',
      producerId: 1,
      producerEpoch: 0,
      owner: '',
      hour: 0,
    };
    expect(levelOf(plain)).toBe(1);
    expect(encodeRecords([plain])).toBe(
      '[{"kind":"producer-named","name":"p","producerId":1,"producerEpoch":0}]',
    );
    expect(decodeRecords(encodeRecords([plain]))).toEqual([plain]);
    expect(encodeImage(apply(emptyImage(), [plain], { index: 1, term: 1 }))).not.toMatch(
      /owner|hour|forgotten/i,
    );
  });

  it('stand in a snapshot with each owner once', () => {
    const world = filled();
    world.hours(48);
    world.take('b2', 'token:b');
    const text = encodeImage(world.image);
    expect(text.split('token:b')).toHaveLength(2);
    expect(decodeImage(text)).toEqual(world.image);
  });

  it('are not believed with an owner that is not there', () => {
    const text = encodeImage(filled().image).replace('"owner":2', '"owner":3');
    expect(() => decodeImage(text)).toThrow(/owner is 3, must be a place in producerOwners/);
  });

  it('forget a name that is not there without a trace', () => {
    const { image } = filled();
    const after = apply(image, [{ kind: 'producer-forgotten', name: 'x' }], image);
    expect(after).toEqual(image);
  });
});

/**
 * Everybody takes names, time passes, controllers change, and every broker may be as far behind as
 * it likes.
 */
describe('names of producers, at random', () => {
  const verdictOf = (
    image: MetadataImage,
    { producerId, producerEpoch }: NamedProducer,
  ): string => {
    const fence = new ProducerFence(
      () => image,
      () => true,
      () => Promise.reject(new Error('none is asked for')),
    );
    return fence.fault(producerId, producerEpoch)?.code ?? 'ok';
  };

  it.each(Array.from({ length: 40 }, (_, seed) => ({ seed })))(
    'shut out whoever held one before, and nobody who holds it (seed $seed)',
    ({ seed }) => {
      const random = new Random(seed);
      const world = new FakeDesk();
      /** Each identity ever given, by name, and the index at which it was answered. */
      const given = new Map<string, (NamedProducer & { readonly index: number })[]>();
      const owners = new Map<number, string>();
      for (let step = 0; step < 300; step += 1) {
        if (random.chance(0.3)) world.hours(random.below(30));
        if (random.chance(0.02)) {
          world.ids = new ProducerIds(BOUNDS);
          world.ids.tick(world.desk);
        }
        const name = `n${random.below(9)}`;
        const answer = world.take(name, ['', 'token:a', 'token:b'][random.below(3)]);
        if (typeof answer === 'string') continue;
        const before = given.get(name) ?? [];
        given.set(name, [...before, { ...answer, index: world.image.index }]);
        // An id is one name's, and the epochs of a name only rise, forgotten or not.
        if ((owners.get(answer.producerId) ?? name) !== name) throw new Error('an id came twice');
        owners.set(answer.producerId, name);
        if (answer.producerEpoch <= (before.at(-1)?.producerEpoch ?? 0))
          throw new Error(`an epoch of ${name} did not rise`);
      }
      const wrong: string[] = [];
      for (const [name, identities] of given) {
        identities.forEach((identity, place) => {
          const next = identities[place + 1];
          const about = [identity.index, next?.index ?? 0, world.image.index - random.below(300)];
          const images = world.history.filter(({ index }) =>
            about.some((each) => Math.abs(index - each) < 2),
          );
          for (const image of images) {
            const verdict = verdictOf(image, identity);
            const what = `${name} of epoch ${identity.producerEpoch} at ${image.index}: ${verdict}`;
            // Once the next is answered, every broker that may lead has come so far.
            const isOver = next !== undefined && image.index >= next.index;
            if (isOver && verdict !== 'PRODUCER_FENCED') wrong.push(what);
            // A broker that is behind sends the holder elsewhere, and never away.
            if (image.index < identity.index && verdict === 'PRODUCER_FENCED') wrong.push(what);
          }
          const held = world.image.namedProducers.get(name);
          if (next === undefined && held?.producerId === identity.producerId)
            if (verdictOf(world.image, identity) !== 'ok') wrong.push(`${name} is refused`);
        });
      }
      expect(wrong).toEqual([]);
      expect(world.facts.length).toBeGreaterThan(5);
    },
  );
});
