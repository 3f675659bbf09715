import { describe, expect, it } from 'vitest';

import type {
  BrokerSample,
  BrokerSource,
  ReplicaSample,
} from '../../../../broker/telemetry/broker-source.ts';
import { Metrics } from '../../../../broker/telemetry/metrics.ts';

const STATUS = {
  leader: 1,
  leaderEpoch: 4,
  partitionEpoch: 9,
  highWaterMark: 10,
  writtenEnd: 13,
  belowMin: false,
  isUnderReplicated: false,
};

function replica(
  partition: number,
  status: Partial<ReplicaSample['status']> = {},
  stopped: string | null = null,
): ReplicaSample {
  const compaction = { phase: 'idle', dirtyBytes: 5 };
  const own = { topicId: 't', partition, sizeBytes: 100, stopped, compaction };
  return { ...own, status: { ...STATUS, ...status } };
}

class FakeSource implements BrokerSource {
  readonly brokerId = 1;
  sample: BrokerSample = {
    phase: 'serving',
    restartClass: 'warm',
    replicas: [],
    freeBytes: 77,
    totalBytes: 100,
    diskFault: 'the data volume is 5 bytes below its reserve',
    flushAgeMs: 1500,
    stuckWriteMs: 0,
    raft: null,
    metadataFault: null,
    clockSkewMs: null,
    clockDoubt: null,
    compactions: { passes: 0, failures: 0, bytesBefore: 0, bytesAfter: 0, segmentsMerged: 0 },
  };
  offlineLeaders: readonly number[] = [];
  topics: readonly string[] = ['t'];
  syncSet: readonly number[] = [1];
  suspects: readonly number[] = [];
  adding: readonly number[] = [];

  phase(): BrokerSample['phase'] {
    return this.sample.phase;
  }

  report(): BrokerSample {
    return this.sample;
  }

  image(): ReturnType<BrokerSource['image']> {
    return {
      featureLevel: 7,
      losses: [{}, {}],
      brokers: new Map([
        [1, { fenced: false }],
        [2, { fenced: true }],
        [3, { fenced: false }],
      ]),
      topics: new Map(
        this.topics.map((id) => [
          id,
          {
            name: `name-of-${id}`,
            partitions: this.offlineLeaders.map((leader) => ({
              leader,
              replicas: [1],
              syncSet: this.syncSet,
              suspects: this.suspects,
              adding: this.adding,
            })),
          },
        ]),
      ),
    };
  }
}

