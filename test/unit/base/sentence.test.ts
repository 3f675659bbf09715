import { describe, expect, it } from 'vitest';
import { capital } from '../../../base/sentence.ts';

describe('the first sentence of a page', () => {
  it.each([
    ['no controller', 'No controller'],
    [
      'no controller: 2 of 3 voters are silent (1, 3)',
      'No controller: 2 of 3 voters are silent (1, 3)',
    ],
    ['orders/3 has no leader', 'orders/3 has no leader'],
  ])('of %j is %j', (sentence, shown) => {
    expect(capital(sentence)).toBe(shown);
  });
});
