/** Drawings of the documentation are what the recordings beside the results make, and no more. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { drawRecording, type Recording } from '../../../../bench/record/killed-leader-drawing.ts';
import { type Comparison, drawComparison } from '../../../../bench/record/slow-follower-drawing.ts';
import { ROOT } from '../../../fixtures/sources.ts';

const BYTES_MAX = 300_000;

function text(...path: string[]): string {
  return readFileSync(join(ROOT, ...path), 'utf8');
}

function recorded<T>(name: string): T {
  return JSON.parse(text('bench', 'results', `${name}.json`)) as T;
}

describe('drawings', () => {
  it.for([
    ['killed-leader', () => drawRecording(recorded<Recording>('killed-leader'))],
    ['slow-follower', () => drawComparison(recorded<Comparison>('slow-follower'))],
  ] as const)('%s is drawn from what was recorded', ([name, draw]) => {
    const drawing = text('docs', `${name}.svg`);
    expect(drawing).toBe(draw());
    expect(drawing.length).toBeLessThan(BYTES_MAX);
    expect(drawing).not.toMatch(/<script|href|url\(|NaN|undefined/);
    // Every element that is opened is closed.
    const opened = [...drawing.matchAll(/<(?<name>\w+)[^>]*(?<!\/)>/g)].length;
    expect([...drawing.matchAll(/<\/\w+>/g)]).toHaveLength(opened);
  });

  it('show a change at the moment when it was seen', () => {
    const tile = (state: 'leader' | 'in sync' | 'away') => [{ name: 'orders/0', state }] as const;
    const frame = (atMs: number, isDead: boolean) => ({
      atMs,
      level: isDead ? ('degraded' as const) : ('ok' as const),
      sentence: isDead ? 'one & only' : 'safe',
      brokers: [
        { brokerId: 1, state: 'up' as const, tiles: tile(isDead ? 'leader' : 'in sync') },
        {
          brokerId: 2,
          state: isDead ? ('fenced' as const) : ('up' as const),
          tiles: tile(isDead ? 'away' : 'leader'),
        },
      ],
    });
    const drawing = drawRecording({
      ...{ date: '2026-01-01', perSecond: 10, victim: 2, acknowledged: 3, failed: 0 },
      ...{ lengthMs: 6_000, killedAtMs: 1_000, startedAtMs: 5_000, longestGapMs: 9 },
      buckets: [{ count: 1, slowestMs: 2 }],
      frames: [frame(0, false), frame(2_000, true)],
    });
    expect(drawing).toContain('One &amp; only');
    // Two of eight seconds: what was there is hidden, what came is shown, one tile flies.
    expect(drawing).toMatch(/\{0\.00%\{visibility:visible\}25\.00%\{visibility:hidden\}\}/);
    expect(drawing).toMatch(/\{0%\{visibility:hidden\}25\.00%\{visibility:visible\}\}/);
    expect([...drawing.matchAll(/cubic-bezier/g)]).toHaveLength(1);
  });
});
