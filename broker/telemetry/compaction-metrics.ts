/** Metrics of compaction: a few series of the whole broker, whatever is compacted. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { BrokerSample, BrokerSource, CompactionTotals } from './broker-source.ts';

/** Every phase but `idle`, which replicas of other topics are in too. */
const PHASES = ['queued', 'running', 'waits-for-space', 'waits-for-descriptors', 'failed'] as const;

export class CompactionMetrics {
  readonly #registry: Registry;
  readonly #dirtyBytes: Gauge;
  readonly #replicas: Gauge<'phase'>;
  #totals: CompactionTotals = {
    passes: 0,
    failures: 0,
    bytesBefore: 0,
    bytesAfter: 0,
    segmentsMerged: 0,
  };

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#dirtyBytes = new Gauge({
      name: 'tidemark_compaction_dirty_bytes',
      help: 'Committed bytes of compacted topics led here for which no pass was ordered yet',
      registers: [registry],
    });
    this.#replicas = new Gauge({
      name: 'tidemark_compaction_replicas',
      help: 'Replicas here that have an order to carry out, by what they do about it',
      labelNames: ['phase'],
      registers: [registry],
    });
    this.#counter('passes', 'Passes of compaction that carried their order out', 'passes');
    this.#counter('failures', 'Passes of compaction that ended with an error', 'failures');
    this.#counter('before_bytes', 'Bytes of logs as passes over them began', 'bytesBefore');
    this.#counter('after_bytes', 'Bytes of the same logs as these passes ended', 'bytesAfter');
    const merged = 'Small segments of compacted logs that became part of others';
    this.#counter('merged_segments', merged, 'segmentsMerged');
  }

  /** Called at each scrape. */
  collect({ replicas, compactions }: BrokerSample, { brokerId }: BrokerSource): void {
    this.#totals = compactions;
    let dirtyBytes = 0;
    const counts = new Map<string, number>();
    for (const { status, compaction } of replicas) {
      if (status.leader === brokerId) dirtyBytes += compaction.dirtyBytes;
      counts.set(compaction.phase, (counts.get(compaction.phase) ?? 0) + 1);
    }
    this.#dirtyBytes.set(dirtyBytes);
    for (const phase of PHASES) this.#replicas.set({ phase }, counts.get(phase) ?? 0);
  }

  #counter(name: string, help: string, field: keyof CompactionTotals): void {
    const totals = (): number => this.#totals[field];
    new Counter({
      name: `tidemark_compaction_${name}_total`,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(totals());
      },
    });
  }
}
