/** What KEDA is told: its own names and numbers on the wire, and never 0 for what is not known. */
import { Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { partitionKey } from '../../../../base/units.ts';
import { setPrincipal } from '../../../../broker/messages/principal.ts';
import type { Cursor, GroupCursors } from '../../../../broker/groups/fold.ts';
import type { GroupsApi, PositionLag } from '../../../../broker/runtime/api.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import {
  ExternalScalerService as Scaler,
  GetMetricsRequest,
  GetMetricsResponse,
  GetMetricSpecResponse,
  IsActiveResponse,
  ScaledObjectRef,
} from '../../../../proto/gen/externalscaler/externalscaler.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { QUEUE_SETTINGS_DEFAULTS } from '../../../../base/queues.ts';
import { OWNS_NO_QUEUES } from '../../../../broker/service/queues/owned.ts';
import { unknownPartition } from '../../../../broker/service/queues/owners.ts';
import { FakeCluster, TOPIC_ID, type FakeBroker } from './fake-broker.ts';

const GROUP = 'billing';
let cluster: FakeCluster;
let one: FakeBroker;
/** By partition; an error: the leader does not say. */
let lags: Map<number, Partial<PositionLag> | BrokerError>;
let used: string[];

function viewOf(offsets: ReadonlyMap<number, number>): GroupCursors {
  const cursors = new Map<string, Cursor>();
  for (const [partition, offset] of offsets)
    cursors.set(partitionKey(TOPIC_ID, partition), {
      ...{ group: GROUP, topic: 'events', topicId: TOPIC_ID, partition, offset },
      ...{ leaderEpoch: 1, generation: 1 },
    });
  return { cursors, byName: new Map(), idleMs: 0 };
}

function groupsApi(view: GroupCursors | undefined): GroupsApi {
  const never = (): never => {
    throw new Error('not asked here');
  };
  return {
    view: () => view,
    use: async (group) => {
      used.push(group);
    },
    lagOf: (_topicId, partition, offset) => {
      const lag = lags.get(partition) ?? {};
      if (lag instanceof BrokerError) throw lag;
      const endOffset = lag.endOffset ?? offset;
      const records = Math.max(0, endOffset - offset);
      const rest = { ageMs: 0, isLeast: false, leaderEpoch: 1, logStart: 0, epochBefore: 1 };
      return { ...rest, records, ...lag, endOffset };
    },
    ...{ commit: never, seek: never, remove: never, coordinatedIn: never, coordinated: never },
    ...{ begin: never, ask: never, heartbeat: never, detached: never, onMessages: never },
    describe: () => null,
  };
}

beforeEach(async () => {
  used = [];
  lags = new Map();
  cluster = new FakeCluster();
  one = await cluster.add(1);
  cluster.lead([1, 1]);
  const events = cluster.image.topics.get(TOPIC_ID)!;
  const partitions = Array.from({ length: 16 }, (_, partition) => ({
    ...events.partitions[0]!,
    partition,
  }));
  cluster.put({ ...events, topicId: GROUPS_ID, name: '__groups', partitions });
  one.coordinates = groupsApi(
    viewOf(
      new Map([
        [0, 10],
        [1, 20],
      ]),
    ),
  );
});
afterEach(() => cluster.stop());

const GROUPS_ID = '99999999-9999-4999-8999-999999999999';
const QUEUES_ID = '77777777-7777-4777-8777-777777777777';

const object = (scalerMetadata: Record<string, string> = {}): ScaledObjectRef => ({
  name: 'readers',
  namespace: 'pay',
  scalerMetadata: { group: GROUP, ...scalerMetadata },
});

function isActive(metadata?: Record<string, string>): Promise<IsActiveResponse> {
  const options = { deadlineMs: 1_000, clock: systemClock };
  return callUnary(cluster.client(one), Scaler.isActive, object(metadata), options);
}

