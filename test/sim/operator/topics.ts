/** Topics of the model brokers, and how brokers list them. */
import type {
  Partition as PartitionMessage,
  Topic as TopicMessage,
  TopicConfig,
} from '../../../proto/gen/tidemark/v1/admin.ts';

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
