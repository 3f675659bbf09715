/** Asks the controller which rules of access there are, and reads the LogAccess resources. */
import {
  ACCESS_KINDS,
  ACCESS_OPERATIONS,
  type AccessOperation,
  type AccessRule,
} from '../../base/access.ts';
import type {
  AccessOperation as OperationValue,
  AccessRule as RuleMessage,
} from '../../proto/gen/tidemark/v1/access.ts';
import { AdminServiceService as ADMIN } from '../../proto/gen/tidemark/v1/admin.ts';
import type { KubeObject } from '../api/kinds.ts';
import { LOG_ACCESS } from '../api/kinds.ts';
import type { LogAccess } from '../api/types.ts';
import { readLogAccessSpec } from '../api/validate.ts';
import { type AccessKnown, LEVEL_OF_GIVEN } from '../decide/access.ts';
import { ACCESS_KIND_VALUES, ACCESS_OPERATION_VALUES } from '../../wire/grpc/access-words.ts';
import type { LogAccessView } from '../decide/types.ts';
import type { BrokerCalls } from './broker-admin.ts';
import type { ObjectSource } from './sources.ts';

const CALL_TIMEOUT_MS = 3_000;

/** Null where the broker at `address` is not the controller, or does not answer. */
export async function askAccess(
  admin: BrokerCalls,
  address: string,
  signal: AbortSignal,
): Promise<AccessKnown | null> {
  const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
  try {
    const [{ featureLevel, controller, answeredBy }, { leader }] = await Promise.all([
      admin.call(address, ADMIN.describeCluster, {}, options),
      // The quorum's leader alone answers this: see askController.
      admin.call(address, ADMIN.describeQuorum, {}, options),
    ]);
    if (controller !== answeredBy || leader !== answeredBy) return null;
    if (featureLevel < LEVEL_OF_GIVEN) return { featureLevel, rules: [] };
    const { rules } = await admin.call(address, ADMIN.listAccess, {}, options);
    return { featureLevel, rules: rules.flatMap((rule) => ruleOf(rule) ?? []) };
  } catch {
    return null;
  }
}

/** Undefined for a rule of a newer broker: it is none that this operator may have given. */
function ruleOf({ principal, resource, operations, given }: RuleMessage): AccessRule | undefined {
  const kind = ACCESS_KINDS.find((each) => ACCESS_KIND_VALUES[each] === resource?.kind);
  if (kind === undefined || resource === undefined) return undefined;
  const words = (values: readonly OperationValue[]): AccessOperation[] =>
    ACCESS_OPERATIONS.filter((each) => values.includes(ACCESS_OPERATION_VALUES[each]));
  return {
    principal,
    kind,
    name: resource.name,
    operations: words(operations),
    given: words(given),
  };
}

/** `namespace/name` of the LogCluster that a LogAccess names; null: it names none. */
export function clusterKeyOf({ metadata, ...object }: KubeObject): string | null {
  const { clusterName, clusterNamespace = metadata.namespace } = (object['spec'] ?? {}) as {
    readonly clusterName?: unknown;
    readonly clusterNamespace?: unknown;
  };
  return typeof clusterName === 'string' && typeof clusterNamespace === 'string'
    ? `${clusterNamespace}/${clusterName}`
    : null;
}

/** LogAccess resources of every namespace that name this LogCluster. */
export function readLogAccesses(cache: ObjectSource, clusterKey: string): LogAccessView[] {
  return cache
    .list(LOG_ACCESS)
    .filter((resource) => clusterKeyOf(resource) === clusterKey)
    .map((resource) => {
      const { spec, faults } = readLogAccessSpec(resource['spec']);
      return {
        resource: { ...resource, spec } as unknown as LogAccess,
        faults: faults.map(({ message }) => message),
      };
    });
}
