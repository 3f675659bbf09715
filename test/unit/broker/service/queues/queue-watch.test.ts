import { expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { unknownPartition } from '../../../../../broker/service/queues/owners.ts';
import {
  type QueueWatchParts,
  watchQueues,
} from '../../../../../broker/service/queues/queue-watch.ts';
import type { QueueStanding } from '../../../../../broker/telemetry/queue-metrics.ts';
import type { QueuePartition } from '../../../../../proto/gen/tidemark/v1/queues.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';

const UNKNOWN = unknownPartition(0, 1, new BrokerError('BROKER_NOT_READY', 'It begins'));
const stands = (partition: number, rest: Partial<QueuePartition>): QueuePartition => ({
  ...{ ...UNKNOWN, partition, error: undefined, ...rest },
});

/** What one look tells of queues by name, as their owner describes the partitions. */
async function lookAt(
  queues: Record<string, readonly QueuePartition[] | BrokerError>,
): Promise<readonly QueueStanding[]> {
  const all = Object.entries(queues).flatMap(([name, partitions]) =>
    (partitions instanceof BrokerError ? [UNKNOWN] : partitions).map(({ partition }) => ({
      definition: { queueId: `id-${name}`, name, topicId: 't' },
      place: { partition },
    })),
  );
  let told: readonly QueueStanding[] = [];
  const cluster = {
    clock: new FakeClock(),
    broker: { isInformed: () => true, queues: () => ({ all: () => all }) },
    image: () => ({ topics: new Map([['t', { name: 'orders' }]]) }),
  };
  const watch = watchQueues(
    {
      cluster: cluster as unknown as QueueWatchParts['cluster'],
      owned: {
        describe: (queueId) => {
          const found = queues[queueId.slice('id-'.length)]!;
          if (found instanceof BrokerError) return Promise.reject(found);
          return Promise.resolve({ partitions: [...found], members: [] });
        },
      },
      report: () => undefined,
    },
    (standings) => {
      told = standings;
    },
  );
  await watch.look();
  watch.close();
  return told;
}

it('adds up the partitions that this broker owns, and takes the worst of times', async () => {
  const blocked = { offset: 7, key: undefined, kind: 'leased', memberId: '' };
  const told = await lookAt({
    jobs: [
      stands(0, { leased: 1, waiting: 2, delayed: 3, lagRecords: 10, lagMs: 500, dyingMs: 9 }),
      stands(2, { leased: 4, dying: 5, parked: 6, lagRecords: 20, lagMs: 700, blocked }),
    ],
    bills: [stands(1, {})],
  });
  expect(told.map(({ queue }) => queue)).toEqual(['bills', 'jobs']);
  expect(told[1]).toEqual({
    ...{ queue: 'jobs', topic: 'orders', leased: 5, waiting: 2, delayed: 3, dying: 5, parked: 6 },
    ...{ lag: { records: 30, ageMs: 700 }, blocked: 1, dyingMs: 9, unknown: 0 },
  });
});

it('knows no lag where it does not know a partition, or its queue is gone', async () => {
  const told = await lookAt({
    begins: [stands(0, { lagRecords: 3 }), { ...UNKNOWN, partition: 1 }],
    gone: new BrokerError('UNKNOWN_QUEUE', 'No queue has that id'),
  });
  expect(told).toMatchObject([
    { queue: 'begins', lag: null, unknown: 1 },
    { queue: 'gone', lag: null, unknown: 1 },
  ]);
});
