/** Logs that an election reads, and which of them it does not go by. */
import { describe, expect, it } from 'vitest';
import type { ControllerInput } from '../../../../../../broker/metadata/controller-types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../../fixtures.ts';
import { Bench } from '../bench.ts';

type Log = NonNullable<Extract<ControllerInput, { kind: 'inspected' }>['log']>;

const WHOLE: Log = {
  lastEpoch: 1,
  endOffset: 10,
  highWaterMark: 8,
  start: { offset: 4, epoch: 1, retiredTo: 4 },
};

/** A quorum of two of three; the leader, broker 0, is dead, and both others are asked. */
function election(): Bench {
  const world = new Bench(
    imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [topicState([partitionState({ quorum: 2 })], { commitMode: 'quorum', minInSyncReplicas: 1 })],
    ),
  );
  world.step({ kind: 'disconnected', brokerId: 0 });
  world.step({ kind: 'probed', brokerId: 0, brokerEpoch: 1, result: 'refused' });
  world.commit();
  return world;
}

function inspected(world: Bench, brokerId: number, log: Log): void {
  const leaderEpoch = world.row()?.leaderEpoch ?? 0;
  const place = { topicId: 't', partition: 0, leaderEpoch };
  world.step({ kind: 'inspected', ...place, brokerId, brokerEpoch: brokerId + 1, log });
}

describe('An election that reads logs', () => {
  it('takes the best of them', () => {
    const world = election();
    inspected(world, 1, WHOLE);
    inspected(world, 2, { ...WHOLE, endOffset: 11 });
    world.commit();

    expect(world.row()).toMatchObject({ leader: 2, suspects: [] });
  });

  const NONSENSE = [-1, 0.5, NaN, Infinity, Number.MAX_SAFE_INTEGER];
  const fields: readonly (readonly [string, (value: number) => Log])[] = [
    ['last epoch', (lastEpoch) => ({ ...WHOLE, lastEpoch })],
    ['end', (endOffset) => ({ ...WHOLE, endOffset })],
    ['high-water mark', (highWaterMark) => ({ ...WHOLE, highWaterMark })],
    ['start', (offset) => ({ ...WHOLE, start: { ...WHOLE.start!, offset } })],
    ['retention', (retiredTo) => ({ ...WHOLE, start: { ...WHOLE.start!, retiredTo } })],
  ];
  it.each(fields)('goes by no log whose %s is nonsense', (_, logWith) => {
    for (const value of NONSENSE) {
      const world = election();
      inspected(world, 2, WHOLE);
      inspected(world, 1, logWith(value));
      const [fact] = world.last.facts;
      world.commit();

      expect([value, fact?.[0], world.row()?.leader]).toEqual([value, 'inspection-refused', -1]);
      inspected(world, 1, WHOLE);
      world.commit();
      expect(world.row()?.leader).toBe(1);
    }
  });

  it.each([
    { name: 'of the epoch at which it is sealed', log: { ...WHOLE, lastEpoch: 2 } },
    { name: 'committed above its end', log: { ...WHOLE, highWaterMark: 11 } },
    { name: 'that ends below its start', log: { ...WHOLE, endOffset: 3, highWaterMark: 3 } },
    {
      name: 'retired above its start',
      log: { ...WHOLE, start: { offset: 4, epoch: 1, retiredTo: 5 } },
    },
  ])('goes by no log $name', ({ log }) => {
    const world = election();
    inspected(world, 2, WHOLE);
    inspected(world, 1, log);
    world.commit();

    expect(world.row()?.leader).toBe(-1);
  });

  it('distrusts a log that has lost its beginning, however it ends', () => {
    const world = election();
    inspected(world, 2, WHOLE);
    inspected(world, 1, { ...WHOLE, endOffset: 20, start: { offset: 4, epoch: 0, retiredTo: 1 } });
    world.commit();

    expect(world.row()?.leader).not.toBe(1);
    const { syncSet, suspects } = world.row()!;
    expect(!syncSet.includes(1) || suspects.includes(1)).toBe(true);
  });
});
