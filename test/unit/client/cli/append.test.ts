import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../../client/cli/program.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { logOf } from '../records.ts';
import { type Ran, type RunOptions, runCli } from './run.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
});

afterEach(() => cluster.stop());

function cli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runCli(args, { ...options, env: { TIDEMARK_SERVER: cluster.servers.join(',') } });
}

/** Into one partition, so that the order is known. */
function append(args: readonly string[], stdin: string | Uint8Array): Promise<Ran> {
  return cli(['append', TOPIC, '--partition', '0', ...args], { stdin });
}

async function readJson(): Promise<Record<string, unknown>[]> {
  const { stdout } = await cli(['read', TOPIC, '--format', 'json']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a line that cannot be appended', () => {
  it('is named, with how many are appended and how to go on', async () => {
    const long = 'x'.repeat(2_000);
    const lines = `one\ntwo\n${long}\nfour\n`;
    const first = await append(['--batch-bytes-max', '1KiB'], lines);
    expect(first.exitCode).toBe(2);
    expect(first.stderr).toBe(
      'tidemark: Cannot append line 3: it has 2015 bytes, must have 956 (batchBytesMax less the header) or fewer; 2 records are appended; to go on: mend the line, then --skip-lines 2; or leave it out with --skip-lines 3\n',
    );
    expect((await append(['--batch-bytes-max', '1KiB', '--skip-lines', '3'], lines)).exitCode).toBe(
      0,
    );
    expect(logOf(cluster, 0)).toEqual(['one', 'two', 'four']);
  });

  it('tells scripts the same', async () => {
    const { stdout, stderr } = await append(
      ['--batch-bytes-max', '1KiB', '--output', 'json'],
      `one\n${'x'.repeat(2_000)}\n`,
    );
    expect(JSON.parse(stdout)).toMatchObject({ records: 1, failed: 0, skipLines: 1 });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'BATCH_TOO_LARGE', retry: 'no', effect: 'none' },
    });
  });

  it('is found although it never ends, behind the lines before it', async () => {
    const input = Buffer.concat([Buffer.from('one\n'), Buffer.alloc(9 * 1024 * 1024, 'x')]);
    const { exitCode, stderr } = await append([], input);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(
      /^tidemark: Cannot append line 2: it has more than .* 1 record is appended; to go on: --skip-lines 1\n$/,
    );
    expect(logOf(cluster, 0)).toEqual(['one']);
  });

  it('is counted within its file and over all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-append-'));
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await writeFile(a, 'one\ntwo');
    await writeFile(b, `three\n${'x'.repeat(2_000)}\n`);
    const { stderr } = await cli(['append', TOPIC, a, b, '--batch-bytes-max', '1KiB']);
    expect(stderr).toContain(`Cannot append line 2 of "${b}", which is line 4 of all: `);
    expect((await cli(['append', TOPIC, folder])).stderr).toContain('it is a folder');
    await rm(folder, { recursive: true });
  });
});

describe('a batch that is refused midway', () => {
  it('names its first line, and counts what is appended before and behind it', async () => {
    // Which of the two batches meets it is chance.
    cluster.faults = [{ kind: 'refuse', code: 'TIMESTAMP_IN_FUTURE' }];
    const lines = '{"value":"a","partition":0}\n{"value":"b","partition":1}\n';
    const { exitCode, stdout, stderr } = await cli(
      ['append', TOPIC, '--input', 'json', '--output', 'json'],
      { stdin: lines },
    );
    const failed = logOf(cluster, 0).length === 0 ? 1 : 2;
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ records: 1, failed: 1, skipLines: failed - 1 });
    const { error } = JSON.parse(stderr) as { error: { message: string } };
    expect(error.message).toContain(`Cannot append line ${failed}: `);
    expect(error.message).toContain(
      failed === 1
        ? '1 record is appended, 1 of them from lines behind it, which come twice when you go on; to go on: --skip-lines 0'
        : '1 record is appended; to go on: --skip-lines 1',
    );
  });

  it('says so where nobody knows whether it is appended', async () => {
    cluster.faults = [{ kind: 'append-then-refuse', code: 'OUTCOME_UNKNOWN' }];
    const { stderr } = await append([], 'a\n');
    expect(stderr).toContain(
      'is appended all the same is not known: read back first; to go on: --skip-lines 0',
    );
  });
});

describe('--skip-lines', () => {
  it('refuses more lines than there are', async () => {
    const { exitCode, stderr } = await append(['--skip-lines', '3'], 'one\ntwo\n');
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      '--skip-lines is 3, must be at most the lines of the input, which has 2',
    );
    expect((await append(['--skip-lines', '2'], 'one\ntwo\n')).exitCode).toBe(0);
  });
});

