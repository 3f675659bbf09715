/**
 * A protobuf message written as a list of pieces, so that batch frames go from where they lie into
 * the gRPC message with one copy. Generated code needs three: frames into one array, that into the
 * message, the message behind gRPC's own five bytes.
 *
 * grpc-js wants a Buffer from a serializer, and uses its length and `copy(target, at)` alone, on
 * both sides: {@link MessageParts} offers those. The unit test sends one through a real server and
 * client, so that an upgrade of grpc-js that asks for more is noticed.
 */
import { assert } from '../../base/assert.ts';

const VARINT = 0;
const LENGTH_DELIMITED = 2;
/** Bytes that a tag and a number of 53 bits take at most. */
const PREFIX_BYTES_MAX = 13;

/**
 * One message under construction. Fields whose value is the default are left out, as protobuf does.
 */
export class MessageParts {
  /** What `copy` will write; what grpc-js reads. */
  length = 0;
  readonly #pieces: Uint8Array[] = [];

  /** Same as {@link length}: grpc-js reads it on the server. */
  get byteLength(): number {
    return this.length;
  }

  /** A number: uint32, uint64 or an enum. 0 to the largest safe integer. */
  number(field: number, value: number): this {
    if (value === 0) return this;
    assert(
      Number.isSafeInteger(value) && value > 0,
      `field ${field} is ${value}, must be 0 to ${Number.MAX_SAFE_INTEGER}`,
    );
    const piece = new Uint8Array(PREFIX_BYTES_MAX);
    const at = writeVarint(piece, writeVarint(piece, 0, field * 8 + VARINT), value);
    return this.#add(piece.subarray(0, at));
  }

  /** Bytes that lie in several pieces. Left out when there are none. */
  bytes(field: number, pieces: readonly Uint8Array[]): this {
    let total = 0;
    for (const piece of pieces) total += piece.length;
    if (total === 0) return this;
    this.#prefix(field, total);
    for (const piece of pieces) this.#add(piece);
    return this;
  }

  /** A nested message, also when it is empty. */
  message(field: number, message: MessageParts): this {
    this.#prefix(field, message.length);
    for (const piece of message.#pieces) this.#pieces.push(piece);
    this.length += message.length;
    return this;
  }

  /**
   * A message inside this one that is encoded already: written when it is empty too, since it is
   * there.
   */
  encoded(field: number, message: Uint8Array): this {
    this.#prefix(field, message.length);
    return message.length === 0 ? this : this.#add(message);
  }

  /**
   * Writes the message into `target` from byte `at`, which must have room for {@link length} bytes.
   */
  copy(target: Uint8Array, at = 0): number {
    let next = at;
    for (const piece of this.#pieces) {
      target.set(piece, next);
      next += piece.length;
    }
    return this.length;
  }

  /** For a place where grpc-js asks for a Buffer; see the header of this module. */
  asBuffer(): Buffer {
    return this as unknown as Buffer;
  }

  #prefix(field: number, bytes: number): void {
    const piece = new Uint8Array(PREFIX_BYTES_MAX);
    this.#add(
      piece.subarray(
        0,
        writeVarint(piece, writeVarint(piece, 0, field * 8 + LENGTH_DELIMITED), bytes),
      ),
    );
  }

  #add(piece: Uint8Array): this {
    this.#pieces.push(piece);
    this.length += piece.length;
    return this;
  }
}

/** Writes a varint at `at`; returns the byte after it. */
function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    target[next] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    next += 1;
  }
  target[next] = rest;
  return next + 1;
}
