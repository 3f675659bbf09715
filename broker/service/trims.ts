/** TrimTopic: asked of a partition's leader, wherever it is. */
import { OFFSET_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import { AdminServiceService, type AdminServiceServer } from '../../proto/gen/tidemark/v1/admin.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Offset } from '../../base/units.ts';
import type { TopicState } from '../metadata/types.ts';
import { integerField, topicIdBytes, topicNameField } from '../messages/fields.ts';
import { expected, type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import {
  Backoff,
  type Cluster,
  handedOn,
  imageChangeOr,
  isForwarded,
  isRetriable,
} from './cluster.ts';
import { requireTopic } from './decisions.ts';

interface Trim {
  readonly topic: TopicState;
  readonly partition: number;
  readonly offset: Offset;
  /** Of the caller. */
  readonly principal: string;
}

/** The handler of TrimTopic. */
export function trimCalls(
  cluster: Cluster,
  report: ReportDefect,
): Pick<AdminServiceServer, 'trimTopic'> {
  return {
    trimTopic: unaryHandler(async (request, call) => {
      const topic = cluster.topic(topicNameField('topic', request.topic));
      requireTopic(cluster.image(), { name: topic.name, topicId: request.topicId });
      const { topicId } = topic;
      const partition = integerField(
        'partition',
        request.partition,
        0,
        PARTITIONS_PER_TOPIC_MAX - 1,
      );
      cluster.partition(topic, partition);
      const offset = integerField('offset', request.offset, 0, OFFSET_MAX);
      const { deadlineMs, principal } = handedOn(call, cluster.clock);
      const asked = { topic, partition, offset, principal };
      const logStart = isForwarded(call)
        ? await trimHere(cluster, asked, deadlineMs)
        : await trim(cluster, asked, deadlineMs, report);
      return { topicId: topicIdBytes(topicId), logStart };
    }, report),
  };
}

/** Tries again within the deadline: a trim that has happened stays one. */
async function trim(
  cluster: Cluster,
  asked: Trim,
  deadlineMs: number,
  report: ReportDefect,
): Promise<Offset> {
  const untilMs = cluster.clock.monotonicMs() + deadlineMs;
  const backoff = new Backoff();
  for (;;) {
    const leftMs = Math.max(1, untilMs - cluster.clock.monotonicMs());
    try {
      return await tryOnce(cluster, asked, leftMs);
    } catch (thrown) {
      const error = expected(thrown, report);
      const restMs = untilMs - cluster.clock.monotonicMs();
      const mayHelp = isRetriable(error) || error.effect === 'unknown';
      if (!mayHelp || restMs <= 0) throw error;
      await imageChangeOr(cluster.broker, Math.min(backoff.nextMs(), restMs));
    }
  }
}

/** Waits no longer than its caller, whatever becomes of the trim. */
function trimHere(
  { broker, clock }: Cluster,
  { topic, partition, offset }: Trim,
  deadlineMs: number,
): Promise<Offset> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadlineMs, () => {
      reject(
        new BrokerError(
          'OUTCOME_UNKNOWN',
          `Trim of ${topic.name}/${partition} to ${offset} is not committed yet; it may be repeated`,
        ),
      );
    });
    void broker.trim(topic.topicId, partition, offset).then(resolve, reject).finally(cancel);
  });
}

async function tryOnce(cluster: Cluster, asked: Trim, deadlineMs: number): Promise<Offset> {
  const { topic, partition, offset, principal } = asked;
  const { topicId, name } = topic;
  const leader = cluster.leader(topicId, partition);
  if (cluster.isSelf(leader)) return trimHere(cluster, asked, deadlineMs);
  const request = { topic: name, topicId: topicIdBytes(topicId), partition, offset };
  const method = AdminServiceService.trimTopic;
  return (await cluster.forward(leader, method, request, { deadlineMs, principal })).logStart;
}
