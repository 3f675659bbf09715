/**
 * Rule 12 with attempts that arrive late: what was asked for may come into force long after it was
 * answered.
 */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../base/errors.ts';
import type { ControllerRequest } from '../../../broker/metadata/controller-types.ts';
import { LEVEL_OF_CHANGES } from '../../../broker/metadata/features.ts';
import type { PartitionState, TopicConfig } from '../../../broker/metadata/types.ts';
import {
  brokerState,
  imageOf,
  partitionState,
  topicState,
} from '../../unit/broker/metadata/fixtures.ts';
import { Joined } from './joined.ts';

/** Of a leader's change: in a request of its own, or in one for many. */
const WAYS = [
  { kind: 'alter-sync-set', featureLevel: LEVEL_OF_CHANGES - 1 },
  { kind: 'alter-sync-sets', featureLevel: LEVEL_OF_CHANGES },
] as const;

function joined(
  row: Partial<PartitionState>,
  config: Partial<TopicConfig>,
  featureLevel: number,
): Joined {
  const state = partitionState(row);
  const brokers = state.replicas.map((id) => brokerState(id));
  const image = imageOf(brokers, [topicState([state], config)]);
  return new Joined({ ...image, featureLevel }, state.leader);
}

/** What was answered for the only change of an attempt. */
function outcomeOf({ bench }: Joined, request: ControllerRequest | undefined): unknown {
  const answer = request === undefined ? undefined : bench.ask(request);
  if (answer instanceof BrokerError || answer?.kind !== 'alter-sync-sets') return answer;
  return answer.outcomes[0];
}

/** The process of a broker is gone, and the controller has found out. */
function kill({ bench }: Joined, brokerId: number): void {
  const brokerEpoch = bench.image.brokers.get(brokerId)?.brokerEpoch ?? 0;
  bench.step({ kind: 'disconnected', brokerId });
  bench.step({ kind: 'probed', brokerId, brokerEpoch, result: 'refused' });
  bench.commit();
}

function unfence({ bench }: Joined, brokerId: number): void {
  const brokerEpoch = bench.image.brokers.get(brokerId)?.brokerEpoch ?? 0;
  bench.ask({
    kind: 'heartbeat',
    brokerId,
    brokerEpoch,
    wantsUnfence: true,
    wantsStop: false,
    lossy: false,
  });
}

describe.each(WAYS)(
  'A first attempt of $kind that is lost on the way, and a second one that is refused',
  (way) => {
    it('keep an addition in the joint condition until the partition epoch has moved', async () => {
      // Replica 1 stands before replica 2: it is elected when broker 0 dies.
      const row = { replicas: [0, 1, 2], syncSet: [0, 2], leader: 0 };
      const world = joined(row, { minInSyncReplicas: 1 }, way.featureLevel);
      world.fates = ['lost', 'delivered'];
      world.position(2, 1);
      world.position(1, 1);
      await world.pass(0);
      expect(world.attempts).toHaveLength(1);
      kill(world, 1);
      await world.pass(100);
      expect(world.attempts).toHaveLength(2);

      unfence(world, 1);
      world.append();
      world.position(2, 2);
      expect(world.acknowledged).toEqual([]);

      // The first attempt arrives: broker 1 is a member, and what broker 0 dies with is on broker 1
      // or was never acknowledged.
      const [first] = world.attempts;
      if (first !== undefined) world.deliver(first);
      expect(world.bench.row()?.syncSet).toEqual([0, 2, 1]);
      world.assign();
      expect(world.acknowledged).toEqual([]);
      world.position(1, 2);
      expect(world.acknowledged).toEqual([1]);
    });

    it('keep a raise in the joint condition, and let it be cancelled where it can succeed no more', async () => {
      const row = { replicas: [0, 1, 2], syncSet: [0, 1, 2], quorum: 1, leader: 0 };
      const world = joined(row, { minInSyncReplicas: 1, commitMode: 'quorum' }, way.featureLevel);
      world.fates = ['lost', 'delivered'];
      world.position(1, 1);
      await world.pass(0);
      expect(world.attempts.map((request) => request.kind)).toEqual([way.kind]);
      kill(world, 1);
      kill(world, 2);
      await world.pass(100);
      expect(world.attempts).toHaveLength(2);
      world.append();
      expect(world.acknowledged).toEqual([]);

      // The leader hears of the deaths: the raise is hopeless, and a new partition epoch settles
      // it.
      world.assign();
      await world.pass(1_000);
      world.assign();
      expect(world.acknowledged).toEqual([1]);
      const [first] = world.attempts;
      expect(outcomeOf(world, first)).toMatchObject({ code: 'STALE_EPOCH' });
    });
  },
);

describe.each(WAYS)(
  'A controller that knows an earlier registration of a member ($kind)',
  (way) => {
    it('is the one that is behind: its answer settles nothing (rule 11)', async () => {
      const row = { replicas: [0, 1, 2], syncSet: [0, 2], leader: 0 };
      const world = joined(row, { minInSyncReplicas: 1 }, way.featureLevel);
      world.fates = ['lost'];
      world.position(2, 1);
      world.position(1, 1);
      await world.pass(0);
      const [first] = world.attempts;
      const isOwn = first?.kind === 'alter-sync-set' || first?.kind === 'alter-sync-sets';
      const [asked] = !isOwn ? [] : first.kind === 'alter-sync-set' ? [first] : first.changes;
      if (!isOwn || asked?.change.op !== 'add') throw new Error('no addition');
      const { member, memberEpoch } = asked.change;
      const certifiedAs = (epoch: number): ControllerRequest => {
        const change = { op: 'add', member, memberEpoch: epoch } as const;
        return first.kind === 'alter-sync-set'
          ? { ...first, change }
          : { ...first, changes: [{ ...asked, change }] };
      };
      expect(outcomeOf(world, certifiedAs(memberEpoch + 7))).toMatchObject({
        code: 'NOT_CONTROLLER',
      });
      expect(outcomeOf(world, certifiedAs(memberEpoch - 1))).toMatchObject({ code: 'REFUSED' });
    });
  },
);
