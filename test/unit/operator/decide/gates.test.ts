import { describe, expect, test } from 'vitest';
import {
  controllerKnown,
  harmless,
  isWithin,
  leadersHome,
  marksMove,
  metadataHeard,
  nextOpening,
  notPaused,
  othersCaughtUp,
  othersInService,
  rolloutPermitted,
} from '../../../../operator/decide/gates.ts';
import type { Gate } from '../../../../operator/decide/gates.ts';
import {
  answer,
  broker,
  harmful,
  HASH,
  ledBy,
  NOW_MS,
  observation,
  partition,
  pod,
  safe,
  topic,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';

const behind = topic('orders', [[0, 1, 2]]);
const withPartition = (change: Parameters<typeof partition>[2]): Situation => ({
  topics: [{ ...behind, partitions: [partition(0, [0, 1, 2], change)] }],
});
const allowed = (name: string, gate: Gate, situation: Situation = {}, brokerIds = [1]) =>
  [name, gate, situation, brokerIds, null] as const;
const refused = (
  name: string,
  gate: Gate,
  situation: Situation,
  refusal: { gate: string; message: string },
  brokerIds = [1],
) => [name, gate, situation, brokerIds, refusal] as const;
/** What broker 0 says of the partition that it should lead. */
const word = (
  change: Parameters<typeof ledBy>[2],
  config: Parameters<typeof topic>[2] = {},
): Situation => {
  const topics = [topic('orders', [[0, 1, 2]], config)];
  const led = answer(0, { replicas: ledBy(0, topics, change) });
  return { topics, change: ({ answers: [, b, c] }) => ({ answers: [led, b!, c!] }) };
};
const followers = (...lags: number[]) =>
  lags.map((lagMs, index) => ({ brokerId: index + 1, lagRecords: 1, lagMs, isInSync: true }));
const window = { start: '02:30', durationMinutes: 60, days: ['Sat'] };

describe('gates', () => {
  test.each([
    allowed('nothing is paused', notPaused),
    refused(
      'disruptions are paused',
      notPaused,
      { spec: { paused: 'Disruptions' } },
      {
        gate: 'Paused',
        message: 'spec.paused is Disruptions, must be absent to stop a broker',
      },
    ),
    allowed('the controller answers', controllerKnown),
    refused(
      'no controller answers',
      controllerKnown,
      { change: () => ({ metadata: null }) },
      {
        gate: 'ControllerUnknown',
        message: 'waiting for a broker to answer as controller',
      },
    ),
    allowed('all others are in service', othersInService),
    allowed('only the one to be stopped is down', othersInService, {
      change: ({ pods: [a, , c] }) => ({ pods: [a!, c!] }),
    }),
    refused(
      'another pod is missing',
      othersInService,
      { change: ({ pods: [a, b] }) => ({ pods: [a!, b!] }) },
      {
        gate: 'BrokerOutOfService',
        message: 'waiting for broker 2 to be in service: pod tm-2 does not exist',
      },
    ),
    refused(
      'another pod is stopping',
      othersInService,
      { change: ({ pods: [a, b] }) => ({ pods: [a!, b!, pod(2, { isTerminating: true })] }) },
      {
        gate: 'BrokerOutOfService',
        message: 'waiting for broker 2 to be in service: pod tm-2 is stopping',
      },
    ),
    refused(
      'another pod has a broken image',
      othersInService,
      {
        change: ({ pods: [a, b] }) => ({
          pods: [a!, b!, pod(2, { isReady: false, stuck: 'ImagePullBackOff: not found' })],
        }),
      },
      {
        gate: 'BrokerOutOfService',
        message:
          'waiting for broker 2 to be in service: pod tm-2 does not run (ImagePullBackOff: not found)',
      },
    ),
    refused(
      'another does not answer',
      othersInService,
      {
        change: ({ answers: [a, b] }) => ({ answers: [a!, b!, answer(2, { fault: 'no route' })] }),
      },
      {
        gate: 'BrokerOutOfService',
        message: 'waiting for broker 2 to be in service: it does not answer on node n2 (no route)',
      },
    ),
    refused(
      'another is fenced',
      othersInService,
      {
        change: ({ metadata }) => ({
          metadata: {
            ...metadata!,
            brokers: [broker(0), broker(1), broker(2, { isFenced: true })],
          },
        }),
      },
      {
        gate: 'BrokerOutOfService',
        message: 'waiting for broker 2 to be in service: the controller has it fenced',
      },
    ),
    refused(
      'another came back a moment ago',
      othersInService,
      { change: ({ answers: [a, b] }) => ({ answers: [a!, b!, answer(2, { brokerEpoch: 99 })] }) },
      {
        gate: 'BrokerOutOfService',
        message:
          'waiting for broker 2 to be in service: it registered anew (epoch 99), which the controller does not show yet',
      },
    ),
    allowed('all others are caught up', othersCaughtUp),
    refused(
      'another is behind',
      othersCaughtUp,
      {
        ...withPartition({ syncSet: [0, 1] }),
        change: ({ answers: [, b, c] }) => ({
          answers: [
            answer(0, {
              replicas: ledBy(0, [behind], {
                bytesPerRecord: 1_000,
                followers: [{ brokerId: 2, lagRecords: 41_000, lagMs: 9_000, isInSync: false }],
              }),
            }),
            b!,
            c!,
          ],
        }),
      },
      {
        gate: 'ReplicasBehind',
        message: 'waiting for broker 2 to rejoin 1 sync set: orders/0; 41 MB behind',
      },
    ),
    refused('another is a suspect', othersCaughtUp, withPartition({ suspects: [2] }), {
      gate: 'ReplicasBehind',
      message: 'waiting for broker 2 to rejoin 1 sync set: orders/0',
    }),
    allowed(
      'another is being added to a partition',
      othersCaughtUp,
      withPartition({ syncSet: [0, 1], adding: [2] }),
    ),
    refused('another leads less than it should', leadersHome, withPartition({ leader: 2 }), {
      gate: 'LeadersAway',
      message: 'waiting for broker 0 to lead 1 partition again: orders/0',
    }),
    allowed(
      'the one to be stopped leads less than it should',
      leadersHome,
      withPartition({ leader: 2 }),
      [0],
    ),
    allowed('everybody hears the controller and leads by the newest metadata', metadataHeard),
    refused(
      'a voter hears another controller',
      metadataHeard,
      { change: ({ answers: [a, , c] }) => ({ answers: [a!, answer(1, { controller: 2 }), c!] }) },
      {
        gate: 'MetadataBehind',
        message: 'waiting for broker 1 to hear broker 0, the controller',
      },
    ),
    refused('a leader knows an older epoch', metadataHeard, word({ leaderEpoch: 0 }), {
      gate: 'MetadataBehind',
      message: 'waiting for the leader of 1 partition to lead by the newest metadata: orders/0',
    }),
    refused('a leader does not lead yet', metadataHeard, word({ isLeading: false }), {
      gate: 'MetadataBehind',
      message: 'waiting for the leader of 1 partition to lead by the newest metadata: orders/0',
    }),
    allowed('a leader is silent, which another gate says', metadataHeard, {
      change: ({ answers: [, b, c] }) => ({
        answers: [answer(0, { fault: 'no connection', replicas: [] }), b!, c!],
      }),
    }),
    allowed('no record waits', marksMove, word({ followers: followers(60_000, 60_000) })),
    allowed(
      'records wait for followers that follow',
      marksMove,
      word({ logEnd: 11, followers: followers(20, 900) }),
    ),
    refused(
      'records wait for one that does not',
      marksMove,
      word({ logEnd: 11, followers: followers(20, 9_000) }),
      {
        gate: 'AppendsStalled',
        message:
          'waiting for the followers of 1 partition, where records are not committed: orders/0',
      },
    ),
    allowed(
      'a majority follows, and no more is needed',
      marksMove,
      word({ logEnd: 11, followers: followers(20, 9_000) }, { commitMode: 'Quorum' }),
    ),
    refused(
      'a majority follows, and the minimum is above it',
      marksMove,
      word(
        { logEnd: 11, followers: followers(20, 9_000) },
        { commitMode: 'Quorum', minInSyncReplicas: 3 },
      ),
      {
        gate: 'AppendsStalled',
        message:
          'waiting for the followers of 1 partition, where records are not committed: orders/0',
      },
    ),
    allowed('the stop harms nothing', harmless),
    refused(
      'nobody said what the stop would do',
      harmless,
      { change: () => ({ verdicts: [safe(0), safe(2)] }) },
      {
        gate: 'VerdictUnknown',
        message: 'waiting for the controller to say whether broker 1 may stop',
      },
    ),
    refused(
      'the set was not asked about',
      harmless,
      {},
      {
        gate: 'VerdictUnknown',
        message: 'waiting for the controller to say whether brokers 0, 1 may stop',
      },
      [0, 1],
    ),
    refused(
      'a partition would stop taking appends',
      harmless,
      {
        change: () => ({
          verdicts: [harmful([1], 'orders', '1 would be left, minInSyncReplicas is 2')],
        }),
      },
      {
        gate: 'WouldHarm',
        message:
          'waiting until broker 1 may stop: 1 partition would suffer: orders/0 (1 would be left, minInSyncReplicas is 2)',
      },
    ),
    refused(
      'the quorum would be lost',
      harmless,
      {
        change: () => ({
          verdicts: [
            {
              ...safe(1),
              isSafe: false,
              takesQuorum: true,
              reason: '1 of 3 metadata voters would be left, 2 are needed',
            },
          ],
        }),
      },
      {
        gate: 'WouldHarm',
        message:
          'waiting until broker 1 may stop: 1 of 3 metadata voters would be left, 2 are needed',
      },
    ),
    allowed('a partition of one copy stops with it whatever one does', harmless, {
      topics: [topic('single', [[1]], { minInSyncReplicas: 1 })],
      change: () => ({ verdicts: [harmful([1], 'single', 'none would be left')] }),
    }),
    refused(
      'such a partition has a replica to wait for',
      harmless,
      {
        topics: [
          {
            ...topic('all', [[0, 1, 2]], { minInSyncReplicas: 3 }),
            partitions: [partition(0, [0, 1, 2], { syncSet: [0, 1] })],
          },
        ],
        change: () => ({ verdicts: [harmful([1], 'all', '1 would be left')] }),
      },
      {
        gate: 'WouldHarm',
        message:
          'waiting until broker 1 may stop: 1 partition would suffer: all/0 (1 would be left)',
      },
    ),
    allowed('the policy is Automatic', rolloutPermitted),
    refused(
      'approval is missing',
      rolloutPermitted,
      { spec: { rollout: { policy: 'Manual' } } },
      {
        gate: 'ApprovalMissing',
        message: `rollout.policy is Manual: annotation tidemark.dev/approved-rollout is absent, must be ${HASH}`,
      },
    ),
    allowed('approval is given', rolloutPermitted, {
      spec: { rollout: { policy: 'Manual' } },
      annotations: { 'tidemark.dev/approved-rollout': HASH },
    }),
    refused(
      'it is outside the window',
      rolloutPermitted,
      { spec: { rollout: { policy: 'Window', window } } },
      {
        gate: 'OutsideWindow',
        message: 'waiting for the rollout window: it opens 2026-11-28T02:30:00Z',
      },
    ),
  ])('%s', (_, gate, situation, brokerIds, expected) => {
    expect(gate(observation(situation), brokerIds, NOW_MS)).toEqual(expected);
  });
});

describe('isWithin', () => {
  const at = (day: number, hours: number, minutes: number): number =>
    Date.UTC(2026, 10, day, hours, minutes);
  test.each([
    ['at its begin', { start: '12:00', durationMinutes: 10 }, at(23, 12, 0), true],
    ['a moment before', { start: '12:00', durationMinutes: 10 }, at(23, 12, 0) - 1, false],
    ['at its end', { start: '12:00', durationMinutes: 10 }, at(23, 12, 10), false],
    [
      'past midnight, by the day on which it began',
      { start: '23:30', durationMinutes: 60, days: ['Mon'] as const },
      at(24, 0, 15),
      true,
    ],
    [
      'past midnight on its own day',
      { start: '23:30', durationMinutes: 60, days: ['Tue'] as const },
      at(24, 0, 15),
      false,
    ],
    [
      'on another day',
      { start: '12:00', durationMinutes: 10, days: ['Sun'] as const },
      at(23, 12, 5),
      false,
    ],
  ])('%s', (_, window, nowMs, expected) => {
    expect(isWithin(window, nowMs)).toBe(expected);
  });
});

describe('nextOpening', () => {
  const nowMs = Date.UTC(2026, 10, 23, 12);
  test.each([
    ['later today', { start: '12:01', durationMinutes: 10 }, '2026-11-23T12:01:00.000Z'],
    [
      'tomorrow, where it opened a moment ago',
      { start: '12:00', durationMinutes: 10 },
      '2026-11-24T12:00:00.000Z',
    ],
    [
      'on the only day, in a week',
      { start: '12:00', durationMinutes: 10, days: ['Mon'] as const },
      '2026-11-30T12:00:00.000Z',
    ],
    [
      'on the nearest of several days',
      { start: '00:00', durationMinutes: 10, days: ['Mon', 'Sun', 'Thu'] as const },
      '2026-11-26T00:00:00.000Z',
    ],
  ])('is %s', (_, window, expected) => {
    expect(new Date(nextOpening(window, nowMs) ?? 0).toISOString()).toBe(expected);
  });
});
