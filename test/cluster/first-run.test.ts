/**
 * The first run of README.md with real input: a public text goes in through the command while a
 * leader dies, and comes out byte for byte.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { linesOf, publicText } from './harness/text.ts';

const LINES_MIN = 200_000;
/** Records that are committed before the leader is killed. */
const RECORDS_BEFORE = 20_000;
const KEY = '^\\S+';

/**
 * Lines by key, each with its newline, in order; those without a key, which have no order, sorted.
 */
function byKey(text: Buffer): Map<string | undefined, Buffer> {
  const lines = new Map<string | undefined, Buffer[]>();
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(0x0a, at) + 1;
    const line = text.subarray(at, end === 0 ? text.length : end);
    const key = new RegExp(KEY).exec(line.toString())?.[0];
    const others = lines.get(key);
    if (others === undefined) lines.set(key, [line]);
    else others.push(line);
    at += line.length;
  }
  lines.get(undefined)?.sort((a, b) => a.compare(b));
  return new Map([...lines].map(([key, found]) => [key, Buffer.concat(found)]));
}

describe('tidemark append and read', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterAll(() => cluster.close());

  it('give back a public text byte for byte, in order per key, though a leader was killed', async () => {
    const text = publicText(LINES_MIN);
    const server = ['--server', cluster.servers.join(',')];
    const created = await tidemark([
      ...['topic', 'create', 'orders', '--partitions', '3', '--replication-factor', '3'],
      ...['--min-in-sync-replicas', '2', ...server],
    ]).result;
    expect(created, created.stderr).toMatchObject({ code: 0 });
    const { topicId } = await cluster.waitInSync('orders');
    const leader = await cluster.leader('orders');
    const append = tidemark(
      ['append', 'orders', '--key-by', KEY, '--output', 'json', ...server],
      text,
    );
    await cluster.wait(`${RECORDS_BEFORE} records`, async (note) => {
      const replicas = await cluster.replicas(topicId);
      const marks = replicas.filter(({ leading }) => leading).map((one) => one.highWaterMark);
      note(marks);
      return marks.reduce((sum, mark) => sum + mark, 0) > RECORDS_BEFORE ? true : undefined;
    });
    expect(append.isOver()).toBe(false);
    await cluster.broker(leader).kill();
    const appended = await append.result;
    expect(appended, appended.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(appended.stdout.toString())).toMatchObject({
      records: linesOf(text),
      failed: 0,
    });
    const read = await tidemark([
      'read',
      'orders',
      '--from',
      'earliest',
      '--format',
      'raw',
      ...server,
    ]).result;
    expect(read, read.stderr).toMatchObject({ code: 0 });
    const want = byKey(text);
    const have = byKey(read.stdout);
    const different = [...want].filter(([key, lines]) => !have.get(key)?.equals(lines));
    expect(different.map(([key]) => key)).toEqual([]);
    expect(read.stdout.length).toBe(text.length);
  });
});
