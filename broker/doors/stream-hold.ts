/**
 * Stands between a stream and its handler, and holds it while it has to wait: its messages are not
 * read, so that HTTP/2 takes no more from the peer, and answers find no room. What a handler does
 * to pause the stream by itself goes on to hold beside.
 */
import type { Metadata } from '@grpc/grpc-js';
import type { Cancel, Clock } from '../../base/clock.ts';

/**
 * Longest time without a look at how long there is to wait: quotas change, and others take too.
 */
const LOOK_MS = 1_000;

/** As far as quotas use a call of any kind. */
export interface ThrottledCall {
  readonly request?: unknown;
  readonly cancelled?: boolean;
  readonly metadata: Metadata;
  /** More was written than the peer has taken. */
  readonly writableNeedDrain?: boolean;
  getDeadline(): Date | number;
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  pause?(): unknown;
  resume?(): unknown;
  write?(message: unknown): boolean;
}

export interface HoldPorts {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** 0: it may go on. */
  readonly waitMs: () => number;
  readonly onHeld: (waitMs: number) => void;
  readonly onReleased: (heldMs: number) => void;
  /** Once in a while. */
  readonly onStillHeld: () => void;
}

type Listener = (...values: unknown[]) => void;

export class StreamHold {
  readonly #call: ThrottledCall;
  readonly #ports: HoldPorts;
  readonly #pause: () => unknown;
  readonly #resume: () => unknown;
  readonly #drains: Listener[] = [];
  #areAnswersHeld = false;
  #onMessage: ((message: unknown) => void) | null = null;
  #heldSinceMs: number | null = null;
  #isPausedByHandler = false;
  #isOver = false;
  #cancelTimer: Cancel = () => {};

  /** Before any listener for messages or room is added. */
  constructor(call: ThrottledCall, ports: HoldPorts) {
    this.#call = call;
    this.#ports = ports;
    this.#pause = call.pause?.bind(call) ?? (() => {});
    this.#resume = call.resume?.bind(call) ?? (() => {});
    const on = call.on.bind(call);
    for (const event of ['error', 'cancelled', 'finish', 'close'])
      on(event, () => {
        this.#isOver = true;
        this.#cancelTimer();
      });
    call.on = (event, listener) => this.#listen(on, event, listener);
    call.pause = () => {
      this.#isPausedByHandler = true;
      return this.#pause();
    };
    call.resume = () => {
      this.#isPausedByHandler = false;
      return this.#heldSinceMs === null ? this.#resume() : undefined;
    };
  }

  /** Calls back with each message, before its handler sees it. */
  onMessage(callback: (message: unknown) => void): void {
    this.#onMessage = callback;
  }

  /** Calls back with each answer, before it is written. */
  onAnswer(callback: (message: unknown) => void): void {
    this.#areAnswersHeld = true;
    const write = this.#call.write?.bind(this.#call);
    this.#call.write = (message) => {
      callback(message);
      const hasRoom = write?.(message) ?? false;
      this.#look();
      return hasRoom && this.#heldSinceMs === null;
    };
  }

  #listen(on: ThrottledCall['on'], event: string, listener: Listener): unknown {
    if (event === 'drain') {
      this.#drains.push(listener);
      return on(event, (...values) => {
        if (!this.#areAnswersHeld || this.#heldSinceMs === null) listener(...values);
      });
    }
    if (event !== 'data') return on(event, listener);
    const result = on(event, (message) => {
      this.#onMessage?.(message);
      listener(message);
      this.#look();
    });
    // One that comes with a debt waits before its first message.
    this.#look();
    return result;
  }

  #look(): void {
    if (this.#heldSinceMs !== null || this.#isOver) return;
    const waitMs = this.#ports.waitMs();
    if (waitMs === 0) return;
    this.#heldSinceMs = this.#ports.clock.monotonicMs();
    this.#pause();
    this.#ports.onHeld(waitMs);
    this.#wait(waitMs);
  }

  #wait(waitMs: number): void {
    this.#cancelTimer = this.#ports.clock.after(Math.min(waitMs, LOOK_MS), () => {
      const leftMs = this.#ports.waitMs();
      if (leftMs === 0) this.#release();
      else {
        this.#ports.onStillHeld();
        this.#wait(leftMs);
      }
    });
  }

  #release(): void {
    const heldMs = this.#ports.clock.monotonicMs() - (this.#heldSinceMs ?? 0);
    this.#heldSinceMs = null;
    this.#ports.onReleased(heldMs);
    if (!this.#isPausedByHandler) this.#resume();
    if (this.#areAnswersHeld && this.#call.writableNeedDrain !== true)
      for (const drain of this.#drains) drain();
  }
}
