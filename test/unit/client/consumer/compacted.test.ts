/** Reading what compaction left of a log: every record that stayed, once, and every position. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connect,
  type Position,
  type ReadOptions,
  type Tidemark,
} from '../../../../client/index.ts';
import type { Consumer } from '../../../../client/consumer/consumer.ts';
import { compactedFrames } from '../../../fixtures/compacted.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf, text } from '../records.ts';

let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster();
  await cluster.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

const TARGET = { topicIdBytes: TOPIC_ID_BYTES, partition: 0 };

/** Elections (null) and batches of so many records, of which those stay that are named. */
interface History {
  readonly steps: readonly (number | null)[];
  readonly kept: ReadonlySet<number>;
}

const HISTORY: fc.Arbitrary<History> = fc.record({
  steps: fc.array(fc.option(fc.integer({ min: 1, max: 4 }), { nil: null, freq: 4 }), {
    minLength: 1,
    maxLength: 12,
  }),
  kept: fc
    .array(fc.integer({ min: 0, max: 40 }), { maxLength: 20 })
    .map((offsets) => new Set(offsets)),
});

/** Value v5 stands at offset 5. Returns the values that stayed, by offset. */
function play({ steps, kept }: History): Map<number, string> {
  const partition = cluster.partitions[0]!;
  Object.assign(partition, { frames: [], end: 0 });
  const values = new Map<number, string>();
  for (const step of steps) {
    if (step === null) {
      cluster.elect(0, 1);
      continue;
    }
    const offsets = Array.from({ length: step }, (_, at) => partition.end + at);
    cluster.append(0, frameOf(...offsets.map((offset) => `v${offset}`)));
    for (const offset of offsets.filter((at) => kept.has(at))) values.set(offset, `v${offset}`);
  }
  partition.frames = compactedFrames(partition.frames, (offset) => kept.has(offset), TARGET);
  return values;
}

function consumerOf(options: Omit<ReadOptions, 'onLoss'> = {}): Consumer {
  return client.consumer({ topic: TOPIC, follow: false, ...options });
}

/** Each record with the position behind it. */
async function taken(
  consumer: Consumer,
): Promise<{ records: [number, string][]; after: Position[] }> {
  const records: [number, string][] = [];
  const after: Position[] = [];
  for await (const record of consumer.records()) {
    records.push([record.offset, text(record.value)]);
    after.push(consumer.positions()[0]!);
  }
  return { records, after };
}

describe('a consumer of a compacted log', () => {
  it('hands out what stayed, ends at the end, and resumes anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(HISTORY, async (history) => {
        const stayed = [...play(history)];
        const { end } = cluster.partitions[0]!;
        const consumer = consumerOf();
        const { records, after } = await taken(consumer);
        expect(records).toEqual(stayed);
        expect(consumer.positions()).toMatchObject([{ offset: end }]);
        expect(consumer.lag()).toBe(0);
        for (const [at, position] of after.entries()) {
          const rest = await taken(consumerOf({ positions: [position] }));
          expect(rest.records).toEqual(stayed.slice(at + 1));
        }
      }),
      { numRuns: 20 },
    );
  });

  it('begins in the middle of what is gone', async () => {
    await fc.assert(
      fc.asyncProperty(HISTORY, fc.nat(), async (history, number) => {
        const stayed = [...play(history)];
        const offset = number % (cluster.partitions[0]!.end + 1);
        const { records } = await taken(consumerOf({ from: { offset } }));
        expect(records).toEqual(stayed.filter(([at]) => at >= offset));
      }),
      { numRuns: 30 },
    );
  });

  it('hands each to one handler, and stands at the end once all are done', async () => {
    await fc.assert(
      fc.asyncProperty(HISTORY, async (history) => {
        const stayed = [...play(history)];
        const consumer = consumerOf();
        const found: [number, string][] = [];
        await consumer.parallel({ max: 4 }, ({ offset, value }) => {
          found.push([offset, text(value)]);
        });
        expect(found.toSorted(([a], [b]) => a - b)).toEqual(stayed);
        expect(consumer.positions()).toMatchObject([{ offset: cluster.partitions[0]!.end }]);
      }),
      { numRuns: 20 },
    );
  });

  it('goes on over what is gone as records come', async () => {
    play({ steps: [4, 4], kept: new Set([1]) });
    const consumer = client.consumer({ topic: TOPIC });
    const found: string[] = [];
    for await (const { value } of consumer.records()) {
      found.push(text(value));
      if (found.length === 1) cluster.append(0, frameOf('new'));
      else break;
    }
    expect(found).toEqual(['v1', 'new']);
  });

  it('commits for its group what it passed: nothing lags for ever', async () => {
    play({ steps: [4, 4], kept: new Set([1]) });
    const consumer = client.consumer({ topic: TOPIC, group: 'g', follow: false });
    for await (const _ of consumer.records());
    await consumer.close();
    expect(cluster.groups.offsets('g')).toEqual({ 0: 8 });
  });
});
