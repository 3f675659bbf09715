/** Checks of what a consumer of a queue sends on its Consume stream. */
import { type ConsumeOpen, Delivery } from '../../../proto/gen/tidemark/v1/consume.ts';
import { BrokerError } from '../../../base/errors.ts';
import { CREDIT_BYTES_MAX, CREDIT_RECORDS_MAX } from '../../../base/limits.ts';
import type { MetadataImage, QueueDefinition, TopicState } from '../../metadata/types.ts';
import { integerField, refuse } from '../../messages/fields.ts';
import { processField } from '../consume/open-fields.ts';
import { groupField } from '../groups/fields.ts';

/** How a consumer wants to be served. */
export interface OpenedQueue {
  readonly queue: QueueDefinition;
  readonly topic: TopicState;
  readonly memberId: string;
  readonly attempt: number;
  readonly client: string;
  readonly graceMs: number;
  readonly creditRecords: number;
  readonly creditBytes: number;
}

/** Throws INVALID_ARGUMENT or UNKNOWN_QUEUE. */
export function openedQueueField(
  open: ConsumeOpen,
  image: MetadataImage,
  newUuid: () => string,
): OpenedQueue {
  const name = groupField(open.group);
  const queueId = image.queueIdsByName.get(name);
  const queue = queueId === undefined ? undefined : image.queues.get(queueId);
  const topic = queue === undefined ? undefined : image.topics.get(queue.topicId);
  if (queue === undefined || topic === undefined)
    throw new BrokerError('UNKNOWN_QUEUE', `No queue is named "${name}"`);
  integerField('delivery', open.delivery, 0, Delivery.DELIVERY_RECORDS);
  integerField('topics length', open.topics.length, 0, 1);
  const [asked = topic.name] = open.topics;
  if (asked !== topic.name) refuse('topics[0]', asked, `${topic.name}, that of the queue`);
  return {
    ...{ queue, topic },
    ...processField(open, newUuid),
    creditRecords: integerField('credit_records', open.creditRecords, 1, CREDIT_RECORDS_MAX),
    creditBytes: integerField('credit_bytes', open.creditBytes, 1, CREDIT_BYTES_MAX),
  };
}
