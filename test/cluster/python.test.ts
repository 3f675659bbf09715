/**
 * A program in another language, from generated code alone, against a broker that leads nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePython } from '../../scripts/python.mjs';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';

const PROTOS = ['errors', 'losses', 'records', 'log', 'consume'].map(
  (name) => `tidemark/v1/${name}.proto`,
);

describe('generated Python', () => {
  const environment = ensurePython();
  const python = 'python' in environment ? environment.python : '';
  const generated = mkdtempSync(join(tmpdir(), 'tidemark-python-'));
  let cluster: TestCluster | undefined;
  beforeAll(async () => {
    if (python === '') return;
    cluster = await TestCluster.start();
    const proto = join(ROOT, 'proto');
    const compiled = await command(python, [
      ...['-m', 'grpc_tools.protoc', '-I', proto],
      ...[`--python_out=${generated}`, `--grpc_python_out=${generated}`, ...PROTOS],
    ]).result;
    expect(compiled, compiled.stderr).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(generated, { recursive: true, force: true });
  });

  it('appends and reads through a broker that leads nothing', async (context) => {
    if ('missing' in environment) context.skip(environment.missing);
    if (cluster === undefined) throw new Error('there is no cluster');
    const { topicId } = await cluster.admin.createTopic({
      name: 'python',
      config: { minInSyncReplicas: 2 },
      assignments: [{ replicas: [1, 2] }],
    });
    await cluster.waitInSync('python');
    const [leader, , follower] = cluster.servers;
    const result = await command(
      python,
      [join(import.meta.dirname, 'python', 'generated.py'), follower ?? '', leader ?? '', topicId],
      { env: { PYTHONPATH: generated, PYTHONDONTWRITEBYTECODE: '1' } },
    ).result;
    expect(result, `${result.stderr}\n${cluster.logs(10)}`).toMatchObject({ code: 0 });
    const plain = [1, 2, 3].map((offset) => ({
      offset,
      key: 'key',
      value: `plain ${offset - 1}`,
      headers: {},
    }));
    expect(JSON.parse(result.stdout.toString())).toEqual({
      appended: [1, 2, 3, 4].map((offset) => ({ offset, error: '' })),
      produced: { batchId: 7, baseOffset: 5, error: '' },
      read: [
        ...plain,
        { offset: 4, key: 'key', value: null, headers: {} },
        { offset: 5, key: 'k1', value: 'hello', headers: {} },
        { offset: 6, key: null, value: 'world', headers: { trace: '0102' } },
        { offset: 7, key: 'k1', value: null, headers: {} },
      ],
      isServing: true,
      services: ['tidemark.v1.LogService', 'tidemark.v1.AdminService'],
    });
  });

  it('is a member of a group in twenty lines', async (context) => {
    if ('missing' in environment) context.skip(environment.missing);
    if (cluster === undefined) throw new Error('there is no cluster');
    const { name } = await cluster.createTopic({ partitions: 3 });
    const values = Array.from({ length: 30 }, (_, at) => `value ${at}`);
    await using client = cluster.connect();
    const producer = client.producer();
    await Promise.all(
      values.map((value, at) => producer.send({ topic: name, partition: at % 3, value })),
    );
    const result = await command(
      python,
      [
        join(import.meta.dirname, 'python', 'member.py'),
        ...[cluster.servers[1] ?? '', 'snakes', name, `${values.length}`],
      ],
      { env: { PYTHONPATH: generated, PYTHONDONTWRITEBYTECODE: '1' } },
    ).result;
    expect(result, `${result.stderr}\n${cluster.logs(10)}`).toMatchObject({ code: 0 });
    expect(JSON.parse(result.stdout.toString())).toEqual(values.toSorted());
    const { partitions, members } = await client.groups().describe('snakes');
    expect(members).toEqual([]);
    expect(partitions.map(({ lag }) => lag?.records)).toEqual([0, 0, 0]);
  });
});
