import { FRAME_BYTES_MAX, RECORDS_PER_BATCH_MAX } from '../../../../base/limits.ts';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../base/assert.ts';
import { BrokerError } from '../../../../base/errors.ts';
import { crc32Table } from '../../../../wire/batch/crc32-table.ts';
import {
  type BatchFields,
  type BatchHeader,
  checkClientBatch,
  checkFrame,
  checkStamp,
  controlFrame,
  encodeFrame,
  frameBaseOffset,
  frameEpoch,
  frameLastOffset,
  frameLength,
  HEADER_BYTES,
  isStamped,
  NO_SEQUENCE,
  nextSequence,
  PAYLOAD_BYTES_MAX,
  readHeader,
  type Stamp,
  sealFrame,
  splitFrames,
  stampFrame,
  topicIdFromBytes,
  topicIdToBytes,
  withControl,
} from '../../../../wire/batch/frame.ts';

const TOPIC_ID = '01234567-89ab-4def-8123-456789abcdef';
const FIELDS: BatchFields = {
  codec: 2,
  isControl: false,
  lastOffsetDelta: 9,
  recordCount: 10,
  baseSequence: 42,
  baseTimestampMs: 1_767_225_600_000,
  maxTimestampMs: 1_767_225_600_009,
  producerId: 7,
  producerEpoch: 1,
};
const PAYLOAD = Uint8Array.from({ length: 50 }, (_, index) => index * 5);
const STAMP: Stamp = {
  baseOffset: 2 ** 40 + 5,
  leaderEpoch: 3,
  topicIdBytes: topicIdToBytes(TOPIC_ID),
  partition: 2,
};

function frame(): Uint8Array {
  return encodeFrame(FIELDS, PAYLOAD, crc32);
}

