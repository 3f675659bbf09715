/**
 * ExplainPartition: what one broker remembers of a partition, as messages of the public API. A call
 * about another broker's memory is handed on to it.
 */
import { PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import { NO_BROKER } from '../../base/units.ts';
import { AdminServiceService, type AdminServiceServer } from '../../proto/gen/tidemark/v1/admin.ts';
import type {
  ExplainPartitionResponse,
  PartitionDecision as DecisionMessage,
  PartitionStand,
} from '../../proto/gen/tidemark/v1/explain.ts';
import { integerField, topicNameField } from '../messages/fields.ts';
import { type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import { brokerIdField } from '../messages/topics.ts';
import type { Stand } from '../metadata/explain.ts';
import type { SeenDecision } from '../runtime/controller/decision-log.ts';
import { type Cluster, handedOn } from './cluster.ts';

/** The handler of ExplainPartition. */
export function explainCalls(
  cluster: Cluster,
  report: ReportDefect,
): Pick<AdminServiceServer, 'explainPartition'> {
  return {
    explainPartition: unaryHandler((request, call) => {
      const topic = topicNameField('topic', request.topic);
      const partition = integerField(
        'partition',
        request.partition,
        0,
        PARTITIONS_PER_TOPIC_MAX - 1,
      );
      const brokerId = brokerIdField('broker_id', request.brokerId ?? cluster.broker.brokerId);
      if (cluster.isSelf(brokerId)) return explain(cluster, topic, partition);
      return cluster.forward(
        brokerId,
        AdminServiceService.explainPartition,
        { topic, partition, brokerId },
        handedOn(call, cluster.clock),
      );
    }, report),
  };
}

function explain(cluster: Cluster, name: string, partition: number): ExplainPartitionResponse {
  const topic = cluster.topic(name);
  cluster.partition(topic, partition);
  const { summary, refusal, decisions, rememberedFrom } = cluster.broker.explain(
    topic.topicId,
    partition,
  );
  return {
    brokerId: cluster.broker.brokerId,
    metadataIndex: cluster.image().index,
    summary,
    refusal,
    decisions: decisions.map(describeDecision),
    rememberedFrom,
  };
}

function describeDecision(decision: SeenDecision): DecisionMessage {
  const { index, atMs, before, after, reasons } = decision;
  return {
    index,
    atMs: atMs === null ? undefined : Math.round(atMs),
    before: before === null ? undefined : describeStand(before),
    after: describeStand(after),
    reasons: reasons.map(({ text, rule }) => ({ text, rule })),
  };
}

function describeStand(stand: Stand): PartitionStand {
  const { leader, leaderEpoch, partitionEpoch, syncSet, suspects, quorum } = stand;
  return {
    leader: leader === NO_BROKER ? undefined : leader,
    leaderEpoch,
    partitionEpoch,
    syncSet: [...syncSet],
    suspects: [...suspects],
    quorum,
  };
}
