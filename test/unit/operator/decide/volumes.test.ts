import { describe, expect, test } from 'vitest';
import type { Condition, Disruption, LogClusterStatus } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Action, Observation, Plan } from '../../../../operator/decide/types.ts';
import {
  CLUSTER_ID,
  HASH,
  NOW_MS,
  answer,
  broker,
  claim,
  observation,
  partition,
  pod,
  safe,
  topic,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

function planFor(situation: Situation): Plan {
  return decide(observation(situation), NOW_MS);
}

function statusOf(plan: Plan): LogClusterStatus {
  const written = actionsOf(plan).find((action) => action.kind === 'write-status');
  return written?.status ?? {};
}

function deeds(plan: Plan): Action[] {
  return actionsOf(plan).filter(
    ({ kind }) => !kind.startsWith('write-') && kind !== 'apply-budget',
  );
}

function condition(plan: Plan, type: Condition['type']): string {
  const { status, reason, message } = statusOf(plan).conditions!.find(
    (each) => each.type === type,
  )!;
  return `${status} ${reason}: ${message}`;
}

const ledger = (change: Partial<Disruption> = {}): LogClusterStatus => ({
  clusterId: CLUSTER_ID,
  minInSyncReplicas: 2,
  disruption: {
    kind: 'Roll',
    brokerIds: [1],
    podUids: ['pod-1'],
    brokerEpochs: [11],
    templateHash: HASH,
    startedAt: '2026-11-23T11:59:00Z',
    phase: 'stop',
    ...change,
  },
});

describe('decide on volumes', () => {
  test('lets them grow in place', () => {
    const plan = planFor({ spec: { storage: { size: '20Gi' } } });
    expect(deeds(plan)).toEqual(
      [0, 1, 2].map((id) => ({ kind: 'grow-claim', name: `data-tm-${id}`, size: '20Gi' })),
    );
  });

  test('reports a full one', () => {
    const plan = planFor({
      change: ({ answers: [a, b] }) => ({ answers: [a!, b!, answer(2, { freeBytes: 0 })] }),
    });
    expect(condition(plan, 'Degraded')).toBe(
      'True VolumeFault: the volume of broker 2 is full: no records are taken there until retention frees room or spec.storage.size, 10Gi, is raised',
    );
    expect(condition(plan, 'Available')).toMatch(/^True /);
  });

  test('reports several full ones in one sentence', () => {
    const plan = planFor({
      change: () => ({ answers: [0, 1, 2].map((id) => answer(id, { freeBytes: 4_096 })) }),
    });
    expect(condition(plan, 'Degraded')).toMatch(
      /^True VolumeFault: the volumes of brokers 0, 1, 2 are full: no records are taken there/,
    );
  });

  test('says that appends are refused where a leader is on a full one', () => {
    const plan = planFor({
      change: ({ answers: [, b, c] }) => ({ answers: [answer(0, { freeBytes: -5 }), b!, c!] }),
    });
    expect(condition(plan, 'Available')).toBe(
      'False AppendsRefused: 1 partition without a leader, below the minimum in sync or on a full volume: orders/0',
    );
  });

  const GIB = 1_073_741_824;
  const sized = (requested: number, capacity: number, growthRefusal: string | null = null) =>
    [0, 1, 2].map((id) =>
      claim(id, {
        requestedBytes: requested * GIB,
        capacityBytes: capacity * GIB,
        growthRefusal: id === 0 ? growthRefusal : null,
      }),
    );

  test('waits until they have grown', () => {
    const plan = planFor({
      spec: { storage: { size: '20Gi' } },
      change: () => ({ claims: sized(20, 10) }),
    });
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Ready')).toBe(
      'False Changing: growing volumes to 20Gi: waiting for 3 volumes to have 20Gi: data-tm-0, data-tm-1, data-tm-2',
    );
  });

  test('is ready where they are larger than was asked for', () => {
    const plan = planFor({
      spec: { storage: { size: '20Gi' } },
      change: () => ({ claims: sized(20, 30) }),
    });
    expect(condition(plan, 'Ready')).toMatch(/^True /);
  });

  test('says why they cannot grow, and does everything else', () => {
    const plan = planFor({
      spec: { storage: { size: '20Gi' } },
      change: ({ budget }) => ({
        claims: sized(10, 10, 'only some classes may'),
        budget: { ...budget!, maxUnavailable: 0 },
      }),
    });
    expect(actionsOf(plan).map(({ kind }) => kind)).toEqual(['apply-budget', 'write-status']);
    expect(condition(plan, 'Ready')).toBe(
      'False GrowthRefused: claim data-tm-0 cannot grow to 20Gi: only some classes may',
    );
    expect(condition(plan, 'Degraded')).toMatch(/^False /);
  });

  const GONE = { forMs: 120_000, sightings: 3 };
  const lost = (
    { metadata, pods: [a, b], answers: [x, y] }: Observation,
    isFenced = true,
  ): Partial<Observation> => ({
    pods: [a!, b!, pod(2, { node: null, isReady: false, stuck: 'Unschedulable: no node fits' })],
    claims: [claim(0), claim(1), claim(2, { node: 'h2', missing: GONE })],
    answers: [x!, y!, answer(2, { fault: 'its pod has no address yet' })],
    metadata: { ...metadata!, brokers: [broker(0), broker(1), broker(2, { isFenced })] },
  });
  const replacing = ledger({
    kind: 'ReplaceVolume',
    brokerIds: [2],
    podUids: ['pod-2'],
    brokerEpochs: [12],
    phase: 'delete',
  });

  test('gives one up with its node, in the ledger first', () => {
    const plan = planFor({ change: lost });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).disruption).toMatchObject({ kind: 'ReplaceVolume', brokerIds: [2] });
    expect(deeds(planFor({ status: replacing, change: lost }))).toEqual([
      { kind: 'keep-volume', name: 'pv-2' },
      { kind: 'delete-claim', name: 'data-tm-2', uid: 'claim-2' },
      { kind: 'delete-pod', brokerId: 2, name: 'tm-2', uid: 'pod-2' },
    ]);
  });

  const missing = (missing: typeof GONE | null) => (healthy: Observation) => ({
    ...lost(healthy),
    claims: [claim(0), claim(1), claim(2, { node: 'h2', missing })],
  });
  test.each([
    [
      'the broker is not fenced',
      { change: (healthy: Observation) => lost(healthy, false) },
      'fence',
    ],
    ['it is missing for a moment', { change: missing({ ...GONE, forMs: 119_999 }) }, '120 s'],
    ['it was missed in few looks', { change: missing({ ...GONE, sightings: 2 }) }, '120 s'],
    ['the node is there', { change: missing(null) }, undefined],
  ])('keeps it while %s', (_, situation, waitingFor) => {
    const { disruption, waitingFor: words } = statusOf(planFor(situation));
    expect(disruption).toBeUndefined();
    if (waitingFor !== undefined) expect(words).toContain(waitingFor);
    expect(deeds(planFor({ status: replacing, ...situation }))).toEqual([]);
  });

  test.each([
    ['one copy', topic('one', [[2]], { minInSyncReplicas: 1 })],
    [
      'copies of which the others are behind',
      { ...topic('one', [[1, 2]]), partitions: [partition(0, [1, 2], { syncSet: [2] })] },
    ],
    [
      'copies of which the others are suspect',
      { ...topic('one', [[1, 2]]), partitions: [partition(0, [1, 2], { suspects: [1] })] },
    ],
  ])('never gives up the last of %s, unless it is named', (_, one) => {
    const topics = [topic('orders', [[0, 1, 2]]), one];
    const verdicts = [safe(0), safe(1), safe(2)];
    const change = (healthy: Observation) => ({ ...lost(healthy), verdicts });
    const kept = planFor({ topics, change });
    expect(statusOf(kept).disruption).toBeUndefined();
    expect(condition(kept, 'Progressing')).toContain(
      'claim data-tm-2 holds the last copy of 1 partition: one/0; annotation tidemark.dev/give-up-volume: data-tm-2 gives it up',
    );
    const annotations = { 'tidemark.dev/give-up-volume': 'data-tm-2' };
    expect(statusOf(planFor({ topics, change, annotations })).disruption).toMatchObject({
      kind: 'ReplaceVolume',
    });
  });
});

