/** Judges changes of the rules of access. Pure. */
import type { AccessOperation, AccessRule } from '../../../base/access.ts';
import { placeKey, ruleFaults, placeFaults, sortedOperations } from '../../../base/access.ts';
import { BrokerError } from '../../../base/errors.ts';
import { ACCESS_RULES_MAX } from '../../../base/limits.ts';
import type { GrantAccessRequest, RevokeAccessRequest } from '../controller-types.ts';
import { LEVEL_OF_ACCESS, LEVEL_OF_GIVEN, requireLevel } from '../features.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';

/**
 * Records that let a principal do more; none when it may already. What a person grants is a
 * person's from then on, also where LogAccess resources gave it before; what they want and is there
 * stays whose it is. Throws {@link BrokerError} that names every fault.
 */
export function grantAccess(
  image: MetadataImage,
  { rule, isGiven = false }: GrantAccessRequest,
): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'grant access');
  if (isGiven) requireLevel(image, LEVEL_OF_GIVEN, 'grant access for LogAccess resources');
  const faults = ruleFaults(rule);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  const before = image.access.get(placeKey(rule));
  if (before === undefined && image.access.size >= ACCESS_RULES_MAX)
    throw new BrokerError(
      'REFUSED',
      `Cannot grant access: there are ${String(ACCESS_RULES_MAX)} rules already; grant to prefixes (*) of principals or names, or revoke some`,
    );
  const { operations: present = [], given = [] } = before ?? {};
  const added = rule.operations.filter((operation) => !present.includes(operation));
  const kept = given.filter((operation) => !rule.operations.includes(operation));
  return changed(before, {
    ...placeOf(rule),
    operations: sortedOperations([...present, ...added]),
    given: isGiven ? [...given, ...added] : kept,
  });
}

/** Records that take access back; none when there was none. Throws {@link BrokerError}. */
export function revokeAccess(
  image: MetadataImage,
  { place, operations, isGiven = false }: RevokeAccessRequest,
): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_ACCESS, 'revoke access');
  if (isGiven) requireLevel(image, LEVEL_OF_GIVEN, 'revoke what LogAccess resources gave');
  const faults = placeFaults(place);
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  const before = image.access.get(placeKey(place));
  if (before === undefined) return [];
  const { given = [] } = before;
  const mayGo = isGiven ? given : before.operations;
  const isLeft = (operation: AccessOperation): boolean =>
    !mayGo.includes(operation) || (operations.length > 0 && !operations.includes(operation));
  return changed(before, {
    ...placeOf(before),
    operations: before.operations.filter(isLeft),
    given: given.filter(isLeft),
  });
}

function placeOf({ principal, kind, name }: AccessRule) {
  return { principal, kind, name };
}

function changed(
  before: AccessRule | undefined,
  { operations, given, ...place }: Required<AccessRule>,
): MetadataRecord[] {
  if (operations.length === 0)
    return before === undefined ? [] : [{ kind: 'access-revoked', place }];
  const isSame =
    before?.operations.length === operations.length && (before.given ?? []).length === given.length;
  if (isSame) return [];
  const noted = given.length === 0 ? {} : { given: sortedOperations(given) };
  return [{ kind: 'access-granted', rule: { ...place, operations, ...noted } }];
}