async function metric(metadata?: Record<string, string>): Promise<number | undefined> {
  const request = { scaledObjectRef: object(metadata), metricName: 'lag' };
  const options = { deadlineMs: 1_000, clock: systemClock };
  const { metricValues } = await callUnary(
    cluster.client(one),
    Scaler.getMetrics,
    request,
    options,
  );
  return metricValues[0]?.metricValueFloat;
}

describe('the external scaler', () => {
  it('is active above the threshold', async () => {
    expect(await isActive()).toEqual({ result: false });
    lags.set(1, { endOffset: 25 });
    expect(await isActive()).toEqual({ result: true });
    expect(await isActive({ activationLagThreshold: '5' })).toEqual({ result: false });
    expect(await isActive({ activationLagThreshold: '4' })).toEqual({ result: true });
    expect(used).toContain(GROUP);
  });

  it('asks for no more readers than there are partitions with something to do', async () => {
    lags.set(0, { endOffset: 10_010 });
    expect(await metric({ lagThreshold: '50' })).toBe(50);
    lags.set(1, { endOffset: 21 });
    expect(await metric({ lagThreshold: '50' })).toBe(100);
    expect(await metric({ lagThreshold: '100000' })).toBe(10_001);
  });

  it('counts a partition that was added since from its first record', async () => {
    one.coordinates = groupsApi(viewOf(new Map([[0, 10]])));
    lags.set(1, { endOffset: 30, logStart: 10 });
    expect(await metric({ lagThreshold: '1000' })).toBe(20);
  });

  it('fails where a lag is not known, and is never 0 for it', async () => {
    lags.set(1, new BrokerError('DISK_FULL', 'x', { retry: 'no' }));
    await expect(isActive()).rejects.toMatchObject({ code: 'DISK_FULL' });
    await expect(metric()).rejects.toMatchObject({ code: 'DISK_FULL' });
    one.coordinates = groupsApi(undefined);
    await expect(isActive()).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
    one.coordinates = groupsApi(viewOf(new Map([[0, 1]])));
    await expect(isActive({ topic: 'others' })).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
  });

  it('counts no topic that the caller may not describe', async () => {
    lags.set(1, { endOffset: 25 });
    const ask = (principal: string): Promise<IsActiveResponse> => {
      const metadata = setPrincipal(new Metadata(), principal);
      const options = { deadlineMs: 1_000, clock: systemClock, metadata };
      return callUnary(cluster.client(one), Scaler.isActive, object(), options);
    };
    await expect(ask('token:anna')).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
    one.administrators = ['token:anna'];
    expect(await ask('token:anna')).toEqual({ result: true });
  });

  it.each([
    { group: '' },
    { group: '__x' },
    { lagThreshold: '0' },
    { lagThreshold: 'many' },
    { lagThreshold: '1e308' },
    { lagThreshold: 'Infinity' },
    { activationLagThreshold: '-1' },
    { topic: '/' },
  ])('refuses %j', async (metadata) => {
    await expect(isActive(metadata)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('the external scaler of a queue', () => {
  const QUEUE = { group: '', queue: 'jobs' };
  let records: Map<number, number | BrokerError>;

  beforeEach(() => {
    const events = cluster.image.topics.get(TOPIC_ID)!;
    const topics = Array.from({ length: 16 }, (_, partition) => ({
      ...events.partitions[0]!,
      partition,
    }));
    cluster.put({ ...events, topicId: QUEUES_ID, name: '__queues', partitions: topics });
    const [queueId, name] = ['66666666-6666-4666-8666-666666666666', 'jobs'];
    const config = QUEUE_SETTINGS_DEFAULTS;
    const queue = { queueId, name, topicId: TOPIC_ID, config };
    cluster.change({
      queues: new Map([[queueId, { ...queue, isFromLatest: false, partitionsAtFirst: 2 }]]),
      queueIdsByName: new Map([[name, queueId]]),
    });
    records = new Map();
    one.owned = {
      ...one.owned,
      describe: (_, partitions) =>
        Promise.resolve({
          partitions: partitions.map((partition) => {
            const found = records.get(partition) ?? 0;
            const error = found instanceof BrokerError ? found : new BrokerError('INTERNAL', '');
            const unknown = unknownPartition(partition, 1, error);
            return typeof found === 'number'
              ? { ...unknown, lagRecords: found, error: undefined }
              : unknown;
          }),
          members: [],
        }),
    };
  });

  it('counts what is not settled, and lets as many take it as there are', async () => {
    expect(await isActive(QUEUE)).toEqual({ result: false });
    records.set(1, 1_000);
    expect(await isActive(QUEUE)).toEqual({ result: true });
    // One partition is behind: of a group one reader could work on it.
    expect(await metric({ ...QUEUE, lagThreshold: '50' })).toBe(1_000);
    records.set(0, 7);
    expect(await metric({ ...QUEUE, lagThreshold: '50' })).toBe(1_007);
    expect(await isActive({ ...QUEUE, activationLagThreshold: '1007' })).toEqual({ result: false });
    expect(used).toEqual([]);
  });

  it('fails where a partition is not known, and is never 0 for it', async () => {
    records.set(0, new BrokerError('BROKER_NOT_READY', 'not begun'));
    await expect(isActive(QUEUE)).rejects.toMatchObject({ code: 'BROKER_NOT_READY' });
    await expect(metric(QUEUE)).rejects.toMatchObject({ code: 'BROKER_NOT_READY' });
    one.owned = OWNS_NO_QUEUES;
    await expect(metric(QUEUE)).rejects.toMatchObject({ code: 'BROKER_NOT_READY' });
    await expect(metric({ ...QUEUE, queue: 'none' })).rejects.toMatchObject({
      code: 'UNKNOWN_QUEUE',
    });
  });

  it('tells nothing of a topic that the caller may not describe', async () => {
    const ask = (): Promise<IsActiveResponse> => {
      const metadata = setPrincipal(new Metadata(), 'token:anna');
      const options = { deadlineMs: 1_000, clock: systemClock, metadata };
      return callUnary(cluster.client(one), Scaler.isActive, object(QUEUE), options);
    };
    await expect(ask()).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    one.administrators = ['token:anna'];
    expect(await ask()).toEqual({ result: false });
  });

  it.each([{ queue: 'jobs' }, { ...QUEUE, topic: 'events' }, { ...QUEUE, queue: '__x' }])(
    'refuses %j',
    async (metadata) => {
      await expect(isActive(metadata)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});

describe("KEDA's messages", () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const text = (value: string): string => Buffer.from(value).toString('hex');

  it('have its names and numbers', () => {
    expect(Object.values(Scaler).map(({ path }) => path)).toEqual([
      '/externalscaler.ExternalScaler/IsActive',
      '/externalscaler.ExternalScaler/StreamIsActive',
      '/externalscaler.ExternalScaler/GetMetricSpec',
      '/externalscaler.ExternalScaler/GetMetrics',
    ]);
    const ref = { name: 'n', namespace: 's', scalerMetadata: { k: 'v' } };
    const refHex = `0a01${text('n')}1201${text('s')}1a060a01${text('k')}1201${text('v')}`;
    expect(hex(ScaledObjectRef.encode(ref).finish())).toBe(refHex);
    const request = { scaledObjectRef: ref, metricName: 'm' };
    expect(hex(GetMetricsRequest.encode(request).finish())).toBe(`0a0e${refHex}1201${text('m')}`);
    expect(hex(IsActiveResponse.encode({ result: true }).finish())).toBe('0801');
    const spec = { metricSpecs: [{ metricName: 'm', targetSize: 3, targetSizeFloat: 3 }] };
    const double3 = '0000000000000840';
    expect(hex(GetMetricSpecResponse.encode(spec).finish())).toBe(
      `0a0e0a01${text('m')}100319${double3}`,
    );
    const value = { metricValues: [{ metricName: 'm', metricValue: 3, metricValueFloat: 3 }] };
    expect(hex(GetMetricsResponse.encode(value).finish())).toBe(
      `0a0e0a01${text('m')}100319${double3}`,
    );
  });
});