describe('--key-by', () => {
  it('keeps the bytes of keys that are no UTF-8, each its own', async () => {
    await append(['--key-by', '^\\S+'], Buffer.from('\xe4 1\n\xf6 2\nü 3\n', 'latin1'));
    const keys = (await readJson()).map(({ keyBase64 }) => keyBase64);
    expect(keys).toEqual(['5A==', '9g==', '/A==']);
  });

  it('finds the same key whether or not the rest of the line is UTF-8', async () => {
    // The second byte of "à" alone would be a space.
    const line = Buffer.concat([Buffer.from('à 1\nà '), Buffer.of(0xff), Buffer.from('\n')]);
    await append(['--key-by', '^\\S+'], line);
    expect((await readJson()).map(({ key }) => key)).toEqual(['à', 'à']);
  });
});

describe('--header', () => {
  it('adds to every record, in order, beside what a line has', async () => {
    const args = ['--header', 'a=1', '--header', 'b=x=y'];
    await append(args, 'one');
    await append(
      [...args, '--input', 'json'],
      '{"value":"two","headers":[{"name":"c","value":""}]}',
    );
    const ab = [
      { name: 'a', value: '1' },
      { name: 'b', value: 'x=y' },
    ];
    expect((await readJson()).map(({ headers }) => headers)).toEqual([
      [...ab, { name: 'tidemark-unterminated', value: '' }],
      [{ name: 'c', value: '' }, ...ab],
    ]);
  });
});

describe('--input json', () => {
  const LINES = [
    { partition: 1, timestampMs: 5, keyBase64: '/w==', valueBase64: 'gA==' },
    { partition: 1, timestampMs: 6, key: '', value: null },
    { partition: 1, timestampMs: 7, value: 'a\nb', headers: [{ name: 'x', valueBase64: '/w==' }] },
  ];

  it('takes what read --format json prints, and gives the same back', async () => {
    const stdin = LINES.map((line) => `${JSON.stringify(line)}\n`).join('');
    expect((await cli(['append', TOPIC, '--input', 'json'], { stdin })).exitCode).toBe(0);
    expect(await readJson()).toMatchObject(LINES);
    const printed = (await cli(['read', TOPIC, '--format', 'json'])).stdout;
    await cli(['append', TOPIC, '--input', 'json'], { stdin: printed });
    expect(await readJson()).toMatchObject([...LINES, ...LINES]);
  });

  it('follows --partition, or with --repartition the key, in place of the line', async () => {
    const stdin = '{"value":"a","partition":9}\n';
    const refused = await cli(['append', TOPIC, '--input', 'json'], { stdin });
    expect(refused.stderr).toContain(
      'Cannot append line 1: partition is 9, must be 0 to 1; 0 records are appended',
    );
    expect((await append(['--input', 'json'], stdin)).exitCode).toBe(0);
    const spread = await cli(['append', TOPIC, '--input', 'json', '--repartition'], { stdin });
    expect(spread.exitCode).toBe(0);
  });

  it.each([
    [['--key', 'a', '--tombstone'], 'leave --key, --tombstone out'],
    [['--key-by', 'a', '-0'], 'leave --key-by, --null-delimited out'],
    [['--repartition'], '--repartition needs --input json, and no --partition'],
  ])('refuses %j', async (args, reason) => {
    const { exitCode, stderr } = await append(['--input', 'json', ...args], '');
    expect(exitCode).toBe(2);
    expect(stderr).toContain(reason);
  });
});

describe('a last line without a newline', () => {
  it('keeps its boundary to what is appended later', async () => {
    await append([], 'one\ntwo');
    expect((await cli(['read', TOPIC, '--format', 'raw'])).stdout).toBe('one\ntwo');
    await append([], 'three');
    expect((await cli(['read', TOPIC, '--format', 'raw'])).stdout).toBe('one\ntwo\nthree');
  });
});

describe('append that is interrupted', () => {
  it('says what it still waits for', async () => {
    cluster.isHolding = true;
    const interrupt = new AbortController();
    const stderr = new PassThrough();
    const told: string[] = [];
    stderr.setEncoding('utf8').on('data', (text: string) => told.push(text));
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const env = { TIDEMARK_SERVER: cluster.servers.join(',') };
    const args = ['append', TOPIC, '--partition', '0'];
    const interrupted = interrupt.signal;
    const running = run(args, { stdin, stdout: stdout.resume(), stderr, env, interrupted });
    stdin.write('one\n');
    await expect.poll(() => logOf(cluster, 0)).toEqual(['one']);
    interrupt.abort();
    await expect
      .poll(() => told.join(''))
      .toMatch(/^Interrupted: waiting for what becomes of .* B /);
    cluster.releaseHeld();
    expect(await running).toBe(130);
    expect(told.join('')).toMatch(/\nInterrupted; to go on: --skip-lines 1\n$/);
  });
});

describe('append to a cluster that does not answer', () => {
  it('says what it waits for before it gives up', async () => {
    for (const broker of [1, 2, 3]) cluster.silent.add(broker);
    const { exitCode, stderr } = await append([], 'one\n');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^Waiting: no answer yet from 127\.0\.0\.1:\d+,/);
  });
});
