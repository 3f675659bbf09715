import { describe, expect, it } from 'vitest';
import type { ListenerAddress } from '../../../../../base/listeners.ts';
import { apply } from '../../../../../broker/metadata/apply.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../../broker/metadata/codec.ts';
import type { ControllerRequest } from '../../../../../broker/metadata/controller-types.ts';
import {
  FEATURE_LEVEL_MAX,
  LEVEL_OF_LISTENERS,
  levelOf,
} from '../../../../../broker/metadata/features.ts';
import type { MetadataRecord } from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { Bench } from './bench.ts';

const OUTSIDE: ListenerAddress = { listener: 'outside', host: 'b1.example.org', port: 443 };
const PARTNERS: ListenerAddress = { listener: 'partners', host: '192.0.2.1', port: 9_000 };

function bench(featureLevel: number = FEATURE_LEVEL_MAX): Bench {
  const brokers = [0, 1, 2].map((id) => brokerState(id));
  const image = imageOf(brokers, [topicState([partitionState({})], {})]);
  return new Bench({ ...image, featureLevel });
}

function says(
  brokerId: number,
  listeners: readonly ListenerAddress[],
  brokerEpoch = brokerId + 1,
): ControllerRequest {
  const asks = { wantsUnfence: false, wantsStop: false, lossy: false } as const;
  return { kind: 'heartbeat', brokerId, brokerEpoch, ...asks, listeners };
}

const listenersOf = ({ image }: Bench, brokerId: number) => image.brokers.get(brokerId)?.listeners;

describe('Addresses of named listeners', () => {
  it('are kept as a broker says them, in order of names, and written down once', () => {
    const world = bench();
    expect(world.ask(says(1, [PARTNERS, OUTSIDE]))).toMatchObject({ fenced: false });
    expect(listenersOf(world, 1)).toEqual([OUTSIDE, PARTNERS]);
    const written = world.entries.length;
    world.ask(says(1, [OUTSIDE, PARTNERS]));
    world.ask({ ...says(1, []), listeners: undefined } as never);
    expect(world.entries).toHaveLength(written);
    expect([listenersOf(world, 0), listenersOf(world, 2)]).toEqual([undefined, undefined]);
  });

  it('change and go while the broker runs', () => {
    const world = bench();
    world.ask(says(1, [OUTSIDE, PARTNERS]));
    world.ask(says(1, [{ ...OUTSIDE, port: 444 }, PARTNERS]));
    expect(listenersOf(world, 1)).toEqual([{ ...OUTSIDE, port: 444 }, PARTNERS]);
    world.ask(says(1, []));
    expect(listenersOf(world, 1)).toEqual([]);
  });

  it('are answered once they are committed', () => {
    const world = bench();
    const requestId = world.send(says(1, [OUTSIDE]));
    expect(world.replies.get(requestId)).toBeUndefined();
    world.commit();
    expect(world.replies.get(requestId)).toMatchObject({ kind: 'heartbeat' });
  });

  it('are those of the registration that says them, and of no earlier one', () => {
    const world = bench();
    expect(world.ask(says(1, [OUTSIDE], 1))).toMatchObject({ code: 'FENCED' });
    expect(listenersOf(world, 1)).toBeUndefined();
  });

  it('outlive a registration, until the broker says what is new', () => {
    const world = bench();
    world.ask(says(1, [OUTSIDE]));
    const { directoryId } = world.image.brokers.get(1)!;
    const registered: MetadataRecord = {
      ...{ kind: 'broker-registered', brokerId: 1, brokerEpoch: 50, directoryId, rack: '' },
      ...{ host: 'b1', port: 1, restartClass: 'clean', featureLevelMax: FEATURE_LEVEL_MAX },
    };
    const image = apply(world.image, [registered], { index: 90, term: 1 });
    expect(image.brokers.get(1)?.listeners).toEqual([OUTSIDE]);
  });

  it('wait for the feature level, and the broker is answered all the same', () => {
    const world = bench(LEVEL_OF_LISTENERS - 1);
    const written = world.entries.length;
    expect(world.ask(says(1, [OUTSIDE]))).toMatchObject({ kind: 'heartbeat' });
    expect(world.entries).toHaveLength(written);
    expect(levelOf({ kind: 'broker-listeners', brokerId: 1, brokerEpoch: 2, listeners: [] })).toBe(
      LEVEL_OF_LISTENERS,
    );
  });

  it('are read back from log and snapshot, and refused where they are not sound', () => {
    const world = bench();
    world.ask(says(1, [OUTSIDE, PARTNERS]));
    expect(decodeImage(encodeImage(world.image))).toEqual(world.image);
    const record: MetadataRecord = {
      ...{ kind: 'broker-listeners', brokerId: 1, brokerEpoch: 2 },
      listeners: [OUTSIDE],
    };
    const text = encodeRecords([record]);
    expect(decodeRecords(text)).toEqual([record]);
    expect(() => decodeRecords(text.replace('"outside"', '"client"'))).toThrow('must not be');
  });
});
