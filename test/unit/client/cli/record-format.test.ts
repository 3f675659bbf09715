import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { parseReadFormat } from '../../../../client/cli/record-format.ts';
import type { ConsumedRecord } from '../../../../client/index.ts';

const RECORD: ConsumedRecord = {
  topic: 'orders',
  partition: 3,
  offset: 17,
  leaderEpoch: 5,
  timestampMs: 1_000,
  key: Buffer.from('k1'),
  value: Buffer.of(0xff, 0x00),
  headers: [{ key: 'trace', value: Buffer.from('t1') }],
};

function shown(template: string, record = RECORD): string {
  const format = parseReadFormat(template);
  if (typeof format === 'string') throw new Error(`${template} is a name`);
  return Buffer.from(format(record)).toString('latin1');
}

describe('parseReadFormat()', () => {
  it.each(['raw', 'text', 'json'])('knows %s by name', (name) => {
    expect(parseReadFormat(name)).toBe(name);
  });

  it.each([
    ['{topic}/{partition}:{offset}', 'orders/3:17'],
    ['{epoch} {timestamp} {time}', '5 1000 1970-01-01T00:00:01.000Z'],
    [String.raw`{key}\t{header:trace}\n`, 'k1\tt1\n'],
    ['{value}', '\xff\0'],
    [String.raw`{{{offset}}} \\ {header:none}.`, '{17} \\ .'],
  ])('fills in %s', (template, text) => {
    expect(shown(template)).toBe(text);
  });

  it('shows nothing for a key, or the value of a tombstone, that is not there', () => {
    const { key: _key, ...rest } = RECORD;
    expect(shown('[{key}|{value}]', { ...rest, value: null } as ConsumedRecord)).toBe('[|]');
  });

  it.each([
    ['xml', 'it has no {field}'],
    ['{{offset}}', 'it has no {field}'],
    ['{offset} {size}', '{size} is no field: topic, partition'],
    ['{toString}', '{toString} is no field'],
    ['{offset', 'a single { must be {{'],
    ['{offset}}', 'a single } must be }}'],
    [String.raw`{offset}\q`, String.raw`\q is no escape`],
  ])('refuses %s', (template, reason) => {
    expect(() => parseReadFormat(template)).toThrow(InvalidArgumentError);
    expect(() => parseReadFormat(template)).toThrow(reason);
  });
});
