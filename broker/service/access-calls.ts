/**
 * Calls about rules of access. Changes are the controller's; the two that look answer from the
 * metadata of the broker that is asked. Whether a caller may look at another's rights is judged at
 * the door, as everything is.
 */
import { type AccessPlace, ANONYMOUS, placeKey, resourceText } from '../../base/access.ts';
import type { AdminServiceServer } from '../../proto/gen/tidemark/v1/admin.ts';
import {
  operationField,
  operationsField,
  placeField,
  principalField,
  resourceField,
  ruleField,
  ruleToMessage,
} from '../messages/access.ts';
import { remainingMs } from '../messages/deadline.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import { onBehalfOf, principalOf } from '../messages/principal.ts';
import type { Cluster } from './cluster.ts';
import { decide } from './decisions.ts';

type AccessCalls = Pick<
  AdminServiceServer,
  'grantAccess' | 'revokeAccess' | 'listAccess' | 'checkAccess'
>;

export function accessCalls(cluster: Cluster, report: ReportDefect): AccessCalls {
  const { broker } = cluster;
  const present = (place: AccessPlace) => {
    const rule = broker.image().access.get(placeKey(place));
    return rule === undefined ? undefined : ruleToMessage(rule);
  };
  return {
    grantAccess: unaryHandler(async (message, call) => {
      const rule = ruleField(message.rule);
      const isGiven = message.forLogAccess;
      const request = { kind: 'grant-access', rule, isGiven, ...onBehalfOf(call) } as const;
      await decide(broker, request, remainingMs(call, cluster.clock));
      return { rule: present(rule) };
    }, report),
    revokeAccess: unaryHandler(async (message, call) => {
      const place = placeField(message.principal, message.resource);
      const operations = operationsField('operations', message.operations);
      const what = { place, operations, isGiven: message.forLogAccess };
      const request = { kind: 'revoke-access', ...what, ...onBehalfOf(call) } as const;
      await decide(broker, request, remainingMs(call, cluster.clock));
      return { rule: present(place) };
    }, report),
    listAccess: unaryHandler(() => {
      cluster.requireMetadata();
      const rules = [...broker.image().access].toSorted(([left], [right]) =>
        left < right ? -1 : 1,
      );
      return {
        rules: rules.map(([, rule]) => ruleToMessage(rule)),
        administrators: [...broker.administrators],
      };
    }, report),
    checkAccess: unaryHandler((message, call) => {
      cluster.requireMetadata();
      const operation = operationField('operation', message.operation);
      const resource = resourceField('resource', message.resource);
      const own = principalOf(call);
      const principal =
        message.principal === ''
          ? own === ''
            ? ANONYMOUS
            : own
          : principalField('principal', message.principal);
      const verdict = broker.rightsOf(principal).judge(operation, resource);
      if (!verdict.isAllowed)
        return { allowed: false, reason: verdict.reason, rule: undefined, principal };
      const { rule } = verdict;
      const reason =
        rule === null
          ? `${principal} is an administrator (auth-administrators)`
          : `by the rule of ${rule.principal} for ${resourceText(rule)}`;
      return {
        allowed: true,
        reason,
        rule: rule === null ? undefined : ruleToMessage(rule),
        principal,
      };
    }, report),
  };
}