describe('decide on volumes that a scale-down kept', () => {
  const kept = [0, 1, 2, 3].map((id) => claim(id));
  test('gives them up before a broker of that number comes back', () => {
    const plan = planFor({ spec: { replicas: 4 }, change: () => ({ claims: kept }) });
    expect(deeds(plan)).toEqual([{ kind: 'delete-claim', name: 'data-tm-3', uid: 'claim-3' }]);
  });

  test('adds the pod once they are gone', () => {
    const going = planFor({
      spec: { replicas: 4 },
      change: () => ({ claims: [...kept.slice(0, 3), claim(3, { isTerminating: true })] }),
    });
    expect(deeds(going)).toEqual([]);
    expect(deeds(planFor({ spec: { replicas: 4 } }))).toEqual([
      { kind: 'apply-workload', replicas: 4, resourceVersion: '7' },
    ]);
  });

  test('keeps that of a broker that is still registered', () => {
    const plan = planFor({
      spec: { replicas: 4 },
      change: ({ metadata }) => ({
        claims: kept,
        metadata: { ...metadata!, brokers: [0, 1, 2, 3].map((id) => broker(id)) },
      }),
    });
    expect(deeds(plan)).toEqual([{ kind: 'apply-workload', replicas: 4, resourceVersion: '7' }]);
  });

  test('waits while nobody says whether it is', () => {
    const plan = planFor({
      spec: { replicas: 4 },
      change: () => ({ claims: kept, metadata: null, verdicts: [] }),
    });
    expect(deeds(plan)).toEqual([]);
  });
});
