/**
 * `tidemark debug bundle` on real brokers, one of them dead: it holds what the others say, names
 * what is missing, and nothing of what was planted where it must not look.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';

const PLANTED = 'planted-never-to-be-shown';

interface Manifest {
  readonly health: string;
  readonly missing: readonly { readonly file: string; readonly reason: string }[];
}

describe('debug bundle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-bundle-'));
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ env: { SERVICE_TOKEN: PLANTED } });
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('says what it lacks, and holds no record and no secret', async () => {
    const { name } = await cluster.createTopic({ assignments: [[1, 2, 3]] });
    const producer = cluster.client.producer();
    await producer.send({
      topic: name,
      key: Buffer.from(PLANTED),
      value: Buffer.from(PLANTED),
      headers: [{ key: PLANTED, value: Buffer.from(PLANTED) }],
    });
    await producer.close();
    await cluster.broker(3).kill();
    await cluster.wait('the death of broker 3', async () => {
      const { partitions } = await cluster.admin.describeTopic(name);
      return when(partitions.every(({ syncSet }) => !syncSet.includes(3)));
    });
    const file = join(folder, 'bundle.tar.gz');
    const bundle = () =>
      command(
        process.execPath,
        [
          join(ROOT, 'client/cli/main.ts'),
          ...['debug', 'bundle', '--file', file, '--output', 'json'],
        ],
        { env: { TIDEMARK_SERVER: cluster.servers.join(','), API_SECRET: PLANTED } },
      ).result;
    const made = await bundle();
    expect(made, made.stderr).toMatchObject({ code: 0 });
    execFileSync('tar', ['-xzf', file], { cwd: folder });
    const root = join(folder, 'tidemark-bundle');
    const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((each) => statSync(join(root, each)).isFile())
      .sort();
    expect(names).toEqual([
      'brokers/1/broker.json',
      'brokers/1/metrics.txt',
      'brokers/2/broker.json',
      'brokers/2/metrics.txt',
      'cluster.json',
      'health.json',
      'manifest.json',
      'quorum.json',
      'spread.json',
      'topics.json',
      `why/${name}-0.json`,
    ]);
    const text = (each: string): string => readFileSync(join(root, each), 'utf8');
    for (const each of names) expect(text(each), each).not.toContain(PLANTED);
    const { missing, health } = JSON.parse(text('manifest.json')) as Manifest;
    expect(missing.map((each) => each.file).sort()).toEqual([
      'brokers/3/broker.json',
      'brokers/3/metrics.txt',
    ]);
    expect(health).toContain('broker 3');
    expect(text('brokers/1/metrics.txt')).toContain('tidemark_');
    expect(text(`why/${name}-0.json`)).toContain('broker 3 is fenced');
    // What is there is not written over.
    const again = await bundle();
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('EEXIST');
  });
});
