/**
 * AdminService: reads come from this broker's metadata, changes go to the controller and are
 * answered once they show here.
 */
import { isInternalTopic } from '../../base/internal-topics.ts';
import { BROKER_ID_MAX } from '../../base/limits.ts';
import {
  AdminServiceService,
  type AdminServiceServer,
  type CreateTopicRequest as CreateTopicMessage,
  type PrepareStopResponse,
  type Topic as TopicMessage,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { errorToMessage } from '../../wire/grpc/errors.ts';
import { BrokerError } from '../../base/errors.ts';
import { NO_BROKER } from '../../base/units.ts';
import type { AlterTopicRequest, CreateTopicRequest } from '../metadata/controller-types.ts';
import { requireLevelOfConfig } from '../runtime/metadata-rules.ts';
import type { MetadataImage } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { listenerOf } from '../messages/listener.ts';
import { integerField, topicNameField, uuidField } from '../messages/fields.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import {
  alterTopicField,
  brokerIdField,
  createTopicField,
  electLeaderField,
  topicConfigToMessage,
} from '../messages/topics.ts';
import { remainingMs } from '../messages/deadline.ts';
import { onBehalfOf } from '../messages/principal.ts';
import { type Cluster, handedOn, isForwarded } from './cluster.ts';
import { accessCalls } from './access-calls.ts';
import { quotaCalls } from './quota-calls.ts';
import { decide, imageWithin, topicNamed } from './decisions.ts';
import {
  describeBrokers,
  describeCluster,
  describeDisruption,
  describeSelf,
  describeTopic,
} from './describe.ts';
import { explainCalls } from './explain.ts';
import { placementCalls } from './placement-calls.ts';
import { askQuorum } from './quorum-call.ts';
import type { Traffic } from './traffic.ts';
import { trimCalls } from './trims.ts';

/** Copies of a partition when the caller states none. */
const REPLICATION_FACTOR_DEFAULT = 3;
/** Partitions of a topic when the caller states none. */
const PARTITIONS_DEFAULT = 1;

export interface AdminServiceParts {
  readonly cluster: Cluster;
  /** Of the build, for DescribeBroker. */
  readonly version: string;
  readonly traffic: Pick<Traffic, 'appendTimes'>;
  /** For topic ids. */
  readonly newUuid: () => string;
  readonly report: ReportDefect;
}

/** Handlers of AdminService. */
export function adminService({
  cluster,
  version,
  traffic,
  newUuid,
  report,
}: AdminServiceParts): AdminServiceServer {
  const { broker } = cluster;
  return {
    bootstrap: unaryHandler(
      ({ clusterId }) => broker.bootstrap(uuidField('cluster_id', clusterId)),
      report,
    ),
    describeCluster: unaryHandler((_, call) => describeCluster(broker, listenerOf(call)), report),
    describeBroker: unaryHandler(({ brokerId = broker.brokerId }, call) => {
      if (cluster.isSelf(brokerIdField('broker_id', brokerId)))
        return describeSelf(broker, version, traffic.appendTimes());
      return cluster.forward(
        brokerId,
        AdminServiceService.describeBroker,
        { brokerId },
        handedOn(call, cluster.clock),
      );
    }, report),
    describeQuorum: unaryHandler(
      (_, call) => askQuorum(cluster, isForwarded(call), handedOn(call, cluster.clock)),
      report,
    ),
    ...topicCalls(cluster, newUuid, report),
    ...placementCalls(cluster, version, report),
    ...explainCalls(cluster, report),
    ...trimCalls(cluster, report),
    ...accessCalls(cluster, report),
    ...quotaCalls(cluster, report),
    electLeader: unaryHandler(async (request, call) => {
      const deadlineMs = remainingMs(call, cluster.clock);
      const { leader, leaderEpoch } = await decide(
        broker,
        { ...electLeaderField(request), ...onBehalfOf(call) },
        deadlineMs,
        { name: request.topic, topicId: request.topicId },
      );
      return { leader: leader === NO_BROKER ? undefined : leader, leaderEpoch };
    }, report),
    checkDisruption: unaryHandler(({ brokerIds }) => {
      integerField('broker_ids length', brokerIds.length, 1, BROKER_ID_MAX);
      for (const brokerId of brokerIds) cluster.brokerState(brokerIdField('broker_ids', brokerId));
      return describeDisruption(broker.checkDisruption(brokerIds));
    }, report),
    prepareStop: unaryHandler(({ brokerId = broker.brokerId, brokerEpoch }, call) => {
      if (cluster.isSelf(brokerIdField('broker_id', brokerId)))
        return prepareStop(broker, brokerEpoch);
      return cluster.forward(
        brokerId,
        AdminServiceService.prepareStop,
        { brokerId, brokerEpoch },
        handedOn(call, cluster.clock),
      );
    }, report),
    cancelStop: unaryHandler(async ({ brokerId = broker.brokerId }, call) => {
      if (!cluster.isSelf(brokerIdField('broker_id', brokerId))) {
        const onwards = handedOn(call, cluster.clock);
        return cluster.forward(brokerId, AdminServiceService.cancelStop, { brokerId }, onwards);
      }
      await broker.cancelStop();
      return {};
    }, report),
  };
}

