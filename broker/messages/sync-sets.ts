/** Changes of sync sets, and what became of them, between values and protobuf. */
import { PARTITIONS_PER_TOPIC_MAX, SYNC_SET_CHANGES_MAX } from '../../base/limits.ts';
import { assertNever } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { PartitionEpoch } from '../../base/units.ts';
import type {
  AlterSyncSet,
  AlterSyncSets,
  SyncSetOutcome,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { errorFromMessage, errorToMessage } from '../../wire/grpc/errors.ts';
import type {
  AlterSyncSetRequest,
  AlterSyncSetsRequest,
  SyncSetChange,
} from '../metadata/controller-types.ts';
import { integerField, presentField, uuidField } from './fields.ts';
import { brokerIdField } from './topics.ts';

export function alterSyncSetToMessage({
  change,
  ...rest
}: Omit<AlterSyncSetRequest, 'kind'>): AlterSyncSet {
  const { brokerId, brokerEpoch, topicId, partition, leaderEpoch, partitionEpoch } = rest;
  const message: AlterSyncSet = {
    ...{ brokerId, brokerEpoch, topicId, partition, leaderEpoch, partitionEpoch },
    add: undefined,
    remove: undefined,
    trust: undefined,
    memberEpoch: 0,
    raise: undefined,
    handOver: undefined,
    distrust: undefined,
  };
  switch (change.op) {
    case 'add':
      return { ...message, add: change.member, memberEpoch: change.memberEpoch };
    case 'trust':
      return { ...message, trust: change.member, memberEpoch: change.memberEpoch };
    case 'remove':
      return { ...message, remove: change.member };
    case 'raise':
      return { ...message, raise: change.quorum };
    case 'hand-over':
      return { ...message, handOver: change.successor };
    case 'distrust':
      return { ...message, distrust: change.member };
    default:
      return assertNever(change);
  }
}

export function alterSyncSetsToMessage({
  brokerId,
  brokerEpoch,
  changes,
}: AlterSyncSetsRequest): AlterSyncSets {
  const sender = { brokerId: 0, brokerEpoch: 0 };
  return {
    brokerId,
    brokerEpoch,
    changes: changes.map((change) => alterSyncSetToMessage({ ...change, ...sender })),
  };
}

export function alterSyncSetField(message: AlterSyncSet): AlterSyncSetRequest {
  return {
    kind: 'alter-sync-set',
    brokerId: brokerIdField('broker_id', message.brokerId),
    brokerEpoch: message.brokerEpoch,
    ...syncSetChangeField(message),
  };
}

export function alterSyncSetsField({
  brokerId,
  brokerEpoch,
  changes,
}: AlterSyncSets): AlterSyncSetsRequest {
  integerField('changes length', changes.length, 1, SYNC_SET_CHANGES_MAX);
  return {
    kind: 'alter-sync-sets',
    brokerId: brokerIdField('broker_id', brokerId),
    brokerEpoch,
    changes: changes.map(syncSetChangeField),
  };
}

function syncSetChangeField(message: AlterSyncSet): SyncSetChange {
  const { leaderEpoch, partitionEpoch } = message;
  return {
    topicId: uuidField('topic_id', message.topicId),
    partition: integerField('partition', message.partition, 0, PARTITIONS_PER_TOPIC_MAX - 1),
    leaderEpoch,
    partitionEpoch,
    change: changeField(message),
  };
}

function changeField({
  add,
  remove,
  trust,
  raise,
  handOver,
  distrust,
  memberEpoch,
}: AlterSyncSet): SyncSetChange['change'] {
  const stated = [add, remove, trust, raise, handOver, distrust].filter(
    (value) => value !== undefined,
  );
  integerField('changes (add, remove, trust, raise, hand_over, distrust)', stated.length, 1, 1);
  if (add !== undefined) return { op: 'add', member: brokerIdField('add', add), memberEpoch };
  if (trust !== undefined)
    return { op: 'trust', member: brokerIdField('trust', trust), memberEpoch };
  if (remove !== undefined) return { op: 'remove', member: brokerIdField('remove', remove) };
  if (distrust !== undefined)
    return { op: 'distrust', member: brokerIdField('distrust', distrust) };
  if (handOver !== undefined)
    return { op: 'hand-over', successor: brokerIdField('hand_over', handOver) };
  return { op: 'raise', quorum: presentField('raise', raise) };
}

export function outcomeToMessage(outcome: PartitionEpoch | BrokerError): SyncSetOutcome {
  return outcome instanceof BrokerError
    ? { partitionEpoch: 0, error: errorToMessage(outcome) }
    : { partitionEpoch: outcome, error: undefined };
}

export function outcomeField({
  partitionEpoch,
  error,
}: SyncSetOutcome): PartitionEpoch | BrokerError {
  return error === undefined ? partitionEpoch : errorFromMessage(error);
}
