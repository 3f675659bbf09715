/**
 * KEDA's external scaler: how far a group or a queue is behind, so that its readers are scaled by
 * it. A lag that is not known is an error, never 0, which would end the readers; KEDA keeps what
 * there is then. Asking keeps the group's cursors.
 */
import type { ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type {
  ExternalScalerServer,
  IsActiveResponse,
  ScaledObjectRef,
} from '../../../proto/gen/externalscaler/externalscaler.ts';
import type { GroupPartition, LagOutcome } from '../../../proto/gen/tidemark/v1/groups.ts';
import { BrokerError } from '../../../base/errors.ts';
import { NAME_LENGTH_MAX, OFFSET_MAX } from '../../../base/limits.ts';
import { topicIdFromBytes } from '../../../wire/batch/frame.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { queueNameField } from '../../messages/queues.ts';
import { refuse, textField, topicNameField } from '../../messages/fields.ts';
import { expected, failCall, unaryHandler } from '../../messages/handlers.ts';
import { isGone } from '../../messages/held.ts';
import { handedOn } from '../cluster.ts';
import { type QueueParts, standingOf } from '../queues/owners.ts';
import { queueNamed } from '../queues/queue-service.ts';
import type { GroupParts, Onwards } from './coordinated.ts';
import { groupField } from './fields.ts';
import { describeGroup } from './group-service.ts';
import { clusterLags } from './lags.ts';

/** Name of the one metric: records that the group or the queue is behind. */
const METRIC = 'lag';
const THRESHOLD_DEFAULT = 100;
const DEADLINE_MS = 5_000;
/** A stream looks so often. */
const LOOK_MS = 5_000;

/** What the trigger of a scaled object says. */
interface Trigger {
  /** One of the two is empty. */
  readonly group: string;
  readonly queue: string;
  /** Of a group: only this topic's; empty: all that it has cursors in. */
  readonly topic: string;
  /** Records that one reader is to have. */
  readonly threshold: number;
  /** Above so many records there is to be a reader at all. */
  readonly activation: number;
}

/** How far a group or a queue is behind. */
interface Lag {
  readonly records: number;
  /** More readers than these would have nothing to do. */
  readonly readersMax: number;
}

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'>;

/** Handlers of ExternalScaler. */
export function externalScaler(parts: QueueParts): ExternalScalerServer {
  const { cluster, report } = parts;
  const { clock } = cluster;
  const onwardsOf = (call: AnyCall): Onwards => {
    const { deadlineMs, principal } = handedOn(call, clock);
    return {
      deadlineMs: Math.min(deadlineMs, DEADLINE_MS),
      principal,
      isForwarded: false,
      isGone: () => isGone(call),
    };
  };
  const isActive = async (trigger: Trigger, onwards: Onwards): Promise<boolean> =>
    (await lagOf(parts, trigger, onwards)).records > trigger.activation;
  return {
    isActive: unaryHandler(async (request, call) => {
      const result = await isActive(triggerField(request), onwardsOf(call));
      return { result };
    }, report),
    streamIsActive: (call: ServerWritableStream<ScaledObjectRef, IsActiveResponse>) => {
      const trigger = triggerField(call.request);
      let isOver = false;
      let cancel = (): void => {};
      const end = (): void => {
        isOver = true;
        cancel();
      };
      for (const event of ['cancelled', 'error', 'close']) call.on(event, end);
      const look = async (): Promise<void> => {
        try {
          const result = await isActive(trigger, onwardsOf(call));
          if (isOver) return;
          // Whoever does not read is told later.
          if (!call.writableNeedDrain) call.write({ result });
          cancel = clock.after(LOOK_MS, () => void look());
        } catch (error) {
          if (!isOver) failCall(call, expected(error, report));
          end();
        }
      };
      void look();
    },
    getMetricSpec: unaryHandler((request) => {
      const { threshold } = triggerField(request);
      const targetSize = Math.max(1, Math.round(threshold));
      return { metricSpecs: [{ metricName: METRIC, targetSize, targetSizeFloat: threshold }] };
    }, report),
    getMetrics: unaryHandler(async ({ scaledObjectRef, metricName }, call) => {
      if (scaledObjectRef === undefined) refuse('scaledObjectRef', 'absent', 'present');
      const trigger = triggerField(scaledObjectRef);
      const { records, readersMax } = await lagOf(parts, trigger, onwardsOf(call));
      const value = Math.min(records, readersMax * trigger.threshold);
      const name = textField('metricName', metricName);
      return {
        metricValues: [
          { metricName: name, metricValue: Math.ceil(value), metricValueFloat: value },
        ],
      };
    }, report),
  };
}

function triggerField({ scalerMetadata }: ScaledObjectRef): Trigger {
  const text = (name: string): string =>
    textField(`scalerMetadata.${name}`, scalerMetadata[name] ?? '', NAME_LENGTH_MAX);
  const number = (name: string, usual: number, least: number): number => {
    const given = text(name);
    const value = given === '' ? usual : Number(given);
    return value >= least && value <= OFFSET_MAX
      ? value
      : refuse(`scalerMetadata.${name}`, given, `a number of ${least} to ${OFFSET_MAX}`);
  };
  const [topic, queue] = [text('topic'), text('queue')];
  if (queue !== '') {
    const besides = ['group', 'topic'].find((name) => text(name) !== '');
    if (besides !== undefined)
      refuse(`scalerMetadata.${besides}`, text(besides), 'empty beside queue');
  }
  return {
    group: queue === '' ? groupField(text('group')) : '',
    queue: queue === '' ? '' : queueNameField('scalerMetadata.queue', queue),
    topic: topic === '' ? '' : topicNameField('scalerMetadata.topic', topic),
    threshold: number('lagThreshold', THRESHOLD_DEFAULT, 1),
    activation: number('activationLagThreshold', 0, 0),
  };
}

function lagOf(parts: QueueParts, trigger: Trigger, onwards: Onwards): Promise<Lag> {
  return trigger.queue === ''
    ? lagOfGroup(parts, trigger, onwards)
    : lagOfQueue(parts, trigger.queue, onwards);
}

/** Records that are not settled. Any reader may have any of them, so none has nothing to do. */
async function lagOfQueue(
  parts: QueueParts,
  name: string,
  { deadlineMs, principal }: Onwards,
): Promise<Lag> {
  const { cluster } = parts;
  const queue = queueNamed(cluster, name);
  const topic = cluster.image().topics.get(queue.topicId);
  if (topic === undefined) throw new BrokerError('UNKNOWN_QUEUE', `Queue "${name}" is gone`);
  if (principal !== '') {
    const verdict = cluster.broker
      .rightsOf(principal)
      .judge('describe', { kind: 'topic', name: topic.name });
    if (!verdict.isAllowed) throw new BrokerError('PERMISSION_DENIED', verdict.reason);
  }
  const numbers = topic.partitions.map(({ partition }) => partition);
  const { partitions } = await standingOf(parts, queue, numbers, deadlineMs);
  const records = partitions.reduce((sum, { lagRecords, error }) => {
    if (error !== undefined) throw errorFromMessage(error);
    return sum + lagRecords;
  }, 0);
  return { records, readersMax: Infinity };
}

async function lagOfGroup(
  parts: GroupParts,
  { group, topic }: Trigger,
  onwards: Onwards,
): Promise<Lag> {
  const described = await describeGroup(parts, { group, keeps: true }, onwards);
  // As where the coordinator is another broker, whose answer holds no more.
  const rights = onwards.principal === '' ? null : parts.cluster.broker.rightsOf(onwards.principal);
  const own = described.partitions.filter(({ cursor: { topic: name } = { topic: '' } }) => {
    const isSeen = rights?.may('describe', { kind: 'topic', name }) ?? true;
    return isSeen && (topic === '' || name === topic);
  });
  if (own.length === 0)
    throw new BrokerError('UNKNOWN_GROUP', `Group "${group}" has no cursor on topic "${topic}"`);
  const lags = [...own.map(recordsOf), ...(await recordsBeside(parts, own, onwards))];
  return {
    records: lags.reduce((sum, records) => sum + records, 0),
    readersMax: lags.filter((records) => records > 0).length,
  };
}

function recordsOf({ lag, error }: Pick<GroupPartition, 'lag' | 'error'>): number {
  if (lag !== undefined) return lag.records;
  throw error === undefined
    ? new BrokerError('LEADER_UNKNOWN', 'The lag of a partition is not known')
    : errorFromMessage(error);
}

/** Partitions that were added to a topic since: their readers begin with the first record. */
async function recordsBeside(
  { cluster, report }: GroupParts,
  own: readonly GroupPartition[],
  { deadlineMs, principal }: Onwards,
): Promise<number[]> {
  const known = new Map<string, Set<number>>();
  for (const { cursor } of own) {
    if (cursor === undefined) continue;
    const topicId = topicIdFromBytes(cursor.topicId);
    known.set(topicId, (known.get(topicId) ?? new Set()).add(cursor.partition));
  }
  const asked = [...known].map(([topicId, partitions]): Promise<LagOutcome[]> => {
    const topic = cluster.image().topics.get(topicId);
    const positions = (topic?.partitions ?? [])
      .filter(({ partition }) => !partitions.has(partition))
      .map(({ partition }) => ({ partition, offset: 0 }));
    return topic === undefined || positions.length === 0
      ? Promise.resolve([])
      : clusterLags(cluster, { topic, positions, principal }, deadlineMs, report);
  });
  return (await Promise.all(asked)).flat().map((outcome) => {
    const records = recordsOf(outcome);
    return Math.max(0, records - (outcome.lag?.logStart ?? 0));
  });
}
