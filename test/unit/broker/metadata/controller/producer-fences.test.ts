import { describe, expect, it } from 'vitest';

import type { ControllerRequest } from '../../../../../broker/metadata/controller-types.ts';
import { FEATURE_LEVEL_MAX, LEVEL_OF_NAMES } from '../../../../../broker/metadata/features.ts';
import { FENCE_WAIT_MS_MAX } from '../../../../../broker/metadata/controller/producer-fences.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { Bench, codeOf } from './bench.ts';

const INIT = { kind: 'init-producer', name: 'p' } as const;

/** Below level 10 the first epoch of a name is 0, and has nobody to shut out. */
function bench(featureLevel = LEVEL_OF_NAMES - 1): Bench {
  const brokers = [0, 1, 2].map((id) => brokerState(id));
  const image = imageOf(brokers, [topicState([partitionState()])]);
  return new Bench({ ...image, featureLevel });
}

/** `metadataIndex` absent: a build that does not say. */
function heartbeat(
  brokerId: number,
  metadataIndex?: number,
  patch: object = {},
): ControllerRequest {
  return {
    kind: 'heartbeat',
    brokerId,
    brokerEpoch: brokerId + 1,
    wantsUnfence: false,
    wantsStop: false,
    lossy: false,
    ...(metadataIndex === undefined ? {} : { metadataIndex }),
    ...patch,
  };
}

/**
 * Asks for a second epoch, commits it, and tells the answer as of now; the first epoch has nobody
 * to shut out.
 */
function second(world: Bench): { readonly answer: () => string; readonly index: number } {
  world.ask(INIT);
  const requestId = world.send(INIT);
  world.commit();
  const answer = (): string => {
    const reply = world.replies.get(requestId);
    return reply === undefined ? 'open' : codeOf(reply);
  };
  return { answer, index: world.image.index };
}

describe('Controller init-producer', () => {
  it('refuses an attempt that arrives after the name was taken, and changes nothing', () => {
    const world = bench();
    const first = { ...INIT, expected: null };
    const granted = world.ask(first) as unknown as { producerId: number };
    const second = { ...INIT, expected: { producerId: granted.producerId, producerEpoch: 0 } };
    world.send(second);
    world.commit();
    const before = world.image.namedProducers;

    expect(before.get('p')).toMatchObject({ producerEpoch: 1 });
    for (const late of [first, second])
      expect(world.ask(late)).toMatchObject({ code: 'PRODUCER_FENCED', effect: 'none' });
    expect(world.image.namedProducers).toEqual(before);
  });

  it('grants one of two attempts at once', () => {
    const world = bench();
    const asked = [1, 2].map(() => world.send({ ...INIT, expected: null }));
    world.commit();

    expect(asked.map((id) => codeOf(world.replies.get(id)))).toEqual(['ok', 'PRODUCER_FENCED']);
  });

  it('answers the first epoch of a name at once below level 10', () => {
    expect(bench().ask(INIT)).toMatchObject({ producerEpoch: 0 });
  });

  it('answers the first epoch of a name when every unfenced broker knows the name', () => {
    const world = bench(LEVEL_OF_NAMES);
    const requestId = world.send(INIT);
    world.commit();
    const before = world.replies.get(requestId);
    for (const id of [0, 1, 2]) world.ask(heartbeat(id, world.image.index));

    expect(before).toBeUndefined();
    expect(world.replies.get(requestId)).toMatchObject({ producerEpoch: 1 });
  });

  it('answers a later epoch when every unfenced broker has applied it', () => {
    const world = bench();
    const { answer, index } = second(world);
    const seen = [answer()];
    for (const id of [0, 1]) world.ask(heartbeat(id, index));
    world.ask(heartbeat(2, index - 1));
    seen.push(answer());
    world.ask(heartbeat(2, index));
    seen.push(answer());

    expect(seen).toEqual(['open', 'open', 'ok']);
  });

  it('is not answered on the word of an earlier incarnation, or of an overtaken heartbeat', () => {
    const world = bench();
    world.ask(heartbeat(2, 1_000));
    world.ask({ ...register(2) });
    world.ask(heartbeat(2, 1, { brokerEpoch: brokerEpoch(world, 2), wantsUnfence: true }));
    const { answer, index } = second(world);
    for (const id of [0, 1]) {
      world.ask(heartbeat(id, index));
      world.ask(heartbeat(id, index - 1));
    }
    const before = answer();
    world.ask(heartbeat(2, index, { brokerEpoch: brokerEpoch(world, 2) }));

    expect([before, answer()]).toEqual(['open', 'ok']);
  });

  it('waits no more for a broker that was fenced, once that is committed: it leads nothing', () => {
    const world = bench();
    const { answer, index } = second(world);
    for (const id of [1, 2]) world.ask(heartbeat(id, index));
    world.step({ kind: 'probed', brokerId: 0, brokerEpoch: 1, result: 'refused' });
    const before = answer();
    world.commit();

    expect([before, answer()]).toEqual(['open', 'ok']);
    expect(world.row()?.leader).not.toBe(0);
  });

  it('does not wait for builds that do not say what they have applied', () => {
    const world = bench();
    const { answer, index } = second(world);
    world.ask(heartbeat(0, index));
    const before = answer();
    for (const id of [1, 2]) world.ask(heartbeat(id));

    expect([before, answer()]).toEqual(['open', 'ok']);
  });

  it('says after a while that it cannot tell', () => {
    const world = bench();
    const { answer } = second(world);
    world.tick(FENCE_WAIT_MS_MAX - 1);
    const before = answer();
    world.tick(FENCE_WAIT_MS_MAX);

    expect([before, answer()]).toEqual(['open', 'OUTCOME_UNKNOWN']);
  });
});

function brokerEpoch(world: Bench, brokerId: number): number {
  return world.image.brokers.get(brokerId)?.brokerEpoch ?? 0;
}

function register(brokerId: number): ControllerRequest {
  return {
    kind: 'register',
    clusterId: 'c',
    brokerId,
    directoryId: `directory-${brokerId}`,
    sessionEpoch: brokerId + 1,
    restartClass: 'warm',
    host: 'h',
    port: 1,
    rack: 'r',
    featureLevelMax: FEATURE_LEVEL_MAX,
  };
}
