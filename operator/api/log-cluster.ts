/**
 * The table of LogCluster: every field of its spec with bounds, default and description, and the
 * rules between them. Pure.
 */
import { BROKERS_MAX, MOVE_BYTES_PER_SECOND_MIN } from '../../base/limits.ts';
import { brokerConfigSchema } from './broker-config.ts';
import { authSchema, CLIENT_RULES, clientTlsSchema } from './clients.ts';
import { LISTENER_RULES, listenersSchema } from './listeners.ts';
import { consentsSchema } from './log-access.ts';
import { objectsSchema, overlayFields } from './object-overlay.ts';
import { BROKERS_SUFFIX, CLUSTER_NAME_LENGTH_MAX } from './names.ts';
import { GRACE_RULE, OVERLAY_FIELDS } from './pod-overlay.ts';
import {
  affinitySchema,
  imagePullSecretsSchema,
  labelKey,
  labelMap,
  networkPeers,
  resourcesSchema,
  tolerationsSchema,
  topologySpreadSchema,
} from './pod-schema.ts';
import { quantityValue, SIZE_PATTERN } from './quantity.ts';
import { immutable, REPLICATION_RULES, replicationFields } from './replication.ts';
import { choice, integer, list, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type {
  InternalTls,
  IssuerRef,
  LogClusterSpec,
  NetworkPolicy,
  PodTemplate,
  Rack,
  Rollout,
  RolloutWindow,
  Storage,
} from './types.ts';

/** The broker's reserve of 256 MiB, and as much again to write into. */
const STORAGE_SIZE_MIN = '512Mi';
const IMAGE_LENGTH_MAX = 512;
const MINUTES_PER_DAY = 1_440;
const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

const storageSchema = object<Storage>(
  'Data volume of each broker.',
  {
    size: text('Size of the volume. Grows, never shrinks.', 20, {
      default: '10Gi',
      pattern: SIZE_PATTERN,
      patternMeaning: 'a size such as 10Gi',
      rules: [
        {
          cel: `quantity(self).compareTo(quantity('${STORAGE_SIZE_MIN}')) >= 0`,
          message: `size is %s, must be at least ${STORAGE_SIZE_MIN}`,
          values: ['self'],
          check: (size: string) =>
            quantityValue(size) >= quantityValue(STORAGE_SIZE_MIN) ? null : [size],
        },
        {
          cel: 'quantity(self).compareTo(quantity(oldSelf)) >= 0',
          message: 'size is %s, must be at least %s: a volume cannot shrink',
          values: ['self', 'oldSelf'],
          isTransition: true,
          check: (size: string, old: string) =>
            quantityValue(size) >= quantityValue(old) ? null : [size, old],
        },
      ],
    }),
    storageClassName: text("Storage class. Absent: the cluster's default. Immutable.", 253, {
      minLength: 1,
    }),
    whenDeleted: choice(
      'What becomes of the volumes when the LogCluster is deleted. Retained ones, with their records, are taken over by the next LogCluster of the same name.',
      ['Retain', 'Delete'],
      'Retain',
    ),
    whenScaled: choice(
      'What becomes of the volume of a broker that a scale-down took out, once it was found empty. A retained one stays until a scale-up wants its number again: the new broker starts with a new volume, and the old one goes.',
      ['Retain', 'Delete'],
      'Retain',
    ),
  },
  { default: {}, rules: [immutable('storageClassName')] },
);

const rackSchema = object<Rack>(
  'Failure domains. Replicas of a partition go to distinct racks as far as there are enough.',
  {
    topologyKey: {
      ...labelKey(
        'Label of the pod that names its rack. Kubernetes 1.35 and newer copy zone and region from the node to its pods; another key needs something that labels the pods.',
      ),
      minLength: 1,
      default: 'topology.kubernetes.io/zone',
    },
    spread: choice(
      'Preferred: brokers spread over racks and nodes where they can. Required: a broker that would unbalance racks, or share a node with another, waits.',
      ['Preferred', 'Required'],
      'Preferred',
    ),
  },
  { default: {} },
);

const windowSchema = object<RolloutWindow>(
  'Time in which the operator may begin to restart a broker. What was begun is finished.',
  {
    start: text('Begin, UTC.', 5, {
      pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
      patternMeaning: 'a time such as 02:30',
    }),
    durationMinutes: integer('Length.', 10, MINUTES_PER_DAY),
    days: list(
      'Days on which it begins, UTC. Absent: every day.',
      choice('A day.', WEEKDAYS),
      WEEKDAYS.length,
      { minItems: 1, listType: 'set' },
    ),
  },
  { required: ['start', 'durationMinutes'] },
);

const rolloutSchema = object<Rollout>(
  'When brokers are restarted to take a new image, new options or a new pod template.',
  {
    policy: choice(
      'Automatic: at once. Window: only within the window. Manual: when the annotation tidemark.dev/approved-rollout names the hash in status.templateHash.',
      ['Automatic', 'Window', 'Manual'],
      'Automatic',
    ),
    window: windowSchema,
    maxUnavailable: integer(
      'Most brokers that the operator stops at a time. More than one only where the brokers say that it harms no partition.',
      1,
      BROKERS_MAX,
      { default: 1 },
    ),
  },
  {
    default: {},
    rules: [
      {
        cel: "self.policy != 'Window' || has(self.window)",
        message: 'policy is %s, must be Automatic or Manual where window is absent',
        values: ['self.policy'],
        fieldPath: '.policy',
        check: ({ policy, window }: Rollout) =>
          policy !== 'Window' || window !== undefined ? null : [policy],
      },
      {
        cel: "self.policy == 'Window' || !has(self.window)",
        message: 'policy is %s, must be Window where window is given',
        values: ['self.policy'],
        fieldPath: '.policy',
        check: ({ policy, window }: Rollout) =>
          policy === 'Window' || window === undefined ? null : [policy],
      },
    ],
  },
);

const podTemplateSchema = object<PodTemplate>(
  "What is added to the brokers' pods. A change restarts the brokers one after the other.",
  {
    ...overlayFields('the pods'),
    nodeSelector: labelMap('Labels that a node must have.'),
    tolerations: tolerationsSchema,
    affinity: affinitySchema,
    topologySpreadConstraints: topologySpreadSchema,
    priorityClassName: text('Priority class of the pods.', 253, { minLength: 1 }),
    imagePullPolicy: choice('When the image is pulled.', ['Always', 'IfNotPresent', 'Never']),
    imagePullSecrets: imagePullSecretsSchema,
    ...OVERLAY_FIELDS,
  },
  { default: {} },
);

const networkPolicySchema = object<NetworkPolicy>(
  "Who may reach the brokers, where the operator makes NetworkPolicies (chart value networkPolicy.enabled). The brokers' own port is open to them and the operator alone, whatever stands here. Applied live.",
  {
    clients: networkPeers(
      'Who may reach the port of clients, besides brokers and operator. Absent: everybody.',
    ),
    scrapers: networkPeers('Who may reach the port of metrics. Absent: everybody.'),
  },
  { default: {} },
);

const internalTlsSchema = object<InternalTls>(
  'TLS between brokers, and between them and the operator, with certificates that the operator issues.',
  {
    mode: choice(
      'Absent: Enabled for a LogCluster that is made now; one that was made without it stays so. Enabled takes brokers that run without it there, in three restarts of each; until the last was begun Disabled, or absent, takes them back. Then it cannot be Disabled while they run.',
      ['Enabled', 'Disabled'],
    ),
    issuerRef: object<IssuerRef>(
      'Issuer of cert-manager that signs: the operator makes a Certificate for each broker and for itself. It must name its authority (ca.crt). A change restarts nobody. Absent: the operator signs, with an authority of its own.',
      {
        name: text('Name of the issuer.', 253, { minLength: 1 }),
        kind: text(
          'Issuer, in the namespace of the LogCluster, or ClusterIssuer, or a kind of its own.',
          63,
          {
            minLength: 1,
            default: 'Issuer',
          },
        ),
        group: text('API group of that kind.', 253, { minLength: 1, default: 'cert-manager.io' }),
      },
      { required: ['name'] },
    ),
  },
  { default: {} },
);

const RULES: readonly Rule[] = [
  {
    cel: 'self.replicationFactor <= self.replicas',
    message: 'replicationFactor is %s, must be at most replicas (%s)',
    values: ['self.replicationFactor', 'self.replicas'],
    fieldPath: '.replicationFactor',
    check: ({ replicationFactor, replicas }: LogClusterSpec) =>
      replicationFactor <= replicas ? null : [replicationFactor, replicas],
  },
  ...REPLICATION_RULES,
  ...CLIENT_RULES,
  ...LISTENER_RULES,
  {
    cel: 'self.rollout.maxUnavailable < self.replicas || self.rollout.maxUnavailable == 1',
    message: 'rollout.maxUnavailable is %s, must be below replicas (%s)',
    values: ['self.rollout.maxUnavailable', 'self.replicas'],
    fieldPath: '.rollout.maxUnavailable',
    check: ({ rollout, replicas }: LogClusterSpec) =>
      rollout.maxUnavailable < replicas || rollout.maxUnavailable === 1
        ? null
        : [rollout.maxUnavailable, replicas],
  },
  GRACE_RULE,
  immutable('clusterId'),
];

export const logClusterSpecSchema: Schema = object<LogClusterSpec>(
  'The cluster that is wanted.',
  {
    replicas: integer('Brokers. Broker ids are the numbers from 0.', 1, BROKERS_MAX, {
      default: 3,
    }),
    ...replicationFields({ replicationFactor: 3, minInSyncReplicas: 2, commitMode: 'InSync' }),
    image: text(
      "Image of the brokers. Absent: the operator's default when the cluster is made, and the same from then on: a newer operator restarts no broker.",
      IMAGE_LENGTH_MAX,
      { minLength: 1, pattern: '^[^\\s]+$', patternMeaning: 'an image without spaces' },
    ),
    storage: storageSchema,
    resources: resourcesSchema,
    rack: rackSchema,
    config: brokerConfigSchema,
    rollout: rolloutSchema,
    moveBytesPerSecond: integer(
      'Bytes per second that one broker may push to replicas that move. Absent: left as it is, at first without a limit. Applied live.',
      MOVE_BYTES_PER_SECOND_MIN,
      Number.MAX_SAFE_INTEGER,
    ),
    internalTls: internalTlsSchema,
    clientTls: clientTlsSchema,
    auth: authSchema,
    listeners: listenersSchema,
    access: consentsSchema,
    paused: choice(
      'All: the operator changes nothing but the disruption budget, and certificates that would end. Disruptions: it restarts, moves and removes no broker, and goes on healing.',
      ['All', 'Disruptions'],
    ),
    clusterId: text(
      "Id of the cluster that the brokers are. Absent: the one that kept volumes of this LogCluster's name are marked with, else this LogCluster's UID. Immutable.",
      36,
      { pattern: `^${UUID}$`, patternMeaning: 'a UUID in lower case' },
    ),
    podTemplate: podTemplateSchema,
    objects: objectsSchema,
    networkPolicy: networkPolicySchema,
  },
  { rules: RULES },
);

const SERVICE_NAME_PATTERN = '^[a-z]([-a-z0-9]*[a-z0-9])?$';

/** Rules of the whole object: the name becomes that of Services and of host names. */
export const LOG_CLUSTER_RULES: readonly Rule[] = [
  {
    cel: `size(self.metadata.name) <= ${CLUSTER_NAME_LENGTH_MAX}`,
    message: `metadata.name has %s characters, must have at most ${CLUSTER_NAME_LENGTH_MAX}`,
    values: ['size(self.metadata.name)'],
    check: ({ metadata: { name } }: { metadata: { name: string } }) =>
      name.length <= CLUSTER_NAME_LENGTH_MAX ? null : [name.length],
  },
  {
    cel: `self.metadata.name.matches('${SERVICE_NAME_PATTERN}') && !self.metadata.name.endsWith('${BROKERS_SUFFIX}')`,
    message: `metadata.name is %s, must begin with a letter, have no dot and not end in ${BROKERS_SUFFIX}: Services take their names from it`,
    values: ['self.metadata.name'],
    check: ({ metadata: { name } }: { metadata: { name: string } }) =>
      new RegExp(SERVICE_NAME_PATTERN).test(name) && !name.endsWith(BROKERS_SUFFIX) ? null : [name],
  },
];
