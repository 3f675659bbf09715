import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RestartClass } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { OptionSource } from '../../../../proto/gen/tidemark/v1/options.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { frameOf, logOf } from '../records.ts';
import { type Ran, type RunOptions, runCli } from './run.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
});

afterEach(() => cluster.stop());

function cli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runCli(args, {
    ...options,
    env: { TIDEMARK_SERVER: cluster.servers.join(','), ...options.env },
  });
}

/** A change of a topic that leaves these as they are. */
const NO_CONFIGS = {
  ...{ retentionMs: undefined, retentionBytes: undefined, segmentBytes: undefined },
  ...{ segmentMs: undefined, batchBytesMax: undefined, uncleanElection: undefined },
  cleanup: undefined,
};
/** A change of settings that leaves these as they are. */
const NO_SETTINGS = { brokerOptions: {}, topicDefaults: undefined };

const TEXTS: readonly { readonly name: string; readonly text: string }[] = [
  { name: 'lines', text: 'one\ntwo\nthree\n' },
  { name: 'no newline at the end', text: 'one\ntwo' },
  { name: 'empty lines', text: '\n\none\n\n' },
  { name: 'carriage returns', text: 'one\r\ntwo\r\n' },
  { name: 'nothing', text: '' },
  { name: 'several bytes for a character', text: 'Größe\n水\n' },
];

describe('append and read --format raw', () => {
  it.each(TEXTS)('give back byte for byte: $name', async ({ text }) => {
    const appended = await cli(['append', TOPIC, '--partition', '0'], { stdin: text });
    expect(appended.exitCode).toBe(0);
    expect((await cli(['read', TOPIC, '--format', 'raw'])).stdout).toBe(text);
  });

  it('give back records that end with a zero byte', async () => {
    await cli(['append', TOPIC, '--partition', '0', '-0'], { stdin: 'a\nb\0c\0' });
    expect((await cli(['read', TOPIC, '--format', 'raw', '-0'])).stdout).toBe('a\nb\0c\0');
  });
});

describe('append', () => {
  it('puts equal keys of --key-by into one partition, in order', async () => {
    await cli(['append', TOPIC, '--key-by', '^\\S+'], { stdin: 'a 1\nb 1\nc 1\na 2\nb 2\nc 2\n' });
    const logs = [logOf(cluster, 0), logOf(cluster, 1)];
    expect(logs.flat()).toHaveLength(6);
    for (const key of ['a', 'b', 'c']) {
      const found = logs
        .map((log) => log.filter((line) => line.startsWith(key)))
        .filter((lines) => lines.length > 0);
      expect(found).toEqual([[`${key} 1`, `${key} 2`]]);
    }
  });

  it('summarizes records, bytes, retries and offsets', async () => {
    const { stdout } = await cli(['append', TOPIC, '--partition', '1', '--output', 'json'], {
      stdin: 'a\nb\n',
    });
    expect(JSON.parse(stdout)).toMatchObject({
      records: 2,
      retries: 0,
      failed: 0,
      partitions: [{ partition: 1, records: 2, firstOffset: 0, lastOffset: 1 }],
    });
  });

  it.each(['a\n', ''])(
    'exits with 2 for an unknown topic, whatever the input: %j',
    async (stdin) => {
      const { exitCode, stdout, stderr } = await cli(['append', 'nothing'], { stdin });
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      // A topic that is new may not be known everywhere, so the name is asked for again for a
      // while; where that takes half a second, it is said how the cluster is.
      expect(stderr).toMatch(/^(Waiting: .*\n)?tidemark: refused by the fake: UNKNOWN_TOPIC\n$/);
    },
  );

  it('exits with 2 for a partition that the topic has not', async () => {
    const { exitCode, stderr } = await cli(['append', TOPIC, '--partition', '2'], { stdin: '' });
    expect(exitCode).toBe(2);
    expect(stderr).toBe(`tidemark: Cannot append to "${TOPIC}": partition is 2, must be 0 to 1\n`);
  });
});

