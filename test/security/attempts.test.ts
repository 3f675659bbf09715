/** All of the table of docs/security.md is tried, and what comes back is what stands there. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ATTEMPTS } from './attempts/attempts.ts';
import { RealWorld } from './attempts/world.ts';

describe('attempts', () => {
  let world: RealWorld;
  beforeAll(async () => {
    world = await RealWorld.open();
  }, 60_000);
  afterAll(() => world.close(), 60_000);

  it.each(ATTEMPTS)('$who: $tries', async ({ run, comesBack }) => {
    expect(await run(world)).toBe(comesBack);
    expect(world.defects).toEqual([]);
  });
});
