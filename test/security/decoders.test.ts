/** A short run of the fuzzer; `npm run fuzz -- --minutes N` is the long one. */
import { describe, it } from 'vitest';
import { Random } from '../../base/random.ts';
import { decoders, fuzz } from './decoders.ts';

const ROUNDS = 1_000;

describe('a decoder refuses what is none in its own words', () => {
  it.each(decoders())('$name', (decoder) => {
    const random = new Random(1);
    for (let round = 0; round < ROUNDS; round += 1) fuzz(decoder, random);
  });
});
