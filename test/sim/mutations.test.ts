/**
 * The mutations that matter most, each caught by fixed seeds or fixed tests. `npm run mutate` runs
 * all of them.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MUTATIONS } from '../mutations/mutations.ts';
import { Copy, nameOf } from '../mutations/runner.ts';

const CHOSEN = MUTATIONS.filter(({ inGate }) => inGate === true);

describe('the tests notice that a rule is turned off', () => {
  let copy: Copy;
  beforeAll(() => {
    copy = new Copy(fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, ''));
  });
  afterAll(() => {
    copy.close();
  });

  it.each(CHOSEN.map((mutation) => [mutation.id, mutation] as const))('%s', async (_, mutation) => {
    const verdicts = await copy.judge(mutation, mutation.caughtBy.slice(-1));
    expect(
      verdicts.filter(({ isCaught }) => !isCaught).map(({ catcher }) => nameOf(catcher)),
    ).toEqual([]);
  });
});
