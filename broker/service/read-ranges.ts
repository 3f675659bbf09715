/** Where a Read begins and ends in each partition. */
import type { Cursor, PartitionOffset, ReadRequest } from '../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage } from '../../wire/grpc/errors.ts';
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, TopicId } from '../../base/units.ts';
import type { MetadataImage } from '../metadata/types.ts';
import { integerField, refuse } from '../messages/fields.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import type { Cluster } from './cluster.ts';
import { imageWithin } from './decisions.ts';
import { clusterOffsets, pointField } from './offsets.ts';
import type { ReadRange } from './read-session.ts';

/** How long this broker may be behind those that the reader has met. */
const CATCH_UP_MS = 1_000;
const AGAIN_MS = 50;

export interface ReadRangesParts {
  readonly cluster: Cluster;
  /** Who reads; absent or empty: nobody was asked for a name. */
  readonly principal?: string;
  readonly report: ReportDefect;
}

/**
 * Where each partition begins and ends: by its cursor, else by the start point, up to the latest
 * offset of now unless the reader follows.
 */
export async function readRanges(
  request: ReadRequest,
  deadlineMs: number,
  { cluster, principal, report }: ReadRangesParts,
): Promise<ReadRange[]> {
  const topic = cluster.topic(request.topic);
  const partitions = cluster.partitions(topic, request.partitions);
  const cursors = new Map(request.cursors.map((cursor) => [cursor.partition, cursor]));
  for (const partition of cursors.keys()) {
    if (!partitions.includes(partition))
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `cursors names partition ${partition}, must be one of those read`,
      );
  }
  integerField('cursors length', request.cursors.length, cursors.size, cursors.size);
  const uncharted = partitions.filter((partition) => !cursors.has(partition));
  const endMs = cluster.clock.monotonicMs() + deadlineMs;
  const leftMs = (): number => Math.max(1, endMs - cluster.clock.monotonicMs());
  // Half of what is left: the rest is for asking, and for the way back.
  const patienceMs = (): number => Math.min(CATCH_UP_MS, leftMs() / 2);
  await refuseUnknownEpochs(cluster, topic.topicId, [...cursors.values()], patienceMs());
  // A high-water mark may be behind, at a leader that is new or was replaced unheard: an end is
  // what the leader can vouch for as the latest.
  const ending = request.follow ? [] : partitions;
  const askEnds = (asked: readonly number[]): Promise<PartitionOffset[]> =>
    clusterOffsets(
      cluster,
      { topic, partitions: asked, point: { $case: 'latest', value: true }, principal },
      leftMs(),
      report,
    );
  const [starts, ends] = await Promise.all([
    clusterOffsets(
      cluster,
      { topic, partitions: uncharted, point: pointField(request.start), principal },
      leftMs(),
      report,
    ),
    askEnds(ending),
  ]);
  const startOf = offsetsOf(starts);
  const endOf = offsetsOf(ends);
  const ranges = partitions.map((partition) => {
    const cursor = cursors.get(partition);
    return {
      partition,
      offset: cursor?.offset ?? startOf.get(partition) ?? 0,
      leaderEpoch: cursor?.leaderEpoch ?? 0,
      endOffset: request.follow ? null : (endOf.get(partition) ?? 0),
    };
  });
  await refuseBeyondEnd(cluster, ranges, askEnds, patienceMs());
  return ranges;
}

/**
 * An epoch above all that metadata knows was given to no leader (rule 21), or this broker has not
 * heard of it yet.
 *
 * @throws BrokerError INVALID_ARGUMENT
 */
async function refuseUnknownEpochs(
  { broker }: Cluster,
  topicId: TopicId,
  cursors: readonly Cursor[],
  patienceMs: number,
): Promise<void> {
  const unknown = (image: MetadataImage): Cursor | undefined =>
    cursors.find(({ partition, leaderEpoch }) => leaderEpoch > epochOf(image, topicId, partition));
  if (unknown(broker.image()) === undefined) return;
  const image = await imageWithin(broker, (seen) => unknown(seen) === undefined, patienceMs);
  const cursor = unknown(image);
  if (cursor === undefined) return;
  refuse(
    `cursors.leader_epoch of partition ${cursor.partition}`,
    cursor.leaderEpoch,
    `${epochOf(image, topicId, cursor.partition)} or below: no leader had another yet`,
  );
}

function epochOf(image: MetadataImage, topicId: TopicId, partition: number): LeaderEpoch {
  return image.topics.get(topicId)?.partitions[partition]?.leaderEpoch ?? 0;
}

/**
 * Nothing is there to be read, and nobody waits for it. What a leader has taken and not yet
 * committed is given a moment: who has appended may ask from there.
 *
 * @throws BrokerError OFFSET_OUT_OF_RANGE
 */
async function refuseBeyondEnd(
  { clock }: Cluster,
  ranges: readonly ReadRange[],
  askEnds: (partitions: readonly number[]) => Promise<PartitionOffset[]>,
  patienceMs: number,
): Promise<void> {
  const untilMs = clock.monotonicMs() + patienceMs;
  let beyond = ranges.filter(({ offset, endOffset }) => endOffset !== null && offset > endOffset);
  while (beyond.length > 0) {
    const answers = await askEnds(beyond.map(({ partition }) => partition));
    const endOf = offsetsOf(answers);
    beyond = beyond.filter(({ partition, offset }) => offset > (endOf.get(partition) ?? 0));
    const [first] = beyond;
    if (first === undefined) return;
    if (clock.monotonicMs() >= untilMs) {
      const { logStart = 0 } = answers.find(({ partition }) => partition === first.partition) ?? {};
      const logEnd = endOf.get(first.partition) ?? 0;
      throw new BrokerError(
        'OFFSET_OUT_OF_RANGE',
        `Cannot read partition ${first.partition} at offset ${first.offset}: it must be ${logStart} to ${logEnd}`,
        { logStart, logEnd },
      );
    }
    await new Promise<void>((resolve) => {
      clock.after(Math.min(AGAIN_MS, untilMs - clock.monotonicMs()), resolve);
    });
  }
}

function offsetsOf(answers: readonly PartitionOffset[]): Map<number, number> {
  return new Map(
    answers.map(({ partition, offset = 0, error }) => {
      if (error !== undefined) throw errorFromMessage(error);
      return [partition, offset];
    }),
  );
}
