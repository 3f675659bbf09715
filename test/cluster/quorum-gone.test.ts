/** Two of three brokers are gone: every tool says so, and what it waits for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Health } from '../../client/cli/health.ts';
import { type Command, tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { waitFor, when } from './harness/wait.ts';

const GONE = 'no controller: 2 of 3 voters are silent (1, 3)';

describe('the tools, when the quorum is gone', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
    await cluster.client.admin().createTopic({ name: 'orders', partitions: 1 });
    await cluster.waitInSync('orders');
    const producer = cluster.client.producer();
    await producer.send({ topic: 'orders', value: Buffer.from('v') });
    await producer.close();
  });
  afterAll(() => cluster.close());

  const start = (...args: string[]): Command =>
    tidemark([...args, '--server', cluster.servers.join(',')]);
  const run = async (...args: string[]): Promise<{ code: number | null; stdout: string }> => {
    const { code, stdout } = await start(...args).result;
    return { code, stdout: stdout.toString() };
  };
  const health = async (): Promise<Health & { readonly code: number | null }> => {
    const { code, stdout } = await run('cluster', 'health', '-o', 'json');
    return { ...(JSON.parse(stdout) as Health), code };
  };

  it('are content while all are there', async () => {
    expect(await health()).toEqual({
      code: 0,
      level: 'ok',
      sentence: 'safe to lose one broker',
      findings: [],
    });
  });

  it('say first that there is no controller, and why', async () => {
    await Promise.all([1, 3].map((id) => cluster.broker(id).kill()));
    const { code, level, sentence } = await health();
    expect({ code, level }).toEqual({ code: 1, level: 'failing' });
    expect(sentence).toBe(`${GONE}; 1 partition takes no appends`);
    const { stdout } = await run('cluster', 'describe');
    expect(stdout).toMatch(/^No controller: 2 of 3 voters are silent \(1, 3\)/);
    // Nothing that cannot take a record is called sound, and nobody knows how far the dead lag.
    expect(stdout).toMatch(/^orders .* - {4}(?:takes no|refuses) appends/m);
  });

  it('name the voters, by the word of any broker', async () => {
    const { code, stdout } = await run('quorum', 'describe');
    expect(code).toBe(1);
    expect(stdout).toContain(GONE.replace('no', 'No'));
    expect(stdout).toMatch(/1 .* silent\n +2 .* up\n +3 .* silent\n/);
  });

  it('say what they wait for, and go on when it is over', async () => {
    const create = start('topic', 'create', 'late');
    const read = start('read', 'orders', '--max', '1');
    for (const { printed } of [create, read])
      await waitFor('the reason', () => when(printed().includes(`Waiting: ${GONE}`)));
    await create.kill();
    await Promise.all([1, 3].map((id) => cluster.restart(id)));
    const { code, stdout } = await read.result;
    expect({ code, text: stdout.toString() }).toEqual({ code: 0, text: 'v\n' });
  });
});
