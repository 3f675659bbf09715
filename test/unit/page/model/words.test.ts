import { describe, expect, it } from 'vitest';
import {
  bytesText,
  durationText,
  lagText,
  moveText,
  rateText,
} from '../../../../page/model/words.ts';

describe('words', () => {
  it('tell bytes, rates and durations', () => {
    expect([0, 1_023, 1_536, 2 ** 31].map(bytesText)).toEqual([
      '0 bytes',
      '1023 bytes',
      '1.5 KiB',
      '2.0 GiB',
    ]);
    expect([null, 0, 0.2, 2_000].map(rateText)).toEqual(['–', '0', '<1', '2,000']);
    expect([400, 59_000, 120_000].map(durationText)).toEqual(['0 s', '59 s', '2 min']);
  });

  it('tell what is left of a move, or why it stalls', () => {
    const move = { topic: 't', partition: 0, adding: [2], removing: [], stalled: '' };
    expect(moveText({ ...move, bytesLeft: 2_048, etaMs: 3_000 })).toBe('2.0 KiB, about 3 s');
    expect(moveText({ ...move, bytesLeft: null, etaMs: null })).toBe('unknown');
    expect(moveText({ ...move, bytesLeft: 1, etaMs: null, stalled: 'no leader' })).toBe(
      'stalled: no leader',
    );
  });

  it('tell how far a group is behind', () => {
    const lag = { records: 1_204, ageMs: 3_000, isLeast: false, unknown: 0 };
    expect(lagText(lag)).toBe('1,204 offsets, for 3 s');
    expect(lagText({ ...lag, isLeast: true })).toBe('1,204 offsets, for more than 3 s');
    expect(lagText({ ...lag, records: 0, unknown: 2 })).toBe('nothing; 2 partitions not known');
  });
});
