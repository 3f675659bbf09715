import { describe, expect, test } from 'vitest';
import { checkDisruption } from '../../../../broker/metadata/safety.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

/** Every subset of a list. */
function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((sets, item) => [...sets, ...sets.map((set) => [...set, item])], [[]]);
}

const IDS = [0, 1, 2, 3];

interface SmallRow {
  readonly syncSet: number[];
  readonly suspects: number[];
  readonly fenced: number[];
  readonly stopped: number[];
  readonly quorum: number;
  readonly min: number;
}

/**
 * Every row over brokers 0 to 2, with every set of them fenced, and every set asked for that
 * touches S.
 */
function smallRows(): SmallRow[] {
  const upTo = (bound: number): number[] => Array.from({ length: bound }, (_, index) => index + 1);
  const sets = subsets([0, 1, 2]);
  return sets
    .filter((syncSet) => syncSet.length > 0)
    .flatMap((syncSet) => subsets(syncSet).map((suspects) => ({ syncSet, suspects })))
    .flatMap((row) => sets.map((fenced) => ({ ...row, fenced })))
    .flatMap((row) =>
      sets
        .filter((set) => set.some((id) => row.syncSet.includes(id)))
        .map((stopped) => ({ ...row, stopped })),
    )
    .flatMap((row) => upTo(row.syncSet.length).map((quorum) => ({ ...row, quorum })))
    .flatMap((row) => upTo(row.quorum).map((min) => ({ ...row, min })));
}

/**
 * By brute force: writes go on if some set of the absent can leave S, one of q with each and never
 * below min, such that enough members are left to count, to acknowledge, and to elect a leader
 * where the present one is gone. The last copy is gone if some set of q members may hold a record
 * that nobody left has.
 */
function model(row: {
  syncSet: number[];
  suspects: number[];
  quorum: number;
  min: number;
  leader: number;
  there: (id: number) => boolean;
}): [boolean, boolean] {
  const { syncSet, suspects, quorum, min, leader, there } = row;
  const trusted = syncSet.filter((id) => there(id) && !suspects.includes(id));
  const absent = syncSet.filter((id) => !there(id));
  const goesOn = subsets(absent).some((left) => {
    const [size, q] = [syncSet.length - left.length, quorum - left.length];
    const isAllowed = left.length === 0 || (q >= min && trusted.length > 0);
    const canElect = there(leader) || trusted.length >= size - q + 1;
    return isAllowed && trusted.length >= min && syncSet.length - absent.length >= q && canElect;
  });
  const holders = subsets(syncSet).filter((set) => set.length === quorum);
  const isLost = holders.some((set) => !set.some((id) => trusted.includes(id)));
  return [!goesOn, isLost];
}

describe('checkDisruption()', () => {
  test('agrees with a count by hand on every small in-sync partition', () => {
    let blocked = 0;
    for (const { syncSet, suspects, fenced, stopped, min } of smallCases()) {
      const counted = syncSet.filter((id) => !suspects.includes(id) && !fenced.includes(id));
      const row = partitionState({ replicas: IDS, syncSet, suspects, leader: counted[0] ?? -1 });
      const image = imageOf(
        IDS.map((id) => brokerState(id, { fenced: fenced.includes(id) })),
        [topicState([row], { minInSyncReplicas: min })],
      );
      const [verdict] = checkDisruption(image, stopped, []).partitions;
      const left = counted.filter((id) => !stopped.includes(id)).length;
      // All that are not there must leave S, or HW stands still: q may fall to min, and one trusted
      // member must stay.
      const there = syncSet.filter((id) => !fenced.includes(id) && !stopped.includes(id)).length;
      const isBlocked = left < min || there < min;
      expect([verdict?.blocksWrites, verdict?.losesLastCopy]).toEqual([isBlocked, left === 0]);
      if (isBlocked) blocked += 1;
    }
    expect(blocked).toBeGreaterThan(1000);
  });

  test('agrees with a model on every small row: any q, any suspects, replicas on the move, cordoned brokers', () => {
    let blocked = 0;
    for (const { syncSet, suspects, fenced, stopped, quorum, min } of smallRows()) {
      const there = (id: number): boolean => !fenced.includes(id) && !stopped.includes(id);
      const leader = syncSet.find((id) => !suspects.includes(id) && !fenced.includes(id)) ?? -1;
      const row = partitionState({
        replicas: [0, 1, 2, 3],
        syncSet,
        suspects,
        quorum,
        leader,
        adding: [3],
        removing: [0],
        target: [1, 2, 3],
      });
      const brokers = IDS.map((id) =>
        brokerState(id, { fenced: fenced.includes(id), cordoned: id === 0 }),
      );
      const image = imageOf(brokers, [
        topicState([row], { minInSyncReplicas: min, commitMode: 'quorum' }),
      ]);
      const [verdict] = checkDisruption(image, stopped, []).partitions;
      expect([verdict?.blocksWrites, verdict?.losesLastCopy]).toEqual(
        model({ syncSet, suspects, quorum, min, leader, there }),
      );
      if (verdict?.blocksWrites === true) blocked += 1;
    }
    expect(blocked).toBeGreaterThan(100);
  });

  test('counts logs that an election needs in quorum mode', () => {
    const row = partitionState({ quorum: 2 });
    const image = imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [topicState([row], { minInSyncReplicas: 2, commitMode: 'quorum' })],
    );
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

/**
 * Every sync set of three brokers with every choice of suspects, fenced and stopped brokers and
 * minimum.
 */
function smallCases() {
  const syncSets = subsets(IDS).filter((set) => set.length > 0);
  const trusted = syncSets.flatMap((syncSet) =>
    subsets(syncSet).map((suspects) => ({ syncSet, suspects })),
  );
  const standing = trusted.flatMap((row) => subsets(IDS).map((fenced) => ({ ...row, fenced })));
  const judged = standing.flatMap((row) =>
    subsets(IDS)
      .filter((set) => set.some((id) => row.syncSet.includes(id)))
      .map((stopped) => ({ ...row, stopped })),
  );
  return judged.flatMap((row) =>
    [1, 2, 3].filter((min) => min <= row.syncSet.length).map((min) => ({ ...row, min })),
  );
}
