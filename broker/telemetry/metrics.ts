/**
 * Prometheus metrics. Everything that the broker can tell is read when it is scraped, from one
 * report; only traffic is counted as it happens. No series per partition, and few by topic: their
 * number is bounded by this folder.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

import { type AppendCounts, AppendTimes } from './append-times.ts';
import type {
  BrokerSample,
  BrokerSource,
  CostSource,
  PartitionSample,
  ReplicaSample,
} from './broker-source.ts';
import { CompactionMetrics } from './compaction-metrics.ts';
import { watchCosts } from './cost-metrics.ts';
import { type GroupLag, GroupMetrics } from './group-metrics.ts';
import { QueueMetrics, type QueueStanding } from './queue-metrics.ts';
import { TopicMetrics } from './topic-metrics.ts';

/** From a loopback round trip to a client's patience. */
const LATENCY_BUCKETS_S = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const RESTART_CLASSES = ['new', 'clean', 'warm', 'lossy'] as const;
const CLOCK_DOUBTS = ['not-compared', 'unheard', 'off', 'jumped', 'settling'] as const;
const ROLES = ['follower', 'pre-candidate', 'candidate', 'leader', 'learner'] as const;

/** Metrics read from the source at each scrape, by name: meaning and value. */
const SAMPLED = {
  tidemark_partitions_led: [
    'Partitions that this broker leads',
    (sample, source) => led(sample, source).length,
  ],
  tidemark_partitions_under_replicated: [
    'Partitions led here with a replica missing from the sync set',
    (sample, source) => led(sample, source).filter(({ status }) => status.isUnderReplicated).length,
  ],
  tidemark_partitions_below_min: [
    'Partitions led here that refuse appends for want of in-sync replicas',
    (sample, source) => led(sample, source).filter(({ status }) => status.belowMin).length,
  ],
  tidemark_partitions_offline: [
    'Partitions with a replica here and no leader',
    (_, source) => offline(source),
  ],
  tidemark_loss_reports: [
    'Unclean elections that may have lost records, as metadata remembers them',
    (_, source) => source.image().losses.length,
  ],
  tidemark_replicas: ['Replicas on this broker', ({ replicas }) => replicas.length],
  tidemark_replicas_stopped: [
    'Replicas stopped by a safety rule',
    ({ replicas }) => replicas.filter(({ stopped }) => stopped !== null).length,
  ],
  tidemark_replica_hw_lag_records_max: [
    'Largest distance from high-water mark to end of log',
    (sample) => lags(sample).reduce((max, lag) => Math.max(max, lag), 0),
  ],
  tidemark_replica_hw_lag_records_sum: [
    'Sum of the distances from high-water mark to end of log',
    (sample) => lags(sample).reduce((sum, lag) => sum + lag, 0),
  ],
  tidemark_log_bytes: [
    'Bytes of all logs on this broker',
    ({ replicas }) => replicas.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  ],
  tidemark_disk_free_bytes: [
    'Bytes free on the data volume, less the reserve',
    ({ freeBytes }) => freeBytes,
  ],
  tidemark_disk_total_bytes: ['Bytes of the data volume', ({ totalBytes }) => totalBytes],
  tidemark_disk_full: [
    '1 while no records are taken for want of space on the data volume',
    ({ diskFault }) => (diskFault === null ? 0 : 1),
  ],
  tidemark_flush_age_seconds: [
    'Age of the oldest byte that is written and not synced',
    ({ flushAgeMs }) => flushAgeMs / 1000,
  ],
  tidemark_stuck_write_seconds: [
    'Age of the oldest write that has not returned',
    ({ stuckWriteMs }) => stuckWriteMs / 1000,
  ],
  tidemark_replicas_uncounted: [
    'Replicas on this broker that do not count: out of the sync set, or not certified yet',
    (_, source) =>
      partitionsHere(source).filter(
        ({ syncSet, suspects, adding }) =>
          !adding.includes(source.brokerId) &&
          (!syncSet.includes(source.brokerId) || suspects.includes(source.brokerId)),
      ).length,
  ],
  tidemark_replicas_moving: [
    'Replicas on their way to this broker',
    (_, source) =>
      partitionsHere(source).filter(({ adding }) => adding.includes(source.brokerId)).length,
  ],
  tidemark_brokers_registered: [
    'Brokers of the cluster, as metadata has them',
    (_, source) => source.image().brokers.size,
  ],
  tidemark_brokers_fenced: [
    'Those of them that do not count: dead, cut off, or not in service yet',
    (_, source) => [...source.image().brokers.values()].filter(({ fenced }) => fenced).length,
  ],
  tidemark_quorum_term: ['Term of the metadata quorum', ({ raft }) => raft?.term ?? 0],
  tidemark_quorum_commit_index: [
    'Last committed index of the metadata log',
    ({ raft }) => raft?.commitIndex ?? 0,
  ],
  tidemark_quorum_is_leader: [
    '1 on the controller',
    ({ raft }) => (raft?.role === 'leader' ? 1 : 0),
  ],
  tidemark_feature_level: [
    'Feature level of the cluster; below that of every build it can still be left',
    (_, source) => source.image().featureLevel,
  ],
  tidemark_metadata_unreadable: [
    '1 while this build cannot read what the cluster has decided: the broker counts no more',
    ({ metadataFault }) => (metadataFault === null ? 0 : 1),
  ],
  tidemark_clock_skew_seconds: [
    "Distance of this broker's clock ahead of the median of all brokers' clocks, NaN while not known",
    ({ clockSkewMs }) => (clockSkewMs ?? Number.NaN) / 1000,
  ],
  tidemark_time_retention_paused: [
    '1 while retention by time waits, because the clock is not believed',
    ({ clockDoubt }) => (clockDoubt === null ? 0 : 1),
  ],
  tidemark_serving: ['1 while the broker serves', ({ phase }) => (phase === 'serving' ? 1 : 0)],
} as const satisfies Record<
  string,
  readonly [string, (sample: BrokerSample, source: BrokerSource) => number]
