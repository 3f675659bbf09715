/** What each load under a change met, for the table at the end of a run. */
import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';

/** A line of the table: what was done, and what that cost whoever appended. */
export interface Gap {
  readonly test: string;
  readonly acknowledged: number;
  /** Refused, or of unknown fate. */
  readonly failed: number;
  readonly violations: number;
  /** Longest time that one partition went without an acknowledgement. */
  readonly longestGapMs: number;
}

/** Kept for scripts/test.mjs where it asks for it (TIDEMARK_TEST_GAPS), a line each. */
export function noteGap(gap: Omit<Gap, 'test'>): void {
  const file = process.env['TIDEMARK_TEST_GAPS'];
  const test = expect.getState().currentTestName ?? '';
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ test, ...gap })}\n`);
}
