/** Judges changes of quotas. Pure. */
import { BrokerError } from '../../../base/errors.ts';
import { QUOTAS_MAX } from '../../../base/limits.ts';
import { quotaFaults, quotaOf, quotaPrincipalFault, statedLimits } from '../../../base/quotas.ts';
import type { DeleteQuotaRequest, SetQuotaRequest } from '../controller-types.ts';
import { LEVEL_OF_ACCESS, requireLevel } from '../features.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';

/**
 * Records that set limits of a principal beside those that it has; none when all are as they
 * should be. Throws {@link BrokerError} that names every fault.
 */
export function setQuota(image: MetadataImage, { quota }: SetQuotaRequest): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'set a quota');
  const faults = quotaFaults(quota);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  const { principal } = quota;
  const before = image.quotas.get(principal);
  if (before === undefined && image.quotas.size >= QUOTAS_MAX)
    throw new BrokerError(
      'REFUSED',
      `Cannot set a quota: there are ${String(QUOTAS_MAX)} already; set that of each principal (*), or delete some`,
    );
  if (statedLimits(quota).every(([name, limit]) => before?.[name] === limit)) return [];
  return [{ kind: 'quota-set', quota: quotaOf(principal, { ...before, ...quota }) }];
}

/** Records that delete a quota; none when there was none. Throws {@link BrokerError}. */
export function deleteQuota(
  image: MetadataImage,
  { quotaOf: principal }: DeleteQuotaRequest,
): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'delete a quota');
  const fault = quotaPrincipalFault(principal);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', fault);
  return image.quotas.has(principal) ? [{ kind: 'quota-deleted', principal }] : [];
}
