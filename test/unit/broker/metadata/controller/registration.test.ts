/** Registrations that are repeated, late, or of an older start of the same directory (rule 17). */
import { describe, expect, it } from 'vitest';
import type {
  HeartbeatRequest,
  RegisterRequest,
} from '../../../../../broker/metadata/controller-types.ts';
import { decodeImage, encodeImage } from '../../../../../broker/metadata/codec.ts';
import { FEATURE_LEVEL_MAX, LEVEL_OF_STARTS } from '../../../../../broker/metadata/features.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { Bench } from './bench.ts';

function bench(featureLevel: number = FEATURE_LEVEL_MAX): Bench {
  const brokers = [0, 1, 2].map((id) => brokerState(id));
  const image = imageOf(brokers, [topicState([partitionState()])]);
  return new Bench({ ...image, featureLevel });
}

/** Broker 2 starts again: its session file names its last epoch. */
function register(fields: Partial<RegisterRequest> = {}): RegisterRequest {
  return {
    kind: 'register',
    clusterId: 'c',
    brokerId: 2,
    directoryId: 'directory-2',
    sessionEpoch: 3,
    restartClass: 'warm',
    host: 'h',
    port: 1,
    rack: 'r',
    featureLevelMax: FEATURE_LEVEL_MAX,
    start: { id: 'a', number: 7 },
    ...fields,
  };
}

function unfence(world: Bench, brokerEpoch: number): void {
  world.ask({
    kind: 'heartbeat',
    brokerId: 2,
    brokerEpoch,
    wantsUnfence: true,
    wantsStop: false,
    lossy: false,
  });
}

describe('Controller register', () => {
  it('answers a repeated or late registration of the same start with the same epoch, and changes nothing', () => {
    const world = bench();
    const first = world.ask(register());
    expect(first).toMatchObject({ kind: 'register', brokerEpoch: 4, restartClass: 'warm' });
    unfence(world, 4);
    const before = world.image;

    expect(world.ask(register())).toEqual(first);
    expect(world.image).toBe(before);
  });

  it('knows it from committed metadata: another controller answers alike', () => {
    const world = bench();
    const first = world.ask(register());
    const next = new Bench(world.image);

    expect(next.ask(register())).toEqual(first);
    expect(next.image.lastBrokerEpoch).toBe(4);
  });

  it('never lets an older start of the directory displace a newer one, unfenced or not', () => {
    const world = bench();
    world.ask(register({ sessionEpoch: 3, start: { id: 'a', number: 7 } }));
    world.ask(register({ sessionEpoch: 4, start: { id: 'b', number: 8 } }));
    for (const step of ['fenced', 'unfenced']) {
      if (step === 'unfenced') unfence(world, 5);
      const before = world.image;

      expect(world.ask(register({ sessionEpoch: 3 }))).toMatchObject({ code: 'STALE_EPOCH' });
      expect(world.image.brokers).toBe(before.brokers);
      expect(world.row()?.suspects).toEqual([]);
    }
  });

  it('takes another process on a copy, or on a disk put back, for an older start', () => {
    const world = bench();
    world.ask(register());

    expect(world.ask(register({ start: { id: 'copy', number: 7 } }))).toMatchObject({
      code: 'STALE_EPOCH',
    });
    expect(world.ask(register({ directoryId: 'renewed', restartClass: 'lossy' }))).toMatchObject({
      brokerEpoch: 5,
    });
  });

  it('never lets a directory return that another one has replaced', () => {
    const world = bench();
    world.ask(register({ directoryId: 'new', restartClass: 'new', start: { id: 'b', number: 1 } }));
    expect(world.image.brokers.get(2)?.directoryId).toBe('directory-2');
    world.step({ kind: 'probed', brokerId: 2, brokerEpoch: 3, result: 'refused' });
    world.commit();
    world.ask(register({ directoryId: 'new', restartClass: 'new', start: { id: 'b', number: 1 } }));
    expect(world.image.brokers.get(2)?.directoryId).toBe('new');

    expect(world.ask(register())).toMatchObject({ code: 'STALE_EPOCH' });
    const restored = decodeImage(encodeImage(world.image));
    expect(new Bench(restored).ask(register())).toMatchObject({ code: 'STALE_EPOCH' });
  });

  it('believes no claim to be warm of another directory under the same id (P12)', () => {
    const world = bench();
    world.step({ kind: 'probed', brokerId: 2, brokerEpoch: 3, result: 'refused' });
    world.commit();

    const reply = world.ask(register({ directoryId: 'other', start: { id: 'b', number: 1 } }));

    expect(reply).toMatchObject({ restartClass: 'lossy' });
  });

  it.each([
    { title: 'below the feature level', level: LEVEL_OF_STARTS - 1, request: register() },
    {
      title: 'from a build that names none',
      level: FEATURE_LEVEL_MAX,
      request: (({ start: _, ...rest }) => rest)(register()),
    },
  ])('names no start $title, and registers each request anew', ({ level, request }) => {
    const world = bench(level);
    world.ask(request);
    expect(world.image.brokers.get(2)).not.toHaveProperty('start');
    expect(world.ask(request)).toMatchObject({ brokerEpoch: 5 });
  });
});

describe('Controller heartbeat', () => {
  const beat = (brokerEpoch: number): HeartbeatRequest => ({
    kind: 'heartbeat',
    brokerId: 2,
    brokerEpoch,
    wantsUnfence: false,
    wantsStop: false,
    lossy: false,
  });

  it('tells a broker that was removed, and a later incarnation that this controller is behind', () => {
    const world = bench();
    const brokers = new Map(world.image.brokers);
    brokers.delete(2);
    const removed = new Bench({ ...world.image, brokers });

    expect(removed.ask(beat(3))).toMatchObject({ code: 'UNKNOWN_BROKER', effect: 'none' });
    expect(removed.ask(beat(9))).toMatchObject({ code: 'NOT_CONTROLLER' });
  });

  it('gives a broker that drains nothing more to lead, and moves what it leads once it has drained', () => {
    const world = bench();
    const draining = { ...beat(1), brokerId: 0, drains: true };
    expect(world.ask(draining)).toMatchObject({ mayStop: false, leadersLeft: 1 });
    expect(world.image.brokers.get(0)?.stopping).toBe(true);
    expect(world.row()?.leader).toBe(0);

    expect(world.ask({ ...draining, wantsStop: true })).toMatchObject({ mayStop: true });
    expect(world.row()?.leader).toBe(1);
  });
});
