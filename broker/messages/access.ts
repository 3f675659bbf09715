/** Rules of access, between values and messages. What arrives is checked field by field. */
import type {
  AccessOperation,
  AccessPlace,
  AccessResource,
  AccessRule,
} from '../../base/access.ts';
import {
  ACCESS_KINDS,
  ACCESS_OPERATIONS,
  placeFaults,
  PRINCIPAL_LENGTH_MAX,
  principalFault,
  ruleFaults,
  sortedOperations,
} from '../../base/access.ts';
import { BrokerError } from '../../base/errors.ts';
import type {
  AccessOperation as OperationValue,
  AccessResource as ResourceMessage,
  AccessRule as RuleMessage,
} from '../../proto/gen/tidemark/v1/access.ts';
import { ACCESS_KIND_VALUES, ACCESS_OPERATION_VALUES } from '../../wire/grpc/access-words.ts';
import { presentField, refuse, textField } from './fields.ts';

/** Most operations that one message may state: each, and once more. */
const OPERATIONS_STATED_MAX = 2 * ACCESS_OPERATIONS.length;

export function operationField(field: string, value: OperationValue): AccessOperation {
  const operation = ACCESS_OPERATIONS.find((each) => ACCESS_OPERATION_VALUES[each] === value);
  return operation ?? refuse(field, value, 'an operation of access.proto');
}

export function operationsField(
  field: string,
  values: readonly OperationValue[],
): readonly AccessOperation[] {
  if (values.length > OPERATIONS_STATED_MAX)
    refuse(`${field} length`, values.length, `${OPERATIONS_STATED_MAX} or fewer`);
  return sortedOperations(values.map((value) => operationField(field, value)));
}

/** The name is checked with the whole place: see {@link placeField}. */
export function resourceField(field: string, message: ResourceMessage | undefined): AccessResource {
  const { kind: value, name } = presentField(field, message);
  const kind = ACCESS_KINDS.find((each) => ACCESS_KIND_VALUES[each] === value);
  return {
    kind: kind ?? refuse(`${field}.kind`, value, 'a kind of access.proto'),
    name: textField(`${field}.name`, name, PRINCIPAL_LENGTH_MAX),
  };
}

export function placeField(principal: string, resource: ResourceMessage | undefined): AccessPlace {
  const place = {
    principal: textField('principal', principal, PRINCIPAL_LENGTH_MAX),
    ...resourceField('resource', resource),
  };
  refuseFaults(placeFaults(place));
  return place;
}

export function ruleField(message: RuleMessage | undefined): AccessRule {
  const { principal, resource, operations, given } = presentField('rule', message);
  const rule = {
    ...placeField(principal, resource),
    operations: operationsField('operations', operations),
  };
  if (given.length > 0) refuse('rule.given', given.length, 'empty: the cluster notes it itself');
  refuseFaults(ruleFaults(rule));
  return rule;
}

/** Who somebody is, as a listener names them. */
export function principalField(field: string, text: string): string {
  const fault = principalFault(text);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', `${field}: ${fault}`);
  return text;
}

export function operationsToMessage(operations: readonly AccessOperation[]): OperationValue[] {
  return operations.map((operation) => ACCESS_OPERATION_VALUES[operation]);
}

export function resourceToMessage({ kind, name }: AccessResource): ResourceMessage {
  return { kind: ACCESS_KIND_VALUES[kind], name };
}

export function ruleToMessage(rule: AccessRule): RuleMessage {
  return {
    principal: rule.principal,
    resource: resourceToMessage(rule),
    operations: operationsToMessage(rule.operations),
    given: operationsToMessage(rule.given ?? []),
  };
}

function refuseFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
}
