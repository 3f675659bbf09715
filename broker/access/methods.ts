/**
 * What each call of the public API needs: an operation, and on which resources of its request. One
 * row a method, so that a method without one is served to nobody. Must not know messages beyond the
 * names of these fields, nor who asks.
 */
import type { AccessKind, AccessOperation } from '../../base/access.ts';
import type { QuotaName } from '../../base/quotas.ts';

/** Where in a request the resources stand. */
export type Reach =
  | { readonly of: 'cluster' }
  /** A name in this field. */
  | { readonly of: 'name'; readonly kind: AccessKind; readonly field: string }
  /**
   * Names in this field, or in the field `name` of each message in it. None: all that the caller
   * may describe; the answer holds no more.
   */
  | {
      readonly of: 'names';
      readonly kind: AccessKind;
      readonly field: string;
      readonly name?: string;
    }
  /**
   * In each message of the stream, parts in this field, each with the id of a topic. Each part is
   * judged, and answered, by itself.
   */
  | { readonly of: 'topic-ids'; readonly field: string }
  /**
   * A name in this field; where it is empty, nothing of anybody's is touched, and it is enough to
   * have something to do this for.
   */
  | {
      readonly of: 'own-name';
      readonly kind: AccessKind;
      readonly field: string;
      readonly for: AccessKind;
    }
  /**
   * A principal in this field. Empty, or the caller's own: nothing of anybody's; another's is the
   * cluster's business.
   */
  | { readonly of: 'principal'; readonly field: string }
  /**
   * The topic of the queue that this field names. No queue: no topic, and nothing of anybody's; who
   * answers the call says that there is none.
   */
  | { readonly of: 'queue-topic'; readonly field: string }
  /** The dead-letter topic that the config of a queue names; none: nothing of anybody's. */
  | { readonly of: 'dead-letters' }
  /** The group or queue that the metadata of KEDA's scaled object names. */
  | { readonly of: 'scaled-group' }
  /** Nothing of anybody's: whoever is known may ask. */
  | { readonly of: 'nothing' };

export interface Need {
  readonly operation: AccessOperation;
  readonly reach: Reach;
}

export interface MethodAccess extends Need {
  /** What else it needs; absent: nothing. */
  readonly also?: readonly Need[];
  /** The stream's message of this name begins it, and is the request that is judged. */
  readonly opensWith?: string;
  /** Told line by line in the audit, whoever calls it: it changes something for others. */
  readonly isAudited: boolean;
  /** What each call, or what it moves, counts towards; null: nothing. */
  readonly quota: QuotaName | null;
}

const CLUSTER: Reach = { of: 'cluster' };
const topicIn = (field: string): Reach => ({ of: 'name', kind: 'topic', field });
const data = (
  operation: AccessOperation,
  reach: Reach,
  quota: QuotaName | null = null,
): MethodAccess => ({ operation, reach, isAudited: false, quota });
const asked = (operation: AccessOperation, reach: Reach): MethodAccess => ({
  operation,
  reach,
  isAudited: false,
  quota: 'adminCallsPerSecond',
});
const audited = (operation: AccessOperation, reach: Reach): MethodAccess => ({
  operation,
  reach,
  isAudited: true,
  quota: 'adminCallsPerSecond',
});

const groupIn = (field: string): Reach => ({ of: 'name', kind: 'group', field });
/** Whoever commits for a topic, or learns how far others are in it, may read it. */
const reading = (...reaches: readonly Reach[]): Pick<MethodAccess, 'also'> => ({
  also: reaches.map((reach) => ({ operation: 'read', reach })),
});
/** Of the queue that this field names. */
const queueTopicIn = (field: string): Reach => ({ of: 'queue-topic', field });
/** Whoever has a queue append its dead letters to a topic may append to it. */
const BURYING: Need = { operation: 'append', reach: { of: 'dead-letters' } };
const topicsIn = (field: string): Reach => ({ of: 'names', kind: 'topic', field, name: 'topic' });

const LOG = '/tidemark.v1.LogService/';
const GROUP = '/tidemark.v1.GroupService/';
const CONSUME = '/tidemark.v1.ConsumeService/';
const QUEUE = '/tidemark.v1.QueueService/';
const SCALER = '/externalscaler.ExternalScaler/';
const ADMIN = '/tidemark.v1.AdminService/';

