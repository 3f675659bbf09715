/**
 * Collects what one step has to say. Most steps of the data path say little: an empty output costs
 * nothing.
 */
import type { CompactionOrder } from '../../base/compaction-order.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { BrokerId } from '../../base/units.ts';
import type {
  AppendResult,
  FollowerMessage,
  LogWrite,
  PartitionOutput,
  SyncSetProposal,
} from './types.ts';

const NONE: readonly never[] = Object.freeze([]);

const EMPTY: PartitionOutput = Object.freeze({
  writes: NONE,
  replies: NONE,
  messages: NONE,
  compaction: null,
  position: null,
  proposal: null,
  isChanged: false,
  stopped: null,
  refused: null,
  asksProducers: false,
  rebuildProducers: false,
});

/** Fields of {@link PartitionOutput} while a step runs. */
export class OutputBuilder {
  #isEmpty = true;
  #writes: LogWrite[] | null = null;
  #replies: { readonly requestId: number; readonly result: AppendResult }[] | null = null;
  #messages: FollowerMessage[] | null = null;
  #compaction: CompactionOrder | null = null;
  #position: PartitionOutput['position'] = null;
  #proposal: SyncSetProposal | null = null;
  #isChanged = false;
  #stopped: string | null = null;
  #refused: PartitionOutput['refused'] = null;
  #asksProducers = false;
  #rebuildProducers = false;

  write(write: LogWrite): void {
    (this.#writes ??= []).push(write);
    this.#isEmpty = false;
  }

  reply(requestId: number, result: AppendResult): void {
    (this.#replies ??= []).push({ requestId, result });
    this.#isEmpty = false;
  }

  refuse(requestId: number, error: BrokerError): void {
    this.reply(requestId, { ok: false, error });
  }

  message(message: FollowerMessage): void {
    (this.#messages ??= []).push(message);
    this.#isEmpty = false;
  }

  /** The newest order replaces an older one of the same step. */
  compact(order: CompactionOrder): void {
    this.#compaction = order;
    this.#isEmpty = false;
  }

  /** The newest statement replaces an older one of the same step. */
  position(position: PartitionOutput['position']): void {
    this.#position = position;
    this.#isEmpty = false;
  }

  propose(proposal: SyncSetProposal): void {
    this.#proposal = proposal;
    this.#isEmpty = false;
  }

  changed(): void {
    this.#isChanged = true;
    this.#isEmpty = false;
  }

  get isStopped(): boolean {
    return this.#stopped !== null;
  }

  stop(reason: string): void {
    this.#stopped = reason;
    this.#isEmpty = false;
  }

  /** What `peer` said cannot be. The first reason of a step stays. */
  refusePeer(peer: BrokerId, reason: string): void {
    this.#refused ??= { peer, reason };
    this.#isEmpty = false;
  }

  askProducers(): void {
    this.#asksProducers = true;
    this.#isEmpty = false;
  }

  rebuildProducers(): void {
    this.#rebuildProducers = true;
    this.#isEmpty = false;
  }

  /** Ends the step: the output, and a builder that is empty again. */
  take(): PartitionOutput {
    if (this.#isEmpty) return EMPTY;
    const output: PartitionOutput = {
      writes: this.#writes ?? NONE,
      replies: this.#replies ?? NONE,
      messages: this.#messages ?? NONE,
      compaction: this.#compaction,
      position: this.#position,
      proposal: this.#proposal,
      isChanged: this.#isChanged,
      stopped: this.#stopped,
      refused: this.#refused,
      asksProducers: this.#asksProducers,
      rebuildProducers: this.#rebuildProducers,
    };
    this.#isEmpty = true;
    this.#writes = null;
    this.#replies = null;
    this.#messages = null;
    this.#compaction = null;
    this.#position = null;
    this.#proposal = null;
    this.#isChanged = false;
    this.#stopped = null;
    this.#refused = null;
    this.#asksProducers = false;
    this.#rebuildProducers = false;
    return output;
  }
}
