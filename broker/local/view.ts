/** The live picture of a local cluster, as text. Pure: from what the brokers answered to lines for a terminal. */
import type {
  DescribeBrokerResponse,
  DescribeClusterResponse,
  Topic,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type { ProcessStatus } from './processes.ts';

/** What one look found. Absent where nobody answered. */
export interface Look {
  readonly processes: readonly ProcessStatus[];
  readonly cluster: DescribeClusterResponse | null;
  readonly topics: readonly Topic[];
  readonly brokers: ReadonlyMap<number, DescribeBrokerResponse>;
  readonly events: readonly string[];
}

const CLASS_NAMES = ['', 'new', 'clean', 'warm', 'lossy'];
/** Partitions shown; the rest is counted. */
const PARTITIONS_SHOWN_MAX = 24;

/** Lines without colour, at most as wide as their content. */
export function render(look: Look): string[] {
  return [...renderBrokers(look), '', ...renderPartitions(look), '', ...look.events];
}

function renderBrokers({ processes, cluster, brokers }: Look): string[] {
  const rows = processes.map((process) => {
    const broker = cluster?.brokers.find(({ brokerId }) => brokerId === process.brokerId);
    const own = brokers.get(process.brokerId);
    const isController = cluster?.controller === process.brokerId;
    const megabytes = own === undefined ? '' : `${Math.round(own.memoryBytes / 1_048_576)} MB`;
    const standing =
      broker === undefined
        ? 'not registered'
        : broker.fenced
          ? 'fenced'
          : broker.stopping
            ? 'stopping'
            : 'in service';
    const restart = CLASS_NAMES[broker?.restartClass ?? 0] ?? '';
    return [
      String(process.brokerId),
      `${process.host}:${process.port}`,
      process.rack,
      process.state,
      standing,
      isController ? 'controller' : '',
      restart,
      megabytes,
    ];
  });
  return table(
    ['broker', 'address', 'rack', 'process', 'standing', 'metadata', 'start', 'memory'],
    rows,
  );
}

function renderPartitions({ topics, brokers }: Look): string[] {
  const rows = topics.flatMap((topic) =>
    topic.partitions.map((partition) => {
      const own =
        partition.leader === undefined
          ? undefined
          : brokers
              .get(partition.leader)
              ?.replicas.find(
                (replica) =>
                  replica.topicId === topic.topicId && replica.partition === partition.partition,
              );
      const lags =
        own?.followers.map((follower) => `${follower.brokerId}:${follower.lagRecords}`).join(' ') ??
        '';
      const suspects =
        partition.suspects.length === 0 ? '' : ` suspect ${partition.suspects.join(',')}`;
      return [
        `${topic.name}/${partition.partition}`,
        partition.leader === undefined ? 'none' : String(partition.leader),
        String(partition.leaderEpoch),
        `${partition.syncSet.join(',')}${suspects}`,
        partition.replicas.join(','),
        String(own?.highWaterMark ?? ''),
        lags,
      ];
    }),
  );
  if (rows.length === 0)
    return [
      'no topics yet: npx tidemark topic create orders --partitions 3 --replication-factor 3',
    ];
  const shown = table(
    ['partition', 'leader', 'epoch', 'sync set', 'replicas', 'committed', 'lag'],
    rows.slice(0, PARTITIONS_SHOWN_MAX),
  );
  const hidden = rows.length - PARTITIONS_SHOWN_MAX;
  return hidden > 0 ? [...shown, `and ${hidden} more partitions`] : shown;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
