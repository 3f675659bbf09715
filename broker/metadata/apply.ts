/**
 * Folds records into the metadata image. Every broker runs this over the same log, so it is total
 * and deterministic: a record that names something that is gone, or that would move an epoch
 * backwards, changes nothing. Whether a record is a good idea is the controller's business. What a
 * record does not touch is shared with the image before.
 */
import { type AccessRule, placeKey } from '../../base/access.ts';
import { assertNever } from '../../base/assert.ts';
import type { Quota } from '../../base/quotas.ts';
import type { BrokerId, DirectoryId, TopicId } from '../../base/units.ts';
import { hasLevel, LEVEL_OF_NAMES, LEVEL_OF_STARTS } from './features.ts';
import type {
  BrokerState,
  ClusterSettings,
  LossReport,
  MetadataImage,
  MetadataRecord,
  PartitionState,
  ProducerName,
  QueueDefinition,
  TopicState,
} from './types.ts';

/** Loss reports kept in the image, newest last. Older ones remain in events and logs. */
export const LOSS_REPORTS_MAX = 100;
/**
 * Directories of removed brokers that are remembered, newest last: 36 bytes each in every snapshot,
 * for more removals than a cluster sees.
 */
export const REMOVED_DIRECTORIES_MAX = 1000;
/**
 * Settings of a new cluster: moves have no limit, brokers run as they were started, and topics are
 * made by the brokers' own table.
 */
export const CLUSTER_SETTINGS_DEFAULTS: ClusterSettings = {
  moveBytesPerSecond: -1,
  brokerOptions: {},
  topicDefaults: {},
};

/** The image of an empty log. */
export function emptyImage(): MetadataImage {
  return {
    clusterId: '',
    featureLevel: 0,
    settings: CLUSTER_SETTINGS_DEFAULTS,
    index: 0,
    term: 0,
    brokers: new Map(),
    lastBrokerEpoch: 0,
    topics: new Map(),
    topicIdsByName: new Map(),
    // 0 in a batch header means "no producer" (wire/batch/FORMAT.md).
    nextProducerId: 1,
    namedProducers: new Map(),
    forgottenNames: { idMax: 0, epochMax: 0 },
    hours: 0,
    access: new Map(),
    quotas: new Map(),
    queues: new Map(),
    queueIdsByName: new Map(),
    losses: [],
    removedDirectories: [],
    replacedDirectories: [],
  };
}

/**
 * The image after one entry of the log, whose records take effect together. `image` is left as it
 * is.
 */
export function apply(
  image: MetadataImage,
  records: readonly MetadataRecord[],
  position: { readonly index: number; readonly term: number },
): MetadataImage {
  const draft = new Draft(image);
  for (const record of records) draft.fold(record);
  return { ...draft.image, index: position.index, term: position.term };
}

/** An image in the making. A map is copied once, at its first change. */
class Draft {
  image: MetadataImage;
  #brokers: Map<BrokerId, BrokerState> | null = null;
  #topics: Map<TopicId, TopicState> | null = null;
  #names: Map<string, TopicId> | null = null;
  #producers: Map<string, ProducerName> | null = null;
  #access: Map<string, AccessRule> | null = null;
  #quotas: Map<string, Quota> | null = null;
  #queues: Map<string, QueueDefinition> | null = null;

  constructor(image: MetadataImage) {
    this.image = image;
  }

