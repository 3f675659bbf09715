/**
 * Text of records and snapshots: JSON, so that a person can read the metadata log. What is read
 * back is checked before it is believed; a kind or field that this build does not know stops it
 * with a message, since skipping it would let brokers' images drift apart.
 *
 * Fields of later feature levels (`features.ts`) are left out where they hold their default, and a
 * field that is absent takes it: logs and snapshots of earlier levels are read, and what is written
 * at a level is read by builds that know no later one.
 */
import {
  ACCESS_KINDS,
  ACCESS_OPERATIONS,
  type AccessOperation,
  type AccessPlace,
  type AccessRule,
  placeFaults,
  placeKey,
  ruleFaults,
} from '../../base/access.ts';
import { queueConfigFault, queueConfigOf, type QueueSettings } from '../../base/queues.ts';
import { type Quota, quotaFaults, quotaOf } from '../../base/quotas.ts';
import {
  boolean,
  type Check,
  count,
  defaulted,
  integer,
  listOf,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
  textsByName,
} from '../../base/shape.ts';
import type { HostPort } from '../../base/host-port.ts';
import { addressesFault, type ListenerAddress } from '../../base/listeners.ts';
import { NO_BROKER } from '../../base/units.ts';
import { CLUSTER_SETTINGS_DEFAULTS } from './apply.ts';
import { rowFault } from './leader-election.ts';
import { isDefaultOfCompaction, TOPIC_CONFIG_DEFAULTS, TOPIC_CONFIGS } from './config.ts';
import type {
  BrokerState,
  ClusterSettings,
  CommitMode,
  ForgottenNames,
  LossReport,
  MetadataImage,
  MetadataRecord,
  PartitionState,
  ProcessStart,
  ProducerName,
  QueueDefinition,
  RestartClass,
  TopicConfig,
  TopicDefaults,
  TopicState,
  UnableReplica,
} from './types.ts';

/** Format of a snapshot. A build reads only what it writes; feature levels gate changes. */
const SNAPSHOT_VERSION = 1;
const RESTART_CLASSES: readonly RestartClass[] = ['new', 'clean', 'warm', 'lossy'];

/** JSON text of one entry. */
export function encodeRecords(records: readonly MetadataRecord[]): string {
  return JSON.stringify(records.map(writtenRecord));
}

/**
 * Reads one entry. Throws BrokerError DATA_CORRUPT for malformed text, or for a kind of a newer
 * build, which it names.
 */
export function decodeRecords(text: string): MetadataRecord[] {
  return listOf(record)(parseJson(text, 'metadata entry'), 'records');
}

/**
 * JSON text of a snapshot. Equal images give equal text whatever order their maps were filled in.
 */
export function encodeImage(image: MetadataImage): string {
  return JSON.stringify({
    version: SNAPSHOT_VERSION,
    clusterId: image.clusterId,
    featureLevel: image.featureLevel,
    index: image.index,
    term: image.term,
    lastBrokerEpoch: image.lastBrokerEpoch,
    nextProducerId: image.nextProducerId,
    ...(isDefaultSettings(image.settings) ? {} : { settings: writtenSettings(image.settings) }),
    brokers: [...image.brokers.values()]
      .toSorted((a, b) => a.brokerId - b.brokerId)
      .map(writtenBroker),
    topics: [...image.topics.values()]
      .toSorted((a, b) => (a.topicId < b.topicId ? -1 : 1))
      .map(writtenTopic),
    ...writtenNames(image),
    losses: image.losses,
    ...(image.access.size === 0
      ? {}
      : {
          access: [...image.access]
            .toSorted(([left], [right]) => (left < right ? -1 : 1))
            .map(([, rule]) => rule),
        }),
    ...(image.quotas.size === 0
      ? {}
      : {
          quotas: [...image.quotas]
            .toSorted(([left], [right]) => (left < right ? -1 : 1))
            .map(([, quota]) => quota),
        }),
    ...(image.queues.size === 0
      ? {}
      : {
          queues: [...image.queues.values()].toSorted((a, b) => (a.queueId < b.queueId ? -1 : 1)),
        }),
    ...(image.removedDirectories.length === 0
      ? {}
      : { removedDirectories: image.removedDirectories }),
    ...(image.replacedDirectories.length === 0
      ? {}
      : { replacedDirectories: image.replacedDirectories }),
  });
}

