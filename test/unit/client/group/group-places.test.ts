/** Where a member goes on, and what it commits, when its place moves while records are in hand. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type GroupConsumer, type Tidemark } from '../../../../client/index.ts';
import type { GroupOptions } from '../../../../client/index.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { frameOf, names, text } from '../records.ts';

const GROUP = 'billing';
let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster(1);
  cluster.featureLevel = 13;
  await cluster.start();
  cluster.members.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

function member(options: Omit<GroupOptions, 'topics' | 'onLoss'> = {}): GroupConsumer {
  return client.group(GROUP, { topics: [TOPIC], commitMs: 10, ...options });
}

const committed = (): number | undefined => cluster.groups.offsets(GROUP)[0];
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The next record of an iteration. */
async function next(
  records: AsyncIterator<{ readonly value: Uint8Array | null }, void>,
): Promise<string> {
  const found = await records.next();
  return found.done === true ? 'the end' : text(found.value.value);
}

/** The position behind what was read is gone. */
async function retire(): Promise<void> {
  const { asked } = cluster.offsets;
  cluster.fetchError = 'OFFSET_OUT_OF_RANGE';
  cluster.append(0, frameOf('gone'));
  await expect.poll(() => cluster.offsets.asked).toBeGreaterThan(asked);
}

describe('a position that is gone while records are in hand', () => {
  it('moves the cursor of a member once these are handled, and not before', async () => {
    cluster.append(0, frameOf(...names('a', 5)));
    const one = member({ onReset: 'latest' });
    const records = one.records();
    expect(await next(records)).toBe('a0');
    await retire();
    await sleep(50);
    await one.commit();
    expect(committed() ?? 0).toBe(0);
    for (const value of ['a1', 'a2', 'a3', 'a4']) expect(await next(records)).toBe(value);
    await one.commit();
    expect(committed()).toBe(4);
    const last = next(records);
    await expect.poll(committed).toBe(6);
    cluster.append(0, frameOf('b'));
    expect(await last).toBe('b');
    await records.return();
  });

  it('does so for handlers and for one reader of a group', async () => {
    cluster.append(0, frameOf(...names('a', 5)));
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const handled: string[] = [];
    const one = member({ onReset: 'latest' });
    const run = one.run(async ({ value, offset }) => {
      if (offset === 1) await gate;
      handled.push(text(value));
    });
    await expect.poll(committed).toBe(1);
    await retire();
    await sleep(50);
    expect(committed()).toBe(1);
    open();
    await expect.poll(committed).toBe(6);
    expect(handled).toEqual(names('a', 5));
    await one.close();
    await run;

    cluster.append(0, frameOf(...names('c', 3)));
    const alone = client.consumer({ topic: TOPIC, group: GROUP, onReset: 'latest', commitMs: 10 });
    const records = alone.records();
    expect(await next(records)).toBe('c0');
    await retire();
    await sleep(50);
    expect(committed()).toBe(6);
    expect([await next(records), await next(records)]).toEqual(['c1', 'c2']);
    await records.return();
  });

  it('moves nothing that the program has put elsewhere meanwhile', async () => {
    // Of another partition nothing comes, and the topic is read on.
    cluster.addPartition();
    cluster.partitions[1]!.leader = 9;
    cluster.members.topicsChanged();
    cluster.append(0, frameOf(...names('a', 5)));
    const one = member({ onReset: 'latest' });
    const records = one.records();
    for (const value of names('a', 4)) expect(await next(records)).toBe(value);
    await one.commit();
    cluster.offsets.isHeld = true;
    await retire();
    one.seek([{ topic: TOPIC, partition: 0, offset: 3 }]);
    expect(await next(records)).toBe('a3');
    cluster.offsets.release();
    await sleep(50);
    expect([await next(records), await next(records)]).toEqual(['a4', 'gone']);
    await one.commit();
    expect(committed()).toBe(5);
    await records.return();
  });
});
