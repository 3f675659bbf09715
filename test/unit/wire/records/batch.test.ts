import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../base/assert.ts';
import { BrokerError } from '../../../../base/errors.ts';
import {
  checkClientBatch,
  encodeFrame,
  HEADER_BYTES,
  NO_SEQUENCE,
  readHeader,
} from '../../../../wire/batch/frame.ts';
import { decodeBatch, encodeBatch } from '../../../../wire/records/batch.ts';
import type { RecordInput } from '../../../../wire/records/record-set.ts';

const BASE = 1_767_225_600_000;
const producer = { producerId: 7, producerEpoch: 1, baseSequence: 42 };

const text = (value: string) => new TextEncoder().encode(value);

function golden(name: string): Uint8Array {
  return Uint8Array.from(
    readFileSync(new URL(`../../../fixtures/batch/${name}.bin`, import.meta.url)),
  );
}

const PLAIN_RECORDS: readonly RecordInput[] = [
  { key: text('k1'), value: text('hello'), timestampMs: BASE },
  {
    value: text('world'),
    headers: [{ key: 'trace', value: Uint8Array.of(1, 2) }],
    timestampMs: BASE + 5,
  },
];

const recordsArbitrary: fc.Arbitrary<RecordInput[]> = fc.array(
  fc.record({
    key: fc.option(fc.uint8Array(), { nil: undefined }),
    value: fc.option(fc.uint8Array({ maxLength: 200 })),
    timestampMs: fc.nat(2 ** 31 - 1),
  }),
  { minLength: 1, maxLength: 8 },
);

describe('encodeBatch()', () => {
  test('writes the golden frame "plain"', () => {
    expect(encodeBatch(PLAIN_RECORDS, { codec: 0 }, crc32)).toEqual(golden('plain'));
  });

  test.each([0, 1, 2] as const)(
    'makes a batch that a leader takes and decodeBatch() gives back, with codec %d',
    (codec) => {
      fc.assert(
        fc.property(recordsArbitrary, fc.boolean(), (records, hasProducer) => {
          const frame = encodeBatch(
            records,
            { codec, producer: hasProducer ? producer : undefined },
            crc32,
          );
          const decoded = decodeBatch(frame, 0, crc32);
          checkClientBatch(decoded.header);
          expect(decoded.header).toMatchObject({
            recordCount: records.length,
            baseTimestampMs: records[0]?.timestampMs,
            maxTimestampMs: Math.max(...records.map((record) => record.timestampMs)),
            ...(hasProducer
              ? producer
              : { producerId: 0, producerEpoch: 0, baseSequence: NO_SEQUENCE }),
          });
          expect(decoded.records).toEqual(
            records.map((record, offset) => ({ offset, ...record, headers: [] })),
          );
        }),
      );
    },
  );

  test('compresses what shrinks and leaves the rest plain', () => {
    const long = { value: new Uint8Array(1000), timestampMs: BASE };
    const short = { value: new Uint8Array(1), timestampMs: BASE };
    expect(readHeader(encodeBatch([long], { codec: 2 }, crc32), 0).codec).toBe(2);
    expect(readHeader(encodeBatch([short], { codec: 2 }, crc32), 0).codec).toBe(0);
  });

  test('asserts at least one record', () => {
    expect(() => encodeBatch([], { codec: 0 }, crc32)).toThrow(AssertionError);
  });
});

describe('decodeBatch()', () => {
  test.each(['gzip', 'zstd'])('reads the golden frame "%s"', (name) => {
    const { header, records } = decodeBatch(golden(name), 0, crc32);
    expect(header).toMatchObject({ baseOffset: 1000, leaderEpoch: 3, ...producer });
    expect(records).toEqual([
      {
        offset: 1000,
        timestampMs: BASE,
        key: text(''),
        value: text('tide'.repeat(30)),
        headers: [],
      },
      { offset: 1001, timestampMs: BASE - 1, key: text('k2'), value: text(''), headers: [] },
    ]);
  });

  test('gives no records for a control batch', () => {
    const { header, records } = decodeBatch(golden('control'), 0, crc32);
    expect(header.isControl).toBe(true);
    expect(records).toEqual([]);
  });

  test('reads at a position among other bytes', () => {
    const frame = golden('plain');
    const bytes = Uint8Array.of(1, 2, 3, ...frame, ...frame);
    expect(decodeBatch(bytes, 3, crc32)).toEqual(decodeBatch(frame, 0, crc32));
  });

  test('survives any payload behind a valid checksum, with every codec', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(0, 1, 2), (payload, codec) => {
        const fields = { ...readHeader(golden('plain'), 0), codec: codec };
        const frame = encodeFrame(fields, payload, crc32);
        expect(frame.length).toBe(HEADER_BYTES + payload.length);
        try {
          decodeBatch(frame, 0, crc32);
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
