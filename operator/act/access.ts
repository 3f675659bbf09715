/** Changes of rules of access, as calls to the controller. What a person granted is not touched. */
import type { AccessRule } from '../../base/access.ts';
import { AdminServiceService as ADMIN } from '../../proto/gen/tidemark/v1/admin.ts';
import type { Action } from '../decide/types.ts';
import { ACCESS_KIND_VALUES, ACCESS_OPERATION_VALUES } from '../../wire/grpc/access-words.ts';
import type { Admin } from './calls.ts';

export type AccessAction = Extract<Action, { kind: 'grant-access' | 'revoke-access' }>;

export async function changeAccess(
  admin: Admin,
  controller: string,
  { kind, rule }: AccessAction,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const message = messageOf(rule);
  if (kind === 'grant-access') {
    const request = { rule: { ...message, given: [] }, forLogAccess: true };
    await admin.call(controller, ADMIN.grantAccess, request, options);
  } else {
    await admin.call(controller, ADMIN.revokeAccess, { ...message, forLogAccess: true }, options);
  }
}

function messageOf({ principal, kind, name, operations }: AccessRule) {
  return {
    principal,
    resource: { kind: ACCESS_KIND_VALUES[kind], name },
    operations: operations.map((operation) => ACCESS_OPERATION_VALUES[operation]),
  };
}