/** The frame with some bytes replaced: `[offset, ...bytes]`. */
function patched(at: number, ...values: number[]): Uint8Array {
  const bytes = frame();
  bytes.set(values, at);
  return bytes;
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

const fieldsArbitrary: fc.Arbitrary<BatchFields> = fc
  .record({
    codec: fc.constantFrom(0, 1, 2),
    isControl: fc.boolean(),
    isSparse: fc.constant(false),
    recordCount: fc.integer({ min: 1, max: RECORDS_PER_BATCH_MAX }),
    baseSequence: fc.nat(NO_SEQUENCE),
    baseTimestampMs: fc.maxSafeNat(),
    maxTimestampMs: fc.maxSafeNat(),
    producerId: fc.maxSafeNat(),
    producerEpoch: fc.nat(0xffff_ffff),
  })
  .map((fields) => ({ ...fields, lastOffsetDelta: fields.recordCount - 1 }));

describe('encodeFrame()', () => {
  test('writes every field where readHeader() finds it, and leaves the leader fields zero', () => {
    fc.assert(
      fc.property(fieldsArbitrary, fc.uint8Array({ maxLength: 200 }), (fields, payload) => {
        const bytes = encodeFrame(fields, payload, crc32);
        const header = checkFrame(bytes, 0, crc32);
        const crc = crc32(bytes.subarray(24));
        expect(header).toEqual({
          ...fields,
          baseOffset: 0,
          leaderEpoch: 0,
          leaderCrc: 0,
          crc,
          length: HEADER_BYTES + payload.length,
        });
        expect(bytes.subarray(HEADER_BYTES)).toEqual(payload);
      }),
    );
  });

  test('takes the largest payload and refuses one more byte', () => {
    expect(encodeFrame(FIELDS, new Uint8Array(PAYLOAD_BYTES_MAX), crc32).length).toBe(
      FRAME_BYTES_MAX,
    );
    expect(() => encodeFrame(FIELDS, new Uint8Array(PAYLOAD_BYTES_MAX + 1), crc32)).toThrow(
      new BrokerError(
        'BATCH_TOO_LARGE',
        'Cannot take batch: it has 8388609 bytes, must have 8388608 or fewer',
      ),
    );
  });

  test.each<Partial<BatchFields>>([
    { producerId: -1 },
    { producerId: 2 ** 53 },
    { producerEpoch: 2 ** 32 },
    { baseTimestampMs: Number.NaN },
    { maxTimestampMs: -1 },
    { baseSequence: -1 },
    { recordCount: 1.5 },
  ])('asserts that numbers fit their fields: %o', (change) => {
    expect(() => encodeFrame({ ...FIELDS, ...change }, PAYLOAD, crc32)).toThrow(AssertionError);
  });

  test('refuses what readHeader() would refuse', () => {
    expect(codeOf(() => encodeFrame({ ...FIELDS, recordCount: 0 }, PAYLOAD, crc32))).toBe(
      'CORRUPT_BATCH',
    );
  });
});

test('sealFrame() equals encodeFrame() over a buffer whose headroom held other bytes', () => {
  const bytes = new Uint8Array(HEADER_BYTES + PAYLOAD.length).fill(0xee);
  bytes.set(PAYLOAD, HEADER_BYTES);
  sealFrame(bytes, FIELDS, crc32Table);
  expect(bytes).toEqual(frame());
});

describe('readHeader()', () => {
  test.each([
    { name: 'zeros', bytes: new Uint8Array(100), fault: 'length is 0, must be 68 to 8388608' },
    {
      name: 'a short buffer',
      bytes: frame().subarray(0, 67),
      fault: 'header bytes is 67, must be 68',
    },
    {
      name: 'a length below the header',
      bytes: patched(12, 67, 0, 0, 0),
      fault: 'length is 67, must be 68 to 8388608',
    },
    {
      name: 'a length over the limit',
      bytes: patched(12, 1, 0, 0x80, 0),
      fault: 'length is 8388609, must be 68 to 8388608',
    },
    { name: 'version 0', bytes: patched(24, 0), fault: 'version is 0, must be 1' },
    {
      name: 'version 2',
      bytes: patched(24, 2),
      fault: 'version is 2, which is newer: this build reads up to 1',
    },
    {
      name: 'codec 3',
      bytes: patched(25, 3),
      fault: 'codec is 3 (snappy, reserved), must be 0 (none), 1 (gzip) or 2 (zstd)',
    },
    {
      name: 'a reserved bit',
      bytes: patched(27, 1),
      fault: 'reserved bit 8 is set, must be clear: this build does not know it',
    },
    { name: 'no records', bytes: patched(32, 0), fault: 'recordCount is 0, must be 1 to 1048576' },
    {
      name: 'too many records',
      bytes: patched(32, 1, 0, 16),
      fault: 'recordCount is 1048577, must be 1 to 1048576',
    },
    {
      name: 'fewer offsets than records',
      bytes: patched(28, 8),
      fault: 'lastOffsetDelta is 8, must be 9 in a batch that is not sparse',
    },
    {
      name: 'a base offset whose end is unsafe',
      bytes: patched(0, 0xf6, 255, 255, 255, 255, 255, 31, 0),
      fault: 'baseOffset is 9007199254740982, must be 0 to 9007199254740981',
    },
    {
      name: 'a negative timestamp',
      bytes: patched(40, 255, 255, 255, 255, 255, 255, 255, 255),
      fault: 'baseTimestamp is -1, must be 0 to 9007199254740991',
    },
    {
      name: 'an unsafe timestamp',
      bytes: patched(48, 0, 0, 0, 0, 0, 0, 32, 0),
      fault: 'maxTimestamp is 9007199254740992, must be 0 to 9007199254740991',
    },
    {
      name: 'an unsafe producer id',
      bytes: patched(56, 0, 0, 0, 0, 0, 0, 32, 0),
      fault: 'producerId is 9007199254740992, must be 0 to 9007199254740991',
    },
  ])('refuses $name', ({ bytes, fault }) => {
    expect(() => readHeader(bytes, 0)).toThrow(
      new BrokerError('CORRUPT_BATCH', `Cannot read batch at byte 0: ${fault}`),
    );
  });

  test('takes the largest base offset whose end is safe', () => {
    const bytes = patched(0, 0xf5, 255, 255, 255, 255, 255, 31, 0);
    expect(readHeader(bytes, 0).baseOffset + 10).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('needs the header only, and names the position', () => {
    const bytes = new Uint8Array(5 + HEADER_BYTES);
    bytes.set(frame().subarray(0, HEADER_BYTES), 5);
    expect(readHeader(bytes, 5)).toEqual(readHeader(frame(), 0));
    expect(() => readHeader(bytes, 6)).toThrow(
      'Cannot read batch at byte 6: header bytes is 67, must be 68',
    );
  });
});

describe('checkFrame()', () => {
  test('refuses a frame cut anywhere', () => {
    for (let cut = 0; cut < frame().length; cut += 1) {
      expect(codeOf(() => checkFrame(frame().subarray(0, cut), 0, crc32))).toBe('CORRUPT_BATCH');
    }
  });

  test('refuses every single flipped bit that the producer or the structure guards', () => {
    for (let bit = 12 * 8; bit < frame().length * 8; bit += 1) {
      if (bit >= 16 * 8 && bit < 20 * 8) continue; // leaderCrc: the leader's own
      const bytes = frame();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(codeOf(() => checkFrame(bytes, 0, crc32))).toBe('CORRUPT_BATCH');
    }
  });

  test('names both checksums', () => {
    const bytes = patched(20, 1, 0, 0, 0);
    const crc = crc32(bytes.subarray(24));
    expect(() => checkFrame(bytes, 0, crc32)).toThrow(
      `Cannot read batch at byte 0: crc is 1, must be ${crc}, the checksum of the bytes`,
    );
  });

  test('passes over the checked bytes once', () => {
    const passes: number[] = [];
    checkFrame(frame(), 0, (bytes, seed) => {
      passes.push(bytes.length);
      return crc32(bytes, seed);
    });
    expect(passes).toEqual([frame().length - 24]);
  });

  test('gives a header or CORRUPT_BATCH for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.nat(160), (bytes, at) => {
        expect(['none', 'CORRUPT_BATCH']).toContain(codeOf(() => checkFrame(bytes, at, crc32)));
      }),
      { numRuns: 500 },
    );
  });
});

