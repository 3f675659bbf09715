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

describe('read --group where groups have members', () => {
  const read = ['read', TOPIC, '--group', GROUP] as const;
  const attached = () => cluster.members.opens.length;

  beforeEach(() => {
    cluster.featureLevel = 13;
    cluster.members.start();
    cluster.append(1, frameOf('x'));
  });

  it('is a member up to the end, commits what was written, and leaves', async () => {
    const { exitCode, stdout } = await cli(...read);
    expect([exitCode, stdout.split('\n').toSorted()]).toEqual([0, ['', 'a', 'b', 'c', 'x']]);
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 3, 1: 1 });
    expect([attached(), cluster.members.members(GROUP)]).toEqual([1, []]);
    expect((await cli(...read)).stdout).toBe('');
  });

  it('goes on right behind the last record of --max, in the middle of a batch', async () => {
    const first = await cli(...read, '--follow', '--max', '2');
    const second = await cli(...read, '--follow', '--max', '2');
    const lines = [first, second].map(({ stdout }) => stdout.trim().split('\n'));
    expect(lines.map(({ length }) => length)).toEqual([2, 2]);
    expect(lines.flat().toSorted()).toEqual(['a', 'b', 'c', 'x']);
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 3, 1: 1 });
  });

  it('is none where it is alone, or names partitions', async () => {
    expect((await cli(...read, '--alone', '--partition', '1')).stdout).toBe('x\n');
    expect((await cli(...read, '--partition', '0')).stdout).toBe('a\nb\nc\n');
    expect(attached()).toBe(0);
  });

  it('begins only where a member may', async () => {
    const { exitCode, stderr } = await cli(...read, '--from', '2026-01-31');
    expect([exitCode, attached()]).toEqual([2, 0]);
    expect(stderr).toMatch(/--from of a member of a group is earliest or latest/);
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

  it('describe shows who reads what', async () => {
    const own = { topic: TOPIC, topicId: TOPIC_ID_BYTES, epoch: 3, isRevoked: false };
    const member = {
      ...{ memberId: 'id-1', instanceId: '', client: 'app 7 on host', rack: 'a', proxy: 2 },
      ...{ isAway: false, epoch: 3, topics: [TOPIC] },
      assigned: [
        { ...own, partition: 0 },
        { ...own, partition: 2, isRevoked: true },
      ],
      target: [
        { ...own, partition: 0 },
        { ...own, partition: 1, epoch: 0 },
      ],
    };
    cluster.groups.described = {
      ...{ epoch: 3, status: 'reconciling', assignor: 'balanced' },
      members: [member, { ...member, memberId: 'id-2', instanceId: 'pod-0', isAway: true }],
    };
    const byCursor = (await cli('group', 'describe', GROUP)).stdout.split('\n');
    expect(byCursor[0]).toMatch(/; 2 members, reconciling, balanced$/);
    expect(byCursor[2]).toMatch(/ id-1 +-$/);
    const { stdout } = await cli('group', 'describe', GROUP, '--members');
    expect(stdout.split('\n').slice(2, 4)).toEqual([
      expect.stringMatching(/^id-1 +- +app 7 on host +a +2 +3 +orders\/0,2\* +orders\/1$/),
      expect.stringMatching(/^id-2 +pod-0 .* away +3 /),
    ]);
    const json = await cli('group', 'describe', GROUP, '--output', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      status: 'reconciling',
      members: [{ memberId: 'id-1', broker: 2 }, { memberId: 'id-2' }],
    });
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
