/** The cluster as a person wants to see it. */
import {
  type Broker,
  type DescribeBrokerResponse,
  type DescribeClusterResponse,
  type DescribeSpreadResponse,
  type Partition,
  RestartClass,
  type Topic,
} from '../../../proto/gen/tidemark/v1/admin.ts';
import type { Admin } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Cell, Output, Surroundings } from '../output.ts';
import { type Look, type MoveProgress, movesUnderWay } from '../moves.ts';
import { formatAbout, formatBytes } from '../units.ts';
import { limitText, movingText } from './placement.ts';
import { defaultsText } from './settings.ts';

const RESTART_CLASSES: ReadonlyMap<number, string> = new Map([
  [RestartClass.RESTART_CLASS_NEW, 'new'],
  [RestartClass.RESTART_CLASS_CLEAN, 'clean'],
  [RestartClass.RESTART_CLASS_WARM, 'warm'],
  [RestartClass.RESTART_CLASS_LOSSY, 'lossy'],
]);

/** Everything that the description is made of. */
interface View extends Look {
  readonly cluster: DescribeClusterResponse;
  /** Undefined where the brokers are too old to say. */
  readonly spread: DescribeSpreadResponse | undefined;
  readonly moves: readonly MoveProgress[];
}

/** Pause between the two looks that tell how fast replicas come. */
const LOOK_AGAIN_MS = 1_000;
/** Partitions that share a rack, as shown; a script gets all that the broker names. */
const SPREAD_SHOWN_MAX = 10;

export async function describeCluster(options: CommonOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const view = await gather(client.admin());
    out.result(viewJson(view), () => show(view, out));
  });
}

export async function checkDisruption(
  brokers: readonly number[],
  options: CommonOptions,
  around: Surroundings,
): Promise<number> {
  return withCluster(options, around, async (client, { out }) => {
    const answer = await client.admin().checkDisruption(brokers);
    const names = `${brokers.length === 1 ? 'broker' : 'brokers'} ${brokers.join(', ')}`;
    out.result(answer, () => {
      if (answer.safe) {
        out.line(`${out.paint('green', 'Safe')}: ${names} may stop`);
        return;
      }
      out.line(`${out.paint('red', 'Not safe')}: stopping ${names}: ${answer.reason}`);
      const rows = answer.verdicts.map(
        ({ topic, partition, stopsWrites, takesLastCopy, reason }) => [
          topic,
          partition,
          stopsWrites ? 'yes' : '-',
          takesLastCopy ? 'yes' : '-',
          reason,
        ],
      );
      if (rows.length > 0)
        out.table(['TOPIC', 'PARTITION', 'STOPS WRITES', 'TAKES LAST COPY', 'REASON'], rows);
    });
    return answer.safe ? EXIT_OK : EXIT_CLUSTER;
  });
}

export async function describeQuorum(options: CommonOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const quorum = await client.admin().describeQuorum();
    out.result(quorum, () => {
      out.line(
        `Controller ${quorum.leader}, term ${quorum.term}, committed up to ${quorum.commitIndex}`,
      );
      const rows = quorum.members.map(({ brokerId, voter, matchIndex, directoryId }) => [
        brokerId,
        voter ? 'voter' : 'learner',
        matchIndex,
        Math.max(0, quorum.commitIndex - matchIndex),
        directoryId,
      ]);
      out.table(['BROKER', 'ROLE', 'INDEX', 'LAG', 'DIRECTORY'], rows);
    });
  });
}

/** One look, and a second one where something moves. */
async function gather(admin: Admin): Promise<View> {
  const first = await look(admin);
  const limit = first.cluster.settings?.moveBytesPerSecond ?? -1;
  const moves = movesUnderWay(first, limit);
  if (!moves.some(({ bytesLeft }) => bytesLeft !== 0)) return { ...first, moves };
  const firstMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  const second = await look(admin);
  const before = { look: first, elapsedMs: performance.now() - firstMs };
  return { ...second, moves: movesUnderWay(second, limit, before) };
}

async function look(admin: Admin): Promise<Omit<View, 'moves'>> {
  const [cluster, topics, spread] = await Promise.all([
    admin.describeCluster(),
    admin.listTopics(),
    admin.describeSpread().catch(() => undefined),
  ]);
  const live = cluster.brokers.filter(({ fenced }) => !fenced);
  // A broker that died a moment ago is still in the list: the view is worth having without its report.
  const answers = await Promise.allSettled(
    live.map(({ brokerId }) => admin.describeBroker(brokerId)),
  );
  const reports = new Map<number, DescribeBrokerResponse>();
  for (const answer of answers)
    if (answer.status === 'fulfilled') reports.set(answer.value.brokerId, answer.value);
  return { cluster, brokers: cluster.brokers, topics, spread, reports };
}

