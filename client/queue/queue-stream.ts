/**
 * One Consume stream, as a member of a queue has it: its messages in the words of the member's
 * core.
 */
import {
  ConsumeType,
  type ConsumeOpen,
  type ConsumeRecord,
  type ConsumeRecords,
  Delivery,
  type RecordAcknowledgement,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { topicIdFromBytes, topicIdToBytes } from '../../wire/batch/frame.ts';
import { ConsumeCall, type ConsumeMessage, type Dialler } from '../consume-call.ts';
import { fromWire, type TidemarkError } from '../errors.ts';
import { fenceReason } from '../group/consume-stream.ts';
import type { Credit, HolderInput, Lease, Outcome, Part, Verdict } from './holder/types.ts';

/** A record that the member has, as it came. */
export interface LeasedRecord extends Lease {
  readonly topic: string;
  readonly record: ConsumeRecord;
}

/** What the member says of itself. */
export interface Introduction {
  readonly queue: string;
  /** Undefined: whatever the queue has. */
  readonly topic: string | undefined;
  readonly client: string;
  readonly graceMs: number;
}

export type Input = HolderInput<LeasedRecord, TidemarkError>;

/** Who hears what a stream brings. */
export interface StreamEvents {
  readonly onInput: (input: Input) => void;
  readonly onEnded: (attempt: number, error: TidemarkError) => void;
}

export class QueueStream {
  readonly #call: ConsumeCall;
  readonly #events: StreamEvents;

  /** Throws CLOSED. */
  constructor(dialler: Dialler, open: ConsumeOpen, address: string, events: StreamEvents) {
    this.#events = events;
    this.#call = new ConsumeCall(dialler, open, address, {
      onMessage: (message) => this.#tell(message),
      onEnded: events.onEnded,
    });
  }

  get address(): string {
    return this.#call.address;
  }

  acknowledge(acknowledgeId: number, parts: readonly Part<LeasedRecord>[]): void {
    const records = parts.map(acknowledgementOf);
    const value = { acknowledgeId, cursors: [], records, creditBytes: 0, creditRecords: 0 };
    this.#call.write({ $case: 'acknowledge', value });
  }

  credit({ records, bytes }: Credit): void {
    this.#call.write({ $case: 'credit', value: { records, bytes } });
  }

  leave(): void {
    this.#call.write({ $case: 'leave', value: { isReturning: false } });
  }

  /** Ends the stream; nobody hears of it. */
  close(): void {
    this.#call.close();
  }

  #tell(message: ConsumeMessage): void {
    const { attempt } = this.#call;
    const { onInput } = this.#events;
    switch (message.$case) {
      case 'joined':
        onInput({ kind: 'joined', attempt, leaseMs: message.value.leaseMs });
        return;
      case 'records':
        onInput({ kind: 'records', attempt, leases: leasesOf(message.value) });
        return;
      case 'acknowledged': {
        const { acknowledgeId, records } = message.value;
        const outcomes = records.map(({ error }) => outcomeOf(error && fromWire(error)));
        onInput({ kind: 'acknowledged', acknowledgeId, outcomes });
        return;
      }
      case 'reattach':
        onInput({ kind: 'reattach', attempt });
        return;
      case 'fenced':
        onInput({ kind: 'fenced', attempt, reason: fenceReason(message.value.reason) });
        return;
      // Queues have none.
      case 'view':
      case 'lease':
    }
  }
}

/** The first message. */
export function openOf(
  { queue, topic, client, graceMs }: Introduction,
  own: { readonly attempt: number; readonly memberId: string; readonly credit: Credit },
): ConsumeOpen {
  const { attempt, memberId, credit } = own;
  return {
    group: queue,
    type: ConsumeType.CONSUME_TYPE_QUEUE,
    topics: topic === undefined ? [] : [topic],
    ...{ memberId, attempt, client, graceMs },
    ...{ instanceId: '', rack: '', assignor: '', sessionMs: 0, returnMs: 0, epoch: 0 },
    delivery: Delivery.DELIVERY_RECORDS,
    creditBytes: credit.bytes,
    creditRecords: credit.records,
    ...{ from: 0, formerMemberId: '', releaseMs: 0 },
  };
}

/** Each takes its share of the message's bytes, so that all of them give back what it took. */
function leasesOf({ topic, topicId, partition, records, bytes }: ConsumeRecords): LeasedRecord[] {
  const id = topicIdFromBytes(topicId);
  const share = Math.floor(bytes / Math.max(1, records.length));
  return records.map((record, at) => {
    const { offset, leaderEpoch, delivery } = record;
    const isLast = at === records.length - 1;
    return {
      ...{ topic, topicId: id, partition, offset, leaderEpoch, delivery, record },
      bytes: isLast ? bytes - share * at : share,
    };
  });
}

function acknowledgementOf({ lease, verdict }: Part<LeasedRecord>): RecordAcknowledgement {
  const { topicId, partition, offset, leaderEpoch, delivery } = lease;
  return {
    topicId: topicIdToBytes(topicId),
    ...{ partition, offset, leaderEpoch, delivery },
    verdict: verdictOf(verdict),
  };
}

function verdictOf(verdict: Verdict): RecordAcknowledgement['verdict'] {
  switch (verdict.kind) {
    case 'accept':
      return { $case: 'accept', value: {} };
    case 'extend':
      return { $case: 'extend', value: {} };
    case 'release':
      return { $case: 'release', value: { delayMs: verdict.delayMs } };
    case 'reject':
      return { $case: 'reject', value: { reason: verdict.reason } };
  }
}

function outcomeOf(error: TidemarkError | undefined): Outcome<TidemarkError> {
  if (error === undefined) return { kind: 'done' };
  if (error.code === 'LEASE_LOST') return { kind: 'lost', refusal: error };
  // Fenced is who asked, perhaps by a stream that was left. The stream says so if it is the member.
  const isToAsk = error.retry !== 'no' || error.effect === 'unknown' || error.code === 'FENCED';
  return isToAsk
    ? { kind: 'again', refusal: error, afterMs: error.details.retryAfterMs ?? 0 }
    : { kind: 'refused', refusal: error };
}
