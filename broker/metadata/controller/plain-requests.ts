/** Requests that are answered with success alone, once what they ask for is committed. Pure. */
import { assertNever } from '../../../base/assert.ts';
import type {
  AlterQueueRequest,
  ControllerRequest,
  CreateQueueRequest,
  DeleteQueueRequest,
  DeleteQuotaRequest,
  DeleteTopicRequest,
  GrantAccessRequest,
  MakeInternalTopicRequest,
  ReassignRequest,
  RevokeAccessRequest,
  SetQuotaRequest,
  SetSettingsRequest,
} from '../controller-types.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';
import { grantAccess, revokeAccess } from './access.ts';
import { reassign } from './moving/reassign.ts';
import { alterQueue, createQueue, deleteQueue } from './queues.ts';
import { deleteQuota, setQuota } from './quotas.ts';
import { setSettings } from './settings.ts';
import { makeInternalTopic } from './internal-topics.ts';
import { deleteTopic, type TopicLimits } from './topics.ts';

export type PlainRequest =
  | DeleteTopicRequest
  | MakeInternalTopicRequest
  | ReassignRequest
  | SetSettingsRequest
  | GrantAccessRequest
  | RevokeAccessRequest
  | SetQuotaRequest
  | DeleteQuotaRequest
  | CreateQueueRequest
  | AlterQueueRequest
  | DeleteQueueRequest;

const PLAIN: Readonly<Record<PlainRequest['kind'], true>> = {
  'delete-topic': true,
  'make-internal-topic': true,
  reassign: true,
  'set-settings': true,
  'grant-access': true,
  'revoke-access': true,
  'set-quota': true,
  'delete-quota': true,
  'create-queue': true,
  'alter-queue': true,
  'delete-queue': true,
};

export function isPlain(request: ControllerRequest): request is PlainRequest {
  return Object.hasOwn(PLAIN, request.kind);
}

/** What it asks for. Throws `BrokerError`. */
export function recordsOf(
  image: MetadataImage,
  request: PlainRequest,
  limits: TopicLimits,
): readonly MetadataRecord[] {
  switch (request.kind) {
    case 'delete-topic':
      return deleteTopic(image, request);
    case 'make-internal-topic':
      return makeInternalTopic(image, request, limits);
    case 'reassign':
      return reassign(image, request);
    case 'set-settings':
      return setSettings(image, request, limits.defaults);
    case 'grant-access':
      return grantAccess(image, request);
    case 'revoke-access':
      return revokeAccess(image, request);
    case 'set-quota':
      return setQuota(image, request);
    case 'delete-quota':
      return deleteQuota(image, request);
    case 'create-queue':
      return createQueue(image, request);
    case 'alter-queue':
      return alterQueue(image, request);
    case 'delete-queue':
      return deleteQueue(image, request);
    default:
      return assertNever(request);
  }
}
