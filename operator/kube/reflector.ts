/**
 * Keeps one kind of the cache like the API server: LIST, then WATCH from there, again and again. It
 * never gives up and never dies:
 *
 * - a watch that ends in order goes on from the last version; one that breaks, or says nothing for
 *   longer than two bookmarks, after a pause;
 * - a version that is no longer kept (410, as status or inside the stream) leads to a new LIST,
 *   whose gaps are deletions;
 * - 429 waits as long as the server asks.
 *
 * Pauses are jittered and server-side timeouts drawn, so that many watches do not come back
 * together.
 */
import { Backoff, jittered, type Random } from './backoff.ts';
import type { CacheScope, ObjectCache } from './cache.ts';
import type { Clock } from '../../base/clock.ts';
import { sleep } from '../../process/sleep.ts';
import type { KubeClient, WatchEvent } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import { compareVersions, type KubeObject } from './kube-object.ts';

export type ReflectorState = 'stopped' | 'listing' | 'watching' | 'waiting';
/** Why a watch was opened again without a list. */
export type ReconnectReason = 'ended' | 'silent' | 'error';
/** Why everything was listed. */
export type RelistReason = 'start' | 'expired' | 'error';

export interface ReflectorObserver {
  relisted(kind: string, reason: RelistReason): void;
  reconnected(kind: string, reason: ReconnectReason): void;
}

export interface ReflectorOptions extends CacheScope {
  readonly client: Pick<KubeClient, 'list' | 'watch'>;
  readonly cache: ObjectCache;
  readonly labelSelector?: string | undefined;
  /** What the cache is to keep of an object; absent: all of it. */
  readonly keep?: (object: KubeObject) => KubeObject;
  readonly clock: Clock;
  readonly random: Random;
  /** Every failure, before the pause that follows it. */
  readonly onError: (error: unknown) => void;
  readonly observer?: ReflectorObserver;
}

const asItIs = (object: KubeObject): KubeObject => object;

const BACKOFF = { delayMsMin: 250, delayMsMax: 30_000 } as const;
const LIST_TIMEOUT_MS = 60_000;
const WATCH_SECONDS = 300;
const WATCH_SECONDS_SHARE = 0.2;
/** The API server sends a bookmark about once a minute, so two are missing. */
const SILENCE_MS_MAX = 150_000;
/**
 * A watch that ends earlier than this and brought nothing was refused, whatever its status said.
 */
const WATCH_MS_MIN = 1_000;
/**
 * A list older than what was seen comes from a server that lags; one that stays so, from a store
 * that was restored.
 */
