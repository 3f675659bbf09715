/** A reader that comes across what an unclean election may have lost. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Consumer,
  connect,
  type LossRange,
  type Position,
  type ReadOptions,
  type Tidemark,
} from '../../../../client/index.ts';
import { runCli } from '../cli/run.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { frameOf, text } from '../records.ts';

const PLACE = { topic: TOPIC, topicId: '00000000-0000-4000-8000-0000000000aa', partition: 0 };
const LOSS = { kind: 'loss', ...PLACE, leaderEpoch: 2, fromOffset: 1, toOffset: 2, atMs: 7 };

let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster(1);
  await cluster.start();
  client = connect({ servers: cluster.servers });
  cluster.append(0, frameOf('a', 'b'));
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

type Yielding = Consumer<Uint8Array, Uint8Array, LossRange>;

function consumerOf(options: Omit<ReadOptions, 'onLoss'> = {}): Yielding {
  return client.consumer({ topic: TOPIC, onLoss: 'yield', follow: false, ...options });
}

/** Elects `leader`, which may lack what was read from an offset on. */
function electUncleanly(leader: number, fromOffset: number): void {
  const { leaderEpoch, losses } = cluster.partitions[0]!;
  losses.push({ leaderEpoch: leaderEpoch + 1, fromOffset });
  cluster.elect(0, leader);
}

/** Values, and ranges as they come between them, until `count` are there or the end. */
async function take(consumer: Yielding, count = Number.POSITIVE_INFINITY): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const item of consumer.records()) {
    found.push('kind' in item ? item : text(item.value));
    if (found.length >= count) break;
  }
  return found;
}

