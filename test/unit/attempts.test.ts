/** What test/security tries stands in docs/security.md, with what comes back. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ATTEMPTS } from '../security/attempts/attempts.ts';
import { attemptsTable, TABLE_BEGINS, TABLE_ENDS } from '../security/attempts/table.ts';

describe('attempts', () => {
  it('have each its own words', () => {
    const words = ATTEMPTS.map(({ who, tries }) => `${who}: ${tries}`);
    expect(new Set(words).size).toBe(words.length);
  });

  it(`stand in docs/security.md (the comment above the table says what prints it)`, () => {
    const text = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
    const table = text.slice(text.indexOf(TABLE_BEGINS), text.indexOf(TABLE_ENDS));
    expect(table.trim()).toBe(`${TABLE_BEGINS}\n\n${attemptsTable()}`);
  });
});
