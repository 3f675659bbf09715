/** `tidemark access`. */
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { ACCESS_OPERATIONS } from '../../../base/access.ts';
import type { AccessOperation } from '../../access.ts';
import type { CheckOptions, Operations } from '../commands/access.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { common, examples } from './shared.ts';

const PRINCIPAL =
  'as cert:CN=alice, token:ops, oidc:issuer/subject or system:serviceaccount:pay:api; with * at the end all that begin so';
const RESOURCE =
  'topic:NAME, group:NAME, producer:NAME or cluster; with * at the end of the name all that begin so';

/** Adds it. */
export function addAccess(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const load = () => import('../commands/access.ts');
  const access = program
    .command('access')
    .description('who may do what, where a listener asks who comes in (docs/security.md)');
  const list = common(access.command('list')).description(
    'all rules, and administrators by option',
  );
  examples(list, 'access list').action(async (options: CommonOptions) =>
    (await load()).list(options, around),
  );
  const grant = common(access.command('grant'))
    .description('let a principal do something, beside what it may do there already')
    .argument('<principal>', PRINCIPAL)
    .addArgument(
      new Argument('<operations>', `of ${ACCESS_OPERATIONS.join(', ')}`).argParser(parseOperations),
    )
    .argument('<resource>', RESOURCE);
  examples(
    grant,
    "access grant 'system:serviceaccount:pay:*' append,read 'topic:pay.*'",
    'access grant cert:CN=alice administer cluster',
  ).action(
    async (
      principal: string,
      operations: readonly AccessOperation[],
      resource: string,
      options: CommonOptions,
    ) => (await load()).grant(principal, operations, resource, options, around),
  );
  const revoke = common(access.command('revoke'))
    .description('take operations of a rule back; principal and resource as the rule has them')
    .argument('<principal>', 'as the rule has it')
    .addArgument(new Argument('<operations>', 'those to take back, or all').argParser(parseSome))
    .argument('<resource>', 'as the rule has it');
  examples(revoke, "access revoke 'system:serviceaccount:pay:*' all 'topic:pay.*'").action(
    async (principal: string, operations: Operations, resource: string, options: CommonOptions) =>
      (await load()).revoke(principal, operations, resource, options, around),
  );
  const check = common(access.command('check'))
    .description('may this be done, and by which rule; exit code 2: no')
    .addArgument(new Argument('<operation>', 'one operation').choices(ACCESS_OPERATIONS))
    .argument('<resource>', 'topic:NAME, group:NAME, producer:NAME or cluster')
    .option('--principal <principal>', 'whose rights; default: your own');
  examples(
    check,
    'access check append topic:pay.orders',
    'access check read topic:pay.orders --principal system:serviceaccount:pay:api',
  ).action(async (operation: AccessOperation, resource: string, options: CheckOptions) =>
    (await load()).check(operation, resource, options, around, finish),
  );
}

function parseOperations(text: string): readonly AccessOperation[] {
  const words = text.split(',').map((word) => word.trim());
  const known = ACCESS_OPERATIONS.filter((operation) => words.includes(operation));
  const wrong = words.find((word) => !(ACCESS_OPERATIONS as readonly string[]).includes(word));
  if (wrong !== undefined)
    throw new InvalidArgumentError(`Must be of ${ACCESS_OPERATIONS.join(', ')}.`);
  return known;
}

function parseSome(text: string): Operations {
  return text === 'all' ? 'all' : parseOperations(text);
}