/** Owners stand once each: a principal may be longer than all that is kept of a name. */
function writtenNames({ namedProducers, forgottenNames, hours }: MetadataImage): object {
  const owners = [...new Set([...namedProducers.values()].map(({ owner }) => owner))]
    .filter((owner) => owner !== '')
    .toSorted();
  const places = new Map(owners.map((owner, index) => [owner, index]));
  return {
    namedProducers: [...namedProducers]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { owner, hour, ...producer }]) => ({
        name,
        ...producer,
        ...(owner === '' ? {} : { owner: places.get(owner) }),
        ...(hour === 0 ? {} : { hour }),
      })),
    ...(owners.length === 0 ? {} : { producerOwners: owners }),
    ...(forgottenNames.idMax === 0 ? {} : { forgottenNames }),
    ...(hours === 0 ? {} : { hours }),
  };
}

function writtenRecord(item: MetadataRecord): object {
  if (item.kind === 'producer-named') {
    const { owner, hour, ...rest } = item;
    return { ...rest, ...(owner === '' ? {} : { owner }), ...(hour === 0 ? {} : { hour }) };
  }
  if (item.kind === 'settings-changed')
    return { ...item, settings: writtenSettings(item.settings) };
  if (item.kind === 'topic-created') return { ...item, topic: writtenTopic(item.topic) };
  if (item.kind === 'topic-altered') return { ...item, config: writtenConfig(item.config) };
  if (item.kind === 'partitions-added')
    return { ...item, partitions: item.partitions.map(writtenRow) };
  return item.kind === 'partition-changed' ? { ...item, state: writtenRow(item.state) } : item;
}

function writtenTopic(topic: TopicState): object {
  const config = writtenConfig(topic.config);
  return { ...topic, config, partitions: topic.partitions.map(writtenRow) };
}

function writtenConfig(config: TopicConfig): object {
  const entries = Object.entries(config).filter(
    ([name, value]) => !isDefaultOfCompaction(name, value),
  );
  return Object.fromEntries(entries);
}

function writtenRow({ adding, removing, successor, cannotLead, ...state }: PartitionState): object {
  return {
    ...state,
    ...(cannotLead.length === 0 ? {} : { cannotLead }),
    ...(adding.length === 0 ? {} : { adding }),
    ...(removing.length === 0 ? {} : { removing }),
    ...(successor === NO_BROKER ? {} : { successor }),
  };
}

function writtenBroker({ cordoned, ...broker }: BrokerState): object {
  return cordoned ? { ...broker, cordoned } : broker;
}

function writtenSettings({
  moveBytesPerSecond,
  brokerOptions,
  topicDefaults,
}: ClusterSettings): object {
  const options = Object.entries(brokerOptions).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    moveBytesPerSecond,
    ...(options.length === 0 ? {} : { brokerOptions: Object.fromEntries(options) }),
    ...(Object.keys(topicDefaults).length === 0 ? {} : { topicDefaults }),
  };
}

function isDefaultSettings(settings: ClusterSettings): boolean {
  const text = (each: ClusterSettings): string => JSON.stringify(writtenSettings(each));
  return text(settings) === text(CLUSTER_SETTINGS_DEFAULTS);
}

/** Reads a snapshot. Throws BrokerError DATA_CORRUPT naming the field at fault. */
export function decodeImage(text: string): MetadataImage {
  const snapshot = shape({
    version: oneOf([SNAPSHOT_VERSION]),
    clusterId: string,
    featureLevel: count,
    index: count,
    term: count,
    lastBrokerEpoch: count,
    nextProducerId: count,
    settings: defaulted(clusterSettings, CLUSTER_SETTINGS_DEFAULTS),
    brokers: listOf(brokerState),
    topics: listOf(topicState),
    namedProducers: listOf(namedProducer),
    producerOwners: defaulted(listOf(string), []),
    forgottenNames: defaulted(shape<ForgottenNames>({ idMax: count, epochMax: count }), {
      idMax: 0,
      epochMax: 0,
    }),
    hours: defaulted(count, 0),
    losses: listOf(lossReport),
    access: defaulted(listOf(accessRule), []),
    quotas: defaulted(listOf(quotaFields), []),
    queues: defaulted(listOf(queueDefinition), []),
    removedDirectories: defaulted(listOf(string), []),
    replacedDirectories: defaulted(listOf(string), []),
  })(parseJson(text, 'metadata snapshot'), 'snapshot');
  const { version: _, brokers, topics, access, quotas, queues, ...others } = snapshot;
  const { namedProducers, producerOwners, ...rest } = others;
  return {
    ...rest,
    brokers: uniqueMap(
      brokers.map((broker) => [broker.brokerId, broker]),
      'brokers',
    ),
    topics: uniqueMap(
      topics.map((topic) => [topic.topicId, topic]),
      'topics',
    ),
    topicIdsByName: uniqueMap(
      topics.map((topic) => [topic.name, topic.topicId]),
      'topic names',
    ),
    namedProducers: uniqueMap<string, ProducerName>(
      namedProducers.map(({ name, owner: place, ...producer }, index) => {
        const owner = place === null ? '' : producerOwners[place];
        return owner === undefined
          ? refuseValue(`namedProducers[${index}].owner`, place, 'a place in producerOwners')
          : [name, { ...producer, owner }];
      }),
      'namedProducers',
    ),
    access: uniqueMap(
      access.map((rule) => [placeKey(rule), rule]),
      'access',
    ),
    quotas: uniqueMap(
      quotas.map((quota) => [quota.principal, quota]),
      'quotas',
    ),
    queues: uniqueMap(
      queues.map((queue) => [queue.queueId, queue]),
      'queues',
    ),
    queueIdsByName: uniqueMap(
      queues.map((queue) => [queue.name, queue.queueId]),
      'queue names',
    ),
  };
}

