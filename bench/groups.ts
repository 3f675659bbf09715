/**
 * What it costs to be a member: a group of one that commits, beside a plain consumer of the same
 * topic, record by record.
 */
import { connect } from '../client/index.ts';
import { fillTopic } from './fill.ts';
import type { LocalCluster } from './local-cluster.ts';

const PARTITIONS = 6;
const RECORDS = 2_000_000;
export const GROUP_TOPIC = 'groups';

/** Records a second, from the first to the last of the topic. */
export interface Reading {
  readonly plain: number;
  readonly group: number;
  /** Commits at each tenth of the usual pause. */
  readonly often: number;
}

export async function fillGroupTopic(cluster: LocalCluster): Promise<void> {
  await using tidemark = connect({ servers: cluster.servers });
  await fillTopic(tidemark, GROUP_TOPIC, { partitions: PARTITIONS, records: RECORDS });
}

export async function groupSpeed(cluster: LocalCluster, run: number): Promise<Reading> {
  return {
    plain: await plain(cluster),
    group: await member(cluster, `group-${run}`, 1_000),
    often: await member(cluster, `often-${run}`, 100),
  };
}

async function plain(cluster: LocalCluster): Promise<number> {
  await using tidemark = connect({ servers: cluster.servers });
  const consumer = tidemark.consumer({ topic: GROUP_TOPIC, follow: false });
  return await speedOf(consumer.records());
}

async function member(cluster: LocalCluster, group: string, commitMs: number): Promise<number> {
  await using tidemark = connect({ servers: cluster.servers });
  return await speedOf(tidemark.group(group, { topics: [GROUP_TOPIC], commitMs }));
}

async function speedOf(records: AsyncIterable<unknown>): Promise<number> {
  let [count, startMs] = [0, 0];
  for await (const _ of records) {
    count += 1;
    if (count === 1) startMs = performance.now();
    if (count === RECORDS) break;
  }
  return (count * 1_000) / (performance.now() - startMs);
}