describe('stampFrame()', () => {
  test('writes the leader fields and nothing that the producer checksum covers', () => {
    const bytes = new Uint8Array(10 + frame().length);
    bytes.set(frame(), 10);
    stampFrame(bytes, 10, STAMP, crc32);
    const header = checkFrame(bytes, 10, crc32);
    const covered = Uint8Array.of(
      ...bytes.subarray(10, 26),
      ...bytes.subarray(30, 34),
      ...STAMP.topicIdBytes,
      2,
      0,
      0,
      0,
    );
    expect(header).toEqual({
      ...readHeader(frame(), 0),
      baseOffset: STAMP.baseOffset,
      leaderEpoch: 3,
      leaderCrc: crc32(covered),
    });
    expect(bytes.subarray(30)).toEqual(frame().subarray(20));
    expect(bytes.subarray(0, 10)).toEqual(new Uint8Array(10));
  });

  test('asserts that the end after the batch is a safe integer', () => {
    const baseOffset = Number.MAX_SAFE_INTEGER - 10;
    expect(() => stampFrame(frame(), 0, { ...STAMP, baseOffset }, crc32)).not.toThrow();
    expect(() => stampFrame(frame(), 0, { ...STAMP, baseOffset: baseOffset + 1 }, crc32)).toThrow(
      AssertionError,
    );
  });

  test('asserts a topic id of 16 bytes and a partition of 32 bits', () => {
    expect(() =>
      stampFrame(frame(), 0, { ...STAMP, topicIdBytes: new Uint8Array(15) }, crc32),
    ).toThrow(AssertionError);
    expect(() => stampFrame(frame(), 0, { ...STAMP, partition: -1 }, crc32)).toThrow(
      AssertionError,
    );
  });
});

