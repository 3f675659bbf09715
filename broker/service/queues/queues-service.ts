/**
 * QueuesService: what proxies of members ask the owner of partitions of a queue. Only brokers call
 * it, and each speaks for itself (docs/rules.md#access).
 */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type {
  QueueDemand,
  QueuesServiceServer,
  QueueSupply,
} from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import { BROKER_ID_MAX, OFFSET_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../../base/limits.ts';
import type { BrokerError } from '../../../base/errors.ts';
import { integerField, topicIdField } from '../../messages/fields.ts';
import { failCall, type ReportDefect, unaryHandler } from '../../messages/handlers.ts';
import { requireSpeaker } from '../../messages/speaker.ts';
import { partitionField } from '../groups/fields.ts';
import type { QueuesDesk } from './queues-desk.ts';

/** Handlers of QueuesService. */
export function queuesService(desk: QueuesDesk, report: ReportDefect): QueuesServiceServer {
  return {
    serveMember: (call: ServerDuplexStream<QueueDemand, QueueSupply>) => {
      const link = desk.link({
        send: (supply) => void call.write(supply),
        finish: (error: BrokerError | null) => {
          if (error === null) call.end();
          else failCall(call, error);
        },
      });
      call.sendMetadata(new Metadata());
      call.on('data', (demand: QueueDemand) => {
        if (demand.message?.$case === 'open')
          requireSpeaker(
            call,
            integerField('proxy', demand.message.value.proxy, 0, BROKER_ID_MAX),
          );
        link.take(demand);
      });
      call.on('end', () => {
        link.close();
        call.end();
      });
      for (const event of ['error', 'cancelled'])
        call.on(event, () => {
          link.close();
        });
    },
    describeOwned: unaryHandler(async ({ queueId, partitions }) => {
      integerField('partitions length', partitions.length, 0, PARTITIONS_PER_TOPIC_MAX);
      for (const partition of partitions) partitionField('partitions', partition);
      return desk.describe(topicIdField('queue_id', queueId), partitions);
    }, report),
    freeOwnedKey: unaryHandler(async ({ queueId, partition, offset }) => {
      integerField('offset', offset, 0, OFFSET_MAX);
      const id = topicIdField('queue_id', queueId);
      await desk.freeKey(id, partitionField('partition', partition), offset);
      return {};
    }, report),
  };
}
