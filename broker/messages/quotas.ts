/** Quotas, between values and messages. What arrives is checked field by field. */
import { PRINCIPAL_LENGTH_MAX } from '../../base/access.ts';
import { BrokerError } from '../../base/errors.ts';
import { type Quota, quotaFaults, quotaOf, quotaPrincipalFault } from '../../base/quotas.ts';
import type { Quota as QuotaMessage } from '../../proto/gen/tidemark/v1/quotas.ts';
import { presentField, textField } from './fields.ts';

export function quotaField(message: QuotaMessage | undefined): Quota {
  const { principal, ...limits } = presentField('quota', message);
  const quota = quotaOf(textField('quota.principal', principal, PRINCIPAL_LENGTH_MAX), limits);
  const faults = quotaFaults(quota);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  return quota;
}

export function quotaPrincipalField(field: string, text: string): string {
  const principal = textField(field, text, PRINCIPAL_LENGTH_MAX);
  const fault = quotaPrincipalFault(principal);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', fault);
  return principal;
}

export function quotaToMessage(quota: Quota): QuotaMessage {
  return {
    principal: quota.principal,
    appendBytesPerSecond: quota.appendBytesPerSecond,
    readBytesPerSecond: quota.readBytesPerSecond,
    producerIdsPerSecond: quota.producerIdsPerSecond,
    adminCallsPerSecond: quota.adminCallsPerSecond,
  };
}
