/** Serves what other brokers ask of this one's quorum: raft messages, requests to the controller, looks at a replica, and who it is. */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';

import type {
  ExchangeRequest,
  ExchangeResponse,
  IdentifyResponse,
  QuorumServiceServer,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { BrokerError } from '../base/errors.ts';
import { NO_BROKER } from '../base/units.ts';
import type { NodeInfo, PeerHandler } from '../runtime/ports.ts';
import { integerField, uuidField } from '../wire/fields.ts';
import { onMessages, type ReportDefect, unaryHandler } from '../wire/handlers.ts';
import { BROKER_ID_MAX, brokerIdField, PARTITIONS_MAX } from '../wire/topics.ts';
import { replyToMessage, requestFromMessage } from './controller-codec.ts';
import type { Link, Presence } from './presence.ts';
import { exchangeFromMessage } from './raft-codec.ts';

/** Handlers of QuorumService. `handler` throws BROKER_NOT_READY while the runtime has not begun to serve. */
export function quorumService(
  handler: () => PeerHandler,
  presence: Presence,
  report: ReportDefect,
): QuorumServiceServer {
  return {
    exchange: (call) => takeExchange(call, handler, presence, report),
    decide: unaryHandler(async (message) => {
      try {
        return replyToMessage(await handler().onController(requestFromMessage(message)));
      } catch (error) {
        // A refusal is an answer of the controller, told apart from a failed call: it is not repeated.
        if (error instanceof BrokerError) return replyToMessage(error);
        throw error;
      }
    }, report),
    identify: unaryHandler(() => nodeInfoToMessage(handler().nodeInfo()), report),
    inspect: unaryHandler(async (message) => {
      const topicId = uuidField('topic_id', message.topicId);
      const partition = integerField('partition', message.partition, 0, PARTITIONS_MAX - 1);
      const { leaderEpoch, brokerEpoch } = message;
      const log = await handler().onInspect({ topicId, partition, leaderEpoch, brokerEpoch });
      if (log === null)
        return { known: false, lastEpoch: 0, endOffset: 0, highWaterMark: undefined };
      return {
        known: true,
        lastEpoch: log.lastEpoch,
        endOffset: log.endOffset,
        highWaterMark: log.highWaterMark,
      };
    }, report),
  };
}

/** Who a broker is, as a message. */
function nodeInfoToMessage({ controller, ...info }: NodeInfo): IdentifyResponse {
  return { ...info, controller: controller === NO_BROKER ? undefined : controller };
}

/** Who a broker is. Unformatted: empty ids. */
export function nodeInfoFromMessage(message: IdentifyResponse): NodeInfo {
  integerField('broker_id', message.brokerId, 0, BROKER_ID_MAX);
  const controller =
    message.controller === undefined ? NO_BROKER : brokerIdField('controller', message.controller);
  return { ...message, controller };
}

function takeExchange(
  call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>,
  handler: () => PeerHandler,
  presence: Presence,
  report: ReportDefect,
): void {
  let link: Link | null = null;
  let isEnded = false;
  onMessages(
    call,
    (request) => {
      const { from, to, message } = exchangeFromMessage(request);
      link ??= presence.established(from.brokerId);
      handler().onRaft(from, to, message);
    },
    report,
  );
  call.on('end', () => {
    isEnded = true;
    call.end();
  });
  call.on('error', () => undefined);
  // Also follows an orderly end.
  call.on('cancelled', () => {
    if (isEnded) presence.ended(link);
    else presence.lost(link);
  });
  // Headers tell the peer that it was reached, long before the stream ends.
  call.sendMetadata(new Metadata());
}
