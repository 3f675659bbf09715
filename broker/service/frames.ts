/** Frames as readers get them, and their records as messages say them. */
import { frameLength } from '../../wire/batch/frame.ts';
import type { DecodedRecord } from '../../wire/records/record-set.ts';
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch } from '../../base/units.ts';

/** What stands in the field of a tombstone. */
const NO_VALUE = new Uint8Array(0);

/** The whole frames of a chunk, in order. Throws DATA_CORRUPT. */
export function* framesIn(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; ) {
    const length = frameLength(chunk, at);
    if (length === 0) throw new BrokerError('DATA_CORRUPT', `Frame at byte ${at} has no length`);
    yield chunk.subarray(at, at + length);
    at += length;
  }
}

/** What every message that brings a record says of it. */
export function recordFields(
  { offset, timestampMs, key, value, headers }: DecodedRecord,
  leaderEpoch: LeaderEpoch,
) {
  return {
    ...{ offset, leaderEpoch, timestampMs, key },
    value: value ?? NO_VALUE,
    tombstone: value === null,
    headers: headers.map((each) => ({ ...each })),
  };
}
