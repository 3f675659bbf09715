/**
 * The tables of both statuses. Pure. Lists are bounded, and nothing in here changes every second: a
 * status is written only where it says something new. Source: Kubernetes' API conventions for
 * conditions.
 */
import {
  BROKERS_MAX,
  BROKER_ID_MAX,
  LISTENER_NAME_LENGTH_MAX,
  LISTENERS_MAX,
} from '../../base/limits.ts';
import { boolean, choice, integer, list, object, text, time } from './schema.ts';
import type { Schema } from './schema.ts';
import type {
  Condition,
  DepartedTopic,
  Disruption,
  InternalTlsStatus,
  ListenerBrokerStatus,
  ListenerStatus,
  LogAccessStatus,
  LogClusterStatus,
  LogTopicStatus,
  LossReport,
} from './types.ts';

/** Longest text of a condition, a step or a durability line. */
export const MESSAGE_LENGTH_MAX = 4_096;
/** Newest loss reports in the status; the cluster itself keeps more. */
export const LOSSES_MAX = 20;
/** Topics in the status that are still to be deleted; more wait until some are gone. */
export const DEPARTED_MAX = 500;
const RACKS_MAX = 100;
const CONDITION_TYPES = [
  'Ready',
  'Available',
  'Progressing',
  'Degraded',
  'Enforced',
  'ReconciliationPaused',
  'TemplateMutated',
];
const NUMBER_MAX = 2_147_483_647;

function generation(description: string): Schema {
  return integer(description, 0, Number.MAX_SAFE_INTEGER);
}

function count(description: string): Schema {
  return integer(description, 0, NUMBER_MAX);
}

function words(description: string): Schema {
  return text(description, MESSAGE_LENGTH_MAX);
}

function conditions(description: string): Schema {
  return list(
    description,
    object<Condition>(
      'A condition.',
      {
        type: choice('What it is about.', CONDITION_TYPES),
        status: choice('Whether it holds.', ['True', 'False', 'Unknown']),
        observedGeneration: generation('Generation of the spec that it speaks of.'),
        lastTransitionTime: time('When status last changed.'),
        reason: text('Why, in one word.', 64, {
          minLength: 1,
          pattern: '^[A-Z][A-Za-z0-9]*$',
          patternMeaning: 'a word in CamelCase',
        }),
        message: words('Why, in words.'),
      },
      {
        required: [
          'type',
          'status',
          'observedGeneration',
          'lastTransitionTime',
          'reason',
          'message',
        ],
      },
    ),
    CONDITION_TYPES.length,
    { listType: 'map', listMapKeys: ['type'] },
  );
}

const disruptionSchema = object<Disruption>(
  'The one disruption under way: a broker that the operator stops, moves or replaces.',
  {
    kind: choice('What is done.', ['Roll', 'ScaleDown', 'ReplaceVolume', 'Drain', 'Resize']),
    brokerIds: list('To these brokers.', integer('Broker id.', 0, BROKER_ID_MAX), BROKERS_MAX),
    podUids: list('Their pods when it began.', text('UID.', 36), BROKERS_MAX),
    brokerEpochs: list(
      'Epochs of their registrations when it began.',
      integer('Epoch.', 0, Number.MAX_SAFE_INTEGER),
      BROKERS_MAX,
    ),
    templateHash: text('Pod template that it is to lead to.', 64),
    startedAt: time('When it began.'),
    phase: text('How far it is.', 64),
  },
  {
    required: [
      'kind',
      'brokerIds',
      'podUids',
      'brokerEpochs',
      'templateHash',
      'startedAt',
      'phase',
    ],
  },
);

const lossSchema = object<LossReport>(
  'Records that may be lost: all from an offset on, of the epochs before a leader epoch.',
  {
    topic: text('Topic.', 249),
    partition: count('Partition.'),
    leaderEpoch: count('Epoch before which they were written.'),
    fromOffset: integer('First offset.', 0, Number.MAX_SAFE_INTEGER),
    at: time('When it was found.'),
  },
  { required: ['topic', 'partition', 'leaderEpoch', 'fromOffset', 'at'] },
);

const departedSchema = object<DepartedTopic>(
  'A topic that is to be deleted.',
  { topic: text('Topic.', 249), topicId: text('UUID that it must have.', 36) },
  { required: ['topic', 'topicId'] },
);

