/** FORMAT.md, the golden files and the code say the same. */

import {
  FRAME_BYTES_MAX,
  PRODUCER_WINDOW_BATCHES,
  RECORDS_PER_BATCH_MAX,
} from '../../../../base/limits.ts';
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  type BatchFields,
  checkFrame,
  checkStamp,
  controlFrame,
  encodeFrame,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
  SPARSE_HEADER_BYTES,
  stampFrame,
  topicIdToBytes,
} from '../../../../wire/batch/frame.ts';
import { gapFrame } from '../../../../wire/batch/sparse.ts';
import { decodeBatch, encodeBatch, thinBatch } from '../../../../wire/records/batch.ts';
import { readControl } from '../../../../wire/batch/control.ts';
import { keyHash, partitionForKey } from '../../../../wire/batch/key-hash.ts';

const format = readFileSync(new URL('../../../../wire/batch/FORMAT.md', import.meta.url), 'utf8');
const target = {
  topicIdBytes: topicIdToBytes('01234567-89ab-4def-8123-456789abcdef'),
  partition: 2,
};

function golden(name: string): Uint8Array {
  return Uint8Array.from(
    readFileSync(new URL(`../../../fixtures/batch/${name}.bin`, import.meta.url)),
  );
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const common = {
  isControl: false,
  lastOffsetDelta: 1,
  recordCount: 2,
  baseTimestampMs: 1_767_225_600_000,
};
const producer = { producerId: 7, producerEpoch: 1, baseSequence: 42 };
const plain: BatchFields = {
  ...common,
  codec: 0,
  maxTimestampMs: 1_767_225_600_005,
  producerId: 0,
  producerEpoch: 0,
  baseSequence: 0xffff_ffff,
};

test.each(['plain', 'gzip', 'zstd', 'control', 'trim', 'tombstone', 'sparse', 'gap'])(
  'the hex of frame "%s" in FORMAT.md is the golden file',
  (name) => {
    const hex = new RegExp(`\`\`\`hex ${name}\\n([0-9a-f\\n]+)\`\`\``)
      .exec(format)?.[1]
      ?.replaceAll('\n', '');
    expect(hex).toBe(Buffer.from(golden(name)).toString('hex'));
  },
);

test('the frame of an unstamped plain batch is the golden file', () => {
  expect(encodeFrame(plain, golden('plain').subarray(HEADER_BYTES), crc32)).toEqual(
    golden('plain'),
  );
});

test.each([
  { name: 'gzip', codec: 1 },
  { name: 'zstd', codec: 2 },
] as const)(
  'the stamped frame around the compressed payload is the golden file "$name"',
  ({ name, codec }) => {
    const fields = { ...common, ...producer, codec, maxTimestampMs: common.baseTimestampMs };
    const bytes = encodeFrame(fields, golden(name).subarray(HEADER_BYTES), crc32);
    stampFrame(bytes, 0, { ...target, baseOffset: 1000, leaderEpoch: 3 }, crc32);
    expect(bytes).toEqual(golden(name));
  },
);

test('the stamped epoch start is the golden file, and both its checksums hold', () => {
  const bytes = controlFrame(
    { leaderEpoch: 4, timestampMs: 1_767_225_600_010, brokerId: 1, dataEnd: 1002 },
    crc32,
  );
  stampFrame(bytes, 0, { ...target, baseOffset: 1002, leaderEpoch: 4 }, crc32);
  expect(bytes).toEqual(golden('control'));
  checkFrame(golden('control'), 0, crc32);
  checkStamp(golden('control'), 0, target, crc32);
  expect(readControl(golden('control').subarray(HEADER_BYTES), 1002)).toEqual({
    kind: 'epoch-start',
    brokerId: 1,
    dataEnd: 1002,
  });
});

test('the stamped trim is the golden file, and both its checksums hold', () => {
  const trim = { brokerId: 1, dataEnd: 1007, trimTo: 1003 };
  const bytes = controlFrame({ ...trim, leaderEpoch: 4, timestampMs: 1_767_225_600_020 }, crc32);
  stampFrame(bytes, 0, { ...target, baseOffset: 1008, leaderEpoch: 4 }, crc32);
  expect(bytes).toEqual(golden('trim'));
  checkFrame(golden('trim'), 0, crc32);
  checkStamp(golden('trim'), 0, target, crc32);
  expect(readControl(golden('trim').subarray(HEADER_BYTES), 1008)).toEqual({
    kind: 'trim',
    ...trim,
  });
});

test('the records with checksums of their own are the golden file "tombstone"', () => {
  const records = [
    { key: bytes('k1'), value: null, timestampMs: common.baseTimestampMs },
    { key: bytes('k2'), value: bytes(''), timestampMs: common.baseTimestampMs },
  ];
  expect(encodeBatch(records, { codec: 0, recordCrc: true }, crc32)).toEqual(golden('tombstone'));
});

test('the batch that lost records is the golden file "sparse", and reads as what is left', () => {
  const records = ['one', 'two', 'three', 'four'].map((value, index) => ({
    key: bytes(`k${index + 1}`),
    value: bytes(value),
    timestampMs: common.baseTimestampMs + index,
  }));
  const sequence = { ...producer, baseSequence: 44 };
  const whole = encodeBatch(records, { codec: 0, producer: sequence }, crc32);
  stampFrame(whole, 0, { ...target, baseOffset: 1003, leaderEpoch: 4 }, crc32);
  const isLeft = ({ offset }: { readonly offset: number }): boolean => offset % 2 === 0;
  expect(thinBatch(whole, 0, isLeft, target, crc32)).toEqual(golden('sparse'));
  const { header, records: left } = decodeBatch(golden('sparse'), 0, crc32);
  expect(header).toMatchObject({ ...sequence, isSparse: true, lastOffsetDelta: 3, recordCount: 2 });
  expect(left.map(({ offset, key, value }) => [offset, key, value])).toEqual([
    [1004, bytes('k2'), bytes('two')],
    [1006, bytes('k4'), bytes('four')],
  ]);
});

test('the gap is the golden file', () => {
  const gap = {
    baseOffset: 1007,
    lastOffsetDelta: 92,
    leaderEpoch: 4,
    maxTimestampMs: common.baseTimestampMs + 20,
  };
  expect(gapFrame(gap, target, crc32)).toEqual(golden('gap'));
});

test('the key hashes of FORMAT.md are those of the code', () => {
  const rows = [
    ...format.matchAll(
      /^\| (\(empty\)|[0-9a-f]+) \| ([0-9a-f]{8}) \| (\d+) \| (\d+) \| (\d+) \|$/gm,
    ),
  ];
  const stated = rows.map(([, key, ...results]) => ({ key, results }));
  const computed = stated.map(({ key }) => {
    const bytes = Buffer.from(key === '(empty)' ? '' : (key ?? ''), 'hex');
    const partitions = [3, 16, 100].map((count) => `${partitionForKey(bytes, count)}`);
    return { key, results: [keyHash(bytes).toString(16).padStart(8, '0'), ...partitions] };
  });
  expect(stated.length).toBe(7);
  expect(stated).toEqual(computed);
});

test.each([
  { name: 'header', sentence: `## Header: ${HEADER_BYTES} bytes` },
  { name: 'header of a sparse batch', sentence: `| ${SPARSE_HEADER_BYTES} | | | payload |` },
  { name: 'frame limit', sentence: `${HEADER_BYTES} to ${FRAME_BYTES_MAX}` },
  { name: 'payload limit', sentence: `at most ${PAYLOAD_BYTES_MAX} bytes` },
  { name: 'record limit', sentence: `1 to ${RECORDS_PER_BATCH_MAX}` },
  { name: 'producer window', sentence: `**N = ${PRODUCER_WINDOW_BATCHES}**` },
])('FORMAT.md states the $name of the code', ({ sentence }) => {
  expect(format).toContain(sentence);
});
