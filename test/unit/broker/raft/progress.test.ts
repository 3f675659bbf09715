import { describe, expect, test } from 'vitest';
import { Progress } from '../../../../broker/raft/progress.ts';

const PEER = { brokerId: 2, directoryId: 'a' };

function replicating(matchIndex: number): Progress {
  const progress = new Progress(PEER, matchIndex + 1, 0);
  progress.accepted(matchIndex, 1);
  return progress;
}

describe('Progress', () => {
  test('probes with one append at a time', () => {
    const progress = new Progress(PEER, 5, 0);
    expect(progress.canSend(9)).toBe(true);
    progress.sent(7);
    expect([progress.canSend(9), progress.nextIndex]).toEqual([false, 5]);
  });

  test('replicates with a bounded number of unanswered appends', () => {
    const progress = replicating(4);
    progress.sent(5);
    progress.sent(6);
    expect([progress.state, progress.canSend(2), progress.canSend(3), progress.nextIndex]).toEqual([
      'replicate',
      false,
      true,
      7,
    ]);
    progress.accepted(5, 1);
    expect(progress.canSend(2)).toBe(true);
  });

  test('goes back to the hint when rejected, never to or below what matched', () => {
    const progress = replicating(4);
    progress.sent(9);
    expect(progress.rejected(9, 2)).toBe(true);
    expect([progress.state, progress.nextIndex]).toEqual(['probe', 5]);
  });

  test('ignores rejections that were overtaken', () => {
    const progress = replicating(4);
    expect(progress.rejected(3, 1)).toBe(false);
    const probing = new Progress(PEER, 8, 0);
    expect(probing.rejected(6, 1)).toBe(false);
    expect(probing.nextIndex).toBe(8);
  });

  test('leaves a snapshot once it is accepted', () => {
    const progress = new Progress(PEER, 1, 0);
    progress.transmit({ index: 20, term: 3, voters: [], data: '' }, 0);
    expect([progress.state, progress.canSend(9)]).toEqual(['snapshot', false]);
    progress.accepted(20, 1);
    expect([progress.state, progress.nextIndex, progress.transmission]).toEqual([
      'replicate',
      21,
      null,
    ]);
  });

  test('tells a rolled-back disk by a later start with less than an earlier one stated', () => {
    const progress = replicating(4);
    expect([
      progress.hasForgotten(3, 2),
      progress.hasForgotten(3, 1),
      progress.hasForgotten(4, 2),
    ]).toEqual([true, false, false]);
  });
});
