/** Topics of the model brokers, and how brokers list them. */
import type {
  ClusterSettings,
  Partition as PartitionMessage,
  Topic as TopicMessage,
  TopicConfig,
} from '../../../proto/gen/tidemark/v1/admin.ts';
import { Cleanup } from '../../../proto/gen/tidemark/v1/cleanup.ts';

export interface Partition {
  readonly name: string;
  readonly topic: Topic;
  readonly number: number;
  /** Preferred leader first. */
  replicas: number[];
  syncSet: number[];
  leader: number | null;
  acked: number;
}

export interface Topic {
  readonly name: string;
  readonly id: string;
  replicationFactor: number;
  config: TopicConfig;
  /** As in the metadata of brokers from feature level 16 on. */
  followsMin: boolean;
  readonly partitions: Partition[];
}

export function topicMessage({
  name,
  id,
  replicationFactor,
  config,
  followsMin,
  partitions,
}: Topic): TopicMessage {
  return {
    name,
    topicId: id,
    replicationFactor,
    config,
    partitions: partitions.map(partitionMessage),
    followsMinInSyncReplicas: followsMin,
  };
}

function partitionMessage({ number, replicas, syncSet, leader }: Partition): PartitionMessage {
  const removing = syncSet.filter((id) => !replicas.includes(id));
  const adding = removing.length > 0 ? replicas.filter((id) => !syncSet.includes(id)) : [];
  return {
    partition: number,
    replicas: [...replicas, ...removing],
    syncSet: [...syncSet],
    quorum: syncSet.length,
    leader: leader ?? undefined,
    leaderEpoch: 1,
    partitionEpoch: 1,
    suspects: [],
    cannotLead: [],
    adding,
    removing,
    successor: undefined,
    target: [],
  };
}

/** Level at which brokers know of a topic whether its minimum was chosen for it. */
const LEVEL_OF_FOLLOWING = 16;
/** Default of brokers whose settings state none. */
const MIN_USUAL = 2;

/** What brokers make of minimums, at their feature level and with these settings. */
export class Minimums {
  readonly #level: number;
  readonly #usual: number;

  constructor(level: number, settings: Partial<ClusterSettings>) {
    this.#level = level;
    this.#usual = settings.topicDefaults?.minInSyncReplicas ?? MIN_USUAL;
  }

  /** Of a new topic. */
  made(stated: number | undefined): { readonly min: number; readonly followsMin: boolean } {
    const isFollower = this.#level >= LEVEL_OF_FOLLOWING && (stated ?? 0) === 0;
    return { min: isFollower ? this.#usual : (stated ?? this.#usual), followsMin: isFollower };
  }

  /** Of a topic that somebody changes. */
  altered({ config, followsMin }: Topic, stated: number | undefined): ReturnType<Minimums['made']> {
    return stated === undefined
      ? { min: config.minInSyncReplicas ?? MIN_USUAL, followsMin }
      : this.made(stated);
  }

  /** Gives the default to whoever follows and can have it now. */
  follow(topics: Iterable<Topic>, left: (partition: Partition) => number): void {
    for (const topic of topics) {
      const { config, followsMin, replicationFactor, partitions } = topic;
      const isLower = this.#usual < (config.minInSyncReplicas ?? MIN_USUAL);
      const isReady =
        replicationFactor >= this.#usual && partitions.every((each) => left(each) >= this.#usual);
      if (followsMin && (isLower || isReady))
        topic.config = { ...config, minInSyncReplicas: this.#usual };
    }
  }
}

/** What is absent stays; an empty text takes an option back. */
export function changed(
  before: Partial<ClusterSettings>,
  { moveBytesPerSecond, brokerOptions, topicDefaults }: ClusterSettings,
): Partial<ClusterSettings> {
  const options = Object.entries({ ...before.brokerOptions, ...brokerOptions });
  return {
    moveBytesPerSecond: moveBytesPerSecond ?? before.moveBytesPerSecond,
    brokerOptions: Object.fromEntries(options.filter(([, text]) => text !== '')),
    topicDefaults: {
      ...before.topicDefaults,
      ...Object.fromEntries(
        Object.entries(topicDefaults ?? {}).filter(([, value]) => value !== undefined),
      ),
      commitMode: topicDefaults?.commitMode ?? before.topicDefaults?.commitMode ?? 0,
    },
  };
}

export function merged(
  before: TopicConfig['cleanup'],
  change: TopicConfig['cleanup'],
): Pick<TopicConfig, 'cleanup'> {
  const stated = Object.entries(change ?? {}).filter(([, value]) => value !== undefined);
  const cleanup = change?.cleanup || before?.cleanup || Cleanup.CLEANUP_DELETE;
  return { cleanup: { ...before, ...Object.fromEntries(stated), cleanup } };
}
