/**
 * Reads protobuf's wire format out of bytes that nobody trusts: every read is checked against the
 * end of the buffer, and no length that the bytes claim is allocated. Source: the Protocol Buffers
 * encoding guide.
 */

import { BrokerError } from '../../base/errors.ts';
import { readU32 } from '../batch/bytes.ts';

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** Bytes of the longest varint, which holds 64 bits. */
const VARINT_BYTES_MAX = 10;
const TAG_MAX = 0xffff_ffff;
const EMPTY = new Uint8Array(0);
// A byte-order mark is part of the text; malformed UTF-8 is an error, as proto3 demands.
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A position in `bytes` that moves on with every read. All reads throw CORRUPT_BATCH. */
export class WireReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    // Not the array itself: sockets and zlib give a Buffer, whose views would be Buffers, which
    // behave differently in `slice`.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Position of the next byte. */
  get at(): number {
    return this.#at;
  }

  /** A field's tag: number times 8, plus wire type. */
  tag(): number {
    const tag = this.#varint();
    if (tag < 8 || tag > TAG_MAX) this.#refuse(`tag is ${tag}, must be 8 to ${TAG_MAX}`);
    return tag;
  }

  /** Reads a length and returns the position it leads to, at or before `end`. */
  fieldEnd(end: number): number {
    const length = this.#varint();
    const left = end - this.#at;
    if (length > left) this.#refuse(`length is ${length}, must be ${Math.max(left, 0)} or less`);
    return this.#at + length;
  }

  /** A field of bytes that ends at or before `end`, as a view. */
  view(end: number): Uint8Array {
    const start = this.#advance(this.fieldEnd(end));
    return start === this.#at ? EMPTY : this.#bytes.subarray(start, this.#at);
  }

  /** A field of text that ends at or before `end`. */
  text(end: number): string {
    const start = this.#advance(this.fieldEnd(end));
    try {
      return utf8Decoder.decode(this.#bytes.subarray(start, this.#at));
    } catch (cause) {
      throw new BrokerError(
        'CORRUPT_BATCH',
        `Cannot decode records at byte ${start}: header key is no valid UTF-8`,
        {},
        cause,
      );
    }
  }

  /**
   * A signed 64-bit number in zigzag form; not exact outside the safe integers, and then not a safe
   * integer either.
   */
  sint64(): number {
    const first = this.#bytes[this.#at] ?? 0;
    if (first < 0x80 && this.#at < this.#bytes.length) {
      this.#at += 1;
      return (first >>> 1) ^ -(first & 1);
    }
    const start = this.#at;
    const value = this.#varint();
    if (value <= Number.MAX_SAFE_INTEGER) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    return this.#bigSint64(start);
  }

  /** A flag; as in generated code, every number but 0 is true. */
  bool(): boolean {
    return this.#varint() !== 0;
  }

  /** Four bytes, little-endian. */
  fixed32(): number {
    const start = this.#advance(this.#at + 4);
    return readU32(this.#bytes, start);
  }

  /** Not exact outside the safe integers, and then not a safe integer either. */
  uint64(): number {
    return this.#varint();
  }

  /** Passes over an unknown field. Groups, which proto3 does not have, are refused. */
  skip(tag: number): void {
    const wireType = tag & 7;
    if (wireType === WIRE_VARINT) this.#varint();
    else if (wireType === WIRE_BYTES) this.#advance(this.fieldEnd(this.#bytes.length));
    else if (wireType === WIRE_FIXED64) this.#advance(this.#at + 8);
    else if (wireType === WIRE_FIXED32) this.#advance(this.#at + 4);
    else
      this.#refuse(
        `wire type is ${wireType}, must be ${WIRE_VARINT}, ${WIRE_FIXED64}, ${WIRE_BYTES} or ${WIRE_FIXED32}`,
      );
  }

  /** Refuses a message whose last field ran past the message's end. */
  checkEnd(end: number): void {
    if (this.#at !== end) this.#refuse(`message ends at byte ${this.#at}, must end at ${end}`);
  }

  /** Moves to `to`, and returns where it came from. */
  #advance(to: number): number {
    if (to > this.#bytes.length)
      this.#refuse(`field ends at byte ${to}, must end at ${this.#bytes.length} or before`);
    const from = this.#at;
    this.#at = to;
    return from;
  }

  /** An unsigned varint; not exact beyond the safe integers, and then not a safe integer either. */
  #varint(): number {
    const bytes = this.#bytes;
    const byte = bytes[this.#at];
    if (byte !== undefined && byte < 0x80) {
      this.#at += 1;
      return byte;
    }
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count += 1, scale *= 0x80) {
      const next = bytes[this.#at];
      if (next === undefined)
        this.#refuse(`number ends at byte ${this.#at}, where the payload ends`);
      this.#at += 1;
      value += (next & 0x7f) * scale;
      if (next < 0x80) return value;
    }
    return this.#refuse(`number has more than ${VARINT_BYTES_MAX} bytes`);
  }

  /**
   * The slow way to {@link sint64}, for varints of more than 53 bits that were read and found
   * whole.
   */
  #bigSint64(start: number): number {
    let value = 0n;
    for (let index = start; index < this.#at; index += 1) {
      value |= BigInt((this.#bytes[index] ?? 0) & 0x7f) << BigInt(7 * (index - start));
    }
    const wrapped = BigInt.asUintN(64, value);
    return Number(wrapped & 1n ? -(wrapped >> 1n) - 1n : wrapped >> 1n);
  }

  #refuse(fault: string): never {
    throw new BrokerError('CORRUPT_BATCH', `Cannot decode records at byte ${this.#at}: ${fault}`);
  }
}
