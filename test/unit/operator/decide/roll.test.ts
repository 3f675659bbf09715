import { expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import { jointSets } from '../../../../operator/decide/roll.ts';
import type { Observation } from '../../../../operator/decide/types.ts';
import {
  broker,
  CLUSTER_ID,
  HASH,
  NOW_MS,
  observation,
  OLD_HASH,
  pod,
  safe,
} from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

/** Of brokers 1 and 3, 1 was restarted; then the operator died. */
function halfRolled(standing: readonly number[], verdicts: Observation['verdicts']): Observation {
  const brokerIds = [1, ...standing];
  return observation({
    replicas: 5,
    spec: { rollout: { maxUnavailable: 3 } },
    status: {
      clusterId: CLUSTER_ID,
      minInSyncReplicas: 2,
      disruption: {
        kind: 'Roll',
        brokerIds,
        podUids: ['earlier', ...standing.map((id) => `pod-${id}`)],
        brokerEpochs: brokerIds.map((id) => 10 + id),
        templateHash: HASH,
        startedAt: '2026-11-23T11:59:00Z',
        phase: 'stop',
      },
    },
    change: ({ pods, metadata }) => ({
      pods: pods.map((each) =>
        standing.includes(each.brokerId) ? pod(each.brokerId, { templateHash: OLD_HASH }) : each,
      ),
      metadata: {
        ...metadata!,
        brokers: metadata!.brokers.map((each) =>
          broker(each.brokerId, { isStopping: each.brokerId === 3 }),
        ),
      },
      verdicts,
    }),
  });
}

test('a set of which some were restarted goes on with those that still stand, and asks about them alone', () => {
  const actions = actionsOf(
    decide(
      halfRolled(
        [3],
        [0, 1, 2, 3, 4].map((id) => safe(id)),
      ),
      NOW_MS,
    ),
  );
  expect(actions.filter(({ kind }) => !['write-status', 'apply-budget'].includes(kind))).toEqual([
    { kind: 'check-safe', brokerIds: [3] },
    { kind: 'prepare-stop', brokerId: 3, brokerEpoch: 13 },
    { kind: 'delete-pod', brokerId: 3, name: 'tm-3', uid: 'pod-3' },
  ]);
});

test('jointSets() names what is left standing of a set', () => {
  expect(jointSets(halfRolled([3, 4], []))).toContainEqual([3, 4]);
  expect(jointSets(halfRolled([3], []))).toEqual([]);
});

test('a restart that was written down for a pod which was gone already is over', () => {
  const seen = halfRolled(
    [],
    [0, 1, 2, 3, 4].map((id) => safe(id)),
  );
  const actions = actionsOf(
    decide(
      {
        ...seen,
        metadata: { ...seen.metadata!, brokers: [0, 1, 2, 3, 4].map((id) => broker(id)) },
      },
      NOW_MS,
    ),
  );
  const [written] = actions.flatMap((action) =>
    action.kind === 'write-status' ? [action.status] : [],
  );
  expect(written).toBeDefined();
  expect(written?.disruption).toBeUndefined();
});
