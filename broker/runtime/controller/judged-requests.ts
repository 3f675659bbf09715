/**
 * The controller's broker judges again what another has judged for a caller: its metadata is newer,
 * and a rule may have been revoked meanwhile.
 */
import type { AccessOperation, AccessResource } from '../../../base/access.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Rights } from '../../access/rules.ts';
import type { ControllerRequest } from '../../metadata/controller-types.ts';

const CLUSTER: AccessResource = { kind: 'cluster', name: '' };

/** PERMISSION_DENIED where whoever it is asked for may not; null: they may. */
export function refusalOf(
  request: ControllerRequest,
  rightsOf: (principal: string) => Rights,
): BrokerError | null {
  const principal = 'principal' in request ? (request.principal ?? '') : '';
  // An id without a name is nobody's.
  const isHarmless = request.kind === 'init-producer' && request.name === '';
  if (principal === '' || isHarmless) return null;
  const [operation, resource] = needOf(request);
  const verdict = rightsOf(principal).judge(operation, resource);
  return verdict.isAllowed ? null : new BrokerError('PERMISSION_DENIED', verdict.reason);
}

function needOf(request: ControllerRequest): readonly [AccessOperation, AccessResource] {
  const { kind } = request;
  if (kind === 'create-topic') return ['create', { kind: 'topic', name: request.name }];
  if (kind === 'alter-topic') return ['alter', { kind: 'topic', name: request.name }];
  if (kind === 'delete-topic') return ['delete', { kind: 'topic', name: request.name }];
  if (kind === 'init-producer') return ['append', { kind: 'producer', name: request.name }];
  return ['administer', CLUSTER];
}
