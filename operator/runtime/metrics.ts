/**
 * What the machinery shows to Prometheus. States are read at the scrape, occurrences counted as
 * they happen. Series of a key go with the key, so their number is bounded by what exists.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { EventObserver } from '../kube/events.ts';
import type { RequestObserver } from '../kube/kube-client.ts';
import type { PassObserver, PassOutcome } from './reconciler.ts';
import type {
  ReconnectReason,
  Reflector,
  ReflectorObserver,
  RelistReason,
} from '../kube/reflector.ts';

/** Read at each scrape. */
export interface MetricsSource {
  readonly isLeading: () => boolean;
  /** The clock of {@link OperatorMetrics.blocked}. */
  readonly monotonicMs: () => number;
  readonly reflectors: () => readonly Pick<Reflector, 'kind' | 'hasSynced' | 'stalenessMs'>[];
  readonly depths: () => readonly {
    readonly controller: string;
    readonly queued: number;
    readonly retrying: number;
  }[];
}

/** From a cache hit to a pass that waits for brokers. */
const PASS_BUCKETS_S = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120];

export class OperatorMetrics implements ReflectorObserver, EventObserver, RequestObserver {
  readonly #registry = new Registry();
  readonly #passes: Counter<'controller' | 'outcome'>;
  readonly #errors: Counter<'controller' | 'class'>;
  readonly #seconds: Histogram<'controller'>;
  readonly #waited: Histogram<'controller'>;
  readonly #retries: Counter<'controller'>;
  readonly #lastSuccess: Gauge<'controller' | 'key'>;
  readonly #inProgress: Gauge<'controller' | 'key'>;
  readonly #relists: Counter<'kind' | 'reason'>;
  readonly #reconnects: Counter<'kind' | 'reason'>;
  readonly #eventsDropped: Counter<'reason'>;
  readonly #requests: Counter<'method' | 'status'>;
  readonly #blocked = new Map<string, { readonly reason: string; readonly sinceMs: number }>();
  readonly #prefix: string;

