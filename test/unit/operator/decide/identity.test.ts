import { describe, expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import { wantedClusterId } from '../../../../operator/decide/identity.ts';
import type { Observation, Plan } from '../../../../operator/decide/types.ts';
import {
  answer,
  claim,
  cluster,
  CLUSTER_ID,
  NOW_MS,
  observation,
  pod,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const KEPT = '99999999-2222-4333-8444-555555555555';
const OTHER = '88888888-2222-4333-8444-555555555555';

describe('wantedClusterId()', () => {
  test.each([
    ['that of the spec', { spec: { clusterId: OTHER } }, [KEPT], OTHER],
    ['that of the status', { status: { clusterId: OTHER } }, [KEPT], OTHER],
    ['the one of which volumes were kept', { status: {} }, [KEPT, null, KEPT], KEPT],
    ['its own where kept volumes disagree', { status: {} }, [KEPT, OTHER], CLUSTER_ID],
    ['its own where none was kept', { status: {} }, [null], CLUSTER_ID],
  ])('is %s', (_, situation: Situation, kept, wanted) => {
    expect(wantedClusterId(cluster(situation), kept)).toBe(wanted);
  });
});

/** Applied again: no object is there but claims. */
const appliedAgain = (
  claims: Observation['claims'],
  { spec = {}, ...more }: Situation = {},
  change: Partial<Observation> = {},
): Situation => ({
  ...more,
  spec,
  status: {},
  change: () => ({
    clusterId: KEPT,
    workload: null,
    pods: [],
    answers: [],
    metadata: null,
    verdicts: [],
    claims,
    ...change,
  }),
});
const kept = [0, 1, 2].map((id) => claim(id, { clusterId: KEPT }));

function planFor(situation: Situation): Plan {
  return decide(observation(situation), NOW_MS);
}

function readyOf(plan: Plan): string {
  const written = actionsOf(plan).find((action) => action.kind === 'write-status');
  const { status, reason, message } = written!.status.conditions![0]!;
  return `${status} ${reason}: ${message}`;
}

const workloads = (plan: Plan) => actionsOf(plan).filter(({ kind }) => kind === 'apply-workload');

describe('decide on kept volumes', () => {
  test('takes their cluster over', () => {
    const plan = planFor(appliedAgain(kept));
    expect(workloads(plan)).toEqual([
      { kind: 'apply-workload', replicas: 3, resourceVersion: null },
    ]);
  });

  test('tells so once, when a broker has said that it is there', () => {
    const found = ({ answers, metadata }: Observation): Partial<Observation> => ({
      clusterId: KEPT,
      claims: kept,
      answers: answers.map((each) => ({ ...each, clusterId: KEPT })),
      metadata: { ...metadata!, clusterId: KEPT },
    });
    const first = planFor({ status: {}, change: found });
    expect(first.events.map(({ note }) => note)).toEqual([
      `Took over cluster ${KEPT} with the volumes that were kept of it`,
    ]);
    const status = { clusterId: KEPT, minInSyncReplicas: 2 };
    expect(planFor({ status, change: found }).events).toEqual([]);
  });

  test('runs all its brokers, though fewer are wanted', () => {
    const five = [0, 1, 2, 3, 4].map((id) => claim(id, { clusterId: KEPT }));
    expect(workloads(planFor(appliedAgain(five)))).toMatchObject([{ replicas: 5 }]);
  });

  test('makes no broker where they are of different clusters', () => {
    const mixed = [claim(0, { clusterId: KEPT }), claim(1, { clusterId: OTHER })];
    const plan = planFor(appliedAgain(mixed));
    expect(workloads(plan)).toEqual([]);
    expect(readyOf(plan)).toBe(
      `False ForeignVolume: claim data-tm-1 holds records of cluster ${OTHER}, must be of ${KEPT}: delete the claims of the cluster that is not wanted, or make the LogCluster anew with spec.clusterId ${OTHER}`,
    );
  });

  test('forms nothing on volumes that are marked and empty', () => {
    const ids = [0, 1, 2];
    const plan = planFor({
      status: {},
      change: () => ({
        clusterId: KEPT,
        claims: kept,
        pods: ids.map((id) => pod(id)),
        answers: ids.map((id) => answer(id, { clusterId: '' })),
        metadata: null,
        verdicts: [],
      }),
    });
    expect(actionsOf(plan).filter(({ kind }) => kind === 'bootstrap')).toEqual([]);
    expect(readyOf(plan)).toMatch(/^False VolumesEmpty: cluster 99999999-/);
  });

  test('says why a broker does not start', () => {
    const stuck = 'CrashLoopBackOff: the data directory is of cluster A, not B';
    const plan = planFor({
      status: {},
      change: ({ pods: [a, b], answers: [x, y] }) => ({
        claims: [],
        pods: [a!, b!, pod(2, { isReady: false, stuck })],
        answers: [x!, y!, answer(2)].map(({ brokerId }) =>
          answer(brokerId, { clusterId: null, fault: 'refused' }),
        ),
        metadata: null,
        verdicts: [],
      }),
    });
    expect(readyOf(plan)).toContain('the cluster is not formed yet: waiting for every broker');
  });

  test('marks the volume of each broker that says whose records it has', () => {
    const unmarked = [0, 1, 2].map((id) => claim(id, { clusterId: null }));
    const plan = planFor({
      change: () => ({
        claims: unmarked,
        answers: [answer(0), answer(1, { clusterId: '' }), answer(2, { clusterId: null })],
      }),
    });
    expect(actionsOf(plan).filter(({ kind }) => kind === 'mark-claim')).toEqual([
      { kind: 'mark-claim', name: 'data-tm-0', clusterId: CLUSTER_ID },
    ]);
  });

  test('gives the claims of its own brokers what the spec adds, and no other', () => {
    const bare = { isLabelled: false };
    const plan = planFor({
      change: () => ({
        claims: [
          claim(0, bare),
          claim(1, { ...bare, clusterId: OTHER }),
          claim(2, { ...bare, isTerminating: true }),
          claim(5, bare),
        ],
      }),
    });
    expect(actionsOf(plan).filter(({ kind }) => kind === 'label-claim')).toEqual([
      { kind: 'label-claim', name: 'data-tm-0', uid: 'claim-0' },
    ]);
  });

  test('keeps a volume of another cluster when brokers are added', () => {
    const foreign = [
      ...kept.map((each) => ({ ...each, clusterId: CLUSTER_ID })),
      claim(3, { clusterId: OTHER }),
    ];
    const plan = planFor({ spec: { replicas: 4 }, change: () => ({ claims: foreign }) });
    expect(actionsOf(plan).filter(({ kind }) => kind === 'delete-claim')).toEqual([]);
  });
});
