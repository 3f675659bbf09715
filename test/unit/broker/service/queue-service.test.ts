/** QueueService: over three brokers, of which each owns what falls to it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { QUEUES_PARTITIONS, QUEUES_TOPIC } from '../../../../base/internal-topics.ts';
import { QUEUE_SETTINGS_DEFAULTS } from '../../../../base/queues.ts';
import { createQueue } from '../../../../broker/metadata/controller/queues.ts';
import type { ControllerRequest, Decision } from '../../../../broker/metadata/controller-types.ts';
import { apply } from '../../../../broker/metadata/apply.ts';
import { FEATURE_LEVEL_MAX, LEVEL_OF_QUEUES } from '../../../../broker/metadata/features.ts';
import type { MetadataRecord, QueueDefinition } from '../../../../broker/metadata/types.ts';
import type { GroupsApi } from '../../../../broker/runtime/api.ts';
import { partitionOfQueue } from '../../../../broker/runtime/queues/place.ts';
import type { JoinRequest } from '../../../../broker/groups/membership/types.ts';
import { Cluster } from '../../../../broker/service/cluster.ts';
import { CoordinatorDesk } from '../../../../broker/service/consume/members-service.ts';
import { unknownPartition } from '../../../../broker/service/queues/owners.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import type { QueuePartition } from '../../../../proto/gen/tidemark/v1/queues.ts';
import {
  QueueBeginning,
  type QueueConfig,
  QueueServiceService as Queues,
} from '../../../../proto/gen/tidemark/v1/queues.ts';
import { GroupServiceService as Groups } from '../../../../proto/gen/tidemark/v1/groups.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { topicIdFromBytes, topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

const QUEUES_ID = '77777777-7777-4777-8777-777777777777';
const GROUPS_ID = '99999999-9999-4999-8999-999999999999';
const PARTITIONS = 8;

let cluster: FakeCluster;
let brokers: FakeBroker[];
let one: FakeBroker;
let decided: ControllerRequest[];
/** By broker and partition: not begun there. */
let notBegun: Set<number>;

const options = { deadlineMs: 5_000, clock: systemClock };

beforeEach(async () => {
  cluster = new FakeCluster();
  brokers = [await cluster.add(1), await cluster.add(2), await cluster.add(3)];
  one = brokers[0]!;
  cluster.lead(Array.from({ length: PARTITIONS }, () => 1));
  cluster.change({ featureLevel: FEATURE_LEVEL_MAX });
  decided = [];
  notBegun = new Set();
  cluster.decide = (request) => {
    decided.push(request);
    return carriedOut(request);
  };
  for (const broker of brokers) {
    broker.coordinates = groupsApi();
    broker.owned = {
      describe: (_, partitions) =>
        Promise.resolve({
          partitions: partitions.map((partition) => standing(broker.brokerId, partition)),
          members: [{ memberId: 'm', client: 'worker', proxy: 1, leased: broker.brokerId }],
        }),
      freeKey: () => Promise.resolve(),
    };
  }
});
afterEach(() => cluster.stop());

/** As the controller, for what these tests ask of it. */
function carriedOut(request: ControllerRequest): Decision {
  const show = (...records: readonly MetadataRecord[]): Decision =>
    cluster.decided({ kind: request.kind } as Extract<Decision, { kind: 'create-queue' }>, () => {
      const at = { index: cluster.image.index, term: 1 };
      cluster.change(apply(cluster.image, records, at));
    });
  const { kind } = request;
  if (kind === 'make-internal-topic') {
    setImmediate(makeQueuesTopic);
    return { kind };
  }
  if (kind === 'create-queue') return show(...createQueue(cluster.image, request));
  const { queueId, config } = jobs();
  if (kind === 'delete-queue') return show({ kind: 'queue-deleted', queueId });
  if (kind === 'alter-queue')
    return show({ kind: 'queue-changed', queueId, config: { ...config, ...request.config } });
  throw new BrokerError('REFUSED', kind);
}

