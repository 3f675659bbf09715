import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { PAYLOAD_BYTES_MAX } from '../../../../wire/batch/frame.ts';
import { RecordSet } from '../../../../proto/gen/tidemark/v1/records.ts';
import {
  decodeRecordSet,
  encodeRecordSet,
  type RecordInput,
  recordBytes,
} from '../../../../wire/records/record-set.ts';
import { recordCrc } from '../../../../wire/records/record-crc.ts';

const BASE = 1_767_225_600_000;
/** Of a batch that is not sparse. */
const ORIGIN = { baseOffset: 0, baseTimestampMs: BASE, lastOffsetDelta: 9, isSparse: false };

const EMPTY_RECORD: RecordInput = { value: new Uint8Array(0), timestampMs: BASE };

const bytesArbitrary = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 120, maxLength: 140 }),
);
const textArbitrary = fc.oneof(
  fc.string({ maxLength: 50 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
const timestampArbitrary = fc.oneof(
  fc.integer({ min: -200, max: 200 }).map((delta) => BASE + delta),
  fc.maxSafeNat(),
);
const recordArbitrary: fc.Arbitrary<RecordInput> = fc.record(
  {
    key: bytesArbitrary,
    value: fc.option(bytesArbitrary),
    headers: fc.array(fc.record({ key: textArbitrary, value: bytesArbitrary }), { maxLength: 3 }),
    timestampMs: timestampArbitrary,
  },
  { requiredKeys: ['value', 'timestampMs'] },
);
const recordsArbitrary = fc.array(recordArbitrary, { maxLength: 6 });

/** Timestamp deltas that generated code can hold in a number. */
const smallDelta = (record: RecordInput) => Number.isSafeInteger(2 * (record.timestampMs - BASE));

function generatedForm(records: readonly RecordInput[], hasCrc = false): RecordSet {
  return {
    records: records.map((record) => ({
      key: record.key,
      value: record.value ?? new Uint8Array(0),
      headers: [...(record.headers ?? [])],
      timestampDeltaMs: record.timestampMs - BASE,
      tombstone: record.value === null,
      crc: hasCrc ? recordCrc(record) : undefined,
      offsetGap: 0,
    })),
  };
}

function expectedRecords(records: readonly RecordInput[], baseOffset: number): unknown[] {
  return records.map((record, index) => ({
    offset: baseOffset + index,
    timestampMs: record.timestampMs,
    key: record.key,
    value: record.value,
    headers: record.headers ?? [],
  }));
}

function decode(payload: Uint8Array, recordCount: number) {
  return decodeRecordSet(payload, { ...ORIGIN, recordCount });
}

/** Runs a decoder over hostile bytes: a result or CORRUPT_BATCH; anything else fails the test. */
function survives(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    expect(error.code).toBe('CORRUPT_BATCH');
  }
}

describe('encodeRecordSet()', () => {
  test('writes the bytes of the generated code', () => {
    fc.assert(
      fc.property(
        fc.array(recordArbitrary.filter(smallDelta), { maxLength: 6 }),
        fc.boolean(),
        (records, hasCrc) => {
          expect(encodeRecordSet(records, BASE, 0, hasCrc)).toEqual(
            Uint8Array.from(RecordSet.encode(generatedForm(records, hasCrc)).finish()),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each([2 ** 7, 2 ** 14, 2 ** 21])(
    'writes the bytes of the generated code where lengths pass %d',
    (boundary) => {
      for (let length = boundary - 12; length <= boundary; length += 1) {
        const records = [{ value: new Uint8Array(length).fill(7), timestampMs: BASE }];
        const generated = RecordSet.encode(generatedForm(records)).finish();
        expect(Buffer.compare(encodeRecordSet(records, BASE), generated)).toBe(0);
      }
    },
  );

  test('leaves the headroom before them', () => {
    const records = [{ value: Uint8Array.of(7), timestampMs: BASE }];
    expect(encodeRecordSet(records, BASE, 3)).toEqual(
      Uint8Array.of(0, 0, 0, ...encodeRecordSet(records, BASE)),
    );
  });

  test('fills the largest payload and refuses one more byte', () => {
    const overhead = 10;
    const largest = { value: new Uint8Array(PAYLOAD_BYTES_MAX - overhead), timestampMs: BASE };
    expect(encodeRecordSet([largest], BASE).length).toBe(PAYLOAD_BYTES_MAX);
    expect(() =>
      encodeRecordSet(
        [{ ...largest, value: new Uint8Array(PAYLOAD_BYTES_MAX - overhead + 1) }],
        BASE,
      ),
    ).toThrow(
      new BrokerError(
        'BATCH_TOO_LARGE',
        'Cannot encode batch: its records have 8388541 bytes, must have 8388540 or fewer',
      ),
    );
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses the timestamp %d', (timestampMs) => {
    expect(() => encodeRecordSet([{ value: new Uint8Array(1), timestampMs }], BASE)).toThrow(
      new BrokerError(
        'INVALID_ARGUMENT',
        `Cannot encode record: timestamp is ${timestampMs}, must be 0 to 9007199254740991`,
      ),
    );
  });
});

test('recordBytes() is never below what the record adds, and at most 10 above it', () => {
  fc.assert(
    fc.property(recordArbitrary, (record) => {
      const added = encodeRecordSet([record], BASE).length;
      // The bytes of the timestamp, and one more where they lengthen the record's own length.
      expect(recordBytes(record) - added).toBeGreaterThanOrEqual(0);
      expect(recordBytes(record) - added).toBeLessThanOrEqual(10);
    }),
    { numRuns: 300 },
  );
});

describe('decodeRecordSet()', () => {
  test('gives back what was encoded, with offsets', () => {
    fc.assert(
      fc.property(
        recordsArbitrary,
        fc.nat(2 ** 40),
        fc.boolean(),
        (records, baseOffset, hasCrc) => {
          const origin = { ...ORIGIN, baseOffset, recordCount: records.length };
          expect(decodeRecordSet(encodeRecordSet(records, BASE, 0, hasCrc), origin)).toEqual(
            expectedRecords(records, baseOffset),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('reads what the generated code writes', () => {
    fc.assert(
      fc.property(fc.array(recordArbitrary.filter(smallDelta), { maxLength: 6 }), (records) => {
        const payload = RecordSet.encode(generatedForm(records)).finish();
        expect(decode(payload, records.length)).toEqual(expectedRecords(records, 0));
      }),
    );
  });

  test.each([
    { name: 'the farthest ahead', timestampMs: Number.MAX_SAFE_INTEGER, base: 0 },
    { name: 'the farthest back', timestampMs: 0, base: Number.MAX_SAFE_INTEGER },
    { name: 'one past 32 bits ahead', timestampMs: 2 ** 31, base: 0 },
    { name: 'one past 32 bits back', timestampMs: 0, base: 2 ** 31 + 1 },
  ])('keeps a timestamp exactly: $name', ({ timestampMs, base }) => {
    const payload = encodeRecordSet([{ value: new Uint8Array(0), timestampMs }], base);
    const records = decodeRecordSet(payload, {
      ...ORIGIN,
      baseTimestampMs: base,
      recordCount: 1,
    });
    expect(records[0]?.timestampMs).toBe(timestampMs);
  });

  test('tells an absent key from an empty one', () => {
    const records = [
      { value: new Uint8Array(0), timestampMs: BASE },
      { key: new Uint8Array(0), value: new Uint8Array(0), timestampMs: BASE },
    ];
    expect(decode(encodeRecordSet(records, BASE), 2).map((record) => record.key)).toEqual([
      undefined,
      new Uint8Array(0),
    ]);
  });

  test('tells an absent value from an empty one', () => {
    const records = [
      { value: null, timestampMs: BASE },
      { value: new Uint8Array(0), timestampMs: BASE },
    ];
    const payload = encodeRecordSet(records, BASE);
    expect(decode(payload, 2).map((record) => record.value)).toEqual([null, new Uint8Array(0)]);
    expect(RecordSet.decode(payload).records.map(({ tombstone }) => tombstone)).toEqual([
      true,
      false,
    ]);
  });

  test('gives views of the payload, not copies', () => {
    const payload = encodeRecordSet([{ value: Uint8Array.of(1, 2, 3), timestampMs: BASE }], BASE);
    expect(decode(payload, 1)[0]?.value?.buffer).toBe(payload.buffer);
  });

  test('gives plain arrays for a payload that is a Buffer', () => {
    const payload = Buffer.from(
      encodeRecordSet([{ value: Uint8Array.of(1, 2, 3), timestampMs: BASE }], BASE),
    );
    expect(decode(payload, 1)[0]?.value).toEqual(Uint8Array.of(1, 2, 3));
    expect(decode(payload, 1)[0]?.value?.constructor).toBe(Uint8Array);
  });

  test('skips unknown fields of every wire type, in every message', () => {
    const unknown = [
      0x78, 0x96, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 2, 9, 9, 0x7d, 1, 2, 3, 4,
    ];
    const header = [0x0a, 1, 0x68, ...unknown];
    const record = [...unknown, 0x12, 1, 5, 0x1a, header.length, ...header, ...unknown];
    const payload = Uint8Array.of(...unknown, 0x0a, record.length, ...record, ...unknown);
    expect(decode(payload, 1)).toEqual([
      {
        offset: 0,
        timestampMs: BASE,
        key: undefined,
        value: Uint8Array.of(5),
        headers: [{ key: 'h', value: new Uint8Array(0) }],
      },
    ]);
  });

  test.each([
    {
      name: 'fewer records than the header says',
      payload: [],
      count: 1,
      fault: ': record count is 0, must be 1',
    },
    {
      name: 'more records than the header says',
      payload: [0x0a, 0, 0x0a, 0],
      count: 1,
      fault: ': record count is more than 1, must be 1',
    },
    {
      name: 'a length past the payload',
      payload: [0x0a, 5, 0],
      count: 1,
      fault: ' at byte 2: length is 5, must be 1 or less',
    },
    {
      name: 'a length of 4 GiB',
      payload: [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
      count: 1,
      fault: ' at byte 6: length is 4294967295, must be 0 or less',
    },
    {
      name: 'a value past its record',
      payload: [0x0a, 2, 0x12, 4, 1, 2, 3, 4],
      count: 1,
      fault: ' at byte 4: length is 4, must be 0 or less',
    },
    {
      name: 'a length without its content',
      payload: [0x0a, 1, 0x12, 0],
      count: 1,
      fault: ' at byte 4: length is 0, must be 0 or less',
    },
    {
      name: 'a fixed field past its record',
      payload: [0x0a, 1, 0x7d, 0, 0, 0, 0],
      count: 1,
      fault: ' at byte 7: message ends at byte 7, must end at 3',
    },
    {
      name: 'a fixed field past the payload',
      payload: [0x79, 0, 0],
      count: 1,
      fault: ' at byte 1: field ends at byte 9, must end at 3 or before',
    },
    {
      name: 'a cut number',
      payload: [0x0a, 0x80],
      count: 1,
      fault: ' at byte 2: number ends at byte 2, where the payload ends',
    },
    {
      name: 'a number without end',
      payload: new Array<number>(11).fill(0x80),
      count: 1,
      fault: ' at byte 10: number has more than 10 bytes',
    },
    {
      name: 'field number 0',
      payload: [0x02, 0],
      count: 1,
      fault: ' at byte 1: tag is 2, must be 8 to 4294967295',
    },
    {
      name: 'a group',
      payload: [0x0b],
      count: 1,
      fault: ' at byte 1: wire type is 3, must be 0, 1, 2 or 5',
    },
    {
      name: 'a short header key that is no UTF-8',
      payload: [0x0a, 5, 0x1a, 3, 0x0a, 1, 0xff],
      count: 1,
      fault: ' at byte 6: header key is no valid UTF-8',
    },
    {
      name: 'a tombstone with a value',
      payload: [0x0a, 5, 0x12, 1, 7, 0x28, 1],
      count: 1,
      fault: ': value is 1 bytes, must be empty in a tombstone',
    },
    {
      name: 'an offset gap in a batch that is not sparse',
      payload: [0x0a, 2, 0x38, 1],
      count: 1,
      fault: ': offset gap is 1, must be 0 or less here',
    },
    {
      name: 'a checksum that is not its own',
      payload: [0x0a, 5, 0x35, 1, 0, 0, 0],
      count: 1,
      fault: `: record crc is 1, must be ${recordCrc(EMPTY_RECORD)}, the checksum of the record`,
    },
    {
      name: 'a timestamp below 0',
      payload: [0x0a, 7, 0x20, 0x81, 0xa0, 0xd5, 0xed, 0xee, 0x66],
      count: 1,
      fault: ': timestamp is -1, must be 0 to 9007199254740991',
    },
  ])('refuses $name', ({ payload, count, fault }) => {
    const origin = { ...ORIGIN, recordCount: count };
    expect(() => decodeRecordSet(Uint8Array.from(payload), origin)).toThrow(
      new BrokerError('CORRUPT_BATCH', `Cannot decode records${fault}`),
    );
  });

  test('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(5), (payload, count) =>
        survives(() => decode(payload, count)),
      ),
      { numRuns: 2000 },
    );
  });

  test('survives a valid payload with any bytes replaced, and every cut of it', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(recordsArbitrary, damage, fc.nat(), (records, changes, cut) => {
        const payload = encodeRecordSet(records, BASE);
        for (const { at, byte } of changes) payload[at % Math.max(payload.length, 1)] = byte;
        survives(() => decode(payload, records.length));
        survives(() => decode(payload.subarray(0, cut % (payload.length + 1)), records.length));
      }),
      { numRuns: 1000 },
    );
  });
});
