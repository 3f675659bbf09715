import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifyLog } from '../../../../client/cli/commands/log.ts';
import {
  bytesOf,
  frame,
  headersOf,
  startTestDisk,
  temporaryFolder,
  TOPIC,
} from '../../broker/storage/fixture.ts';
import { runCli } from './run.ts';

interface Verdict {
  readonly faults: number;
  readonly partitions: readonly { readonly records: number; readonly findings: unknown }[];
}

async function directory(): Promise<string> {
  const { disk, dataDir } = await startTestDisk();
  const log = await disk.openPartition(TOPIC, 0, { segmentBytes: 1 << 20, segmentMs: 1e9 });
  for (const one of [frame(0), frame(1)]) await log.append(bytesOf([one]), headersOf([one]));
  await disk.markClean();
  await disk.close();
  return dataDir;
}

describe('log verify', () => {
  it('shows a whole directory, and ends with 0', async () => {
    const folder = await directory();
    const { exitCode, stdout, stderr } = await runCli(['log', 'verify', folder]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('Broker 0 of cluster cluster');
    expect(stdout).toMatch(/PARTITION +SEGMENTS +BATCHES +RECORDS/);
    expect(stdout).toMatch(/\nNo fault\n$/);
  });

  it('names each fault, and ends with 1', async () => {
    const folder = await directory();
    const path = join(folder, 'partitions', `${TOPIC}-0`, `${'0'.repeat(20)}.log`);
    const { bytes } = frame(0);
    writeFileSync(path, Buffer.concat([bytes.fill(9, 80, 81), frame(1).bytes]));
    const shown = await runCli(['log', 'verify', folder]);
    expect(shown.exitCode).toBe(1);
    expect(shown.stdout).toMatch(
      /fault partitions\/.*\.log at byte 0: found .*crc.*; expected the batch of offset 0, /,
    );
    expect(shown.stdout).toMatch(/\n1 fault\n$/);
    const { exitCode, stdout } = await runCli(['log', 'verify', folder, '--output', 'json']);
    const verdict = JSON.parse(stdout) as Verdict;
    expect(exitCode).toBe(1);
    expect(verdict).toMatchObject({ faults: 1, partitions: [{ records: 1 }] });
  });

  it.each(['a broker has open', 'is not there', 'is none'])(
    'refuses a directory that %s',
    async (how) => {
      const { dataDir } = await startTestDisk();
      const other = temporaryFolder();
      mkdirSync(join(other, 'none'));
      const folder =
        how === 'a broker has open' ? dataDir : join(other, how === 'is none' ? 'none' : 'away');
      const { exitCode, stdout, stderr } = await runCli(['log', 'verify', folder]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toContain(folder);
    },
  );

  it('says where it runs when the broker is not installed', async () => {
    const { signal } = new AbortController();
    const { stdin, stdout, stderr } = process;
    const around = { stdin, stdout, stderr, env: {}, interrupted: signal };
    await expect(verifyLog('x', null, { output: 'json' }, around)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('where a broker is installed') as string,
    });
  });
});