describe('Consumer with onLoss', () => {
  it('says of a compacted topic that older records of a key may be gone too', async () => {
    cluster.isCompacted = true;
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    expect(await take(consumerOf())).toEqual(['a', 'b', { ...LOSS, isCompacted: true }, 'c']);
    const words = 'of a key whose newest record is, the older ones may be gone too';
    await expect(take(consumerOf({ onLoss: 'throw' } as object))).rejects.toThrow(words);
    const { stderr } = await runCli(['read', TOPIC], {
      env: { TIDEMARK_SERVER: cluster.servers.join(',') },
    });
    expect(stderr).toContain(words);
  });

  it('yields a range in its place, between records and between batches', async () => {
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    expect(await take(consumerOf())).toEqual(['a', 'b', LOSS, 'c']);
    const kinds: string[] = [];
    for await (const item of consumerOf()) kinds.push('kind' in item ? item.kind : 'batch');
    expect(kinds).toEqual(['batch', 'loss', 'batch']);
  });

  it('yields it once: positions behind it know of it', async () => {
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    const consumer = consumerOf();
    expect(await take(consumer, 3)).toEqual(['a', 'b', LOSS]);
    const positions = consumer.positions();
    expect(positions).toEqual([{ ...PLACE, offset: 2, leaderEpoch: 2 }]);
    expect(await take(consumerOf({ positions }))).toEqual(['c']);
    expect(await take(consumer)).toEqual(['c']);
  });

  it('yields it to a reader that was away', async () => {
    const before = consumerOf();
    expect(await take(before)).toEqual(['a', 'b']);
    const positions = before.positions();
    electUncleanly(2, 1);
    electUncleanly(3, 2);
    cluster.append(0, frameOf('c'));
    const second = { ...LOSS, leaderEpoch: 3, fromOffset: 2, toOffset: 3 };
    expect(await take(consumerOf({ positions }))).toEqual([LOSS, second, 'c']);
  });

  it('yields it to a reader that follows, over a change of the leader', async () => {
    const consumer = consumerOf({ follow: true });
    const items = consumer.records();
    expect([await items.next(), await items.next()]).toMatchObject([
      { value: { offset: 0 } },
      { value: { offset: 1 } },
    ]);
    electUncleanly(2, 1);
    expect(await items.next()).toEqual({ done: false, value: LOSS });
    cluster.append(0, frameOf('c'));
    expect(await items.next()).toMatchObject({ value: { offset: 3 } });
    await items.return();
  });

  it('says nothing of an election that lost nothing, nor to who starts behind', async () => {
    cluster.elect(0, 2);
    cluster.append(0, frameOf('c'));
    expect(await take(consumerOf())).toEqual(['a', 'b', 'c']);
    electUncleanly(3, 4);
    cluster.append(0, frameOf('d', 'e'));
    expect(await take(consumerOf({ from: { offset: 6 } }))).toEqual(['e']);
  });

  it('throws by default, once everything before it was handed out, and again until it is passed', async () => {
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    const consumer = client.consumer({ topic: TOPIC });
    const found: string[] = [];
    const read = async (): Promise<void> => {
      for await (const { value } of consumer.records()) found.push(text(value));
    };
    const lost = {
      code: 'RECORDS_MAY_BE_LOST',
      retry: 'no',
      effect: 'none',
      message: `Cannot read on at ${TOPIC}/0 offset 2: records may be lost from offset 1 of epochs before 2 (unclean election)`,
      details: { topic: TOPIC, partition: 0, offset: 2, losses: [LOSS] },
    };
    await expect(read()).rejects.toMatchObject(lost);
    expect(found).toEqual(['a', 'b']);
    const positions = consumer.positions();
    expect(positions).toMatchObject([{ offset: 2, leaderEpoch: 1 }]);
    await expect(
      client.consumer({ topic: TOPIC, positions }).records().next(),
    ).rejects.toMatchObject(lost);
    const { topicId, partition, toOffset: offset, leaderEpoch } = LOSS;
    const behind: Position = { topic: TOPIC, topicId, partition, offset, leaderEpoch };
    expect(await take(consumerOf({ positions: [behind] }))).toEqual(['c']);
  });

  it.each(['POSITION_DIVERGED', 'OFFSET_OUT_OF_RANGE'] as const)(
    'tells of it where the position is gone: %s',
    async (code) => {
      electUncleanly(2, 1);
      cluster.append(0, frameOf('c'));
      const positions = [{ partition: 0, offset: 3, leaderEpoch: 1 }];
      cluster.fetchError = code;
      await expect(take(consumerOf({ positions }))).rejects.toMatchObject({
        code,
        details: { losses: [LOSS] },
      });
      cluster.fetchError = code;
      const throwing = client.consumer({ topic: TOPIC, positions, onReset: 'latest' });
      await expect(throwing.records().next()).rejects.toMatchObject({
        code: 'RECORDS_MAY_BE_LOST',
        details: { losses: [LOSS] },
      });
      cluster.fetchError = code;
      expect(await take(consumerOf({ positions, onReset: 'latest' }))).toEqual([LOSS]);
      cluster.fetchError = code;
      const again = consumerOf({ positions, onReset: 'earliest' });
      expect(await take(again)).toEqual([LOSS, 'a', 'b', 'c']);
    },
  );

  it('asks about a position right at the end, which may be one of another log', async () => {
    cluster.fetchError = 'POSITION_DIVERGED';
    const positions = [{ partition: 0, offset: 2, leaderEpoch: 1 }];
    await expect(take(consumerOf({ positions }))).rejects.toMatchObject({
      code: 'POSITION_DIVERGED',
    });
    expect(await take(consumerOf({ positions }))).toEqual([]);
  });

  it('tells of it before it passes over what cannot be decoded behind it', async () => {
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    cluster.damages = 100;
    const consumer = consumerOf({ onUndecodable: 'skip', from: { offset: 2 } });
    const items = consumer.records();
    expect(await items.next()).toEqual({ done: false, value: LOSS });
    cluster.damages = 0;
    await items.return();
  });

  it('is told by the command, which goes on or fails', async () => {
    electUncleanly(2, 1);
    cluster.append(0, frameOf('c'));
    const env = { TIDEMARK_SERVER: cluster.servers.join(',') };
    const sentence = `Records may be lost: ${TOPIC}/0 from offset 1 of epochs before 2 (unclean election, 1970-01-01T00:00:00.007Z)\n`;
    expect(await runCli(['read', TOPIC], { env })).toEqual({
      exitCode: 0,
      stdout: 'a\nb\nc\n',
      stderr: sentence,
    });
    const asJson = await runCli(['read', TOPIC, '-o', 'json'], { env });
    expect(JSON.parse(asJson.stderr)).toEqual({ loss: LOSS });
    expect(await runCli(['read', TOPIC, '--on-loss', 'fail'], { env })).toMatchObject({
      exitCode: 1,
      stdout: 'a\nb\n',
      stderr: expect.stringContaining('records may be lost from offset 1') as string,
    });
  });
});
