/** `tidemark quota`. */
import type { Command } from 'commander';
import type { SetOptions } from '../commands/quota.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseRate } from '../units.ts';
import { common, examples } from './shared.ts';

const PRINCIPAL =
  'as cert:CN=alice, token:ops, oidc:issuer/subject or system:serviceaccount:pay:api; or * for each one that has no limit of its own';

/** Adds it. */
export function addQuota(program: Command, around: Surroundings): void {
  const load = () => import('../commands/quota.ts');
  const quota = program
    .command('quota')
    .description('how much one caller may ask of each broker (docs/security.md)');
  const list = common(quota.command('list')).description(
    'all quotas; where a limit is empty, that of * holds, else the default',
  );
  examples(list, 'quota list').action(async (options: CommonOptions) =>
    (await load()).list(options, around),
  );
  const set = common(quota.command('set'))
    .description('set limits of a principal beside those that it has; they hold at once')
    .argument('<principal>', PRINCIPAL)
    .option('--append-bytes <size>', 'appended a second, for example 10MiB; or none', parseRate)
    .option('--read-bytes <size>', 'read a second, for example 50MiB; or none', parseRate)
    .option('--producer-ids <number>', 'ids of producers taken a second; or none', parseNumber)
    .option('--admin-calls <number>', 'calls of administration a second; or none', parseNumber);
  examples(
    set,
    'quota set system:serviceaccount:pay:api --append-bytes 10MiB --read-bytes 50MiB',
    "quota set '*' --producer-ids 5",
  ).action(async (principal: string, options: SetOptions) =>
    (await load()).set(principal, options, around),
  );
  const remove = common(quota.command('delete'))
    .description('take all limits of a principal away')
    .argument('<principal>', 'as the quota has it');
  examples(remove, 'quota delete system:serviceaccount:pay:api').action(
    async (principal: string, options: CommonOptions) =>
      (await load()).remove(principal, options, around),
  );
}

function parseNumber(text: string): number {
  return text === 'none' ? -1 : parseCount(1)(text);
}
