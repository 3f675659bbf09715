/** Checks of the message that opens a Consume stream. */
import {
  Beginning,
  type ConsumeOpen,
  ConsumeType,
  Delivery,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import {
  CREDIT_BYTES_MAX,
  GROUP_RELEASE_MS_MAX,
  GROUP_RETURN_MS_MAX,
  GROUP_SESSION_MS_MAX,
  GROUP_TOPICS_MAX,
} from '../../../base/limits.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { AssignorName, JoinRequest } from '../../groups/membership/types.ts';
import { subscriptionFault } from '../../runtime/groups/group-rules.ts';
import { integerField, textField, uuidField } from '../../messages/fields.ts';
import { groupField } from '../groups/fields.ts';

const SESSION_MS_DEFAULT = 30_000;
const GRACE_MS_DEFAULT = 3_000;
const RELEASE_MS_DEFAULT = 30_000;

/** How a member wants to be served. */
export interface Opened {
  readonly join: JoinRequest;
  /** The proxy reads for it. */
  readonly isDelivered: boolean;
  readonly creditBytes: number;
  readonly isFromLatest: boolean;
  readonly releaseMs: number;
}

/** What every process says of itself, a member of a group or a consumer of a queue. */
export function processField(
  { memberId, attempt, client, graceMs = GRACE_MS_DEFAULT }: ConsumeOpen,
  newUuid: () => string,
): Pick<JoinRequest, 'memberId' | 'attempt' | 'client' | 'graceMs'> {
  return {
    memberId: memberId === '' ? newUuid() : uuidField('member_id', memberId),
    attempt: integerField('attempt', attempt || 1, 1, Number.MAX_SAFE_INTEGER),
    client: textField('client', client),
    graceMs: integerField('grace_ms', graceMs, 0, GROUP_SESSION_MS_MAX),
  };
}

/** Throws INVALID_ARGUMENT; what is a matter of the group, its coordinator judges. */
export function openedField(open: ConsumeOpen, newUuid: () => string): Opened {
  integerField('type', open.type, 0, ConsumeType.CONSUME_TYPE_GROUP);
  integerField('delivery', open.delivery, 0, Delivery.DELIVERY_ASSIGNMENTS);
  integerField('from', open.from, 0, Beginning.BEGINNING_LATEST);
  integerField('topics length', open.topics.length, 1, GROUP_TOPICS_MAX);
  for (const topic of open.topics) {
    const fault = subscriptionFault('topics', topic);
    if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', fault);
  }
  const isDelivered = open.delivery !== Delivery.DELIVERY_ASSIGNMENTS;
  const instanceId = textField('instance_id', open.instanceId);
  return {
    join: {
      kind: 'join',
      group: groupField(open.group),
      ...processField(open, newUuid),
      instanceId,
      rack: textField('rack', open.rack),
      topics: open.topics,
      assignor: textField('assignor', open.assignor) as AssignorName | '',
      sessionMs: integerField(
        'session_ms',
        open.sessionMs || SESSION_MS_DEFAULT,
        1,
        GROUP_SESSION_MS_MAX,
      ),
      returnMs: integerField('return_ms', open.returnMs, 0, GROUP_RETURN_MS_MAX),
      epoch: integerField('epoch', open.epoch, 0, Number.MAX_SAFE_INTEGER),
      formerId:
        open.formerMemberId === '' ? '' : uuidField('former_member_id', open.formerMemberId),
    },
    isDelivered,
    creditBytes: integerField(
      'credit_bytes',
      open.creditBytes,
      isDelivered ? 1 : 0,
      CREDIT_BYTES_MAX,
    ),
    isFromLatest: open.from === Beginning.BEGINNING_LATEST,
    releaseMs: integerField(
      'release_ms',
      open.releaseMs || RELEASE_MS_DEFAULT,
      1,
      GROUP_RELEASE_MS_MAX,
    ),
  };
}
