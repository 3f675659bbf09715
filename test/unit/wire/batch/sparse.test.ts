/** Batches that compaction took records out of, and gaps: frames, and records in them. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import {
  type BatchHeader,
  checkFrame,
  checkStamp,
  encodeFrame,
  frameLastOffset,
  HEADER_BYTES,
  isStamped,
  NO_SEQUENCE,
  readHeader,
  SPARSE_HEADER_BYTES,
  splitFrames,
  stampFrame,
  topicIdToBytes,
} from '../../../../wire/batch/frame.ts';
import { gapFrame, sparseFrame } from '../../../../wire/batch/sparse.ts';
import { decodeBatch, encodeBatch, thinBatch } from '../../../../wire/records/batch.ts';
import type { RecordInput } from '../../../../wire/records/record-set.ts';

const TARGET = {
  topicIdBytes: topicIdToBytes('01234567-89ab-4def-8123-456789abcdef'),
  partition: 2,
};
const PRODUCER = { producerId: 7, producerEpoch: 1, baseSequence: 42 };
const GAP = { baseOffset: 1000, lastOffsetDelta: 499, leaderEpoch: 3, maxTimestampMs: 77 };

const recordArbitrary: fc.Arbitrary<RecordInput> = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 8 }), { nil: undefined }),
  value: fc.option(fc.uint8Array({ maxLength: 150 })),
  timestampMs: fc.nat(2 ** 40),
});
const batchArbitrary = fc.record({
  records: fc.array(recordArbitrary, { minLength: 1, maxLength: 12 }),
  codec: fc.constantFrom(0, 1, 2),
  recordCrc: fc.boolean(),
  baseOffset: fc.nat(2 ** 40),
});
type Batch = typeof batchArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

function stamped({ records, codec, recordCrc, baseOffset }: Batch): Uint8Array {
  const frame = encodeBatch(records, { codec, recordCrc, producer: PRODUCER }, crc32);
  stampFrame(frame, 0, { ...TARGET, baseOffset, leaderEpoch: 3 }, crc32);
  return frame;
}

function thin(frame: Uint8Array, keep: (offset: number) => boolean): Uint8Array {
  return thinBatch(frame, 0, ({ offset }) => keep(offset), TARGET, crc32);
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
}

/** Nothing but what a header of the same place and producer may differ in. */
function placeAndProducer(header: BatchHeader): unknown {
  const { length, leaderCrc, codec, recordCount, isSparse, ...rest } = header;
  return rest;
}

describe('thinBatch()', () => {
  test('keeps place, producer and its checksum, and the records that stay with their offsets', () => {
    fc.assert(
      fc.property(batchArbitrary, fc.nat(2 ** 12 - 1), (batch, mask) => {
        const frame = stamped(batch);
        const whole = decodeBatch(frame, 0, crc32);
        const keep = (offset: number): boolean => ((mask >> (offset - batch.baseOffset)) & 1) === 1;
        const left = thin(frame, keep);
        checkStamp(left, 0, TARGET, crc32);
        const { header, records } = decodeBatch(left, 0, crc32);
        expect(records).toEqual(whole.records.filter(({ offset }) => keep(offset)));
        expect(header).toMatchObject({ isSparse: true, recordCount: records.length });
        expect(placeAndProducer(header)).toEqual(placeAndProducer(whole.header));
        expect(frameLastOffset(left, 0)).toBe(frameLastOffset(frame, 0));
      }),
      { numRuns: 300 },
    );
  });

  test('is the same in two steps and in one', () => {
    fc.assert(
      fc.property(batchArbitrary, fc.nat(4095), fc.nat(4095), (batch, one, other) => {
        const frame = stamped(batch);
        const keep = (mask: number) => (offset: number) =>
          ((mask >> (offset - batch.baseOffset)) & 1) === 1;
        expect(decodeBatch(thin(thin(frame, keep(one)), keep(other)), 0, crc32)).toEqual(
          decodeBatch(thin(frame, keep(one & other)), 0, crc32),
        );
      }),
    );
  });

  test('keeps fields of later builds', () => {
    const body = [0x12, 1, 5, 0x7a, 2, 9, 9];
    const payload = Uint8Array.of(0x0a, 0, 0x0a, body.length, ...body);
    const fields = { ...readHeader(stamped(TWO), 0), codec: 0 as const };
    const frame = encodeFrame(fields, payload, crc32);
    const left = thin(frame, (offset) => offset === 1);
    expect([...left.subarray(SPARSE_HEADER_BYTES)]).toEqual([
      0x0a,
      body.length + 2,
      ...body,
      0x38,
      1,
    ]);
  });
});

const TWO: Batch = {
  records: [
    { key: Uint8Array.of(1), value: Uint8Array.of(2), timestampMs: 9 },
    { value: null, timestampMs: 5 },
  ],
  codec: 0,
  recordCrc: true,
  baseOffset: 1000,
};

