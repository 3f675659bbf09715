import { describe, expect, test } from 'vitest';
import type { Condition, Disruption, LogClusterStatus } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Action, Observation, Plan } from '../../../../operator/decide/types.ts';
import {
  answer,
  broker,
  claim,
  CLUSTER_ID,
  harmful,
  HASH,
  logTopic,
  NOW_MS,
  observation,
  OLD_HASH,
  partition,
  pod,
  safe,
  topic,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';
import { actionsOf, eventsOf } from '../../../fixtures/operator/plans.ts';

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

const unformed = (change: Partial<Parameters<typeof answer>[1]> & object): Situation => ({
  status: {},
  topics: [],
  change: () => ({
    metadata: null,
    verdicts: [],
    answers: [0, 1, 2].map((id) => answer(id, { clusterId: '', ...change })),
    claims: [0, 1, 2].map((id) => claim(id, { clusterId: null })),
  }),
});
const outdated =
  (...ids: number[]) =>
  ({ pods }: Observation) => ({
    pods: pods.map((each) =>
      ids.includes(each.brokerId) ? { ...each, templateHash: OLD_HASH } : each,
    ),
  });
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

describe('decide on a cluster at rest', () => {
  test('writes a first status and does nothing else', () => {
    const plan = planFor({});
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan)).toMatchObject({
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      updatedReplicas: 3,
      clusterId: CLUSTER_ID,
      version: '0.1.0',
      racks: ['z1', 'z2', 'z3'],
      durability: 'survives any process crash and the loss of 2 disks; racks span: yes',
      losses: [],
    });
    expect(condition(plan, 'Ready')).toBe('True AsSpecified: the cluster is as the spec wants it');
  });

  test('writes nothing where nothing is new', () => {
    const first = statusOf(planFor({}));
    const plan = decide(observation({ status: first }), NOW_MS + 60_000);
    expect(actionsOf(plan)).toEqual([]);
    expect(eventsOf(plan)).toEqual([]);
    expect(plan).toMatchObject({ blockedBy: null, requeueAfterMs: 5_000 });
  });

  test('does not touch a cluster whose spec is at fault', () => {
    const plan = planFor({
      change: () => ({
        faults: ['replicas is 0, must be a whole number from 1 to 100'],
        workload: null,
      }),
    });
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Ready')).toBe(
      'False InvalidSpec: replicas is 0, must be a whole number from 1 to 100',
    );
  });

  test('does not touch a cluster that is paused', () => {
    const plan = planFor({
      spec: { paused: 'All' },
      change: (healthy) => ({
        ...outdated(0, 1, 2)(healthy),
        services: { isBrokersCurrent: false, isClientsCurrent: false },
      }),
    });
    expect(actionsOf(plan).map(({ kind }) => kind)).toEqual(['write-status']);
    expect(condition(plan, 'ReconciliationPaused')).toBe(
      'True All: spec.paused is All: nothing is changed',
    );
  });

  test('makes nothing anew for a cluster that is being deleted', () => {
    const plan = planFor({
      deletionTimestamp: '2026-11-23T12:00:00Z',
      change: () => ({ workload: null }),
    });
    expect(actionsOf(plan)).toEqual([]);
  });
});

