import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { LEVEL_OF_TRIMS } from '../../../../broker/metadata/features.ts';
import { topicIdBytes } from '../../../../broker/messages/fields.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { AdminServiceService } from '../../../../proto/gen/tidemark/v1/admin.ts';
import type { TrimTopicRequest } from '../../../../proto/gen/tidemark/v1/trims.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;
let asked: string[];

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  await cluster.add(2);
  cluster.lead([1, 2]);
  cluster.image = { ...cluster.image, featureLevel: LEVEL_OF_TRIMS };
  asked = [];
  cluster.trim = (brokerId, partition, offset) => {
    asked.push(`${brokerId}: ${partition} to ${offset}`);
    return Promise.resolve(offset - 1);
  };
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

const trim = (request: Partial<TrimTopicRequest> = {}, deadlineMs = 4_000) =>
  callUnary(
    cluster.client(one),
    AdminServiceService.trimTopic,
    { topic: 'events', partition: 0, offset: 5, topicId: undefined, ...request },
    { deadlineMs, clock: systemClock },
  );

describe('TrimTopic', () => {
  it.each([0, 1])('of partition %d is carried out by its leader', async (partition) => {
    const topicId = topicIdBytes(TOPIC_ID);
    const answer = await trim({ partition, topicId });
    expect({ ...answer, topicId: Uint8Array.from(answer.topicId) }).toEqual({
      topicId,
      logStart: 4,
    });
    expect(asked).toEqual([`${partition + 1}: ${partition} to 5`]);
  });

  it('is asked again while it may yet succeed, and after an unknown outcome', async () => {
    const errors = ['OFFSET_NOT_AVAILABLE', 'STALE_EPOCH', 'NOT_ENOUGH_REPLICAS'] as const;
    cluster.trim = (_brokerId, _partition, offset) => {
      const code = errors[asked.length];
      asked.push(code ?? 'done');
      return code === undefined
        ? Promise.resolve(offset)
        : Promise.reject(new BrokerError(code, 'no'));
    };
    expect(await trim({ partition: 1 })).toMatchObject({ logStart: 5 });
    expect(asked).toEqual([...errors, 'done']);
  });

  it('is refused at once where nothing can help', async () => {
    cluster.trim = () => Promise.reject(new BrokerError('OFFSET_OUT_OF_RANGE', 'no'));
    await expect(trim({ partition: 1 })).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  });

  it.each([0, 1])('of partition %d waits no longer than its caller', async (partition) => {
    cluster.trim = () => new Promise(() => undefined);
    await expect(trim({ partition }, 200)).rejects.toMatchObject({ effect: 'unknown' });
  });

  it.each([
    [{ topic: 'other' }, 'UNKNOWN_TOPIC'],
    [{ topic: '' }, 'INVALID_ARGUMENT'],
    [{ partition: 9 }, 'UNKNOWN_PARTITION'],
    [{ offset: Number.MAX_SAFE_INTEGER }, 'INVALID_ARGUMENT'],
    [{ topicId: Uint8Array.of(1) }, 'INVALID_ARGUMENT'],
    [{ topicId: topicIdBytes('33333333-3333-4333-8333-333333333333') }, 'UNKNOWN_TOPIC'],
  ])('refuses %o with %s, and trims nothing', async (request, code) => {
    await expect(trim(request)).rejects.toMatchObject({ code });
    expect(asked).toEqual([]);
  });

  it.each([
    ['deleteTopic', AdminServiceService.deleteTopic, { name: 'events' }],
    ['alterTopic', AdminServiceService.alterTopic, { name: 'events' }],
    ['electLeader', AdminServiceService.electLeader, { topic: 'events' }],
    ['reassignPartition', AdminServiceService.reassignPartition, { topic: 'events' }],
  ] as const)('like %s, means the topic that has the id', async (_name, method, named) => {
    cluster.decide = () => {
      asked.push('decided');
      throw new BrokerError('REFUSED', 'no');
    };
    const make = (topicId: string) =>
      callUnary(
        cluster.client(one),
        method as typeof AdminServiceService.deleteTopic,
        {
          ...method.requestDeserialize(Buffer.alloc(0)),
          ...named,
          topicId: topicIdBytes(topicId),
        } as never,
        { deadlineMs: 4_000, clock: systemClock },
      );
    const other = make('33333333-3333-4333-8333-333333333333');
    await expect(other).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC', effect: 'none' });
    expect(asked).toEqual([]);
    await expect(make(TOPIC_ID)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(asked).toEqual(['decided']);
  });

  it('waits for every broker to be able to read one', async () => {
    cluster.image = { ...cluster.image, featureLevel: LEVEL_OF_TRIMS - 1 };
    await expect(trim()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(asked).toEqual([]);
  });
});