describe('a sparse frame', () => {
  const sparse = thin(stamped(TWO), (offset) => offset === 1001);
  const empty = thin(stamped(TWO), () => false);
  const gap = gapFrame(GAP, TARGET, crc32);
  const frames = [
    { name: 'with records', bytes: sparse },
    { name: 'without records', bytes: empty },
    { name: 'that is a gap', bytes: gap },
  ];

  test.each(frames)('$name is found damaged by every flipped bit', ({ bytes }) => {
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(
        codeOf(() => {
          checkFrame(flipped, 0, crc32);
          checkStamp(flipped, 0, TARGET, crc32);
        }),
      ).toBe('CORRUPT_BATCH');
    }
  });

  test.each(frames)('$name is found damaged when it is cut anywhere', ({ bytes }) => {
    for (let cut = 0; cut < bytes.length; cut += 1)
      expect(codeOf(() => checkFrame(bytes.subarray(0, cut), 0, crc32))).toBe('CORRUPT_BATCH');
  });

  test.each(frames)('$name belongs to its place alone', ({ bytes }) => {
    expect(isStamped(bytes, 0, TARGET, crc32)).toBe(true);
    expect(isStamped(bytes, 0, { ...TARGET, partition: 3 }, crc32)).toBe(false);
  });

  test('without records still names its producer, a gap does not', () => {
    expect(readHeader(empty, 0)).toMatchObject({
      ...PRODUCER,
      recordCount: 0,
      lastOffsetDelta: 1,
      length: SPARSE_HEADER_BYTES,
      crc: readHeader(stamped(TWO), 0).crc,
    });
    expect(readHeader(gap, 0)).toMatchObject({
      baseOffset: 1000,
      lastOffsetDelta: 499,
      leaderEpoch: 3,
      recordCount: 0,
      producerId: 0,
      baseSequence: NO_SEQUENCE,
      maxTimestampMs: 77,
      length: HEADER_BYTES,
    });
    expect(decodeBatch(gap, 0, crc32).records).toEqual([]);
    expect(decodeBatch(empty, 0, crc32).records).toEqual([]);
  });

  test('stands among others', () => {
    const bytes = Uint8Array.of(...gap, ...sparse, ...empty);
    const { frames: found, rest } = splitFrames(bytes);
    expect(found.map(({ header }) => header.recordCount)).toEqual([0, 1, 0]);
    expect(rest).toBe(0);
  });

  test.each([
    { name: 'the control bit', bytes: sparse, at: 25, value: 24, fault: 'control bit is set' },
    { name: 'a codec without records', bytes: gap, at: 25, value: 17, fault: 'codec is 1' },
    { name: 'records in a gap', bytes: gap, at: 32, value: 1, fault: 'length is 68' },
    {
      name: 'another length without records',
      bytes: gap,
      at: 12,
      value: 70,
      fault: 'length is 70',
    },
    { name: 'a producer in a gap', bytes: gap, at: 56, value: 1, fault: 'producerId is 1' },
    {
      name: 'a producer epoch in a gap',
      bytes: gap,
      at: 64,
      value: 1,
      fault: 'producerEpoch is 1',
    },
    { name: 'a sequence in a gap', bytes: gap, at: 36, value: 1, fault: 'baseSequence is' },
    {
      name: 'more records than offsets',
      bytes: sparse,
      at: 32,
      value: 3,
      fault: 'lastOffsetDelta is 1, must be 2 or more in a sparse batch',
    },
    {
      name: 'too many records',
      bytes: sparse,
      at: 35,
      value: 1,
      fault: 'recordCount is 16777217, must be 0 to 1048576 in a sparse batch',
    },
  ])('is refused with $name', ({ bytes, at, value, fault }) => {
    const changed = bytes.slice();
    changed[at] = value;
    expect(() => readHeader(changed, 0)).toThrow(`Cannot read batch at byte 0: ${fault}`);
  });

  test('is refused with a record past its last offset', () => {
    const header = readHeader(stamped(TWO), 0);
    const payload = Uint8Array.of(0x0a, 2, 0x38, 2);
    const bytes = sparseFrame(header, { recordCount: 1, codec: 0, payload }, TARGET, crc32);
    expect(() => decodeBatch(bytes, 0, crc32)).toThrow(
      'Cannot decode records: offset gap is 2, must be 1 or less here',
    );
  });

  test('gives records or its typed error for any payload', () => {
    const header = readHeader(stamped(TWO), 0);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(3), (payload, recordCount) => {
        fc.pre(recordCount > 0 || payload.length === 0);
        const code = codeOf(() => {
          const { records } = decodeBatch(
            sparseFrame(
              { ...header, lastOffsetDelta: 5 },
              { recordCount, codec: 0, payload },
              TARGET,
              crc32,
            ),
            0,
            crc32,
          );
          const offsets = records.map(({ offset }) => offset);
          expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
          expect(offsets.every((offset) => offset <= header.baseOffset + 5)).toBe(true);
        });
        expect(['none', 'CORRUPT_BATCH']).toContain(code);
      }),
      { numRuns: 1000 },
    );
  });
});
