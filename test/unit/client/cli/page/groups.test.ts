import { describe, expect, it } from 'vitest';
import { GroupLooks, groupSeen } from '../../../../../client/cli/page/groups.ts';
import type { GroupPartition, Groups } from '../../../../../client/groups.ts';

const cursor = (topic: string, partition: number) => ({
  group: 'billing',
  topic,
  topicId: 'id',
  partition,
  offset: 5,
  leaderEpoch: 1,
  generation: 1,
});

function at(topic: string, partition: number, records: number, ageMs: number): GroupPartition {
  const lag = { endOffset: 9, records, ageMs, isAgeLeast: ageMs > 1_000, logStart: 0 };
  return { cursor: cursor(topic, partition), lag };
}

function summary(group: string) {
  return { group, cursors: 1, topics: ['orders'], coordinator: 1 };
}

/** Lets what is under way end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe('groupSeen', () => {
  it('adds up a topic, and says how long the oldest waits', () => {
    const unknown = { cursor: cursor('orders', 2) };
    const partitions = [at('orders', 0, 3, 200), at('orders', 1, 4, 2_000), unknown];
    expect(groupSeen('billing', [...partitions, at('others', 0, 0, 0)])).toEqual({
      group: 'billing',
      fault: '',
      topics: [
        { topic: 'orders', records: 7, ageMs: 2_000, isLeast: true, unknown: 1 },
        { topic: 'others', records: 0, ageMs: 0, isLeast: false, unknown: 0 },
      ],
    });
  });
});

describe('GroupLooks', () => {
  it('tells what it saw last, and looks again after some seconds', async () => {
    let nowMs = 0;
    let lists = 0;
    const names = Array.from({ length: 22 }, (_, index) => `g${String(index).padStart(2, '0')}`);
    const groups = {
      list: () => {
        lists += 1;
        return Promise.resolve(names.map(summary));
      },
      describe: (group: string) =>
        group === 'g01'
          ? Promise.reject(new Error('silent'))
          : Promise.resolve({ ...summary(group), partitions: [at('orders', 0, 1, 1)], idleMs: 0 }),
    } as unknown as Groups;
    const looks = new GroupLooks(groups, () => nowMs);
    expect([looks.seen, looks.seen]).toEqual([null, null]);
    await settle();
    expect(looks.seen).toMatchObject({ more: 2, fault: '' });
    expect(looks.seen?.groups).toHaveLength(20);
    expect(looks.seen?.groups[1]).toMatchObject({ group: 'g01', topics: [] });
    expect(looks.seen?.groups[1]?.fault).toContain('silent');
    expect(lists).toBe(1);
    nowMs += 3_000;
    expect(looks.seen?.groups).toHaveLength(20);
    await settle();
    expect(lists).toBe(2);
  });

  it('says why there is nothing to tell', async () => {
    const groups = { list: () => Promise.reject(new Error('nobody answers')) };
    const looks = new GroupLooks(groups as unknown as Groups, () => 0);
    expect(looks.seen).toBeNull();
    await settle();
    expect(looks.seen).toMatchObject({ groups: [], more: 0 });
    expect(looks.seen?.fault).toContain('nobody answers');
  });
});