const internalTlsSchema = object<InternalTlsStatus>(
  'TLS between brokers.',
  {
    mode: choice('Enabled: new brokers take nothing but TLS from each other.', [
      'Enabled',
      'Disabled',
    ]),
    phase: choice(
      'That brokers are to have next, on the way from plaintext to TLS or back. Allow: they take both and dial plaintext. Prefer: they take both and dial TLS. Require: TLS alone. Absent: they are on no way.',
      ['Plaintext', 'Allow', 'Prefer', 'Require'],
    ),
    authority: text('Id of the authority that signs: half of its SHA-256 fingerprint.', 64),
  },
  { required: ['mode'] },
);

const ADDRESS_LENGTH_MAX = 262;

const listenerStatusSchema = object<ListenerStatus>(
  'Where clients of one listener dial.',
  {
    name: text('Its name.', LISTENER_NAME_LENGTH_MAX),
    bootstrap: text('Where they begin, host:port; absent: not known yet.', ADDRESS_LENGTH_MAX),
    brokers: list(
      'Each broker.',
      object<ListenerBrokerStatus>(
        'One broker.',
        {
          broker: integer('Broker id.', 0, BROKER_ID_MAX),
          address: text(
            'Where it is dialled, host:port; absent: not known yet.',
            ADDRESS_LENGTH_MAX,
          ),
          advertised: boolean('The broker tells its clients so.'),
        },
        { required: ['broker', 'advertised'] },
      ),
      BROKERS_MAX,
    ),
  },
  { required: ['name', 'brokers'] },
);

export const logClusterStatusSchema: Schema = object<LogClusterStatus>('What was last observed.', {
  observedGeneration: generation('Generation of the spec that this status speaks of.'),
  conditions: conditions(
    'Ready: as the spec wants it. Available: acknowledged appends are possible to every partition. Progressing: a change is under way. Degraded: redundancy is lost. ReconciliationPaused: spec.paused is set. TemplateMutated, while it holds: something keeps objects otherwise than they are applied.',
  ),
  replicas: count('Pods that exist.'),
  readyReplicas: count('Pods whose broker serves.'),
  updatedReplicas: count('Pods made from the present template.'),
  labelSelector: text('Selects the pods.', 1_024),
  clusterId: text('Id of the cluster, once it was formed.', 36),
  image: text('Image that new pods get.', 512),
  internalTls: internalTlsSchema,
  listeners: list('Where clients of listeners dial.', listenerStatusSchema, LISTENERS_MAX, {
    listType: 'map',
    listMapKeys: ['name'],
  }),
  version: text('Version that the brokers report.', 128),
  templateHash: text('Hash of the template that new pods get.', 64),
  minInSyncReplicas: count('Minimum that topics without one of their own were last given.'),
  minInSyncReplicasPending: list(
    'Minimums that were begun to be given since.',
    count('Minimum.'),
    16,
    { listType: 'set' },
  ),
  step: words('What the operator does now.'),
  waitingFor: words('What it waits for.'),
  durability: words('What acknowledged records survive as things stand.'),
  racks: list('Racks of the brokers.', text('Rack.', 63), RACKS_MAX, { listType: 'set' }),
  disruption: disruptionSchema,
  losses: list('Newest first.', lossSchema, LOSSES_MAX),
  topicsToDelete: list(
    'Topics whose LogTopics were deleted with deletionPolicy Delete, until they are gone.',
    departedSchema,
    DEPARTED_MAX,
  ),
});

export const logTopicStatusSchema: Schema = object<LogTopicStatus>('What was last observed.', {
  observedGeneration: generation('Generation of the spec that this status speaks of.'),
  conditions: conditions(
    'Ready: the topic is as the spec wants it. Available: every partition takes appends. Progressing: a change is under way. Degraded: a replica is out of sync. ReconciliationPaused: the LogCluster is paused.',
  ),
  clusterId: text('Cluster that has the topic.', 36),
  topicId: text('UUID of the topic that this LogTopic made or adopted.', 36),
  partitions: count('Partitions.'),
  replicationFactor: count('Copies of each partition.'),
  minInSyncReplicas: count('Minimum in force.'),
  minInSyncReplicasFrom: text(
    "LogCluster: it follows the LogCluster's. Topic: it was chosen for the topic, or is older than feature level 16.",
    63,
  ),
});

export const logAccessStatusSchema: Schema = object<LogAccessStatus>('What was last observed.', {
  observedGeneration: generation('Generation of the spec that this status speaks of.'),
  conditions: conditions(
    'Ready: all that the spec wants is granted. Progressing: it is about to be. Enforced: brokers ask clients who they are, so that rules count. ReconciliationPaused: the LogCluster is paused.',
  ),
  rules: count('Rules of access of the LogCluster that are as the spec wants them.'),
});
