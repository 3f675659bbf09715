/**
 * QueuesService: what proxies of members ask the owner of partitions of a queue. Only brokers call
 * it, and each speaks for itself (docs/rules.md#access).
 */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type {
  ServeMemberRequest,
  QueuesServiceServer,
  ServeMemberResponse,
} from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import { BROKER_ID_MAX } from '../../../base/limits.ts';
import type { BrokerError } from '../../../base/errors.ts';
import { integerField } from '../../messages/fields.ts';
import { failCall } from '../../messages/handlers.ts';
import { requireSpeaker } from '../../messages/speaker.ts';
import { ownedCalls, type OwnedParts } from './owners.ts';
import type { QueuesDesk } from './queues-desk.ts';

/** Handlers of QueuesService. */
export function queuesService(desk: QueuesDesk, parts: OwnedParts): QueuesServiceServer {
  return {
    ...ownedCalls(parts),
    serveMember: (call: ServerDuplexStream<ServeMemberRequest, ServeMemberResponse>) => {
      const link = desk.link({
        send: (supply) => call.write(supply),
        finish: (error: BrokerError | null) => {
          if (error === null) call.end();
          else failCall(call, error);
        },
      });
      call.sendMetadata(new Metadata());
      call.on('data', (demand: ServeMemberRequest) => {
        if (demand.message?.$case === 'open')
          requireSpeaker(call, integerField('proxy', demand.message.value.proxy, 0, BROKER_ID_MAX));
        link.take(demand);
      });
      call.on('drain', () => {
        link.onDrain();
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
  };
}
