/** How queues are made and shown on the command line. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { errorToMessage } from '../../../../wire/grpc/errors.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { SETTLED } from '../fake-queue-admin.ts';
import { type Ran, runCli } from './run.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
});
afterEach(() => cluster.stop());

function cli(...args: readonly string[]): Promise<Ran> {
  return runCli(args, { env: { TIDEMARK_SERVER: cluster.servers.join(',') } });
}

const last = () => cluster.queueAdmin.calls.at(-1)?.request;

describe('queue create and alter', () => {
  it('state what was asked for', async () => {
    const letters = ['--deliveries-max', '5', '--dead-letter-topic', 'dead'];
    const order = ['--key-ordered', 'true', '--parks-keys', 'true', '--from', 'latest'];
    const { exitCode, stdout } = await cli(
      ...['queue', 'create', 'jobs', TOPIC, '--lease', '2m', ...letters, ...order],
    );
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: `Created jobs of ${TOPIC}: leases of 2m, dead letters to dead after 5 deliveries, in order by key, parked\n`,
    });
    expect(last()).toMatchObject({
      ...{ name: 'jobs', topic: TOPIC, from: 2 },
      config: {
        ...{ leaseMs: 120_000, deliveriesMax: 5, deadLetterTopic: 'dead' },
        ...{ keyOrdered: true, parksKeys: true, delayMinMs: undefined },
      },
    });
  });

  it('take the dead-letter topic and key order away', async () => {
    cluster.queueAdmin.put('jobs', TOPIC, { deadLetterTopic: 'dead', keyOrdered: true });
    const { stdout } = await cli(
      ...['queue', 'alter', 'jobs', '--dead-letter-topic', 'none', '--key-ordered', 'false'],
      ...['--delay-min', '0s', '--delay-max', '10m'],
    );
    expect(stdout).toBe(`Now jobs of ${TOPIC}: leases of 30s, no dead letters\n`);
    expect(last()).toMatchObject({
      config: { deadLetterTopic: '', keyOrdered: false, delayMinMs: 0, delayMaxMs: 600_000 },
    });
  });

  it('refuse what changes nothing, and no duration', async () => {
    expect(await cli('queue', 'alter', 'jobs')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/Name a setting to change/) as string,
    });
    const forever = await cli('queue', 'create', 'jobs', TOPIC, '--lease', 'forever');
    expect(forever).toMatchObject({ exitCode: 2 });
    expect(cluster.queueAdmin.calls).toEqual([]);
  });
});

describe('queue', () => {
  beforeEach(() => {
    cluster.queueAdmin.put('jobs', TOPIC);
  });

  it('list shows what each keeps to', async () => {
    cluster.queueAdmin.put('mails', 'others', {
      ...{ leaseMs: 90_000, deliveriesMax: 3, deadLetterTopic: 'dead', keyOrdered: true },
    });
    const lines = (await cli('queue', 'list')).stdout.split('\n');
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['QUEUE', 'TOPIC', 'LEASE', 'DELIVERIES', 'DEAD LETTERS', 'ORDER'],
      ['jobs', TOPIC, '30s', '-', '-', '-'],
      ['mails', 'others', '90s', '3', 'dead', 'key'],
      [''],
    ]);
    expect((await cli('queue', 'list', '--topic', 'none')).stderr).toMatch(/There are no queues/);
  });

  it('describe shows partitions, what blocks them, and members', async () => {
    const blocked = { offset: 5, key: Buffer.from('customer-7'), kind: 'leased', memberId: 'm-1' };
    cluster.queueAdmin.partitions = [
      {
        ...{ ...SETTLED, nextOffset: 2_005, lagRecords: 1_012, lagMs: 65_000 },
        ...{ leased: 4, waiting: 3, delayed: 2, dying: 1, parked: 2, parkedOffsets: [6, 9] },
        blocked,
      },
      { ...SETTLED, partition: 1, owner: 2 },
    ];
    cluster.queueAdmin.members = [{ memberId: 'm-1', client: 'worker', proxy: 2, leased: 4 }];
    const { exitCode, stdout } = await cli('queue', 'describe', 'jobs');
    expect(exitCode).toBe(0);
    const rows = stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
    expect(rows[0]?.[0]).toBe(
      `Queue jobs of ${TOPIC}: leases of 30s, no dead letters; 1,012 records not settled`,
    );
    expect(rows[2]).toEqual(
      [0, 1, 2005, 1012, '1m 5s', 4, 3, 2, 1, 2, '5 of key customer-7, leased by m-1'].map(String),
    );
    expect(rows[3]).toEqual([1, 2, 0, 0, '-', 0, 0, 0, 0, 0, '-'].map(String));
    expect(stdout).toMatch(/^Parked in partition 0: 6, 9$/m);
    expect(stdout).toMatch(/^m-1 +worker +2 +4$/m);
    const json = await cli('queue', 'describe', 'jobs', '--output', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      ...{ name: 'jobs', config: { leaseMs: 30_000, isKeyOrdered: false } },
      partitions: [{ lagRecords: 1_012, blocked: { offset: 5, key: 'customer-7' } }, { owner: 2 }],
      members: [{ memberId: 'm-1', broker: 2, leased: 4 }],
    });
  });

  it('describe ends with 1 where a partition is not known, and shows no number of it', async () => {
    const error = errorToMessage(new BrokerError('BROKER_NOT_READY', 'not begun'));
    cluster.queueAdmin.partitions = [SETTLED, { ...SETTLED, partition: 1, error }];
    const { exitCode, stdout } = await cli('queue', 'describe', 'jobs');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/; all is settled; of 1 partitions it is not known/);
    expect(stdout).toMatch(/BROKER_NOT_READY: not begun/);
    const json = await cli('queue', 'describe', 'jobs', '--output', 'json');
    const { partitions } = JSON.parse(json.stdout) as { partitions: object[] };
    expect(partitions[1]).toMatchObject({ partition: 1, error: { code: 'BROKER_NOT_READY' } });
    expect(partitions[1]).not.toHaveProperty('lagRecords');
  });

  it('free and delete say what they did', async () => {
    expect(await cli('queue', 'free', 'jobs', '3', '1042')).toMatchObject({
      exitCode: 0,
      stdout: 'The key of record 1042 of partition 3 goes on in queue jobs\n',
    });
    expect(last()).toEqual({ name: 'jobs', partition: 3, offset: 1042 });
    expect((await cli('queue', 'delete', 'jobs')).stdout).toBe('Forgot queue jobs\n');
    expect(await cli('queue', 'delete', 'jobs')).toMatchObject({ exitCode: 2 });
  });
});
