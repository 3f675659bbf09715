/**
 * Tells people what happened, as events.k8s.io/v1. The same event again becomes a series on the
 * first one; an object that causes too many different ones is muted for a while. Recording never
 * waits and never fails: an event that cannot be sent is counted and dropped.
 */
import { randomUUID } from 'node:crypto';
import { Backoff, type Random, TokenBucket } from './backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { microTime } from './kube-object.ts';
import { sleep } from '../../process/sleep.ts';
import type { KubeClient } from './kube-client.ts';
import { isObjectMissing, KubeError } from './kube-error.ts';
import type { KubeObject, ObjectName, ResourceType } from './kube-object.ts';

export interface EventReport {
  /** What it is about. */
  readonly regarding: KubeObject;
  /** What else took part: the Pod that was stopped. */
  readonly related?: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /**
   * CamelCase, one for each kind of situation: people and alerts match on it. At most 128
   * characters.
   */
  readonly reason: string;
  /** What was done or decided, CamelCase. At most 128 characters. */
  readonly action: string;
  /** A sentence. Cut to 1024 characters. */
  readonly note: string;
}

export interface EventObserver {
  /** An event was not sent: too many, or the API server would not have it. */
  eventDropped(why: 'muted' | 'queue-full' | 'refused'): void;
}

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'create' | 'mergePatch'>;
  /** A domain-qualified name: `example.org/operator`. */
  readonly controller: string;
  /** This process: the pod's name. */
  readonly instance: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (error: unknown) => void;
  readonly observer?: EventObserver;
  /** Makes names of events unique. Default: random. */
  readonly newId?: () => string;
}

export const EVENT: ResourceType = {
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  plural: 'events',
  isNamespaced: true,
};

/** Events about objects of the whole cluster live here. */
const DEFAULT_NAMESPACE = 'default';
const NOTE_CHARS_MAX = 1_024;
/** A name has at most 253 characters; the rest is for the id. */
const NAME_CHARS_MAX = 200;
/** A repetition later than this is a new event. */
const SERIES_MS_MAX = 6 * 60_000;
/** The count of a series is sent this often, after the second occurrence, which is sent at once. */
const SERIES_SEND_MS = 60_000;
const SERIES_MAX = 1_000;
const SENDS_MAX = 256;
const ATTEMPTS_MAX = 4;
const BACKOFF = { delayMsMin: 500, delayMsMax: 10_000 } as const;
const REGARDING_BURST = 25;
const REGARDING_PER_SECOND = 1 / 30;
const REGARDING_MAX = 1_000;

interface Series {
  readonly name: ObjectName;
  readonly event: KubeObject;
  count: number;
  sentCount: number;
  sentMs: number;
  lastMs: number;
  lastWallMs: number;
}

