/**
 * Batches of this broker's plain Append calls, on their way to other leaders: one Produce stream
 * for each, opened when first needed.
 */
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';

import {
  AckLevel as AckLevelValue,
  LogServiceService,
  type ProduceResponse,
  type ProduceResult,
} from '../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage, errorFromStatus } from '../../wire/grpc/errors.ts';
import { type ProduceParts, serializeProduce } from '../../wire/grpc/frame-messages.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId, TopicId } from '../../base/units.ts';
import type { AckLevel, AppendResult, AppendTerms } from '../replication/types.ts';
import { topicIdBytes } from '../messages/fields.ts';
import { setPrincipal } from '../messages/principal.ts';
import type { Cluster } from './cluster.ts';

const PRODUCE = LogServiceService.produce;

const ACKS = {
  none: AckLevelValue.ACK_LEVEL_NONE,
  leader: AckLevelValue.ACK_LEVEL_LEADER,
  all: AckLevelValue.ACK_LEVEL_ALL,
} as const satisfies Record<AckLevel, AckLevelValue>;

/** Streams that are kept open: one for each leader, and for each caller where they are known. */
const STREAMS_MAX = 200;

/** A batch and where it belongs. */
export interface OutgoingBatch {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly frame: Uint8Array;
  readonly terms: AppendTerms;
  /** For whom; empty: nobody was asked for a name. */
  readonly principal: string;
}

type Done = (result: AppendResult) => void;

export class ProduceForwarder {
  readonly #cluster: Cluster;
  /** By leader and principal, the one that was used last at the end. */
  readonly #streams = new Map<string, LeaderProduceStream>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * Sends a batch; `done` is called once, later. Throws UNKNOWN_BROKER. What is unanswered when a
   * stream breaks fails with UNREACHABLE.
   */
  send(leader: BrokerId, batch: OutgoingBatch, done: Done): void {
    const { principal } = batch;
    const key = `${leader}/${principal}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      this.#makeRoom();
      const client = this.#cluster.client(leader, 'data');
      const call: ClientDuplexStream<ProduceParts, ProduceResponse> = client.makeBidiStreamRequest(
        PRODUCE.path,
        serializeProduce,
        PRODUCE.responseDeserialize,
        setPrincipal(new Metadata(), principal),
      );
      const opened = new LeaderProduceStream(call, () => {
        if (this.#streams.get(key) === opened) this.#streams.delete(key);
      });
      stream = opened;
    }
    this.#streams.delete(key);
    this.#streams.set(key, stream);
    stream.send(batch, done);
  }

  /** Those that wait for nothing go first; those that do are as few as the batches under way. */
  #makeRoom(): void {
    for (const [key, stream] of this.#streams) {
      if (this.#streams.size < STREAMS_MAX) return;
      if (!stream.isIdle) continue;
      this.#streams.delete(key);
      stream.close();
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.close();
  }
}

class LeaderProduceStream {
  readonly #call: ClientDuplexStream<ProduceParts, ProduceResponse>;
  readonly #waiting = new Map<number, Done>();
  #nextBatchId = 1;

  constructor(call: ClientDuplexStream<ProduceParts, ProduceResponse>, onClosed: () => void) {
    this.#call = call;
    call.on('data', ({ results }: ProduceResponse) => {
      for (const result of results) this.#settle(result);
    });
    call.on('error', () => undefined);
    call.on('status', (status) => {
      onClosed();
      const error =
        status.code === Status.OK
          ? new BrokerError('UNREACHABLE', 'The leader ended its stream')
          : errorFromStatus(status);
      for (const done of this.#waiting.values()) done({ ok: false, error });
      this.#waiting.clear();
    });
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  send({ topicId, partition, frame, terms }: OutgoingBatch, done: Done): void {
    const batchId = this.#nextBatchId;
    this.#nextBatchId += 1;
    this.#waiting.set(batchId, done);
    this.#call.write({
      acks: ACKS[terms.ack],
      batches: [
        {
          batchId,
          topicId: topicIdBytes(topicId),
          partition,
          frame: [frame],
          expectedEnd: terms.expectedEnd,
        },
      ],
    });
  }

  close(): void {
    this.#call.cancel();
  }

  #settle({ batchId, baseOffset, leaderEpoch, duplicate, error }: ProduceResult): void {
    const done = this.#waiting.get(batchId);
    this.#waiting.delete(batchId);
    if (error !== undefined) done?.({ ok: false, error: errorFromMessage(error) });
    // The stream does not tell the last offset, and nobody here needs it: records are counted from
    // the first.
    else
      done?.({ ok: true, baseOffset, lastOffset: baseOffset, leaderEpoch, isDuplicate: duplicate });
  }
}
