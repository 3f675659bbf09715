/** What `tidemark read --queue` takes, and accepts. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { type Ran, runCli } from './run.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster();
  cluster.featureLevel = 15;
  await cluster.start();
  cluster.queues.start();
  cluster.queues.add('a', 'b', 'c');
});

afterEach(() => cluster.stop());

function cli(...args: readonly string[]): Promise<Ran> {
  return runCli(args, { env: { TIDEMARK_SERVER: cluster.servers.join(',') } });
}

describe('read --queue', () => {
  it('accepts what it wrote, and takes nothing else in vain', async () => {
    const read = ['read', '--queue', 'jobs', '--max', '2'] as const;
    expect(await cli(...read)).toMatchObject({ exitCode: 0, stdout: 'a\nb\n' });
    expect(cluster.queues.fates()).toEqual({ accept: ['a', 'b'], '': ['c'] });
    expect(cluster.queues.leasedMost).toBe(1);
    expect(cluster.queues.streams).toEqual([]);
  });

  it('ends when nothing comes any more, of the topic that it names', async () => {
    const { exitCode, stdout } = await cli('read', TOPIC, '--queue', 'jobs');
    expect([exitCode, stdout]).toEqual([0, 'a\nb\nc\n']);
    expect(cluster.queues.fates()).toEqual({ accept: ['a', 'b', 'c'] });
    expect(cluster.queues.opens.map(({ group, topics }) => [group, topics])).toEqual([
      ['jobs', [TOPIC]],
    ]);
  });

  it('fails where a record cannot be accepted', async () => {
    cluster.queues.outcomeRefusals.push('LEASE_LOST');
    const { exitCode, stderr } = await cli('read', '--queue', 'jobs', '--max', '1');
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/LEASE_LOST/);
  });

  it('goes with nothing that chooses records, and a topic is needed without it', async () => {
    for (const option of [
      ['--group', 'g'],
      ['--from', 'latest'],
      ['--filter', 'key=k'],
    ])
      expect((await cli('read', '--queue', 'jobs', ...option)).exitCode).toBe(2);
    expect(await cli('read')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/topic is missing, must be given without --queue/) as string,
    });
    expect(cluster.queues.opens).toEqual([]);
  });
});
