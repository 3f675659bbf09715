/** Judges changes of the rules of access. Pure. */
import { placeKey, ruleFaults, placeFaults, sortedOperations } from '../../../base/access.ts';
import { BrokerError } from '../../../base/errors.ts';
import { ACCESS_RULES_MAX } from '../../../base/limits.ts';
import type { GrantAccessRequest, RevokeAccessRequest } from '../controller-types.ts';
import { LEVEL_OF_ACCESS, requireLevel } from '../features.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';

/**
 * Records that let a principal do more; none when it may already. Throws {@link BrokerError} that
 * names every fault.
 */
export function grantAccess(image: MetadataImage, { rule }: GrantAccessRequest): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'grant access');
  const faults = ruleFaults(rule);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  const before = image.access.get(placeKey(rule));
  if (before === undefined && image.access.size >= ACCESS_RULES_MAX)
    throw new BrokerError(
      'REFUSED',
      `Cannot grant access: there are ${String(ACCESS_RULES_MAX)} rules already; grant to prefixes (*) of principals or names, or revoke some`,
    );
  const operations = sortedOperations([...(before?.operations ?? []), ...rule.operations]);
  const { principal, kind, name } = rule;
  return before?.operations.length === operations.length
    ? []
    : [{ kind: 'access-granted', rule: { principal, kind, name, operations } }];
}

/** Records that take access back; none when there was none. Throws {@link BrokerError}. */
export function revokeAccess(
  image: MetadataImage,
  { place, operations }: RevokeAccessRequest,
): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'revoke access');
  const faults = placeFaults(place);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  const before = image.access.get(placeKey(place));
  if (before === undefined) return [];
  const { principal, kind, name } = before;
  const left =
    operations.length === 0
      ? []
      : before.operations.filter((operation) => !operations.includes(operation));
  if (left.length === before.operations.length) return [];
  return left.length === 0
    ? [{ kind: 'access-revoked', place: { principal, kind, name } }]
    : [{ kind: 'access-granted', rule: { principal, kind, name, operations: left } }];
}