describe('isStamped()', () => {
  const stamped = frame();
  stampFrame(stamped, 0, STAMP, crc32);

  test('holds for the place that was stamped, by either checksum function', () => {
    expect(isStamped(stamped, 0, STAMP, crc32)).toBe(true);
    expect(isStamped(stamped, 0, STAMP, crc32Table)).toBe(true);
  });

  test('fails for every single flipped bit of what it covers', () => {
    for (let bit = 0; bit < 24 * 8; bit += 1) {
      const bytes = stamped.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(isStamped(bytes, 0, STAMP, crc32)).toBe(false);
    }
  });

  test.each([
    { name: 'another partition', target: { ...STAMP, partition: 3 } },
    { name: 'another topic', target: { ...STAMP, topicIdBytes: new Uint8Array(16) } },
  ])('fails in $name', ({ target }) => {
    expect(isStamped(stamped, 0, target, crc32)).toBe(false);
  });

  test('fails for an unstamped frame and for a cut header', () => {
    expect(isStamped(frame(), 0, STAMP, crc32)).toBe(false);
    expect(isStamped(stamped.subarray(0, HEADER_BYTES - 1), 0, STAMP, crc32)).toBe(false);
  });

  test('is thrown by checkStamp(), which names the place', () => {
    const leaderCrc = readHeader(stamped, 0).leaderCrc;
    expect(() => checkStamp(stamped, 0, STAMP, crc32)).not.toThrow();
    expect(() => checkStamp(stamped, 0, { ...STAMP, partition: 3 }, crc32)).toThrow(
      new BrokerError(
        'CORRUPT_BATCH',
        `Cannot read batch at byte 0: leaderCrc is ${leaderCrc}, must be the checksum of this place in ${TOPIC_ID}/3`,
      ),
    );
  });
});

describe('splitFrames()', () => {
  const small = encodeFrame(FIELDS, PAYLOAD.subarray(0, 7), crc32);
  const buffer = Uint8Array.of(...frame(), ...small, ...frame());

  test('finds every whole frame and counts the rest, wherever the buffer is cut', () => {
    const ends = [frame().length, frame().length + small.length, buffer.length];
    for (let cut = 0; cut <= buffer.length; cut += 1) {
      const { frames, rest } = splitFrames(buffer.subarray(0, cut));
      const whole = ends.filter((end) => end <= cut);
      expect(frames.map((found) => found.at + found.header.length)).toEqual(whole);
      expect(rest).toBe(cut - (whole.at(-1) ?? 0));
    }
  });

  test('refuses a frame over the limit of the caller', () => {
    expect(splitFrames(buffer, frame().length).frames.length).toBe(3);
    expect(codeOf(() => splitFrames(buffer, frame().length - 1))).toBe('BATCH_TOO_LARGE');
  });

  test('refuses garbage after a frame', () => {
    expect(
      codeOf(() => splitFrames(Uint8Array.of(...small, ...new Uint8Array(HEADER_BYTES)))),
    ).toBe('CORRUPT_BATCH');
  });
});

describe('checkClientBatch()', () => {
  const header: BatchHeader = readHeader(frame(), 0);
  const noProducer = { producerId: 0, producerEpoch: 0, baseSequence: NO_SEQUENCE };

  test.each<{ name: string; change: Partial<BatchHeader>; fault: string | undefined }>([
    { name: 'a batch with a producer', change: {}, fault: undefined },
    { name: 'a batch without a producer', change: noProducer, fault: undefined },
    { name: 'the last sequence', change: { baseSequence: 2 ** 31 - 1 }, fault: undefined },
    {
      name: 'the control bit',
      change: { isControl: true },
      fault: 'control bit is set, must be clear',
    },
    {
      name: 'the sparse bit',
      change: { isSparse: true },
      fault: 'sparse bit is set, must be clear',
    },
    {
      name: 'a gap in the offsets',
      change: { lastOffsetDelta: 10 },
      fault: 'lastOffsetDelta is 10, must be recordCount - 1 (9)',
    },
    {
      name: 'a maximum below the base',
      change: { maxTimestampMs: 1_767_225_599_999 },
      fault: 'maxTimestamp is 1767225599999, must be baseTimestamp (1767225600000) or more',
    },
    {
      name: 'a producer without a sequence',
      change: { baseSequence: NO_SEQUENCE },
      fault: 'baseSequence is 4294967295, must be below 2147483648 with producerId 7',
    },
    {
      name: 'a sequence past the wrap',
      change: { baseSequence: 2 ** 31 },
      fault: 'baseSequence is 2147483648, must be below 2147483648 with producerId 7',
    },
    {
      name: 'a sequence without a producer',
      change: { ...noProducer, baseSequence: 0 },
      fault: 'baseSequence is 0, must be 4294967295 (none) without a producerId',
    },
    {
      name: 'a producer epoch without a producer',
      change: { ...noProducer, producerEpoch: 1 },
      fault: 'producerEpoch is 1, must be 0 without a producerId',
    },
  ])('judges $name', ({ change, fault }) => {
    const check = () => checkClientBatch({ ...header, ...change });
    if (fault === undefined) expect(check).not.toThrow();
    else
      expect(check).toThrow(new BrokerError('INVALID_ARGUMENT', `Cannot append batch: ${fault}`));
  });
});