describe('append --if-offset', () => {
  const args = ['append', TOPIC, '--partition', '0', '--if-offset'];
  beforeEach(() => {
    cluster.featureLevel = 6;
  });

  it('appends all lines as one batch where the partition ends there', async () => {
    const { exitCode, stdout } = await cli([...args, '0', '--output', 'json'], { stdin: 'a\nb\n' });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      records: 2,
      partitions: [{ partition: 0, firstOffset: 0, lastOffset: 1 }],
    });
    expect(cluster.arrivals).toHaveLength(1);
  });

  it('appends nothing where others came first, and says so', async () => {
    await cli([...args, '0'], { stdin: 'a\n' });
    const { exitCode, stderr } = await cli([...args, '0'], { stdin: 'b\n' });
    expect([exitCode, logOf(cluster, 0)]).toEqual([1, ['a']]);
    expect(stderr).toContain('refused by the fake: OFFSET_TAKEN');
  });

  it.each([
    { name: 'no input', more: [], stdin: '', says: 'the number of records is 0' },
    {
      name: 'too much',
      more: ['--batch-bytes-max', '2KiB'],
      stdin: 'x'.repeat(3_000),
      says: 'those of one batch',
    },
    { name: 'acks', more: ['--acks', 'leader'], stdin: 'a', says: 'acks is "leader", must be all' },
    {
      name: 'a part',
      more: ['--skip-lines', '1'],
      stdin: 'a\nb\n',
      says: 'leave --skip-lines out',
    },
  ])('refuses $name', async ({ more, stdin, says }) => {
    const { exitCode, stderr } = await cli([...args, '0', ...more], { stdin });
    expect([exitCode, logOf(cluster, 0)]).toEqual([2, []]);
    expect(stderr).toContain(says);
  });

  it('appends one tombstone', async () => {
    await cli([...args, '0', '--tombstone', '--key', 'k']);
    expect(logOf(cluster, 0)).toEqual(['(none)']);
  });
});

describe('append --tombstone', () => {
  const EXPECTED = [
    { key: 'a', value: null },
    { key: 'b', value: null },
  ];

  async function readJson(): Promise<unknown[]> {
    const { stdout } = await cli(['read', TOPIC, '--format', 'json']);
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  }

  it('takes each line for a key, and read --format json shows null', async () => {
    const args = ['append', TOPIC, '--partition', '0', '--tombstone'];
    expect((await cli(args, { stdin: 'a\nb' })).exitCode).toBe(0);
    expect(await readJson()).toMatchObject(EXPECTED);
  });

  it('takes the key of a pattern', async () => {
    const args = ['append', TOPIC, '--partition', '0', '--tombstone', '--key-by', '^\\S+'];
    await cli(args, { stdin: 'a 1\nb 2\n' });
    expect(await readJson()).toMatchObject(EXPECTED);
  });

  it('appends one for --key, and reads nothing', async () => {
    await cli(['append', TOPIC, '--partition', '0'], { stdin: '\n' });
    const args = ['append', TOPIC, '--partition', '0', '--tombstone', '--key', 'a'];
    await cli(args, { stdin: 'x\ny\n' });
    expect(await readJson()).toMatchObject([{ value: '' }, { key: 'a', value: null }]);
    const text = (await cli(['read', TOPIC, '--format', 'text', '--keys'])).stdout;
    expect(text.split('\n')[1]).toMatch(/^0:1 {2}\S+ {2}a {2}\(tombstone\)$/);
    expect((await cli(['read', TOPIC, '--format', 'raw'])).stdout).toBe('\n');
    expect((await cli(['read', TOPIC, '--format', 'raw', '--keys'])).stdout).toBe('\t\na\n');
    const refused = await cli([...args, 'file']);
    expect(refused).toMatchObject({
      exitCode: 2,
      stderr: `tidemark: Cannot append to "${TOPIC}": --tombstone with --key appends one record and reads no file\n`,
    });
  });
});

describe('read', () => {
  it('stops after --max records', async () => {
    cluster.append(0, frameOf('a', 'b', 'c'));
    expect((await cli(['read', TOPIC, '--max', '2', '--follow'])).stdout).toBe('a\nb\n');
  });

  it('writes JSON lines', async () => {
    cluster.append(0, frameOf('a'));
    const { stdout } = await cli(['read', TOPIC, '--format', 'json', '--partition', '0']);
    expect(JSON.parse(stdout)).toEqual({
      partition: 0,
      offset: 0,
      leaderEpoch: 1,
      timestampMs: 1,
      value: 'a',
    });
  });

  it('writes text with what moves the cursor made visible', async () => {
    cluster.append(0, frameOf('\u001b[2Ja'));
    expect((await cli(['read', TOPIC, '--format', 'text'])).stdout).toBe(
      '0:0  1970-01-01T00:00:00.001Z  \\x1b[2Ja\n',
    );
  });

  it('ends in order, with exit code 130, when interrupted', async () => {
    const interrupt = new AbortController();
    const reading = cli(['read', TOPIC, '--follow'], { interrupted: interrupt.signal });
    await expect.poll(() => cluster.subscriptions.length).toBe(2);
    interrupt.abort();
    expect(await reading).toEqual({ exitCode: 130, stdout: '', stderr: '' });
  });

  it('ends before a cluster that does not answer is given up, when interrupted', async () => {
    for (const broker of [1, 2, 3]) cluster.silent.add(broker);
    const interrupt = new AbortController();
    const order: string[] = [];
    const patient = cli(['read', TOPIC]).then(() => order.push('patient'));
    const reading = cli(['read', TOPIC], { interrupted: interrupt.signal });
    const impatient = reading.then(() => order.push('impatient'));
    await expect.poll(() => cluster.unanswered).toBeGreaterThanOrEqual(2);
    interrupt.abort();
    expect(await reading).toMatchObject({ exitCode: 130, stdout: '' });
    await Promise.all([patient, impatient]);
    expect(order).toEqual(['impatient', 'patient']);
  });
});

