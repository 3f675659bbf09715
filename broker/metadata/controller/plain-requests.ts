/** Requests that are answered with success alone, once what they ask for is committed. Pure. */
import { assertNever } from '../../../base/assert.ts';
import type {
  DeleteTopicRequest,
  GrantAccessRequest,
  ReassignRequest,
  RevokeAccessRequest,
  SetSettingsRequest,
} from '../controller-types.ts';
import type { MetadataImage, MetadataRecord, TopicConfig } from '../types.ts';
import { grantAccess, revokeAccess } from './access.ts';
import { reassign } from './moving/reassign.ts';
import { setSettings } from './settings.ts';
import { deleteTopic } from './topics.ts';

export type PlainRequest =
  | DeleteTopicRequest
  | ReassignRequest
  | SetSettingsRequest
  | GrantAccessRequest
  | RevokeAccessRequest;

/** What it asks for. Throws `BrokerError`. */
export function recordsOf(
  image: MetadataImage,
  request: PlainRequest,
  defaults: TopicConfig,
): readonly MetadataRecord[] {
  switch (request.kind) {
    case 'delete-topic':
      return deleteTopic(image, request);
    case 'reassign':
      return reassign(image, request);
    case 'set-settings':
      return setSettings(image, request, defaults);
    case 'grant-access':
      return grantAccess(image, request);
    case 'revoke-access':
      return revokeAccess(image, request);
    default:
      return assertNever(request);
  }
}
