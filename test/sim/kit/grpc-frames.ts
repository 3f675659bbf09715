/**
 * What travels on a simulated connection: the frames of gRPC calls, with messages as the bytes that
 * real serializers made.
 */
import { Metadata, status as Status } from '@grpc/grpc-js';

export interface CallStatus {
  readonly code: Status;
  readonly details: string;
  readonly metadata: Metadata;
}

export type Frame =
  | OpenFrame
  | { readonly kind: 'message'; readonly callId: number; readonly bytes: Buffer }
  | { readonly kind: 'half-close'; readonly callId: number }
  | { readonly kind: 'cancel'; readonly callId: number }
  | { readonly kind: 'headers'; readonly callId: number; readonly metadata: Metadata }
  | { readonly kind: 'status'; readonly callId: number; readonly status: CallStatus }
  /** The receiver took so many bytes: the sender may go on. */
  | { readonly kind: 'taken'; readonly callId: number; readonly bytes: number };

export interface OpenFrame {
  readonly kind: 'open';
  readonly callId: number;
  readonly path: string;
  readonly metadata: Metadata;
  /** Milliseconds from when it was sent; Infinity: none. */
  readonly timeoutMs: number;
}

/** Bytes of a stream on their way before `write` answers false. */
const WINDOW_BYTES = 1024 * 1024;

/** One side's outgoing half of a stream: counts what is on its way. */
export class Outgoing {
  readonly #send: (bytes: Buffer) => void;
  readonly #onDrain: () => void;
  #bytes = 0;
  #isFull = false;

  constructor(send: (bytes: Buffer) => void, onDrain: () => void) {
    this.#send = send;
    this.#onDrain = onDrain;
  }

  write(bytes: Buffer): boolean {
    this.#bytes += bytes.length;
    this.#send(bytes);
    this.#isFull = this.#bytes > WINDOW_BYTES;
    return !this.#isFull;
  }

  taken(bytes: number): void {
    this.#bytes -= bytes;
    if (!this.#isFull || this.#bytes > WINDOW_BYTES / 2) return;
    this.#isFull = false;
    this.#onDrain();
  }
}

/** A status without details of ours: what a transport says. */
export function statusOf(code: Status, details: string): CallStatus {
  return { code, details, metadata: new Metadata() };
}

/** What becomes of a call when either side sends more than any side takes. */
export function tooLarge(bytes: number): CallStatus {
  return statusOf(Status.RESOURCE_EXHAUSTED, `Message of ${bytes} bytes is larger than max`);
}

/** What grpc-js uses of a serialized message: see wire/grpc/message-parts.ts. */
export interface Serialized {
  readonly length: number;
  copy(target: Uint8Array, at: number): unknown;
}

/** Memory of its own: what arrives belongs to the receiver, as it does after a socket. */
export function copied(message: Serialized): Buffer {
  const copy = Buffer.alloc(message.length);
  message.copy(copy, 0);
  return copy;
}