describe('decide on a cluster that is not formed', () => {
  test('makes the objects and waits', () => {
    const plan = planFor({
      status: {},
      topics: [],
      change: () => ({
        workload: null,
        budget: null,
        services: { isBrokersCurrent: false, isClientsCurrent: false },
        pods: [],
        answers: [],
        metadata: null,
        verdicts: [],
      }),
    });
    expect(actionsOf(plan).map(({ kind }) => kind)).toEqual([
      'apply-brokers-service',
      'apply-clients-service',
      'apply-workload',
      'apply-budget',
      'write-status',
    ]);
    expect(actionsOf(plan)[2]).toEqual({
      kind: 'apply-workload',
      replicas: 3,
      resourceVersion: null,
    });
    expect(statusOf(plan).waitingFor).toBe(
      'waiting for every broker to say what its volume holds: 0 of 0 brokers answered',
    );
  });

  test('forms it on the lowest broker once all have empty volumes', () => {
    const plan = planFor(unformed({}));
    expect(deeds(plan)).toEqual([{ kind: 'bootstrap', brokerId: 0, clusterId: CLUSTER_ID }]);
    expect(eventsOf(plan).map(({ note }) => note)).toEqual([
      `Forming cluster ${CLUSTER_ID} on broker 0`,
    ]);
    expect(statusOf(plan).clusterId).toBeUndefined();
  });

  test('waits while one broker is silent', () => {
    const situation = unformed({});
    const plan = planFor({
      ...situation,
      change: (healthy) => ({
        ...situation.change!(healthy),
        answers: [
          answer(0, { clusterId: '' }),
          answer(1, { clusterId: '' }),
          answer(2, { clusterId: null, fault: 'no route' }),
        ],
      }),
    });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe(
      'waiting for every broker to say what its volume holds: 2 of 3 brokers answered; broker 2: it does not answer on node n2 (no route)',
    );
  });

  test('records the id as soon as one broker knows it, and forms nothing', () => {
    const situation = unformed({});
    const plan = planFor({
      ...situation,
      change: (healthy) => ({
        ...situation.change!(healthy),
        answers: [answer(0), answer(1, { clusterId: '' }), answer(2, { clusterId: '' })],
      }),
    });
    expect(deeds(plan)).toEqual([{ kind: 'mark-claim', name: 'data-tm-0', clusterId: CLUSTER_ID }]);
    expect(statusOf(plan).clusterId).toBe(CLUSTER_ID);
  });

  test('refuses to form it again where the status says that it was formed', () => {
    const plan = planFor({ ...unformed({}), status: { clusterId: CLUSTER_ID } });
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Degraded')).toBe(
      `True VolumesEmpty: cluster ${CLUSTER_ID} was formed before, and the volumes of all 3 brokers are empty: a new cluster in its place would hide the loss; restore the volumes, or delete the LogCluster and its volume claims and make a new one`,
    );
    expect(eventsOf(plan)).toHaveLength(1);
  });

  test('refuses empty volumes where the spec says that there are kept ones', () => {
    const plan = planFor({ ...unformed({}), spec: { clusterId: CLUSTER_ID } });
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Ready')).toMatch(/^False VolumesEmpty: /);
  });

  test('refuses volumes of another cluster', () => {
    const other = '99999999-2222-4333-8444-555555555555';
    const plan = planFor(unformed({ clusterId: other }));
    expect(condition(plan, 'Degraded')).toBe(
      `True ForeignVolume: broker 0 belongs to cluster ${other}, must belong to ${CLUSTER_ID}: make the LogCluster anew with spec.clusterId ${other} to take it over`,
    );
  });
});

