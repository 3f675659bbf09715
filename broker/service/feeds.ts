/**
 * Frames of partitions for a plain Read, from whichever broker leads them: this one, or another
 * over its Fetch stream. Both look alike to the reader.
 */
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';

import {
  type FetchPartition,
  type FetchRequest,
  type FetchResponse,
  LogServiceService,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { CrossedLoss } from '../../proto/gen/tidemark/v1/losses.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId, LeaderEpoch, Offset, TopicId } from '../../base/units.ts';
import { topicIdBytes } from '../messages/fields.ts';
import { type Held, RELAYED_STREAM_BYTES } from '../messages/held.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import { setPrincipal } from '../messages/principal.ts';
import type { Cluster } from './cluster.ts';
import { FetchSession } from './fetch-session.ts';
import type { Traffic } from './traffic.ts';

const FETCH = LogServiceService.fetch;

/** One broker's frames. */
interface Feed {
  request(request: FetchRequest): void;
  close(): void;
}

/** Frames or an error of one partition; frames lie in pieces of whole frames. */
export type FedPartition = Omit<FetchPartition, 'frames' | 'losses'> & {
  readonly frames: readonly Uint8Array[];
  readonly losses: readonly CrossedLoss[];
};

interface FeedEvents {
  onPartition(part: FedPartition): void;
  /** The feed is gone, with all its partitions. Not called after `close`. */
  onClosed(error: BrokerError): void;
}

export interface FeedParts {
  readonly cluster: Cluster;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
  /** Who reads; absent or empty: nobody was asked for a name. */
  readonly principal?: string;
  /** Where streams to other brokers count; absent: nowhere, no client has them opened. */
  readonly held?: Held;
}

/** Where a partition is read on. */
export interface FeedPlace {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** What comes, and from which broker. */
export interface FeedsEvents {
  onPartition(brokerId: BrokerId, part: FedPartition): void;
  onClosed(brokerId: BrokerId, error: BrokerError): void;
}

/** The feeds of one reader, each opened when the first partition is read from its broker. */
export class Feeds {
  readonly #parts: FeedParts;
  readonly #creditBytes: number;
  readonly #events: FeedsEvents;
  readonly #feeds = new Map<BrokerId, Feed>();

  /** @param creditBytes bytes of frames that may wait for the reader, of each broker */
  constructor(parts: FeedParts, creditBytes: number, events: FeedsEvents) {
    this.#parts = parts;
    this.#creditBytes = creditBytes;
    this.#events = events;
  }

  /** Reads a partition from its leader. Throws UNKNOWN_BROKER. */
  subscribe(brokerId: BrokerId, { topicId, ...place }: FeedPlace): void {
    const which = { topicId: topicIdBytes(topicId), allowFollower: false, inSyncOnly: false };
    const subscribe = [{ ...which, ...place }];
    this.#of(brokerId).request({ subscribe, unsubscribe: [], creditBytes: 0 });
  }

  unsubscribe(brokerId: BrokerId, topicId: TopicId, partition: number): void {
    const unsubscribe = [{ topicId: topicIdBytes(topicId), partition }];
    this.#feeds.get(brokerId)?.request({ subscribe: [], unsubscribe, creditBytes: 0 });
  }

  returnCredit(brokerId: BrokerId, bytes: number): void {
    this.#feeds.get(brokerId)?.request({ subscribe: [], unsubscribe: [], creditBytes: bytes });
  }

  close(): void {
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
  }

  #of(brokerId: BrokerId): Feed {
    const present = this.#feeds.get(brokerId);
    if (present !== undefined) return present;
    const events: FeedEvents = {
      onPartition: (part) => {
        this.#events.onPartition(brokerId, part);
      },
      onClosed: (error) => {
        this.#feeds.delete(brokerId);
        this.#events.onClosed(brokerId, error);
      },
    };
    const feed = openFeed(brokerId, events, this.#parts);
    this.#feeds.set(brokerId, feed);
    feed.request({ subscribe: [], unsubscribe: [], creditBytes: this.#creditBytes });
    return feed;
  }
}

/** Opens the feed of a broker. Throws UNKNOWN_BROKER. */
function openFeed(brokerId: BrokerId, events: FeedEvents, parts: FeedParts): Feed {
  const { cluster, traffic, report } = parts;
  return cluster.isSelf(brokerId)
    ? localFeed(cluster, events, traffic, report)
    : remoteFeed(parts, brokerId, events);
}

function localFeed(
  { broker }: Cluster,
  events: FeedEvents,
  traffic: Traffic,
  report: ReportDefect,
): Feed {
  const send = ({
    partitions,
  }: {
    readonly partitions: readonly Parameters<FeedEvents['onPartition']>[0][];
  }): boolean => {
    for (const part of partitions) events.onPartition(part);
    return true;
  };
  const session = new FetchSession(broker, { send: (parts) => send(parts) }, traffic, report);
  return { request: (request) => session.take(request), close: () => session.close() };
}

function remoteFeed(
  { cluster, principal = '', held }: FeedParts,
  brokerId: BrokerId,
  events: FeedEvents,
): Feed {
  const client = cluster.client(brokerId, 'relay');
  const call: ClientDuplexStream<FetchRequest, FetchResponse> = client.makeBidiStreamRequest(
    FETCH.path,
    FETCH.requestSerialize,
    FETCH.responseDeserialize,
    setPrincipal(new Metadata(), principal),
  );
  let isClosed = false;
  const ended = (): void => {
    isClosed = true;
    held?.add(-RELAYED_STREAM_BYTES);
  };
  held?.add(RELAYED_STREAM_BYTES);
  call.on('data', ({ partitions }: FetchResponse) => {
    for (const part of partitions) {
      if (!isClosed)
        events.onPartition({ ...part, frames: part.frames.length === 0 ? [] : [part.frames] });
    }
  });
  call.on('error', () => undefined);
  call.on('status', (status) => {
    if (isClosed) return;
    ended();
    events.onClosed(
      status.code === Status.OK
        ? new BrokerError('UNREACHABLE', `Broker ${brokerId} ended its stream`)
        : errorFromStatus(status),
    );
  });
  return {
    request: (request) => void call.write(request),
    close: () => {
      if (!isClosed) ended();
      call.cancel();
    },
  };
}
