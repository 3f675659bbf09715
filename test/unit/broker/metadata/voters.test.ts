import { describe, expect, test } from 'vitest';
import { Random } from '../../../../base/random.ts';
import type { BrokerState, MetadataImage } from '../../../../broker/metadata/types.ts';
import { votersWanted } from '../../../../base/voters-wanted.ts';
import { nextVoters } from '../../../../broker/metadata/voters.ts';
import type { VoterId } from '../../../../broker/metadata/voters.ts';
import { brokerState, imageOf } from './fixtures.ts';

function voter(brokerId: number, directoryId = `directory-${String(brokerId)}`): VoterId {
  return { brokerId, directoryId };
}

function next(
  image: MetadataImage,
  voters: readonly VoterId[],
  options: { leader?: number; gone?: readonly number[]; votersMax?: number } = {},
): readonly VoterId[] | null {
  const { leader = voters[0]?.brokerId ?? 0, gone = [], votersMax = 3 } = options;
  const view = {
    voters,
    areVotersCommitted: true,
    isLeaderReady: true,
    leader: voters.find(({ brokerId }) => brokerId === leader) ?? null,
  };
  return nextVoters(image, view, { votersMax, isGone: (id) => gone.includes(id) });
}

function cluster(
  count: number,
  patches: Readonly<Record<number, Partial<BrokerState>>> = {},
): MetadataImage {
  return imageOf(Array.from({ length: count }, (_, id) => brokerState(id, patches[id])));
}

