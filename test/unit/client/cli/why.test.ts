import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  ExplainPartitionResponse,
  PartitionDecision,
} from '../../../../proto/gen/tidemark/v1/explain.ts';
import { FakeCluster } from '../fake-cluster.ts';
import { runCli } from './run.ts';

const STAND = {
  leader: 1,
  leaderEpoch: 1,
  partitionEpoch: 1,
  syncSet: [1, 2, 3],
  suspects: [],
  quorum: 3,
};

function decision(index: number, atMs: number | undefined): PartitionDecision {
  return {
    index,
    atMs,
    before: STAND,
    after: { ...STAND, leader: 2, leaderEpoch: 2, syncSet: [2, 3] },
    reasons: [{ text: 'broker 1 is gone\u001b[2J', rule: 'rule 16' }],
  };
}

function memory(part: Partial<ExplainPartitionResponse>): ExplainPartitionResponse {
  return {
    brokerId: 1,
    metadataIndex: 10,
    summary: 'Broker 1 leads.',
    refusal: '',
    decisions: [],
    rememberedFrom: 0,
    ...part,
  };
}

describe('why', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = new FakeCluster(2);
    await cluster.start();
  });
  afterEach(() => cluster.stop());

  const why = (...args: readonly string[]) =>
    runCli(['why', ...args, '--server', cluster.servers.join(',')]);

  it('joins what all brokers remember, tells each decision once, and who did not answer', async () => {
    cluster.memories.set(1, memory({ decisions: [decision(7, undefined), decision(9, 5_000)] }));
    cluster.memories.set(
      2,
      memory({
        metadataIndex: 12,
        summary: 'Broker 2 leads.',
        refusal: 'Appends are refused: nobody is there.',
        decisions: [decision(9, 4_000), decision(5, 1_000)],
        rememberedFrom: 4,
      }),
    );
    const { exitCode, stdout } = await why('orders/1', '--output', 'json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      topic: 'orders',
      partition: 1,
      summary: 'Broker 2 leads.',
      refusal: 'Appends are refused: nobody is there.',
      metadataIndex: 12,
      rememberedFrom: 0,
      decisions: [{ index: 5, atMs: 1_000 }, { index: 7 }, { index: 9, atMs: 4_000 }],
      missing: [{ brokerId: 3 }],
    });
    const shown = await why('orders/1');
    expect(shown.stdout.split('\n').slice(0, 5)).toEqual([
      'Broker 2 leads.',
      'Appends are refused: nobody is there.',
      '',
      '1970-01-01T00:00:01.000Z  entry 5  leader 1 -> 2  epoch 1 -> 2  in sync 1,2,3 -> 2,3',
      '  broker 1 is gone\\u001b[2J (rule 16)',
    ]);
    expect(shown.stdout).toContain('before the start  entry 7');
    expect(shown.stderr).toContain('Broker 3 did not say what it remembers');
  });

  it('says from where on anybody remembers', async () => {
    for (const brokerId of [1, 2, 3])
      cluster.memories.set(brokerId, memory({ rememberedFrom: 20 + brokerId }));
    const { stderr } = await why('orders/0');
    expect(stderr).toBe('No broker remembers what was decided before entry 21 of the metadata.\n');
  });

  it.each([
    {
      name: 'what is no partition',
      args: ['orders'],
      exitCode: 2,
      words: 'must be <topic>/<number>',
    },
    { name: 'an unknown topic', args: ['other/0'], exitCode: 2, words: 'UNKNOWN_TOPIC' },
    { name: 'brokers that all say nothing', args: ['orders/0'], exitCode: 1, words: 'no broker' },
  ])('ends with $exitCode for $name', async ({ args, exitCode, words }) => {
    const ran = await why(...args);
    expect(ran).toMatchObject({ exitCode, stdout: '' });
    expect(ran.stderr).toContain(words);
  });
});
