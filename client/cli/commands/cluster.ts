/** The cluster as a person wants to see it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescribeQuorumResponse } from '../../../proto/gen/tidemark/v1/admin.ts';
import type { DescribeSpreadResponse } from '../../../proto/gen/tidemark/v1/balance.ts';
import type { Admin } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Output, Surroundings } from '../output.ts';
import { capital } from '../../../base/sentence.ts';
import { healthOf } from '../health.ts';
import { type ClusterLook, HEALTH_COLOURS, look } from '../look.ts';
import { type MoveProgress, movesUnderWay } from '../moves.ts';
import {
  BROKER_HEAD,
  brokerRow,
  PARTITION_HEAD,
  partitionRow,
  placeOf,
  RESTART_CLASSES,
} from '../rows.ts';
import { formatAbout, formatBytes, lossSentence } from '../units.ts';
import { limitText, movingText } from './placement.ts';
import { defaultsText, sourceWord } from './settings.ts';

/** Everything that the description is made of. */
interface View extends ClusterLook {
  /** Undefined where the brokers are too old to say. */
  readonly spread: DescribeSpreadResponse | undefined;
  readonly moves: readonly MoveProgress[];
}

/** How long the controller's answer is waited for before others are asked. */
const PATIENCE_MS = 2_000;
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

/** Exit code 1 where there is no controller: the voters are then what any broker knows of them. */
export async function describeQuorum(
  options: CommonOptions,
  around: Surroundings,
): Promise<number> {
  return withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    const control = { signal: AbortSignal.timeout(PATIENCE_MS) };
    const first = await admin.describeQuorum(control).catch(() => undefined);
    if (first !== undefined) {
      showQuorum(first, out);
      return EXIT_OK;
    }
    const now = await look(admin);
    const health = healthOf(now);
    const voters = now.cluster.brokers
      .filter(({ voter }) => voter)
      .map((broker) => ({
        brokerId: broker.brokerId,
        address: placeOf(broker),
        answers: now.reports.has(broker.brokerId),
      }));
    out.result({ leader: null, reason: health.sentence, voters }, () => {
      out.line(out.paint('red', capital(health.sentence)));
      out.line(`As broker ${now.cluster.answeredBy} knows it:`);
      out.table(
        ['VOTER', 'ADDRESS', 'STATE'],
        voters.map(({ brokerId, address, answers }) => [
          brokerId,
          address,
          answers ? 'up' : 'silent',
        ]),
      );
    });
    return EXIT_CLUSTER;
  });
}

function showQuorum(quorum: DescribeQuorumResponse, out: Output): void {
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
}

/** One look, and a second one where something moves. */
async function gather(admin: Admin): Promise<View> {
  const [first, spread] = await Promise.all([
    look(admin),
    admin.describeSpread().catch(() => undefined),
  ]);
  const limit = first.cluster.settings?.moveBytesPerSecond ?? -1;
  const moves = movesUnderWay(first, limit);
  if (!moves.some(({ bytesLeft }) => bytesLeft !== 0)) return { ...first, spread, moves };
  const firstMs = performance.now();
  await sleep(LOOK_AGAIN_MS);
  const second = await look(admin);
  const before = { look: first, elapsedMs: performance.now() - firstMs };
  return { ...second, spread, moves: movesUnderWay(second, limit, before) };
}

function show(view: View, out: Output): void {
  const { cluster, topics } = view;
  const { level, sentence } = healthOf(view);
  out.line(out.paint(HEALTH_COLOURS[level], capital(sentence)));
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
  out.table(BROKER_HEAD, brokers);
  const partitions = topics.flatMap((topic) =>
    topic.partitions.map((partition) => partitionRow(topic, partition, view)),
  );
  if (partitions.length > 0) {
    out.line();
    out.table(PARTITION_HEAD, partitions);
  }
  showMoves(view.moves, out);
  showSpread(view.spread, out);
  const warnings = warningsOf(view, out);
  if (warnings.length > 0) out.line();
  for (const warning of warnings) out.line(warning);
  for (const loss of cluster.losses) {
    out.line(out.paint('red', lossSentence(loss)));
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

/** What a person should know of single brokers, a line each. */
function warningsOf({ reports }: View, out: Output): string[] {
  const all = [...reports];
  return [
    ...all
      .filter(([, { timeRetentionPaused }]) => timeRetentionPaused)
      .map(
        ([id, report]) => `Time retention paused on broker ${id}: ${report.timeRetentionReason}`,
      ),
    ...all
      .filter(([, { metadataFault }]) => metadataFault !== '')
      .map(([id, report]) =>
        out.paint('red', `Broker ${id} follows no more: ${report.metadataFault}`),
      ),
    ...all
      .filter(([, { diskFault }]) => diskFault !== '')
      .map(([id, report]) =>
        out.paint('red', `Broker ${id} takes no records: ${report.diskFault}`),
      ),
  ];
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

function viewJson(view: View): unknown {
  const { cluster, topics, reports, moves, spread } = view;
  const className = (value: number): string => RESTART_CLASSES.get(value) ?? 'unknown';
  const brokers = cluster.brokers.map((broker) => {
    const report = reports.get(broker.brokerId);
    return {
      ...broker,
      restartClass: className(report?.restartClass ?? broker.restartClass),
      ...(report === undefined
        ? {}
        : {
            report: {
              ...report,
              restartClass: className(report.restartClass),
              options: report.options.map((one) => ({ ...one, source: sourceWord(one.source) })),
            },
          }),
    };
  });
  const health = healthOf(view);
  return {
    health,
    ...cluster,
    brokers,
    topics,
    moves,
    ...(spread === undefined ? {} : { spread }),
  };
}
