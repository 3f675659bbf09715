/** One partition that a member cannot read: it is told, and goes on with all others. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connect,
  type GroupConsumer,
  type GroupOptions,
  type Tidemark,
} from '../../../../client/index.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf, names, text } from '../records.ts';

const GROUP = 'billing';
let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  cluster.featureLevel = 13;
  await cluster.start();
  cluster.members.start();
  client = connect({ servers: cluster.servers });
  cluster.append(0, frameOf(...names('a', 3)));
  cluster.append(1, frameOf(...names('b', 3)));
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

interface Reader {
  readonly member: GroupConsumer;
  readonly values: string[];
  readonly events: string[];
  readonly run: Promise<void>;
}

function reader(options: Omit<GroupOptions, 'topics' | 'onLoss'> = {}): Reader {
  const events: string[] = [];
  const member = client.group(GROUP, {
    topics: [TOPIC],
    commitMs: 20,
    onAssigned: (partitions) =>
      void events.push(`has ${partitions.map(({ partition }) => partition).join()}`),
    onFailed: ({ partition }, { code }) => void events.push(`${partition} failed: ${code}`),
    ...options,
  });
  const values: string[] = [];
  const run = member.run(({ value }) => void values.push(text(value)));
  return { member, values, events, run };
}

const offsets = (): Record<number, number> => cluster.groups.offsets(GROUP);

describe('a partition that cannot be read', () => {
  it('is told with its error, and all others are read', async () => {
    cluster.members.viewErrors.set(1, 'CURSOR_GONE');
    const { member, values, events, run } = reader();
    await expect.poll(offsets).toEqual({ 0: 3 });
    expect(values).toEqual(names('a', 3));
    expect(events.toSorted()).toEqual(['1 failed: CURSOR_GONE', 'has 0,1']);
    expect(member.assigned().map(({ partition }) => partition)).toEqual([0, 1]);
    expect(member.state()).toMatchObject([
      { partition: 0, state: 'caught-up' },
      { partition: 1, state: 'failed', lag: undefined, error: { code: 'CURSOR_GONE' } },
    ]);
    expect(member.lag()).toBeUndefined();
    cluster.append(0, frameOf('c'));
    await expect.poll(() => values).toHaveLength(4);
    await member.close();
    await run;
  });

  it('is begun where the program says, or somebody moves the cursor', async () => {
    cluster.members.viewErrors.set(0, 'CURSOR_GONE').set(1, 'CURSOR_GONE');
    const { member, values, run } = reader();
    await expect.poll(() => member.state()).toHaveLength(2);
    member.seek([{ topic: TOPIC, partition: 1, offset: 1 }]);
    await expect.poll(() => values).toEqual(['b1', 'b2']);
    await expect.poll(offsets).toEqual({ 1: 3 });
    expect(member.state().map(({ state }) => state)).toEqual(['caught-up', 'failed']);
    cluster.members.viewErrors.clear();
    cluster.members.seek(GROUP, cluster.topicId, 0);
    await expect.poll(() => values).toEqual(['b1', 'b2', ...names('a', 3)]);
    await member.close();
    await run;
  });

  it('is read where the program keeps its position', async () => {
    cluster.members.viewErrors.set(1, 'CURSOR_GONE');
    const { member, values, events, run } = reader({
      onAssigned: () => [{ topic: TOPIC, partition: 1, offset: 2 }],
    });
    await expect.poll(() => values.toSorted()).toEqual([...names('a', 3), 'b2']);
    expect(events).toEqual([]);
    await member.close();
    await run;
  });

  it('is told of leaders too, and goes to others as any does', async () => {
    const revoked: number[] = [];
    const { member, values, events, run } = reader({
      onRevoked: (partitions) => void revoked.push(...partitions.map(({ partition }) => partition)),
    });
    await expect.poll(() => values).toHaveLength(6);
    cluster.fetchError = 'PERMISSION_DENIED';
    cluster.append(0, frameOf('c'));
    await expect.poll(() => events).toContain('0 failed: PERMISSION_DENIED');
    await member.close();
    await run;
    expect(revoked.toSorted()).toEqual([0, 1]);
  });

  it('ends the member where the hook that is told of it rejects', async () => {
    cluster.members.viewErrors.set(1, 'CURSOR_GONE');
    const { run } = reader({
      onFailed: (_, error) => {
        throw error;
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'CURSOR_GONE' });
    expect(cluster.members.members(GROUP)).toEqual([]);
  });

  it('is asked for again while its topic is not known, until the group takes it away', async () => {
    cluster.members.viewErrors.set(1, 'UNKNOWN_TOPIC');
    const { member, values, events, run } = reader();
    await expect.poll(() => values).toEqual(names('a', 3));
    cluster.groups.put(GROUP, {
      ...{ topic: TOPIC, topicId: TOPIC_ID_BYTES, partition: 1, offset: 2 },
      ...{ leaderEpoch: 0, generation: 1 },
    });
    await expect.poll(() => values).toEqual([...names('a', 3), 'b2']);
    expect(events).toEqual(['has 0', 'has 1']);
    await member.close();
    await run;
  });

  it('holds up no other whose beginning is known', async () => {
    // Its leader cannot say where it begins.
    cluster.members.viewErrors.set(1, 'LEADER_UNKNOWN');
    const { member, values, events, run } = reader();
    await expect.poll(() => values).toEqual(names('a', 3));
    cluster.groups.put(GROUP, {
      ...{ topic: TOPIC, topicId: TOPIC_ID_BYTES, partition: 1, offset: 1 },
      ...{ leaderEpoch: 0, generation: 1 },
    });
    await expect.poll(() => values).toEqual([...names('a', 3), 'b1', 'b2']);
    expect(events).toEqual(['has 0', 'has 1']);
    await member.close();
    await run;
  });
});
