import type { MethodDefinition } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { BrokerError } from '../../../../base/errors.ts';
import type { BrokerState, PartitionState } from '../../../../broker/metadata/types.ts';
import { AdminServiceService, CommitMode } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function call<Request, Response>(
  broker: FakeBroker,
  method: MethodDefinition<Request, Response>,
  request: Request,
): Promise<Response> {
  return callUnary(cluster.client(broker), method, request, {
    deadlineMs: 4_000,
    clock: systemClock,
  });
}

/** "events" has one partition, its replica at broker 1. */
function stand(part: Partial<PartitionState> = {}): PartitionState {
  cluster.lead([1]);
  const topic = cluster.image.topics.get(TOPIC_ID)!;
  const state = { ...topic.partitions[0]!, replicas: [1], syncSet: [1], ...part };
  cluster.put({ ...topic, partitions: [state] });
  return state;
}

function change(part: Partial<PartitionState>): void {
  const topic = cluster.image.topics.get(TOPIC_ID)!;
  cluster.put({ ...topic, partitions: [{ ...topic.partitions[0]!, ...part }] });
}

/** The move under way has come to its end. */
function settle(): void {
  const topic = cluster.image.topics.get(TOPIC_ID)!;
  const { target = [], ...state } = topic.partitions[0]!;
  cluster.put({
    ...topic,
    partitions: [{ ...state, replicas: target, syncSet: target, adding: [], removing: [] }],
  });
}

function changeBroker(brokerId: number, part: Partial<BrokerState>): void {
  const { brokers } = cluster.image;
  cluster.change({
    brokers: new Map([...brokers, [brokerId, { ...brokers.get(brokerId)!, ...part }]]),
  });
}