describe('decide on a roll', () => {
  test.each([
    ['the lowest number', { change: outdated(1, 2) }, [1]],
    ['the controller last', { change: outdated(0, 2) }, [2]],
    ['the controller where it is the last', { change: outdated(0) }, [0]],
    [
      'one that does not work anyway',
      {
        change: ({ pods: [a] }: Observation) => ({
          pods: [
            a!,
            pod(1, { templateHash: OLD_HASH }),
            pod(2, { templateHash: OLD_HASH, isReady: false }),
          ],
        }),
      },
      [2],
    ],
  ])('begins with %s, in the ledger', (_, situation, brokerIds) => {
    const plan = planFor(situation);
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).disruption).toEqual({
      kind: 'Roll',
      brokerIds,
      podUids: brokerIds.map((id) => `pod-${id}`),
      brokerEpochs: brokerIds.map((id) => 10 + id),
      templateHash: HASH,
      startedAt: '2026-11-23T12:00:00Z',
      phase: 'stop',
    });
  });

  test('stops brokers of one rack together where all of them may', () => {
    const ids = [0, 1, 2, 3, 4];
    const racks = ['z1', 'z2', 'z3', 'z2', 'z3'];
    const situation: Situation = {
      replicas: 5,
      spec: { rollout: { maxUnavailable: 2 } },
      change: (healthy) => ({
        ...outdated(1, 2, 3, 4)(healthy),
        metadata: {
          ...healthy.metadata!,
          brokers: ids.map((id) => broker(id, { rack: racks[id]! })),
        },
        verdicts: [...ids.map((id) => safe(id)), safe(1, 3)],
      }),
    };
    expect(statusOf(planFor(situation)).disruption?.brokerIds).toEqual([1, 3]);
  });

  test('stops one alone where two together would harm', () => {
    const situation: Situation = {
      replicas: 5,
      spec: { rollout: { maxUnavailable: 2 } },
      change: (healthy) => ({
        ...outdated(1, 3)(healthy),
        metadata: {
          ...healthy.metadata!,
          brokers: [0, 1, 2, 3, 4].map((id) => broker(id, { rack: 'z1' })),
        },
        verdicts: [...healthy.verdicts, harmful([1, 3], 'orders', '1 left')],
      }),
    };
    expect(statusOf(planFor(situation)).disruption?.brokerIds).toEqual([1]);
  });

  test('waits while the stop would harm, and says so', () => {
    const plan = planFor({
      change: (healthy) => ({
        ...outdated(1)(healthy),
        verdicts: [safe(0), harmful([1], 'orders', '1 left'), safe(2)],
      }),
    });
    expect(statusOf(plan)).toMatchObject({
      step: 'restarting 1 of 3 brokers',
      waitingFor: 'waiting until broker 1 may stop: 1 partition would suffer: orders/0 (1 left)',
    });
    expect(statusOf(plan).disruption).toBeUndefined();
    expect(eventsOf(plan).map(({ reason }) => reason)).toEqual(['WouldHarm']);
  });

  test('stops after the first pod of a broken image', () => {
    const plan = planFor({
      change: ({ pods: [a] }) => ({
        pods: [
          a!,
          pod(1, { isReady: false, stuck: 'ImagePullBackOff: not found' }),
          pod(2, { templateHash: OLD_HASH }),
        ],
      }),
    });
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Degraded')).toBe(
      'True ImageUnavailable: broker 1 is not in service: pod tm-1 does not run (ImagePullBackOff: not found)',
    );
    expect(statusOf(plan).disruption).toBeUndefined();
  });

  test('replaces a pod of a broken old template at once', () => {
    const stuck = pod(1, {
      isReady: false,
      stuck: 'ImagePullBackOff: not found',
      templateHash: OLD_HASH,
    });
    const plan = planFor({
      status: ledger({ podUids: ['earlier'] }),
      change: ({ pods: [a, , c] }) => ({ pods: [a!, stuck, c!] }),
    });
    expect(deeds(plan)).toEqual([{ kind: 'delete-pod', brokerId: 1, name: 'tm-1', uid: 'pod-1' }]);
  });

  test('restarts no pod for the orderly stop of the one before it', () => {
    const change = ({ pods: [a, , c], answers: [x, , z], metadata }: Observation) => ({
      pods: [a!, pod(1, { isReady: false, node: null, stuck: 'Unschedulable: cordoned' }), c!],
      answers: [x!, answer(1, { fault: 'its pod has no address yet' }), z!],
      metadata: {
        ...metadata!,
        brokers: [broker(0), broker(1, { isStopping: true, isFenced: true }), broker(2)],
      },
    });
    const plan = planFor({ change });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).disruption).toBeUndefined();
    expect(condition(plan, 'Ready')).toBe(
      'False BrokerOutOfService: broker 1 is not in service: pod tm-1 does not run (Unschedulable: cordoned)',
    );
  });

  test('restarts what does not answer without asking it to hand over', () => {
    const plan = planFor({
      status: ledger(),
      change: (healthy) => ({
        ...outdated(1)(healthy),
        answers: healthy.answers.with(1, answer(1, { fault: 'no route' })),
      }),
    });
    expect(deeds(plan)).toEqual([
      { kind: 'check-safe', brokerIds: [1] },
      { kind: 'delete-pod', brokerId: 1, name: 'tm-1', uid: 'pod-1' },
    ]);
  });

  test('gives up waiting for a pod of a template that is wanted no longer', () => {
    const running = pod(1, { isReady: false, templateHash: OLD_HASH });
    const plan = planFor({
      status: ledger({ podUids: ['earlier'] }),
      change: ({ pods: [a, , c] }) => ({ pods: [a!, running, c!] }),
    });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).disruption).toBeUndefined();
    const next = planFor({ change: ({ pods: [a, , c] }) => ({ pods: [a!, running, c!] }) });
    expect(statusOf(next).disruption).toMatchObject({ brokerIds: [1], podUids: ['pod-1'] });
  });

  test('asks once more, drains and deletes what the ledger names', () => {
    const plan = planFor({ status: ledger(), change: outdated(1, 2) });
    expect(deeds(plan)).toEqual([
      { kind: 'check-safe', brokerIds: [1] },
      { kind: 'prepare-stop', brokerId: 1, brokerEpoch: 11 },
      { kind: 'delete-pod', brokerId: 1, name: 'tm-1', uid: 'pod-1' },
    ]);
  });

  test.each<[string, Partial<Disruption>, NonNullable<Situation['change']>, string | undefined]>([
    [
      'while the old pod stops',
      {},
      ({ pods: [a, , c] }) => ({
        pods: [a!, pod(1, { isTerminating: true, templateHash: OLD_HASH }), c!],
      }),
      'waiting for broker 1 to stop',
    ],
    [
      'while there is no pod',
      { podUids: ['old'] },
      ({ pods: [a, , c] }) => ({ pods: [a!, c!] }),
      'waiting for broker 1 to be in service: pod tm-1 does not exist',
    ],
    [
      'while the controller shows the old incarnation',
      { podUids: ['old'] },
      ({ answers: [x, , z] }) => ({ answers: [x!, answer(1, { brokerEpoch: 12 }), z!] }),
      'waiting for broker 1 to be in service: it registered anew (epoch 12), which the controller does not show yet',
    ],
    [
      'while it is behind',
      { podUids: ['old'], brokerEpochs: [5] },
      ({ metadata }) => ({
        metadata: {
          ...metadata!,
          topics: [
            { ...topic('orders', []), partitions: [partition(0, [0, 1, 2], { syncSet: [0, 2] })] },
          ],
        },
      }),
      'waiting for broker 1 to rejoin 1 sync set: orders/0',
    ],
    [
      'while others lead what it should',
      { podUids: ['old'], brokerEpochs: [5] },
      ({ metadata }) => ({
        metadata: {
          ...metadata!,
          topics: [
            { ...topic('orders', []), partitions: [partition(0, [1, 0, 2], { leader: 0 })] },
          ],
        },
      }),
      'waiting for broker 1 to lead 1 partition again: orders/0',
    ],
  ])('waits %s', (_, entry, change, waitingFor) => {
    const plan = planFor({ status: ledger(entry), change });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe(waitingFor);
    expect(statusOf(plan).disruption?.kind).toBe('Roll');
  });

  test('strikes the entry once the broker is as it was', () => {
    const plan = planFor({ status: ledger({ podUids: ['old'], brokerEpochs: [5] }) });
    expect(statusOf(plan).disruption).toBeUndefined();
    expect(eventsOf(plan).map(({ reason }) => reason)).toEqual(['BrokerRestarted']);
  });

  test('strikes the entry where a gate refuses before anything happened', () => {
    const plan = planFor({
      status: ledger(),
      change: (healthy) => ({ ...outdated(1)(healthy), verdicts: [safe(0), safe(2)] }),
    });
    expect(statusOf(plan).disruption).toBeUndefined();
  });

  test('keeps the entry where a gate refuses after it was told to stop', () => {
    const stopping = [broker(0), broker(1, { isStopping: true }), broker(2)];
    const plan = planFor({
      status: ledger(),
      change: (healthy) => ({
        ...outdated(1)(healthy),
        verdicts: [],
        metadata: { ...healthy.metadata!, brokers: stopping },
      }),
    });
    expect(statusOf(plan).disruption?.brokerIds).toEqual([1]);
    expect(statusOf(plan).waitingFor).toBe(
      'waiting for the controller to say whether broker 1 may stop',
    );
  });
});

