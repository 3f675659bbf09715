/** `topic offsets`, `topic describe --all`, `topic delete` on a terminal, ranges of `read`. */
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { confirm } from '../../../../client/cli/confirm.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { compactedFrames } from '../../../fixtures/compacted.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf } from '../records.ts';
import { type Ran, runCli } from './run.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
});

afterEach(() => cluster.stop());

function cli(...args: string[]): Promise<Ran> {
  return runCli(args, { env: { TIDEMARK_SERVER: cluster.servers.join(',') } });
}

describe('topic offsets', () => {
  it('shows where each partition begins and ends', async () => {
    cluster.append(1, frameOf('a', 'b'));
    const { exitCode, stdout } = await cli('topic', 'offsets', TOPIC);
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout:
        'PARTITION  START  END  EPOCH  ERROR\n' +
        '        0      0    0      1  -\n' +
        '        1      0    2      1  -\n',
    });
  });

  it('shows what is at a moment, of the partitions asked', async () => {
    const args = ['topic', 'offsets', TOPIC, '--at', '2026-01-31', '-p', '1', '-o', 'json'];
    expect(JSON.parse((await cli(...args)).stdout)).toEqual([
      { partition: 1, offset: 0, logStart: 0, highWaterMark: 0, leaderEpoch: 1 },
    ]);
  });

  it('refuses a day that there is not', async () => {
    expect(await cli('topic', 'offsets', TOPIC, '--at', '2026-02-30')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("argument '2026-02-30' is invalid") as string,
    });
  });
});

describe('topic trim', () => {
  const asked = (): unknown[] =>
    cluster.adminCalls.map(({ request }) => {
      const { partition, offset } = request as { partition: number; offset: number };
      return { partition, offset };
    });

  beforeEach(() => {
    cluster.append(0, frameOf('a', 'b', 'c'));
    cluster.append(1, frameOf('d'));
  });

  it('makes a partition begin at an offset', async () => {
    expect(await cli('topic', 'trim', TOPIC, '--to', '2', '-p', '0')).toEqual({
      exitCode: 0,
      stdout: 'PARTITION  START BEFORE  START  ERROR\n        0             0      2  -\n',
      stderr: '',
    });
    expect(asked()).toEqual([{ partition: 0, offset: 2 }]);
    expect(cluster.adminCalls[0]?.request).toMatchObject({
      topicId: Buffer.from(topicIdToBytes('00000000-0000-4000-8000-0000000000aa')),
    });
  });

  it('says why a partition begins below what was asked', async () => {
    cluster.keptWhole = 1;
    const { stdout, stderr } = await cli('topic', 'trim', TOPIC, '--to', '2', '-p', '0');
    expect(stdout).toContain('        0             0      1  -\n');
    expect(stderr).toBe('A batch stays whole, so START is below what was asked.\n');
  });

  it('looks up once where everything of now ends', async () => {
    const { stdout } = await cli('topic', 'trim', TOPIC, '--to', 'latest', '-o', 'json');
    expect(JSON.parse(stdout)).toEqual([
      { partition: 0, startBefore: 0, start: 3 },
      { partition: 1, startBefore: 0, start: 1 },
    ]);
    expect(asked()).toEqual([
      { partition: 0, offset: 3 },
      { partition: 1, offset: 1 },
    ]);
  });

  it('says which partition was not trimmed', async () => {
    const args = ['topic', 'trim', TOPIC, '--to', '2', '-p', '0', '-p', '1', '-o', 'json'];
    const { exitCode, stdout } = await cli(...args);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject([
      { partition: 0, start: 2 },
      { partition: 1, error: { code: 'OFFSET_OUT_OF_RANGE' } },
    ]);
  });

  it.each([
    { args: ['--to', '2'], stderr: 'has 2 partitions: name each with --partition' },
    { args: ['--to', 'earliest'], stderr: 'Must be latest, an offset' },
    { args: ['--to', '2026-02-30'], stderr: 'is invalid. Must be latest, an offset' },
    { args: [], stderr: "required option '--to <where>' not specified" },
  ])('refuses $args, and trims nothing', async ({ args, stderr }) => {
    const ran = await cli('topic', 'trim', TOPIC, ...args);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain(stderr);
    expect(cluster.adminCalls).toEqual([]);
  });
});

