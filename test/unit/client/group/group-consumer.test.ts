import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AssignedPartition,
  connect,
  type GroupConsumer,
  type GroupOptions,
  type RecordHandler,
  type Tidemark,
} from '../../../../client/index.ts';
import { ConsumeFence } from '../../../../proto/gen/tidemark/v1/consume.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf, names, text } from '../records.ts';

const GROUP = 'billing';
let cluster: FakeCluster;
let clients: Tidemark[] = [];

beforeEach(async () => {
  cluster = new FakeCluster(4);
  cluster.featureLevel = 13;
  await cluster.start();
  cluster.members.start();
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  cluster.stop();
});

type Plain = Omit<GroupOptions, 'topics' | 'onLoss'>;

/** A process of its own. */
function member(options: Plain = {}): GroupConsumer {
  const client = connect({ servers: cluster.servers });
  clients.push(client);
  return client.group(GROUP, { topics: [TOPIC], commitMs: 20, ...options });
}

interface Reader {
  readonly member: GroupConsumer;
  readonly values: string[];
  readonly stop: AbortController;
  /** Resolves to the code of the error that ended it. */
  readonly ended: Promise<string>;
}

function reader(
  options: Plain = {},
  handle: RecordHandler<Uint8Array, Uint8Array, never> = () => undefined,
): Reader {
  const one = member(options);
  const values: string[] = [];
  const stop = new AbortController();
  const handler: RecordHandler<Uint8Array, Uint8Array, never> = async (record, context) => {
    await handle(record, context);
    values.push(text(record.value));
  };
  const ended = one.run(handler, { concurrency: 8 }, { signal: stop.signal }).then(
    () => 'closed',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  return { member: one, values, stop, ended };
}

function shownOf(parts: readonly AssignedPartition[]): number[] {
  return parts.map(({ partition }) => partition).toSorted((a, b) => a - b);
}

const held = ({ member: of }: Reader): number[] => shownOf(of.assigned());

function fill(prefix: string, each = 5): string[] {
  const all: string[] = [];
  for (const partition of cluster.partitions.keys()) {
    const values = names(`${prefix}${partition}-`, each);
    cluster.append(partition, frameOf(...values));
    all.push(...values);
  }
  return all;
}

const offsets = (): Record<number, number> => cluster.groups.offsets(GROUP);
const cursor = (partition: number, offset: number) => ({
  ...{ topic: TOPIC, topicId: TOPIC_ID_BYTES, partition, offset, leaderEpoch: 0, generation: 1 },
});
describe('a member of a group', () => {
  it('reads everything while it is alone, commits it and leaves', async () => {
    const all = fill('a');
    const one = reader();
    await expect.poll(() => one.values.toSorted()).toEqual(all);
    expect(held(one)).toEqual([0, 1, 2, 3]);
    await one.member.commit();
    expect(offsets()).toEqual({ 0: 5, 1: 5, 2: 5, 3: 5 });
    await one.member.close();
    expect(await one.ended).toBe('closed');
    expect(cluster.members.members(GROUP)).toEqual([]);
    expect([one.member.assigned(), one.member.memberId]).toEqual([[], undefined]);
  });

  it('shares partitions with others, each record handled by one of them', async () => {
    const one = reader();
    await expect.poll(() => held(one)).toHaveLength(4);
    const two = reader();
    await expect.poll(() => [held(one).length, held(two).length]).toEqual([2, 2]);
    const all = fill('b');
    await expect.poll(() => [...one.values, ...two.values].toSorted()).toEqual(all);
    expect(one.values).toHaveLength(10);
    await two.member.close();
    await expect.poll(() => held(one)).toHaveLength(4);
    const more = fill('c');
    await expect.poll(() => one.values.filter((value) => value.startsWith('c'))).toHaveLength(20);
    expect(one.values.slice(10).toSorted()).toEqual(more);
  });

  it('begins where the group stopped, also where the broker does not say where that is', async () => {
    fill('a');
    for (const partition of cluster.partitions.keys())
      cluster.groups.put(GROUP, cursor(partition, 3));
    cluster.members.hidesCursors = true;
    const one = reader();
    await expect.poll(() => one.values).toHaveLength(8);
    expect(one.values.toSorted()).toEqual([0, 1, 2, 3].flatMap((at) => [`a${at}-3`, `a${at}-4`]));
  });

  it('hands on a partition once its handlers have ended, and meets nothing twice', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const one = reader({}, ({ offset }) => (offset === 2 ? gate : undefined));
    fill('a');
    await expect.poll(() => one.values).toHaveLength(16);
    const two = reader();
    await expect.poll(() => cluster.members.members(GROUP)).toHaveLength(2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(held(two)).toEqual([]);
    open();
    await expect.poll(() => held(two)).toHaveLength(2);
    await expect.poll(() => one.values).toHaveLength(20);
    expect(two.values).toEqual([]);
  });

  it('lets go of what takes too long, tells its handlers, and others handle it again', async () => {
    const aborted: string[] = [];
    const { promise: never } = Promise.withResolvers<void>();
    const one = reader({ releaseMs: 1_000 }, ({ offset, value }, { signal }) => {
      if (offset !== 2) return undefined;
      signal.addEventListener('abort', () => aborted.push(text(value)));
      return never;
    });
    fill('a');
    await expect.poll(() => one.values).toHaveLength(16);
    const two = reader();
    await expect.poll(() => two.values, { timeout: 5_000 }).toHaveLength(6);
    expect(aborted).toHaveLength(2);
    expect(two.values.filter((value) => value.endsWith('-2'))).toHaveLength(2);
    one.stop.abort();
    // Its handlers never end: it does not wait for them.
    expect(await one.ended).toBe('ABORTED');
    expect(cluster.members.members(GROUP)).toHaveLength(1);
  });

  it('tells what it was given and what it lets go, before it happens', async () => {
    const events: string[] = [];
    const one = reader({
      onAssigned: (parts) => void events.push(`assigned ${shownOf(parts).join()}`),
      onRevoked: async (parts) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        const [, ...others] = Object.values(cluster.members.held(GROUP));
        events.push(`revoked ${shownOf(parts).join()}, others have ${others.flat().length}`);
      },
    });
    await expect.poll(() => held(one)).toHaveLength(4);
    const two = reader();
    await expect.poll(() => held(two)).toHaveLength(2);
    expect(events[0]).toBe('assigned 0,1,2,3');
    expect(events[1]).toMatch(/^revoked \d,\d, others have 0$/);
    await one.member.close();
    expect(events[2]).toMatch(/^revoked \d,\d/);
  });

  it('goes on from positions that the program gives', async () => {
    fill('a');
    const one = reader({
      onAssigned: (parts) =>
        parts.map(({ topic, partition }) => ({ topic, partition, offset: partition + 1 })),
    });
    await expect.poll(() => one.values).toHaveLength(4 + 3 + 2 + 1);
    await expect.poll(offsets).toEqual({ 0: 5, 1: 5, 2: 5, 3: 5 });
  });

  it('iterates over records: one is handled once the next is asked for', async () => {
    fill('a', 2);
    const one = member();
    const seen: string[] = [];
    for await (const { value } of one) {
      seen.push(text(value));
      if (seen.length === 4) break;
    }
    expect(cluster.members.members(GROUP)).toEqual([]);
    const committed = Object.values(offsets()).reduce((sum, offset) => sum + offset, 0);
    expect(committed).toBe(3);
    const again: string[] = [];
    for await (const { records } of one.batches()) {
      again.push(...records.map(({ value }) => text(value)));
      if (again.length >= 5) break;
    }
    expect(new Set([...seen, ...again]).size).toBe(8);
  });

  it('ends an iteration by its signal, and commits what is done', async () => {
    fill('a', 1);
    const one = member({ commitMs: 60_000 });
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      let count = 0;
      for await (const _ of one.records({ signal: stop.signal }))
        if ((count += 1) === 4) setTimeout(() => stop.abort(), 20);
    };
    await expect(read()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(offsets()).toEqual({ 0: 1, 1: 1, 2: 1, 3: 1 });
  });

  it('ends with the error of a handler, once the others have ended and all is committed', async () => {
    fill('a');
    const one = reader({}, ({ offset, partition }) => {
      if (partition === 1 && offset === 3) throw new Error('cannot');
    });
    expect(await one.ended).toBe('Error: cannot');
    expect(offsets()[1]).toBe(3);
    expect(cluster.members.members(GROUP)).toEqual([]);
  });
});

