/**
 * One Consume stream, as a member has it that reads from leaders: its messages in the words of the
 * member's core. What a broker sends that makes no sense ends the stream.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { partitionKey } from '../../base/units.ts';
import {
  ConsumeFence,
  type ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  type ConsumeView,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { topicIdFromBytes, topicIdToBytes } from '../../wire/batch/frame.ts';
import type { UnaryMethod } from '../connections.ts';
import { fromCall, fromCodec, fromWire, TidemarkError } from '../errors.ts';
import type { Acknowledgement } from './member/ledger.ts';
import type { FenceReason, MemberInput, View, ViewedPartition } from './member/types.ts';

/** The Consume stream. */
export const CONSUME_METHOD: UnaryMethod<ConsumeRequest, ConsumeResponse> =
  ConsumeServiceService.consume;

/** Who hears what a stream brings. */
export interface ConsumeEvents {
  readonly onInput: (input: MemberInput<TidemarkError>) => void;
  /** Errors in the order of the commits; undefined: committed. */
  readonly onAcknowledged: (id: number, errors: readonly (TidemarkError | undefined)[]) => void;
  readonly onEnded: (attempt: number, error: TidemarkError) => void;
}

const FENCES: ReadonlyMap<ConsumeFence, FenceReason> = new Map<ConsumeFence, FenceReason>([
  [ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE, 'attached-elsewhere'],
  [ConsumeFence.CONSUME_FENCE_REPLACED, 'replaced'],
  [ConsumeFence.CONSUME_FENCE_EXPIRED, 'expired'],
  [ConsumeFence.CONSUME_FENCE_LEFT, 'left'],
  [ConsumeFence.CONSUME_FENCE_TOO_SLOW, 'too-slow'],
]);

export class ConsumeStream {
  readonly attempt: number;
  readonly address: string;
  readonly #call: ClientDuplexStream<ConsumeRequest, ConsumeResponse>;
  readonly #events: ConsumeEvents;
  readonly #releaseMs: number;
  #isOver = false;

  constructor(
    call: ClientDuplexStream<ConsumeRequest, ConsumeResponse>,
    open: ConsumeOpen,
    address: string,
    events: ConsumeEvents,
  ) {
    this.attempt = open.attempt;
    this.address = address;
    this.#call = call;
    this.#events = events;
    this.#releaseMs = open.releaseMs;
    call.on('data', (response: ConsumeResponse) => this.#take(response));
    call.on('error', (error) => this.#end(fromCall(error, address)));
    call.on('status', () =>
      this.#end(
        new TidemarkError('UNREACHABLE', `Broker ${address} ended the member's stream`, 'refresh'),
      ),
    );
    call.write({ message: { $case: 'open', value: open } });
  }

  applied(epoch: number): void {
    this.#write({ message: { $case: 'applied', value: { epoch } } });
  }

  acknowledge({ acknowledgeId, commits }: Acknowledgement): void {
    const cursors = commits.map(({ held, offset, leaderEpoch }) => {
      const { partition, epoch } = held;
      return { topicId: topicIdToBytes(held.topicId), partition, offset, leaderEpoch, epoch };
    });
    const value = { acknowledgeId, cursors, records: [], creditBytes: 0, creditRecords: 0 };
    this.#write({ message: { $case: 'acknowledge', value } });
  }

  leave(isReturning: boolean): void {
    this.#write({ message: { $case: 'leave', value: { isReturning } } });
  }

  /** Ends the stream; nobody hears of it. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call.cancel();
  }

  #write(request: ConsumeRequest): void {
    if (!this.#isOver) this.#call.write(request);
  }

  #end(error: TidemarkError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onEnded(this.attempt, error);
  }

  #take({ message }: ConsumeResponse): void {
    if (this.#isOver || message === undefined) return;
    try {
      this.#tell(message);
    } catch (cause) {
      this.#end(fromCodec(cause));
    }
  }

  #tell(message: NonNullable<ConsumeResponse['message']>): void {
    const { attempt } = this;
    const { onInput, onAcknowledged } = this.#events;
    switch (message.$case) {
      case 'joined':
        onInput({ kind: 'joined', attempt, sessionMs: message.value.sessionMs });
        return;
      case 'view':
        onInput({ kind: 'view', attempt, view: viewOf(message.value, this.#releaseMs) });
        return;
      case 'acknowledged': {
        const { acknowledgeId, cursors } = message.value;
        const errors = cursors.map(({ error }) =>
          error === undefined ? undefined : fromWire(error),
        );
        onAcknowledged(acknowledgeId, errors);
        return;
      }
      case 'lease':
        onInput({ kind: 'lease', attempt, leftMs: message.value.leftMs });
        return;
      case 'reattach':
        onInput({ kind: 'reattach', attempt });
        return;
      case 'fenced':
        onInput({
          kind: 'fenced',
          attempt,
          reason: FENCES.get(message.value.reason) ?? 'unknown',
        });
        return;
      // Nobody asked for records.
      case 'records':
    }
  }
}

function viewOf({ epoch, assigned, revoked }: ConsumeView, releaseMs: number): View<TidemarkError> {
  return {
    epoch,
    assigned: assigned.map((each): ViewedPartition<TidemarkError> => {
      const { topic, partition, cursor, error } = each;
      const topicId = topicIdFromBytes(each.topicId);
      return {
        key: partitionKey(topicId, partition),
        ...{ topic, topicId, partition, epoch: each.epoch },
        cursor:
          cursor === undefined
            ? undefined
            : { offset: cursor.offset, leaderEpoch: cursor.leaderEpoch },
        error: error === undefined ? undefined : fromWire(error),
      };
    }),
    leftMs: Math.min(releaseMs, ...revoked.map(({ leftMs }) => leftMs)),
  };
}
