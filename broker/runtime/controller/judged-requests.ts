/**
 * The controller's broker judges again what another has judged for a caller: its metadata is newer,
 * and a rule may have been revoked meanwhile.
 */
import type { AccessOperation, AccessResource } from '../../../base/access.ts';
import type { QueueSettings } from '../../../base/queues.ts';
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
  const rights = rightsOf(principal);
  for (const [operation, resource] of needsOf(request)) {
    const verdict = rights.judge(operation, resource);
    if (!verdict.isAllowed) return new BrokerError('PERMISSION_DENIED', verdict.reason);
  }
  return null;
}

type Need = readonly [AccessOperation, AccessResource];

function needsOf(request: ControllerRequest): readonly Need[] {
  const { kind } = request;
  if (kind === 'create-topic') return [['create', { kind: 'topic', name: request.name }]];
  if (kind === 'alter-topic') return [['alter', { kind: 'topic', name: request.name }]];
  if (kind === 'delete-topic') return [['delete', { kind: 'topic', name: request.name }]];
  if (kind === 'init-producer') return [['append', { kind: 'producer', name: request.name }]];
  if (kind === 'create-queue')
    return [
      ['group', { kind: 'group', name: request.name }],
      ['read', { kind: 'topic', name: request.topic }],
      ...lettersOf(request.config),
    ];
  if (kind === 'alter-queue')
    return [['group', { kind: 'group', name: request.name }], ...lettersOf(request.config)];
  if (kind === 'delete-queue') return [['delete', { kind: 'group', name: request.name }]];
  return [['administer', CLUSTER]];
}

/** Whoever has a queue append dead letters to a topic may append to it. */
function lettersOf({ deadLetterTopic = '' }: Partial<QueueSettings>): readonly Need[] {
  return deadLetterTopic === '' ? [] : [['append', { kind: 'topic', name: deadLetterTopic }]];
}
