/**
 * The producer table of one replica (rule 20), and what its core cannot do for it: read it from the
 * log again after a cut, and ask the controller which producers there are.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { Clock } from '../../../base/clock.ts';
import type { LeaderEpoch, MonotonicMs, Offset } from '../../../base/units.ts';
import type { ProducersGiven, ProducerTable } from '../../replication/producers.ts';
import type { PartitionLog } from '../ports.ts';
import { recoverProducers } from './recovered-producers.ts';

/** Pause before headers that could not be read are read again. */
const AGAIN_MS = 1_000;

export interface ReplicaProducersHost {
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly producersMax: number;
  /** See ReplicaHost. */
  producersGiven(): Promise<ProducersGiven>;
  logStart(): Offset;
  /** Answer to {@link ReplicaProducers.ask}. */
  onGiven(leaderEpoch: LeaderEpoch, given: ProducersGiven): void;
  /** The headers could not be read. They are read again. */
  onUnread(error: unknown): void;
}

export class ReplicaProducers {
  readonly table: ProducerTable;
  readonly #host: ReplicaProducersHost;
  #isAsking = false;
  /** Cuts after which the table had to be read again. */
  #rebuilds = 0;
  /** When it is read again; null: it could be read, or is being read. */
  #dueMs: MonotonicMs | null = null;
  #isUnread = false;

  constructor(host: ReplicaProducersHost) {
    this.#host = host;
    this.table = recoverProducers(host.log, host.producersMax, host.clock.monotonicMs());
  }

  /** The last try to read the table failed: batches of producers are refused. */
  get isUnread(): boolean {
    return this.#isUnread;
  }

  /** The core asks again at each tick while it is not answered. */
  ask(leaderEpoch: LeaderEpoch): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#host.producersGiven().then(
      (given) => {
        this.#isAsking = false;
        this.#host.onGiven(leaderEpoch, given);
      },
      () => {
        this.#isAsking = false;
      },
    );
  }

  /** @param cut the truncation that made it necessary; what follows its failure is not ours */
  rebuild(cut: Promise<void>): void {
    this.#rebuilds += 1;
    const rebuild = this.#rebuilds;
    cut.then(
      () => {
        // A later rebuild reads for both.
        if (rebuild === this.#rebuilds) this.#read(rebuild);
      },
      () => undefined,
    );
  }

  tick(): void {
    if (this.#dueMs === null || this.#host.clock.monotonicMs() < this.#dueMs) return;
    this.#dueMs = null;
    this.#read(this.#rebuilds);
  }

  #read(rebuild: number): void {
    const { log, clock } = this.#host;
    const startOffset = this.#host.logStart();
    // Another cut since then made these headers old; its own rebuild follows.
    const isCurrent = (): boolean => rebuild === this.#rebuilds;
    log.headers(startOffset).then(
      (headers) => {
        if (!isCurrent()) return;
        this.#isUnread = false;
        this.table.rebuild(headers, startOffset);
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        const hasMoved = error instanceof BrokerError && error.code === 'OFFSET_OUT_OF_RANGE';
        // Retention has moved the start: that is no failure.
        if (hasMoved && this.#host.logStart() !== startOffset) {
          this.#read(rebuild);
          return;
        }
        this.#isUnread = true;
        this.#dueMs = clock.monotonicMs() + AGAIN_MS;
        this.#host.onUnread(error);
      },
    );
  }
}
