import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  AdminServiceService,
  type PrepareStopResponse,
} from '../../../../proto/gen/tidemark/v1/admin.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster, within } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1, 2]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

/** Asked of broker 1, about broker 2. */
function prepareStop(brokerEpoch?: number): Promise<PrepareStopResponse> {
  const request = { brokerId: 2, brokerEpoch };
  return callUnary(cluster.client(one), AdminServiceService.prepareStop, request, within(4_000));
}

it('tells a broker to stop, whichever registration it has', async () => {
  expect(await prepareStop()).toMatchObject({ leadersLeft: 2, reason: { code: 'REFUSED' } });
});

it('tells none to stop but the registration that is meant', async () => {
  const { brokerEpoch } = two.nodeInfo();
  expect(await prepareStop(brokerEpoch)).toMatchObject({ leadersLeft: 2 });
  for (const other of [brokerEpoch - 1, brokerEpoch + 1]) {
    await expect(prepareStop(other)).rejects.toMatchObject({
      code: 'REFUSED',
      effect: 'none',
      message: `broker_epoch is ${other}, must be ${brokerEpoch}, that of the present registration of broker 2: nothing was done`,
    });
  }
});
