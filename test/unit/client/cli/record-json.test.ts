import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConsumedRecord } from '../../../../client/index.ts';
import { recordFromJson, recordToJson } from '../../../../client/cli/record-json.ts';

const PLACE = { topic: 'orders', partition: 3, leaderEpoch: 7, offset: 12, timestampMs: 99 };

function bytes(): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array(),
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  );
}

const records: fc.Arbitrary<ConsumedRecord> = fc.record({
  ...Object.fromEntries(Object.entries(PLACE).map(([name, value]) => [name, fc.constant(value)])),
  key: fc.option(bytes(), { nil: undefined }),
  value: fc.option(bytes(), { nil: null }),
  headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme' }), value: bytes() })),
}) as unknown as fc.Arbitrary<ConsumedRecord>;

function plain(value: string | Uint8Array | null | undefined): unknown {
  return value === null || value === undefined
    ? value
    : Buffer.from(value as string).toString('hex');
}

describe('recordFromJson()', () => {
  it('gives back every record that recordToJson() wrote', () => {
    fc.assert(
      fc.property(records, (record) => {
        const line = Buffer.from(JSON.stringify(recordToJson(record)));
        const { partition, offset, timestampMs, key, value, headers = [] } = recordFromJson(line);
        expect({ partition, offset, timestampMs }).toEqual({
          partition: PLACE.partition,
          offset: PLACE.offset,
          timestampMs: PLACE.timestampMs,
        });
        expect([plain(key), plain(value)]).toEqual([plain(record.key), plain(record.value)]);
        expect(headers.map((one) => [one.key, plain(one.value)])).toEqual(
          record.headers.map((one) => [one.key, plain(one.value)]),
        );
      }),
    );
  });

  it.each([
    ['', 'it is empty, must be a JSON object'],
    ['{"value":"a"', 'it is no JSON: '],
    ['[]', 'what was given is an array of 0, must be an object of partition, offset, '],
    ['{}', 'there are neither of value and valueBase64, must be one of them'],
    ['{"value":"a","valueBase64":"YQ=="}', 'there are both of value and valueBase64'],
    ['{"value":"a","key":"a","keyBase64":"YQ=="}', 'there are both key and keyBase64'],
    ['{"value":"a","colour":1}', '"colour" is not known, allowed are partition, '],
    ['{"valueBase64":"YQ"}', 'valueBase64 is "YQ", must be base64 with its padding'],
    ['{"valueBase64":"YR=="}', 'valueBase64 is "YR==", must be base64 with its padding'],
    ['{"value":"\\ud800"}', 'value is "\\ud800", must be a string of well-formed Unicode'],
    ['{"value":"a","key":null}', 'key is null, must be a string'],
    [
      '{"value":"a","partition":-1,"timestampMs":1.5}',
      'partition is -1, must be 0 to 4294967295; timestampMs is 1.5',
    ],
    [
      '{"value":"a","headers":[{"name":"x"}]}',
      'there are neither of headers[0].value and headers[0].valueBase64',
    ],
    ['{"value":"a","headers":{"x":"y"}}', 'headers is an object, must be an array'],
  ])('refuses %s', (line, reason) => {
    expect(() => recordFromJson(Buffer.from(line))).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(reason) as string,
      }),
    );
  });

  it('refuses bytes that are no UTF-8', () => {
    expect(() => recordFromJson(Buffer.from('{"value":"\xe4"}', 'latin1'))).toThrow(/no UTF-8/);
  });
});
