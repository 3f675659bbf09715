/** A topic that leaves one name as a file and comes back under another, and files at fault. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';

const PARTITIONS = 3;
const RECORDS = 2_000;

describe('topic export and import', () => {
  let cluster: TestCluster;
  let folder: string;
  beforeAll(async () => {
    cluster = await TestCluster.start();
    folder = await mkdtemp(join(tmpdir(), 'tidemark-topic-files-'));
    await cluster.admin.createTopic({
      name: 'orders',
      partitions: PARTITIONS,
      config: { commitMode: 'quorum', retentionMs: -1 },
    });
    await appendAllKinds();
  });
  afterAll(async () => {
    await cluster.close();
    await rm(folder, { recursive: true });
  });

  async function run(args: readonly string[], stdin?: Buffer) {
    return tidemark([...args, '--server', cluster.servers.join(',')], stdin).result;
  }

  async function done(args: readonly string[], stdin?: Buffer): Promise<Buffer> {
    const result = await run(args, stdin);
    expect(result, result.stderr).toMatchObject({ code: 0 });
    return result.stdout;
  }

  /** In compressed batches and plain ones: with keys and without, binary ones, and tombstones. */
  async function appendAllKinds(): Promise<void> {
    for (const compression of ['none', 'gzip', 'zstd']) {
      const lines = Array.from({ length: RECORDS }, (_, number) =>
        JSON.stringify({
          timestampMs: 1_700_000_000_000 + number,
          ...(number % 3 === 0
            ? {}
            : { keyBase64: Buffer.of(0xff, number % 251).toString('base64') }),
          ...(number % 7 === 0
            ? { value: null }
            : { value: `${compression} ${number} ${'x'.repeat(number % 50)}` }),
          headers: [{ name: 'n', valueBase64: Buffer.of(0x80, number % 256).toString('base64') }],
        }),
      );
      const stdin = Buffer.from(`${lines.join('\n')}\n`);
      await done(['append', 'orders', '--input', 'json', '--compression', compression], stdin);
    }
  }

  /** Each partition's records in order, without what an import changes. */
  async function contentOf(topic: string): Promise<string[][]> {
    const lines = (await done(['read', topic, '--format', 'json'])).toString().trim().split('\n');
    const partitions = Array.from({ length: PARTITIONS }, (): string[] => []);
    for (const line of lines) {
      const {
        partition,
        offset: _,
        leaderEpoch: _epoch,
        ...rest
      } = JSON.parse(line) as {
        partition: number;
        offset: number;
        leaderEpoch: number;
      };
      partitions[partition]!.push(JSON.stringify(rest));
    }
    return partitions;
  }

  it('keep partitions, order, times, keys, tombstones and headers', async () => {
    const file = join(folder, 'orders');
    await writeFile(file, await done(['topic', 'export', 'orders']));
    const imported = await done([
      'topic',
      'import',
      'copy',
      file,
      '--compression',
      'zstd',
      '--output',
      'json',
    ]);
    expect(JSON.parse(imported.toString())).toMatchObject({
      created: true,
      records: 3 * RECORDS,
      alreadyThere: 0,
      failed: 0,
    });
    const wanted = await contentOf('orders');
    expect(wanted.flat()).toHaveLength(3 * RECORDS);
    expect(await contentOf('copy')).toEqual(wanted);
    expect((await cluster.admin.describeTopic('copy')).config).toMatchObject({
      commitMode: 'quorum',
      retentionMs: -1,
    });
    const again = await run(['topic', 'import', 'copy', file]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('it exists and holds records; --resume goes on');
    await done(['topic', 'import', 'copy', file, '--resume']);
    expect(await contentOf('copy')).toEqual(wanted);
  });

  it('refuse a file that is cut or changed before a topic is made of it', async () => {
    const whole = await done(['topic', 'export', 'orders']);
    const lines = whole.toString().split('\n');
    const cut = join(folder, 'cut');
    await writeFile(cut, lines.slice(0, 1_000).join('\n'));
    const changed = join(folder, 'changed');
    await writeFile(changed, lines.with(500, lines[500]!.replace('17', '18')).join('\n'));
    const ofCut = await run(['topic', 'import', 'faulty', cut]);
    expect(ofCut).toMatchObject({ code: 2 });
    expect(ofCut.stderr).toContain('it is cut: after 999 records');
    const ofChanged = await run(['topic', 'import', 'faulty', changed]);
    expect(ofChanged).toMatchObject({ code: 2 });
    expect(ofChanged.stderr).toContain('line 501: it has the CRC-32');
    expect((await cluster.admin.listTopics()).map(({ name }) => name)).not.toContain('faulty');
  });

  it('go on behind what an import from a cut stream has appended', async () => {
    const whole = await done(['topic', 'export', 'orders']);
    const lines = whole.toString().split('\n');
    const half = Buffer.from(`${lines.slice(0, RECORDS).join('\n')}\n`);
    const first = await run(['topic', 'import', 'halves'], half);
    expect(first).toMatchObject({ code: 2 });
    expect(first.stderr).toContain(
      '1,999 records are appended; to go on: the same command with --resume',
    );
    const second = await done(['topic', 'import', 'halves', '--resume', '--output', 'json'], whole);
    expect(JSON.parse(second.toString())).toMatchObject({
      created: false,
      records: 3 * RECORDS - 1_999,
      alreadyThere: 1_999,
    });
    expect(await contentOf('halves')).toEqual(await contentOf('orders'));
    await done(['append', 'halves'], Buffer.from('one more\n'));
    const refused = await run(['topic', 'import', 'halves', '--resume'], whole);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/partition \d holds \d+ records and the file \d+, or others/);
  });

  it('fill a compacted topic with all of it, also records without a key, and then have it compacted', async () => {
    // Its records are years old.
    const config = { cleanup: 'compact', retentionMs: 86_400_000 } as const;
    await cluster.admin.alterTopic({ name: 'orders', config });
    const whole = await done(['topic', 'export', 'orders']);
    const wanted = await contentOf('orders');
    const lines = whole.toString().split('\n');
    const half = Buffer.from(`${lines.slice(0, RECORDS).join('\n')}\n`);
    expect(await run(['topic', 'import', 'state'], half)).toMatchObject({ code: 2 });
    const unfinished = await cluster.admin.describeTopic('state');
    expect(unfinished.config).toMatchObject({ cleanup: 'delete', retentionMs: -1 });
    await done(['topic', 'import', 'state', '--resume'], whole);
    expect(await contentOf('state')).toEqual(wanted);
    expect((await cluster.admin.describeTopic('state')).config).toMatchObject(config);
    const refused = await run(['append', 'state'], Buffer.from('no key'));
    expect(refused.stderr).toContain('key is missing, must be there');
  });
});