function show(view: View, out: Output): void {
  const { cluster, topics } = view;
  out.line(
    `Cluster ${cluster.clusterId}, controller ${cluster.controller ?? out.paint('red', 'none')}, feature level ${cluster.featureLevel}, metadata index ${cluster.metadataIndex}`,
  );
  const limit = cluster.settings?.moveBytesPerSecond ?? -1;
  if (limit >= 0) out.line(limitText(limit));
  const { topicDefaults, brokerOptions = {} } = cluster.settings ?? {};
  if (topicDefaults !== undefined && Object.values(topicDefaults).some((each) => (each ?? 0) !== 0))
    out.line(defaultsText(topicDefaults));
  const set = Object.entries(brokerOptions).map(([name, value]) => `${name}=${value}`);
  if (set.length > 0) out.line(`Options of all brokers: ${set.join(' ')}`);
  out.line();
  const brokers = cluster.brokers.map((broker) => brokerRow(broker, view));
  out.table(['BROKER', 'ADDRESS', 'RACK', 'STATE', 'ROLE', 'RESTART', 'MEMORY', 'LEADS'], brokers);
  const partitions = topics.flatMap((topic) =>
    topic.partitions.map((partition) => partitionRow(topic, partition, view)),
  );
  if (partitions.length > 0) {
    out.line();
    out.table(
      [
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
      ],
      partitions,
    );
  }
  showMoves(view.moves, out);
  showSpread(view.spread, out);
  for (const loss of cluster.losses) {
    const where = `${loss.topic}/${loss.partition} from offset ${loss.fromOffset} of epochs before ${loss.leaderEpoch}`;
    out.line(
      out.paint(
        'red',
        `Records may be lost: ${where} (unclean election, ${new Date(loss.atMs).toISOString()})`,
      ),
    );
  }
}

function showMoves(moves: readonly MoveProgress[], out: Output): void {
  if (moves.length === 0) return;
  out.line();
  const rows = moves.map(
    ({ topic, partition, adding, removing, bytesLeft, bytesPerSecond, etaMs, stalled }) => [
      topic,
      partition,
      movingText(adding, removing),
      bytesLeft === undefined ? 'unknown' : formatBytes(bytesLeft),
      bytesPerSecond === undefined ? '-' : `${formatBytes(bytesPerSecond)}/s`,
      etaMs === undefined
        ? `unknown${stalled === undefined ? '' : `: ${stalled}`}`
        : formatAbout(etaMs),
    ],
  );
  out.table(['MOVING', 'PARTITION', 'REPLICAS', 'LEFT', 'RATE', 'ETA'], rows);
}

function showSpread(spread: DescribeSpreadResponse | undefined, out: Output): void {
  if (spread === undefined || spread.faultsTotal === 0) return;
  out.line();
  const rows = spread.faults
    .slice(0, SPREAD_SHOWN_MAX)
    .map(({ topic, partition, reason, message }) => [topic, partition, reason, message]);
  out.table(['SHARES A RACK', 'PARTITION', 'REASON', 'WHERE'], rows);
  const more = spread.faultsTotal - rows.length;
  if (more > 0) out.line(`and ${more} more: --output json`);
}

/** What keeps a broker from being simply up. */
function stateOf(broker: Broker, report: DescribeBrokerResponse | undefined): string {
  const { fenced, stopping, cordoned } = broker;
  const state = fenced ? 'fenced' : stopping ? 'stopping' : report === undefined ? 'silent' : 'up';
  return [
    state,
    ...(cordoned ? ['cordoned'] : []),
    ...(report?.timeRetentionPaused === true ? ['clock off'] : []),
  ].join(', ');
}

function brokerRow(broker: Broker, { cluster, topics, reports }: View): Cell[] {
  const { brokerId, host, port, rack, voter, restartClass } = broker;
  const role = brokerId === cluster.controller ? 'controller' : voter ? 'voter' : '-';
  const leads = topics
    .flatMap(({ partitions }) => partitions)
    .filter(({ leader }) => leader === brokerId).length;
  const report = reports.get(brokerId);
  return [
    brokerId,
    `${host}:${port}`,
    rack === '' ? '-' : rack,
    stateOf(broker, report),
    role,
    RESTART_CLASSES.get(report?.restartClass ?? restartClass) ?? '-',
    report === undefined ? '-' : formatBytes(report.memoryBytes),
    leads,
  ];
}

function partitionRow(
  topic: Topic,
  { partition, leader, leaderEpoch, replicas, adding, syncSet, suspects }: Partition,
  view: View,
): Cell[] {
  const report = leader === undefined ? undefined : view.reports.get(leader);
  const replica = report?.replicas.find(
    (one) => one.topicId === topic.topicId && one.partition === partition && one.leading,
  );
  // A broker that is away lags by what it has missed, which nobody knows.
  const away = view.cluster.brokers.filter(({ fenced }) => fenced);
  const followers = replica?.followers.filter(
    ({ brokerId }) => !away.some((broker) => broker.brokerId === brokerId),
  );
  const lags = followers?.map(({ lagRecords }) => lagRecords) ?? [];
  const min = topic.config?.minInSyncReplicas ?? 1;
  // Those that a move brings are not missed before they have come.
  const isMissing = replicas.some((id) => !syncSet.includes(id) && !adding.includes(id));
  const faults = [
    leader === undefined ? 'offline' : '',
    syncSet.length < min ? 'below min' : isMissing ? 'under-replicated' : '',
    suspects.length > 0 ? `suspect: ${suspects.join(',')}` : '',
    replica !== undefined && replica.stopped !== '' ? replica.stopped : '',
  ].filter((fault) => fault !== '');
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

function viewJson({ cluster, topics, reports, moves, spread }: View): unknown {
  const className = (value: number): string => RESTART_CLASSES.get(value) ?? 'unknown';
  const brokers = cluster.brokers.map((broker) => {
    const report = reports.get(broker.brokerId);
    return {
      ...broker,
      restartClass: className(report?.restartClass ?? broker.restartClass),
      ...(report === undefined
        ? {}
        : { report: { ...report, restartClass: className(report.restartClass) } }),
    };
  });
  return { ...cluster, brokers, topics, moves, ...(spread === undefined ? {} : { spread }) };
}
