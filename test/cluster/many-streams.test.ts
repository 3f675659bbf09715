/**
 * Clients with many streams to one broker, which for each of them opens others to the brokers that
 * lead what they read, or own their queue: all others are served beside them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import { AckLevel, AppendRecord, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { callAt } from './harness/direct.ts';
import { TestCluster } from './harness/cluster.ts';
import { ManyStreams, type Opening } from './harness/streams.ts';
import { when } from './harness/wait.ts';

const PARTITIONS = 12;
/** More than one connection of a client may have. */
const STREAMS = 400;
const APPEND_MS = 20_000;
const NO_ERRORS = Array<undefined>(PARTITIONS).fill(undefined);

describe('broker whose clients have many streams', () => {
  let cluster: TestCluster;
  let topic = '';
  beforeAll(async () => {
    cluster = await TestCluster.start();
    await cluster.wait('the newest feature level', async () => {
      const { featureLevel } = await cluster.describe();
      return when(featureLevel === FEATURE_LEVEL_MAX);
    });
    ({ name: topic } = await cluster.createTopic({ partitions: PARTITIONS }));
    await cluster.client.queues().create('jobs', { topic });
  });
  afterAll(() => cluster.close());

  /** One record to each partition, all of them by one broker. */
  async function appendAll(address: string): Promise<(string | undefined)[]> {
    const value = Buffer.from('x');
    const records = Array.from({ length: PARTITIONS }, (_, partition) => ({
      ...{ ...AppendRecord.decode(new Uint8Array(0)), partition, value },
    }));
    const request = { topic, records, acks: AckLevel.ACK_LEVEL_ALL, condition: undefined };
    const { results } = await callAt(address, LogServiceService.append, request, APPEND_MS);
    return results.map(({ error }) => error?.code);
  }

  // Each at a broker that has handed nothing on yet.
  it.each<readonly [string, number, () => Opening]>([
    ['readers', 1, () => ({ kind: 'read', topic })],
    ['members of groups', 2, () => ({ kind: 'member', topic, group: 'crowd' })],
    ['consumers of a queue', 3, () => ({ kind: 'consumer', queue: 'jobs' })],
  ])('hands on what others append, beside many %s', async (_, brokerId, opening) => {
    const { address } = cluster.broker(brokerId);
    const streams = new ManyStreams(address);
    try {
      streams.open(STREAMS, opening());
      if (opening().kind !== 'read')
        await cluster.wait('all streams to be served', (note) => {
          note([streams.answered, streams.ended]);
          return when(streams.answered === STREAMS);
        });
      expect(await appendAll(address)).toEqual(NO_ERRORS);
      // Its connections break, and are made again.
      const other = (brokerId % 3) + 1;
      await cluster.broker(other).kill();
      await cluster.restart(other);
      await cluster.waitInSync(topic);
      expect(await appendAll(address)).toEqual(NO_ERRORS);
      expect(streams.ended).toBe(0);
    } finally {
      streams.close();
    }
  });
});
