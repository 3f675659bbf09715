import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import {
  QUEUES_SHOWN_MAX,
  QueueMetrics,
  type QueueStanding,
} from '../../../../broker/telemetry/queue-metrics.ts';

async function seen(registry: Registry): Promise<readonly string[]> {
  return (await registry.metrics()).split('\n').filter((line) => /^tidemark_queue/.test(line));
}

const STANDING: QueueStanding = {
  ...{ queue: 'jobs', topic: 'orders', lag: { records: 12, ageMs: 2_500 }, unknown: 0 },
  ...{ leased: 5, waiting: 4, delayed: 3, dying: 2, parked: 1, blocked: 1, dyingMs: 700 },
};

it('shows how a queue stands, and no lag where it is not known', async () => {
  const registry = new Registry();
  const metrics = new QueueMetrics(registry);
  metrics.show([STANDING]);
  expect(await seen(registry)).toEqual([
    'tidemark_queue_lag_records{queue="jobs",topic="orders"} 12',
    'tidemark_queue_lag_seconds{queue="jobs",topic="orders"} 2.5',
    'tidemark_queue_records{queue="jobs",state="leased"} 5',
    'tidemark_queue_records{queue="jobs",state="waiting"} 4',
    'tidemark_queue_records{queue="jobs",state="delayed"} 3',
    'tidemark_queue_records{queue="jobs",state="dying"} 2',
    'tidemark_queue_records{queue="jobs",state="parked"} 1',
    'tidemark_queue_blocked_partitions{queue="jobs"} 1',
    'tidemark_queue_dying_seconds{queue="jobs"} 0.7',
    'tidemark_queues 1',
    'tidemark_queue_partitions_unknown 0',
    'tidemark_queues_unshown 0',
  ]);
  metrics.show([{ ...STANDING, lag: null, unknown: 2 }]);
  const lines = await seen(registry);
  expect(lines.filter((line) => line.includes('lag'))).toEqual([]);
  expect(lines).toContain('tidemark_queue_partitions_unknown 2');
  // Other brokers own them now.
  metrics.show([]);
  expect(await seen(registry)).toEqual([
    'tidemark_queues 0',
    'tidemark_queue_partitions_unknown 0',
    'tidemark_queues_unshown 0',
  ]);
});

it('is bounded, whoever makes queues', async () => {
  const registry = new Registry();
  const metrics = new QueueMetrics(registry);
  metrics.show(
    Array.from({ length: QUEUES_SHOWN_MAX + 3 }, (_, at) => ({ ...STANDING, queue: `q${at}` })),
  );
  const lines = await seen(registry);
  expect(lines.filter((line) => line.includes('lag_records'))).toHaveLength(QUEUES_SHOWN_MAX);
  expect(lines).toContain('tidemark_queues_unshown 3');
});
