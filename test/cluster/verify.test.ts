/**
 * `tidemark log verify` on what real brokers leave: it finds no fault after a kill or an orderly
 * stop, finds the byte that was changed since, and keeps away from a broker that runs.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { underLoad } from './harness/scenario.ts';

interface Verified {
  readonly faults: number;
  readonly directory: { readonly brokerId: number; readonly findings: readonly unknown[] };
  readonly partitions: readonly {
    readonly key: string;
    readonly records: number;
    readonly segments: number;
    readonly findings: readonly unknown[];
  }[];
}

describe('log verify', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterAll(() => cluster.close());

  const run = (folder: string) =>
    command(process.execPath, [
      join(ROOT, 'client/cli/main.ts'),
      ...['log', 'verify', folder, '--output', 'json'],
    ]).result;

  async function verified(brokerId: number, exitCode: number): Promise<Verified> {
    const { code, stdout, stderr } = await run(cluster.broker(brokerId).dataDir);
    expect({ code, stderr }, stdout.toString()).toEqual({ code: exitCode, stderr: '' });
    return JSON.parse(stdout.toString()) as Verified;
  }

  it('refuses while a broker runs, and finds nothing in what a kill or a stop leaves', async () => {
    const config = { segmentBytes: 1024 * 1024 };
    const load = { valueBytes: 5_000 };
    await underLoad(cluster, { config, load }, async ({ progress }) => {
      const refused = await run(cluster.broker(1).dataDir);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('a broker has it open');
      // Through a kill of each while it is written to.
      for (const brokerId of [1, 2, 3]) {
        await cluster.broker(brokerId).kill();
        expect((await verified(brokerId, 0)).directory.brokerId).toBe(brokerId);
        await cluster.restart(brokerId);
        await progress(40);
      }
    });
    await cluster.broker(1).kill();
    await cluster.broker(2).kill();
    await cluster.broker(3).stop();
    for (const brokerId of [1, 2, 3]) {
      const { partitions } = await verified(brokerId, 0);
      expect(partitions.length).toBeGreaterThanOrEqual(3);
      for (const { records } of partitions) expect(records).toBeGreaterThan(0);
    }
    const { dataDir } = cluster.broker(3);
    const [path = ''] = readdirSync(join(dataDir, 'partitions'), { recursive: true })
      .map((name) => join(dataDir, 'partitions', String(name)))
      .filter((name) => name.endsWith('.log') && statSync(name).size > 0);
    const bytes = readFileSync(path);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 16;
    writeFileSync(path, bytes);
    const { faults, partitions } = await verified(3, 1);
    expect(faults).toBe(1);
    expect(partitions.flatMap(({ findings }) => findings)).toContainEqual(
      expect.objectContaining({ grade: 'fault', file: path.slice(dataDir.length + 1) }),
    );
  });
});
