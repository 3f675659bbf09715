import { describe, expect, it } from 'vitest';
import { Flusher } from '../../../../broker/storage/flusher.ts';

function world(): {
  flusher: Flusher;
  flushed: string[];
  log: (name: string) => { flush: () => Promise<void> };
  end: () => Promise<void>;
  now: { ms: number };
} {
  const now = { ms: 0 };
  const flushed: string[] = [];
  const ends: (() => void)[] = [];
  const flusher = new Flusher({ intervalMs: 1000, bytesMax: 100, now: () => now.ms });
  const log = (name: string): { flush: () => Promise<void> } => ({
    flush: () => {
      flushed.push(name);
      return new Promise((resolve) => ends.push(resolve));
    },
  });
  const end = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { flusher, flushed, log, end, now };
}

describe('Flusher', () => {
  it('flushes the oldest first, two at a time', async () => {
    const { flusher, flushed, log, end, now } = world();
    for (const name of ['a', 'b', 'c']) {
      flusher.noteWritten(log(name), 1);
      now.ms += 1;
    }
    flusher.tick();
    expect(flushed).toEqual([]);
    now.ms = 2000;
    flusher.tick();
    expect(flushed).toEqual(['a', 'b']);
    expect(flusher.ageMs()).toBe(2000);
    await end();
    expect(flushed).toEqual(['a', 'b', 'c']);
    await end();
    await end();
    expect(flusher.ageMs()).toBe(0);
  });

  it('flushes at once when enough bytes are dirty, and again when more came meanwhile', async () => {
    const { flusher, flushed, log, end } = world();
    const a = log('a');
    flusher.noteWritten(a, 60);
    expect(flushed).toEqual([]);
    flusher.noteWritten(a, 60);
    expect(flushed).toEqual(['a']);
    flusher.noteWritten(a, 100);
    expect(flushed).toEqual(['a']);
    await end();
    expect(flushed).toEqual(['a', 'a']);
    await end();
  });

  it('lets go of a closed log', () => {
    const { flusher, flushed, log, now } = world();
    const a = log('a');
    flusher.noteWritten(a, 1);
    flusher.forget(a);
    now.ms = 5000;
    flusher.tick();
    expect([flushed, flusher.ageMs()]).toEqual([[], 0]);
  });
});