/** Leaders take turns, so that every broker owns something. */
function makeQueuesTopic(topicId = QUEUES_ID, name = QUEUES_TOPIC): void {
  const events = cluster.image.topics.get(TOPIC_ID)!;
  const partitions = Array.from({ length: QUEUES_PARTITIONS }, (_, partition) => ({
    ...events.partitions[0]!,
    partition,
    leader: 1 + (partition % 3),
  }));
  cluster.put({ ...events, topicId, name, partitions });
}

function jobs(): QueueDefinition {
  const { queues, queueIdsByName } = cluster.image;
  return queues.get(queueIdsByName.get('jobs') ?? '')!;
}

function standing(owner: number, partition: number): QueuePartition {
  const unknown = unknownPartition(partition, owner, new BrokerError('BROKER_NOT_READY', 'x'));
  if (notBegun.has(partition)) return unknown;
  return { ...unknown, lagRecords: 10 * partition, parkedOffsets: [3], error: undefined };
}

function groupsApi(view?: ReturnType<GroupsApi['view']>): GroupsApi {
  const never = (): never => {
    throw new Error('not asked here');
  };
  return {
    view: () => view,
    use: async () => {},
    ...{ commit: never, seek: never, remove: never, lagOf: never },
    ...{ coordinatedIn: never, coordinated: never },
    ...{ begin: never, ask: never, heartbeat: never, detached: never, onMessages: never },
    describe: () => null,
  };
}

const NO_CONFIG: QueueConfig = {
  ...{ leaseMs: undefined, deliveriesMax: undefined, deadLetterTopic: undefined },
  ...{ keyOrdered: undefined, parksKeys: undefined },
  ...{ delayMinMs: undefined, delayMaxMs: undefined },
};

function create(
  patch: { name?: string; topic?: string; config?: QueueConfig } = {},
  deadlineMs = 5_000,
) {
  const request = { name: 'jobs', topic: 'events', config: undefined, ...patch };
  return callUnary(
    cluster.client(one),
    Queues.createQueue,
    { ...request, from: QueueBeginning.QUEUE_BEGINNING_LATEST },
    { ...options, deadlineMs },
  );
}

function describeJobs() {
  return callUnary(cluster.client(one), Queues.describeQueue, { name: 'jobs' }, options);
}

describe('CreateQueue', () => {
  it('makes the topic of queues first, then the queue', async () => {
    const { queue } = await create({ config: { ...NO_CONFIG, leaseMs: 5_000, keyOrdered: true } });
    expect(decided.map(({ kind }) => kind)).toEqual(['make-internal-topic', 'create-queue']);
    expect(queue).toMatchObject({
      name: 'jobs',
      topic: 'events',
      config: {
        ...{ leaseMs: 5_000, deliveriesMax: 0, deadLetterTopic: '', keyOrdered: true },
        ...{ parksKeys: false, delayMinMs: 0, delayMaxMs: 3_600_000 },
      },
    });
    expect(topicIdFromBytes(queue!.topicId)).toBe(TOPIC_ID);
    expect(topicIdFromBytes(queue!.queueId)).toBe(jobs().queueId);
    expect(jobs()).toMatchObject({ isFromLatest: true, partitionsAtFirst: PARTITIONS });
  });

  it('is answered once every partition has begun', async () => {
    notBegun = new Set([2, 5]);
    let isAnswered = false;
    const made = create().then(() => {
      isAnswered = true;
    });
    const asked: number[][] = [];
    for (const broker of brokers) {
      const before = broker.owned;
      const describe = (queueId: string, partitions: readonly number[]) => {
        asked.push([...partitions]);
        return before.describe(queueId, partitions);
      };
      broker.owned = { ...before, describe };
    }
    const again = () => asked.filter((some) => some.length === 1 && some[0] === 5).length;
    await expect.poll(() => asked.flat().length).toBeGreaterThan(PARTITIONS);
    expect(isAnswered).toBe(false);
    notBegun.delete(2);
    await expect.poll(again).toBeGreaterThan(1);
    expect(isAnswered).toBe(false);
    notBegun.clear();
    await made;
  });

  it('says at its deadline where the queue has not begun', async () => {
    notBegun = new Set([2]);
    await expect(create({}, 1_000)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringContaining('has not begun in partitions 2') as string,
    });
    expect(jobs().name).toBe('jobs');
  });

  it('refuses the name of a group, and makes nothing', async () => {
    makeQueuesTopic(GROUPS_ID, '__groups');
    const view = { cursors: new Map(), byName: new Map(), idleMs: 0 };
    for (const broker of brokers) broker.coordinates = groupsApi(view);
    await expect(create()).rejects.toMatchObject({ code: 'QUEUE_EXISTS' });
    expect(decided).toEqual([]);
    for (const broker of brokers) broker.coordinates = groupsApi();
    expect((await create()).queue?.name).toBe('jobs');
  });

  it.each([
    [{ name: '__jobs' }, 'INVALID_ARGUMENT', 'name is "__jobs"'],
    [{ name: 'a b' }, 'INVALID_ARGUMENT', 'name is "a b"'],
    [{ topic: 'gone' }, 'UNKNOWN_TOPIC', '"gone"'],
    [{ config: { ...NO_CONFIG, leaseMs: 1 } }, 'INVALID_ARGUMENT', 'config.lease_ms is 1'],
    [
      { config: { ...NO_CONFIG, deadLetterTopic: 'a b' } },
      'INVALID_ARGUMENT',
      'config.dead_letter_topic is "a b"',
    ],
  ])('refuses %j before it asks anybody', async (patch, code, text) => {
    await expect(create(patch)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text) as string,
    });
    expect(decided).toEqual([]);
  });

  it('needs the level', async () => {
    cluster.change({ featureLevel: LEVEL_OF_QUEUES - 1 });
    await expect(create()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(decided).toEqual([]);
  });

  it('passes on what the controller refuses', async () => {
    await create();
    await expect(create()).rejects.toMatchObject({ code: 'QUEUE_EXISTS' });
  });
});

