/** Where a member goes on, and what it commits, when its place moves while records are in hand. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cancel, Clock } from '../../../../base/clock.ts';
import { Cluster } from '../../../../client/cluster.ts';
import { Connections } from '../../../../client/connections.ts';
import {
  connect,
  type GroupConsumer,
  type GroupOptions,
  Tidemark,
} from '../../../../client/index.ts';
import { systemPorts } from '../../../../client/ports.ts';
import { systemClock } from '../../../../process/system-clock.ts';
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

/** Counts what is called again and again. */
class CountingClock implements Clock {
  running = 0;
  monotonicMs = (): number => systemClock.monotonicMs();
  wallMs = (): number => systemClock.wallMs();
  after = (delayMs: number, callback: () => void): Cancel => systemClock.after(delayMs, callback);
  soon = (callback: () => void): void => systemClock.soon(callback);

  every(periodMs: number, callback: () => void): Cancel {
    this.running += 1;
    const cancel = systemClock.every(periodMs, callback);
    return () => {
      this.running -= 1;
      cancel();
    };
  }
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

describe('what a program asks while records are in hand', () => {
  it('hands nothing out twice that it pauses and resumes', async () => {
    cluster.append(0, frameOf(...names('a', 5)));
    const one = member();
    const records = one.records();
    expect(await next(records)).toBe('a0');
    for (const value of ['a1', 'a2', 'a3', 'a4']) {
      one.pause();
      one.resume();
      await sleep(30);
      expect(await next(records)).toBe(value);
    }
    cluster.append(0, frameOf('b'));
    expect(await next(records)).toBe('b');
    await one.commit();
    expect(committed()).toBe(5);
    await records.return();
  });

  it('leaves nothing out that waits for a handler while it is paused', async () => {
    cluster.append(0, frameOf(...names('a', 5)));
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const handled: string[] = [];
    let hasBegun = false;
    const one = member();
    const run = one.run(
      async ({ value, offset }) => {
        hasBegun = true;
        if (offset === 0) await gate;
        handled.push(text(value));
      },
      { recordsMax: 1 },
    );
    await expect.poll(() => hasBegun).toBe(true);
    await sleep(20);
    one.pause();
    open();
    await expect.poll(() => handled).toEqual(['a0']);
    await sleep(20);
    one.resume();
    await expect.poll(() => handled).toEqual(names('a', 5));
    await expect.poll(committed).toBe(5);
    await one.close();
    await run;
  });

  it('commits what was handled when it was asked to, whatever is handled meanwhile', async () => {
    const one = member({ commitMs: 60_000 });
    let handled = 0;
    const run = one.run(async () => {
      await sleep(1);
      handled += 1;
    });
    let isOver = false;
    const fill = async (): Promise<void> => {
      for (let at = 0; !isOver; at += 1) {
        cluster.append(0, frameOf(`v${at}`));
        await sleep(1);
      }
    };
    const filled = fill();
    await expect.poll(() => handled).toBeGreaterThan(20);
    cluster.members.acknowledgeMs = 100;
    const before = handled;
    await one.commit();
    expect(committed()).toBeGreaterThanOrEqual(before);
    isOver = true;
    await filled;
    await one.close();
    await run;
  }, 30_000);

  it('waits for the handlers of before a seek when it lets go', async () => {
    cluster.append(0, frameOf(...names('a', 5)));
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let hasBegun = false;
    let isAborted = false;
    const events: string[] = [];
    const one = member({ onRevoked: () => void events.push('revoked') });
    const run = one.run(async ({ offset }, { signal }) => {
      if (offset !== 0) return;
      hasBegun = true;
      signal.addEventListener('abort', () => (isAborted = true));
      await gate;
      events.push('handled');
    });
    await expect.poll(() => hasBegun).toBe(true);
    one.seek([{ topic: TOPIC, partition: 0, offset: 3 }]);
    const closed = one.close();
    await sleep(50);
    expect(events).toEqual([]);
    open();
    await closed;
    await run;
    expect(events).toEqual(['handled', 'revoked']);
    expect(isAborted).toBe(false);
  });
});

describe('the hooks of a member', () => {
  it('come once and one after the other for each partition', async () => {
    const events: string[] = [];
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    cluster.addPartition();
    cluster.members.topicsChanged();
    const one = member({
      onAssigned: async () => {
        await gate;
        events.push('assigned');
      },
      onRevoked: async (partitions) => {
        events.push(`revoked ${partitions.length}`);
        await sleep(50);
      },
    });
    const run = one.run(() => undefined);
    await expect.poll(() => one.assigned()).toHaveLength(2);
    const other = connect({ servers: cluster.servers });
    const two = other.group(GROUP, { topics: [TOPIC] });
    const running = two.run(() => undefined);
    await expect.poll(() => one.assigned()).toHaveLength(1);
    await sleep(50);
    expect(events).toEqual([]);
    open();
    await expect.poll(() => events).toEqual(['assigned', 'revoked 1']);
    await one.close();
    await run;
    expect(events).toEqual(['assigned', 'revoked 1', 'revoked 1']);
    await two.close();
    await running;
    await other.close();
  });

  it('say once that a partition goes, though the member is closed meanwhile', async () => {
    const revoked: number[] = [];
    cluster.addPartition();
    cluster.members.topicsChanged();
    const one = member({
      onRevoked: async (partitions) => {
        revoked.push(...partitions.map(({ partition }) => partition));
        await sleep(100);
      },
    });
    const run = one.run(() => undefined);
    await expect.poll(() => one.assigned()).toHaveLength(2);
    const other = connect({ servers: cluster.servers });
    const two = other.group(GROUP, { topics: [TOPIC] });
    const running = two.run(() => undefined);
    await expect.poll(() => revoked).toHaveLength(1);
    await one.close();
    await run;
    expect(revoked.toSorted()).toEqual([0, 1]);
    await two.close();
    await running;
    await other.close();
  });
});

describe('a member that is closed while it begins', () => {
  it('leaves no timer behind', async () => {
    const clock = new CountingClock();
    const connections = new Connections({ ...systemPorts(), clock });
    const own = new Tidemark(connections, new Cluster(connections, cluster.servers));
    const one = own.group(GROUP, { topics: [TOPIC] });
    const first = one.records().next();
    await one.close();
    expect(await first).toEqual({ done: true, value: undefined });
    expect(clock.running).toBe(0);
    await own.close();
  });
});
