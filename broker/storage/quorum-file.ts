/**
 * Bytes of the quorum log's file, and the judgement of what a crash or a failing disk left of it.
 * No file calls.
 *
 * The file is written with zeros first and then overwritten in place, so that a sync has no file
 * size or block map to wait for. It has blocks of 4 KiB; each group of writes that was synced
 * together is one frame that begins on a block, so writing one never rewrites a block that holds an
 * earlier one. Little-endian:
 *
 *   block 0, 1     confirmations, written in turn: u32 magic, u32 CRC of the next field,
 *                  u64 sequence of a frame whose sync has returned
 *   block 2, …     frames: u32 magic, u32 payload bytes, u64 sequence (rises by one),
 *                  u32 CRC of bytes 0 to 16 and the payload, payload (JSON)
 *
 * The first frame holds the whole state when the file was begun. A frame is written only after the
 * one before was synced, so an invalid frame that is followed by a valid one, or that is confirmed,
 * was once durable: that is damage, and a voter with damage may have forgotten a vote. An invalid
 * frame with nothing behind it and no confirmation was being written when the process or the power
 * went, so nobody was told of it: it is cut (Alagappan et al., "Protocol-Aware Recovery for
 * Consensus-Based Storage", 2018).
 */
import { crc32 } from 'node:zlib';

/** Frames begin at multiples of this. */
export const BLOCK_BYTES = 4096;
/** Where the first frame begins. */
export const FRAMES_AT = 2 * BLOCK_BYTES;

const FRAME_MAGIC = 0x31_51_4d_54;
const CONFIRM_MAGIC = 0x43_51_4d_54;
const FRAME_HEADER_BYTES = 20;
const CONFIRM_BYTES = 16;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** A frame as read. `endPosition`: where the next one begins. */
export interface QuorumFrame {
  readonly sequence: number;
  readonly payload: string;
  readonly endPosition: number;
}

/** What a file holds. */
export type QuorumFileContent =
  | {
      readonly kind: 'whole';
      readonly frames: readonly QuorumFrame[];
      readonly endPosition: number;
      /** Bytes of a torn frame lie behind the end: overwrite them with zeros. */
      readonly isTailDirty: boolean;
    }
  | {
      readonly kind: 'damaged';
      readonly reason: string;
      /** Where the frame that is invalid begins. */
      readonly position: number;
    };

/** One frame, padded to whole blocks. */
export function encodeQuorumFrame(sequence: number, payload: string): Uint8Array {
  const text = Buffer.from(payload);
  const bytes = Buffer.alloc(
    Math.ceil((FRAME_HEADER_BYTES + text.length) / BLOCK_BYTES) * BLOCK_BYTES,
  );
  bytes.writeUInt32LE(FRAME_MAGIC, 0);
  bytes.writeUInt32LE(text.length, 4);
  bytes.writeBigUInt64LE(BigInt(sequence), 8);
  bytes.writeUInt32LE(crc32(text, crc32(bytes.subarray(0, 16))), 16);
  text.copy(bytes, FRAME_HEADER_BYTES);
  return bytes;
}

/**
 * The confirmation that everything up to the frame `sequence` is durable, and where it goes: never
 * over the newest one.
 */
export function encodeConfirmation(sequence: number): {
  readonly bytes: Uint8Array;
  readonly position: number;
} {
  const bytes = Buffer.alloc(CONFIRM_BYTES);
  bytes.writeUInt32LE(CONFIRM_MAGIC, 0);
  bytes.writeBigUInt64LE(BigInt(sequence), 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return { bytes, position: (sequence % 2) * BLOCK_BYTES };
}

/** Reads a whole file and judges it. */
export function readQuorumFile(file: Uint8Array): QuorumFileContent {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const confirmed = Math.max(confirmationAt(bytes, 0), confirmationAt(bytes, BLOCK_BYTES));
  const frames: QuorumFrame[] = [];
  let position = FRAMES_AT;
  for (;;) {
    const frame = frameAt(bytes, position);
    const last = frames.at(-1);
    if (frame === null || (last !== undefined && frame.sequence !== last.sequence + 1)) break;
    frames.push(frame);
    position = frame.endPosition;
  }
  const last = frames.at(-1);
  if (last === undefined)
    return {
      kind: 'damaged',
      reason: 'its first frame, which was synced before the file got its name, is invalid',
      position: FRAMES_AT,
    };
  if (confirmed > last.sequence)
    return {
      kind: 'damaged',
      reason: `frame ${last.sequence + 1} is invalid, and frame ${confirmed} was confirmed`,
      position,
    };
  let isTailDirty = false;
  for (let at = position; at < bytes.length; at += BLOCK_BYTES) {
    isTailDirty ||= !isZero(bytes.subarray(at, at + BLOCK_BYTES));
    const later = frameAt(bytes, at);
    if (later !== null)
      return {
        kind: 'damaged',
        reason: `frame ${last.sequence + 1} is invalid, and frame ${later.sequence} behind it is valid`,
        position,
      };
  }
  return { kind: 'whole', frames, endPosition: position, isTailDirty };
}

function isZero(block: Buffer): boolean {
  return block.equals(ZERO_BLOCK.subarray(0, block.length));
}

function frameAt(bytes: Buffer, position: number): QuorumFrame | null {
  if (position + FRAME_HEADER_BYTES > bytes.length || bytes.readUInt32LE(position) !== FRAME_MAGIC)
    return null;
  const payloadBytes = bytes.readUInt32LE(position + 4);
  const from = position + FRAME_HEADER_BYTES;
  if (from + payloadBytes > bytes.length) return null;
  const payload = bytes.subarray(from, from + payloadBytes);
  if (
    bytes.readUInt32LE(position + 16) !==
    crc32(payload, crc32(bytes.subarray(position, position + 16)))
  )
    return null;
  const endPosition =
    position + Math.ceil((FRAME_HEADER_BYTES + payloadBytes) / BLOCK_BYTES) * BLOCK_BYTES;
  return {
    sequence: Number(bytes.readBigUInt64LE(position + 8)),
    payload: payload.toString(),
    endPosition,
  };
}

/** Sequence of the confirmation at `position`, or 0 when it is not valid. */
function confirmationAt(bytes: Buffer, position: number): number {
  if (position + CONFIRM_BYTES > bytes.length || bytes.readUInt32LE(position) !== CONFIRM_MAGIC)
    return 0;
  const sequence = bytes.subarray(position + 8, position + CONFIRM_BYTES);
  return bytes.readUInt32LE(position + 4) === crc32(sequence)
    ? Number(sequence.readBigUInt64LE(0))
    : 0;
}
