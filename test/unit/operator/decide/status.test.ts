import { describe, expect, test } from 'vitest';
import type { LogClusterStatus } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import {
  answer,
  ledBy,
  NOW_MS,
  observation,
  partition,
  topic,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';

function statusFor(situation: Situation): LogClusterStatus {
  return decide(observation(situation), NOW_MS).status ?? {};
}

/** Broker 0 leads orders/0 and says this of it. */
function word(change: Parameters<typeof ledBy>[2]): Situation {
  const topics = [topic('orders', [[0, 1, 2]])];
  const led = answer(0, { replicas: ledBy(0, topics, change) });
  return { topics, change: ({ answers }) => ({ answers: answers.with(0, led) }) };
}

function available(situation: Situation): string {
  const found = statusFor(situation).conditions?.find(({ type }) => type === 'Available');
  return `${found?.status} ${found?.reason}: ${found?.message}`;
}

const behind = [1, 2].map((id) => ({
  brokerId: id,
  lagRecords: 1,
  lagMs: 6_000,
  isInSync: true,
}));

describe('status', () => {
  test.each([
    ['in sync, one behind', {}, { syncSet: [0, 1] }, 'the loss of 1 disk'],
    ['in sync, one not trusted', {}, { suspects: [2] }, 'the loss of 1 disk'],
    ['in sync, one left', { minInSyncReplicas: 1 }, { syncSet: [0] }, 'the loss of no disk'],
    ['by a majority', { commitMode: 'Quorum' }, {}, 'the loss of 1 disk'],
    ['by a majority, one not trusted', { commitMode: 'Quorum' }, { suspects: [2] }, 'no disk'],
  ] as const)('says what records survive as things are: %s', (_, config, change, loss) => {
    const orders = topic('orders', [[0, 1, 2]], config);
    const topics = [{ ...orders, partitions: [partition(0, [0, 1, 2], change)] }];
    expect(statusFor({ topics }).durability).toContain(loss);
  });

  test.each([
    ['every leader says so', {}, 'True AppendsAccepted: every partition takes appends'],
    [
      'its leader knows an older epoch',
      { leaderEpoch: 0 },
      'Unknown MetadataBehind: the leader of 1 partition has not seen the newest metadata: orders/0',
    ],
    [
      'its high-water mark stands still',
      { logEnd: 11, followers: behind },
      'False AppendsStalled: records of 1 partition wait for followers that are in sync and do not follow: orders/0',
    ],
    [
      'its followers are silent and nothing is appended',
      { followers: behind },
      'True AppendsAccepted: every partition takes appends',
    ],
  ] as const)('calls a partition available by what its leader says: %s', (_, change, expected) => {
    expect(available(word(change))).toBe(expected);
  });
});
