import { describe, expect, it } from 'vitest';
import { OperatorMetrics } from '../../../../operator/runtime/metrics.ts';

async function shown(metrics: OperatorMetrics): Promise<string[]> {
  return (await metrics.text())
    .split('\n')
    .filter((line) => line.startsWith('op_') && !line.includes('_bucket'));
}

describe('OperatorMetrics', () => {
  it('counts passes by outcome and errors by class', async () => {
    const metrics = new OperatorMetrics('op_');
    const observer = metrics.controller('widgets');
    for (const outcome of [
      'success',
      'transient-error',
      'terminal-error',
      'deadline',
      'requeue',
    ] as const) {
      observer.passStarted('default/a', 1_000);
      observer.passEnded('default/a', outcome, 250, 5_000);
    }
    observer.taken(20);
    observer.retried();
    expect(await shown(metrics)).toEqual([
      ...['success', 'transient-error', 'terminal-error', 'deadline', 'requeue'].map(
        (outcome) => `op_reconcile_total{controller="widgets",outcome="${outcome}"} 1`,
      ),
      ...['transient', 'terminal', 'deadline'].map(
        (name) => `op_reconcile_errors_total{controller="widgets",class="${name}"} 1`,
      ),
      'op_reconcile_seconds_sum{controller="widgets"} 1.25',
      'op_reconcile_seconds_count{controller="widgets"} 5',
      'op_queue_wait_seconds_sum{controller="widgets"} 0.02',
      'op_queue_wait_seconds_count{controller="widgets"} 1',
      'op_queue_retries_total{controller="widgets"} 1',
      'op_reconcile_last_success_timestamp_seconds{controller="widgets",key="default/a"} 5',
    ]);
  });

  it('shows since when a pass is under way, and drops the series of a key with the key', async () => {
    const metrics = new OperatorMetrics('op_');
    const observer = metrics.controller('widgets');
    observer.passStarted('default/a', 7_000);
    const line =
      'op_reconcile_in_progress_start_timestamp_seconds{controller="widgets",key="default/a"} 7';
    expect(await shown(metrics)).toContain(line);
    observer.passEnded('default/a', 'success', 1, 8_000);
    observer.passEnded('default/a', 'gone', 1, 9_000);
    expect((await shown(metrics)).filter((each) => each.includes('default/a'))).toEqual([]);
  });

  it('reads states at the scrape', async () => {
    const metrics = new OperatorMetrics('op_');
    let isLeading = false;
    metrics.attach({
      isLeading: () => isLeading,
      monotonicMs: () => 9_000,
      reflectors: () => [{ kind: 'Pod', hasSynced: true, stalenessMs: () => 1_500 }],
      depths: () => [{ controller: 'widgets', queued: 3, retrying: 2 }],
    });
    expect(await shown(metrics)).toContain('op_leader 0');
    isLeading = true;
    expect(await shown(metrics)).toEqual(
      expect.arrayContaining([
        'op_leader 1',
        'op_reflector_synced{kind="Pod"} 1',
        'op_reflector_staleness_seconds{kind="Pod"} 1.5',
        'op_queue_depth{controller="widgets"} 3',
        'op_queue_retrying{controller="widgets"} 2',
      ]),
    );
  });

  it('counts lists, reconnects and lost events by reason', async () => {
    const metrics = new OperatorMetrics('op_');
    metrics.relisted('Pod', 'expired');
    metrics.reconnected('Pod', 'silent');
    metrics.eventDropped('muted');
    expect(await shown(metrics)).toEqual([
      'op_reflector_relists_total{kind="Pod",reason="expired"} 1',
      'op_reflector_reconnects_total{kind="Pod",reason="silent"} 1',
      'op_events_dropped_total{reason="muted"} 1',
    ]);
  });

  it('counts requests, and shows for how long a gate has refused what a key wants', async () => {
    const metrics = new OperatorMetrics('op_');
    metrics.attach({
      isLeading: () => true,
      monotonicMs: () => 9_000,
      reflectors: () => [],
      depths: () => [],
    });
    metrics.requested('GET', 200);
    metrics.requested('GET', 200);
    metrics.requested('PATCH', 0);
    metrics.blocked('default/a', 'Paused', 2_000);
    metrics.blocked('default/a', 'WouldHarm', 4_000);
    metrics.blocked('default/a', 'WouldHarm', 8_000);
    metrics.blocked('default/b', 'Paused', 8_000);
    metrics.blocked('default/b', null, 8_500);
    expect(await shown(metrics)).toEqual(
      expect.arrayContaining([
        'op_api_requests_total{method="GET",status="200"} 2',
        'op_api_requests_total{method="PATCH",status="0"} 1',
        'op_blocked_seconds{key="default/a",reason="WouldHarm"} 5',
      ]),
    );
    expect((await shown(metrics)).filter((line) => line.startsWith('op_blocked'))).toHaveLength(1);
  });
});