describe('topic and cluster', () => {
  it('list topics as a table and as JSON', async () => {
    const table = (await cli(['topic', 'list'])).stdout;
    expect(table).toBe(
      'TOPIC   PARTITIONS  COPIES  MIN  COMMIT   RETENTION  HEALTH\norders           2       3    2  in-sync  forever    ok\n',
    );
    const [topic] = JSON.parse((await cli(['topic', 'list', '--output', 'json'])).stdout) as {
      name: string;
    }[];
    expect(topic?.name).toBe(TOPIC);
  });

  it('describe brokers although none of them reports', async () => {
    const { exitCode, stdout } = await cli(['cluster', 'describe']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('rack-1');
    expect(stdout).toContain('controller');
  });

  it('delete exits with 2 for an unknown topic, and with 0 with --if-exists', async () => {
    expect((await cli(['topic', 'delete', 'nothing'])).exitCode).toBe(2);
    expect((await cli(['topic', 'delete', 'nothing', '--if-exists'])).exitCode).toBe(0);
  });
});

const CHANGES: readonly {
  readonly args: string;
  readonly method: string;
  readonly request: unknown;
  readonly stdout: string;
}[] = [
  {
    args: 'cluster reassign orders 1 --replicas 3,2,4',
    method: 'reassignPartition',
    request: { topic: TOPIC, partition: 1, replicas: [3, 2, 4] },
    stdout: 'orders/1 is moving: +4\n',
  },
  {
    args: 'cluster reassign orders 1 --cancel',
    method: 'reassignPartition',
    request: { topic: TOPIC, partition: 1, replicas: [] },
    stdout: 'orders/1 stays at, or is ordered as, 1,2,3\n',
  },
  {
    args: 'cluster elect orders 1 --leader 2',
    method: 'electLeader',
    request: { topic: TOPIC, partition: 1, target: 2, unclean: false, givenUp: [] },
    stdout: 'orders/1 is led by broker 2 in epoch 7\n',
  },
  {
    args: 'cluster elect orders 1 --unclean --given-up 2,3',
    method: 'electLeader',
    request: { topic: TOPIC, partition: 1, unclean: true, givenUp: [2, 3] },
    stdout:
      'orders/1: the replicas are asked for their logs; to watch: tidemark cluster describe\n',
  },
  {
    args: 'cluster decommission 3',
    method: 'decommission',
    request: { brokerId: 3 },
    stdout:
      'Broker 3 is cordoned, 2 replicas still to be moved away; to watch: tidemark cluster describe\n',
  },
  {
    args: 'cluster recommission 3',
    method: 'recommission',
    request: { brokerId: 3 },
    stdout:
      'Broker 3 takes replicas again; what has left comes back with: tidemark cluster rebalance\n',
  },
  {
    args: 'cluster prepare-stop 3',
    method: 'prepareStop',
    request: { brokerId: 3 },
    stdout:
      'Broker 3 leads nothing; whether it may stop: tidemark cluster check-disruption 3; to take that back: tidemark cluster cancel-stop 3\n',
  },
  {
    args: 'cluster cancel-stop 3',
    method: 'cancelStop',
    request: { brokerId: 3 },
    stdout: 'Broker 3 may lead again\n',
  },
  {
    args: 'cluster defaults --replication-factor 3 --min 2 --commit-mode quorum',
    method: 'setClusterSettings',
    request: {
      settings: {
        ...NO_SETTINGS,
        moveBytesPerSecond: undefined,
        topicDefaults: { replicationFactor: 3, minInSyncReplicas: 2, commitMode: 2 },
      },
    },
    stdout:
      'New topics have 3 replicas, min 2, commit mode quorum unless their creator says otherwise\n',
  },
  {
    args: 'topic alter orders --min-in-sync-replicas default',
    method: 'alterTopic',
    request: {
      ...{ name: TOPIC, partitions: 0, replicationFactor: 0, waitMs: 0 },
      config: { ...NO_CONFIGS, commitMode: 0, minInSyncReplicas: 0 },
    },
    stdout: 'Altered "orders": 2 partitions, 3 copies of each, at least 2 in sync\n',
  },
  {
    args: 'cluster remove-broker 3',
    method: 'removeBroker',
    request: { brokerId: 3 },
    stdout: 'Removed broker 3\n',
  },
  {
    args: 'cluster limit --move-bytes-per-second 50MiB',
    method: 'setClusterSettings',
    request: { settings: { ...NO_SETTINGS, moveBytesPerSecond: 52_428_800 } },
    stdout: 'Moves are limited to 52.4 MB per second and broker\n',
  },
  {
    args: 'cluster limit --move-bytes-per-second none',
    method: 'setClusterSettings',
    request: { settings: { ...NO_SETTINGS, moveBytesPerSecond: -1 } },
    stdout: 'Moves are not limited\n',
  },
  {
    args: 'topic alter orders --replication-factor 3 --wait 1s',
    method: 'alterTopic',
    request: {
      name: TOPIC,
      config: { commitMode: 0 },
      partitions: 0,
      replicationFactor: 3,
      waitMs: 1000,
    },
    stdout: 'Altered "orders": 2 partitions, 3 copies of each, at least 2 in sync\n',
  },
];

describe('__complete', () => {
  it.each([
    ['topics', `${TOPIC}\n`],
    ['partitions', `${TOPIC}/0\n${TOPIC}/1\n`],
    ['brokers', '1\n2\n3\n'],
  ])('names the %s of the cluster', async (kind, stdout) => {
    expect(await cli(['__complete', kind])).toEqual({ exitCode: 0, stdout, stderr: '' });
  });

  it('names its groups', async () => {
    cluster.groups.cursors.set('billing', new Map());
    expect((await cli(['__complete', 'groups'])).stdout).toBe('billing\n');
  });

  it('says nothing where the cluster does not answer', async () => {
    for (const broker of [1, 2, 3]) cluster.silent.add(broker);
    const silent = { exitCode: 0, stdout: '', stderr: '' };
    expect(await cli(['__complete', 'topics'])).toEqual(silent);
    expect(await cli(['__complete', 'topics', '--server', 'no server'])).toEqual(silent);
  });
});

describe('topic alter --cleanup', () => {
  const args =
    'topic alter orders --cleanup both --retention-records 10 --tombstone-retention-ms 2h';

  it('says what becomes of old records', async () => {
    cluster.featureLevel = 12;
    const ran = await cli(args.split(' '));
    expect(ran).toMatchObject({ exitCode: 0, stderr: '' });
    const cleanup = { cleanup: 3, retentionRecords: 10, tombstoneRetentionMs: 7_200_000 };
    expect(cluster.adminCalls).toMatchObject([
      { method: 'alterTopic', request: { config: { cleanup } } },
    ]);
  });

  it('is refused where a broker may not know of it', async () => {
    cluster.featureLevel = 11;
    const ran = await cli(args.split(' '));
    expect(ran.stderr).toContain(
      'Cannot alter topic: cleanup and retentionRecords need feature level 12, the cluster is at 11',
    );
    expect(cluster.adminCalls).toEqual([]);
  });
});

describe('changes of the cluster', () => {
  it.each(CHANGES)('$args', async ({ args, method, request, stdout }) => {
    const ran = await cli(args.split(' '));
    expect(ran).toEqual({ exitCode: 0, stdout, stderr: '' });
    expect(cluster.adminCalls).toEqual([{ method, request }]);
  });
});

describe('cluster prepare-stop', () => {
  it('ends with 1 where the broker still leads, so that no script goes on to stop it', async () => {
    cluster.leadersLeft = 2;
    expect(await cli(['cluster', 'prepare-stop', '3'])).toEqual({
      exitCode: 1,
      stdout: 'Broker 3 still leads 2 partitions: refused by the fake: NOT_ENOUGH_REPLICAS\n',
      stderr: '',
    });
  });
});

const REPORT = {
  brokerId: 1,
  brokerEpoch: 1,
  version: '0.1.0',
  restartClass: RestartClass.RESTART_CLASS_CLEAN,
  restartReason: '',
  replicas: [],
  freeBytes: 0,
  flushAgeMs: 0,
  memoryBytes: 0,
  uptimeMs: 0,
  metadataFault: '',
  diskFault: '',
  timeRetentionPaused: false,
  timeRetentionReason: '',
  options: [
    { name: 'log-level', value: 'info', source: OptionSource.OPTION_SOURCE_DEFAULT, live: true },
  ],
};

describe('cluster config', () => {
  beforeEach(() => {
    for (const brokerId of [1, 2, 3])
      cluster.reports.set(brokerId, () => ({ ...REPORT, brokerId }));
  });

  it('names the brokers that it cannot speak of', async () => {
    cluster.killBroker(3);
    const { stdout, stderr } = await cli(['cluster', 'config']);
    expect(stdout).toBe(
      'OPTION     BROKER  VALUE  FROM     CHANGE\nlog-level       1  info   default  live\nlog-level       2  info   default  live\n',
    );
    expect(stderr).toBe('Not in service, so nobody knows their options: brokers 3\n');
  });

  it('refuses to take back what no broker knows, before anything is changed', async () => {
    expect(await cli(['cluster', 'config', '--set', 'log-level=debug', '--unset', 'nope'])).toEqual(
      {
        exitCode: 2,
        stdout: '',
        stderr: 'tidemark: --unset is "nope": no broker has such an option\n',
      },
    );
    expect(cluster.adminCalls).toEqual([]);
  });
});

describe('cluster decommission --wait', () => {
  it('ends with an error when the broker is recommissioned meanwhile', async () => {
    const waiting = cli(['cluster', 'decommission', '3', '--wait']);
    await expect.poll(() => cluster.cordoned.has(3)).toBe(true);
    cluster.cordoned.delete(3);
    expect(await waiting).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'tidemark: broker 3 was recommissioned meanwhile\n',
    });
  });

  it('ends when nothing is left', async () => {
    const waiting = cli(['cluster', 'decommission', '7', '--wait', '--output', 'json']);
    expect(JSON.parse((await waiting).stdout)).toEqual({
      brokerId: 7,
      cordoned: true,
      replicasLeft: 0,
    });
  });
});