describe('placementCalls()', () => {
  it('reassigns, and answers once it shows', async () => {
    stand();
    cluster.decide = (request) => {
      expect(request).toEqual({
        kind: 'reassign',
        topic: 'events',
        partition: 0,
        replicas: [2],
        judged: { metadataIndex: cluster.image.index, topicId: TOPIC_ID, leaderEpoch: 1 },
      });
      return cluster.decided({ kind: 'reassign' }, () =>
        change({ replicas: [1, 2], adding: [2], removing: [1], target: [2] }),
      );
    };
    const { partition } = await call(two, AdminServiceService.reassignPartition, {
      topic: 'events',
      partition: 0,
      replicas: [2],
    });
    expect(partition).toMatchObject({ replicas: [1, 2], adding: [2], removing: [1], target: [2] });
  });

  it('cancels, and answers once the partition aims at where it was', async () => {
    stand({ replicas: [1, 2], adding: [2], removing: [1], target: [2] });
    cluster.decide = () =>
      cluster.decided({ kind: 'reassign' }, () => {
        const topic = cluster.image.topics.get(TOPIC_ID)!;
        const { target: _, ...state } = topic.partitions[0]!;
        cluster.put({
          ...topic,
          partitions: [{ ...state, replicas: [1], adding: [], removing: [] }],
        });
      });
    const { partition } = await call(one, AdminServiceService.reassignPartition, {
      topic: 'events',
      partition: 0,
      replicas: [],
    });
    expect(partition).toMatchObject({ replicas: [1], adding: [], removing: [], target: [] });
  });

  it.each([
    { topic: '', partition: 0, replicas: [1] },
    { topic: 'events', partition: 100_001, replicas: [1] },
    { topic: 'events', partition: 0, replicas: [70_000] },
    { topic: 'events', partition: 0, replicas: new Array<number>(17).fill(1) },
  ])('refuses to ask for %j', async (request) => {
    await expect(call(one, AdminServiceService.reassignPartition, request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('answers a wish that another one has overtaken', async () => {
    stand();
    cluster.decide = () =>
      cluster.decided({ kind: 'reassign' }, () =>
        change({ replicas: [1, 3], adding: [3], removing: [1], target: [3] }),
      );
    const request = { topic: 'events', partition: 0, replicas: [2] };
    const { partition } = await call(one, AdminServiceService.reassignPartition, request);
    expect(partition).toMatchObject({ target: [3] });
  });

  it('judges again what was late, once its metadata shows why', async () => {
    stand();
    const judged: number[] = [];
    cluster.decide = (request) => {
      if (request.kind === 'reassign') judged.push(request.judged?.metadataIndex ?? 0);
      if (judged.length === 1) {
        setImmediate(() => change({ leaderEpoch: 2 }));
        throw new BrokerError('CONFLICT', 'The request came late');
      }
      return cluster.decided({ kind: 'reassign' }, () => change({ target: [2] }));
    };
    const before = cluster.image.index;
    const request = { topic: 'events', partition: 0, replicas: [2] };

    await call(one, AdminServiceService.reassignPartition, request);

    expect(judged).toEqual([before, before + 1]);
  });

  it.each([
    { name: 'an earlier attempt may have been carried out', effect: 'unknown' as const },
    { name: 'its metadata shows nothing newer', effect: 'none' as const },
  ])('tells of a conflict where $name', async ({ effect }) => {
    stand();
    cluster.decide = () => {
      throw new BrokerError('CONFLICT', 'The request came late', { effect });
    };
    const request = { topic: 'events', partition: 0, replicas: [2] };

    await expect(call(one, AdminServiceService.reassignPartition, request)).rejects.toMatchObject({
      code: 'CONFLICT',
      effect,
    });
  });

  it('does not pass off as shown what this broker has not heard of', async () => {
    stand();
    cluster.decide = () => cluster.decided({ kind: 'reassign' }, () => undefined);
    const request = { topic: 'events', partition: 0, replicas: [2] };
    // For it the call's time is over three seconds before the caller's is: it tells its reason, and
    // no stall here can have the caller give up first.
    one.clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 3_000 };
    await expect(call(one, AdminServiceService.reassignPartition, request)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    });
  });

  it('decommissions and recommissions a broker', async () => {
    cluster.decide = (request) => {
      if (request.kind !== 'decommission') throw new BrokerError('REFUSED', 'No');
      const { brokerId, isCancelled } = request;
      return cluster.decided({ kind: 'decommission', replicasLeft: isCancelled ? 0 : 3 }, () =>
        changeBroker(brokerId, { cordoned: !isCancelled }),
      );
    };
    expect(await call(one, AdminServiceService.decommission, { brokerId: 2 })).toEqual({
      replicasLeft: 3,
    });
    expect(
      (await call(one, AdminServiceService.describeCluster, {})).brokers.map(
        ({ cordoned }) => cordoned,
      ),
    ).toEqual([false, true]);
    await call(two, AdminServiceService.recommission, { brokerId: 2 });
    expect(cluster.image.brokers.get(2)?.cordoned).toBe(false);
  });

  it('removes a broker, or tells why not', async () => {
    cluster.decide = () => {
      throw new BrokerError('REFUSED', 'broker 2 is not fenced');
    };
    await expect(
      call(one, AdminServiceService.removeBroker, { brokerId: 2 }),
    ).rejects.toMatchObject({ code: 'REFUSED', message: 'broker 2 is not fenced' });
    cluster.decide = () =>
      cluster.decided({ kind: 'remove-broker' }, () =>
        cluster.change({
          brokers: new Map([...cluster.image.brokers].filter(([brokerId]) => brokerId !== 2)),
        }),
      );
    await call(one, AdminServiceService.removeBroker, { brokerId: 2 });
    expect(
      (await call(one, AdminServiceService.describeCluster, {})).brokers.map(
        ({ brokerId }) => brokerId,
      ),
    ).toEqual([1]);
  });

  it('changes settings, live', async () => {
    const shown = {
      moveBytesPerSecond: 5,
      brokerOptions: { 'log-level': 'debug' },
      topicDefaults: { replicationFactor: 3, commitMode: CommitMode.COMMIT_MODE_UNSPECIFIED },
    };
    cluster.decide = (request) => {
      if (request.kind !== 'set-settings') throw new BrokerError('REFUSED', 'No');
      return cluster.decided({ kind: 'set-settings' }, () =>
        cluster.change({
          settings: {
            moveBytesPerSecond: 5,
            brokerOptions: { 'log-level': 'debug' },
            topicDefaults: { replicationFactor: 3 },
          },
        }),
      );
    };
    expect(
      await call(two, AdminServiceService.setClusterSettings, {
        settings: {
          moveBytesPerSecond: 5,
          brokerOptions: { 'log-level': 'debug', 'flush-bytes': '' },
          topicDefaults: {
            replicationFactor: 3,
            minInSyncReplicas: 0,
            commitMode: CommitMode.COMMIT_MODE_UNSPECIFIED,
          },
        },
      }),
    ).toEqual({ settings: shown });
    expect((await call(one, AdminServiceService.describeCluster, {})).settings).toEqual(shown);
    const none = { brokerOptions: {}, topicDefaults: undefined };
    for (const settings of [undefined, none, { ...none, moveBytesPerSecond: -2 }])
      await expect(
        call(one, AdminServiceService.setClusterSettings, { settings }),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('plans with the sizes that leaders tell, and without those that nobody does', async () => {
    stand();
    changeBroker(2, { rack: 'b' });
    const topic = cluster.image.topics.get(TOPIC_ID)!;
    cluster.put({
      ...topic,
      replicationFactor: 1,
      partitions: [0, 1, 2].map((partition) => ({ ...topic.partitions[0]!, partition })),
    });
    const { moves, bytes } = await call(two, AdminServiceService.planRebalance, {});
    expect(moves.map(({ from, to, bytes: moveBytes }) => [from, to, moveBytes])).toEqual([
      [[1], [2], undefined],
    ]);
    expect(bytes).toBe(0);
  });

  it('reports partitions that share a rack', async () => {
    stand({ replicas: [1, 2], syncSet: [1, 2] });
    expect(await call(one, AdminServiceService.describeSpread, {})).toMatchObject({
      spanning: 0,
      faultsTotal: 1,
      faults: [{ topic: 'events', partition: 0, reason: 'too-few-racks' }],
    });
    changeBroker(2, { rack: 'b' });
    expect(await call(two, AdminServiceService.describeSpread, {})).toEqual({
      spanning: 1,
      faultsTotal: 0,
      faults: [],
    });
  });

  it('waits for copies as long as it was told to, then answers all the same', async () => {
    stand();
    const request = {
      name: 'events',
      config: undefined,
      partitions: 0,
      replicationFactor: 2,
      waitMs: 2_000,
    };
    const altered = (part: Partial<PartitionState>): void => {
      change(part);
      cluster.put({ ...cluster.image.topics.get(TOPIC_ID)!, replicationFactor: 2 });
    };
    cluster.decide = () =>
      cluster.decided({ kind: 'alter-topic' }, () => {
        altered({ replicas: [1, 2], adding: [2], target: [1, 2] });
        setImmediate(() => settle());
      });
    expect(
      (await call(one, AdminServiceService.alterTopic, request)).topic?.partitions[0],
    ).toMatchObject({ replicas: [1, 2], adding: [] });
    stand();
    cluster.decide = () => {
      altered({ replicas: [1, 2], adding: [2], target: [1, 2] });
      return { kind: 'alter-topic' };
    };
    expect(
      (await call(one, AdminServiceService.alterTopic, { ...request, waitMs: 1 })).topic
        ?.partitions[0],
    ).toMatchObject({ replicas: [1, 2], adding: [2] });
  });
});
