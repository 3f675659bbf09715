/**
 * The API server as verbs on raw JSON. Every call has a deadline; every failure is a
 * {@link KubeError}; no field of an object is interpreted, dropped or added beyond `apiVersion` and
 * `kind` of listed items, which the server leaves out.
 */
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../process/system-clock.ts';
import { errorFromStatus, isObjectMissing, KubeError } from './kube-error.ts';
import {
  collectionPath,
  type KubeMetadata,
  type KubeObject,
  type ObjectName,
  objectPath,
  type ResourceType,
} from './kube-object.ts';
import type { KubeAnswer, KubeRequest, KubeTransport } from './kube-transport.ts';
import { reasonOf } from '../../base/reason.ts';

export interface CallOptions {
  /** Ends the call with reason `Cancelled`. */
  readonly signal?: AbortSignal | undefined;
  /** Default {@link KubeClientOptions.timeoutMs}. */
  readonly timeoutMs?: number;
}

export interface SelectOptions extends CallOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface WatchOptions extends SelectOptions {
  /** Events after this one. */
  readonly resourceVersion: string;
  /** When the server ends the watch by itself. */
  readonly timeoutSeconds: number;
  /** The server has answered: the watch stands. */
  readonly onOpen?: () => void;
}

export interface ObjectList {
  readonly items: readonly KubeObject[];
  /** Where a watch goes on from. */
  readonly resourceVersion: string;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: KubeObject;
}

export interface ApplyOptions extends CallOptions {
  /** Take fields from other managers. Default true: what this program applies is its own. */
  readonly force?: boolean;
}

