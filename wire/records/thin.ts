/**
 * Takes records out of a set. The bytes of those that stay are copied as they are, but for the
 * offset gap before each, so that fields of later builds survive. A gap takes no more bytes than
 * the records that it stands for: a set grows by a byte at most for each record that stays.
 */
import type { Offset } from '../../base/units.ts';
import {
  type DecodedRecord,
  RecordSetReader,
  type RecordSetOrigin,
  recordField,
  TAG_OFFSET_GAP,
} from './record-set.ts';
import { WireReader } from './wire-reader.ts';

/** What is left of a set. */
export interface ThinSet {
  readonly recordCount: number;
  readonly payload: Uint8Array;
}

/** Throws CORRUPT_BATCH as {@link RecordSetReader.next} does. */
export function thinRecordSet(
  payload: Uint8Array,
  origin: RecordSetOrigin,
  keep: (record: DecodedRecord) => boolean,
): ThinSet {
  const reader = new RecordSetReader(payload, origin);
  const out: Uint8Array[] = [];
  let nextOffset: Offset = origin.baseOffset;
  for (let record = reader.next(); record !== null; record = reader.next()) {
    if (!keep(record)) continue;
    const body = payload.subarray(reader.bodyStart, reader.bodyEnd);
    out.push(recordField(withoutGap(body), record.offset - nextOffset));
    nextOffset = record.offset + 1;
  }
  return { recordCount: out.length, payload: new Uint8Array(Buffer.concat(out)) };
}

/** The record's message without its offset gap. */
function withoutGap(body: Uint8Array): Uint8Array {
  const reader = new WireReader(body);
  const parts: Uint8Array[] = [];
  let from = 0;
  while (reader.at < body.length) {
    const start = reader.at;
    const tag = reader.tag();
    reader.skip(tag);
    if (tag !== TAG_OFFSET_GAP) continue;
    parts.push(body.subarray(from, start));
    from = reader.at;
  }
  return from === 0 ? body : Buffer.concat([...parts, body.subarray(from)]);
}
