/** What a queue keeps to, between values and messages. What arrives is checked field by field. */
import { isInternalTopic } from '../../base/internal-topics.ts';
import {
  QUEUE_DELAY_MS_MAX,
  QUEUE_DELIVERIES_MAX,
  QUEUE_LEASE_MS_MAX,
  QUEUE_LEASE_MS_MIN,
} from '../../base/limits.ts';
import type { QueueSettings } from '../../base/queues.ts';
import {
  QueueBeginning,
  type QueueConfig as QueueConfigMessage,
  type AlterQueueRequest as AlterQueueMessage,
  type CreateQueueRequest as CreateQueueMessage,
} from '../../proto/gen/tidemark/v1/queues.ts';
import type { AlterQueueRequest, CreateQueueRequest } from '../metadata/controller-types.ts';
import { integerField, refuse, topicNameField, uuidField } from './fields.ts';

/** Settings of a queue, some or all. */
export function queueSettingsToMessage(settings: Partial<QueueSettings>): QueueConfigMessage {
  return {
    leaseMs: settings.leaseMs,
    deliveriesMax: settings.deliveriesMax,
    deadLetterTopic: settings.deadLetterTopic,
    keyOrdered: settings.isKeyOrdered,
    parksKeys: settings.parksKeys,
    delayMinMs: settings.delayMsMin,
    delayMaxMs: settings.delayMsMax,
  };
}

/** The settings that a message states. How they go together is the controller's to judge. */
export function queueSettingsField(
  message: QueueConfigMessage | undefined,
): Partial<QueueSettings> {
  if (message === undefined) return {};
  const { deadLetterTopic: letters } = message;
  const number = (name: string, value: number | undefined, min: number, max: number) =>
    value === undefined ? undefined : integerField(`config.${name}`, value, min, max);
  const stated = {
    leaseMs: number('lease_ms', message.leaseMs, QUEUE_LEASE_MS_MIN, QUEUE_LEASE_MS_MAX),
    deliveriesMax: number('deliveries_max', message.deliveriesMax, 0, QUEUE_DELIVERIES_MAX),
    deadLetterTopic:
      letters === undefined || letters === ''
        ? letters
        : topicNameField('config.dead_letter_topic', letters),
    isKeyOrdered: message.keyOrdered,
    parksKeys: message.parksKeys,
    delayMsMin: number('delay_min_ms', message.delayMinMs, 0, QUEUE_DELAY_MS_MAX),
    delayMsMax: number('delay_max_ms', message.delayMaxMs, 0, QUEUE_DELAY_MS_MAX),
  };
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined));
}

/** The name of a queue: as that of a topic. */
export function queueNameField(field: string, name: string): string {
  topicNameField(field, name);
  return isInternalTopic(name) ? refuse(field, name, 'a name that does not begin with __') : name;
}

/** A request to make a queue, as a message. Its id travels beside it. */
export function createQueueToMessage(request: CreateQueueRequest): CreateQueueMessage {
  const { name, topic, config, isFromLatest } = request;
  return {
    name,
    topic,
    config: queueSettingsToMessage(config),
    from: isFromLatest
      ? QueueBeginning.QUEUE_BEGINNING_LATEST
      : QueueBeginning.QUEUE_BEGINNING_EARLIEST,
  };
}

/** A request to make a queue. */
export function createQueueField(queueId: string, message: CreateQueueMessage): CreateQueueRequest {
  return {
    kind: 'create-queue',
    queueId: uuidField('queue_id', queueId),
    name: queueNameField('name', message.name),
    topic: topicNameField('topic', message.topic),
    config: queueSettingsField(message.config),
    isFromLatest: isLatest(message.from),
  };
}

/** A request to change a queue. */
export function alterQueueField(message: AlterQueueMessage): AlterQueueRequest {
  return {
    kind: 'alter-queue',
    name: queueNameField('name', message.name),
    config: queueSettingsField(message.config),
  };
}

function isLatest(from: QueueBeginning): boolean {
  if (from === QueueBeginning.QUEUE_BEGINNING_LATEST) return true;
  return from === QueueBeginning.QUEUE_BEGINNING_UNSPECIFIED ||
    from === QueueBeginning.QUEUE_BEGINNING_EARLIEST
    ? false
    : refuse('from', from, 'QUEUE_BEGINNING_EARLIEST or QUEUE_BEGINNING_LATEST');
}
