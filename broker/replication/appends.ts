/**
 * Appends that a leader has accepted and not yet answered, bounded. They wait in the order of their
 * offsets, so each completion looks at the head alone. Knows neither HW nor disk: it is told up to
 * where the log is written and committed.
 */
import { assert } from '../../base/assert.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { OutputBuilder } from './output.ts';
import type { AckLevel, AppendResult } from './types.ts';

/** An append in the log. `endOffset` is exclusive. */
interface Waiting {
  readonly requestId: number;
  readonly ack: AckLevel;
  readonly endOffset: Offset;
  readonly result: AppendResult;
}

/** Where an accepted batch stands. */
export interface Placed {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly isDuplicate: boolean;
}

const QUEUE_SLACK = 256;

export class PendingAppends {
  readonly #pendingMax: number;
  readonly #output: OutputBuilder;
  /** Wait for the local write. */
  readonly #unwritten = new Queue();
  /** Wait for HW. */
  readonly #uncommitted = new Queue();
  /**
   * Appended nothing: duplicates, and refusals that wait until what they name is committed. That
   * lies anywhere below the end, so they keep no order.
   */
  #others: Waiting[] = [];

  constructor(pendingMax: number, output: OutputBuilder) {
    this.#pendingMax = pendingMax;
    this.#output = output;
  }

  get count(): number {
    return this.#unwritten.length + this.#uncommitted.length + this.#others.length;
  }

  get isFull(): boolean {
    return this.count >= this.#pendingMax;
  }

  /**
   * A batch was placed at the end of the log. `none` is answered here: it promises no more than
   * that.
   */
  add(requestId: number, ack: AckLevel, placed: Placed): void {
    const waiting = {
      requestId,
      ack,
      endOffset: placed.lastOffset + 1,
      result: { ok: true, ...placed } as const,
    };
    if (ack === 'all') this.#uncommitted.push(waiting);
    else this.#unwritten.push(waiting);
    if (ack === 'none') this.#output.reply(requestId, waiting.result);
  }

  /**
   * The batch stands in the log already. Whatever level is asked for, it is acknowledged once the
   * original is committed (rule 20).
   */
  addDuplicate(requestId: number, placed: Placed): void {
    this.#others.push({
      requestId,
      ack: 'all',
      endOffset: placed.lastOffset + 1,
      result: { ok: true, ...placed },
    });
  }

  /**
   * Nothing was appended, because of what stands below `endOffset`. That may yet be cut, and then
   * the append might have been taken: it is refused once that is committed.
   */
  addRefusal(requestId: number, endOffset: Offset, error: BrokerError): void {
    this.#others.push({ requestId, ack: 'all', endOffset, result: { ok: false, error } });
  }

  /** Everything below is written. */
  written(endOffset: Offset): void {
    for (
      let head = this.#unwritten.head(endOffset);
      head !== null;
      head = this.#unwritten.head(endOffset)
    ) {
      if (head.ack === 'leader') this.#output.reply(head.requestId, head.result);
      this.#unwritten.shift();
    }
  }

  /** Everything below is committed. */
  committed(highWaterMark: Offset): void {
    for (
      let head = this.#uncommitted.head(highWaterMark);
      head !== null;
      head = this.#uncommitted.head(highWaterMark)
    ) {
      this.#output.reply(head.requestId, head.result);
      this.#uncommitted.shift();
    }
    if (this.#others.length === 0) return;
    const kept: Waiting[] = [];
    for (const other of this.#others) {
      if (other.endOffset <= highWaterMark) this.#output.reply(other.requestId, other.result);
      else kept.push(other);
    }
    this.#others = kept;
  }

  /**
   * Leadership is over: the outcome of what waits is unknown here, so none of it may be
   * acknowledged.
   *
   * @param notAppended for what stands in no log
   */
  abandon(error: BrokerError, notAppended: BrokerError): void {
    assert(
      error.effect === 'unknown',
      `${error.code} would say of an append in the log that it is in none`,
    );
    const waiting = [...this.#unwritten.drain(), ...this.#uncommitted.drain(), ...this.#others];
    this.#others = [];
    for (const { requestId, ack, result } of waiting) {
      if (ack !== 'none') this.#output.refuse(requestId, result.ok ? error : notAppended);
    }
  }
}

/** First in, first out, without moving the rest on every shift. */
class Queue {
  #items: Waiting[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Waiting): void {
    this.#items.push(item);
  }

  /** The oldest, if it ends at or below `endOffset`. */
  head(endOffset: Offset): Waiting | null {
    const item = this.#items[this.#head];
    return item !== undefined && item.endOffset <= endOffset ? item : null;
  }

  shift(): void {
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= QUEUE_SLACK && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
  }

  drain(): Waiting[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return rest;
  }
}