describe('nextVoters()', () => {
  test.each<{
    title: string;
    image: MetadataImage;
    voters: readonly number[];
    options?: object;
    after: readonly number[] | null;
  }>([
    { title: 'grows from one to three', image: cluster(3), voters: [0], after: [0, 1] },
    {
      title: 'goes on to the third, on a rack of its own',
      image: cluster(4, { 2: { rack: 'rack-1' }, 3: { rack: 'rack-2' } }),
      voters: [0, 1],
      after: [0, 1, 3],
    },
    { title: 'does not grow to two', image: cluster(2), voters: [0], after: null },
    {
      title: 'grows to five where that is allowed',
      image: cluster(5),
      voters: [0, 1, 2],
      options: { votersMax: 5 },
      after: [0, 1, 2, 3],
    },
    {
      title: 'takes a dead voter out before its successor joins',
      image: cluster(4, { 2: { fenced: true } }),
      voters: [0, 1, 2],
      options: { gone: [2] },
      after: [0, 1],
    },
    {
      title: 'keeps a dead voter that nobody can replace',
      image: cluster(3, { 2: { fenced: true } }),
      voters: [0, 1, 2],
      options: { gone: [2] },
      after: null,
    },
    {
      title: 'waits for one that was just fenced',
      image: cluster(4, { 2: { fenced: true } }),
      voters: [0, 1, 2],
      after: null,
    },
    {
      title: 'lets a successor join before a standing cordoned voter leaves',
      image: cluster(4, { 2: { cordoned: true } }),
      voters: [0, 1, 2],
      after: [0, 1, 2, 3],
    },
    {
      title: 'then lets the cordoned one leave',
      image: cluster(4, { 2: { cordoned: true } }),
      voters: [0, 1, 2, 3],
      after: [0, 1, 3],
    },
    {
      title: 'shrinks when brokers leave for good',
      image: cluster(3, { 2: { cordoned: true } }),
      voters: [0, 1, 2],
      after: [0, 1],
    },
    { title: 'shrinks to one rather than two', image: cluster(2), voters: [0, 1], after: [0] },
    {
      title: 'keeps the leader where another is as good to go',
      image: cluster(3, { 0: { rack: 'rack-1' } }),
      voters: [0, 1, 2],
      options: { votersMax: 1 },
      after: [0, 2],
    },
    {
      title: 'lets a successor join before a cordoned leader leaves',
      image: cluster(4, { 0: { cordoned: true } }),
      voters: [0, 1, 2],
      after: [0, 1, 2, 3],
    },
    {
      title: 'then lets the cordoned leader leave, rather than one that stays',
      image: cluster(4, { 0: { cordoned: true } }),
      voters: [0, 1, 2, 3],
      after: [1, 2, 3],
    },
    {
      title: 'lets a cordoned leader leave last of those that go',
      image: cluster(5, { 0: { cordoned: true }, 1: { cordoned: true } }),
      voters: [0, 1, 2, 3, 4],
      options: { votersMax: 5 },
      after: [0, 2, 3, 4],
    },
    {
      title: 'gives a sole voter that is cordoned a successor',
      image: cluster(2, { 0: { cordoned: true } }),
      voters: [0],
      after: [0, 1],
    },
    {
      title: 'then leaves the group to it',
      image: cluster(2, { 0: { cordoned: true } }),
      voters: [0, 1],
      after: [1],
    },
    {
      title: 'mends the spread over racks through one more voter',
      image: cluster(4, { 1: { rack: 'rack-0' } }),
      voters: [0, 1, 3],
      after: [0, 1, 3, 2],
    },
    {
      title: 'does not swing for a spread that is no better',
      image: cluster(4),
      voters: [0, 1, 2],
      after: null,
    },
    {
      title: 'does not leave fewer standing than a majority',
      image: cluster(4, { 1: { fenced: true }, 2: { fenced: true } }),
      voters: [0, 1, 2],
      options: { gone: [1, 2] },
      after: null,
    },
  ])('$title', ({ image, voters, options = {}, after }) => {
    expect(
      next(
        image,
        voters.map((id) => voter(id)),
        options,
      )?.map(({ brokerId }) => brokerId) ?? null,
    ).toEqual(after);
  });

  test('takes the old directory of a broker out before the new one joins', () => {
    const image = cluster(3);
    const voters = [voter(0), voter(1), voter(2, 'old')];
    const first = next(image, voters);
    expect(first).toEqual([voter(0), voter(1)]);
    expect(next(image, first ?? [])).toEqual([voter(0), voter(1), voter(2)]);
  });

  test('changes one member at a time, keeps a standing majority and comes to rest, from 3000 random states', () => {
    for (let seed = 1; seed <= 3000; seed += 1) {
      const random = new Random(seed);
      const count = 1 + random.below(8);
      const votersMax = random.pick([1, 3, 5]);
      const patchOf = (): Partial<BrokerState> => ({
        fenced: random.chance(0.25),
        cordoned: random.chance(0.2),
        stopping: random.chance(0.1),
        rack: `r${String(random.below(3))}`,
      });
      const image = imageOf(
        Array.from({ length: count }, (_, id) => brokerState(id, patchOf())).filter(() =>
          random.chance(0.9),
        ),
      );
      const gone = [...image.brokers.keys()].filter(
        (id) => image.brokers.get(id)?.fenced === true && random.chance(0.7),
      );
      let voters = Array.from({ length: count }, (_, id) =>
        random.chance(0.1) ? voter(id, 'old') : voter(id),
      ).filter(() => random.chance(0.6));
      const isStanding = ({ brokerId, directoryId }: VoterId): boolean =>
        image.brokers.get(brokerId)?.directoryId === directoryId &&
        image.brokers.get(brokerId)?.fenced === false;
      let leader = voters.find(isStanding)?.brokerId ?? -1;
      let steps = 0;
      for (
        let after = next(image, voters, { leader, gone, votersMax });
        after !== null;
        after = next(image, voters, { leader, gone, votersMax })
      ) {
        const removed = voters.filter((one) => !after?.includes(one));
        const added = after.filter((one) => !voters.includes(one));
        expect(removed.length + added.length).toBe(1);
        expect(new Set(after.map(({ brokerId }) => brokerId)).size).toBe(after.length);
        if (removed.some(({ brokerId }) => brokerId === leader)) {
          expect(image.brokers.get(leader)?.cordoned).toBe(true);
          leader = after.find(isStanding)?.brokerId ?? -1;
        }
        const standing = after.filter(isStanding).length;
        if (removed.length > 0) expect(standing * 2).toBeGreaterThan(after.length);
        expect(added.every(isStanding)).toBe(true);
        voters = [...after];
        steps += 1;
        expect(steps, `seed ${String(seed)} must come to rest`).toBeLessThanOrEqual(3 * count);
      }
      const brokers = [...image.brokers.values()];
      const isWhole =
        brokers.every((broker) => !broker.fenced && !broker.stopping) &&
        voters.every(isStanding) &&
        voters.length > 0;
      const staying = brokers.filter((broker) => !broker.cordoned);
      if (!isWhole || staying.length === 0) continue;
      expect(voters.length).toBe(votersWanted(staying.length, votersMax));
      expect(voters.filter((one) => image.brokers.get(one.brokerId)?.cordoned)).toEqual([]);
    }
  });
});
