import { describe, expect, it } from 'vitest';

import { apply, emptyImage } from '../../../../../broker/metadata/apply.ts';
import { ProducerFence } from '../../../../../broker/runtime/partitions/producer-fence.ts';

function named(image: ReturnType<typeof emptyImage>, producerEpoch: number) {
  return apply(
    image,
    [{ kind: 'producer-named', name: 'p', producerId: 7, producerEpoch, owner: '', hour: 0 }],
    { index: image.index + 1, term: 1 },
  );
}

const noId = () => Promise.reject(new Error('no id is asked for'));

describe('ProducerFence.fault()', () => {
  it('goes by the newest metadata', () => {
    let image = named(emptyImage(), 2);
    const fence = new ProducerFence(
      () => image,
      () => true,
      noId,
    );
    const before = [1, 2, 3].map((epoch) => fence.fault(7, epoch)?.code);
    image = named(image, 3);

    expect(before).toEqual(['PRODUCER_FENCED', undefined, undefined]);
    expect([2, 3].map((epoch) => fence.fault(7, epoch)?.code)).toEqual([
      'PRODUCER_FENCED',
      undefined,
    ]);
  });

  it('takes named producers only while the controller hears this broker, others always', () => {
    const image = named(emptyImage(), 2);
    const fence = new ProducerFence(
      () => image,
      () => false,
      noId,
    );

    expect(fence.fault(7, 2)).toMatchObject({ code: 'LEADER_UNKNOWN', effect: 'none' });
    expect(fence.fault(8, 0)).toBeNull();
  });
});

describe('ProducerFence.fault() of an id that no name has', () => {
  const AT = { index: 9, term: 1 };
  const level = (featureLevel: number) =>
    apply(named(emptyImage(), 2), [{ kind: 'feature-level', featureLevel }], AT);
  const codes = (image: ReturnType<typeof emptyImage>, isHeard = true) => {
    const fence = new ProducerFence(
      () => image,
      () => isHeard,
      noId,
    );
    return [
      [7, 2],
      [7, 0],
      [6, 1],
      [8, 1],
    ].map(([id = 0, epoch = 0]) => fence.fault(id, epoch)?.code ?? 'ok');
  };

  it('refuses for ever what had a name that was forgotten, and whoever looks anonymous not', () => {
    const gone = apply(level(10), [{ kind: 'producer-forgotten', name: 'p' }], AT);
    expect(codes(gone)).toEqual(['PRODUCER_FENCED', 'ok', 'PRODUCER_FENCED', 'LEADER_UNKNOWN']);
    expect(codes(gone, false)).toEqual(codes(gone));
  });

  it('does not say that an id is shut out which it only has not heard of', () => {
    expect(codes(level(10))).toEqual(['ok', 'PRODUCER_FENCED', 'LEADER_UNKNOWN', 'LEADER_UNKNOWN']);
  });

  it('judges nobody below the level: epochs of names begin at 0 there', () => {
    expect(codes(level(9))).toEqual(['ok', 'PRODUCER_FENCED', 'ok', 'ok']);
  });
});

describe('ProducerFence.given()', () => {
  it('is an id that nobody has, and the newest epoch of each name', async () => {
    const image = named(emptyImage(), 2);
    const fence = new ProducerFence(
      () => image,
      () => true,
      () => Promise.resolve(12),
    );

    expect(await fence.given()).toEqual({ idMax: 12, epochs: new Map([[7, 2]]) });
  });

  it('takes no id of a controller that was replaced: its successor has given out larger ones', async () => {
    const image = apply(emptyImage(), [{ kind: 'producer-ids', nextProducerId: 2_001 }], {
      index: 1,
      term: 1,
    });
    const ids = [1_000, 1_001];
    const fence = new ProducerFence(
      () => image,
      () => true,
      () => Promise.resolve(ids.shift() ?? 0),
    );

    await expect(fence.given()).rejects.toMatchObject({ code: 'NOT_CONTROLLER' });
    expect(await fence.given()).toMatchObject({ idMax: 1_001 });
  });
});
