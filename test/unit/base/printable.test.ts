import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../base/errors.ts';
import { printable, PRINTABLE_LENGTH_MAX } from '../../../base/printable.ts';
import { TidemarkError } from '../../../client/errors.ts';

describe('printable', () => {
  it.each([
    ['plain text', 'plain text'],
    ['你好, 🌊', '你好, 🌊'],
    ['\u001b[31m red', '\\u001b[31m red'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u0000\u007f\u009b', '\\u0000\\u007f\\u009b'],
    ['abc\u202edef', 'abc\\u202edef'],
    ['a\u2028b\ufeff', 'a\\u2028b\\ufeff'],
    ['half \ud83c', 'half \\ud83c'],
  ])('%j becomes %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('is bounded, and says how much is left out', () => {
    expect(printable('x'.repeat(PRINTABLE_LENGTH_MAX))).toHaveLength(PRINTABLE_LENGTH_MAX);
    expect(printable('x'.repeat(PRINTABLE_LENGTH_MAX + 5))).toMatch(/x… \(5 characters more\)$/);
  });

  it('is what every error says', () => {
    const name = 'a\u001b]0;title\u0007\nlevel=fatal';
    const shown = 'topic "a\\u001b]0;title\\u0007\\nlevel=fatal"';
    expect(new BrokerError('UNKNOWN_TOPIC', `topic "${name}"`).message).toBe(shown);
    expect(new TidemarkError('UNKNOWN_TOPIC', `topic "${name}"`).message).toBe(shown);
  });
});
