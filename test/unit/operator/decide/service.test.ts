// cspell:ignore onetwothree
import { describe, expect, test } from 'vitest';
import { shortened } from '../../../../operator/decide/service.ts';

describe('shortened', () => {
  test.each([
    ['what fits', 'one two', 7, 'one two'],
    ['within a word', 'one two', 6, 'one…'],
    ['after a word that just fits', 'one two', 4, 'one…'],
    ['a single word', 'onetwothree', 4, 'one…'],
    ['no half of a character', '\u{1f600}\u{1f600}', 2, '\u{fffd}…'],
  ])('leaves or cuts %s', (_, text, lengthMax, expected) => {
    expect(shortened(text, lengthMax)).toBe(expected);
  });
});