function uniqueMap<K, V>(entries: readonly (readonly [K, V])[], path: string): Map<K, V> {
  const map = new Map(entries);
  if (map.size !== entries.length)
    refuseValue(path, entries.length, `without duplicates (${String(map.size)} distinct)`);
  return map;
}

const namedProducer = shape({
  name: string,
  producerId: count,
  producerEpoch: count,
  /** Its place in the list of owners. */
  owner: defaulted<number | null>(count, null),
  hour: defaulted(count, 0),
});

const topicConfig = shape<TopicConfig>({
  minInSyncReplicas: count,
  commitMode: oneOf(TOPIC_CONFIGS.commitMode.values),
  retentionMs: integer,
  retentionBytes: integer,
  segmentBytes: count,
  segmentMs: count,
  batchBytesMax: count,
  uncleanElection: boolean,
  retentionRecords: defaulted(integer, TOPIC_CONFIG_DEFAULTS.retentionRecords),
  cleanup: defaulted(oneOf(TOPIC_CONFIGS.cleanup.values), TOPIC_CONFIG_DEFAULTS.cleanup),
  tombstoneRetentionMs: defaulted(count, TOPIC_CONFIG_DEFAULTS.tombstoneRetentionMs),
  compactionDirtyPercent: defaulted(count, TOPIC_CONFIG_DEFAULTS.compactionDirtyPercent),
  compactionLagMinMs: defaulted(count, TOPIC_CONFIG_DEFAULTS.compactionLagMinMs),
  compactionLagMaxMs: defaulted(integer, TOPIC_CONFIG_DEFAULTS.compactionLagMaxMs),
});

const partitionFields = shape<
  Omit<PartitionState, 'target'> & { readonly target: readonly number[] | null }
>({
  partition: count,
  replicas: listOf(count),
  syncSet: listOf(count),
  quorum: count,
  leader: integer,
  leaderEpoch: count,
  partitionEpoch: count,
  suspects: listOf(count),
  uncleanEpoch: count,
  adding: defaulted(listOf(count), []),
  removing: defaulted(listOf(count), []),
  target: defaulted<number[] | null>(listOf(count), null),
  successor: defaulted(integer, NO_BROKER),
  cannotLead: defaulted(listOf(shape<UnableReplica>({ brokerId: count, reason: string })), []),
});

const partitionState: Check<PartitionState> = (value, path) => {
  const { target, ...fields } = partitionFields(value, path);
  const state: PartitionState = target === null ? fields : { ...fields, target };
  const fault = rowFault(state);
  return fault === null ? state : refuseValue(path, state, `sound: ${fault}`);
};

const isTrue: Check<true> = (value, path) =>
  value === true ? value : refuseValue(path, value, 'true');

/** Absent, or true. */
const followsMin = defaulted<true | null>(isTrue, null);

/** What is absent stays absent. */
function withoutNull<T extends { readonly followsMin: true | null }>({
  followsMin: follows,
  ...rest
}: T): Omit<T, 'followsMin'> & Pick<TopicState, 'followsMin'> {
  return follows === null ? rest : { ...rest, followsMin: follows };
}

