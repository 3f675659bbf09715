/**
 * Replicas on the move: what is waited for, and what must be left on the disks when they have
 * arrived.
 */
import { readdirSync } from 'node:fs';
import type { Topic } from '../../../client/admin-types.ts';
import { type CommandResult, tidemark } from './child.ts';
import type { TestCluster } from './cluster.ts';
import { when } from './wait.ts';

/** One partition on the move, as `tidemark cluster describe --output json` shows it. */
export interface MoveShown {
  readonly topic: string;
  readonly partition: number;
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  readonly bytesLeft?: number;
  readonly bytesPerSecond?: number;
  readonly etaMs?: number;
  readonly stalled?: string;
}

/** Resolves when no replica of a topic is on the move and every one is in sync. */
export function atRest(cluster: TestCluster, name: string): Promise<Topic> {
  return cluster.wait(`${name} to be at rest`, async (note) => {
    const topic = await cluster.admin.describeTopic(name);
    note(topic.partitions);
    const isAtRest = topic.partitions.every(
      ({ adding, removing, leader, syncSet, replicas, suspects }) =>
        adding.length + removing.length + suspects.length === 0 &&
        leader !== undefined &&
        syncSet.length === replicas.length,
    );
    return isAtRest ? topic : undefined;
  });
}

/** Runs `tidemark cluster <args>` to its end. */
export function clusterCommand(
  cluster: TestCluster,
  ...args: readonly string[]
): Promise<CommandResult> {
  return tidemark(['cluster', ...args, '--server', cluster.servers.join(',')]).result;
}

/** What `tidemark cluster describe` shows of moves under way. */
export async function movesShown(cluster: TestCluster): Promise<readonly MoveShown[]> {
  const { stdout } = await clusterCommand(cluster, 'describe', '--output', 'json');
  const { moves } = JSON.parse(stdout.toString()) as { readonly moves: readonly MoveShown[] };
  return moves;
}

/**
 * Brokers with a folder of the partition in their data directory, one that is being deleted
 * included.
 */
export function holders(cluster: TestCluster, topicId: string, partition = 0): number[] {
  return cluster.brokers
    .filter((broker) =>
      partitionFolders(broker.file('partitions')).some((name) =>
        name.startsWith(`${topicId}-${partition}`),
      ),
    )
    .map(({ brokerId }) => brokerId);
}

/** Resolves when the partition has a folder on these brokers and on no other. */
export async function heldBy(
  cluster: TestCluster,
  topicId: string,
  brokerIds: readonly number[],
): Promise<void> {
  await cluster.wait(`${topicId} to be on brokers ${brokerIds.join()} alone`, (note) => {
    const found = holders(cluster, topicId);
    note(found);
    return when(found.join() === brokerIds.toSorted((a, b) => a - b).join());
  });
}

/** Bytes of a partition that a broker has by now. */
export async function bytesAt(
  cluster: TestCluster,
  brokerId: number,
  topicId: string,
): Promise<number> {
  const { replicas } = await cluster.admin.describeBroker(brokerId);
  return replicas.find((replica) => replica.topicId === topicId)?.sizeBytes ?? 0;
}

/** Resolves when a broker has some, and not all, of a partition that is on its way to it. */
export async function copying(
  cluster: TestCluster,
  brokerId: number,
  topicId: string,
): Promise<void> {
  await cluster.wait(`broker ${brokerId} to be given some of ${topicId}`, async (note) => {
    const bytes = await bytesAt(cluster, brokerId, topicId);
    note({ bytes });
    return when(bytes > 0);
  });
}

function partitionFolders(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
