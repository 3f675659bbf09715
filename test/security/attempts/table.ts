/** The table of docs/security.md: `node scripts/run.mjs test/security/attempts/main.ts`. */
import { ATTEMPTS } from './attempts.ts';

export const TABLE_BEGINS =
  '<!-- table of attempts: node scripts/run.mjs test/security/attempts/main.ts -->';
export const TABLE_ENDS = '<!-- end of the table of attempts -->';

export function attemptsTable(): string {
  const rows = ATTEMPTS.map(
    ({ who, tries, comesBack }, at) => `| ${at + 1} | ${who} | ${tries} | ${comesBack} |`,
  );
  return ['| | Who | Tries | Comes back |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
