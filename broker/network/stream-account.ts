/**
 * Counts what this process holds for one HTTP/2 stream: pieces of a message that is not whole,
 * pieces and messages that nobody has read yet, and answers that the peer does not take.
 *
 * Flow control does not bound it: Node returns a connection's window as bytes arrive, and grpc-js
 * keeps all pieces of a message of 16 MiB until the last one came. Neither tells anybody, so that
 * the two methods which all bytes pass, `push` and `write`, are watched on each stream. It is
 * arithmetic for each piece read from a socket and each message, and none for a record.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { MessageMeter, PIECE_BYTES } from './message-meter.ts';

export interface StreamAccountOptions {
  readonly stream: ServerHttp2Stream;
  /** Is its only message held until the call is answered? */
  readonly isUnary: boolean;
  /** So much more is held; where below 0, less. */
  readonly onChange: (bytes: number) => void;
}

export class StreamAccount {
  readonly #options: StreamAccountOptions;
  readonly #meter = new MessageMeter();
  /** Pieces that nobody has read. */
  #queuedBytes = 0;
  /** Messages that nobody has read, or that their call holds. */
  #waitingBytes = 0;
  #answerBytes = 0;
  #toldBytes = 0;
  #isClosed = false;

  /** Before anything was read from the stream. */
  constructor(options: StreamAccountOptions) {
    this.#options = options;
    const { stream } = options;
    const push = stream.push.bind(stream);
    stream.push = (piece: unknown, encoding?: BufferEncoding): boolean =>
      piece instanceof Uint8Array ? this.#push(piece, push) : push(piece, encoding);
    const write = stream.write.bind(stream) as (...given: unknown[]) => boolean;
    stream.write = (...given: unknown[]): boolean => {
      const isRoomLeft = write(...given);
      // Below the mark nobody tells when it has left, and it is little.
      this.#answerBytes = isRoomLeft ? 0 : stream.writableLength;
      this.#tell();
      return isRoomLeft;
    };
    stream.on('drain', () => {
      this.#answerBytes = 0;
      this.#tell();
    });
    // gRPC goes on reading once all that it had was taken by the handler.
    stream.on('resume', () => {
      if (!options.isUnary) this.#waitingBytes = 0;
      if (stream.readableLength === 0) this.#queuedBytes = 0;
      this.#tell();
    });
    stream.once('close', () => {
      this.#isClosed = true;
      options.onChange(-this.#toldBytes);
    });
  }

  #push(piece: Uint8Array, push: (piece: Uint8Array) => boolean): boolean {
    const { stream, isUnary } = this.#options;
    const meter = this.#meter;
    meter.take(piece);
    const isKept = meter.isUnfinished || stream.readableFlowing !== true;
    // A piece is a view of all that one read of the socket gave, and keeps all of it.
    const isPart = piece.length * 2 < piece.buffer.byteLength;
    const kept = isKept && isPart ? alone(piece) : piece;
    const isRoomLeft = push(kept);
    if (stream.readableLength === 0) this.#queuedBytes = 0;
    else this.#queuedBytes += kept.buffer.byteLength + PIECE_BYTES;
    if (isUnary || stream.isPaused()) this.#waitingBytes += meter.finishedBytes;
    this.#tell();
    return isRoomLeft;
  }

  #tell(): void {
    if (this.#isClosed) return;
    const bytes =
      this.#meter.unfinishedBytes + this.#queuedBytes + this.#waitingBytes + this.#answerBytes;
    if (bytes === this.#toldBytes) return;
    const more = bytes - this.#toldBytes;
    this.#toldBytes = bytes;
    this.#options.onChange(more);
  }
}

/** The same bytes in memory of their own; of the pool of small buffers they would keep a part. */
function alone(piece: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(piece.length);
  copy.set(piece);
  return copy;
}
