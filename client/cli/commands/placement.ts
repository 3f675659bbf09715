/** Who holds what: rebalance, reassign, decommission, and the limit on moves. */
import type { Admin } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import { Progress, type Surroundings } from '../output.ts';
import { formatBytes } from '../units.ts';

/** Options of `cluster rebalance`. */
export interface RebalanceOptions extends CommonOptions {
  readonly dryRun?: boolean;
}

/** Options of `cluster reassign`. */
export interface ReassignOptions extends CommonOptions {
  readonly replicas?: readonly number[];
  readonly cancel?: boolean;
}

/** Options of `cluster elect`. */
export interface ElectOptions extends CommonOptions {
  readonly leader?: number;
  readonly unclean?: boolean;
  readonly givenUp?: readonly number[];
}

/** Options of `cluster decommission`. */
export interface DecommissionOptions extends CommonOptions {
  readonly wait?: boolean;
}

/** Options of `cluster limit`. */
export interface LimitOptions extends CommonOptions {
  readonly moveBytesPerSecond: number;
}

/** Pause between looks at a broker that is being emptied. */
const LOOK_MS = 500;

export async function rebalance(options: RebalanceOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    const { moves, bytes } = await admin.planRebalance();
    const isDryRun = options.dryRun === true;
    // The plan stands on the screen before the first move begins, and stays there when one is
    // refused.
    out.result({ moves, bytes, dryRun: isDryRun }, () => {
      if (moves.length === 0) {
        out.line('Balanced: nothing to move');
        return;
      }
      const rows = moves.map((move) => [
        move.topic,
        move.partition,
        move.from.join(','),
        move.to.join(','),
        move.bytes === undefined ? 'unknown' : formatBytes(move.bytes),
      ]);
      out.table(['TOPIC', 'PARTITION', 'FROM', 'TO', 'BYTES TO MOVE'], rows);
      const unknown = moves.filter((move) => move.bytes === undefined).length;
      const more = unknown === 0 ? '' : `, and an unknown number for ${unknown} of them`;
      out.line(`${countOf(moves.length, 'move')}, ${formatBytes(bytes)} to move${more}`);
    });
    if (isDryRun) return;
    for (const { topic, partition, to } of moves)
      await admin.reassignPartition(topic, partition, to);
    if (moves.length > 0)
      out.note(`Began ${countOf(moves.length, 'move')}; to watch: tidemark cluster describe`);
  });
}

export async function reassign(
  topic: string,
  partition: number,
  options: ReassignOptions,
  around: Surroundings,
): Promise<void> {
  const { replicas = [], cancel = false } = options;
  if (cancel === replicas.length > 0) {
    const message = 'either --replicas or --cancel is required, and not both';
    throw new CliError('INVALID_ARGUMENT', message);
  }
  await withCluster(options, around, async (client, { out }) => {
    const now = await client.admin().reassignPartition(topic, partition, replicas);
    const { adding, removing } = now;
    out.result({ topic, ...now }, () => {
      const name = `${topic}/${partition}`;
      if (adding.length === 0 && removing.length === 0)
        out.line(`${name} stays at, or is ordered as, ${now.replicas.join(',')}`);
      else out.line(`${name} is moving: ${movingText(adding, removing)}`);
    });
  });
}

export async function elect(
  topic: string,
  partition: number,
  options: ElectOptions,
  around: Surroundings,
): Promise<void> {
  const { leader: target, unclean = false, givenUp = [] } = options;
  if (givenUp.length > 0 && !unclean) {
    const message = '--given-up goes only with --unclean: a trusted leader needs nobody given up';
    throw new CliError('INVALID_ARGUMENT', message);
  }
  await withCluster(options, around, async (client, { out }) => {
    const request = {
      topic,
      partition,
      unclean,
      givenUp: [...givenUp],
      ...(target === undefined ? {} : { target }),
    };
    const { leader, leaderEpoch } = await client.admin().electLeader(request);
    const name = `${topic}/${partition}`;
    out.result({ topic, partition, leader, leaderEpoch }, () =>
      out.line(
        leader === undefined
          ? `${name}: the replicas are asked for their logs; to watch: tidemark cluster describe`
          : `${name} is led by broker ${leader} in epoch ${leaderEpoch}`,
      ),
    );
  });
}

