/** Rules of access as a person grants, revokes and asks for them. */
import type { AccessOperation, AccessRule } from '../../access.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { EXIT_USER } from '../exit.ts';
import type { Surroundings } from '../output.ts';

export interface CheckOptions extends CommonOptions {
  readonly principal?: string;
}

/** `all` of `revoke`. */
export type Operations = readonly AccessOperation[] | 'all';

export async function list(options: CommonOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const { rules, administrators } = await client.admin().listAccess();
    const rows = [
      ...administrators.map((principal) => [principal, 'everything', '(auth-administrators)', '']),
      ...rules.map(({ principal, operations, resource, given = [] }) => [
        principal,
        operations.join(','),
        resource,
        given.join(','),
      ]),
    ];
    const columns = ['PRINCIPAL', 'MAY', 'RESOURCE', 'BY LOGACCESS'];
    out.result({ rules, administrators }, () => out.table(columns, rows));
  });
}

export async function grant(
  principal: string,
  operations: readonly AccessOperation[],
  resource: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const rule = await client.admin().grantAccess({ principal, operations, resource });
    out.result({ rule }, () => out.line(ruleText(rule)));
  });
}

export async function revoke(
  principal: string,
  operations: Operations,
  resource: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const some = operations === 'all' ? {} : { operations };
    const rule = await client.admin().revokeAccess({ principal, resource, ...some });
    out.result({ rule }, () =>
      out.line(
        rule === undefined
          ? `No rule of ${principal} for ${resource} is left`
          : `Left: ${ruleText(rule)}`,
      ),
    );
  });
}

/** Ends with 2 where the answer is no. */
export async function check(
  operation: AccessOperation,
  resource: string,
  { principal, ...options }: CheckOptions,
  around: Surroundings,
  finish: (exitCode: number) => void,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const whose = principal === undefined ? {} : { principal };
    const answer = await client.admin().checkAccess({ operation, resource, ...whose });
    out.result(answer, () => out.line(`${answer.allowed ? 'Yes' : 'No'}: ${answer.reason}`));
    if (!answer.allowed) finish(EXIT_USER);
  });
}

function ruleText({ principal, operations, resource }: AccessRule): string {
  return `${principal} may ${operations.join(', ')} ${resource}`;
}