const cordoned = (ids: readonly number[], change: Parameters<typeof broker>[1] = {}) =>
  [0, 1, 2, 3, 4].map((id) => broker(id, ids.includes(id) ? { isCordoned: true, ...change } : {}));
const five = (
  spec: object,
  change: NonNullable<Situation['change']> = () => ({}),
  status: LogClusterStatus = { clusterId: CLUSTER_ID, minInSyncReplicas: 2 },
): Situation => ({ replicas: 5, spec, status, change });
const removal = (phase: string, id = 4): LogClusterStatus =>
  ledger({ kind: 'ScaleDown', brokerIds: [id], podUids: [`pod-${id}`], phase });

describe('decide on a scale-down', () => {
  test('cordons all that are too many, at once', () => {
    const plan = planFor(five({ replicas: 3 }));
    expect(deeds(plan)).toEqual([
      { kind: 'decommission', brokerId: 3 },
      { kind: 'decommission', brokerId: 4 },
    ]);
  });

  test('is refused where a topic needs more brokers, and names it', () => {
    const plan = planFor(
      five({ replicas: 2, replicationFactor: 2, minInSyncReplicas: 1 }, () => ({}), {
        clusterId: CLUSTER_ID,
        minInSyncReplicas: 1,
      }),
    );
    expect(deeds(plan)).toEqual([]);
    expect(condition(plan, 'Ready')).toBe(
      'False TooFewBrokers: spec.replicas is 2, must be at least the replication factor of every topic: orders (3)',
    );
  });

  test('waits for replicas to move away', () => {
    const change = ({ metadata }: Observation) => ({
      metadata: { ...metadata!, brokers: cordoned([3, 4]), topics: [topic('orders', [[0, 1, 4]])] },
    });
    const plan = planFor(five({ replicas: 3 }, change, removal('move')));
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe('waiting for broker 4 to hand over 1 replica: orders/0');
  });

  test('finds it empty twice before it stops it', () => {
    const change = ({ metadata }: Observation) => ({
      metadata: { ...metadata!, brokers: cordoned([3, 4]) },
    });
    const once = planFor(five({ replicas: 3 }, change, removal('move')));
    expect(deeds(once)).toEqual([]);
    expect(statusOf(once).disruption?.phase).toBe('empty');
    const twice = planFor(five({ replicas: 3 }, change, statusOf(once)));
    expect(deeds(twice)).toEqual([
      { kind: 'confirm-empty', brokerId: 4 },
      { kind: 'check-safe', brokerIds: [4] },
      { kind: 'prepare-stop', brokerId: 4, brokerEpoch: 14 },
      { kind: 'apply-workload', replicas: 4, resourceVersion: '7' },
    ]);
  });

  const four = {
    uid: 'workload',
    resourceVersion: '8',
    replicas: 4,
    isCurrent: true,
    templateHash: HASH,
    isObserved: true,
  };
  test.each<[string, NonNullable<Situation['change']>, Action[], string | undefined]>([
    ['cordons it', () => ({ workload: four }), [{ kind: 'decommission', brokerId: 4 }], undefined],
    [
      'waits for its pod',
      ({ metadata }) => ({ workload: four, metadata: { ...metadata!, brokers: cordoned([4]) } }),
      [],
      'waiting for pod tm-4 to stop',
    ],
    [
      'waits until it is fenced',
      ({ pods, metadata }) => ({
        workload: four,
        pods: pods.slice(0, 4),
        metadata: { ...metadata!, brokers: cordoned([4]) },
      }),
      [],
      'waiting for the controller to notice that broker 4 has stopped',
    ],
    [
      'waits until it votes no more',
      ({ pods, metadata }) => ({
        workload: four,
        pods: pods.slice(0, 4),
        metadata: { ...metadata!, brokers: cordoned([4], { isFenced: true, isVoter: true }) },
      }),
      [],
      'waiting for the metadata quorum to go on without broker 4',
    ],
    [
      'forgets it',
      ({ pods, metadata }) => ({
        workload: four,
        pods: pods.slice(0, 4),
        metadata: { ...metadata!, brokers: cordoned([4], { isFenced: true }) },
      }),
      [{ kind: 'remove-broker', brokerId: 4 }],
      undefined,
    ],
  ])('%s before the next one', (_, change, actions, waitingFor) => {
    const plan = planFor(five({ replicas: 3 }, change, removal('empty')));
    expect(deeds(plan)).toEqual(actions);
    expect(statusOf(plan).waitingFor).toBe(waitingFor);
  });

  test('is taken back by a larger number', () => {
    const plan = planFor(
      five(
        { replicas: 5 },
        ({ metadata }) => ({ metadata: { ...metadata!, brokers: cordoned([3, 4]) } }),
        removal('move'),
      ),
    );
    expect(deeds(plan)).toEqual([
      { kind: 'recommission', brokerId: 3 },
      { kind: 'recommission', brokerId: 4 },
    ]);
    expect(statusOf(plan).disruption).toBeUndefined();
  });

  test('does not begin while disruptions are paused', () => {
    const plan = planFor(five({ replicas: 3, paused: 'Disruptions' }));
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe(
      'spec.paused is Disruptions, must be absent to stop a broker',
    );
  });
});

