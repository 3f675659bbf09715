import { describe, expect, test } from 'vitest';
import { checkDisruption } from '../../../../broker/metadata/safety.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

/** Every subset of a list. */
function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((sets, item) => [...sets, ...sets.map((set) => [...set, item])], [[]]);
}

const IDS = [0, 1, 2, 3];

describe('checkDisruption()', () => {
  test('agrees with a count by hand on every small in-sync partition', () => {
    let blocked = 0;
    for (const syncSet of subsets(IDS).filter((set) => set.length > 0)) {
      for (const suspects of subsets(syncSet)) {
        for (const fenced of subsets(IDS)) {
          for (const stopped of subsets(IDS).filter((set) => set.some((id) => syncSet.includes(id)))) {
            for (const min of [1, 2, 3].filter((value) => value <= syncSet.length)) {
              const counted = syncSet.filter((id) => !suspects.includes(id) && !fenced.includes(id));
              const row = partitionState({ replicas: IDS, syncSet, suspects, leader: counted[0] ?? -1 });
              const image = imageOf(IDS.map((id) => brokerState(id, { fenced: fenced.includes(id) })), [topicState([row], { minInSyncReplicas: min })]);
              const [verdict] = checkDisruption(image, stopped, []).partitions;
              const left = counted.filter((id) => !stopped.includes(id)).length;
              // All that are not there must leave S, or HW stands still: q may fall to min, and one trusted member must stay.
              const there = syncSet.filter((id) => !fenced.includes(id) && !stopped.includes(id)).length;
              const isBlocked = left < min || there < min;
              expect([verdict?.blocksWrites, verdict?.losesLastCopy]).toEqual([isBlocked, left === 0]);
              if (isBlocked) blocked += 1;
            }
          }
        }
      }
    }
    expect(blocked).toBeGreaterThan(1000);
  });

  test('counts logs that an election needs in quorum mode', () => {
    const row = partitionState({ quorum: 2 });
    const image = imageOf([0, 1, 2].map((id) => brokerState(id)), [topicState([row], { minInSyncReplicas: 2, commitMode: 'quorum' })]);
    expect(checkDisruption(image, [0], [0, 1, 2])).toMatchObject({ isSafe: true });
    expect(checkDisruption(image, [0, 1], [2]).partitions).toEqual([
      {
        topicId: 't',
        topic: 't',
        partition: 0,
        blocksWrites: true,
        losesLastCopy: true,
        reasons: [
          '1 trusted unfenced members of S would be left, minInSyncReplicas is 2',
          '1 members of S would be left to acknowledge, q would be 2',
          '1 trusted unfenced members of S would be left, an election needs 2',
          '1 trusted unfenced logs would be left, 2 are needed to know what is committed',
        ],
      },
    ]);
  });

  test('says when the metadata quorum would go, for every set of voters', () => {
    for (const voters of subsets(IDS)) {
      for (const fenced of subsets(IDS)) {
        for (const stopped of subsets(IDS)) {
          const image = imageOf(IDS.map((id) => brokerState(id, { fenced: fenced.includes(id) })));
          const left = voters.filter((id) => !stopped.includes(id) && !fenced.includes(id)).length;
          const expected = left * 2 <= voters.length && voters.some((id) => stopped.includes(id));
          expect(checkDisruption(image, stopped, voters).quorum.losesQuorum).toBe(expected);
        }
      }
    }
  });
});