const STALE_LISTS_MAX = 5;

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #backoff: Backoff;
  readonly #synced = Promise.withResolvers<void>();
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #state: ReflectorState = 'stopped';
  #hasSynced = false;
  /** Where the watch goes on from; undefined: list first. */
  #version: string | undefined;
  /** The newest version seen, also after it has expired. */
  #newestVersion = '';
  #relistReason: RelistReason = 'start';
  #staleLists = 0;
  #heardMs: number;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
    this.#heardMs = options.clock.monotonicMs();
  }

  get kind(): string {
    return this.#options.type.kind;
  }

  get state(): ReflectorState {
    return this.#state;
  }

  /** The cache has held a whole list of this kind. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves with the first whole list; never, where {@link stop} comes first. */
  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /**
   * Milliseconds since the API server was last heard: while a watch stands, at most about a minute.
   */
  stalenessMs(): number {
    return this.#options.clock.monotonicMs() - this.#heardMs;
  }

  /** Starts once; after {@link stop} it may start again and goes on from where it was. */
  start(): void {
    if (this.#state !== 'stopped') return;
    this.#stop = new AbortController();
    this.#state = 'listing';
    this.#running = this.#run(this.#stop.signal);
  }

  /**
   * Resolves when nothing more will be written to the cache; from a pause, a list or a watch alike.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#state = 'stopped';
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list(signal);
        else await this.#watch(this.#version, signal);
      } catch (error) {
        await this.#recover(error, signal);
      }
    }
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#options.onError(error);
    const isKube = error instanceof KubeError;
    if (this.#version === undefined) this.#relistReason = 'error';
    if (isKube && error.isExpired) {
      this.#version = undefined;
      this.#relistReason = 'expired';
    } else if (this.#version !== undefined) {
      this.#options.observer?.reconnected(this.kind, 'error');
    }
    this.#state = 'waiting';
    const askedMs = isKube ? error.retryAfterMs : 0;
    await sleep(this.#options.clock, Math.max(askedMs, this.#backoff.nextMs()), signal);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, cache, type, namespace, labelSelector, observer } = this.#options;
    const { keep = asItIs } = this.#options;
    this.#state = 'listing';
    const list = await client.list(type, {
      namespace,
      labelSelector,
      signal,
      timeoutMs: LIST_TIMEOUT_MS,
    });
    if (signal.aborted) return;
    this.#heard();
    if (
      compareVersions(list.resourceVersion, this.#newestVersion) < 0 &&
      ++this.#staleLists < STALE_LISTS_MAX
    ) {
      throw new Error(
        `list of ${this.kind} is at version ${list.resourceVersion}, older than ${this.#newestVersion} already seen`,
      );
    }
    this.#staleLists = 0;
    cache.replace({ type, namespace }, list.items.map(keep), list.resourceVersion);
    this.#setVersion(list.resourceVersion);
    observer?.relisted(this.kind, this.#relistReason);
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, type, namespace, labelSelector, clock, random, observer } = this.#options;
    this.#state = 'watching';
    const openedMs = clock.monotonicMs();
    const silence = new SilenceWatchdog(clock, signal);
    let events = 0;
    try {
      const timeoutSeconds = Math.round(jittered(WATCH_SECONDS, WATCH_SECONDS_SHARE, random));
      const onOpen = (): void => this.#heard();
      const options = {
        namespace,
        labelSelector,
        resourceVersion,
        timeoutSeconds,
        signal: silence.signal,
        onOpen,
      };
      for await (const event of client.watch(type, options)) {
        silence.heard();
        this.#heard();
        this.#take(event);
        events += 1;
        this.#backoff.reset();
      }
    } catch (error) {
      if (signal.aborted || !silence.hasBarked) throw error;
      observer?.reconnected(this.kind, 'silent');
      return;
    } finally {
      silence.end();
    }
    if (events === 0 && clock.monotonicMs() - openedMs < WATCH_MS_MIN) {
      throw new Error(`watch of ${this.kind} ended at once without an event`);
    }
    this.#backoff.reset();
    observer?.reconnected(this.kind, 'ended');
  }

  #take({ type: eventType, object }: WatchEvent): void {
    const { cache, type, namespace, keep = asItIs } = this.#options;
    const version = object.metadata.resourceVersion ?? '';
    switch (eventType) {
      case 'BOOKMARK':
        cache.advance({ type, namespace }, version);
        break;
      case 'DELETED':
        cache.remove({ type, namespace }, keep(object));
        break;
      case 'ADDED':
      case 'MODIFIED':
        cache.upsert({ type, namespace }, keep(object));
        break;
    }
    this.#setVersion(version);
  }

  #setVersion(version: string): void {
    this.#version = version;
    this.#newestVersion = version;
  }

  #heard(): void {
    this.#heardMs = this.#options.clock.monotonicMs();
  }
}

/**
 * Ends a watch on which nothing came for {@link SILENCE_MS_MAX}: a half-open connection looks just
 * like a quiet one.
 */
class SilenceWatchdog {
  readonly #clock: Clock;
  readonly #outer: AbortSignal;
  readonly #abort = new AbortController();
  readonly #onOuter = (): void => this.#abort.abort();
  #cancel: () => void = () => undefined;
  hasBarked = false;

  constructor(clock: Clock, outer: AbortSignal) {
    this.#clock = clock;
    this.#outer = outer;
    if (outer.aborted) this.#abort.abort();
    outer.addEventListener('abort', this.#onOuter);
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  heard(): void {
    this.#cancel();
    this.#cancel = this.#clock.after(SILENCE_MS_MAX, () => {
      this.hasBarked = true;
      this.#abort.abort();
    });
  }

  end(): void {
    this.#cancel();
    this.#outer.removeEventListener('abort', this.#onOuter);
  }
}
