import { describe, expect, test } from 'vitest';
import { isVoteLeaving } from '../../../../../../broker/metadata/controller/leadership/stop-requests.ts';
import type { BrokerState } from '../../../../../../broker/metadata/types.ts';
import type { VoterId } from '../../../../../../broker/metadata/voters.ts';
import { brokerState, imageOf } from '../../fixtures.ts';
import { Bench } from '../bench.ts';

const voters = (...ids: readonly number[]): VoterId[] =>
  ids.map((brokerId) => ({ brokerId, directoryId: `directory-${String(brokerId)}` }));

/** Broker 1 is being emptied. */
const EMPTIED = { 1: { cordoned: true } };

function image(brokers: Readonly<Record<number, Partial<BrokerState>>>) {
  return imageOf([0, 1].map((id) => brokerState(id, brokers[id])));
}

describe('isVoteLeaving()', () => {
  test.each<{
    name: string;
    brokers: Readonly<Record<number, Partial<BrokerState>>>;
    among: readonly VoterId[] | null;
    isLeaving: boolean;
  }>([
    { name: 'a voter that is emptied', brokers: EMPTIED, among: voters(1), isLeaving: true },
    { name: 'nobody knows who votes', brokers: EMPTIED, among: null, isLeaving: true },
    { name: 'the vote has left', brokers: EMPTIED, among: voters(0), isLeaving: false },
    { name: 'a voter that comes back', brokers: {}, among: voters(1), isLeaving: false },
    {
      name: 'nobody else is there',
      brokers: { ...EMPTIED, 0: { fenced: true } },
      among: voters(1),
      isLeaving: false,
    },
    {
      name: 'the other one goes too',
      brokers: { ...EMPTIED, 0: { stopping: true } },
      among: voters(1),
      isLeaving: false,
    },
  ])('$name: $isLeaving', ({ brokers, among, isLeaving }) => {
    expect(isVoteLeaving(image(brokers), among, 1)).toBe(isLeaving);
  });
});

describe('Controller: an orderly stop', () => {
  test('of a broker that is emptied waits until its vote has left', () => {
    const world = new Bench(image(EMPTIED));
    const stop = {
      kind: 'heartbeat',
      brokerId: 1,
      brokerEpoch: 2,
      wantsUnfence: false,
      wantsStop: true,
      lossy: false,
    } as const;
    world.step({ kind: 'voters', voters: voters(1) });
    expect(world.ask(stop)).toMatchObject({ mayStop: false, leadersLeft: 0 });
    world.step({ kind: 'voters', voters: voters(0) });
    expect(world.ask(stop)).toMatchObject({ mayStop: true });
  });
});
