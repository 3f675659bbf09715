import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { GROUP_LAGS_SHOWN_MAX, GroupMetrics } from '../../../../broker/telemetry/group-metrics.ts';

async function seen(registry: Registry): Promise<readonly string[]> {
  return (await registry.metrics()).split('\n').filter((line) => /^tidemark_group/.test(line));
}

it('shows lags by group and topic, and none where it is not known', async () => {
  const registry = new Registry();
  const metrics = new GroupMetrics(registry);
  const lag = { records: 7, ageMs: 1_500 };
  metrics.show([
    { group: 'billing', topic: 'orders', lag },
    { group: 'billing', topic: 'paid', lag: null },
  ]);
  expect(await seen(registry)).toEqual([
    'tidemark_group_lag_records{group="billing",topic="orders"} 7',
    'tidemark_group_lag_seconds{group="billing",topic="orders"} 1.5',
    'tidemark_groups 1',
    'tidemark_group_lags_unknown 1',
    'tidemark_group_lags_unshown 0',
  ]);
  // Another broker coordinates them now.
  metrics.show([]);
  expect(await seen(registry)).toEqual([
    'tidemark_groups 0',
    'tidemark_group_lags_unknown 0',
    'tidemark_group_lags_unshown 0',
  ]);
});

it('is bounded, whoever makes groups', async () => {
  const registry = new Registry();
  const metrics = new GroupMetrics(registry);
  const lag = { records: 1, ageMs: 0 };
  const many = Array.from({ length: GROUP_LAGS_SHOWN_MAX + 3 }, (_, at) => ({
    group: `g${at}`,
    topic: 'orders',
    lag,
  }));
  metrics.show(many);
  const lines = await seen(registry);
  expect(lines.filter((line) => line.includes('lag_records'))).toHaveLength(GROUP_LAGS_SHOWN_MAX);
  expect(lines).toContain('tidemark_group_lags_unshown 3');
});