/** Both are required: what is deleted is what was looked at, not what has its name. */
export interface DeletePreconditions {
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface DeleteOptions extends CallOptions {
  readonly gracePeriodSeconds?: number;
}

export interface KubeClientOptions {
  readonly transport: KubeTransport;
  /** Owner of the fields that are written. */
  readonly fieldManager: string;
  readonly clock?: Clock;
  readonly observer?: RequestObserver;
  /** Deadline of a call from its start to its last byte; of a watch to its first answer. */
  readonly timeoutMs?: number;
}

/** Told of each request once its head was answered, or it failed. */
export interface RequestObserver {
  /** `status` is 0 where no answer came. */
  requested(method: string, status: number): void;
}

interface Call {
  readonly method: KubeRequest['method'];
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: KubeRequest['body'];
  readonly options: CallOptions;
}

const TIMEOUT_MS = 30_000;
/**
 * Objects of a list are fetched this many at a time: what a page costs is bounded on both sides.
 */
const PAGE_ITEMS_MAX = 500;
/** etcd holds objects of up to 1.5 MiB; a full page of usual ones is a few. */
const ANSWER_CHARS_MAX = 256 * 1024 * 1024;
const WATCH_LINE_CHARS_MAX = 16 * 1024 * 1024;
/** The request itself is at fault: the same again is answered the same. */
const REFUSALS: readonly string[] = ['Forbidden', 'Invalid'];
const EVENT_TYPES: readonly string[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'];

export class KubeClient {
  readonly #transport: KubeTransport;
  readonly #fieldManager: string;
  readonly #clock: Clock;
  readonly #observer: RequestObserver | undefined;
  readonly #timeoutMs: number;

  constructor(options: KubeClientOptions) {
    this.#transport = options.transport;
    this.#fieldManager = options.fieldManager;
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * An uncached read. Undefined where there is no such object; where there is no such kind it
   * rejects.
   */
  async get(
    type: ResourceType,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<KubeObject | undefined> {
    try {
      return await this.#object({ method: 'GET', path: objectPath(type, name), options });
    } catch (error) {
      if (isObjectMissing(error, name.name)) return undefined;
      throw error;
    }
  }

  /** All objects, page by page, as they were at one moment. */
  async list(type: ResourceType, options: SelectOptions = {}): Promise<ObjectList> {
    try {
      return await this.#listPages(type, options, PAGE_ITEMS_MAX);
    } catch (error) {
      // The moment of the first page is forgotten by now: too slow for pages, so all at once.
      if (!(error instanceof KubeError) || !error.isExpired) throw error;
      return this.#listPages(type, options, undefined);
    }
  }

  /**
   * Changes as they come, until the server ends the watch (then the iteration ends) or it breaks
   * (then it rejects). An ERROR event inside the stream is a rejection like any other.
   */
  async *watch(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent, void> {
    const call: Call = {
      method: 'GET',
      path: collectionPath(type, options.namespace),
      query: {
        ...selection(options),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: options.resourceVersion,
        timeoutSeconds: String(options.timeoutSeconds),
      },
      options,
    };
    const attempt = new Attempt(call, this.#clock, this.#timeoutMs);
    try {
      const response = await this.#open(call, attempt.signal);
      if (response.status !== 200) throw await failure(call, response);
      attempt.endDeadline();
      options.onOpen?.();
      for await (const line of linesOf(response)) yield watchEvent(call, line);
    } catch (error) {
      throw attempt.explain(error);
    } finally {
      attempt.end();
    }
  }

  /**
   * Server-side apply: the object holds exactly the fields that this program owns. Returns the
   * object as it now is.
   */
  apply(type: ResourceType, object: KubeObject, options: ApplyOptions = {}): Promise<KubeObject> {
    return this.#apply(type, object, options, undefined);
  }

  /** Server-side apply of `status`. The object holds apiVersion, kind, name and status. */
  applyStatus(
    type: ResourceType,
    object: KubeObject,
    options: ApplyOptions = {},
  ): Promise<KubeObject> {
    return this.#apply(type, object, options, 'status');
  }

  /** Rejects with reason `AlreadyExists` where the name is taken. */
  create(type: ResourceType, object: KubeObject, options: CallOptions = {}): Promise<KubeObject> {
    return this.#object({
      method: 'POST',
      path: collectionPath(type, object.metadata.namespace),
      query: { fieldManager: this.#fieldManager },
      body: bodyOf('application/json', object),
      options,
    });
  }

  /**
   * Writes the whole object. Rejects with reason `Conflict` unless `resourceVersion` is still the
   * newest.
   */
  replace(type: ResourceType, object: KubeObject, options: CallOptions = {}): Promise<KubeObject> {
    return this.#object({
      method: 'PUT',
      path: objectPath(type, object.metadata),
      query: { fieldManager: this.#fieldManager },
      body: bodyOf('application/json', object),
      options,
    });
  }

  /**
   * JSON merge patch (RFC 7386): null removes a field, a list is replaced whole. A resourceVersion
   * in it makes it conditional.
   */
  mergePatch(
    type: ResourceType,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: CallOptions = {},
  ): Promise<KubeObject> {
    return this.#object({
      method: 'PATCH',
      path: objectPath(type, name),
      query: { fieldManager: this.#fieldManager },
      body: bodyOf('application/merge-patch+json', patch),
      options,
    });
  }

  /**
   * Asks without changing anything whether a merge patch would be taken. Resolves to why the API
   * server forbids it or finds it invalid; null where it does not.
   */
  async refusalOfPatch(
    type: ResourceType,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: CallOptions = {},
  ): Promise<string | null> {
    try {
      await this.#object({
        method: 'PATCH',
        path: objectPath(type, name),
        query: { fieldManager: this.#fieldManager, dryRun: 'All' },
        body: bodyOf('application/merge-patch+json', patch),
        options,
      });
      return null;
    } catch (error) {
      // What was called is known to whoever asked.
      if (error instanceof KubeError && REFUSALS.includes(error.reason))
        return error.message.slice(error.message.indexOf(': ') + 2);
      throw error;
    }
  }

  /**
   * Deletes the object that was looked at; `Conflict` where it is another by now, `absent` where
   * there is none. Background propagation always: in the foreground some networks lose a pod's
   * address before it has stopped (docs/rules.md#careful-operator).
   */
  async delete(
    type: ResourceType,
    name: ObjectName,
    preconditions: DeletePreconditions,
    options: DeleteOptions = {},
  ): Promise<'accepted' | 'absent'> {
    const { gracePeriodSeconds } = options;
    try {
      await this.#call({
        method: 'DELETE',
        path: objectPath(type, name),
        body: bodyOf('application/json', {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: 'Background',
          preconditions,
          ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
        }),
        options,
      });
      return 'accepted';
    } catch (error) {
      if (isObjectMissing(error, name.name)) return 'absent';
      throw error;
    }
  }

  #apply(
    type: ResourceType,
    object: KubeObject,
    options: ApplyOptions,
    subresource: 'status' | undefined,
  ): Promise<KubeObject> {
    return this.#object({
      method: 'PATCH',
      path: objectPath(type, object.metadata, subresource),
      query: { fieldManager: this.#fieldManager, force: String(options.force ?? true) },
      body: bodyOf('application/apply-patch+yaml', object),
      options,
    });
  }

  async #listPages(
    type: ResourceType,
    options: SelectOptions,
    limit: number | undefined,
  ): Promise<ObjectList> {
    const items: KubeObject[] = [];
    let next: string | undefined;
    for (;;) {
      const call: Call = {
        method: 'GET',
        path: collectionPath(type, options.namespace),
        query: { ...selection(options), limit: limit?.toString(), continue: next },
        options,
      };
      const page = (await this.#call(call)) as {
        items?: KubeObject[] | null;
        metadata?: KubeMetadata;
      };
      const version = page.metadata?.resourceVersion;
      if (version === undefined) throw malformed(call, 'a list without resourceVersion');
      for (const item of page.items ?? [])
        items.push({ ...item, apiVersion: type.apiVersion, kind: type.kind });
      next = page.metadata?.['continue'] as string | undefined;
      if (next === undefined || next === '') return { items, resourceVersion: version };
    }
  }

  async #object(call: Call): Promise<KubeObject> {
    const answer = (await this.#call(call)) as KubeObject | null;
    if (typeof answer?.metadata?.name !== 'string') throw malformed(call, 'no object');
    return answer;
  }

  async #call(call: Call): Promise<unknown> {
    const attempt = new Attempt(call, this.#clock, this.#timeoutMs);
    try {
      const response = await this.#open(call, attempt.signal);
      if (response.status < 200 || response.status > 299) throw await failure(call, response);
      return parse(call, await textOf(response));
    } catch (error) {
      throw attempt.explain(error);
    } finally {
      attempt.end();
    }
  }

  async #open(call: Call, signal: AbortSignal): Promise<KubeAnswer> {
    const { method, path, query = {}, body } = call;
    let status = 0;
    try {
      const answer = await this.#transport.send({ method, path, query, body }, signal);
      ({ status } = answer);
      return answer;
    } finally {
      this.#observer?.requested(method, status);
    }
  }
}

