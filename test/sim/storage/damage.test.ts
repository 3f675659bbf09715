/** Damage below the recovery point is told: never "no such record", never cut in silence (P9). */
import { describe, expect, it } from 'vitest';
import { DAMAGES } from './damage.ts';
import type { DamageKind } from './damage.ts';
import { StorageWorld } from './world.ts';

const SEEDS_PER_KIND = 15;
/** Nothing is lost by them: indexes are hints, and a stray file is moved aside. */
const HARMLESS: readonly DamageKind[] = ['garbled index', 'stray segment'];

describe('a start after damage tells of it, or has lost nothing:', () => {
  it.each(DAMAGES)('%s', async (kind) => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= SEEDS_PER_KIND; seed += 1) {
      const world = new StorageWorld({ seed, steps: 50 });
      try {
        outcomes.add(await world.runDamaged(kind));
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}\n${world.tail(40)}`, { cause: error });
      }
    }
    expect(outcomes).toContain(HARMLESS.includes(kind) ? 'unharmed' : 'told');
  });
});
