/** What `tidemark read --group` commits, and how groups are shown. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf } from '../records.ts';
import { type Ran, runCli } from './run.ts';

const GROUP = 'billing';
let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
  cluster.append(0, frameOf('a', 'b', 'c'));
});

afterEach(() => cluster.stop());

function cli(...args: readonly string[]): Promise<Ran> {
  return runCli(args, { env: { TIDEMARK_SERVER: cluster.servers.join(',') } });
}

describe('read --group', () => {
  const read = ['read', TOPIC, '--group', GROUP] as const;

  it('goes on right behind the last record of --max, in the middle of a batch', async () => {
    expect(await cli(...read, '--max', '2')).toMatchObject({ exitCode: 0, stdout: 'a\nb\n' });
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 2 });
    expect((await cli(...read, '--max', '2')).stdout).toBe('c\n');
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 3 });
    cluster.append(0, frameOf('d'));
    expect((await cli(...read)).stdout).toBe('d\n');
  });

  it('ends by --max while it follows', async () => {
    expect((await cli(...read, '--follow', '--max', '3')).stdout).toBe('a\nb\nc\n');
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 3 });
  });

  it('passes no record that was not written: --to is refused', async () => {
    const { exitCode, stderr } = await cli(...read, '--to', '1');
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/--to does not go with --group/) as string,
    });
    expect(cluster.groups.offsets(GROUP)).toEqual({});
  });
});

describe('group', () => {
  beforeEach(() => {
    const cursor = { topic: TOPIC, topicId: TOPIC_ID_BYTES, leaderEpoch: 0, generation: 1 };
    cluster.groups.put(GROUP, { ...cursor, partition: 0, offset: 1 });
  });

  it('describe says how far a group is behind, and for how long', async () => {
    const { stdout } = await cli('group', 'describe', GROUP);
    expect(stdout.split('\n')[0]).toBe(
      'Group billing, kept by broker 1; 2 offsets behind, the oldest for 2s',
    );
  });

  it('describe says that it is not known, and takes that for no 0', async () => {
    cluster.groups.fault = 'CURSOR_GONE';
    const { exitCode, stdout } = await cli('group', 'describe', GROUP);
    expect(exitCode).toBe(1);
    expect(stdout.split('\n')[0]).toBe(
      'Group billing, kept by broker 1; how far it is behind is not known',
    );
  });

  it('seek asks nobody about what cannot be done', async () => {
    cluster.groups.fault = 'OFFSET_OUT_OF_RANGE';
    const { exitCode, stdout, stderr } = await cli('group', 'seek', GROUP, TOPIC, '--to', '99');
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' });
    expect(stdout).toMatch(/OFFSET_OUT_OF_RANGE/);
    const sought = cluster.groups.calls.filter(({ method }) => method === 'seekGroup');
    expect(sought).toMatchObject([{ request: { dryRun: true } }]);
  });
});
