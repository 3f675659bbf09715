import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type ReadOptions, type Tidemark } from '../../../../client/index.ts';
import { missedDeletions } from '../../../../client/consumer/deletions.ts';
import { newReader } from '../../../../client/consumer/partition-reader.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf, names, text } from '../records.ts';

/** What came, in turn: position, X and D of the log. */
type Step = readonly [offset: number, compactedTo: number, tombstonesBelow: number];

const ROWS: readonly {
  readonly name: string;
  /** Of the position that it resumes from; 0: nothing was read. */
  readonly epoch: number;
  readonly steps: readonly Step[];
  /** Step at which deletions are missed. */
  readonly missed: number | null;
}[] = [
  {
    name: 'who begins in a log that has dropped much',
    epoch: 0,
    steps: [
      [0, 90, 50],
      [10, 90, 50],
    ],
    missed: null,
  },
  { name: 'who resumes behind all that is gone', epoch: 3, steps: [[50, 90, 50]], missed: null },
  { name: 'who resumes before it', epoch: 3, steps: [[49, 90, 50]], missed: 0 },
  {
    name: 'who reads on while tombstones go of what was gone at the start',
    epoch: 0,
    steps: [
      [0, 50, 0],
      [10, 90, 50],
    ],
    missed: null,
  },
  {
    name: 'who reads on while tombstones go that were behind',
    epoch: 0,
    steps: [
      [0, 50, 0],
      [10, 90, 51],
    ],
    missed: 1,
  },
  {
    name: 'who has come past them',
    epoch: 0,
    steps: [
      [0, 0, 0],
      [60, 90, 60],
    ],
    missed: null,
  },
  {
    name: 'who reads a replica that is compacted less in between',
    epoch: 0,
    steps: [
      [0, 90, 50],
      [10, 20, 0],
      [20, 90, 0],
      [30, 90, 50],
    ],
    missed: 3,
  },
  {
    name: 'who reads while a first pass drops tombstones',
    epoch: 0,
    steps: [
      [0, 0, 50],
      [10, 0, 50],
    ],
    missed: 1,
  },
  {
    name: 'who reads a log that is not compacted',
    epoch: 3,
    steps: [
      [0, 0, 0],
      [10, 0, 0],
    ],
    missed: null,
  },
];

describe('missedDeletions()', () => {
  it.each(ROWS)('tells $name: at $missed', ({ epoch, steps, missed }) => {
    const target = { topicIdBytes: TOPIC_ID_BYTES, partition: 0 };
    const place = { partition: 0, offset: steps[0]![0], leaderEpoch: epoch };
    const reader = newReader(target, place, Infinity, undefined);
    const told = steps.findIndex(([offset, compactedTo, tombstonesBelow]) => {
      reader.nextOffset = offset;
      return missedDeletions('t', reader, { compactedTo, tombstonesBelow }) !== undefined;
    });
    expect(told < 0 ? null : told).toBe(missed);
  });
});

describe('a consumer that was away for longer than tombstones stay', () => {
  let cluster: FakeCluster;
  let client: Tidemark;

  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
    client = connect({ servers: cluster.servers });
    cluster.elect(0, 1);
    cluster.append(0, frameOf(...names('v', 4)));
    cluster.append(0, frameOf('last'));
  });

  afterEach(async () => {
    await client.close();
    cluster.stop();
  });

  async function read(options: Omit<ReadOptions, 'onLoss'>): Promise<string[]> {
    const found: string[] = [];
    const consumer = client.consumer({ topic: TOPIC, follow: false, ...options });
    for await (const { value } of consumer.records()) found.push(text(value));
    return found;
  }

  it('is told, goes on where it wants to, and begins anew without a word', async () => {
    const positions = [{ partition: 0, offset: 3, leaderEpoch: 2 }];
    expect(await read({ positions })).toEqual(['v2', 'v3', 'last']);
    cluster.partitions[0]!.deletions = { compactedTo: 5, tombstonesBelow: 4 };
    await expect(read({ positions })).rejects.toMatchObject({
      code: 'DELETIONS_MISSED',
      effect: 'none',
      message: `Cannot read on at ${TOPIC}/0 offset 3: tombstones below offset 4 are gone, so keys that were read before may be deleted; read from earliest into an empty state`,
      details: { topic: TOPIC, partition: 0, offset: 3, tombstonesBelow: 4 },
    });
    expect(await read({ positions, onDeletionsMissed: 'pass' })).toEqual(['v2', 'v3', 'last']);
    expect(await read({ positions: [{ ...positions[0]!, offset: 4 }] })).toEqual(['v3', 'last']);
    expect(await read({})).toEqual([...names('v', 4), 'last']);
  });
});