describe('cluster rebalance', () => {
  const plan = [
    { topic: TOPIC, partition: 0, from: [1, 2, 3], to: [1, 2, 4], bytes: 2_500_000 },
    { topic: TOPIC, partition: 1, from: [2, 3, 1], to: [4, 3, 1], bytes: undefined },
  ];
  const shown = `TOPIC   PARTITION  FROM   TO     BYTES TO MOVE
orders          0  1,2,3  1,2,4  2.5 MB
orders          1  2,3,1  4,3,1  unknown
2 moves, 2.5 MB to move, and an unknown number for 1 of them
`;

  it('prints the plan and moves nothing with --dry-run', async () => {
    cluster.plan = plan;
    expect(await cli(['cluster', 'rebalance', '--dry-run'])).toEqual({
      exitCode: 0,
      stdout: shown,
      stderr: '',
    });
    expect(cluster.adminCalls.map(({ method }) => method)).toEqual(['planRebalance']);
  });

  it('prints the plan, then submits each of its moves', async () => {
    cluster.plan = plan;
    expect(await cli(['cluster', 'rebalance'])).toEqual({
      exitCode: 0,
      stdout: shown,
      stderr: 'Began 2 moves; to watch: tidemark cluster describe\n',
    });
    expect(cluster.adminCalls.slice(1)).toEqual([
      {
        method: 'reassignPartition',
        request: { topic: TOPIC, partition: 0, replicas: [1, 2, 4] },
      },
      {
        method: 'reassignPartition',
        request: { topic: TOPIC, partition: 1, replicas: [4, 3, 1] },
      },
    ]);
  });

  it('says so when there is nothing to move', async () => {
    expect((await cli(['cluster', 'rebalance'])).stdout).toBe('Balanced: nothing to move\n');
  });
});

