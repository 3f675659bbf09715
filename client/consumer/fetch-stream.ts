/**
 * One Fetch stream from one broker: what is subscribed on it, and its credit. Must not decode
 * frames.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  type FetchPartition,
  type FetchRequest,
  type FetchResponse,
  LogServiceService,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { UnaryMethod } from '../connections.ts';
import { fromCall, TidemarkError } from '../errors.ts';
import type { Position } from './types.ts';

/** The Fetch stream. */
export const FETCH_METHOD: UnaryMethod<FetchRequest, FetchResponse> = LogServiceService.fetch;

/** Who hears what a stream brings. */
export interface FetchStreamEvents {
  readonly onPart: (stream: FetchStream, part: FetchPartition) => void;
  readonly onLost: (stream: FetchStream, error: TidemarkError) => void;
}

export class FetchStream {
  readonly brokerId: number;
  readonly #call: ClientDuplexStream<FetchRequest, FetchResponse>;
  readonly #events: FetchStreamEvents;
  readonly #creditBytes: number;
  readonly #topicIdBytes: Uint8Array;
  /** Bytes that the caller has taken and the broker does not know of yet. */
  #owedBytes = 0;
  #isOver = false;

  constructor(
    call: ClientDuplexStream<FetchRequest, FetchResponse>,
    place: {
      readonly brokerId: number;
      readonly address: string;
      readonly topicIdBytes: Uint8Array;
    },
    creditBytes: number,
    events: FetchStreamEvents,
  ) {
    this.brokerId = place.brokerId;
    this.#call = call;
    this.#events = events;
    this.#creditBytes = creditBytes;
    this.#topicIdBytes = place.topicIdBytes;
    call.on('data', ({ partitions }: FetchResponse) => {
      for (const part of partitions) if (!this.#isOver) events.onPart(this, part);
    });
    call.on('error', (error) => this.lose(fromCall(error, place.address)));
    call.on('status', () =>
      this.lose(
        new TidemarkError(
          'UNREACHABLE',
          `Cannot read at ${place.address}: the broker ended the stream`,
          'refresh',
        ),
      ),
    );
    call.write({ subscribe: [], unsubscribe: [], creditBytes });
  }

  /**
   * Starts, or moves, the reading of a partition. `isFollower`: the broker does not lead it, and is
   * read only while it is in sync.
   */
  subscribe({ partition, offset, leaderEpoch }: Position, isFollower: boolean): void {
    const topicId = this.#topicIdBytes;
    const place = { topicId, partition, offset, leaderEpoch };
    this.#call.write({
      subscribe: [{ ...place, allowFollower: isFollower, inSyncOnly: isFollower }],
      unsubscribe: [],
      creditBytes: 0,
    });
  }

  /** Ends the reading of a partition; what is on its way still comes. */
  unsubscribe(partition: number): void {
    if (this.#isOver) return;
    this.#call.write({
      subscribe: [],
      unsubscribe: [{ topicId: this.#topicIdBytes, partition }],
      creditBytes: 0,
    });
  }

  /**
   * Says that `bytes` of frames are held no more. The broker is told by the quarter of the credit,
   * not for every batch.
   */
  release(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#isOver || this.#owedBytes < this.#creditBytes / 4) return;
    this.#call.write({ subscribe: [], unsubscribe: [], creditBytes: this.#owedBytes });
    this.#owedBytes = 0;
  }

  /** Ends the stream; nobody hears of it. */
  close(): void {
    this.#isOver = true;
    this.#call.cancel();
  }

  /** Gives the stream up, as if the connection had broken. */
  lose(error: TidemarkError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onLost(this, error);
  }
}
