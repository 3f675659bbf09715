/**
 * QueueService: where queues are made and looked at. Any broker takes its calls: what a queue is
 * stands in the metadata, and the owners of its partitions tell how it stands.
 */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import type {
  CreateQueueRequest,
  Queue,
  QueueServiceServer,
} from '../../../proto/gen/tidemark/v1/queues.ts';
import { BrokerError } from '../../../base/errors.ts';
import { QUEUES_TOPIC } from '../../../base/internal-topics.ts';
import { OFFSET_MAX } from '../../../base/limits.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { integerField, topicIdBytes, topicNameField } from '../../messages/fields.ts';
import { unaryHandler } from '../../messages/handlers.ts';
import { isGone } from '../../messages/held.ts';
import {
  alterQueueField,
  createQueueField,
  queueNameField,
  queueSettingsToMessage,
} from '../../messages/queues.ts';
import type { MetadataImage, QueueDefinition } from '../../metadata/types.ts';
import { LEVEL_OF_QUEUES, requireLevel } from '../../runtime/metadata-rules.ts';
import { Backoff, type Cluster, handedOn, imageChangeOr } from '../cluster.ts';
import { decide } from '../decisions.ts';
import { partitionField } from '../groups/fields.ts';
import { describeGroup } from '../groups/group-service.ts';
import { internalTopic } from '../internal-topic.ts';
import { freeKey, type QueueParts, standingOf } from './owners.ts';

type AnyCall = ServerUnaryCall<unknown, unknown>;

/** A call on its way. */
interface Asked {
  readonly untilMs: number;
  readonly leftMs: () => number;
  readonly principal: string;
  readonly behalf: { readonly principal?: string };
  /** Nobody waits for the answer any more. */
  readonly isGone: () => boolean;
}

/** Handlers of QueueService. */
export function queueService(parts: QueueParts): QueueServiceServer {
  const { cluster, report } = parts;
  const { broker, clock } = cluster;
  const askedOf = (call: AnyCall): Asked => {
    const { deadlineMs, principal, behalf } = handedOn(call, clock);
    const untilMs = clock.monotonicMs() + deadlineMs;
    const leftMs = (): number => Math.max(1, untilMs - clock.monotonicMs());
    return { untilMs, leftMs, principal, behalf, isGone: () => isGone(call) };
  };
  return {
    createQueue: unaryHandler(
      async (request, call) => ({ queue: await createQueue(parts, request, askedOf(call)) }),
      report,
    ),
    alterQueue: unaryHandler(async (message, call) => {
      const request = alterQueueField(message);
      const { behalf, leftMs } = askedOf(call);
      await decide(broker, { ...request, ...behalf }, leftMs());
      return { queue: queueToMessage(cluster.image(), queueNamed(cluster, request.name)) };
    }, report),
    deleteQueue: unaryHandler(async ({ name }, call) => {
      const request = { kind: 'delete-queue', name: queueNameField('name', name) } as const;
      const { behalf, leftMs } = askedOf(call);
      await decide(broker, { ...request, ...behalf }, leftMs());
      return {};
    }, report),
    listQueues: unaryHandler(({ topic }) => {
      cluster.requireMetadata();
      const image = cluster.image();
      const topicId = topic === '' ? '' : cluster.topic(topicNameField('topic', topic)).topicId;
      const queues = [...image.queues.values()]
        .filter((queue) => topicId === '' || queue.topicId === topicId)
        .sort((one, other) => (one.name < other.name ? -1 : 1));
      return { queues: queues.map((queue) => queueToMessage(image, queue)) };
    }, report),
    describeQueue: unaryHandler(async ({ name }, call) => {
      const queue = queueNamed(cluster, queueNameField('name', name));
      const standing = await standingOf(
        parts,
        queue,
        partitionsOf(cluster, queue),
        askedOf(call).leftMs() / 2,
      );
      return { queue: queueToMessage(cluster.image(), queue), ...standing };
    }, report),
    freeQueueKey: unaryHandler(async ({ name, ...request }, call) => {
      const queue = queueNamed(cluster, queueNameField('name', name));
      const partition = partitionField('partition', request.partition);
      const offset = integerField('offset', request.offset, 0, OFFSET_MAX);
      const topic = cluster.image().topics.get(queue.topicId);
      if (topic !== undefined) cluster.partition(topic, partition);
      await freeKey(parts, queue, { partition, offset }, askedOf(call));
      return {};
    }, report),
  };
}

