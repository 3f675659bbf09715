/** Every replica of a topic, by what its own broker says. */
import type { CompactionStatus } from '../../proto/gen/tidemark/v1/cleanup.ts';
import type { Topic } from '../admin-types.ts';
import { type Look, replicaReport } from './moves.ts';
import type { Output } from './output.ts';
import { formatBytes } from './units.ts';

/** One replica; what is absent its broker does not say. */
export interface ReplicaLine {
  readonly partition: number;
  readonly brokerId: number;
  readonly role: 'leader' | 'follower';
  readonly isInSync: boolean;
  readonly logStart?: number;
  readonly logEnd?: number;
  readonly highWaterMark?: number;
  readonly syncedOffset?: number;
  readonly sizeBytes?: number;
  /** Records behind the leader; absent also where the leader is silent. */
  readonly lagRecords?: number;
  /** Why it is stopped; empty when it is not. */
  readonly stopped?: string;
  /** Of a topic that is compacted, or was. */
  readonly compaction?: CompactionStatus;
}

/** In the order of partitions, preferred leader first. */
export function replicasOf(topic: Topic, look: Pick<Look, 'reports'>): ReplicaLine[] {
  return topic.partitions.flatMap((state) => {
    const { partition, replicas, leader, syncSet } = state;
    const said = (brokerId: number | undefined) => replicaReport(look, brokerId, topic, state);
    const followers = said(leader)?.followers ?? [];
    return replicas.map((brokerId): ReplicaLine => {
      const role = brokerId === leader ? 'leader' : 'follower';
      const isInSync = syncSet.includes(brokerId);
      const line = { partition, brokerId, role, isInSync } as const;
      const own = said(brokerId);
      if (own === undefined) return line;
      const { logStart, logEnd, highWaterMark, syncedOffset, sizeBytes, stopped } = own;
      const { compaction } = own;
      const lag = followers.find((one) => one.brokerId === brokerId)?.lagRecords;
      const lagRecords = role === 'leader' ? 0 : lag;
      return {
        ...line,
        ...{ logStart, logEnd, highWaterMark, syncedOffset, sizeBytes, stopped },
        ...(lagRecords === undefined ? {} : { lagRecords }),
        ...(compaction === undefined ? {} : { compaction }),
      };
    });
  });
}

/** As a table. */
export function showReplicas(replicas: readonly ReplicaLine[], out: Output): void {
  out.table(
    [
      'PARTITION',
      'BROKER',
      'ROLE',
      'IN SYNC',
      'START',
      'END',
      'COMMITTED',
      'SYNCED',
      'LAG',
      'SIZE',
      'STATE',
    ],
    replicas.map((one) => [
      one.partition,
      one.brokerId,
      one.role,
      one.isInSync ? 'yes' : 'no',
      one.logStart ?? '-',
      one.logEnd ?? '-',
      one.highWaterMark ?? '-',
      one.syncedOffset ?? '-',
      one.lagRecords ?? '-',
      one.sizeBytes === undefined ? '-' : formatBytes(one.sizeBytes),
      one.logEnd === undefined ? 'silent' : (one.stopped ?? '') === '' ? 'ok' : (one.stopped ?? ''),
    ]),
  );
  const compacted = replicas.flatMap(({ partition, brokerId, compaction }) =>
    compaction === undefined ? [] : [compactionCells(partition, brokerId, compaction)],
  );
  if (compacted.length === 0) return;
  out.line();
  out.table(
    [
      ...['PARTITION', 'BROKER', 'COMPACTED TO', 'TOMBSTONES FROM', 'NEW', 'SEGMENTS'],
      ...['LAST PASS', 'COMPACTION'],
    ],
    compacted,
  );
}

function compactionCells(
  partition: number,
  brokerId: number,
  compaction: CompactionStatus,
): (string | number)[] {
  const { compactedTo, tombstonesBelow, cleanBytes, dirtyBytes, phase, bytesNeeded } = compaction;
  const { lastPass, segments } = compaction;
  const share = Math.round((100 * dirtyBytes) / Math.max(1, cleanBytes + dirtyBytes));
  const pass =
    lastPass === undefined
      ? '-'
      : `${formatBytes(lastPass.bytesBefore)} to ${formatBytes(lastPass.bytesAfter)}`;
  const needed = bytesNeeded > 0 ? `, needs ${formatBytes(bytesNeeded)}` : '';
  return [
    partition,
    brokerId,
    compactedTo,
    tombstonesBelow,
    `${share}%`,
    // A broker of an earlier build does not say.
    segments === 0 ? '-' : segments,
    pass,
    `${phase}${needed}`,
  ];
}