describe('a queue that is there', () => {
  beforeEach(async () => {
    await create();
  });

  it('is described by the owners of its partitions, in their order', async () => {
    const { partitions, members, queue } = await describeJobs();
    expect(queue?.name).toBe('jobs');
    expect(partitions.map(({ partition }) => partition)).toEqual(
      Array.from({ length: PARTITIONS }, (_, at) => at),
    );
    const owners = partitions.map(({ partition }) => {
      const place = { queue: jobs().queueId, topicId: TOPIC_ID, partition };
      return 1 + (partitionOfQueue(place) % 3);
    });
    expect(partitions.map(({ owner }) => owner)).toEqual(owners);
    expect(partitions.map(({ lagRecords }) => lagRecords)).toEqual(
      partitions.map(({ partition }) => 10 * partition),
    );
    const leased = [...new Set(owners)].reduce((sum, owner) => sum + owner, 0);
    expect(members).toEqual([{ memberId: 'm', client: 'worker', proxy: 1, leased }]);
  });

  it('says of partitions whose owner does not answer why', async () => {
    const refusal = new BrokerError('BROKER_NOT_READY', 'starting');
    const { owner } = (await describeJobs()).partitions[0]!;
    const silent = brokers[owner - 1]!;
    silent.owned = { ...silent.owned, describe: () => Promise.reject(refusal) };
    const { partitions } = await describeJobs();
    for (const partition of partitions)
      expect(partition.error?.code).toBe(
        partition.owner === owner ? 'BROKER_NOT_READY' : undefined,
      );
  });

  it('has no owner where nobody leads', async () => {
    const topic = cluster.image.topics.get(QUEUES_ID)!;
    const partitions = topic.partitions.map((state) => ({ ...state, leader: -1 }));
    cluster.put({ ...topic, partitions });
    const answer = await describeJobs();
    expect(answer.partitions.map(({ error }) => error?.code)).toEqual(
      Array.from({ length: PARTITIONS }, () => 'LEADER_UNKNOWN'),
    );
    expect(answer.members).toEqual([]);
  });

  it('is listed, and changed, and deleted', async () => {
    const list = (topic: string) =>
      callUnary(cluster.client(one), Queues.listQueues, { topic }, options);
    expect((await list('')).queues.map(({ name }) => name)).toEqual(['jobs']);
    expect((await list('events')).queues.map(({ name }) => name)).toEqual(['jobs']);
    expect((await list(QUEUES_TOPIC)).queues).toEqual([]);
    await expect(list('gone')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
    const config = { ...NO_CONFIG, leaseMs: 9_000 };
    const altered = await callUnary(
      cluster.client(one),
      Queues.alterQueue,
      { name: 'jobs', config },
      options,
    );
    expect(altered.queue?.config?.leaseMs).toBe(9_000);
    expect(jobs().config).toEqual({ ...QUEUE_SETTINGS_DEFAULTS, leaseMs: 9_000 });
    await callUnary(cluster.client(one), Queues.deleteQueue, { name: 'jobs' }, options);
    expect(cluster.image.queues.size).toBe(0);
    await expect(describeJobs()).rejects.toMatchObject({ code: 'UNKNOWN_QUEUE' });
  });

  it('has its keys freed by the owner, wherever that is', async () => {
    const freed: string[] = [];
    let refusals = 2;
    for (const broker of brokers)
      broker.owned = {
        ...broker.owned,
        freeKey: (queueId, partition, offset) => {
          if (offset === 13) return Promise.reject(new BrokerError('REFUSED', 'not parked'));
          refusals -= 1;
          if (refusals >= 0) return Promise.reject(new BrokerError('NOT_LEADER', 'not here'));
          freed.push(`${broker.brokerId}: ${queueId} ${partition}@${offset}`);
          return Promise.resolve();
        },
      };
    const free = (partition: number, offset: number) =>
      callUnary(
        cluster.client(one),
        Queues.freeQueueKey,
        { name: 'jobs', partition, offset },
        options,
      );
    const { queueId } = jobs();
    for (const partition of [0, 1, 2]) {
      const owner = 1 + (partitionOfQueue({ queue: queueId, topicId: TOPIC_ID, partition }) % 3);
      await free(partition, 7);
      expect(freed.pop()).toBe(`${owner}: ${queueId} ${partition}@7`);
    }
    await expect(free(0, 13)).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(free(PARTITIONS, 7)).rejects.toMatchObject({ code: 'UNKNOWN_PARTITION' });
  });

  it('says at its deadline that nobody knows, where the owner does not get it committed', async () => {
    const never = new Promise<never>(() => {});
    for (const broker of brokers) broker.owned = { ...broker.owned, freeKey: () => never };
    const answers = [0, 1, 2].map((partition) =>
      callUnary(
        cluster.client(one),
        Queues.freeQueueKey,
        { name: 'jobs', partition, offset: 7 },
        { ...options, deadlineMs: 1_000 },
      ).catch((error: unknown) => (error instanceof BrokerError ? error.code : error)),
    );
    expect(await Promise.all(answers)).toEqual(Array(3).fill('OUTCOME_UNKNOWN'));
  });

  it('keeps groups from its name', async () => {
    makeQueuesTopic(GROUPS_ID, '__groups');
    const cursor = {
      ...{ topic: 'events', topicId: topicIdToBytes(TOPIC_ID), partition: 0 },
      ...{ offset: 0, leaderEpoch: 0, generation: 0 },
    };
    const commit = { group: 'jobs', cursors: [cursor], member: undefined };
    await expect(
      callUnary(cluster.client(one), Groups.commitCursors, commit, options),
    ).rejects.toMatchObject({ code: 'QUEUE_EXISTS' });
    const seek = {
      ...{ group: 'jobs', topic: 'events', partitions: [], dryRun: false },
      to: { point: { $case: 'offset' as const, value: 0 } },
    };
    await expect(
      callUnary(cluster.client(one), Groups.seekGroup, seek, options),
    ).rejects.toMatchObject({ code: 'QUEUE_EXISTS' });
    const parts = { cluster: new Cluster(one, () => null as never), newUuid: () => '' };
    const desk = new CoordinatorDesk({ ...parts, report: () => {} }, () => {});
    await expect(desk.join(1, { group: 'jobs' } as JoinRequest, '')).rejects.toMatchObject({
      code: 'QUEUE_EXISTS',
    });
  });
});
