/** The mutations fit the sources, and docs/proof.md says what catches them. */
import { readFileSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MUTATIONS } from '../mutations/mutations.ts';
import { editFault } from '../mutations/runner.ts';
import { TABLE_BEGINS, TABLE_ENDS, tableOf } from '../mutations/table.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('Mutations', () => {
  it.each(MUTATIONS.map((mutation) => [mutation.id, mutation] as const))(
    '%s can be made, and names what catches it',
    (_, { edits, caughtBy, coveredBy, survives }) => {
      expect(editFault(root, edits)).toBeNull();
      const missing = caughtBy.filter(
        (catcher) => 'level' in catcher && !existsSync(new URL(catcher.file, `file://${root}/`)),
      );
      expect(missing).toEqual([]);
      // Caught, covered by another rule, or a gap that is told.
      const told = [caughtBy.length > 0, coveredBy !== undefined, survives !== undefined];
      expect(told.filter(Boolean)).toHaveLength(1);
    },
  );

  it('have each its own name', () => {
    expect(new Set(MUTATIONS.map(({ id }) => id)).size).toBe(MUTATIONS.length);
  });

  it('stand in docs/proof.md (npm run mutate -- --table prints the table)', () => {
    const text = readFileSync(new URL('docs/proof.md', `file://${root}/`), 'utf8');
    const table = text.slice(text.indexOf(TABLE_BEGINS), text.indexOf(TABLE_ENDS));
    expect(table.trim()).toBe(`${TABLE_BEGINS}\n\n${tableOf(MUTATIONS)}`);
  });
});
