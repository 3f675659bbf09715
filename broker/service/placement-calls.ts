/**
 * Calls that move replicas, and the two that say what should be moved. The moves are the
 * controller's; the plan and the report are computed from the metadata of the broker that is asked,
 * with sizes from those that lead.
 */
import { PARTITIONS_PER_TOPIC_MAX, REPLICATION_FACTOR_MAX } from '../../base/limits.ts';
import {
  AdminServiceService,
  type AdminServiceServer,
  type DescribeBrokerResponse,
  type ReassignPartitionRequest,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type {
  DescribeSpreadResponse,
  PlanRebalanceResponse,
} from '../../proto/gen/tidemark/v1/balance.ts';
import { BrokerError } from '../../base/errors.ts';
import { type BrokerId, type PartitionKey, partitionKey } from '../../base/units.ts';
import type { MetadataImage } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { integerField, presentField, refuse, topicNameField } from '../messages/fields.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import { settingsField, settingsToMessage } from '../messages/settings.ts';
import { brokerIdField } from '../messages/topics.ts';
import { remainingMs } from '../messages/deadline.ts';
import { onBehalfOf } from '../messages/principal.ts';
import { type Cluster, handedOn } from './cluster.ts';
import { decide, topicNamed } from './decisions.ts';
import { describePartition, describeSelf } from './describe.ts';

/** Partitions named by one DescribeSpread, as admin.proto says. */
const FAULTS_MAX = 1_000;
/**
 * How long a broker has to say how large its partitions are: well within what a client gives one
 * server to answer.
 */
const SIZES_DEADLINE_MS = 700;

type PlacementCalls = Pick<
  AdminServiceServer,
  | 'reassignPartition'
  | 'decommission'
  | 'recommission'
  | 'removeBroker'
  | 'setClusterSettings'
  | 'planRebalance'
  | 'describeSpread'
>;

type Onwards = ReturnType<typeof handedOn>;

/** Handlers of the calls about who holds what. */
export function placementCalls(
  cluster: Cluster,
  version: string,
  report: ReportDefect,
): PlacementCalls {
  const { broker } = cluster;
  return {
    reassignPartition: unaryHandler(
      async (request, call) => ({
        partition: await reassign(cluster, request, handedOn(call, cluster.clock)),
      }),
      report,
    ),
    decommission: unaryHandler(async ({ brokerId }, call) => {
      const replicasLeft = await cordon(
        broker,
        brokerIdField('broker_id', brokerId),
        true,
        handedOn(call, cluster.clock),
      );
      return { replicasLeft };
    }, report),
    recommission: unaryHandler(async ({ brokerId }, call) => {
      await cordon(
        broker,
        brokerIdField('broker_id', brokerId),
        false,
        handedOn(call, cluster.clock),
      );
      return {};
    }, report),
    removeBroker: unaryHandler(async ({ brokerId }, call) => {
      const deadlineMs = remainingMs(call, cluster.clock);
      await decide(
        broker,
        {
          kind: 'remove-broker',
          brokerId: brokerIdField('broker_id', brokerId),
          ...onBehalfOf(call),
        },
        deadlineMs,
      );
      return {};
    }, report),
    setClusterSettings: unaryHandler(async ({ settings }, call) => {
      const deadlineMs = remainingMs(call, cluster.clock);
      const wanted = settingsField('settings', presentField('settings', settings));
      if (Object.keys(wanted).length === 0)
        refuse('settings', 'empty', 'a change of one setting or more');
      await decide(
        broker,
        { kind: 'set-settings', settings: wanted, ...onBehalfOf(call) },
        deadlineMs,
      );
      return { settings: settingsToMessage(broker.image().settings) };
    }, report),
    planRebalance: unaryHandler(
      (_, call) => plan(cluster, version, handedOn(call, cluster.clock)),
      report,
    ),
    describeSpread: unaryHandler(() => spread(broker), report),
  };
}

async function reassign(
  cluster: Cluster,
  message: ReassignPartitionRequest,
  { deadlineMs, behalf }: Onwards,
) {
  const { broker } = cluster;
  const name = topicNameField('topic', message.topic);
  const partition = integerField('partition', message.partition, 0, PARTITIONS_PER_TOPIC_MAX - 1);
  integerField('replicas length', message.replicas.length, 0, REPLICATION_FACTOR_MAX);
  const replicas = message.replicas.map((brokerId, index) =>
    brokerIdField(`replicas[${index}]`, brokerId),
  );
  await decide(
    broker,
    { kind: 'reassign', topic: name, partition, replicas, ...behalf },
    deadlineMs,
    { name, topicId: message.topicId },
  );
  const state = topicNamed(broker.image(), name)?.partitions[partition];
  if (state === undefined)
    throw new BrokerError('UNKNOWN_TOPIC', `Topic "${name}" was deleted meanwhile`);
  return describePartition(state);
}

/** Cordons a broker, or takes that back. @returns replicas that it still holds */
async function cordon(
  broker: BrokerApi,
  brokerId: BrokerId,
  isCordoned: boolean,
  { deadlineMs, behalf }: Onwards,
): Promise<number> {
  const { replicasLeft } = await decide(
    broker,
    { kind: 'decommission', brokerId, isCancelled: !isCordoned, ...behalf },
    deadlineMs,
  );
  return replicasLeft;
}

async function plan(
  cluster: Cluster,
  version: string,
  { deadlineMs, ...onwards }: Onwards,
): Promise<PlanRebalanceResponse> {
  knownImage(cluster.broker);
  const boundMs = Math.min(deadlineMs, SIZES_DEADLINE_MS);
  const sizes = await partitionSizes(cluster, version, { ...onwards, deadlineMs: boundMs });
  const { moves, bytes } = cluster.broker.planRebalance(sizes);
  const messages = moves.map(({ topicId, topic, partition, from, to, bytes: moveBytes }) => {
    const isKnown = sizes.has(partitionKey(topicId, partition));
    return {
      topic,
      partition,
      from: [...from],
      to: [...to],
      bytes: isKnown ? moveBytes : undefined,
    };
  });
  return { moves: messages, bytes };
}

/**
 * Size of one replica of each partition, as its leader tells. Those of leaders that do not answer
 * are missing.
 */
async function partitionSizes(
  cluster: Cluster,
  version: string,
  onwards: Onwards,
): Promise<ReadonlyMap<PartitionKey, number>> {
  const live = [...knownImage(cluster.broker).brokers.values()].filter(({ fenced }) => !fenced);
  const ask = async (brokerId: BrokerId): Promise<DescribeBrokerResponse> => {
    if (cluster.isSelf(brokerId)) return describeSelf(cluster.broker, version);
    return cluster.forward(brokerId, AdminServiceService.describeBroker, { brokerId }, onwards);
  };
  const sizes = new Map<PartitionKey, number>();
  for (const answer of await Promise.allSettled(live.map(({ brokerId }) => ask(brokerId)))) {
    if (answer.status === 'rejected') continue;
    for (const { topicId, partition, leading, sizeBytes } of answer.value.replicas)
      if (leading) sizes.set(partitionKey(topicId, partition), sizeBytes);
  }
  return sizes;
}

function spread(broker: BrokerApi): DescribeSpreadResponse {
  const { topics } = knownImage(broker);
  const faults = broker.spreadFaults();
  const partitions = [...topics.values()].reduce((sum, topic) => sum + topic.partitions.length, 0);
  return {
    spanning: partitions - faults.length,
    faults: faults
      .slice(0, FAULTS_MAX)
      .map(({ topic, partition, reason, message }) => ({ topic, partition, reason, message })),
    faultsTotal: faults.length,
  };
}

/**
 * Throws BROKER_NOT_READY while this broker knows no cluster: what it has would pass for an empty
 * one.
 */
function knownImage(broker: BrokerApi): MetadataImage {
  const image = broker.image();
  if (image.clusterId === '')
    throw new BrokerError('BROKER_NOT_READY', `Broker ${broker.brokerId} is ${broker.phase()}`);
  return image;
}
