/**
 * One Produce stream to one broker: its window, and which batch each answer belongs to. Must not
 * know what a failed batch means.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../base/clock.ts';
import type { MonotonicMs } from '../../base/units.ts';
import type {
  AckLevel,
  ProduceBatch,
  ProduceRequest,
  ProduceResponse,
  ProduceResult,
} from '../../proto/gen/tidemark/v1/log.ts';
import { fromCall, TidemarkError } from '../errors.ts';
import type { Batch, PartitionQueue } from './partition-queue.ts';

/** A batch on its way, and the try that it was. */
export interface Sending {
  readonly queue: PartitionQueue;
  readonly batch: Batch;
  readonly attempt: number;
  readonly frame: Uint8Array;
}

/** Who hears of answers. */
export interface ProduceStreamEvents {
  readonly onResult: (sending: Sending, result: ProduceResult) => void;
  /** After all results of one message: there may be room in the window again. */
  readonly onProgress: () => void;
  /** The stream is gone; the fate of these batches is not known. */
  readonly onLost: (
    stream: ProduceStream,
    sendings: readonly Sending[],
    error: TidemarkError,
  ) => void;
}

/** Until the broker has stated its window. */
const WINDOW_BYTES_INITIAL = 1024 * 1024;

export class ProduceStream {
  readonly brokerId: number;
  /** When the broker last answered, or was first left waiting, on the monotonic clock. */
  heardAtMs: MonotonicMs;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #call: ClientDuplexStream<ProduceRequest, ProduceResponse>;
  readonly #events: ProduceStreamEvents;
  readonly #unanswered = new Map<number, Sending>();
  #unansweredBytes = 0;
  #windowBytes = WINDOW_BYTES_INITIAL;
  #batchBytesMax = Number.POSITIVE_INFINITY;
  #nextBatchId = 1;
  #isOver = false;

  constructor(
    brokerId: number,
    address: string,
    call: ClientDuplexStream<ProduceRequest, ProduceResponse>,
    clock: Pick<Clock, 'monotonicMs'>,
    events: ProduceStreamEvents,
  ) {
    this.brokerId = brokerId;
    this.#clock = clock;
    this.heardAtMs = clock.monotonicMs();
    this.#call = call;
    this.#events = events;
    call.on('data', (response: ProduceResponse) => this.#take(response));
    call.on('error', (error) => this.lose(fromCall(error, address)));
    call.on('status', () =>
      this.lose(
        new TidemarkError(
          'UNREACHABLE',
          `Cannot append at ${address}: the broker ended the stream`,
          'refresh',
        ),
      ),
    );
  }

  /**
   * Bytes of frames that may follow `pendingBytes`, which are about to be sent. One batch may
   * exceed the window when it is alone.
   */
  room(pendingBytes: number): number {
    const usedBytes = this.#unansweredBytes + pendingBytes;
    return usedBytes === 0 ? Number.POSITIVE_INFINITY : this.#windowBytes - usedBytes;
  }

  /** Most bytes of a batch that is begun now, as the broker has it. */
  get batchBytesMax(): number {
    return this.#batchBytesMax;
  }

  get hasUnanswered(): boolean {
    return this.#unanswered.size > 0;
  }

  /** Sends batches in one message. */
  send(acks: AckLevel, sendings: readonly Sending[]): void {
    if (this.#unanswered.size === 0) this.heardAtMs = this.#clock.monotonicMs();
    const batches = sendings.map((sending) => {
      const batchId = this.#nextBatchId;
      this.#nextBatchId += 1;
      this.#unanswered.set(batchId, sending);
      this.#unansweredBytes += sending.frame.length;
      return {
        batchId,
        topicId: sending.queue.topicIdBytes,
        partition: sending.queue.partition,
        frame: sending.frame,
        condition: conditionOf(sending.batch),
      };
    });
    this.#call.write({ acks, batches });
  }

  /** Ends the stream in order: nothing is unanswered, or nobody wants the answers. */
  close(): void {
    this.#isOver = true;
    this.#call.end();
    this.#call.cancel();
  }

  /** Gives up the stream, as if the connection had broken. */
  lose(error: TidemarkError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const sendings = [...this.#unanswered.values()];
    this.#unanswered.clear();
    this.#call.cancel();
    this.#events.onLost(this, sendings, error);
  }

  #take(response: ProduceResponse): void {
    if (this.#isOver) return;
    this.heardAtMs = this.#clock.monotonicMs();
    if (response.windowBytes > 0) this.#windowBytes = response.windowBytes;
    if (response.batchBytes > 0) this.#batchBytesMax = response.batchBytes;
    for (const result of response.results) {
      const sending = this.#unanswered.get(result.batchId);
      // An id that was answered before: the broker repeated itself.
      if (sending === undefined) continue;
      this.#unanswered.delete(result.batchId);
      this.#unansweredBytes -= sending.frame.length;
      this.#events.onResult(sending, result);
    }
    this.#events.onProgress();
  }
}

function conditionOf({ expectedEnd }: Batch): ProduceBatch['condition'] {
  return expectedEnd === undefined ? undefined : { $case: 'expectedEnd', value: expectedEnd };
}