describe('a member that is cut off', () => {
  it('attaches elsewhere when its broker stops or dies, and nothing moves', async () => {
    const one = reader();
    await expect.poll(() => held(one)).toHaveLength(4);
    const { memberId } = one.member;
    const [first] = cluster.members.streams;
    cluster.members.reattach(first!.broker);
    await expect.poll(() => cluster.members.opens).toHaveLength(2);
    expect(cluster.members.opens[1]).toMatchObject({ memberId, attempt: 2, epoch: 1 });
    await expect.poll(() => cluster.members.streams.map(({ open }) => open.attempt)).toEqual([2]);
    const { broker } = cluster.members.streams[0]!;
    cluster.killBroker(broker);
    await expect.poll(() => cluster.members.opens.at(-1)?.attempt).toBeGreaterThan(2);
    await cluster.startBroker(broker);
    const all = fill('a');
    await expect.poll(() => one.values.toSorted()).toEqual(all);
    expect(one.member.memberId).toBe(memberId);
  });

  it('hands out nothing while nobody vouches for it', async () => {
    const one = reader();
    await expect.poll(() => held(one)).toHaveLength(4);
    cluster.members.isMute = true;
    await new Promise((resolve) => setTimeout(resolve, 100));
    const all = fill('a');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(one.values).toEqual([]);
    cluster.members.isMute = false;
    await expect.poll(() => one.values.toSorted()).toEqual(all);
  });

  it('comes back as another one after it was fenced, and is told what it lost', async () => {
    const lost: number[][] = [];
    const one = reader({ onLost: (parts) => void lost.push(shownOf(parts)) });
    await expect.poll(() => held(one)).toHaveLength(4);
    const { memberId } = one.member;
    const [stream] = cluster.members.streams;
    cluster.members.fence(stream!, ConsumeFence.CONSUME_FENCE_EXPIRED);
    cluster.members.expireSilently(stream!);
    await expect.poll(() => lost).toEqual([[0, 1, 2, 3]]);
    await expect.poll(() => held(one)).toHaveLength(4);
    expect(one.member.memberId).not.toBe(memberId);
    const all = fill('a');
    await expect.poll(() => one.values.toSorted()).toEqual(all);
  });

  it('ends where another process has its place', async () => {
    const one = reader({ instanceId: 'pod-0' });
    await expect.poll(() => held(one)).toHaveLength(4);
    const two = reader({ instanceId: 'pod-0' });
    expect(await one.ended).toBe('FENCED');
    await expect.poll(() => held(two)).toHaveLength(4);
  });

  it('ends where it may not join, and asks again where it may later', async () => {
    cluster.members.refusals.push('LEADER_UNKNOWN', 'BROKER_NOT_READY', 'PERMISSION_DENIED');
    const one = reader();
    expect(await one.ended).toBe('PERMISSION_DENIED');
    expect(cluster.members.opens.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  it('commits again what nobody knows of, and ends where a cursor was cut off', async () => {
    const one = reader();
    await expect.poll(() => held(one)).toHaveLength(4);
    cluster.members.commitRefusals.push('OUTCOME_UNKNOWN', 'LEADER_UNKNOWN');
    fill('a');
    await expect.poll(offsets).toEqual({ 0: 5, 1: 5, 2: 5, 3: 5 });
    cluster.members.commitRefusals.push('POSITION_DIVERGED');
    fill('b');
    expect(await one.ended).toBe('POSITION_DIVERGED');
  });
});

describe('what a program asks of a member', () => {
  it('begins anew where somebody has moved the cursor', async () => {
    fill('a');
    const one = reader();
    await expect.poll(offsets).toEqual({ 0: 5, 1: 5, 2: 5, 3: 5 });
    cluster.groups.put(GROUP, cursor(2, 1));
    cluster.members.seek(GROUP, cluster.topicId, 2);
    await expect.poll(() => one.values).toHaveLength(24);
    expect(one.values.slice(20).toSorted()).toEqual(names('a2-', 5).slice(1));
  });

  it('pauses partitions and resumes them', async () => {
    const one = reader();
    await expect.poll(() => held(one)).toHaveLength(4);
    one.member.pause([{ topic: TOPIC, partitions: [1, 2] }]);
    fill('a');
    await expect.poll(() => one.values).toHaveLength(10);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(one.values.filter((value) => /^a[12]/.test(value))).toEqual([]);
    one.member.resume();
    await expect.poll(() => one.values).toHaveLength(20);
  });

  it('goes on elsewhere in what it has, and commits nothing below the cursor', async () => {
    fill('a');
    const one = reader();
    await expect.poll(offsets).toEqual({ 0: 5, 1: 5, 2: 5, 3: 5 });
    one.member.seek([{ topic: TOPIC, partition: 0, offset: 2 }]);
    await expect.poll(() => one.values).toHaveLength(23);
    expect(one.values.slice(20)).toEqual(['a0-2', 'a0-3', 'a0-4']);
    expect(offsets()[0]).toBe(5);
    const elsewhere = [{ topic: TOPIC, partition: 9, offset: 0 }];
    expect(() => one.member.seek(elsewhere)).toThrow('does not have partition 9 of "orders"');
  });

  it('keeps order within a key, a partition, or not at all', async () => {
    const starts: string[] = [];
    const order = async (by: 'key' | 'partition' | 'none'): Promise<number> => {
      let running = 0;
      let most = 0;
      const one = member();
      const run = one.run(
        async ({ value }) => {
          starts.push(text(value));
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setTimeout(resolve, 20));
          running -= 1;
        },
        { order: by, concurrency: 5 },
      );
      await expect.poll(() => starts).toHaveLength(5);
      await one.close();
      await run;
      starts.length = 0;
      return most;
    };
    cluster.append(0, frameOf(...names('a', 5)));
    expect(await order('partition')).toBe(1);
    cluster.append(0, frameOf(...names('b', 5)));
    expect(await order('none')).toBe(5);
  });

  it('is refused by a cluster whose brokers do not know members yet', async () => {
    cluster.featureLevel = 12;
    expect(await reader().ended).toBe('REFUSED');
    await expect(member().run(() => undefined)).rejects.toThrow(
      'Cannot join group "billing": it needs feature level 13, the cluster is at 12',
    );
  });

  it('does one thing at a time, and nothing once it is closed', async () => {
    const one = member();
    const run = one.run(() => undefined);
    await expect(one.run(() => undefined)).rejects.toThrow('iterate or run once at a time');
    await one.close();
    await run;
    await expect(one.records().next()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