describe('cluster describe', () => {
  it('shows limit, cordons, moves with what is left of them, and what shares a rack', async () => {
    cluster.moveBytesPerSecond = 1_000_000;
    cluster.cordoned.add(2);
    cluster.partitions[0]!.adding = [4];
    cluster.partitions[0]!.removing = [3];
    cluster.spread = {
      spanning: 1,
      faultsTotal: 12,
      faults: [{ topic: TOPIC, partition: 1, reason: 'misplaced', message: 'both on rack-1' }],
    };
    const { stdout } = await cli(['cluster', 'describe']);
    expect(stdout).toContain('feature level 1');
    expect(stdout).toContain('Moves are limited to 1.0 MB per second and broker\n');
    expect(stdout).toMatch(/\n +2 .* silent, cordoned /);
    expect(stdout).toContain(
      'MOVING  PARTITION  REPLICAS  LEFT     RATE  ETA\norders          0  +4 -3     unknown  -     unknown: broker 4 down\n',
    );
    expect(stdout).toContain('orders                 1  misplaced  both on rack-1\n');
    expect(stdout).toContain('and 11 more: --output json\n');
  });

  it('names the disk that takes no records', async () => {
    cluster.reports.set(1, () => ({
      ...REPORT,
      diskFault: 'the data volume is 5 bytes below its reserve of 9 bytes',
    }));
    const { stdout } = await cli(['cluster', 'describe']);
    expect(stdout).toMatch(/\n +1 .* up, disk full /);
    expect(stdout).toContain('takes no appends: the disk of its leader, broker 1, is full');
    expect(stdout).toContain(
      'Broker 1 takes no records: the data volume is 5 bytes below its reserve of 9 bytes\n',
    );
  });

  it('gives scripts everything', async () => {
    cluster.partitions[0]!.adding = [4];
    const { stdout } = await cli(['cluster', 'describe', '--output', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({
      featureLevel: 1,
      settings: { brokerOptions: {}, moveBytesPerSecond: -1 },
      moves: [{ topic: TOPIC, partition: 0, adding: [4], removing: [] }],
      spread: { spanning: 2, faultsTotal: 0, faults: [] },
    });
  });
});

describe('bench append', () => {
  it('says that there is no such topic, and nothing else', async () => {
    const { exitCode, stdout, stderr } = await cli(['bench', 'append', 'nothing']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toBe('tidemark: refused by the fake: UNKNOWN_TOPIC\n');
  });

  it('reports latency, rate and the longest gap', async () => {
    const { exitCode, stdout } = await cli([
      'bench',
      'append',
      TOPIC,
      '--records',
      '500',
      '--size',
      '100',
      '--output',
      'json',
    ]);
    const report = JSON.parse(stdout) as {
      records: number;
      latencyMs: { p50: number; max: number };
      longestGapMs: number;
    };
    expect(exitCode).toBe(0);
    expect(report.records).toBe(500);
    expect(report.latencyMs.p50).toBeLessThanOrEqual(report.latencyMs.max);
  });
});

describe('local', () => {
  let folder: string;
  let launcher: Server;
  const requests: unknown[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-local-'));
    const socket = join(folder, 'socket');
    launcher = createServer((connection) => {
      connection.once('data', (line) => {
        requests.push(JSON.parse(line.toString()));
        connection.end(
          `${JSON.stringify({ ok: true, message: 'as told', brokers: [{ broker: 1, state: 'up' }] })}\n`,
        );
      });
    });
    await new Promise<void>((resolve) => launcher.listen(socket, resolve));
    await writeFile(join(folder, 'local.json'), JSON.stringify({ launcherPid: 1, socket }));
    expect(await readFile(join(folder, 'local.json'), 'utf8')).toContain('socket');
  });

  afterAll(async () => {
    await new Promise((resolve) => launcher.close(resolve));
    await rm(folder, { recursive: true });
  });

  const COMMANDS: readonly { readonly args: readonly string[]; readonly request: unknown }[] = [
    { args: ['kill', '2'], request: { command: 'kill', broker: 2, signal: 'SIGKILL' } },
    { args: ['kill', '2', '--pause'], request: { command: 'kill', broker: 2, signal: 'SIGSTOP' } },
    { args: ['kill', '2', '--stop'], request: { command: 'kill', broker: 2, signal: 'SIGTERM' } },
    { args: ['start', '2'], request: { command: 'start', broker: 2 } },
  ];

  it.each(COMMANDS)('$args asks the launcher', async ({ args, request }) => {
    expect(await runCli(['local', ...args, '--data', folder])).toEqual({
      exitCode: 0,
      stdout: 'as told\n',
      stderr: '',
    });
    expect(requests.at(-1)).toEqual(request);
  });

  it('status shows what the launcher knows', async () => {
    const { stdout } = await runCli(['local', 'status', '--data', folder]);
    expect(stdout).toBe('BROKER  STATE\n     1  up\n');
  });
});