/** Values by series. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('tidemark_'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

describe('Metrics', () => {
  it('reads what compaction has done and has to do', async () => {
    const source = new FakeSource();
    const phases = ['idle', 'queued', 'waits-for-space', 'running', 'queued'];
    source.sample = {
      ...source.sample,
      replicas: phases.map((phase, partition) => ({
        ...replica(partition, { leader: partition === 1 ? 2 : 1 }),
        compaction: { phase, dirtyBytes: 10 ** partition },
      })),
      compactions: { passes: 3, failures: 1, bytesBefore: 900, bytesAfter: 400, segmentsMerged: 7 },
    };
    const metrics = new Metrics(source);
    await metrics.text();
    const lines = (await metrics.text()).split('\n');
    for (const line of [
      'tidemark_compaction_dirty_bytes 11101',
      'tidemark_compaction_replicas{phase="queued"} 2',
      'tidemark_compaction_replicas{phase="running"} 1',
      'tidemark_compaction_replicas{phase="waits-for-space"} 1',
      'tidemark_compaction_replicas{phase="failed"} 0',
      'tidemark_compaction_passes_total 3',
      'tidemark_compaction_failures_total 1',
      'tidemark_compaction_merged_segments_total 7',
      'tidemark_compaction_before_bytes_total 900',
      'tidemark_compaction_after_bytes_total 400',
    ])
      expect(lines).toContain(line);
  });

  it('reads what clients cost, and what quotas have held, at each scrape', async () => {
    const costs = {
      budget: {
        bytes: 5,
        streams: 6,
        limits: { bytes: 7 },
        connections: (name: string) => name.length,
      },
      listeners: ['client', 'outside'],
      pressure: { totals: () => [{ what: 'call-refused', reason: 'memory', count: 9 }] },
      quotas: {
        totals: () => [{ quota: 'read-bytes', delays: 1, delayedMs: 2_500, refusals: 3 }],
      },
      shares: {
        totals: () => ({
          ...{ active: 4, heldBack: 2, underWayBytes: 300, windowBytes: 65_536, holds: 11 },
        }),
      },
    };
    const metrics = new Metrics(new FakeSource(), () => [], costs);
    await metrics.text();
    const lines = (await metrics.text()).split('\n');
    for (const line of [
      'tidemark_connection_memory_bytes 5',
      'tidemark_open_calls 6',
      'tidemark_connection_memory_limit_bytes 7',
      'tidemark_connections{listener="client"} 6',
      'tidemark_connections{listener="outside"} 7',
      'tidemark_pressure_total{what="call-refused",reason="memory"} 9',
      'tidemark_quota_delays_total{quota="read-bytes"} 1',
      'tidemark_quota_delay_seconds_total{quota="read-bytes"} 2.5',
      'tidemark_quota_refusals_total{quota="read-bytes"} 3',
      'tidemark_producers{state="active"} 4',
      'tidemark_producers{state="held-back"} 2',
      'tidemark_appends_under_way_bytes 300',
      'tidemark_producer_window_bytes 65536',
      'tidemark_producer_holds_total 11',
    ])
      expect(lines).toContain(line);
  });

  it('reads the report at each scrape', async () => {
    const source = new FakeSource();
    source.offlineLeaders = [1, -1, -1];
    source.suspects = [1, 2];
    source.syncSet = [1, 2];
    source.adding = [3];
    source.sample = {
      ...source.sample,
      metadataFault: 'metadata entry 7 cannot be read',
      clockSkewMs: -61_500,
      clockDoubt: 'off',
      raft: { role: 'leader', term: 3, commitIndex: 8 },
      replicas: [
        replica(0),
        replica(1, { belowMin: true, isUnderReplicated: true, writtenEnd: 30 }),
        replica(2, { leader: 2, isUnderReplicated: true }, 'why'),
      ],
    };
    const seen = await scrape(new Metrics(source));
    expect(
      Object.fromEntries(
        [...seen].filter(([name]) => !/_(seconds_(bucket|sum|count)|total($|\{))/.test(name)),
      ),
    ).toEqual({
      tidemark_groups: 0,
      tidemark_group_lags_unknown: 0,
      tidemark_group_lags_unshown: 0,
      tidemark_queues: 0,
      tidemark_queue_partitions_unknown: 0,
      tidemark_queues_unshown: 0,
      tidemark_partitions_led: 2,
      tidemark_partitions_under_replicated: 1,
      tidemark_partitions_below_min: 1,
      tidemark_partitions_offline: 2,
      tidemark_loss_reports: 2,
      tidemark_disk_full: 1,
      tidemark_replicas: 3,
      tidemark_replicas_stopped: 1,
      tidemark_replica_hw_lag_records_max: 20,
      tidemark_replica_hw_lag_records_sum: 26,
      tidemark_log_bytes: 300,
      tidemark_disk_free_bytes: 77,
      tidemark_disk_total_bytes: 100,
      tidemark_replicas_uncounted: 3,
      tidemark_replicas_moving: 0,
      tidemark_brokers_registered: 3,
      tidemark_brokers_fenced: 1,
      'tidemark_topic_log_bytes{topic="name-of-t"}': 300,
      tidemark_flush_age_seconds: 1.5,
      tidemark_stuck_write_seconds: 0,
      tidemark_quorum_term: 3,
      tidemark_quorum_commit_index: 8,
      tidemark_quorum_is_leader: 1,
      tidemark_feature_level: 7,
      tidemark_metadata_unreadable: 1,
      tidemark_clock_skew_seconds: -61.5,
      tidemark_time_retention_paused: 1,
      tidemark_serving: 1,
      tidemark_compaction_dirty_bytes: 10,
      'tidemark_compaction_replicas{phase="queued"}': 0,
      'tidemark_compaction_replicas{phase="running"}': 0,
      'tidemark_compaction_replicas{phase="waits-for-space"}': 0,
      'tidemark_compaction_replicas{phase="waits-for-descriptors"}': 0,
      'tidemark_compaction_replicas{phase="failed"}': 0,
      'tidemark_restart_class{class="new"}': 0,
      'tidemark_restart_class{class="clean"}': 0,
      'tidemark_restart_class{class="warm"}': 1,
      'tidemark_restart_class{class="lossy"}': 0,
      'tidemark_clock_doubt{reason="not-compared"}': 0,
      'tidemark_clock_doubt{reason="unheard"}': 0,
      'tidemark_clock_doubt{reason="off"}': 1,
      'tidemark_clock_doubt{reason="jumped"}': 0,
      'tidemark_clock_doubt{reason="settling"}': 0,
      'tidemark_quorum_role{role="follower"}': 0,
      'tidemark_quorum_role{role="pre-candidate"}': 0,
      'tidemark_quorum_role{role="candidate"}': 0,
      'tidemark_quorum_role{role="leader"}': 1,
      'tidemark_quorum_role{role="learner"}': 0,
    });
  });

  it.each([
    ['in sync', [1, 2], [], [], 0],
    ['in the sync set and suspect', [1, 2], [1], [], 1],
    ['out of the sync set', [2], [], [], 1],
    ['on its way here', [2], [], [1], 0],
  ])('counts a replica that does not count: %s', async (_, syncSet, suspects, adding, expected) => {
    const source = new FakeSource();
    Object.assign(source, { offlineLeaders: [2], syncSet, suspects, adding });
    const seen = await scrape(new Metrics(source));
    expect(seen.get('tidemark_replicas_uncounted')).toBe(expected);
    expect(seen.get('tidemark_replicas_moving')).toBe(adding.length);
  });

  it('counts changes by the distance between epochs, on the leader alone', async () => {
    const source = new FakeSource();
    const metrics = new Metrics(source);
    source.sample = { ...source.sample, replicas: [replica(0), replica(1, { leader: 2 })] };
    await scrape(metrics);
    source.sample = {
      ...source.sample,
      replicas: [
        replica(0, { leaderEpoch: 6, partitionEpoch: 14 }),
        replica(1, { leader: 2, leaderEpoch: 9 }),
      ],
    };
    const seen = await scrape(metrics);
    expect([
      seen.get('tidemark_elections_total'),
      seen.get('tidemark_sync_set_changes_total'),
    ]).toEqual([2, 5]);
  });

  it('counts traffic as it happens', async () => {
    const metrics = new Metrics(new FakeSource());
    metrics.appended(100, 3, null, 't');
    metrics.appended(50, 3, 'NOT_LEADER', 't');
    metrics.fetched(70, 1);
    const seen = await scrape(metrics);
    expect([
      seen.get('tidemark_append_bytes_total'),
      seen.get('tidemark_append_batches_total{code="OK"}'),
      seen.get('tidemark_append_batches_total{code="NOT_LEADER"}'),
      seen.get('tidemark_append_seconds_count'),
      seen.get('tidemark_append_seconds_bucket{le="0.005"}'),
      seen.get('tidemark_fetch_bytes_total'),
    ]).toEqual([100, 1, 1, 2, 2, 70]);
  });
});
