/**
 * One Consume stream, as a member has it that reads from leaders: its messages in the words of the
 * member's core. What a broker sends that makes no sense ends the stream.
 */
import { partitionKey } from '../../base/units.ts';
import {
  ConsumeFence,
  type ConsumeOpen,
  type ConsumeView,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { topicIdFromBytes, topicIdToBytes } from '../../wire/batch/frame.ts';
import { ConsumeCall, type ConsumeMessage, type Dialler } from '../consume-call.ts';
import { fromWire, type TidemarkError } from '../errors.ts';
import type { Acknowledgement } from './member/ledger.ts';
import type { FenceReason, MemberInput, View, ViewedPartition } from './member/types.ts';

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

/** In the words of a member's core. */
export function fenceReason(fence: ConsumeFence): FenceReason {
  return FENCES.get(fence) ?? 'unknown';
}

export class ConsumeStream {
  readonly #call: ConsumeCall;
  readonly #events: ConsumeEvents;
  readonly #releaseMs: number;

  /** Throws CLOSED. */
  constructor(dialler: Dialler, open: ConsumeOpen, address: string, events: ConsumeEvents) {
    this.#events = events;
    this.#releaseMs = open.releaseMs;
    this.#call = new ConsumeCall(dialler, open, address, {
      onMessage: (message) => this.#tell(message),
      onEnded: events.onEnded,
    });
  }

  get attempt(): number {
    return this.#call.attempt;
  }

  get address(): string {
    return this.#call.address;
  }

  applied(epoch: number): void {
    this.#call.write({ $case: 'applied', value: { epoch } });
  }

  acknowledge({ acknowledgeId, commits }: Acknowledgement): void {
    const cursors = commits.map(({ held, offset, leaderEpoch }) => {
      const { partition, epoch } = held;
      return { topicId: topicIdToBytes(held.topicId), partition, offset, leaderEpoch, epoch };
    });
    const value = { acknowledgeId, cursors, records: [], creditBytes: 0, creditRecords: 0 };
    this.#call.write({ $case: 'acknowledge', value });
  }

  leave(isReturning: boolean): void {
    this.#call.write({ $case: 'leave', value: { isReturning } });
  }

  /** Ends the stream; nobody hears of it. */
  close(): void {
    this.#call.close();
  }

  #tell(message: ConsumeMessage): void {
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
          reason: fenceReason(message.value.reason),
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
