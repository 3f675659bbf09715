import { describe, expect, it } from 'vitest';

import { BrokerError } from '../../../../base/errors.ts';
import type { Decision, ControllerRequest } from '../../../../broker/metadata/controller-types.ts';
import {
  replyFromMessage,
  replyToMessage,
  requestFromMessage,
  requestToMessage,
} from '../../../../broker/messages/controller-codec.ts';
import {
  DecideRequest,
  DecideResponse,
  Heartbeat,
} from '../../../../proto/gen/tidemark/internal/v1/quorum.ts';

const UUID = '22222222-2222-4222-8222-222222222222';
const CHANGE = { topicId: UUID, partition: 3, leaderEpoch: 4, partitionEpoch: 5 } as const;
const ALTER = { kind: 'alter-sync-set', brokerId: 1, brokerEpoch: 2, ...CHANGE } as const;

const register = {
  kind: 'register',
  clusterId: UUID,
  brokerId: 0,
  directoryId: UUID,
  sessionEpoch: 0,
  restartClass: 'lossy',
  host: 'pod-0',
  port: 9_000,
  rack: '',
  featureLevelMax: 1,
} as const;

const requests: ControllerRequest[] = [
  register,
  {
    kind: 'grant-access',
    rule: { principal: 'token:ops', kind: 'topic', name: 'a*', operations: ['append', 'delete'] },
    principal: 'cert:CN=Jürgen',
  },
  {
    kind: 'revoke-access',
    place: { principal: 'token:ops', kind: 'cluster', name: '' },
    operations: ['administer'],
  },
  {
    kind: 'grant-access',
    rule: { principal: 'token:ops', kind: 'group', name: 'g', operations: ['group'] },
    isGiven: true,
  },
  {
    kind: 'revoke-access',
    place: { principal: 'token:ops', kind: 'group', name: 'g' },
    operations: [],
    isGiven: true,
  },
  {
    kind: 'set-quota',
    quota: { principal: '*', appendBytesPerSecond: 5, adminCallsPerSecond: -1 },
    principal: 'token:ops',
  },
  { kind: 'delete-quota', quotaOf: 'token:ops', principal: 'token:root' },
  { kind: 'init-producer', name: 'billing', principal: 'token:billing' },
  { ...register, internal: { host: 'pod-0.internal', port: 9_001 } },
  {
    kind: 'heartbeat',
    brokerId: 0,
    brokerEpoch: 9,
    wantsUnfence: true,
    wantsStop: false,
    lossy: true,
  },
  {
    kind: 'heartbeat',
    brokerId: 0,
    brokerEpoch: 9,
    wantsUnfence: true,
    wantsStop: false,
    lossy: true,
    wallMs: 1_700_000_000_000,
    stays: true,
  },
  ...[[], [{ listener: 'outside', host: 'b0.example.org', port: 443 }]].map((listeners) => ({
    ...({ kind: 'heartbeat', brokerId: 0, brokerEpoch: 9 } as const),
    ...{ wantsUnfence: false, wantsStop: false, lossy: false },
    listeners,
  })),
  { ...ALTER, change: { op: 'add', member: 0, memberEpoch: 7 } },
  { ...ALTER, change: { op: 'remove', member: 0 } },
  { ...ALTER, change: { op: 'trust', member: 0, memberEpoch: 7 } },
  { ...ALTER, change: { op: 'raise', quorum: 3 } },
  {
    kind: 'create-topic',
    topicId: UUID,
    name: 'events',
    partitions: 2,
    replicationFactor: 3,
    assignments: [
      [0, 1],
      [1, 2],
    ],
    validateOnly: true,
    config: {
      minInSyncReplicas: 2,
      commitMode: 'quorum',
      retentionMs: -1,
      retentionBytes: 0,
      segmentBytes: 1,
      segmentMs: 1,
      batchBytesMax: 9,
      uncleanElection: false,
      retentionRecords: 0,
      cleanup: 'both',
      tombstoneRetentionMs: 0,
      compactionDirtyPercent: 1,
      compactionLagMinMs: 0,
      compactionLagMaxMs: -1,
    },
  },
  {
    kind: 'alter-topic',
    name: 'events',
    config: { commitMode: 'in-sync' },
    partitions: 0,
    replicationFactor: 2,
    waitMs: 50,
  },
  { kind: 'delete-topic', name: 'events' },
  { kind: 'make-internal-topic', topicId: UUID, name: '__groups' },
  {
    kind: 'create-queue',
    queueId: UUID,
    name: 'jobs',
    topic: 'events',
    config: {
      leaseMs: 1_000,
      deliveriesMax: 0,
      deadLetterTopic: 'dead',
      isKeyOrdered: false,
      parksKeys: true,
      delayMsMin: 0,
      delayMsMax: 3_600_000,
    },
    isFromLatest: true,
    principal: 'token:ops',
  },
  {
    kind: 'create-queue',
    queueId: UUID,
    name: 'jobs',
    topic: 'events',
    config: {},
    isFromLatest: false,
    judged: { metadataIndex: 7, topicId: UUID, leaderEpoch: 0 },
  },
  { kind: 'alter-queue', name: 'jobs', config: { deadLetterTopic: '', isKeyOrdered: true } },
  { kind: 'delete-queue', name: 'jobs' },
  {
    kind: 'delete-topic',
    name: 'events',
    judged: { metadataIndex: 7, topicId: 'some-id', leaderEpoch: 3 },
  },
  {
    kind: 'set-settings',
    settings: {},
    judged: { metadataIndex: 7, topicId: '', leaderEpoch: 0 },
  },
  { kind: 'init-producer', name: '' },
  { kind: 'init-producer', name: 'a', expected: null },
  { kind: 'init-producer', name: 'a', expected: { producerId: 7, producerEpoch: 0 } },
  {
    kind: 'elect-leader',
    topic: 'events',
    partition: 0,
    target: -1,
    unclean: true,
    givenUp: [0, 2],
  },
  { kind: 'elect-leader', topic: 'events', partition: 0, target: 0, unclean: false, givenUp: [] },
  { ...ALTER, change: { op: 'hand-over', successor: 0 } },
  { ...ALTER, change: { op: 'distrust', member: 0 } },
  {
    kind: 'alter-sync-sets',
    brokerId: 0,
    brokerEpoch: 2,
    changes: [
      { ...CHANGE, change: { op: 'add', member: 0, memberEpoch: 7 } },
      { ...CHANGE, partition: 0, change: { op: 'raise', quorum: 2 } },
    ],
  },
  { kind: 'reassign', topic: 'events', partition: 0, replicas: [] },
  { kind: 'decommission', brokerId: 0, isCancelled: true },
  { kind: 'remove-broker', brokerId: 0 },
  { kind: 'set-settings', settings: { moveBytesPerSecond: -1 } },
  { kind: 'set-settings', settings: {} },
];