describe('decide on a scale-up', () => {
  test('adds pods at once', () => {
    const plan = planFor({ spec: { replicas: 5 } });
    expect(deeds(plan)).toEqual([{ kind: 'apply-workload', replicas: 5, resourceVersion: '7' }]);
  });

  test('moves replicas once all have joined', () => {
    const move = { topic: 'orders', partition: 0, replicas: [0, 1, 3] };
    expect(deeds(planFor(five({}, () => ({ rebalance: [move] }))))).toEqual([
      { kind: 'reassign', move },
    ]);
    const plan = planFor(five({}, ({ pods }) => ({ rebalance: [move], pods: pods.slice(0, 4) })));
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe(
      'waiting for broker 4 to be in service: pod tm-4 does not exist',
    );
  });

  test('makes a lost StatefulSet no smaller than what is there', () => {
    expect(deeds(planFor(five({ replicas: 3 }, () => ({ workload: null }))))).toContainEqual({
      kind: 'apply-workload',
      replicas: 5,
      resourceVersion: null,
    });
  });
});

describe('decide on a changed minimum', () => {
  const change = (name: string, minInSyncReplicas: number): Action => ({
    kind: 'alter-topic',
    name,
    partitions: 0,
    replicationFactor: 0,
    change: { minInSyncReplicas },
  });
  const own = topic('own', [[0, 1, 2]], { minInSyncReplicas: 2 });

  test('lowers topics that follow, and no others', () => {
    const other = topic('other', [[0, 1, 2]], { minInSyncReplicas: 3 });
    const situation: Situation = {
      spec: { minInSyncReplicas: 1 },
      status: { clusterId: CLUSTER_ID, minInSyncReplicas: 2, minInSyncReplicasPending: [1] },
      topics: [topic('orders', [[0, 1, 2]]), other, own],
      change: () => ({
        logTopics: [
          logTopic('own', { minInSyncReplicas: 2 }, { status: { topicId: own.topicId } }),
        ],
      }),
    };
    expect(deeds(planFor(situation))).toEqual([change('orders', 1)]);
  });

  test('writes the new one down before the first topic has it', () => {
    const plan = planFor({ spec: { minInSyncReplicas: 1 } });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan)).toMatchObject({ minInSyncReplicas: 2, minInSyncReplicasPending: [1] });
  });

  test('finds topics that a change of mind left midway', () => {
    const status = { clusterId: CLUSTER_ID, minInSyncReplicas: 2, minInSyncReplicasPending: [1] };
    expect(
      deeds(planFor({ status, topics: [topic('orders', [[0, 1, 2]], { minInSyncReplicas: 1 })] })),
    ).toEqual([change('orders', 2)]);
  });

  test('records it once every follower has it', () => {
    const plan = planFor({
      spec: { minInSyncReplicas: 1 },
      topics: [topic('orders', [[0, 1, 2]], { minInSyncReplicas: 1 })],
    });
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).minInSyncReplicas).toBe(1);
  });

  const raised = (topics: Situation['topics'], rest: Situation = {}): Situation => ({
    status: { clusterId: CLUSTER_ID, minInSyncReplicas: 1, minInSyncReplicasPending: [2] },
    topics: topics!,
    ...rest,
  });
  test('raises topics whose partitions can all go on', () => {
    expect(
      deeds(planFor(raised([topic('orders', [[0, 1, 2]], { minInSyncReplicas: 1 })]))),
    ).toEqual([change('orders', 2)]);
  });

  test('waits for partitions that could not', () => {
    const short = {
      ...topic('orders', [[0, 1, 2]], { minInSyncReplicas: 1 }),
      partitions: [partition(0, [0, 1, 2], { syncSet: [0] })],
    };
    const plan = planFor(raised([short]));
    expect(deeds(plan)).toEqual([]);
    expect(statusOf(plan).waitingFor).toBe(
      'waiting for 1 partition to have 2 replicas in sync: orders/0 has 1',
    );
  });

  test('is refused where a topic has too few replicas', () => {
    const plan = planFor(raised([topic('orders', [[0]], { minInSyncReplicas: 1 })]));
    expect(condition(plan, 'Ready')).toBe(
      'False MinAboveReplicationFactor: spec.minInSyncReplicas is 2, must be at most the replication factor of every topic that follows it: orders (1)',
    );
  });
});

describe('decide on the disruption budget', () => {
  const budgetIn = (situation: Situation): Action | undefined =>
    actionsOf(planFor(situation)).find(({ kind }) => kind === 'apply-budget');
  test.each<[string, Situation, 0 | 1 | undefined]>([
    ['stays 1 while any one may go', {}, undefined],
    [
      'is 0 where one would harm',
      { change: () => ({ verdicts: [safe(0), safe(1), harmful([2], 'orders', '1 left')] }) },
      0,
    ],
    ['is 0 where one is not in service', { change: ({ pods: [a, b] }) => ({ pods: [a!, b!] }) }, 0],
    ['is 0 from the entry in the ledger on', { change: outdated(1) }, 0],
    ['is 0 where nobody says', { change: () => ({ verdicts: [] }) }, 0],
    [
      'is 1 for a cluster of one',
      {
        replicas: 1,
        spec: { replicationFactor: 1, minInSyncReplicas: 1 },
        change: () => ({ metadata: null, verdicts: [], budget: null }),
      },
      1,
    ],
  ])('%s', (_, situation, maxUnavailable) => {
    expect(budgetIn(situation)).toEqual(
      maxUnavailable === undefined ? undefined : { kind: 'apply-budget', maxUnavailable },
    );
  });
});
