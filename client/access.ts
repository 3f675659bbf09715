/**
 * Rules of access as programs state and read them: words for operations, `topic:orders` for a
 * resource. Checks what is handed in, and translates.
 */
import {
  ACCESS_KINDS,
  ACCESS_OPERATIONS,
  type AccessOperation,
  readResource,
  resourceText,
} from '../base/access.ts';
import type {
  AccessOperation as OperationValue,
  AccessResource as WireResource,
  AccessRule as WireRule,
} from '../proto/gen/tidemark/v1/access.ts';
import { ACCESS_KIND_VALUES, ACCESS_OPERATION_VALUES } from '../wire/grpc/access-words.ts';
import { type Check, fault, listOf, named, oneOf, optional, shape } from './check.ts';
import { TidemarkError } from './errors.ts';

export type { AccessOperation } from '../base/access.ts';

/** Lets a principal do operations to a resource. */
export interface AccessRule {
  /**
   * As `cert:CN=alice` or `system:serviceaccount:pay:api`; with `*` at the end all that begin so.
   */
  readonly principal: string;
  readonly operations: readonly AccessOperation[];
  /** `topic:orders`, `producer:billing-*`, `group:readers` or `cluster`. */
  readonly resource: string;
}

/** A rule as it is kept. */
export interface KeptAccessRule extends AccessRule {
  /** Those of the operations that LogAccess resources on Kubernetes gave; absent: none. */
  readonly given?: readonly AccessOperation[];
}

/** What `revokeAccess` takes; without operations all of the rule. */
export type AccessRevocation = Omit<AccessRule, 'operations'> &
  Partial<Pick<AccessRule, 'operations'>>;

/** What `checkAccess` takes. */
export interface AccessQuestion {
  readonly operation: AccessOperation;
  readonly resource: string;
  /** Default: whoever asks. */
  readonly principal?: string;
}

/** What a principal may, and why. */
export interface AccessAnswer {
  readonly allowed: boolean;
  readonly reason: string;
  readonly principal: string;
  readonly rule?: KeptAccessRule;
}

const resource: Check = (value, name) =>
  typeof value === 'string' && readResource(value) !== null
    ? []
    : [fault(name, value, 'topic:NAME, group:NAME, producer:NAME or cluster')];
const operation = oneOf(...ACCESS_OPERATIONS);

export const ACCESS_RULE = shape({
  principal: named,
  operations: listOf(operation),
  resource,
});
export const ACCESS_REVOCATION = shape({
  principal: named,
  operations: optional(listOf(operation)),
  resource,
});
export const ACCESS_QUESTION = shape({ operation, resource, principal: optional(named) });

export function operationsToWire(operations: readonly AccessOperation[]): OperationValue[] {
  return operations.map((each) => ACCESS_OPERATION_VALUES[each]);
}

/** Of a text that was checked. */
export function resourceToWire(text: string): WireResource {
  const { kind, name } = readResource(text) ?? { kind: 'cluster', name: '' };
  return { kind: ACCESS_KIND_VALUES[kind], name };
}

/** Throws INTERNAL for a rule of a newer broker. */
export function ruleFromWire(rule: WireRule): KeptAccessRule {
  const kind = ACCESS_KINDS.find((each) => ACCESS_KIND_VALUES[each] === rule.resource?.kind);
  if (kind === undefined)
    throw new TidemarkError('INTERNAL', 'Cannot read a rule: its kind of resource is unknown here');
  const operations = operationsFromWire(rule.operations);
  const given = operationsFromWire(rule.given);
  const name = rule.resource?.name ?? '';
  return {
    principal: rule.principal,
    operations,
    resource: resourceText({ kind, name }),
    ...(given.length === 0 ? {} : { given }),
  };
}

function operationsFromWire(values: readonly OperationValue[]): AccessOperation[] {
  return ACCESS_OPERATIONS.filter((each) => values.includes(ACCESS_OPERATION_VALUES[each]));
}
