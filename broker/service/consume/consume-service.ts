/** ConsumeService: one session for each stream. */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  type ConsumeRequest,
  type ConsumeResponse,
  type ConsumeServiceServer,
  ConsumeType,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { LEVEL_OF_MEMBERS, LEVEL_OF_QUEUES, requireLevel } from '../../runtime/metadata-rules.ts';
import { failCall } from '../../messages/handlers.ts';
import { heldOf } from '../../messages/held.ts';
import { principalOf } from '../../messages/principal.ts';
import type { GroupParts } from '../groups/coordinated.ts';
import type { Traffic } from '../traffic.ts';
import { AbsentConsumers } from '../queues/absent-consumers.ts';
import { QueueSession, type QueueSessionPorts } from '../queues/queue-session.ts';
import type { QueuesDesk } from '../queues/queues-desk.ts';
import { type ConsumePorts, ConsumeSession } from './consume-session.ts';
import type { MemberProxy } from './member-proxy.ts';

export interface ConsumeParts extends GroupParts {
  readonly proxy: MemberProxy;
  readonly traffic: Traffic;
  readonly desk: QueuesDesk;
}

type SessionPorts = ConsumePorts & QueueSessionPorts;

/** A member of a group, or a consumer of a queue. */
type Session = Pick<ConsumeSession, 'take' | 'onDrain' | 'close'>;

/** Handlers of ConsumeService. */
export function consumeService(parts: ConsumeParts): ConsumeServiceServer {
  const { cluster } = parts;
  const absent = new AbsentConsumers(cluster.clock);
  return {
    consume: (call: ServerDuplexStream<ConsumeRequest, ConsumeResponse>) => {
      cluster.requireMetadata();
      let session: Session | null = null;
      const ports: SessionPorts = {
        ...parts,
        absent,
        principal: principalOf(call),
        held: heldOf(call),
        send: (response) => call.write(response),
        listen: (isListening) => {
          if (isListening) call.resume();
          else call.pause();
        },
        finish: (error) => {
          if (error === null) call.end();
          else failCall(call, error);
        },
      };
      call.sendMetadata(new Metadata());
      call.on('data', (request: ConsumeRequest) => {
        session ??= sessionFor(request, ports);
        session.take(request);
      });
      call.on('drain', () => {
        session?.onDrain();
      });
      // Without a word it has not left: its session goes on for its grace.
      call.on('end', () => {
        session?.close();
        call.end();
      });
      call.on('error', () => {
        session?.close();
      });
      call.on('cancelled', () => {
        session?.close();
      });
    },
  };
}

/** The first message says what it is. */
function sessionFor({ message }: ConsumeRequest, ports: SessionPorts): Session {
  const image = ports.cluster.image();
  if (message?.$case !== 'open' || message.value.type !== ConsumeType.CONSUME_TYPE_QUEUE) {
    requireLevel(image, LEVEL_OF_MEMBERS, 'join a group');
    return new ConsumeSession(ports);
  }
  requireLevel(image, LEVEL_OF_QUEUES, 'take records of a queue');
  return new QueueSession(ports);
}