describe('topic describe --all', () => {
  it('names the replicas whose broker says nothing', async () => {
    const { stdout } = await cli('topic', 'describe', TOPIC, '--all');
    expect(stdout).toContain('PARTITION  BROKER  ROLE      IN SYNC  START');
    expect(stdout).toMatch(/0 {7}1 {2}leader {4}yes/);
    expect(stdout).toContain('silent');
  });

  it.each([
    { follows: false, wanted: 3, text: '2, chosen for this topic' },
    { follows: true, wanted: 2, text: '2, follows the default of the cluster' },
    { follows: true, wanted: undefined, text: '2, follows the default of the cluster' },
    {
      follows: true,
      wanted: 4,
      text: '2, follows the default of the cluster, which is 4 now: more than it has copies',
    },
    {
      follows: true,
      wanted: 3,
      text: '2, follows the default of the cluster, which is 3 now: it waits for replicas in sync',
    },
  ])('says where the minimum comes from: $text', async ({ follows, wanted, text }) => {
    cluster.minimum = { follows, wanted };
    const { stdout } = await cli('topic', 'describe', TOPIC, '--all');
    expect(stdout).toContain(`\n  minimum          ${text}\n`);
  });
});

describe('read', () => {
  it('stops before an offset', async () => {
    cluster.append(0, frameOf('a', 'b', 'c'));
    expect((await cli('read', TOPIC, '--to', '2', '--follow', '-p', '0')).stdout).toBe('a\nb\n');
  });

  it('ends at its end though compaction left no record there, and nothing more comes', async () => {
    cluster.append(0, frameOf('a', 'b', 'c'));
    const one = cluster.partitions[0]!;
    const target = { topicIdBytes: TOPIC_ID_BYTES, partition: 0 };
    one.frames = compactedFrames(one.frames, (offset) => offset === 0, target);
    const args = ['read', TOPIC, '--to', `${one.end}`, '--follow', '-p', '0'];
    expect(await cli(...args)).toEqual({ exitCode: 0, stdout: 'a\n', stderr: '' });
  });

  it.each(['earliest', 'latest', 'tomorrow', '2026-02-30'])('refuses --to %s', async (to) => {
    expect((await cli('read', TOPIC, '--to', to)).exitCode).toBe(2);
  });

  it('keeps one key', async () => {
    cluster.append(0, frameOf('a'));
    expect((await cli('read', TOPIC, '--filter', 'key=k')).stdout).toBe('');
    expect((await cli('read', TOPIC, '--filter', 'value=a')).exitCode).toBe(2);
  });
});

describe('a question before what cannot be undone', () => {
  function terminal(isTTY: boolean) {
    const stream = (): PassThrough & { isTTY?: boolean } =>
      Object.assign(new PassThrough(), { isTTY });
    return {
      stdin: stream(),
      stdout: stream(),
      stderr: stream(),
      env: {},
      interrupted: new AbortController().signal,
    };
  }

  it.each([
    ['orders', true],
    ['yes', false],
    ['', false],
  ])('goes on after "%s": %s', async (typed, goesOn) => {
    const around = terminal(true);
    around.stdin.end(`${typed}\n`);
    const asked = confirm('Delete topic "orders"?', 'orders', around);
    if (goesOn) await asked;
    else await expect(asked).rejects.toThrow('nothing was done');
    const shown = around.stderr.end().setEncoding('utf8');
    expect((await shown.toArray()).join('')).toContain('Delete topic "orders"? Type "orders"');
  });

  it('takes the end of input for no', async () => {
    const around = terminal(true);
    around.stdin.end();
    await expect(confirm('Delete?', 'orders', around)).rejects.toThrow('nothing was done');
  });

  it('is not asked where nobody is there', async () => {
    const around = terminal(false);
    await confirm('Delete?', 'orders', around);
    expect(around.stderr.read()).toBeNull();
  });
});
