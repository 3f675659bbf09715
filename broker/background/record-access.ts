/** The {@link RecordAccess} of compaction: decodes records as clients do. */
import { crc32 } from 'node:zlib';
import type { DecodedRecord } from '../../wire/records/record-set.ts';
import { decodeBatch, openBatch, thinBatch } from '../../wire/records/batch.ts';
import type { RecordAccess } from '../compaction/frames.ts';

export const recordAccess: RecordAccess = {
  crc32,
  isSame: (one, other) => Buffer.compare(one, other) === 0,
  visit(frame, visit) {
    const { records } = openBatch(frame, 0, crc32);
    if (records === null) return;
    for (let record = records.next(); record !== null; record = records.next())
      visit(record.offset, record.key, record.value === null);
  },
  thin: (frame, keep, target) => thinBatch(frame, 0, ({ offset }) => keep(offset), target, crc32),
  difference(old, fresh, keep) {
    const stays = decodeBatch(old, 0, crc32).records.filter(({ offset }) => keep(offset));
    const found = decodeBatch(fresh, 0, crc32).records;
    for (const [at, record] of stays.entries()) {
      const difference = differenceOf(record, found[at]);
      if (difference !== null) return difference;
    }
    const more = found[stays.length];
    return more === undefined ? null : `offset ${more.offset} holds a record that was to go`;
  },
};

function differenceOf(record: DecodedRecord, found: DecodedRecord | undefined): string | null {
  const { offset, timestampMs, key, value, headers } = record;
  if (found?.offset !== offset) return `the record at offset ${offset} is missing`;
  const isSame =
    found.timestampMs === timestampMs &&
    isSameField(found.key, key) &&
    isSameField(found.value, value) &&
    found.headers.length === headers.length &&
    headers.every((header, at) => {
      const other = found.headers[at];
      return other?.key === header.key && isSameField(other.value, header.value);
    });
  return isSame ? null : `the record at offset ${offset} is another`;
}

function isSameField(
  one: Uint8Array | null | undefined,
  other: Uint8Array | null | undefined,
): boolean {
  if (one === undefined || one === null || other === undefined || other === null)
    return one === other;
  return Buffer.compare(one, other) === 0;
}