function topicCalls(
  cluster: Cluster,
  newUuid: () => string,
  report: ReportDefect,
): Pick<AdminServiceServer, 'createTopic' | 'listTopics' | 'alterTopic' | 'deleteTopic'> {
  const { broker } = cluster;
  return {
    createTopic: unaryHandler(
      async (request, call) => ({
        topic: await createTopic(cluster, newUuid, request, handedOn(call, cluster.clock)),
      }),
      report,
    ),
    listTopics: unaryHandler(({ names, includeInternal }, call) => {
      if (names.length === 0) cluster.requireMetadata();
      const named =
        names.length > 0
          ? names.map((name) => cluster.topic(topicNameField('names', name)))
          : [...broker.image().topics.values()].filter(
              ({ name }) => includeInternal || !isInternalTopic(name),
            );
      const topics = named
        .sort((left, right) => (left.name < right.name ? -1 : 1))
        .map(describeTopic);
      return { topics, brokers: describeBrokers(broker, listenerOf(call)) };
    }, report),
    alterTopic: unaryHandler(async (message, call) => {
      const deadlineMs = remainingMs(call, cluster.clock);
      const request = alterTopicField(message);
      requireLevelOfConfig(broker.image(), request.config, request.name);
      const endMs = cluster.clock.monotonicMs() + request.waitMs;
      const meant = { name: request.name, topicId: message.topicId };
      await decide(broker, { ...request, ...onBehalfOf(call) }, deadlineMs, meant);
      const waitMs = Math.min(deadlineMs, Math.max(0, endMs - cluster.clock.monotonicMs()));
      const image = await imageWithin(broker, (seen) => hasCopies(seen, request), waitMs);
      const topic = topicNamed(image, request.name);
      if (topic === undefined)
        throw new BrokerError('UNKNOWN_TOPIC', `Topic "${request.name}" was deleted meanwhile`);
      return { topic: describeTopic(topic) };
    }, report),
    deleteTopic: unaryHandler(async ({ name, topicId }, call) => {
      const deadlineMs = remainingMs(call, cluster.clock);
      await decide(
        broker,
        { kind: 'delete-topic', name: topicNameField('name', name), ...onBehalfOf(call) },
        deadlineMs,
        { name, topicId },
      );
      return {};
    }, report),
  };
}

async function createTopic(
  { broker }: Cluster,
  newUuid: () => string,
  message: CreateTopicMessage,
  { deadlineMs, behalf }: ReturnType<typeof handedOn>,
): Promise<TopicMessage> {
  const request = withDefaults(createTopicField(newUuid(), message), broker.image());
  // A controller of an older build would not see these, and make the topic without them.
  requireLevelOfConfig(broker.image(), request.config, request.name);
  const reply = await decide(broker, { ...request, ...behalf }, deadlineMs);
  const { name, replicationFactor, config } = request;
  if (request.validateOnly) {
    return {
      name,
      topicId: '',
      replicationFactor,
      config: topicConfigToMessage(config),
      partitions: [],
      followsMinInSyncReplicas: false,
    };
  }
  const topic = broker.image().topics.get(reply.topicId);
  if (topic === undefined)
    throw new BrokerError('UNKNOWN_TOPIC', `Topic "${name}" was deleted meanwhile`);
  return describeTopic(topic);
}

/**
 * Counts of 0 mean "as usual": explicit assignments speak for themselves, else one partition, and
 * as many copies as the cluster's settings say. Where these say nothing, three as far as there are
 * brokers; what they do say is never shortened.
 */
function withDefaults(
  request: CreateTopicRequest,
  { brokers, settings }: MetadataImage,
): CreateTopicRequest {
  const [first] = request.assignments;
  const usual =
    settings.topicDefaults.replicationFactor ??
    Math.max(1, Math.min(REPLICATION_FACTOR_DEFAULT, brokers.size));
  const copies = first?.length ?? usual;
  const partitions = first === undefined ? PARTITIONS_DEFAULT : request.assignments.length;
  return {
    ...request,
    partitions: request.partitions === 0 ? partitions : request.partitions,
    replicationFactor: request.replicationFactor === 0 ? copies : request.replicationFactor,
  };
}

/** A request that was on its way for long may meet the process that came after the one it meant. */
async function prepareStop(
  broker: BrokerApi,
  expectedEpoch: number | undefined,
): Promise<PrepareStopResponse> {
  const { brokerEpoch } = broker.nodeInfo();
  if (expectedEpoch !== undefined && expectedEpoch !== brokerEpoch) {
    throw new BrokerError(
      'REFUSED',
      `broker_epoch is ${expectedEpoch}, must be ${brokerEpoch}, that of the present registration of broker ${broker.brokerId}: nothing was done`,
    );
  }
  const { leadersLeft, reason } = await broker.prepareStop();
  if (leadersLeft === 0) return { leadersLeft, reason: undefined };
  return { leadersLeft, reason: errorToMessage(new BrokerError('REFUSED', reason)) };
}

/** Whether a changed replication factor has been carried out, if one was asked for. */
function hasCopies(image: MetadataImage, { name, replicationFactor }: AlterTopicRequest): boolean {
  const topic = topicNamed(image, name);
  if (topic === undefined || replicationFactor === 0) return true;
  return topic.partitions.every(
    ({ target, replicas }) => target === undefined && replicas.length === replicationFactor,
  );
}
