/** A broker and a partition, a line each, as `cluster describe` and `npm start` show them. Pure. */
import { hostPort } from '../../base/host-port.ts';
import {
  type Broker,
  type DescribeBrokerResponse,
  type Partition,
  RestartClass,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type { Topic } from '../admin-types.ts';
import { isAway, partitionFaults } from './health.ts';
import type { ClusterLook } from './look.ts';
import { replicaReport } from './moves.ts';
import type { Cell } from './output.ts';
import { formatBytes } from './units.ts';

/** By the number that brokers send. */
export const RESTART_CLASSES: ReadonlyMap<number, string> = new Map([
  [RestartClass.RESTART_CLASS_NEW, 'new'],
  [RestartClass.RESTART_CLASS_CLEAN, 'clean'],
  [RestartClass.RESTART_CLASS_WARM, 'warm'],
  [RestartClass.RESTART_CLASS_LOSSY, 'lossy'],
]);

/** Of {@link brokerRow}. */
export const BROKER_HEAD = [
  'BROKER',
  'ADDRESS',
  'RACK',
  'STATE',
  'ROLE',
  'RESTART',
  'MEMORY',
  'LEADS',
] as const;

/** Of {@link partitionRow}. */
export const PARTITION_HEAD = [
  'TOPIC',
  'PARTITION',
  'LEADER',
  'EPOCH',
  'REPLICAS',
  'SYNC SET',
  'END',
  'COMMITTED',
  'LAG',
  'HEALTH',
] as const;

/** What keeps a broker from being simply up. */
function stateOf(broker: Broker, report: DescribeBrokerResponse | undefined): string {
  const { fenced, stopping, cordoned } = broker;
  const state = fenced ? 'fenced' : stopping ? 'stopping' : report === undefined ? 'silent' : 'up';
  const isFull = (report?.diskFault ?? '') !== '';
  return [state, ...(isFull ? ['disk full'] : []), ...(cordoned ? ['cordoned'] : [])].join(', ');
}

/** Where a broker is dialled by the listener that was asked; `-`: it has no address there. */
export function placeOf({ host, port }: Pick<Broker, 'host' | 'port'>): string {
  return host === '' ? '-' : hostPort(host, port);
}

/** Cells of one broker. */
export function brokerRow(broker: Broker, { cluster, topics, reports }: ClusterLook): Cell[] {
  const { brokerId, rack, voter, restartClass } = broker;
  const role = brokerId === cluster.controller ? 'controller' : voter ? 'voter' : '-';
  const leads = topics
    .flatMap(({ partitions }) => partitions)
    .filter(({ leader }) => leader === brokerId).length;
  const report = reports.get(brokerId);
  return [
    brokerId,
    placeOf(broker),
    rack === '' ? '-' : rack,
    stateOf(broker, report),
    role,
    RESTART_CLASSES.get(report?.restartClass ?? restartClass) ?? '-',
    report === undefined ? '-' : formatBytes(report.memoryBytes),
    leads,
  ];
}

/** Cells of one partition; the last is `ok`, or what is wrong with it. */
export function partitionRow(topic: Topic, row: Partition, view: ClusterLook): Cell[] {
  const { partition, leader, leaderEpoch, replicas, syncSet } = row;
  const said = replicaReport(view, leader, topic, row);
  const replica = said?.leading === true ? said : undefined;
  // A broker that is away lags by what it has missed, which nobody knows.
  const followers = replica?.followers.filter(({ brokerId }) => !isAway(view, brokerId));
  const lags = followers?.map(({ lagRecords }) => lagRecords) ?? [];
  const faults = partitionFaults(view, topic, row);
  return [
    topic.name,
    partition,
    leader ?? 'none',
    leaderEpoch,
    replicas.join(','),
    syncSet.join(','),
    replica?.logEnd ?? '-',
    replica?.highWaterMark ?? '-',
    lags.length === 0 ? '-' : Math.max(...lags),
    faults.length === 0 ? 'ok' : faults.join('; '),
  ];
}
