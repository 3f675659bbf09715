import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cluster } from '../../../../broker/service/cluster.ts';
import { clusterOffsets, EARLIEST, type Point } from '../../../../broker/service/offsets.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  await cluster.add(2);
  cluster.lead([1, 2]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

/** Not over gRPC, where the caller's own clock may end the call first. */
async function ask(partition: number, point: Point, deadlineMs: number) {
  const dial = (): never => {
    throw new Error('nobody is dialled');
  };
  const asked = new Cluster(one, dial);
  const question = { topic: asked.topic('events'), partitions: [partition], point, principal: '' };
  const report = (error: unknown): void => void cluster.defects.push(error);
  const [answer] = await clusterOffsets(asked, question, deadlineMs, report);
  return answer;
}

describe('ListOffsets', () => {
  it('asks the leaders', async () => {
    cluster.brokers.get(2)!.log(1).end = 2;
    const { offsets } = await callUnary(
      cluster.client(one),
      LogServiceService.listOffsets,
      { topic: 'events', partitions: [], start: { point: { $case: 'latest', value: true } } },
      { deadlineMs: 4_000, clock: systemClock },
    );
    expect(
      offsets.map(({ partition, offset, highWaterMark }) => [partition, offset, highWaterMark]),
    ).toEqual([
      [0, 0, 0],
      [1, 2, 2],
    ]);
  });

  it('answers an error where no leader is found before the deadline', async () => {
    cluster.lead([1, -1]);
    expect((await ask(1, EARLIEST, 200))?.error?.code).toBe('LEADER_UNKNOWN');
  });

  it('waits for a trim that may raise the start, and names no start before', async () => {
    one.isTrimming = true;
    expect((await ask(0, EARLIEST, 200))?.error?.code).toBe('OFFSET_NOT_AVAILABLE');
    const waiting = ask(0, EARLIEST, 20_000);
    one.isTrimming = false;
    expect(await waiting).toMatchObject({ offset: 0, error: undefined });
  });
});