/** Deadline and cancellation of one call, and why it ended. */
class Attempt {
  readonly #call: Call;
  readonly #timeoutMs: number;
  readonly #abort = new AbortController();
  readonly #cancelTimer: () => void;
  readonly #onCancelled = (): void => this.#stop('Cancelled');
  #stopped: 'Cancelled' | 'DeadlineExceeded' | undefined;

  constructor(call: Call, clock: Clock, defaultTimeoutMs: number) {
    this.#call = call;
    this.#timeoutMs = call.options.timeoutMs ?? defaultTimeoutMs;
    this.#cancelTimer = clock.after(this.#timeoutMs, () => this.#stop('DeadlineExceeded'));
    const outer = call.options.signal;
    if (outer?.aborted === true) this.#onCancelled();
    outer?.addEventListener('abort', this.#onCancelled);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  endDeadline(): void {
    this.#cancelTimer();
  }

  /** Lets go of timer and signal, and of the socket unless its answer was read to the end. */
  end(): void {
    this.#cancelTimer();
    this.#call.options.signal?.removeEventListener('abort', this.#onCancelled);
    this.#abort.abort();
  }

  explain(error: unknown): KubeError {
    const call = title(this.#call);
    switch (this.#stopped) {
      case 'Cancelled':
        return new KubeError(`${call}: cancelled`, { status: 0, reason: 'Cancelled' });
      case 'DeadlineExceeded':
        return new KubeError(`${call}: no answer within ${this.#timeoutMs} ms`, {
          status: 0,
          reason: 'DeadlineExceeded',
        });
      case undefined:
        if (error instanceof KubeError) return error;
        return new KubeError(`${call}: ${reasonOf(error)}`, {
          status: 0,
          reason: 'Unreachable',
          cause: error,
        });
    }
  }

  #stop(reason: 'Cancelled' | 'DeadlineExceeded'): void {
    this.#stopped ??= reason;
    this.#abort.abort();
  }
}

function bodyOf(contentType: string, value: unknown): NonNullable<Call['body']> {
  return { contentType, text: JSON.stringify(value) };
}

function title({ method, path }: Call): string {
  return `${method} ${path}`;
}

function selection(options: SelectOptions): Record<string, string | undefined> {
  return { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
}

function malformed(call: Call, what: string): KubeError {
  return new KubeError(`${title(call)}: malformed answer: ${what}`, {
    status: 0,
    reason: 'Malformed',
  });
}

async function failure(call: Call, response: KubeAnswer): Promise<KubeError> {
  const text = await textOf(response);
  return errorFromStatus(title(call), response.status, text, response.retryAfter);
}

function parse(call: Call, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(call, `not JSON: ${text.slice(0, 100)}`);
  }
}

function watchEvent(call: Call, line: string): WatchEvent {
  const event = parse(call, line) as { type?: string; object?: KubeObject } | null;
  if (event?.type === 'ERROR')
    throw errorFromStatus(title(call), 0, JSON.stringify(event.object), undefined);
  if (event?.object?.metadata === undefined || !EVENT_TYPES.includes(event.type ?? '')) {
    throw malformed(call, `not a watch event: ${line.slice(0, 100)}`);
  }
  return event as WatchEvent;
}

async function textOf(response: KubeAnswer): Promise<string> {
  let text = '';
  for await (const chunk of response.chunks) {
    text += chunk;
    if (text.length > ANSWER_CHARS_MAX)
      throw new Error(`answer is longer than ${ANSWER_CHARS_MAX} characters`);
  }
  return text;
}

async function* linesOf(response: KubeAnswer): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of response.chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > WATCH_LINE_CHARS_MAX)
      throw new Error(`watch event is longer than ${WATCH_LINE_CHARS_MAX} characters`);
    for (const line of lines) if (line.trim() !== '') yield line;
  }
}