type Send = () => Promise<unknown>;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  /** Oldest use first. */
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #sends: Send[] = [];
  readonly #stop = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(report: EventReport): void {
    const { clock, observer } = this.#options;
    const nowMs = clock.monotonicMs();
    const key = seriesKey(report);
    const series = this.#series.get(key);
    if (series !== undefined && nowMs - series.lastMs < SERIES_MS_MAX) {
      this.#series.delete(key);
      this.#series.set(key, series);
      return this.#repeat(series, nowMs);
    }
    if (!this.#bucket(report.regarding, nowMs).tryTake(nowMs))
      return observer?.eventDropped('muted');
    this.#begin(key, report, nowMs);
  }

  /**
   * Sends the last counts of all series and waits until nothing is left to send, or `signal`
   * aborts.
   */
  async flush(signal: AbortSignal): Promise<void> {
    for (const series of this.#series.values()) {
      if (series.count > series.sentCount)
        this.#sendSeries(series, this.#options.clock.monotonicMs());
    }
    const stop = (): void => this.#stop.abort();
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    await this.#sending;
    signal.removeEventListener('abort', stop);
  }

  #begin(key: string, report: EventReport, nowMs: number): void {
    const event = this.#event(report);
    this.#series.delete(key);
    if (this.#series.size >= SERIES_MAX) this.#evict(nowMs);
    const lastWallMs = this.#options.clock.wallMs();
    const name = { namespace: event.metadata.namespace, name: event.metadata.name };
    this.#series.set(key, {
      name,
      event,
      count: 1,
      sentCount: 1,
      sentMs: -Infinity,
      lastMs: nowMs,
      lastWallMs,
    });
    this.#enqueue(() => this.#options.client.create(EVENT, event));
  }

  #evict(nowMs: number): void {
    const [oldest] = this.#series;
    if (oldest === undefined) return;
    const [key, series] = oldest;
    this.#series.delete(key);
    if (series.count > series.sentCount) this.#sendSeries(series, nowMs);
  }

  #repeat(series: Series, nowMs: number): void {
    series.count += 1;
    series.lastMs = nowMs;
    series.lastWallMs = this.#options.clock.wallMs();
    if (nowMs - series.sentMs >= SERIES_SEND_MS) this.#sendSeries(series, nowMs);
  }

  #sendSeries(series: Series, nowMs: number): void {
    series.sentMs = nowMs;
    series.sentCount = series.count;
    const state = { count: series.count, lastObservedTime: microTime(series.lastWallMs) };
    this.#enqueue(async () => {
      try {
        await this.#options.client.mergePatch(EVENT, series.name, { series: state });
      } catch (error) {
        // Events live for an hour or less: the first of the series is gone, so it starts anew.
        if (!isObjectMissing(error, series.name.name)) throw error;
        await this.#options.client.create(EVENT, { ...series.event, series: state });
      }
    });
  }

  #event({ regarding, related, type, reason, action, note }: EventReport): KubeObject {
    const { controller, instance, clock, newId = randomUUID } = this.#options;
    return {
      apiVersion: EVENT.apiVersion,
      kind: EVENT.kind,
      metadata: {
        name: `${regarding.metadata.name.slice(0, NAME_CHARS_MAX)}.${newId()}`,
        namespace: regarding.metadata.namespace ?? DEFAULT_NAMESPACE,
      },
      eventTime: microTime(clock.wallMs()),
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      type,
      reason,
      action,
      note: note.length > NOTE_CHARS_MAX ? `${note.slice(0, NOTE_CHARS_MAX - 1)}…` : note,
      regarding: referenceTo(regarding),
      ...(related === undefined ? {} : { related: referenceTo(related) }),
    };
  }

  #bucket(regarding: KubeObject, nowMs: number): TokenBucket {
    const id = regarding.metadata.uid ?? '';
    const known = this.#buckets.get(id);
    if (known !== undefined) return known;
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size >= REGARDING_MAX && oldest !== undefined) this.#buckets.delete(oldest);
    const bucket = new TokenBucket(REGARDING_PER_SECOND, REGARDING_BURST, nowMs);
    this.#buckets.set(id, bucket);
    return bucket;
  }

  #enqueue(send: Send): void {
    if (this.#sends.length >= SENDS_MAX) {
      this.#sends.shift();
      this.#options.observer?.eventDropped('queue-full');
    }
    this.#sends.push(send);
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined;
    });
  }

  /** One at a time: a series' count must not overtake its first event. */
  async #drain(): Promise<void> {
    for (let send = this.#sends.shift(); send !== undefined; send = this.#sends.shift()) {
      if (!(await this.#attempt(send))) this.#options.observer?.eventDropped('refused');
    }
  }

  async #attempt(send: Send): Promise<boolean> {
    const { clock, random, onError } = this.#options;
    const backoff = new Backoff(BACKOFF, random);
    for (let attempt = 1; !this.#stop.signal.aborted; attempt += 1) {
      try {
        await send();
        return true;
      } catch (error) {
        // The first attempt had succeeded and only its answer was lost.
        if (error instanceof KubeError && error.reason === 'AlreadyExists' && attempt > 1)
          return true;
        onError(error);
        if (attempt === ATTEMPTS_MAX || !(error instanceof KubeError) || !error.isTransient)
          return false;
        await sleep(clock, Math.max(error.retryAfterMs, backoff.nextMs()), this.#stop.signal);
      }
    }
    return false;
  }
}

/** Two reports with the same key are one event that happened twice. */
function seriesKey({ regarding, related, type, reason, action, note }: EventReport): string {
  return JSON.stringify([
    regarding.metadata.uid,
    related?.metadata.uid,
    type,
    reason,
    action,
    note,
  ]);
}

function referenceTo({
  apiVersion,
  kind,
  metadata,
}: KubeObject): Record<string, string | undefined> {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion, kind, namespace, name, uid, resourceVersion };
}
