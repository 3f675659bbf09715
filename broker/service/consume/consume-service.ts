/** ConsumeService: one session for each stream. */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type {
  ConsumeRequest,
  ConsumeResponse,
  ConsumeServiceServer,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { LEVEL_OF_MEMBERS, requireLevel } from '../../runtime/metadata-rules.ts';
import { failCall } from '../../messages/handlers.ts';
import { heldOf } from '../../messages/held.ts';
import { principalOf } from '../../messages/principal.ts';
import type { GroupParts } from '../groups/coordinated.ts';
import type { Traffic } from '../traffic.ts';
import { ConsumeSession } from './consume-session.ts';
import type { MemberProxy } from './member-proxy.ts';

export interface ConsumeParts extends GroupParts {
  readonly proxy: MemberProxy;
  readonly traffic: Traffic;
}

/** Handlers of ConsumeService. */
export function consumeService(parts: ConsumeParts): ConsumeServiceServer {
  const { cluster } = parts;
  return {
    consume: (call: ServerDuplexStream<ConsumeRequest, ConsumeResponse>) => {
      cluster.requireMetadata();
      requireLevel(cluster.image(), LEVEL_OF_MEMBERS, 'join a group');
      const session = new ConsumeSession({
        ...parts,
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
      });
      call.sendMetadata(new Metadata());
      call.on('data', (request: ConsumeRequest) => {
        session.take(request);
      });
      call.on('drain', () => {
        session.onDrain();
      });
      // Without a word it has not left: its session goes on for its grace.
      call.on('end', () => {
        session.close();
        call.end();
      });
      call.on('error', () => {
        session.close();
      });
      call.on('cancelled', () => {
        session.close();
      });
    },
  };
}
