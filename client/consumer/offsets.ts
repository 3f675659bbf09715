/** Where reading starts in each partition, by what the leaders say. */
import {
  LogServiceService,
  type PartitionOffset,
  type StartPoint,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { Cluster } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { fromWire, TidemarkError } from '../errors.ts';
import type { StartFrom } from './types.ts';

const START_TIMEOUT_MS = 30_000;

/** Offsets of a point in partitions, asked again where a leader is missing at the moment. */
export async function findOffsets(
  connections: Connections,
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
  from: StartFrom,
): Promise<Map<number, PartitionOffset>> {
  const found = new Map<number, PartitionOffset>();
  const deadlineMs = connections.clock.monotonicMs() + START_TIMEOUT_MS;
  for (let attempt = 0; ; attempt += 1) {
    const missing = partitions.filter((partition) => !found.has(partition));
    if (missing.length === 0) return found;
    const request = { topic, partitions: missing, start: startPoint(from) };
    const answer = await cluster.call(LogServiceService.listOffsets, request, {
      isRead: true,
      timeoutMs: START_TIMEOUT_MS,
    });
    let last: TidemarkError | undefined;
    for (const one of answer.offsets) {
      if (one.error === undefined) found.set(one.partition, one);
      else last = fromWire(one.error);
      if (last?.retry === 'no') throw last;
    }
    if (last === undefined && found.size < partitions.length) {
      throw new TidemarkError(
        'INTERNAL',
        `Cannot read "${topic}": the broker named ${found.size} of ${partitions.length} partitions`,
      );
    }
    if (last === undefined) continue;
    if (connections.clock.monotonicMs() > deadlineMs) throw last;
    await connections.sleep(connections.backoffMs(attempt));
  }
}

/** As the wire names it. */
export function startPoint(from: StartFrom): StartPoint {
  if (from === 'latest') return { point: { $case: 'latest', value: true } };
  if (from !== 'earliest' && 'timestampMs' in from)
    return { point: { $case: 'timestampMs', value: from.timestampMs } };
  // An offset is taken at its word: whether the log still has it is for the leader to say when it
  // is read.
  return { point: { $case: 'earliest', value: true } };
}
