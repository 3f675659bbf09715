/** Changes of one log that wait for their turn, and which of them may share a write. */
import type { BatchHeader } from '../../wire/batch/frame.ts';
import { BrokerError } from '../../base/errors.ts';
import type { MonotonicMs, PartitionKey } from '../../base/units.ts';
import type { PartitionLogOptions } from '../runtime/ports.ts';
import { isRoomLeft, type Segment } from './segment.ts';

/** Frames for the end of the log. */
export interface AppendChange {
  readonly kind: 'append';
  readonly frames: readonly Uint8Array[];
  readonly headers: readonly BatchHeader[];
  readonly bytes: number;
}

/** Anything else; `action` completes "Cannot …". */
export interface OtherChange {
  readonly kind: 'other';
  readonly action: string;
  readonly run: () => Promise<void>;
  /** Closes the log: runs whatever state an earlier change left it in. */
  readonly isLast?: boolean;
}

/** Who asked for a change. */
export interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: BrokerError) => void;
}

export type Change = (AppendChange | OtherChange) & Waiter;

/**
 * Bytes and frames of one writev: enough to make its cost vanish, few enough that readers see a
 * steady stream.
 */
const WRITE_BYTES_MAX = 4 * 1024 * 1024;
const WRITE_FRAMES_MAX = 1024;

/**
 * Whether an append begins a new segment. A trim does, so that what lies before it can go whole:
 * files are removed, never shortened from the front.
 */
export function isRollDue(
  active: Pick<Segment, 'bytes' | 'createdMs'>,
  append: Pick<AppendChange, 'headers' | 'bytes'>,
  { segmentMs, segmentBytes }: Pick<PartitionLogOptions, 'segmentMs' | 'segmentBytes'>,
  nowMs: MonotonicMs,
): boolean {
  if (active.bytes === 0) return false;
  const isTrim = append.headers[0]?.trimTo !== undefined;
  const isOld = nowMs - active.createdMs >= segmentMs;
  return isTrim || isOld || !isRoomLeft(active.bytes, append.bytes, segmentBytes);
}

/**
 * Takes the appends at the head that go out together, one at least: within the bounds of a write
 * and the room of the segment.
 */
export function takeAppends(
  changes: Change[],
  room: { readonly usedBytes: number; readonly segmentBytes: number },
): (AppendChange & Waiter)[] {
  const batch: (AppendChange & Waiter)[] = [];
  let bytes = 0;
  let frames = 0;
  const isControl = (change: AppendChange): boolean =>
    change.headers.every((each) => each.isControl);
  for (const change of changes) {
    if (change.kind !== 'append') break;
    // Control batches go out alone: they have the reserve behind them, and data has not.
    if (batch[0] !== undefined && isControl(batch[0]) !== isControl(change)) break;
    bytes += change.bytes;
    frames += change.frames.length;
    const fits = bytes <= WRITE_BYTES_MAX && frames <= WRITE_FRAMES_MAX;
    const hasRoom = isRoomLeft(room.usedBytes, bytes, room.segmentBytes);
    if (batch.length > 0 && !(fits && hasRoom)) break;
    batch.push(change);
  }
  changes.splice(0, batch.length);
  return batch;
}

/** Why a change is not taken. */
export const REFUSALS = {
  /** An append before this one was refused for want of space. */
  gap: (key: PartitionKey): BrokerError =>
    new BrokerError(
      'DISK_FULL',
      `Cannot append to ${key}: what comes before was refused on a full disk`,
    ),
  /** Less than the append is free. */
  space: (key: PartitionKey, freeBytes: number): BrokerError =>
    new BrokerError(
      'DISK_FULL',
      `Cannot append to ${key}: ${freeBytes} bytes are free beyond the reserve`,
    ),
  closed: (key: PartitionKey): BrokerError =>
    new BrokerError('STORAGE_FAILED', `Cannot change ${key}: its log is closed`),
};
