/** The table of `docs/proof.md`, from the mutations. */
import { nameOf } from './runner.ts';
import type { Mutation } from './types.ts';

export const TABLE_BEGINS = '<!-- table of mutations: npm run mutate -- --table -->';
export const TABLE_ENDS = '<!-- end of the table -->';

export function tableOf(mutations: readonly Mutation[]): string {
  const rows = mutations.map(({ id, rule, what, caughtBy, coveredBy, survives, inGate }) => {
    const caught = caughtBy.map((catcher) => nameOf(catcher).replaceAll('test/', '')).join('; ');
    const none =
      coveredBy === undefined ? `**nothing**: ${survives ?? ''}` : `covered by ${coveredBy}`;
    const by = caughtBy.length === 0 ? none : caught;
    return `| \`${id}\`${inGate === true ? ' *' : ''} | ${rule} | ${what} | ${by} |`;
  });
  return [
    '| Mutation | Rule | What is turned off | Caught by |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}
