import { describe, expect, it } from 'vitest';
import {
  formatAbout,
  formatBytes,
  formatDuration,
  formatTime,
  parseCounts,
  parseDuration,
  parseMilliseconds,
  parseMin,
  parseRate,
  parseRecordSize,
  parseSize,
  parseStart,
  parseWait,
} from '../../../../client/cli/units.ts';

describe('parseDuration()', () => {
  it.each([
    { text: '7d', ms: 604_800_000 },
    { text: '12h', ms: 43_200_000 },
    { text: '1.5m', ms: 90_000 },
    { text: '500ms', ms: 500 },
    { text: '0', ms: 0 },
    { text: 'forever', ms: -1 },
    { text: '-1', ms: -1 },
  ])('reads $text', ({ text, ms }) => expect(parseDuration(text)).toBe(ms));

  it.each(['', 'd', '5', '250', '7 d', '-7d', '1e3', '99999999999999999d'])(
    'refuses "%s"',
    (text) => expect(() => parseDuration(text)).toThrow('Must be a number with'),
  );
});

describe('parseMin()', () => {
  it.each([
    { text: '1', min: 1 },
    { text: '16', min: 16 },
    { text: 'default', min: 0 },
  ])('reads $text', ({ text, min }) => expect(parseMin(text)).toBe(min));

  it.each(['', '0', '17', 'Default', '2.0', '-1'])('refuses "%s"', (text) =>
    expect(() => parseMin(text)).toThrow('Must be a whole number from 1 to 16, or default.'),
  );
});

describe('parseMilliseconds()', () => {
  it.each([
    { text: '250', ms: 250 },
    { text: '7d', ms: 604_800_000 },
    { text: '-1', ms: -1 },
  ])('reads $text', ({ text, ms }) => expect(parseMilliseconds(text)).toBe(ms));
});

describe('parseSize()', () => {
  it.each([
    { text: '1GiB', bytes: 1_073_741_824 },
    { text: '500MB', bytes: 500_000_000 },
    { text: '64KiB', bytes: 65_536 },
    { text: '1.5KB', bytes: 1500 },
    { text: '1000', bytes: 1000 },
    { text: 'unlimited', bytes: -1 },
  ])('reads $text', ({ text, bytes }) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'GiB', '1gib', '1XB', '-5'])('refuses "%s"', (text) =>
    expect(() => parseSize(text)).toThrow('Must be a number with'),
  );
});

describe('parseRate()', () => {
  it.each([
    { text: '50MiB', bytes: 52_428_800 },
    { text: '1', bytes: 1 },
    { text: 'none', bytes: -1 },
  ])('reads $text', ({ text, bytes }) => expect(parseRate(text)).toBe(bytes));

  it.each(['', '0', '-1', 'unlimited', '50MiB/s', '0.1B'])('refuses "%s"', (text) =>
    expect(() => parseRate(text)).toThrow('Must be 1 or more'),
  );
});

describe('parseWait()', () => {
  it.each([
    { text: '30s', ms: 30_000 },
    { text: '0', ms: 0 },
    { text: '4m', ms: 240_000 },
  ])('reads $text', ({ text, ms }) => expect(parseWait(text)).toBe(ms));

  it.each(['forever', '5m', '-1'])('refuses "%s"', (text) =>
    expect(() => parseWait(text)).toThrow('Must be at most 4m'),
  );
});

describe('parseStart()', () => {
  it.each([
    { text: 'earliest', start: 'earliest' },
    { text: 'latest', start: 'latest' },
    { text: '42', start: { offset: 42 } },
    { text: '@1700000000000', start: { timestampMs: 1_700_000_000_000 } },
    { text: '2026-01-31T12:00:00Z', start: { timestampMs: 1_769_860_800_000 } },
  ])('reads $text', ({ text, start }) => expect(parseStart(text)).toEqual(start));

  it.each(['', '-1', '@', 'now', '2026-13-01T00:00:00Z', '99999999999999999999'])(
    'refuses "%s"',
    (text) => expect(() => parseStart(text)).toThrow('Must be earliest'),
  );
});

describe('parseCounts()', () => {
  it('gathers repeated and comma-separated numbers', () => {
    const parse = parseCounts(0);
    expect(parse('3', parse('1,2', undefined))).toEqual([1, 2, 3]);
  });
});

describe('formatBytes(), formatDuration() and formatAbout()', () => {
  it.each([
    { shown: formatBytes(999), expected: '999 B' },
    { shown: formatBytes(1_234_567), expected: '1.2 MB' },
    { shown: formatDuration(604_800_000), expected: '7d' },
    { shown: formatDuration(1500), expected: '1500ms' },
    { shown: formatDuration(0), expected: '0ms' },
    { shown: formatDuration(-1), expected: 'forever' },
    { shown: formatAbout(0), expected: '0s' },
    { shown: formatAbout(59_001), expected: '1m 0s' },
    { shown: formatAbout(125_000), expected: '2m 5s' },
    { shown: formatAbout(3_780_000), expected: '1h 3m' },
  ])('show $expected', ({ shown, expected }) => expect(shown).toBe(expected));
});

describe('formatTime()', () => {
  it.each([
    { ms: 0, text: '1970-01-01T00:00:00.000Z' },
    { ms: 8_640_000_000_000_000, text: '+275760-09-13T00:00:00.000Z' },
    { ms: 8_640_000_000_000_001, text: '@8640000000000001' },
    { ms: Number.MAX_SAFE_INTEGER, text: '@9007199254740991' },
  ])('shows $ms as $text', ({ ms, text }) => expect(formatTime(ms)).toBe(text));

  it('shows what no date can show so that it can be read back', () => {
    expect(parseStart(formatTime(Number.MAX_SAFE_INTEGER))).toEqual({
      timestampMs: Number.MAX_SAFE_INTEGER,
    });
  });
});

describe('parseRecordSize()', () => {
  it('takes what fits a batch', () => {
    expect([parseRecordSize('1'), parseRecordSize('1MiB')]).toEqual([1, 1_048_576]);
  });

  it.each(['-1', 'unlimited', '0', '8MiB', '99999999999'])('refuses %s', (text) => {
    expect(() => parseRecordSize(text)).toThrow(/^Must be 1 byte or more and below 8388608 bytes/);
  });
});
