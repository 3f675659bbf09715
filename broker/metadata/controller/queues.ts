/** Judges changes of queues (docs/rules.md#queues). Pure. */
import { BrokerError } from '../../../base/errors.ts';
import { isInternalTopic } from '../../../base/internal-topics.ts';
import { QUEUE_LETTER_BYTES, QUEUES_MAX } from '../../../base/limits.ts';
import { nameFault } from '../../../base/names.ts';
import {
  QUEUE_SETTINGS_DEFAULTS,
  queueConfigFault,
  queueConfigOf,
  type QueueSettings,
} from '../../../base/queues.ts';
import type {
  AlterQueueRequest,
  CreateQueueRequest,
  DeleteQueueRequest,
} from '../controller-types.ts';
import { isCompacted } from '../config.ts';
import { LEVEL_OF_QUEUES, requireLevel } from '../features.ts';
import type { MetadataImage, MetadataRecord, QueueDefinition, TopicState } from '../types.ts';
import { topicByName } from './topics.ts';

/**
 * Records that create the queue; none when it is there already under this id, so that a repeated
 * request succeeds. Throws {@link BrokerError}.
 */
export function createQueue(image: MetadataImage, request: CreateQueueRequest): MetadataRecord[] {
  const { queueId, name, isFromLatest } = request;
  const doing = `Cannot create queue "${name}"`;
  requireLevel(image, LEVEL_OF_QUEUES, `create queue "${name}"`);
  const fault =
    nameFault('name', name) ?? (queueId === '' ? 'queueId is "", must be a uuid' : null);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', `${doing}: ${fault}`);
  const taken = image.queueIdsByName.get(name);
  if (taken === queueId) return [];
  if (taken !== undefined || image.queues.has(queueId))
    throw new BrokerError('QUEUE_EXISTS', `${doing}: it exists with id ${taken ?? queueId}`);
  if (image.queues.size >= QUEUES_MAX)
    throw new BrokerError(
      'REFUSED',
      `${doing}: there are ${String(QUEUES_MAX)} already; delete some`,
    );
  const topic = topicByName(image, request.topic);
  refuseInternal(doing, topic.name);
  const config = settingsOf(doing, { ...QUEUE_SETTINGS_DEFAULTS, ...request.config });
  checkLetters(image, { doing, queueId, topic, config });
  const partitionsAtFirst = topic.partitions.length;
  const { topicId } = topic;
  const queue = { queueId, name, topicId, config, isFromLatest, partitionsAtFirst };
  return [{ kind: 'queue-created', queue }];
}

/** Records that change its settings; none when all are as they should be. Throws. */
export function alterQueue(image: MetadataImage, request: AlterQueueRequest): MetadataRecord[] {
  const queue = queueByName(image, request.name);
  const { queueId, topicId } = queue;
  const doing = `Cannot alter queue "${request.name}"`;
  const config = settingsOf(doing, { ...queue.config, ...request.config });
  const names = Object.keys(config) as (keyof QueueSettings)[];
  if (names.every((name) => config[name] === queue.config[name])) return [];
  const topic = image.topics.get(topicId);
  // What was right when it was set need not be so any more; a lease can be changed all the same.
  if (topic !== undefined && config.deadLetterTopic !== queue.config.deadLetterTopic)
    checkLetters(image, { doing, queueId, topic, config });
  return [{ kind: 'queue-changed', queueId, config }];
}

/** Records that delete it. Throws {@link BrokerError} UNKNOWN_QUEUE. */
export function deleteQueue(image: MetadataImage, request: DeleteQueueRequest): MetadataRecord[] {
  return [{ kind: 'queue-deleted', queueId: queueByName(image, request.name).queueId }];
}

function queueByName(image: MetadataImage, name: string): QueueDefinition {
  const queue = image.queues.get(image.queueIdsByName.get(name) ?? '');
  if (queue === undefined) throw new BrokerError('UNKNOWN_QUEUE', `No queue is named "${name}"`);
  return queue;
}

function settingsOf(doing: string, config: QueueSettings): QueueSettings {
  const fault = queueConfigFault(queueConfigOf(config));
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', `${doing}: ${fault}`);
  return config;
}

function refuseInternal(doing: string, topic: string): void {
  if (isInternalTopic(topic))
    throw new BrokerError('REFUSED', `${doing}: topic "${topic}" is the cluster's own`);
}

/**
 * A dead letter ends where it is appended: were a topic of dead letters to have a queue with dead
 * letters, a record that nobody can handle could go round for ever.
 */
function checkLetters(
  image: MetadataImage,
  {
    doing,
    queueId,
    topic,
    config,
  }: {
    readonly doing: string;
    readonly queueId: string;
    readonly topic: TopicState;
    readonly config: QueueSettings;
  },
): void {
  const { deadLetterTopic } = config;
  if (deadLetterTopic === '') return;
  const target = topicByName(image, deadLetterTopic);
  refuseInternal(doing, deadLetterTopic);
  if (target === topic)
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `${doing}: dead_letter_topic is "${deadLetterTopic}", must be another topic than the queue's own`,
    );
  for (const other of image.queues.values()) {
    if (other.queueId === queueId || other.config.deadLetterTopic === '') continue;
    if (other.topicId === target.topicId)
      throw new BrokerError(
        'REFUSED',
        `${doing}: queue "${other.name}" of topic "${deadLetterTopic}" has dead letters itself`,
      );
    if (other.config.deadLetterTopic === topic.name)
      throw new BrokerError(
        'REFUSED',
        `${doing}: topic "${topic.name}" has the dead letters of queue "${other.name}"`,
      );
  }
  if (isCompacted(target.config))
    throw new BrokerError(
      'REFUSED',
      `${doing}: cleanup of topic "${deadLetterTopic}" is ${target.config.cleanup}, must be delete: of a key only the last letter would stay`,
    );
  const [largest, least] = [
    target.config.batchBytesMax,
    topic.config.batchBytesMax + QUEUE_LETTER_BYTES,
  ];
  if (largest < least)
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `${doing}: batchBytesMax of topic "${deadLetterTopic}" is ${String(largest)}, must be ${String(least)} or greater: ` +
        `${String(QUEUE_LETTER_BYTES)} above that of topic "${topic.name}"`,
    );
}
