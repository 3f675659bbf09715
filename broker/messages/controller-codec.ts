/**
 * Requests to the controller and its answers, between values and protobuf. Total both ways; what
 * arrives is checked field by field.
 */
import {
  ABILITIES_PER_HEARTBEAT_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  PORT_MAX,
  REPLICATION_FACTOR_MAX,
} from '../../base/limits.ts';
import { assertNever } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { HostPort } from '../../base/host-port.ts';
import { addressesFault, type ListenerAddress } from '../../base/listeners.ts';
import { NO_BROKER } from '../../base/units.ts';
import type {
  InitProducerRequest,
  AbilityStatement,
  AskedRequest,
  ControllerReply,
  Decision,
  ControllerRequest,
  GrantAccessRequest,
  HeartbeatRequest,
  RegisterRequest,
  RevokeAccessRequest,
} from '../metadata/controller-types.ts';
import type { ProcessStart } from '../metadata/types.ts';
import type {
  DecideRequest,
  DecideResponse,
  Heartbeat,
  ListenerAddresses,
  HeartbeatReply,
  Reassign,
  Register,
  ReplicaAbility,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { errorFromMessage, errorToMessage } from '../../wire/grpc/errors.ts';
import {
  operationsField,
  operationsToMessage,
  placeField,
  principalField,
  resourceToMessage,
  ruleField,
  ruleToMessage,
} from './access.ts';
import {
  integerField,
  presentField,
  refuse,
  textField,
  topicNameField,
  uuidField,
} from './fields.ts';
import {
  alterQueueField,
  createQueueField,
  createQueueToMessage,
  queueNameField,
  queueSettingsToMessage,
} from './queues.ts';
import { quotaField, quotaPrincipalField, quotaToMessage } from './quotas.ts';
import { settingsField, settingsToMessage } from './settings.ts';
import {
  alterSyncSetField,
  alterSyncSetsField,
  alterSyncSetsToMessage,
  alterSyncSetToMessage,
  outcomeField,
  outcomeToMessage,
} from './sync-sets.ts';
import {
  alterTopicField,
  alterTopicToMessage,
  brokerIdField,
  createTopicField,
  createTopicToMessage,
  electLeaderField,
  electLeaderToMessage,
  restartClassField,
  restartClassToMessage,
} from './topics.ts';

/** Requests that say what their sender went by. */
const ASKED: ReadonlySet<ControllerRequest['kind']> = new Set([
  'create-topic',
  'alter-topic',
  'delete-topic',
  'elect-leader',
  'reassign',
  'decommission',
  'remove-broker',
  'set-settings',
  'grant-access',
  'revoke-access',
  'set-quota',
  'delete-quota',
  'create-queue',
  'alter-queue',
  'delete-queue',
]);

/** Characters of the reason why a replica cannot lead: it stands in every snapshot. */
const REASON_UNITS_MAX = 40;

/** Of a name that is not known: ids begin at 1. */
const NO_PRODUCER = { producerId: 0, producerEpoch: 0 };

/** A request as it travels. */
export function requestToMessage(request: ControllerRequest): DecideRequest {
  const judged = isAsked(request) ? request.judged : undefined;
  const expected = request.kind === 'init-producer' ? request.expected : undefined;
  return {
    request: requestBody(request),
    judged,
    expectedProducer: expected === null ? NO_PRODUCER : expected,
    principal: 'principal' in request ? (request.principal ?? '') : '',
  };
}

/** A request as the controller takes it. Throws INVALID_ARGUMENT. */
export function requestFromMessage(message: DecideRequest): ControllerRequest {
  const value = requestValue(presentField('request', message.request));
  const request =
    value.kind === 'init-producer'
      ? { ...value, ...expectedProducer(message.expectedProducer) }
      : value;
  const judged =
    message.judged === undefined || !isAsked(request)
      ? request
      : { ...request, judged: message.judged };
  if (message.principal === '' || !(isAsked(judged) || judged.kind === 'init-producer'))
    return judged;
  return { ...judged, principal: principalField('principal', message.principal) };
}

function requestValue(request: NonNullable<DecideRequest['request']>): ControllerRequest {
  switch (request.$case) {
    case 'register':
      return registerField(request.value);
    case 'heartbeat':
      return heartbeatField(request.value);
    case 'alterSyncSet':
      return alterSyncSetField(request.value);
    case 'alterSyncSets':
      return alterSyncSetsField(request.value);
    case 'createTopic':
      return createTopicField(
        request.value.topicId,
        presentField('create_topic.request', request.value.request),
      );
    case 'alterTopic':
      return alterTopicField(request.value);
    case 'deleteTopic':
      return { kind: 'delete-topic', name: topicNameField('name', request.value.name) };
    case 'makeInternalTopic':
      return {
        kind: 'make-internal-topic',
        topicId: uuidField('make_internal_topic.topic_id', request.value.topicId),
        name: topicNameField('make_internal_topic.name', request.value.name),
      };
    case 'initProducer':
      return { kind: 'init-producer', name: textField('init_producer', request.value) };
    case 'electLeader':
      return electLeaderField(request.value);
    case 'reassign':
      return reassignField(request.value);
    case 'decommission':
      return {
        kind: 'decommission',
        brokerId: brokerIdField('broker_id', request.value.brokerId),
        isCancelled: request.value.cancelled,
      };
    case 'removeBroker':
      return { kind: 'remove-broker', brokerId: brokerIdField('remove_broker', request.value) };
    case 'setSettings':
      return { kind: 'set-settings', settings: settingsField('set_settings', request.value) };
    case 'grantAccess':
      return {
        kind: 'grant-access',
        rule: ruleField(request.value.rule),
        ...(request.value.forLogAccess ? { isGiven: true } : {}),
      };
    case 'revokeAccess':
      return {
        kind: 'revoke-access',
        place: placeField(request.value.principal, request.value.resource),
        operations: operationsField('operations', request.value.operations),
        ...(request.value.forLogAccess ? { isGiven: true } : {}),
      };
    case 'setQuota':
      return { kind: 'set-quota', quota: quotaField(request.value.quota) };
    case 'deleteQuota':
      return {
        kind: 'delete-quota',
        quotaOf: quotaPrincipalField('delete_quota.principal', request.value.principal),
      };
    case 'createQueue':
      return createQueueField(
        request.value.queueId,
        presentField('create_queue.request', request.value.request),
      );
    case 'alterQueue':
      return alterQueueField(request.value);
    case 'deleteQueue':
      return { kind: 'delete-queue', name: queueNameField('name', request.value.name) };
    default:
      return assertNever(request);
  }
}

function expectedProducer(
  message: DecideRequest['expectedProducer'],
): Pick<InitProducerRequest, 'expected'> {
  if (message === undefined) return {};
  return { expected: message.producerId === NO_PRODUCER.producerId ? null : { ...message } };
}

/** An answer as it travels. */
export function replyToMessage(reply: Decision | BrokerError): DecideResponse {
  if (reply instanceof BrokerError)
    return { reply: undefined, error: errorToMessage(reply), metadataIndex: 0 };
  return { reply: replyBody(reply), error: undefined, metadataIndex: reply.metadataIndex ?? 0 };
}

/**
 * The answer to a request of this kind. Throws the controller's refusal, and INTERNAL for an answer
 * to something else.
 */
export function replyFromMessage(
  kind: ControllerRequest['kind'],
  message: DecideResponse,
): Decision {
  const { error, metadataIndex } = message;
  if (error !== undefined) throw errorFromMessage(error);
  const reply = replyValue(kind, message.reply);
  if (reply?.kind === kind) return metadataIndex === 0 ? reply : { ...reply, metadataIndex };
  throw new BrokerError('INTERNAL', `Answer to "${kind}" is "${message.reply?.$case ?? 'absent'}"`);
}

function requestBody(request: ControllerRequest): NonNullable<DecideRequest['request']> {
  switch (request.kind) {
    case 'register': {
      const { kind: _, restartClass, internal, start, ...rest } = request;
      return {
        $case: 'register',
        value: {
          ...rest,
          restartClass: restartClassToMessage(restartClass),
          startId: start?.id ?? '',
          startNumber: start?.number ?? 0,
          internalHost: internal?.host ?? '',
          internalPort: internal?.port ?? 0,
        },
      };
    }
    case 'heartbeat':
      return { $case: 'heartbeat', value: heartbeatToMessage(request) };
    case 'alter-sync-set':
      return { $case: 'alterSyncSet', value: alterSyncSetToMessage(request) };
    case 'alter-sync-sets':
      return { $case: 'alterSyncSets', value: alterSyncSetsToMessage(request) };
    case 'create-topic':
      return {
        $case: 'createTopic',
        value: { topicId: request.topicId, request: createTopicToMessage(request) },
      };
    case 'alter-topic':
      return { $case: 'alterTopic', value: alterTopicToMessage(request) };
    case 'delete-topic':
      return { $case: 'deleteTopic', value: { name: request.name } };
    case 'make-internal-topic':
      return { $case: 'makeInternalTopic', value: request };
    case 'init-producer':
      return { $case: 'initProducer', value: request.name };
    case 'elect-leader':
      return { $case: 'electLeader', value: electLeaderToMessage(request) };
    case 'reassign':
      return {
        $case: 'reassign',
        value: {
          topic: request.topic,
          partition: request.partition,
          replicas: [...request.replicas],
        },
      };
    case 'decommission':
      return {
        $case: 'decommission',
        value: { brokerId: request.brokerId, cancelled: request.isCancelled },
      };
    case 'remove-broker':
      return { $case: 'removeBroker', value: request.brokerId };
    case 'set-settings':
      return { $case: 'setSettings', value: settingsToMessage(request.settings) };
    case 'grant-access':
    case 'revoke-access':
      return accessBody(request);
    case 'set-quota':
      return { $case: 'setQuota', value: { quota: quotaToMessage(request.quota) } };
    case 'delete-quota':
      return { $case: 'deleteQuota', value: { principal: request.quotaOf } };
    case 'create-queue':
      return {
        $case: 'createQueue',
        value: { queueId: request.queueId, request: createQueueToMessage(request) },
      };
    case 'alter-queue':
      return {
        $case: 'alterQueue',
        value: { name: request.name, config: queueSettingsToMessage(request.config) },
      };
    case 'delete-queue':
      return { $case: 'deleteQueue', value: { name: request.name } };
    default:
      return assertNever(request);
  }
}

function heartbeatToMessage({
  kind: _,
  wallMs = 0,
  leaves = false,
  stays = false,
  metadataIndex = 0,
  drains = false,
  abilities = [],
  listeners,
  ...value
}: HeartbeatRequest): Heartbeat {
  return {
    ...value,
    wallMs: Math.trunc(wallMs),
    leaves,
    stays,
    metadataIndex,
    drains,
    abilities: [...abilities],
    listeners: listeners === undefined ? undefined : { addresses: [...listeners] },
  };
}

function accessBody(
  request: GrantAccessRequest | RevokeAccessRequest,
): NonNullable<DecideRequest['request']> {
  if (request.kind === 'grant-access')
    return {
      $case: 'grantAccess',
      value: { rule: ruleToMessage(request.rule), forLogAccess: request.isGiven === true },
    };
  const { place, operations } = request;
  return {
    $case: 'revokeAccess',
    value: {
      principal: place.principal,
      resource: resourceToMessage(place),
      operations: operationsToMessage(operations),
      forLogAccess: request.isGiven === true,
    },
  };
}

function registerField(message: Register): RegisterRequest {
  return {
    kind: 'register',
    clusterId: textField('cluster_id', message.clusterId),
    brokerId: brokerIdField('broker_id', message.brokerId),
    directoryId: uuidField('directory_id', message.directoryId),
    sessionEpoch: message.sessionEpoch,
    restartClass: restartClassField('restart_class', message.restartClass),
    host:
      message.host === ''
        ? refuse('host', '', 'a host name or address')
        : textField('host', message.host),
    port: integerField('port', message.port, 1, PORT_MAX),
    ...(message.internalHost === '' ? {} : { internal: internalField(message) }),
    rack: textField('rack', message.rack),
    featureLevelMax: message.featureLevelMax,
    ...(message.startId === '' ? {} : { start: startField(message) }),
  };
}

function internalField({ internalHost, internalPort }: Register): HostPort {
  return {
    host: textField('internal_host', internalHost),
    port: integerField('internal_port', internalPort, 1, PORT_MAX),
  };
}

function startField({ startId, startNumber }: Register): ProcessStart {
  return { id: textField('start_id', startId), number: startNumber };
}

function abilityField({ topicId, partition, reason }: ReplicaAbility): AbilityStatement {
  return {
    topicId: uuidField('abilities.topic_id', topicId),
    partition: integerField('abilities.partition', partition, 0, PARTITIONS_PER_TOPIC_MAX - 1),
    reason: textField('abilities.reason', reason, REASON_UNITS_MAX),
  };
}

function heartbeatField(heartbeat: Heartbeat): HeartbeatRequest {
  const { wallMs, leaves, stays, metadataIndex, drains, abilities, listeners, ...message } =
    heartbeat;
  integerField('abilities length', abilities.length, 0, ABILITIES_PER_HEARTBEAT_MAX);
  const brokerId = brokerIdField('broker_id', message.brokerId);
  return {
    kind: 'heartbeat',
    ...message,
    brokerId,
    ...(wallMs === 0 ? {} : { wallMs }),
    ...(leaves ? { leaves } : {}),
    ...(stays ? { stays } : {}),
    ...(metadataIndex === 0 ? {} : { metadataIndex }),
    ...(drains ? { drains } : {}),
    ...(abilities.length === 0 ? {} : { abilities: abilities.map(abilityField) }),
    ...(listeners === undefined ? {} : { listeners: listenersField(listeners) }),
  };
}

function listenersField({ addresses }: ListenerAddresses): readonly ListenerAddress[] {
  const fault = addressesFault(addresses);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', fault);
  return addresses.map(({ listener, host, port }) => ({ listener, host, port }));
}

function reassignField({ topic, partition, replicas }: Reassign): ControllerRequest {
  integerField('replicas length', replicas.length, 0, REPLICATION_FACTOR_MAX);
  return {
    kind: 'reassign',
    topic: topicNameField('topic', topic),
    partition: integerField('partition', partition, 0, PARTITIONS_PER_TOPIC_MAX - 1),
    replicas: replicas.map((brokerId, index) => brokerIdField(`replicas[${index}]`, brokerId)),
  };
}

function replyBody(reply: ControllerReply): NonNullable<DecideResponse['reply']> {
  switch (reply.kind) {
    case 'register':
      return {
        $case: 'registered',
        value: {
          brokerEpoch: reply.brokerEpoch,
          restartClass: restartClassToMessage(reply.restartClass),
        },
      };
    case 'heartbeat':
      return { $case: 'heartbeat', value: heartbeatReplyToMessage(reply) };
    case 'alter-sync-set':
      return { $case: 'partitionEpoch', value: reply.partitionEpoch };
    case 'alter-sync-sets':
      return { $case: 'syncSets', value: { outcomes: reply.outcomes.map(outcomeToMessage) } };
    case 'create-topic':
      return { $case: 'topicId', value: reply.topicId };
    case 'alter-topic':
    case 'delete-topic':
    case 'make-internal-topic':
    case 'reassign':
    case 'remove-broker':
    case 'set-settings':
    case 'grant-access':
    case 'revoke-access':
    case 'set-quota':
    case 'delete-quota':
    case 'create-queue':
    case 'alter-queue':
    case 'delete-queue':
      return { $case: 'done', value: {} };
    case 'init-producer':
      return {
        $case: 'producer',
        value: { producerId: reply.producerId, producerEpoch: reply.producerEpoch },
      };
    case 'decommission':
      return { $case: 'replicasLeft', value: reply.replicasLeft };
    case 'elect-leader': {
      const leader = reply.leader === NO_BROKER ? undefined : reply.leader;
      return { $case: 'elected', value: { leader, leaderEpoch: reply.leaderEpoch } };
    }
    default:
      return assertNever(reply);
  }
}

function heartbeatReplyToMessage({
  fenced,
  mayStop,
  leadersLeft,
  clockSkewMs,
}: Extract<ControllerReply, { kind: 'heartbeat' }>): HeartbeatReply {
  return {
    fenced,
    mayStop,
    leadersLeft,
    clockSkewMs: clockSkewMs === undefined ? undefined : Math.round(clockSkewMs),
  };
}

function replyValue(
  kind: ControllerRequest['kind'],
  reply: DecideResponse['reply'],
): ControllerReply | null {
  switch (reply?.$case) {
    case undefined:
      return null;
    case 'registered': {
      const { brokerEpoch, restartClass } = reply.value;
      return {
        kind: 'register',
        brokerEpoch,
        restartClass: restartClassField('restart_class', restartClass),
      };
    }
    case 'heartbeat': {
      const { clockSkewMs, ...rest } = reply.value;
      return { kind: 'heartbeat', ...rest, ...(clockSkewMs === undefined ? {} : { clockSkewMs }) };
    }
    case 'partitionEpoch':
      return { kind: 'alter-sync-set', partitionEpoch: reply.value };
    case 'syncSets':
      return { kind: 'alter-sync-sets', outcomes: reply.value.outcomes.map(outcomeField) };
    case 'topicId':
      return { kind: 'create-topic', topicId: uuidField('topic_id', reply.value) };
    case 'done':
      return isDone(kind) ? { kind } : null;
    case 'replicasLeft':
      return { kind: 'decommission', replicasLeft: reply.value };
    case 'producer':
      return { kind: 'init-producer', ...reply.value };
    case 'elected':
      return {
        kind: 'elect-leader',
        leader: reply.value.leader ?? NO_BROKER,
        leaderEpoch: reply.value.leaderEpoch,
      };
    default:
      return assertNever(reply);
  }
}

function isAsked(request: ControllerRequest): request is AskedRequest {
  return ASKED.has(request.kind);
}

/** Kinds whose answer is success alone. */
const DONE = [
  'alter-topic',
  'delete-topic',
  'make-internal-topic',
  'reassign',
  'remove-broker',
  'set-settings',
  'grant-access',
  'revoke-access',
  'set-quota',
  'delete-quota',
  'create-queue',
  'alter-queue',
  'delete-queue',
] as const satisfies readonly ControllerRequest['kind'][];

function isDone(kind: ControllerRequest['kind']): kind is (typeof DONE)[number] {
  return (DONE as readonly string[]).includes(kind);
}