const replies: Decision[] = [
  { kind: 'register', brokerEpoch: 3, restartClass: 'new' },
  { kind: 'heartbeat', fenced: true, mayStop: false, leadersLeft: 2 },
  { kind: 'heartbeat', fenced: true, mayStop: false, leadersLeft: 2, clockSkewMs: -61_000 },
  { kind: 'alter-sync-set', partitionEpoch: 0 },
  {
    kind: 'alter-sync-sets',
    outcomes: [6, new BrokerError('STALE_EPOCH', 'too late', {}), 0],
  },
  { kind: 'create-topic', topicId: UUID },
  { kind: 'alter-topic' },
  { kind: 'delete-topic' },
  { kind: 'make-internal-topic' },
  { kind: 'create-queue' },
  { kind: 'alter-queue' },
  { kind: 'delete-queue', metadataIndex: 3 },
  { kind: 'init-producer', producerId: 1, producerEpoch: 0 },
  { kind: 'elect-leader', leader: -1, leaderEpoch: 4 },
  { kind: 'elect-leader', leader: 0, leaderEpoch: 4 },
  { kind: 'reassign' },
  { kind: 'decommission', replicasLeft: 0 },
  { kind: 'remove-broker' },
  { kind: 'set-settings' },
  { kind: 'reassign', metadataIndex: 71 },
];

describe('requests to the controller', () => {
  it.each(requests)('$kind comes back as it was sent', (request) => {
    const wire = DecideRequest.encode(requestToMessage(request)).finish();
    expect(requestFromMessage(DecideRequest.decode(wire))).toEqual(request);
  });

  it.each([
    {
      name: 'nothing',
      message: { request: undefined },
      text: 'request is "absent", must be present',
    },
    {
      name: 'two changes at once',
      message: {
        request: {
          $case: 'alterSyncSet' as const,
          value: {
            ...ALTER,
            kind: undefined,
            add: 1,
            remove: 2,
            trust: undefined,
            memberEpoch: 0,
            raise: undefined,
            handOver: undefined,
            distrust: undefined,
          },
        },
      },
      text: 'changes (add, remove, trust, raise, hand_over, distrust) is 2, must be an integer of 1 to 1',
    },
    {
      name: 'no changes',
      message: {
        request: {
          $case: 'alterSyncSets' as const,
          value: { brokerId: 1, brokerEpoch: 2, changes: [] },
        },
      },
      text: 'changes length is 0, must be an integer of 1 to 500',
    },
    {
      name: 'a listener that every broker has',
      message: {
        request: {
          $case: 'heartbeat' as const,
          value: {
            ...Heartbeat.decode(new Uint8Array()),
            listeners: { addresses: [{ listener: 'internal', host: 'h', port: 1 }] },
          },
        },
      },
      text: 'listener is "internal", must not be "client" or "internal"',
    },
    {
      name: 'a topic name that is a path',
      message: { request: { $case: 'deleteTopic' as const, value: { name: '../x' } } },
      text: 'name is "../x", must be 1 to 249 of a-z A-Z 0-9 . _ -',
    },
  ])('refuses $name', ({ message, text }) => {
    const absent = { judged: undefined, expectedProducer: undefined, principal: '' };
    expect(() => requestFromMessage({ ...absent, ...message })).toThrow(text);
  });
});

describe('answers of the controller', () => {
  it.each(replies)('$kind comes back as it was sent', (reply) => {
    const wire = DecideResponse.encode(replyToMessage(reply)).finish();
    expect(replyFromMessage(reply.kind, DecideResponse.decode(wire))).toEqual(reply);
  });

  it('a refusal is thrown', () => {
    const wire = DecideResponse.encode(
      replyToMessage(new BrokerError('CONFLICT', 'busy')),
    ).finish();
    expect(() => replyFromMessage('heartbeat', DecideResponse.decode(wire))).toThrow(
      expect.objectContaining({ code: 'CONFLICT', message: 'busy' }) as Error,
    );
  });

  it('an answer to another question is a defect', () => {
    const message = replyToMessage({ kind: 'delete-topic' });
    expect(() => replyFromMessage('heartbeat', message)).toThrow('Answer to "heartbeat" is "done"');
  });
});