async function createQueue(
  parts: QueueParts,
  message: CreateQueueRequest,
  asked: Asked,
): Promise<Queue> {
  const { cluster } = parts;
  const request = createQueueField(parts.newUuid(), message);
  const { queueId, name } = request;
  cluster.topic(request.topic);
  cluster.requireMetadata();
  requireLevel(cluster.image(), LEVEL_OF_QUEUES, `create queue "${name}"`);
  await refuseNameOfGroup(parts, name, asked);
  await internalTopic(parts, QUEUES_TOPIC, asked.leftMs());
  await decide(cluster.broker, { ...request, ...asked.behalf }, asked.leftMs());
  await begun(parts, queueId, asked);
  return queueToMessage(cluster.image(), queueOf(cluster, queueId, name));
}

/** Groups and queues share their names. A group that is joined at this moment is not seen yet. */
async function refuseNameOfGroup(parts: QueueParts, group: string, asked: Asked): Promise<void> {
  try {
    const onwards = { ...asked, deadlineMs: asked.leftMs(), isForwarded: false };
    await describeGroup(parts, { group, keeps: false }, onwards);
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'UNKNOWN_GROUP') return;
    throw error;
  }
  throw new BrokerError('QUEUE_EXISTS', `Cannot create queue "${group}": a group has this name`);
}

/** Resolves once the queue has begun in every partition that its topic had when it was made. */
async function begun(parts: QueueParts, queueId: string, asked: Asked): Promise<void> {
  const { cluster } = parts;
  const backoff = new Backoff();
  let waiting: readonly number[] | null = null;
  for (;;) {
    const queue = queueOf(cluster, queueId, queueId);
    waiting ??= Array.from({ length: queue.partitionsAtFirst }, (_, partition) => partition);
    const { partitions } = await standingOf(parts, queue, waiting, asked.leftMs());
    const behind = partitions.filter(({ error }) => error !== undefined);
    waiting = behind.map(({ partition }) => partition);
    const [first] = behind;
    if (first?.error === undefined) return;
    const restMs = asked.untilMs - cluster.clock.monotonicMs();
    if (restMs <= 0 || asked.isGone())
      throw new BrokerError(
        'OUTCOME_UNKNOWN',
        `Queue "${queue.name}" is made, but has not begun in partitions ${waiting.join()}: ${errorFromMessage(first.error).message}`,
      );
    await imageChangeOr(cluster.broker, Math.min(backoff.nextMs(), restMs));
  }
}

function partitionsOf(cluster: Cluster, { topicId }: QueueDefinition): readonly number[] {
  const topic = cluster.image().topics.get(topicId);
  return (topic?.partitions ?? []).map(({ partition }) => partition);
}

/** Throws UNKNOWN_QUEUE, or BROKER_NOT_READY while this broker has no metadata to know by. */
export function queueNamed(cluster: Cluster, name: string): QueueDefinition {
  const { queues, queueIdsByName } = cluster.image();
  const queue = queues.get(queueIdsByName.get(name) ?? '');
  if (queue !== undefined) return queue;
  cluster.requireMetadata();
  throw new BrokerError('UNKNOWN_QUEUE', `No queue is named "${name}"`);
}

function queueOf(cluster: Cluster, queueId: string, name: string): QueueDefinition {
  const queue = cluster.image().queues.get(queueId);
  if (queue === undefined)
    throw new BrokerError('UNKNOWN_QUEUE', `Queue "${name}" was deleted meanwhile`);
  return queue;
}

function queueToMessage(image: MetadataImage, queue: QueueDefinition): Queue {
  const { queueId, name, topicId, config } = queue;
  return {
    name,
    queueId: topicIdBytes(queueId),
    topic: image.topics.get(topicId)?.name ?? '',
    topicId: topicIdBytes(topicId),
    config: queueSettingsToMessage(config),
  };
}
