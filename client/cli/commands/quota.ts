/** Quotas as a person sets, deletes and lists them. */
import { NO_LIMIT, QUOTA_NAMES } from '../../../base/quotas.ts';
import type { Quota, QuotaLimits } from '../../quotas.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError } from '../exit.ts';
import type { Surroundings } from '../output.ts';
import { formatBytes, formatCount } from '../units.ts';

export interface SetOptions extends CommonOptions {
  readonly appendBytes?: number;
  readonly readBytes?: number;
  readonly producerIds?: number;
  readonly adminCalls?: number;
}

const HEAD = ['PRINCIPAL', 'APPEND/S', 'READ/S', 'PRODUCER-IDS/S', 'ADMIN-CALLS/S'];

export async function list(options: CommonOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const { quotas, defaults } = await client.admin().listQuotas();
    const rows = [
      ...quotas.map((quota) => [quota.principal, ...cellsOf(quota)]),
      ['(default)', ...cellsOf(defaults)],
    ];
    out.result({ quotas, defaults }, () => out.table(HEAD, rows));
  });
}

export async function set(
  principal: string,
  { appendBytes, readBytes, producerIds, adminCalls, ...options }: SetOptions,
  around: Surroundings,
): Promise<void> {
  const limits: QuotaLimits = {
    appendBytesPerSecond: appendBytes,
    readBytesPerSecond: readBytes,
    producerIdsPerSecond: producerIds,
    adminCallsPerSecond: adminCalls,
  };
  if (QUOTA_NAMES.every((name) => limits[name] === undefined))
    throw new CliError(
      'INVALID_ARGUMENT',
      'Name a limit to set: --append-bytes, --read-bytes, --producer-ids or --admin-calls',
    );
  await withCluster(options, around, async (client, { out }) => {
    const quota = await client.admin().setQuota({ principal, ...limits });
    out.result({ quota }, () => out.table(HEAD, [[quota.principal, ...cellsOf(quota)]]));
  });
}

export async function remove(
  principal: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    await client.admin().deleteQuota(principal);
    out.result({ principal }, () => out.line(`No quota of ${principal} is left`));
  });
}

function cellsOf(limits: QuotaLimits | Quota): string[] {
  return QUOTA_NAMES.map((name) => {
    const limit = limits[name];
    if (limit === undefined) return '';
    if (limit === NO_LIMIT) return 'none';
    const isBytes = name === 'appendBytesPerSecond' || name === 'readBytesPerSecond';
    return isBytes ? formatBytes(limit) : formatCount(limit);
  });
}
