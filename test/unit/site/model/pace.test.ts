import { describe, expect, it } from 'vitest';
import { frameAt, paceOf, progressOf, shareAt } from '../../../../site/model/pace.ts';
import type { Flight, Frame } from '../../../../site/stage/picture.ts';

const FLIGHT: Flight = { key: 1, kind: 'ask', from: 1, to: 2, text: '', cell: null };

function frame(atMs: number, block: number, flights: readonly Flight[] = []): Frame {
  const panel = { title: '', row: null, sent: null, brokers: [], facts: [], flights };
  return { atMs, block, lines: [], panels: [panel] };
}

/** A message leaves at 10 and arrives at 30; then nothing happens for long. */
const FRAMES = [
  frame(0, 0),
  frame(10, 0, [FLIGHT]),
  frame(20, 0, [FLIGHT]),
  frame(30, 0),
  frame(9_030, 1),
  frame(9_030, 1),
];
const PACE = paceOf(FRAMES, (block) => (block === 0 ? 100 : 0));

describe('the pace of a run', () => {
  it('stands still where something is to be read, and nowhere else', () => {
    expect(PACE.holdMs.map((holdMs) => holdMs > 0)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('cuts a pause short', () => {
    const passed = (PACE.startMs[4] ?? 0) - (PACE.startMs[3] ?? 0);
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThan(1_000);
  });

  it('shows a frame until the next one', () => {
    for (const [at, startMs] of PACE.startMs.entries()) {
      expect(frameAt(PACE, startMs)).toBe(at);
      expect(frameAt(PACE, startMs - 1)).toBe(Math.max(0, at - 1));
    }
    expect(frameAt(PACE, PACE.totalMs + 1)).toBe(5);
  });

  it('moves nothing while it is read', () => {
    expect(shareAt(PACE, 0, (PACE.holdMs[0] ?? 0) - 1)).toBe(0);
    expect(shareAt(PACE, 0, (PACE.startMs[1] ?? 0) - 1)).toBeGreaterThan(0.9);
  });

  it('carries a message from its first frame to the one that lacks it', () => {
    const at = (frame: number, share: number): number =>
      progressOf(PACE, FRAMES, { panel: 0, key: 1 }, { frame, share });
    expect([at(1, 0), at(1, 0.5), at(2, 0), at(2, 1)]).toEqual([0, 0.25, 0.5, 1]);
  });
});