>;

type Certificates = () => readonly { readonly listener: string; readonly notAfterMs: number }[];

export class Metrics {
  readonly #source: BrokerSource;
  readonly #certificates: Certificates;
  readonly #groups: GroupMetrics;
  readonly #queues: QueueMetrics;
  readonly #registry = new Registry();
  readonly #gauges = Object.entries(SAMPLED).map(([name, [help, read]]) => ({
    gauge: this.#gauge(name, help),
    read,
  }));
  readonly #restartClass = this.#gauge(
    'tidemark_restart_class',
    '1 for the class of the last start',
    ['class'],
  );
  readonly #clockDoubt = this.#gauge(
    'tidemark_clock_doubt',
    '1 for the reason why the clock is not believed, and retention by time waits',
    ['reason'],
  );
  readonly #quorumRole = this.#gauge(
    'tidemark_quorum_role',
    '1 for the role in the metadata quorum',
    ['role'],
  );
  readonly #elections = this.#counter(
    'tidemark_elections_total',
    'Leader epochs begun on partitions led here',
  );
  readonly #partitionChanges = this.#counter(
    'tidemark_sync_set_changes_total',
    'Changes of sync set or assignment on partitions led here',
  );
  readonly #appendSeconds = this.#histogram(
    'tidemark_append_seconds',
    'From the arrival of a batch to its answer',
  );
  readonly #appendBytes = this.#counter(
    'tidemark_append_bytes_total',
    'Bytes of frames appended for producers',
  );
  readonly #appendBatches = this.#counter(
    'tidemark_append_batches_total',
    'Batches answered, by error code',
    ['code'],
  );
  readonly #fetchSeconds = this.#histogram('tidemark_fetch_seconds', 'One read for a consumer');
  readonly #fetchBytes = this.#counter(
    'tidemark_fetch_bytes_total',
    'Bytes of frames sent to consumers',
  );
  readonly #fetchReads = this.#counter(
    'tidemark_fetch_reads_total',
    'Reads that gave frames to consumers',
  );
  readonly #certificateEnd = this.#gauge(
    'tidemark_tls_certificate_not_after_seconds',
    'Unix time at which the certificate of a listener ends',
    ['listener'],
  );
  readonly #topics = new TopicMetrics(this.#registry);
  readonly #compactions = new CompactionMetrics(this.#registry);
  readonly #appendTimes = new AppendTimes();
  #epochs = new Map<string, ReplicaSample['status']>();

  /**
   * @param certificates of listeners with TLS
   * @param costs null: nobody counts what clients cost
   */
  constructor(
    source: BrokerSource,
    certificates: Certificates = () => [],
    costs: CostSource | null = null,
  ) {
    this.#source = source;
    if (costs !== null) watchCosts(this.#registry, costs);
    this.#certificates = certificates;
    this.#groups = new GroupMetrics(this.#registry);
    this.#queues = new QueueMetrics(this.#registry);
    collectDefaultMetrics({
      register: this.#registry,
      // A timer of this period runs for it: 10 ms, the default, cost an idle broker a sixth.
      eventLoopMonitoringPrecision: 100,
    });
  }

  /**
   * A batch was answered. Bytes of its frame, milliseconds from arrival to answer, code of the
   * error or null, topic where the batch named one.
   */
  appended(bytes: number, durationMs: number, code: string | null, topicId: string | null): void {
    this.#appendSeconds.observe(durationMs / 1000);
    this.#appendBatches.inc({ code: code ?? 'OK' });
    // What was refused at once says nothing of how long an append takes.
    if (code !== null) return;
    this.#appendTimes.observe(durationMs);
    this.#appendBytes.inc(bytes);
    if (topicId !== null) this.#topics.appended(topicId, bytes);
  }

  /** For DescribeBroker. */
  appendTimes(): AppendCounts {
    return this.#appendTimes.report();
  }

  /** Frames left for a consumer. */
  fetched(bytes: number, durationMs: number): void {
    this.#fetchSeconds.observe(durationMs / 1000);
    this.#fetchBytes.inc(bytes);
    this.#fetchReads.inc();
  }

  /** For what is not read from the source. */
  get registry(): Registry {
    return this.#registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** How far the groups are behind that this broker coordinates. */
  groupLags(lags: readonly GroupLag[]): void {
    this.#groups.show(lags);
  }

  /** How the queues stand in the partitions that this broker owns. */
  queueStandings(standings: readonly QueueStanding[]): void {
    this.#queues.show(standings);
  }

  /** The text that a scrape gets. */
  text(): Promise<string> {
    const sample = this.#source.report();
    for (const { gauge, read } of this.#gauges) gauge.set(read(sample, this.#source));
    for (const name of RESTART_CLASSES)
      this.#restartClass.set({ class: name }, name === sample.restartClass ? 1 : 0);
    for (const name of CLOCK_DOUBTS)
      this.#clockDoubt.set({ reason: name }, name === sample.clockDoubt ? 1 : 0);
    for (const name of ROLES)
      this.#quorumRole.set({ role: name }, name === sample.raft?.role ? 1 : 0);
    for (const { listener, notAfterMs } of this.#certificates())
      this.#certificateEnd.set({ listener }, notAfterMs / 1000);
    this.#countChanges(sample);
    this.#topics.collect(sample, this.#source);
    this.#compactions.collect(sample, this.#source);
    return this.#registry.metrics();
  }

  /**
   * Epochs only rise, so the distance since the last scrape is the number of changes. The leader
   * counts, so that each change counts once.
   */
  #countChanges(sample: BrokerSample): void {
    const before = this.#epochs;
    this.#epochs = new Map();
    for (const { topicId, partition, status } of sample.replicas) {
      const key = `${topicId}/${partition}`;
      const last = before.get(key);
      this.#epochs.set(key, status);
      if (last === undefined || status.leader !== this.#source.brokerId) continue;
      this.#elections.inc(Math.max(0, status.leaderEpoch - last.leaderEpoch));
      this.#partitionChanges.inc(Math.max(0, status.partitionEpoch - last.partitionEpoch));
    }
  }

  #gauge<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Gauge<Label> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  #counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: LATENCY_BUCKETS_S, registers: [this.#registry] });
  }
}

function led({ replicas }: BrokerSample, { brokerId }: BrokerSource): readonly ReplicaSample[] {
  return replicas.filter(({ status }) => status.leader === brokerId);
}

/** Partitions with a replica on this broker, as metadata has them. */
function partitionsHere(source: BrokerSource): PartitionSample[] {
  return [...source.image().topics.values()].flatMap(({ partitions }) =>
    partitions.filter(({ replicas }) => replicas.includes(source.brokerId)),
  );
}

function offline(source: BrokerSource): number {
  return partitionsHere(source).filter(({ leader }) => leader < 0).length;
}

function lags({ replicas }: BrokerSample): number[] {
  return replicas.map(({ status }) => Math.max(0, status.writtenEnd - status.highWaterMark));
}