  /** Names begin with `prefix`. */
  constructor(prefix: string) {
    this.#prefix = prefix;
    this.#passes = this.#counter('reconcile_total', 'Passes ended, by outcome', [
      'controller',
      'outcome',
    ]);
    this.#errors = this.#counter('reconcile_errors_total', 'Passes failed, by class of error', [
      'controller',
      'class',
    ]);
    this.#seconds = this.#histogram('reconcile_seconds', 'Duration of a pass');
    this.#waited = this.#histogram(
      'queue_wait_seconds',
      'From the first reason for a pass to its start',
    );
    this.#retries = this.#counter('queue_retries_total', 'Passes asked for again after a failure', [
      'controller',
    ]);
    this.#lastSuccess = this.#gauge(
      'reconcile_last_success_timestamp_seconds',
      'When a pass of this key last succeeded',
      ['controller', 'key'],
    );
    this.#inProgress = this.#gauge(
      'reconcile_in_progress_start_timestamp_seconds',
      'When the pass of this key began that is under way',
      ['controller', 'key'],
    );
    this.#relists = this.#counter('reflector_relists_total', 'Whole lists taken, by reason', [
      'kind',
      'reason',
    ]);
    this.#reconnects = this.#counter(
      'reflector_reconnects_total',
      'Watches opened again, by reason',
      ['kind', 'reason'],
    );
    this.#requests = this.#counter(
      'api_requests_total',
      'Requests to the API server, by status; 0: no answer',
      ['method', 'status'],
    );
    this.#eventsDropped = this.#counter('events_dropped_total', 'Events never sent, by reason', [
      'reason',
    ]);
  }

  get registry(): Registry {
    return this.#registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Call once, when what is to be read exists. */
  attach(source: MetricsSource): void {
    this.#sampled(
      'blocked_seconds',
      'For how long a gate has refused what a key wants',
      ['key', 'reason'],
      (gauge) => {
        gauge.reset();
        for (const [key, { reason, sinceMs }] of this.#blocked)
          gauge.set({ key, reason }, (source.monotonicMs() - sinceMs) / 1_000);
      },
    );
    this.#sampled('leader', '1 while this process leads', [], (gauge) =>
      gauge.set(source.isLeading() ? 1 : 0),
    );
    this.#sampled('reflector_synced', '1 once a kind was listed', ['kind'], (gauge) => {
      for (const { kind, hasSynced } of source.reflectors()) gauge.set({ kind }, hasSynced ? 1 : 0);
    });
    this.#sampled(
      'reflector_staleness_seconds',
      'Since the API server was last heard about a kind',
      ['kind'],
      (gauge) => {
        for (const reflector of source.reflectors())
          gauge.set({ kind: reflector.kind }, reflector.stalenessMs() / 1_000);
      },
    );
    this.#sampled('queue_depth', 'Keys that wait for a worker', ['controller'], (gauge) => {
      for (const { controller, queued } of source.depths()) gauge.set({ controller }, queued);
    });
    this.#sampled('queue_retrying', 'Keys whose last pass failed', ['controller'], (gauge) => {
      for (const { controller, retrying } of source.depths()) gauge.set({ controller }, retrying);
    });
  }

  /** The observer of one controller's passes. */
  controller(controller: string): PassObserver {
    return {
      passStarted: (key, wallMs) => this.#inProgress.set({ controller, key }, wallMs / 1_000),
      passEnded: (key, outcome, durationMs, wallMs) => {
        this.#inProgress.remove({ controller, key });
        this.#passes.inc({ controller, outcome });
        this.#seconds.observe({ controller }, durationMs / 1_000);
        this.#concludes(controller, key, outcome, wallMs);
      },
      taken: (waitedMs) => this.#waited.observe({ controller }, waitedMs / 1_000),
      retried: () => this.#retries.inc({ controller }),
    };
  }

  relisted(kind: string, reason: RelistReason): void {
    this.#relists.inc({ kind, reason });
  }

  reconnected(kind: string, reason: ReconnectReason): void {
    this.#reconnects.inc({ kind, reason });
  }

  requested(method: string, status: number): void {
    this.#requests.inc({ method, status: String(status) });
  }

  /**
   * What a key wants is refused for this reason now; null: nothing is refused, or the key is gone.
   */
  blocked(key: string, reason: string | null, monotonicMs: number): void {
    if (reason === null) this.#blocked.delete(key);
    else if (this.#blocked.get(key)?.reason !== reason)
      this.#blocked.set(key, { reason, sinceMs: monotonicMs });
  }

  eventDropped(reason: string): void {
    this.#eventsDropped.inc({ reason });
  }

  #concludes(controller: string, key: string, outcome: PassOutcome, wallMs: number): void {
    switch (outcome) {
      case 'success':
      case 'requeue':
        return this.#lastSuccess.set({ controller, key }, wallMs / 1_000);
      case 'gone':
        return this.#lastSuccess.remove({ controller, key });
      case 'transient-error':
        return this.#errors.inc({ controller, class: 'transient' });
      case 'terminal-error':
        return this.#errors.inc({ controller, class: 'terminal' });
      case 'deadline':
        return this.#errors.inc({ controller, class: 'deadline' });
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({
      name: this.#prefix + name,
      help,
      labelNames,
      registers: [this.#registry],
    });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    return new Gauge({ name: this.#prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #sampled<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    read: (gauge: Gauge<Label>) => void,
  ): void {
    const collect = function (this: Gauge<Label>): void {
      read(this);
    };
    new Gauge({
      name: this.#prefix + name,
      help,
      labelNames,
      registers: [this.#registry],
      collect,
    });
  }

  #histogram(name: string, help: string): Histogram<'controller'> {
    const labelNames = ['controller'] as const;
    return new Histogram({
      name: this.#prefix + name,
      help,
      labelNames,
      buckets: PASS_BUCKETS_S,
      registers: [this.#registry],
    });
  }
}
