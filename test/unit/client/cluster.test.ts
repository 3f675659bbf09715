import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type Tidemark } from '../../../client/index.ts';
import { FakeCluster, TOPIC } from './fake-cluster.ts';

let cluster: FakeCluster;
let client: Tidemark | undefined;

beforeEach(async () => {
  cluster = new FakeCluster();
  await cluster.start();
});

afterEach(async () => {
  await client?.close();
  cluster.stop();
});

describe('connect()', () => {
  it.each([
    { servers: '', named: 'nothing' },
    { servers: 'localhost', named: '"localhost"' },
    { servers: '127.0.0.1:9641,127.0.0.1:0', named: '"127.0.0.1:0"' },
    { servers: 'http://127.0.0.1:9641', named: '"http://127.0.0.1:9641"' },
  ])('refuses "$servers"', ({ servers, named }) => {
    expect(() => connect({ servers })).toThrow(
      `Cannot connect: servers holds ${named}, must be host:port[,host:port]`,
    );
  });
});

describe('Admin', () => {
  it('asks another server when the first one is gone', async () => {
    client = connect({ servers: cluster.servers });
    cluster.killBroker(1);
    expect((await client.admin().describeTopic(TOPIC)).partitions).toHaveLength(1);
  });

  it('asks another server when the first one says nothing', async () => {
    cluster.silent.add(1);
    client = connect({ servers: cluster.servers });
    expect((await client.admin().describeTopic(TOPIC)).partitions).toHaveLength(1);
  });

  it('finds servers that it was not told of', async () => {
    client = connect({ servers: cluster.servers[0]! });
    await client.admin().describeCluster();
    cluster.killBroker(1);
    expect((await client.admin().describeCluster()).answeredBy).not.toBe(1);
  });

  it('does not dial a broker that has no address by the listener it came by, and says so', async () => {
    cluster.unreachable.add(1).add(2).add(3);
    client = connect({ servers: cluster.servers });
    const { brokers } = await client.admin().describeCluster();
    expect(brokers.map(({ host }) => host)).toEqual(['', '', '']);
    const producer = client.producer({ deliveryTimeoutMs: 1_000 });
    await expect(producer.send({ topic: TOPIC, value: 'a' })).rejects.toThrow(
      /broker \d has no address here/,
    );
    cluster.unreachable.clear();
    expect(await producer.send({ topic: TOPIC, value: 'a' })).toMatchObject({ offset: 0 });
  });

  it('throws with the code and advice of the details, not of the gRPC status', async () => {
    client = connect({ servers: cluster.servers });
    await expect(client.admin().describeTopic('nothing')).rejects.toMatchObject({
      name: 'TidemarkError',
      code: 'UNKNOWN_TOPIC',
      retry: 'no',
    });
  });

  it('throws UNREACHABLE when nobody listens', async () => {
    client = connect({ servers: ['127.0.0.1:1', '127.0.0.1:2'] });
    await expect(client.admin().describeCluster()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      retry: 'refresh',
    });
  });
});
