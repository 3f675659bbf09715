import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../process/system-clock.ts';
import { AdminServiceService } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

const explain = (request: { topic?: string; partition?: number; brokerId?: number }) =>
  callUnary(
    cluster.client(one),
    AdminServiceService.explainPartition,
    { topic: 'events', partition: 0, brokerId: undefined, ...request },
    { deadlineMs: 4_000, clock: systemClock },
  );

const STAND = {
  leader: -1,
  leaderEpoch: 2,
  partitionEpoch: 3,
  syncSet: [1, 2],
  suspects: [2],
  quorum: 2,
};

describe('ExplainPartition', () => {
  it('tells what the broker remembers, and hands the question on to another', async () => {
    one.explanation = { summary: 'S', refusal: 'R', rememberedFrom: 4, decisions: [] };
    const reasons = [{ text: 'it is gone', rule: 'rule 16' }];
    const decision = { topicId: 't', partition: 0, before: null, after: STAND, reasons };
    two.explanation = {
      ...one.explanation,
      decisions: [
        { ...decision, index: 7, atMs: null },
        { ...decision, index: 8, atMs: 5_000.4, before: { ...STAND, leader: 1 } },
      ],
    };
    expect(await explain({})).toMatchObject({
      brokerId: 1,
      summary: 'S',
      refusal: 'R',
      rememberedFrom: 4,
      decisions: [],
    });
    const after = { ...STAND, leader: undefined };
    expect(await explain({ brokerId: 2 })).toMatchObject({
      brokerId: 2,
      decisions: [
        { index: 7, atMs: undefined, before: undefined, after, reasons },
        { index: 8, atMs: 5_000, before: { ...STAND, leader: 1 }, after, reasons },
      ],
    });
  });

  it.each([
    [{ topic: 'other' }, 'UNKNOWN_TOPIC'],
    [{ topic: '' }, 'INVALID_ARGUMENT'],
    [{ partition: 7 }, 'UNKNOWN_PARTITION'],
    [{ partition: 4_000_000_000 }, 'INVALID_ARGUMENT'],
    [{ brokerId: 9 }, 'UNKNOWN_BROKER'],
  ])('refuses %o with %s', async (request, code) => {
    await expect(explain(request)).rejects.toMatchObject({ code });
  });
});
