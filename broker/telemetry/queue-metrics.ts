/**
 * How the queues stand, by queue, over the partitions that this broker owns: the sum over all
 * brokers is the queue's. A lag that is not known has no series: it is not 0. Bounded; what is
 * beyond is counted.
 */
import { Gauge, type Registry } from 'prom-client';

/** Queues with series of their own: nine series each. */
export const QUEUES_SHOWN_MAX = 200;

const STATES = ['leased', 'waiting', 'delayed', 'dying', 'parked'] as const;

/** One queue, over the partitions that this broker owns. */
export interface QueueStanding extends Readonly<Record<(typeof STATES)[number], number>> {
  readonly queue: string;
  readonly topic: string;
  /** Null: of some partition it is not known. */
  readonly lag: { readonly records: number; readonly ageMs: number } | null;
  /** Partitions whose window is full. */
  readonly blocked: number;
  /** How long the oldest record is on its way to the dead-letter topic; 0: none is. */
  readonly dyingMs: number;
  /** Partitions of which nothing is known. */
  readonly unknown: number;
}

export class QueueMetrics {
  readonly #lagRecords: Gauge<'queue' | 'topic'>;
  readonly #lagSeconds: Gauge<'queue' | 'topic'>;
  readonly #records: Gauge<'queue' | 'state'>;
  readonly #blocked: Gauge<'queue'>;
  readonly #dyingSeconds: Gauge<'queue'>;
  readonly #queues: Gauge;
  readonly #unknown: Gauge;
  readonly #unshown: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const byTopic = ['queue', 'topic'] as const;
    const byQueue = ['queue'] as const;
    this.#lagRecords = new Gauge({
      name: 'tidemark_queue_lag_records',
      help: 'Records of the queue that are not settled; of partitions that this broker owns',
      ...{ labelNames: byTopic, registers },
    });
    this.#lagSeconds = new Gauge({
      name: 'tidemark_queue_lag_seconds',
      help: 'How long ago the oldest record was committed that was never handed out',
      ...{ labelNames: byTopic, registers },
    });
    this.#records = new Gauge({
      name: 'tidemark_queue_records',
      help: 'Records that were handed out and are not settled, by what they are',
      ...{ labelNames: ['queue', 'state'] as const, registers },
    });
    this.#blocked = new Gauge({
      name: 'tidemark_queue_blocked_partitions',
      help: 'Partitions that hand out nothing new until a record is settled: their window is full',
      ...{ labelNames: byQueue, registers },
    });
    this.#dyingSeconds = new Gauge({
      name: 'tidemark_queue_dying_seconds',
      help: 'How long the oldest record is on its way to the dead-letter topic; 0: none is',
      ...{ labelNames: byQueue, registers },
    });
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers });
    this.#queues = gauge('tidemark_queues', 'Queues of which this broker owns partitions');
    this.#unknown = gauge(
      'tidemark_queue_partitions_unknown',
      'Partitions of queues that this broker owns and cannot describe',
    );
    this.#unshown = gauge(
      'tidemark_queues_unshown',
      `Queues without series, beyond the first ${QUEUES_SHOWN_MAX}`,
    );
  }

  /** All of which this broker owns partitions, as of now. */
  show(standings: readonly QueueStanding[]): void {
    this.#queues.set(standings.length);
    this.#unknown.set(standings.reduce((sum, { unknown }) => sum + unknown, 0));
    this.#unshown.set(Math.max(0, standings.length - QUEUES_SHOWN_MAX));
    for (const gauge of [this.#lagRecords, this.#lagSeconds, this.#records]) gauge.reset();
    for (const gauge of [this.#blocked, this.#dyingSeconds]) gauge.reset();
    for (const standing of standings.slice(0, QUEUES_SHOWN_MAX)) this.#showOne(standing);
  }

  #showOne(standing: QueueStanding): void {
    const { queue, topic, lag, blocked, dyingMs } = standing;
    if (lag !== null) {
      this.#lagRecords.set({ queue, topic }, lag.records);
      this.#lagSeconds.set({ queue, topic }, lag.ageMs / 1000);
    }
    for (const state of STATES) this.#records.set({ queue, state }, standing[state]);
    this.#blocked.set({ queue }, blocked);
    this.#dyingSeconds.set({ queue }, dyingMs / 1000);
  }
}
