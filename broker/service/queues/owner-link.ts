/**
 * A link of a member to one owner of partitions of its queue, as the member's proxy has it: to this
 * broker, or to another by a stream. Both look alike.
 */
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';
import {
  type ServeMemberRequest,
  QueuesServiceService,
  type ServeMemberResponse,
} from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import { errorFromStatus } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { type Held, RELAYED_STREAM_BYTES } from '../../messages/held.ts';
import type { Cluster } from '../cluster.ts';
import type { QueuesDesk } from './queues-desk.ts';

const METHOD = QueuesServiceService.serveMember;

export type Demand = NonNullable<ServeMemberRequest['message']>;
export type Supply = NonNullable<ServeMemberResponse['message']>;

export interface OwnerLink {
  demand(message: Demand): void;
  /** There is room again for what it supplies. */
  onDrain(): void;
  /** Nothing comes any more; what the member has stays leased. */
  close(): void;
}

export interface OwnerLinkParts {
  readonly cluster: Cluster;
  readonly desk: Pick<QueuesDesk, 'link'>;
  readonly report: ReportDefect;
  /** Where links to other brokers count. */
  readonly held: Held;
}

export interface OwnerLinkEvents {
  /** False: an owner on this broker is to bring no more records until {@link OwnerLink.onDrain}. */
  onSupply(supply: Supply): boolean;
  /** The link is over, with all that was asked by it. Not called after `close`. */
  onClosed(error: BrokerError): void;
}

/** Throws UNKNOWN_BROKER. */
export function openOwnerLink(
  parts: OwnerLinkParts,
  brokerId: BrokerId,
  events: OwnerLinkEvents,
): OwnerLink {
  return parts.cluster.isSelf(brokerId)
    ? localLink(parts, events)
    : remoteLink(parts, brokerId, events);
}

function localLink({ desk, report }: OwnerLinkParts, events: OwnerLinkEvents): OwnerLink {
  let isClosed = false;
  const closed = (error: BrokerError): void => {
    if (isClosed) return;
    isClosed = true;
    events.onClosed(error);
  };
  const link = desk.link({
    send: ({ message }) => isClosed || message === undefined || events.onSupply(message),
    finish: (error) => {
      closed(error ?? ended('This broker'));
    },
  });
  return {
    demand: (message) => {
      if (isClosed) return;
      try {
        link.take({ message });
      } catch (error) {
        link.close();
        closed(expected(error, report));
      }
    },
    onDrain: () => {
      link.onDrain();
    },
    close: () => {
      isClosed = true;
      link.close();
    },
  };
}

function remoteLink(
  { cluster, held }: OwnerLinkParts,
  brokerId: BrokerId,
  events: OwnerLinkEvents,
): OwnerLink {
  const call: ClientDuplexStream<ServeMemberRequest, ServeMemberResponse> = cluster
    .client(brokerId, 'relay')
    .makeBidiStreamRequest(
      METHOD.path,
      METHOD.requestSerialize,
      METHOD.responseDeserialize,
      new Metadata(),
    );
  let isClosed = false;
  const over = (): void => {
    isClosed = true;
    held.add(-RELAYED_STREAM_BYTES);
  };
  held.add(RELAYED_STREAM_BYTES);
  call.on('data', ({ message }: ServeMemberResponse) => {
    if (!isClosed && message !== undefined) events.onSupply(message);
  });
  call.on('error', () => undefined);
  call.on('status', (status) => {
    if (isClosed) return;
    over();
    events.onClosed(
      status.code === Status.OK ? ended(`Broker ${String(brokerId)}`) : errorFromStatus(status),
    );
  });
  return {
    demand: (message) => void call.write({ message }),
    // What came is written to the consumer at once, where it counts as the consumer's.
    onDrain: () => {},
    close: () => {
      if (isClosed) return;
      over();
      // What was written last arrives yet: that a member is gone.
      call.end();
    },
  };
}

function ended(who: string): BrokerError {
  return new BrokerError('UNREACHABLE', `${who} ended its dealings with the member`);
}