export async function decommission(
  brokerId: number,
  options: DecommissionOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    let replicasLeft = await admin.decommission(brokerId);
    if (options.wait === true)
      replicasLeft = await untilEmpty(admin, brokerId, replicasLeft, around);
    out.result({ brokerId, cordoned: true, replicasLeft }, () => {
      const next =
        replicasLeft === 0
          ? `holds nothing more; stop it, then: tidemark cluster remove-broker ${brokerId}`
          : `is cordoned, ${countOf(replicasLeft, 'replica')} still to be moved away; to watch: tidemark cluster describe`;
      out.line(`Broker ${brokerId} ${next}`);
    });
  });
}

export async function recommission(
  brokerId: number,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    await client.admin().recommission(brokerId);
    out.result({ brokerId, cordoned: false }, () =>
      out.line(
        `Broker ${brokerId} takes replicas again; what has left comes back with: tidemark cluster rebalance`,
      ),
    );
  });
}

/** Returns the exit code: a script must not go on to stop a broker that leads. */
export async function prepareStop(
  brokerId: number,
  options: CommonOptions,
  around: Surroundings,
): Promise<number> {
  return await withCluster(options, around, async (client, { out }) => {
    const { leadersLeft, reason } = await client.admin().prepareStop(brokerId);
    out.result({ brokerId, leadersLeft, reason: reason?.message }, () =>
      out.line(
        leadersLeft === 0
          ? `Broker ${brokerId} leads nothing; whether it may stop: tidemark cluster check-disruption ${brokerId}; to take that back: tidemark cluster cancel-stop ${brokerId}`
          : `Broker ${brokerId} still leads ${countOf(leadersLeft, 'partition')}: ${reason?.message ?? ''}`,
      ),
    );
    return leadersLeft === 0 ? EXIT_OK : EXIT_CLUSTER;
  });
}

export async function cancelStop(
  brokerId: number,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    await client.admin().cancelStop(brokerId);
    out.result({ brokerId, stopping: false }, () => out.line(`Broker ${brokerId} may lead again`));
  });
}

export async function removeBroker(
  brokerId: number,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    await client.admin().removeBroker(brokerId);
    out.result({ removed: brokerId }, () => out.line(`Removed broker ${brokerId}`));
  });
}

export async function limit(options: LimitOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const { moveBytesPerSecond } = options;
    const settings = await client.admin().setClusterSettings({ moveBytesPerSecond });
    out.result(settings, () => out.line(limitText(settings.moveBytesPerSecond)));
  });
}

/** What holds for moves, in words. */
export function limitText(bytesPerSecond = -1): string {
  if (bytesPerSecond < 0) return 'Moves are not limited';
  return `Moves are limited to ${formatBytes(bytesPerSecond)} per second and broker`;
}

/** `+4 -1`, or `-` when nothing moves. */
export function movingText(adding: readonly number[], removing: readonly number[]): string {
  const parts = [...adding.map((id) => `+${id}`), ...removing.map((id) => `-${id}`)];
  return parts.length === 0 ? '-' : parts.join(' ');
}

/**
 * Waits until no partition names the broker. Looks only: asking for a decommission again would undo
 * a recommission by somebody else.
 */
async function untilEmpty(
  admin: Admin,
  brokerId: number,
  replicasAtFirst: number,
  around: Surroundings,
): Promise<number> {
  let left = replicasAtFirst;
  const progress = new Progress(around, () => `${countOf(left, 'replica')} left`);
  try {
    while (left > 0 && !around.interrupted.aborted) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const [topics, { brokers }] = await Promise.all([
        admin.listTopics(),
        admin.describeCluster(),
      ]);
      if (brokers.find((broker) => broker.brokerId === brokerId)?.cordoned === false)
        throw new CliError('CONFLICT', `broker ${brokerId} was recommissioned meanwhile`);
      left = topics
        .flatMap(({ partitions }) => partitions)
        .filter(({ replicas }) => replicas.includes(brokerId)).length;
    }
    return left;
  } finally {
    progress.stop();
  }
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
