/** What nobody can read: where it stands, and what comes behind it. */
import { channel } from 'node:diagnostics_channel';
import { frameLastOffset, HEADER_BYTES } from '../../wire/batch/frame.ts';
import { TidemarkError } from '../errors.ts';
import type { Reader } from './partition-reader.ts';
import { reasonOf } from '../../base/reason.ts';

/** Every batch and record that a consumer passed over; see docs/client.md. */
const skipped = channel('tidemark:consumer:skipped');

/** UNDECODABLE about a frame, with the offset behind it where its header can be believed. */
export function undecodable(
  topic: string,
  reader: Reader,
  { frames, at }: { readonly frames: Uint8Array; readonly at: number },
  cause: TidemarkError,
): TidemarkError {
  const { partition, nextOffset: offset, highWaterMark = 0 } = reader;
  const hasHeader = frames.length - at >= HEADER_BYTES;
  const end = hasHeader ? frameLastOffset(frames, at) + 1 : 0;
  const nextOffset = end > offset && end <= highWaterMark ? end : undefined;
  return unreadable({ topic, partition, offset, nextOffset }, 'the batch', cause);
}

/** A place in a log, and the one behind it. */
interface UnreadPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Undefined: it cannot be told. */
  readonly nextOffset: number | undefined;
}

/** UNDECODABLE. `what` cannot be read, as `cause` says. */
export function unreadable(place: UnreadPlace, what: string, cause: unknown): TidemarkError {
  const { topic, partition, offset, nextOffset } = place;
  const reason = reasonOf(cause);
  const after = nextOffset === undefined ? 'what follows cannot be told' : `next is ${nextOffset}`;
  const message = `Cannot decode ${what} at ${topic}/${partition} offset ${offset} (${after}): ${reason}`;
  return new TidemarkError('UNDECODABLE', message, 'no', { ...place }, cause);
}

/** Tells those who listen that something was passed over. */
export function tellSkipped(error: TidemarkError): void {
  if (skipped.hasSubscribers) skipped.publish({ error });
}
