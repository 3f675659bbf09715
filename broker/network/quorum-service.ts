/**
 * Serves what other brokers ask of this one's quorum: raft messages, requests to the controller,
 * looks at a replica, and who it is.
 */
import { BROKER_ID_MAX, PARTITIONS_PER_TOPIC_MAX, PORT_MAX } from '../../base/limits.ts';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';

import type {
  ExchangeRequest,
  ExchangeResponse,
  IdentifyResponse,
  QuorumServiceServer,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { type BrokerId, NO_BROKER } from '../../base/units.ts';
import type { ControllerRequest } from '../metadata/controller-types.ts';
import type { NodeInfo, PeerHandler } from '../runtime/ports.ts';
import { remainingMs } from '../messages/deadline.ts';
import { integerField, textField, uuidField } from '../messages/fields.ts';
import { startToMessage } from '../messages/log-start.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import { brokerIdField } from '../messages/topics.ts';
import { replyToMessage, requestFromMessage } from '../messages/controller-codec.ts';
import { requireSpeaker } from '../messages/speaker.ts';
import type { Link, Presence } from './presence.ts';
import { type Exchange, exchangeFromMessage } from '../messages/raft-codec.ts';

/** What the handlers need beside the runtime. */
export interface ServiceParts {
  readonly presence: Presence;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly report: ReportDefect;
}

/**
 * Handlers of QuorumService. `handler` throws BROKER_NOT_READY while the runtime has not begun to
 * serve.
 */
export function quorumService(
  handler: () => PeerHandler,
  { presence, clock, report }: ServiceParts,
): QuorumServiceServer {
  return {
    exchange: (call) => takeExchange(call, handler, presence),
    decide: unaryHandler(async (message, call) => {
      try {
        const request = requestFromMessage(message);
        const speaker = speakerOf(request);
        if (speaker !== null) requireSpeaker(call, speaker);
        return replyToMessage(await handler().onController(request));
      } catch (error) {
        // A refusal is an answer of the controller, told apart from a failed call: it is not
        // repeated.
        if (error instanceof BrokerError) return replyToMessage(error);
        throw error;
      }
    }, report),
    identify: unaryHandler(() => nodeInfoToMessage(handler().nodeInfo()), report),
    inspect: unaryHandler(async (message, call) => {
      const topicId = uuidField('topic_id', message.topicId);
      const partition = integerField(
        'partition',
        message.partition,
        0,
        PARTITIONS_PER_TOPIC_MAX - 1,
      );
      const { leaderEpoch, brokerEpoch } = message;
      const inspection = { topicId, partition, leaderEpoch, brokerEpoch };
      const log = await handler().onInspect(inspection, remainingMs(call, clock));
      return log === null
        ? { known: false, lastEpoch: 0, endOffset: 0, highWaterMark: undefined, start: undefined }
        : {
            known: true,
            highWaterMark: undefined,
            ...log,
            start: log.start && startToMessage(log.start),
          };
    }, report),
  };
}

/** The broker that a request is of; null where any broker hands on what somebody asked of it. */
function speakerOf(request: ControllerRequest): BrokerId | null {
  const isOwn =
    request.kind === 'register' ||
    request.kind === 'heartbeat' ||
    request.kind === 'alter-sync-set' ||
    request.kind === 'alter-sync-sets';
  return isOwn ? request.brokerId : null;
}

/** Who a broker is, as a message. */
function nodeInfoToMessage({ controller, controllerAddress, ...info }: NodeInfo): IdentifyResponse {
  return {
    ...info,
    controller: controller === NO_BROKER ? undefined : controller,
    controllerHost: controllerAddress?.host ?? '',
    controllerPort: controllerAddress?.port ?? 0,
  };
}

/** Who a broker is. Unformatted: empty ids. */
export function nodeInfoFromMessage(message: IdentifyResponse): NodeInfo {
  integerField('broker_id', message.brokerId, 0, BROKER_ID_MAX);
  const controller =
    message.controller === undefined ? NO_BROKER : brokerIdField('controller', message.controller);
  if (message.directoryId !== '') uuidField('directory_id', message.directoryId);
  textField('cluster_id', message.clusterId);
  const { controllerHost, controllerPort, ...info } = message;
  // A build that does not know these fields leaves them out.
  const isPlaced = controller !== NO_BROKER && controllerHost !== '';
  const controllerAddress = isPlaced
    ? {
        host: textField('controller_host', controllerHost),
        port: integerField('controller_port', controllerPort, 1, PORT_MAX),
      }
    : null;
  return { ...info, controller, controllerAddress };
}

/**
 * The message; null for one that this build cannot read. The stream goes on: a sender repeats what
 * it says, and a stream that breaks again and again would look like a peer that dies again and
 * again.
 */
function readExchange(request: ExchangeRequest, handler: PeerHandler): Exchange | null {
  try {
    return exchangeFromMessage(request);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    handler.onRaftRefused(error.message);
    return null;
  }
}

function takeExchange(
  call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>,
  handler: () => PeerHandler,
  presence: Presence,
): void {
  let link: Link | null = null;
  let isEnded = false;
  call.on('data', (request: ExchangeRequest) => {
    const exchange = readExchange(request, handler());
    if (exchange === null) return;
    if (exchange.from.brokerId !== link?.brokerId) requireSpeaker(call, exchange.from.brokerId);
    link ??= presence.established(exchange.from.brokerId);
    handler().onRaft(exchange.from, exchange.to, exchange.message);
  });
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