const topicFields = shape<Omit<TopicState, 'followsMin'> & { readonly followsMin: true | null }>({
  topicId: string,
  name: string,
  replicationFactor: count,
  config: topicConfig,
  followsMin,
  partitions: listOf(partitionState),
});

const alteredFields = shape({ topicId: string, config: topicConfig, followsMin });

const topicState: Check<TopicState> = (value, path) => {
  const topic = withoutNull(topicFields(value, path));
  topic.partitions.forEach((state, index) => {
    if (state.partition !== index)
      refuseValue(`${path}.partitions[${String(index)}].partition`, state.partition, String(index));
  });
  return topic;
};

const processStart = shape<ProcessStart>({ id: string, number: count });

/** What a registration may lack. */
interface Optional {
  readonly internal: HostPort | null;
  readonly listeners: readonly ListenerAddress[] | null;
  readonly start: ProcessStart | null;
}

/** What is absent stays absent. */
function withoutNulls<T extends Optional>({
  internal,
  listeners,
  start,
  ...rest
}: T): Omit<T, keyof Optional> & Pick<BrokerState, 'internal' | 'listeners' | 'start'> {
  return {
    ...rest,
    ...(internal === null ? {} : { internal }),
    ...(listeners === null ? {} : { listeners }),
    ...(start === null ? {} : { start }),
  };
}

const hostPort = shape<HostPort>({ host: string, port: count });

const addressFields = listOf(
  shape<ListenerAddress>({ listener: string, host: string, port: count }),
);

const listenerAddresses: Check<readonly ListenerAddress[]> = (value, path) => {
  const addresses = addressFields(value, path);
  const fault = addressesFault(addresses);
  return fault === null ? addresses : refuseValue(path, value, `sound: ${fault}`);
};

const brokerFields = shape<Omit<BrokerState, keyof Optional> & Optional>({
  brokerId: count,
  brokerEpoch: count,
  directoryId: string,
  host: string,
  port: count,
  internal: defaulted<HostPort | null>(hostPort, null),
  listeners: defaulted<readonly ListenerAddress[] | null>(listenerAddresses, null),
  rack: string,
  restartClass: oneOf(RESTART_CLASSES),
  fenced: boolean,
  stopping: boolean,
  cordoned: defaulted(boolean, false),
  unfencedEpoch: count,
  featureLevelMax: count,
  start: defaulted<ProcessStart | null>(processStart, null),
});

const brokerState: Check<BrokerState> = (value, path) => withoutNulls(brokerFields(value, path));

const topicDefaults: Check<TopicDefaults> = (value, path) => {
  const fields = shape({
    replicationFactor: defaulted<number | null>(count, null),
    minInSyncReplicas: defaulted<number | null>(count, null),
    commitMode: defaulted<CommitMode | null>(oneOf(TOPIC_CONFIGS.commitMode.values), null),
  })(value, path);
  return Object.fromEntries(Object.entries(fields).filter(([, given]) => given !== null));
};

const clusterSettings = shape<ClusterSettings>({
  moveBytesPerSecond: integer,
  brokerOptions: defaulted(textsByName, {}),
  topicDefaults: defaulted(topicDefaults, {}),
});

const lossReport = shape<LossReport>({
  topicId: string,
  topic: string,
  partition: count,
  leaderEpoch: count,
  leader: count,
  fromOffset: count,
  atMs: count,
});

const placeFields = shape<AccessPlace>({
  principal: string,
  kind: oneOf(ACCESS_KINDS),
  name: string,
});

const accessPlace: Check<AccessPlace> = (value, path) => {
  const place = placeFields(value, path);
  const [fault] = placeFaults(place);
  return fault === undefined ? place : refuseValue(path, place, `sound: ${fault}`);
};

const accessFields = shape({
  principal: string,
  kind: oneOf(ACCESS_KINDS),
  name: string,
  operations: listOf(oneOf(ACCESS_OPERATIONS)),
  given: defaulted<AccessOperation[] | null>(listOf(oneOf(ACCESS_OPERATIONS)), null),
});

const accessRule: Check<AccessRule> = (value, path) => {
  const { given, ...fields } = accessFields(value, path);
  const rule: AccessRule = given === null ? fields : { ...fields, given };
  const [fault] = ruleFaults(rule);
  return fault === undefined ? rule : refuseValue(path, rule, `sound: ${fault}`);
};