const ROWS: readonly (readonly [path: string, access: MethodAccess])[] = [
  [`${LOG}Append`, data('append', topicIn('topic'), 'appendBytesPerSecond')],
  [`${LOG}Read`, data('read', topicIn('topic'), 'readBytesPerSecond')],
  [`${LOG}ListOffsets`, data('describe', topicIn('topic'))],
  [
    `${LOG}InitProducer`,
    data(
      'append',
      { of: 'own-name', kind: 'producer', field: 'name', for: 'topic' },
      'producerIdsPerSecond',
    ),
  ],
  [`${LOG}Produce`, data('append', { of: 'topic-ids', field: 'batches' }, 'appendBytesPerSecond')],
  [`${LOG}Fetch`, data('read', { of: 'topic-ids', field: 'subscribe' }, 'readBytesPerSecond')],
  [
    `${GROUP}CommitCursors`,
    { ...data('group', groupIn('group'), 'appendBytesPerSecond'), ...reading(topicsIn('cursors')) },
  ],
  [`${GROUP}FetchCursors`, { ...data('group', groupIn('group')), ...reading(topicsIn('topics')) }],
  [`${GROUP}ListGroups`, asked('describe', { of: 'nothing' })],
  [`${GROUP}DescribeGroup`, asked('describe', groupIn('group'))],
  [`${GROUP}SeekGroup`, { ...audited('group', groupIn('group')), ...reading(topicIn('topic')) }],
  [`${GROUP}DeleteGroup`, audited('delete', groupIn('group'))],
  [`${GROUP}DescribeLag`, data('describe', topicIn('topic'))],
  // Whoever asks for all topics that begin alike needs a rule for all of them.
  [
    `${CONSUME}Consume`,
    {
      ...data('group', groupIn('group'), 'readBytesPerSecond'),
      // Where the name is a queue's, whose topic need not be named.
      ...reading({ of: 'names', kind: 'topic', field: 'topics' }, queueTopicIn('group')),
      opensWith: 'open',
    },
  ],
  // A queue is named as a group is. Dead letters take records of its topic elsewhere.
  [
    `${QUEUE}CreateQueue`,
    {
      ...audited('group', groupIn('name')),
      also: [{ operation: 'read', reach: topicIn('topic') }, BURYING],
    },
  ],
  [
    `${QUEUE}AlterQueue`,
    {
      ...audited('group', groupIn('name')),
      also: [{ operation: 'read', reach: queueTopicIn('name') }, BURYING],
    },
  ],
  [`${QUEUE}DeleteQueue`, audited('delete', groupIn('name'))],
  [`${QUEUE}ListQueues`, asked('describe', { of: 'nothing' })],
  [
    `${QUEUE}DescribeQueue`,
    {
      ...asked('describe', groupIn('name')),
      also: [{ operation: 'describe', reach: queueTopicIn('name') }],
    },
  ],
  [`${QUEUE}FreeQueueKey`, audited('group', groupIn('name'))],
  // What it shows of topics is asked of their leaders for the same caller.
  [`${SCALER}IsActive`, asked('describe', { of: 'scaled-group' })],
  [`${SCALER}StreamIsActive`, data('describe', { of: 'scaled-group' })],
  [`${SCALER}GetMetricSpec`, asked('describe', { of: 'scaled-group' })],
  [`${SCALER}GetMetrics`, asked('describe', { of: 'scaled-group' })],
  [`${ADMIN}Bootstrap`, audited('administer', CLUSTER)],
  // Every client begins with these two, so that they count towards nothing. Of topics they show
  // what may be described.
  [`${ADMIN}DescribeCluster`, data('describe', { of: 'nothing' })],
  [`${ADMIN}ListTopics`, data('describe', { of: 'names', kind: 'topic', field: 'names' })],
  // These name topics of all kinds.
  [`${ADMIN}DescribeBroker`, asked('describe', CLUSTER)],
  [`${ADMIN}DescribeQuorum`, asked('describe', CLUSTER)],
  [`${ADMIN}CheckDisruption`, asked('describe', CLUSTER)],
  [`${ADMIN}PlanRebalance`, asked('describe', CLUSTER)],
  [`${ADMIN}DescribeSpread`, asked('describe', CLUSTER)],
  [`${ADMIN}ExplainPartition`, asked('describe', topicIn('topic'))],
  [`${ADMIN}CreateTopic`, audited('create', topicIn('name'))],
  [`${ADMIN}AlterTopic`, audited('alter', topicIn('name'))],
  [`${ADMIN}DeleteTopic`, audited('delete', topicIn('name'))],
  // What it drops is gone as with the topic.
  [`${ADMIN}TrimTopic`, audited('delete', topicIn('topic'))],
  // Where copies lie and who leads is the cluster's business: it costs the neighbours.
  [`${ADMIN}ElectLeader`, audited('administer', CLUSTER)],
  [`${ADMIN}ReassignPartition`, audited('administer', CLUSTER)],
  [`${ADMIN}PrepareStop`, audited('administer', CLUSTER)],
  [`${ADMIN}CancelStop`, audited('administer', CLUSTER)],
  [`${ADMIN}Decommission`, audited('administer', CLUSTER)],
  [`${ADMIN}Recommission`, audited('administer', CLUSTER)],
  [`${ADMIN}RemoveBroker`, audited('administer', CLUSTER)],
  [`${ADMIN}SetClusterSettings`, audited('administer', CLUSTER)],
  [`${ADMIN}GrantAccess`, audited('administer', CLUSTER)],
  [`${ADMIN}RevokeAccess`, audited('administer', CLUSTER)],
  [`${ADMIN}ListAccess`, asked('administer', CLUSTER)],
  [`${ADMIN}CheckAccess`, asked('administer', { of: 'principal', field: 'principal' })],
  [`${ADMIN}SetQuota`, audited('administer', CLUSTER)],
  [`${ADMIN}DeleteQuota`, audited('administer', CLUSTER)],
  [`${ADMIN}ListQuotas`, asked('administer', CLUSTER)],
];

const BY_PATH: ReadonlyMap<string, MethodAccess> = new Map(ROWS);

/** What a method needs, by its path; undefined: it has no row, so nobody may call it. */
export function accessOf(path: string): MethodAccess | undefined {
  return BY_PATH.get(path);
}

/** Paths that have a row. */
export const METHODS_WITH_ACCESS: readonly string[] = ROWS.map(([path]) => path);