test.each([
  { base: 0, count: 1, next: 1 },
  { base: 2 ** 31 - 1, count: 1, next: 0 },
  { base: 2 ** 31 - 2, count: 5, next: 3 },
  { base: 2 ** 31 - 1, count: RECORDS_PER_BATCH_MAX, next: RECORDS_PER_BATCH_MAX - 1 },
])('nextSequence() after $count records from $base is $next', ({ base, count, next }) => {
  expect(nextSequence(base, count)).toBe(next);
});

test('the peeking helpers agree with readHeader()', () => {
  fc.assert(
    fc.property(
      fieldsArbitrary,
      fc.nat(2 ** 40),
      fc.nat(0xffff_ffff),
      (fields, baseOffset, leaderEpoch) => {
        const bytes = encodeFrame(fields, PAYLOAD, crc32);
        stampFrame(bytes, 0, { ...STAMP, baseOffset, leaderEpoch }, crc32);
        const header = readHeader(bytes, 0);
        expect(frameLength(bytes, 0)).toBe(header.length);
        expect(frameBaseOffset(bytes, 0)).toBe(header.baseOffset);
        expect(frameLastOffset(bytes, 0)).toBe(header.baseOffset + header.lastOffsetDelta);
        expect(frameEpoch(bytes, 0)).toBe(header.leaderEpoch);
      },
    ),
  );
});

describe('controlFrame()', () => {
  const bytes = controlFrame(
    { leaderEpoch: 4, timestampMs: 1_767_225_600_010, brokerId: 300, dataEnd: 0 },
    crc32,
  );

  test('is a control batch of one record, of its epoch, without a producer', () => {
    expect(checkFrame(bytes, 0, crc32)).toMatchObject({
      isControl: true,
      codec: 0,
      recordCount: 1,
      lastOffsetDelta: 0,
      leaderEpoch: 4,
      baseTimestampMs: 1_767_225_600_010,
      maxTimestampMs: 1_767_225_600_010,
      producerId: 0,
      baseSequence: NO_SEQUENCE,
    });
  });

  test('is read back by withControl()', () => {
    const header = checkFrame(bytes, 0, crc32);
    expect(withControl(bytes, 0, header)).toEqual({ ...header, dataEnd: 0 });
    const plain = checkFrame(frame(), 0, crc32);
    expect(withControl(frame(), 0, plain)).toBe(plain);
  });
});

describe('topicIdToBytes()', () => {
  test('keeps the order in which the id is written', () => {
    expect([...topicIdToBytes(TOPIC_ID)]).toEqual([
      1, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    ]);
  });

  test('is undone by topicIdFromBytes()', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(topicIdFromBytes(topicIdToBytes(id))).toBe(id);
      }),
    );
  });

  test.each(['', TOPIC_ID.toUpperCase(), `${TOPIC_ID}0`, TOPIC_ID.replaceAll('-', '')])(
    'refuses "%s"',
    (id) => {
      expect(() => topicIdToBytes(id)).toThrow(
        new BrokerError(
          'INVALID_ARGUMENT',
          `Cannot read topic id: it is "${id}", must be a UUID in lower case`,
        ),
      );
    },
  );

  test('topicIdFromBytes() refuses another number of bytes', () => {
    expect(() => topicIdFromBytes(new Uint8Array(15))).toThrow(
      'Cannot read topic id: it has 15 bytes, must have 16',
    );
  });
});