const quotaFields: Check<Quota> = (value, path) => {
  const limit = defaulted<number | null>(integer, null);
  const { principal, ...limits } = shape({
    principal: string,
    appendBytesPerSecond: limit,
    readBytesPerSecond: limit,
    producerIdsPerSecond: limit,
    adminCallsPerSecond: limit,
  })(value, path);
  const stated = Object.entries(limits).filter(([, given]) => given !== null);
  const quota = quotaOf(principal, Object.fromEntries(stated));
  const [fault] = quotaFaults(quota);
  return fault === undefined ? quota : refuseValue(path, quota, `sound: ${fault}`);
};

const settingsOfQueue = shape<QueueSettings>({
  leaseMs: count,
  deliveriesMax: count,
  deadLetterTopic: string,
  isKeyOrdered: boolean,
  parksKeys: boolean,
  delayMsMin: count,
  delayMsMax: count,
});

const queueSettings: Check<QueueSettings> = (value, path) => {
  const settings = settingsOfQueue(value, path);
  const fault = queueConfigFault(queueConfigOf(settings));
  return fault === null ? settings : refuseValue(path, settings, `sound: ${fault}`);
};

const queueDefinition = shape<QueueDefinition>({
  queueId: string,
  name: string,
  topicId: string,
  config: queueSettings,
  isFromLatest: boolean,
  partitionsAtFirst: count,
});

const registrationFields = shape({
  brokerId: count,
  brokerEpoch: count,
  directoryId: string,
  host: string,
  port: count,
  internal: defaulted<HostPort | null>(hostPort, null),
  rack: string,
  restartClass: oneOf(RESTART_CLASSES),
  featureLevelMax: count,
  start: defaulted<ProcessStart | null>(processStart, null),
});

/**
 * The fields of each kind of record, its `kind` apart. A kind that is forgotten here does not
 * compile.
 */
const RECORDS: {
  readonly [K in MetadataRecord['kind']]: Check<Omit<Extract<MetadataRecord, { kind: K }>, 'kind'>>;
} = {
  cluster: shape({ clusterId: string, featureLevel: count }),
  'broker-registered': (value, path) =>
    withoutNulls({ ...registrationFields(value, path), listeners: null }),
  'broker-fenced': shape({ brokerId: count, brokerEpoch: count }),
  'broker-unfenced': shape({ brokerId: count, brokerEpoch: count }),
  'broker-stopping': shape({ brokerId: count, brokerEpoch: count }),
  'broker-staying': shape({ brokerId: count, brokerEpoch: count }),
  'broker-listeners': shape({
    brokerId: count,
    brokerEpoch: count,
    listeners: listenerAddresses,
  }),
  'broker-cordoned': shape({ brokerId: count, cordoned: boolean }),
  'broker-removed': shape({ brokerId: count }),
  'settings-changed': shape({ settings: clusterSettings }),
  'replication-factor-changed': shape({ topicId: string, replicationFactor: count }),
  'topic-created': shape({ topic: topicState }),
  'topic-altered': (value, path) => withoutNull(alteredFields(value, path)),
  'partitions-added': shape({ topicId: string, partitions: listOf(partitionState) }),
  'topic-deleted': shape({ topicId: string }),
  'partition-changed': shape({ topicId: string, state: partitionState }),
  'producer-ids': shape({ nextProducerId: count }),
  'producer-named': shape({
    name: string,
    producerId: count,
    producerEpoch: count,
    owner: defaulted(string, ''),
    hour: defaulted(count, 0),
  }),
  'producer-forgotten': shape({ name: string }),
  'hours-counted': shape({ hours: count }),
  'loss-reported': shape({ loss: lossReport }),
  'access-granted': shape({ rule: accessRule }),
  'access-revoked': shape({ place: accessPlace }),
  'quota-set': shape({ quota: quotaFields }),
  'quota-deleted': shape({ principal: string }),
  'queue-created': shape({ queue: queueDefinition }),
  'queue-changed': shape({ queueId: string, config: queueSettings }),
  'queue-deleted': shape({ queueId: string }),
  'feature-level': shape({ featureLevel: count }),
};

const record: Check<MetadataRecord> = (value, path) => {
  if (typeof value !== 'object' || value === null) return refuseValue(path, value, 'an object');
  const { kind, ...fields } = value as Record<string, unknown>;
  if (typeof kind !== 'string' || !Object.hasOwn(RECORDS, kind))
    return refuseValue(
      `${path}.kind`,
      kind,
      'one that this build knows: it was written by a newer build',
    );
  return { kind, ...RECORDS[kind as MetadataRecord['kind']](fields, path) } as MetadataRecord;
};
