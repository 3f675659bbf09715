/** `tidemark self-test` on real brokers: what it finds, and that it leaves nothing behind. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Command, tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';

describe('tidemark self-test', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  function selfTest(...args: string[]): Command {
    return tidemark([
      'self-test',
      '--output',
      'json',
      '--server',
      cluster.servers.join(','),
      ...args,
    ]);
  }

  async function topics(): Promise<string[]> {
    return (await cluster.admin.listTopics()).map(({ name }) => name);
  }

  it('appends to every broker and reads the same back', async () => {
    const { code, stdout, stderr } = await selfTest('--records', '20').result;
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      ok: true,
      sentence: 'ok: 60 records appended to 3 brokers came back as they were',
      faults: [],
      deleted: true,
      records: 60,
      recordsSame: 60,
      brokers: [{ records: 20 }, { records: 20 }, { records: 20 }],
    });
    expect(await topics()).toEqual([]);
  });

  it('names a broker that is down', async () => {
    const { controller } = await cluster.admin.describeCluster();
    const killed = controller === 2 ? 3 : 2;
    await cluster.broker(killed).kill();
    const { code, stdout } = await selfTest('--records', '5').result;
    expect(code).toBe(1);
    const report = JSON.parse(stdout.toString()) as { ok: boolean; sentence: string };
    expect(report.ok).toBe(false);
    expect(report.sentence).toContain(`broker ${killed} does not answer: `);
    expect(await topics()).toEqual([]);
    await cluster.restart(killed);
  });

  it('deletes its topic when it is interrupted', async () => {
    const testing = selfTest('--records', '1000000');
    await cluster.wait('its topic', async (note) => {
      const names = await topics();
      note(names);
      return when(names.some((name) => name.startsWith('tidemark-self-test-')));
    });
    testing.signal('SIGINT');
    expect((await testing.result).code).toBe(130);
    expect(await topics()).toEqual([]);
  });
});
