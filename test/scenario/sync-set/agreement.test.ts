/**
 * Leader and controller judge the same row by the same rules: what the one proposes, the other
 * accepts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_BROKER } from '../../../base/units.ts';
import { alterSyncSet } from '../../../broker/metadata/controller/sync-set.ts';
import { rowFault, settle, viewOf } from '../../../broker/metadata/leader-election.ts';
import type { PartitionState } from '../../../broker/metadata/types.ts';
import { SyncSetChanges } from '../../../broker/replication/sync-set.ts';
import type { MemberView } from '../../../broker/replication/sync-set.ts';
import { assignmentOf } from '../../../broker/runtime/partitions/assignment.ts';
import {
  brokerState,
  imageOf,
  partitionState,
  topicState,
} from '../../unit/broker/metadata/fixtures.ts';

const BROKERS = [0, 1, 2, 3, 4];
const LAG_MS_MAX = 1_000;

const subset = (of: readonly number[]): fc.Arbitrary<number[]> => fc.subarray([...of]);

/** Rows of any shape that the invariants of a row allow, a reassignment under way or not. */
const rows = fc
  .record({
    replicas: fc.subarray([...BROKERS], { minLength: 1 }),
    outside: subset(BROKERS),
    suspected: subset(BROKERS),
    leaves: subset(BROKERS),
    addingCount: fc.nat(2),
    quorumLess: fc.nat(2),
    leaderAt: fc.nat(4),
    successorAt: fc.nat(4),
  })
  .map(({ replicas, outside, suspected, leaves, ...pick }): PartitionState => {
    const inside = replicas.filter((id) => !outside.includes(id));
    const syncSet = inside.length === 0 ? replicas : inside;
    const leader = syncSet[pick.leaderAt % syncSet.length] ?? NO_BROKER;
    const suspects = syncSet.filter((id) => id !== leader && suspected.includes(id));
    const successors = syncSet.filter((id) => id !== leader && !suspects.includes(id));
    const adding = replicas.slice(replicas.length - Math.min(pick.addingCount, replicas.length));
    const target = replicas.filter((id) => adding.includes(id) || !leaves.includes(id));
    const removing = replicas.filter((id) => !target.includes(id));
    const isMoving = target.length > 0 && adding.length + removing.length > 0;
    return partitionState({
      replicas,
      syncSet,
      suspects,
      leader,
      quorum: Math.max(1, syncSet.length - pick.quorumLess),
      successor: successors[pick.successorAt] ?? NO_BROKER,
      ...(isMoving ? { adding, removing, target } : {}),
    });
  });

const situations = fc.record({
  row: rows,
  mode: fc.constantFrom('in-sync' as const, 'quorum' as const),
  min: fc.integer({ min: 1, max: 3 }),
  fenced: subset(BROKERS),
  stopping: subset(BROKERS),
  certified: subset(BROKERS),
  lagging: subset(BROKERS),
  lossy: subset(BROKERS),
});

describe('A leader and its controller', () => {
  it('agree on every change that is due', () => {
    const proposed = new Set<string>();
    fc.assert(
      fc.property(situations, ({ row, mode, min, fenced, stopping, ...seen }) => {
        expect(rowFault(row)).toBe(null);
        const brokers = BROKERS.map((id) =>
          brokerState(id, { fenced: fenced.includes(id), stopping: stopping.includes(id) }),
        );
        const config = { commitMode: mode, minInSyncReplicas: min };
        const byId = new Map(brokers.map((broker) => [broker.brokerId, broker]));
        const view = viewOf(byId, () => false);
        // The controller settles every row whose brokers come and go.
        const state = settle(row, min, view);
        if (state.leader === NO_BROKER) return;
        const image = imageOf(brokers, [topicState([state], config)]);
        const assignment = assignmentOf(byId, topicState([state], config), state);
        const certificate = (member: number): number | null =>
          seen.certified.includes(member) && !fenced.includes(member) ? member + 1 : null;
        const members: MemberView = {
          certificate,
          lagMs: (member) => (seen.lagging.includes(member) ? LAG_MS_MAX : 0),
          isLossy: (member) => seen.lossy.includes(member),
          drainedFor: () =>
            state.successor !== NO_BROKER && certificate(state.successor) !== null
              ? state.successor
              : null,
        };
        const changes = new SyncSetChanges(
          { self: state.leader, lagMsMax: LAG_MS_MAX, nowMs: 0 },
          assignment,
        );
        const proposal = changes.propose(members, 0);
        if (proposal === null) return;
        proposed.add(proposal.change.op);
        const { leaderEpoch, partitionEpoch, change } = proposal;
        const next = alterSyncSet(image, view, {
          kind: 'alter-sync-set',
          brokerId: state.leader,
          brokerEpoch: state.leader + 1,
          topicId: 't',
          partition: 0,
          leaderEpoch,
          partitionEpoch,
          change,
        });
        expect(next.partitionEpoch).toBe(state.partitionEpoch + 1);
      }),
      { seed: 11, numRuns: 5_000 },
    );
    expect([...proposed].toSorted()).toEqual([
      'add',
      'distrust',
      'hand-over',
      'raise',
      'remove',
      'trust',
    ]);
  });
});
