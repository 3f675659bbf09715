/**
 * Brokers whose own names nobody outside can resolve, and clients that have one address: a
 * forwarded port, or one load balancer. Plain calls do everything there; streams to leaders say
 * why they cannot.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type PlainPart, type Tidemark } from '../../client/index.ts';
import { tidemark as command } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';

const TOPIC = 'orders';
const KEYS = Array.from({ length: 60 }, (_, index) => `key-${index}`);

describe('one address alone', () => {
  let cluster: TestCluster;
  let client: Tidemark;
  const address = (): string => cluster.broker(1).address;

  beforeAll(async () => {
    cluster = await TestCluster.start({
      argsOf: (brokerId, port) => ['--advertise', `broker-${brokerId}.invalid:${port}`],
    });
    client = connect({ servers: address() });
  });
  afterAll(async () => {
    await client.close();
    await cluster.close();
  });

  async function read(topic: string): Promise<PlainPart['records']> {
    const found: PlainPart[] = [];
    for await (const part of client.plain().read(topic, { follow: false })) found.push(part);
    return found.flatMap(({ records }) => records);
  }

  /** Lines that the command printed. */
  async function run(args: readonly string[], input = ''): Promise<string[]> {
    const { code, stdout, stderr } = await command([...args], Buffer.from(input)).result;
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    return stdout.toString().trimEnd().split('\n');
  }

  it('is enough to make a topic, to append to partitions of every leader, and to read them', async () => {
    const config = { minInSyncReplicas: 2 };
    await client.admin().createTopic({ name: TOPIC, partitions: 6, replicationFactor: 3, config });
    await cluster.waitInSync(TOPIC);
    const leaders = await Promise.all(
      Array.from({ length: 6 }, (_, partition) => cluster.leader(TOPIC, partition)),
    );
    expect(new Set(leaders).size).toBe(3);
    const results = await client.plain().append(
      TOPIC,
      KEYS.map((key) => ({ key, value: key.toUpperCase(), headers: [{ key: 'h', value: 'x' }] })),
    );
    expect(results.flatMap(({ error }) => error ?? [])).toEqual([]);
    expect(new Set(results.map(({ partition }) => partition)).size).toBe(6);
    const records = await read(TOPIC);
    expect(records.map(({ key }) => Buffer.from(key!).toString()).sort()).toEqual(KEYS.toSorted());
    for (const { value, headers } of records)
      expect([Buffer.from(value!).toString(), headers.length]).toEqual([
        expect.stringMatching(/^KEY-/),
        1,
      ]);
  });

  it('is enough for the command', async () => {
    const lines = Array.from({ length: 5_000 }, (_, index) => `line ${index}`);
    const server = ['--server', address()];
    const made = ['topic', 'create', 'lines', '--partitions', '3', ...server];
    await run(made);
    const input = `${lines.join('\n')}\n`;
    const appended = await run(['append', 'lines', '--plain', ...server], input);
    expect(appended.join()).toContain('Appended 5,000 records');
    const all = await run(['read', 'lines', '--plain', ...server]);
    expect(all.sort()).toEqual(lines.toSorted());
    expect(await run(['read', 'lines', '--plain', '--max', '7', ...server])).toHaveLength(7);
  });

  it('is enough for consumers of a queue', async () => {
    await client.admin().createTopic({ name: 'jobs', partitions: 3, replicationFactor: 3 });
    await client.queues().create('jobs', { topic: 'jobs' });
    const jobs = Array.from({ length: 30 }, (_, index) => `job ${index}`);
    await client.plain().append(
      'jobs',
      jobs.map((value) => ({ value })),
    );
    const taken = await run(['read', '--queue', 'jobs', '--server', address()]);
    expect(taken.sort()).toEqual(jobs.toSorted());
  });

  it('says in the words of the broker what is refused', async () => {
    const partition = 99;
    const refused = [
      { topic: TOPIC, record: { partition, value: 'c' }, code: 'UNKNOWN_PARTITION' },
      { topic: 'nowhere', record: { value: 'x' }, code: 'UNKNOWN_TOPIC' },
    ];
    for (const { topic, record, code } of refused)
      await expect(client.plain().append(topic, [record])).rejects.toMatchObject({
        code,
        effect: 'none',
      });
  });

  it('goes on reading where a server fails in the middle of it, at another that was given', async () => {
    const both = connect({ servers: [cluster.broker(2).address, address()] });
    const seen: number[] = [];
    const first = Promise.withResolvers<undefined>();
    const reading = (async () => {
      for await (const { records } of both.plain().read(TOPIC, { partitions: [0] })) {
        seen.push(...records.map(({ offset }) => offset));
        first.resolve(undefined);
        if (records.some(({ value }) => Buffer.from(value ?? '').toString() === 'last')) return;
      }
    })();
    await first.promise;
    await cluster.broker(2).kill();
    await client.plain().append(TOPIC, [{ partition: 0, value: 'last' }]);
    await reading;
    expect(seen).toEqual([...new Set(seen)]);
    await both.close();
    await cluster.restore();
  });
});