  fold(record: MetadataRecord): void {
    switch (record.kind) {
      case 'cluster':
      case 'feature-level':
        this.#found(record);
        return;
      case 'broker-registered':
        this.#register(record);
        return;
      case 'broker-fenced':
        this.#patchBroker(record, { fenced: true });
        return;
      case 'broker-unfenced':
        this.#patchBroker(record, { fenced: false, unfencedEpoch: record.brokerEpoch });
        return;
      case 'broker-stopping':
        this.#patchBroker(record, { stopping: true });
        return;
      case 'broker-staying':
        this.#patchBroker(record, { stopping: false });
        return;
      case 'broker-listeners':
        this.#patchBroker(record, { listeners: record.listeners });
        return;
      case 'broker-cordoned':
        this.#cordon(record.brokerId, record.cordoned);
        return;
      case 'broker-removed':
        this.#removeBroker(record.brokerId);
        return;
      case 'settings-changed':
        this.image = { ...this.image, settings: record.settings };
        return;
      case 'replication-factor-changed':
        this.#patchTopic(record.topicId, (topic) => ({
          ...topic,
          replicationFactor: record.replicationFactor,
        }));
        return;
      case 'topic-created':
        this.#createTopic(record.topic);
        return;
      case 'topic-altered':
        this.#patchTopic(record.topicId, (topic) => withConfig(topic, record));
        return;
      case 'partitions-added':
        this.#patchTopic(record.topicId, (topic) => withPartitionsAdded(topic, record.partitions));
        return;
      case 'topic-deleted':
        this.#deleteTopic(record.topicId);
        return;
      case 'partition-changed':
        this.#patchTopic(record.topicId, (topic) => withPartition(topic, record.state));
        return;
      case 'producer-ids':
      case 'producer-named':
      case 'producer-forgotten':
      case 'hours-counted':
        this.#changeProducers(record);
        return;
      case 'loss-reported':
        this.image = { ...this.image, losses: withLoss(this.image.losses, record.loss) };
        return;
      case 'access-granted':
      case 'access-revoked':
        this.#changeAccess(record);
        return;
      case 'quota-set':
      case 'quota-deleted':
        this.#changeQuota(record);
        return;
      case 'queue-created':
      case 'queue-changed':
      case 'queue-deleted':
        this.#changeQueue(record);
        return;
      default:
        assertNever(record);
    }
  }

  #register(record: Extract<MetadataRecord, { kind: 'broker-registered' }>): void {
    // Rule 17: broker epochs rise over the whole cluster, so one never names two incarnations.
    if (record.brokerEpoch <= this.image.lastBrokerEpoch) return;
    const before = this.image.brokers.get(record.brokerId);
    this.#brokersCopy().set(record.brokerId, {
      brokerId: record.brokerId,
      brokerEpoch: record.brokerEpoch,
      directoryId: record.directoryId,
      host: record.host,
      port: record.port,
      ...(record.internal === undefined ? {} : { internal: record.internal }),
      ...(before?.listeners === undefined ? {} : { listeners: before.listeners }),
      rack: record.rack,
      restartClass: record.restartClass,
      fenced: true,
      stopping: false,
      cordoned: before?.cordoned === true,
      unfencedEpoch:
        before !== undefined && before.directoryId === record.directoryId
          ? before.unfencedEpoch
          : 0,
      featureLevelMax: record.featureLevelMax,
      ...(record.start === undefined ? {} : { start: record.start }),
    });
    this.image = { ...this.image, lastBrokerEpoch: record.brokerEpoch };
    // Builds below the level fold the same records, and remember none.
    const isReplaced = before !== undefined && before.directoryId !== record.directoryId;
    if (!isReplaced || !hasLevel(this.image, LEVEL_OF_STARTS)) return;
    const { replacedDirectories } = this.image;
    this.image = {
      ...this.image,
      replacedDirectories: withDirectory(replacedDirectories, before.directoryId),
    };
  }

  #patchBroker(
    of: { readonly brokerId: BrokerId; readonly brokerEpoch: number },
    patch: Partial<BrokerState>,
  ): void {
    const broker = this.image.brokers.get(of.brokerId);
    if (broker === undefined || broker.brokerEpoch !== of.brokerEpoch) return;
    this.#brokersCopy().set(of.brokerId, { ...broker, ...patch });
  }

  #cordon(brokerId: BrokerId, cordoned: boolean): void {
    const broker = this.image.brokers.get(brokerId);
    if (broker !== undefined && broker.cordoned !== cordoned)
      this.#brokersCopy().set(brokerId, { ...broker, cordoned });
  }

  #removeBroker(brokerId: BrokerId): void {
    const broker = this.image.brokers.get(brokerId);
    if (broker === undefined) return;
    this.#brokersCopy().delete(brokerId);
    this.image = {
      ...this.image,
      removedDirectories: withDirectory(this.image.removedDirectories, broker.directoryId),
    };
  }

  #createTopic(topic: TopicState): void {
    if (this.image.topics.has(topic.topicId) || this.image.topicIdsByName.has(topic.name)) return;
    this.#topicsCopy().set(topic.topicId, topic);
    this.#namesCopy().set(topic.name, topic.topicId);
  }

  #deleteTopic(topicId: TopicId): void {
    const topic = this.image.topics.get(topicId);
    if (topic === undefined) return;
    this.#topicsCopy().delete(topicId);
    this.#namesCopy().delete(topic.name);
    for (const queue of this.image.queues.values())
      if (queue.topicId === topicId) this.#dropQueue(queue);
  }

  #patchTopic(topicId: TopicId, change: (topic: TopicState) => TopicState): void {
    const topic = this.image.topics.get(topicId);
    if (topic === undefined) return;
    const changed = change(topic);
    if (changed !== topic) this.#topicsCopy().set(topicId, changed);
  }

  #brokersCopy(): Map<BrokerId, BrokerState> {
    if (this.#brokers === null) {
      this.#brokers = new Map(this.image.brokers);
      this.image = { ...this.image, brokers: this.#brokers };
    }
    return this.#brokers;
  }

  #topicsCopy(): Map<TopicId, TopicState> {
    if (this.#topics === null) {
      this.#topics = new Map(this.image.topics);
      this.image = { ...this.image, topics: this.#topics };
    }
    return this.#topics;
  }

  #namesCopy(): Map<string, TopicId> {
    if (this.#names === null) {
      this.#names = new Map(this.image.topicIdsByName);
      this.image = { ...this.image, topicIdsByName: this.#names };
    }
    return this.#names;
  }

  #changeProducers(
    record: Extract<
      MetadataRecord,
      { kind: 'producer-ids' | 'producer-named' | 'producer-forgotten' | 'hours-counted' }
    >,
  ): void {
    const { image } = this;
    if (record.kind === 'producer-named') this.#nameProducer(record);
    else if (record.kind === 'producer-forgotten') this.#forgetProducer(record.name);
    else if (record.kind === 'hours-counted')
      this.image = { ...image, hours: Math.max(image.hours, record.hours) };
    else {
      const nextProducerId = Math.max(image.nextProducerId, record.nextProducerId);
      this.image = { ...image, nextProducerId };
    }
  }

  #nameProducer({
    kind: _,
    name,
    ...producer
  }: Extract<MetadataRecord, { kind: 'producer-named' }>): void {
    const before = this.image.namedProducers.get(name);
    this.#producersCopy().set(name, producer);
    // Out of epochs it took another id: the one before is nobody's any more. Builds below the
    // level fold the same record, and note nothing.
    const hasMoved = before !== undefined && before.producerId !== producer.producerId;
    if (hasMoved && hasLevel(this.image, LEVEL_OF_NAMES)) this.#noteForgotten(before.producerId, 0);
  }

  #forgetProducer(name: string): void {
    const before = this.image.namedProducers.get(name);
    if (before === undefined) return;
    this.#producersCopy().delete(name);
    this.#noteForgotten(before.producerId, before.producerEpoch);
  }

  #noteForgotten(producerId: number, producerEpoch: number): void {
    const { idMax, epochMax } = this.image.forgottenNames;
    const forgottenNames = {
      idMax: Math.max(idMax, producerId),
      epochMax: Math.max(epochMax, producerEpoch),
    };
    this.image = { ...this.image, forgottenNames };
  }

  #producersCopy(): Map<string, ProducerName> {
    if (this.#producers === null) {
      this.#producers = new Map(this.image.namedProducers);
      this.image = { ...this.image, namedProducers: this.#producers };
    }
    return this.#producers;
  }

  #changeAccess(
    record: Extract<MetadataRecord, { kind: 'access-granted' | 'access-revoked' }>,
  ): void {
    if (record.kind === 'access-granted')
      this.#accessCopy().set(placeKey(record.rule), record.rule);
    else if (this.image.access.has(placeKey(record.place)))
      this.#accessCopy().delete(placeKey(record.place));
  }

  #accessCopy(): Map<string, AccessRule> {
    if (this.#access === null) {
      this.#access = new Map(this.image.access);
      this.image = { ...this.image, access: this.#access };
    }
    return this.#access;
  }

  #found(record: Extract<MetadataRecord, { kind: 'cluster' | 'feature-level' }>): void {
    const { featureLevel } = record;
    const clusterId = record.kind === 'cluster' ? record.clusterId : this.image.clusterId;
    this.image = { ...this.image, clusterId, featureLevel };
  }

  #changeQuota(record: Extract<MetadataRecord, { kind: 'quota-set' | 'quota-deleted' }>): void {
    if (record.kind === 'quota-set') this.#quotasCopy().set(record.quota.principal, record.quota);
    else if (this.image.quotas.has(record.principal)) this.#quotasCopy().delete(record.principal);
  }

  #changeQueue(
    record: Extract<MetadataRecord, { kind: 'queue-created' | 'queue-changed' | 'queue-deleted' }>,
  ): void {
    const { image } = this;
    if (record.kind === 'queue-created') {
      const { queueId, name, topicId } = record.queue;
      const isTaken = image.queues.has(queueId) || image.queueIdsByName.has(name);
      if (!isTaken && image.topics.has(topicId)) this.#putQueue(record.queue);
      return;
    }
    const queue = image.queues.get(record.queueId);
    if (queue === undefined) return;
    if (record.kind === 'queue-deleted') this.#dropQueue(queue);
    else this.#putQueue({ ...queue, config: record.config });
  }

  #putQueue(queue: QueueDefinition): void {
    const { queueId, name } = queue;
    this.#queuesCopy().set(queueId, queue);
    if (this.image.queueIdsByName.has(name)) return;
    const queueIdsByName = new Map(this.image.queueIdsByName).set(name, queueId);
    this.image = { ...this.image, queueIdsByName };
  }

  #dropQueue({ queueId, name }: QueueDefinition): void {
    this.#queuesCopy().delete(queueId);
    const queueIdsByName = new Map(this.image.queueIdsByName);
    queueIdsByName.delete(name);
    this.image = { ...this.image, queueIdsByName };
  }

  #queuesCopy(): Map<string, QueueDefinition> {
    if (this.#queues === null) {
      this.#queues = new Map(this.image.queues);
      this.image = { ...this.image, queues: this.#queues };
    }
    return this.#queues;
  }

  #quotasCopy(): Map<string, Quota> {
    if (this.#quotas === null) {
      this.#quotas = new Map(this.image.quotas);
      this.image = { ...this.image, quotas: this.#quotas };
    }
    return this.#quotas;
  }
}

