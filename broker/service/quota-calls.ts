/** Calls about quotas. Changes are the controller's; the list is of this broker's metadata. */
import { QUOTA_DEFAULTS } from '../../base/quotas.ts';
import type { AdminServiceServer } from '../../proto/gen/tidemark/v1/admin.ts';
import { remainingMs } from '../messages/deadline.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import { onBehalfOf } from '../messages/principal.ts';
import { quotaField, quotaPrincipalField, quotaToMessage } from '../messages/quotas.ts';
import type { Cluster } from './cluster.ts';
import { decide } from './decisions.ts';

type QuotaCalls = Pick<AdminServiceServer, 'setQuota' | 'deleteQuota' | 'listQuotas'>;

export function quotaCalls(cluster: Cluster, report: ReportDefect): QuotaCalls {
  const { broker } = cluster;
  return {
    setQuota: unaryHandler(async (message, call) => {
      const quota = quotaField(message.quota);
      const request = { kind: 'set-quota', quota, ...onBehalfOf(call) } as const;
      await decide(broker, request, remainingMs(call, cluster.clock));
      const now = broker.image().quotas.get(quota.principal);
      return { quota: now === undefined ? undefined : quotaToMessage(now) };
    }, report),
    deleteQuota: unaryHandler(async (message, call) => {
      const principal = quotaPrincipalField('principal', message.principal);
      const request = { kind: 'delete-quota', quotaOf: principal, ...onBehalfOf(call) } as const;
      await decide(broker, request, remainingMs(call, cluster.clock));
      return {};
    }, report),
    listQuotas: unaryHandler(() => {
      cluster.requireMetadata();
      const quotas = [...broker.image().quotas].toSorted(([left], [right]) =>
        left < right ? -1 : 1,
      );
      return {
        quotas: quotas.map(([, quota]) => quotaToMessage(quota)),
        defaults: quotaToMessage({ principal: '', ...QUOTA_DEFAULTS }),
      };
    }, report),
  };
}
