import { describe, expect, it } from 'vitest';
import { emptyImage } from '../../../../../broker/metadata/apply.ts';
import { HeldPartitions } from '../../../../../broker/runtime/folded/held-partitions.ts';
import type { Replica } from '../../../../../broker/runtime/partitions/replica.ts';

const TOPIC = '__queues';
const TOPIC_ID = '77777777-7777-4777-8777-777777777777';
const PARTITIONS = 16;

/** Replicas of all partitions, and how often each was looked at. */
function held() {
  const image = { ...emptyImage(), topicIdsByName: new Map([[TOPIC, TOPIC_ID]]) };
  const replicas = new Map<number, Replica>();
  for (let partition = 0; partition < PARTITIONS; partition += 1)
    replicas.set(partition, { partition } as unknown as Replica);
  const looks = new Map<Replica, number>();
  const closed: Replica[] = [];
  const partitions = new HeldPartitions({
    ...{ topic: TOPIC, partitions: PARTITIONS, image: () => image },
    replicas: {
      get: (_, partition) => replicas.get(partition) ?? null,
      require: (_, partition) => {
        throw new Error(`${partition} is not held`);
      },
    },
    open: (replica: Replica) => ({
      ...{ replica, look: () => void looks.set(replica, (looks.get(replica) ?? 0) + 1) },
      close: () => void closed.push(replica),
    }),
  });
  return { partitions, replicas, looks, closed };
}

describe('HeldPartitions.get()', () => {
  it('looks at no other partition, once that one is held', () => {
    const { partitions, replicas, looks } = held();
    expect(partitions.get(3).replica).toBe(replicas.get(3));
    looks.clear();
    partitions.get(3);
    expect([...looks]).toEqual([]);
  });

  it('holds another replica that has come in the place of one, and closes that', () => {
    const { partitions, replicas, closed } = held();
    const first = partitions.get(3).replica;
    const second = { partition: 3 } as unknown as Replica;
    replicas.set(3, second);
    expect([partitions.get(3).replica, closed]).toEqual([second, [first]]);
  });

  it('holds no more what is gone', () => {
    const { partitions, replicas, closed } = held();
    const { replica } = partitions.get(3);
    replicas.delete(3);
    expect(() => partitions.get(3)).toThrow('3 is not held');
    expect(closed).toEqual([replica]);
  });
});