function withConfig(
  { followsMin: _, ...topic }: TopicState,
  { config, followsMin }: Extract<MetadataRecord, { kind: 'topic-altered' }>,
): TopicState {
  return { ...topic, config, ...(followsMin === true ? { followsMin } : {}) };
}

function withPartition(topic: TopicState, state: PartitionState): TopicState {
  const before = topic.partitions[state.partition];
  // Both epochs only rise (invariant (f)), whoever proposed the record.
  if (
    before === undefined ||
    state.partitionEpoch <= before.partitionEpoch ||
    state.leaderEpoch < before.leaderEpoch
  )
    return topic;
  return { ...topic, partitions: topic.partitions.with(state.partition, state) };
}

function withPartitionsAdded(topic: TopicState, added: readonly PartitionState[]): TopicState {
  const isContiguous = added.every(
    (state, index) => state.partition === topic.partitions.length + index,
  );
  return isContiguous && added.length > 0
    ? { ...topic, partitions: [...topic.partitions, ...added] }
    : topic;
}

function withDirectory(
  directories: readonly DirectoryId[],
  removed: DirectoryId,
): readonly DirectoryId[] {
  return [...directories.filter((id) => id !== removed), removed].slice(-REMOVED_DIRECTORIES_MAX);
}

function withLoss(losses: readonly LossReport[], loss: LossReport): readonly LossReport[] {
  return [...losses, loss].slice(-LOSS_REPORTS_MAX);
}
