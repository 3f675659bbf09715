/**
 * What lies between a process of the operator and the API server or the brokers: delays, requests
 * that never arrive, answers that are lost, refusals, watches that break, go silent, repeat
 * themselves or have fallen too far behind. {@link Network.onSent} and {@link Network.onDone} see
 * each call pass.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerAdmin, PeerTls } from '../../../operator/observe/broker-admin.ts';
import type {
  KubeAnswer,
  KubeRequest,
  KubeTransport,
} from '../../../operator/kube/kube-transport.ts';
import { ApiFailure } from '../../fixtures/kube/api-failure.ts';
import {
  type ApiHandler,
  type ShownEvent,
  statusBody,
  type Target,
} from '../../fixtures/kube/api-handler.ts';
import { type BrokerProcess, type Brokers, Refusal } from './brokers.ts';
import type { Process } from './process.ts';
import { between, type Random, type SimulatedTime } from './time.ts';

/** Shares are of calls or events; all may change while the simulation runs. */
export interface Faults {
  isApiAway: boolean;
  /** Calls that do not arrive. */
  unsent: number;
  /** Calls that are carried out and whose answer is lost. */
  lost: number;
  /** Writes refused with a conflict. */
  conflicts: number;
  /** Calls refused with 429 or 500. */
  refused: number;
  /** Watch events with which the stream breaks. */
  broken: number;
  /** Watch events after which nothing more comes. */
  silent: number;
  /** Watch events that come twice. */
  repeated: number;
  /** Watch events after which versions up to now are forgotten. */
  compacted: number;
  /** Calls to brokers that fail. */
  admin: number;
  latencyMs: readonly [number, number];
  watchLagMs: readonly [number, number];
}

export const NO_FAULTS: Readonly<Faults> = {
  isApiAway: false,
  unsent: 0,
  lost: 0,
  conflicts: 0,
  refused: 0,
  broken: 0,
  silent: 0,
  repeated: 0,
  compacted: 0,
  admin: 0,
  latencyMs: [1, 5],
  watchLagMs: [1, 20],
};

export interface Call {
  /** `PATCH /api/v1/…`, or the name of an admin call. */
  readonly title: string;
  /** Changes something that others see, other than leases and events. */
  readonly isWrite: boolean;
  readonly request: Readonly<Record<string, unknown>>;
}

export interface NetworkOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly handler: ApiHandler;
  readonly brokers: Brokers;
  readonly addressOf: (address: string) => BrokerProcess | undefined;
  /** Would whoever stands there let in who dials it so? */
  readonly isLetIn: (address: string, tls: PeerTls | null) => boolean;
  /** A call leaves; the process may be killed here. */
  readonly onSent: (process: Process, call: Call) => void;
  /** A call is about to be carried out. */
  readonly onArrived: (process: Process, call: Call) => void;
  /** A call was carried out (with `error`: refused), and its answer leaves. */
  readonly onDone: (process: Process, call: Call, error: unknown) => void;
}

const BOOKMARK_MS = 50_000;
const ADMIN_WRITES = [
  'Bootstrap',
  'PrepareStop',
  'Decommission',
  'Recommission',
  'RemoveBroker',
  'ReassignPartition',
  'SetClusterSettings',
  'CreateTopic',
  'AlterTopic',
  'DeleteTopic',
  'GrantAccess',
  'RevokeAccess',
];

export class Network {
  readonly faults: Faults = { ...NO_FAULTS };
  /** A policy or quota of the API server: why it refuses a call, 403; undefined: it does not. */
  policy: (title: string) => string | undefined = () => undefined;
  readonly #options: NetworkOptions;
  readonly #watches = new Set<WatchStream>();
  /** Answers given, for figures. */
  calls = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  transportOf(process: Process): KubeTransport {
    return { send: (request, signal) => this.#send(process, request, signal) };
  }

  adminOf(process: Process): Pick<BrokerAdmin, 'call' | 'dialWith' | 'close'> {
    const peers = new Map<string, PeerTls | null>();
    const call = (
      address: string,
      { path }: { path: string },
      request: object,
      { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
    ) =>
      this.#ask(process, {
        address,
        tls: peers.get(address) ?? null,
        method: path.slice(path.lastIndexOf('/') + 1),
        request,
        timeoutMs,
        signal,
      });
    return {
      call: call as BrokerAdmin['call'],
      dialWith: (address, tls) => void peers.set(address, tls),
      close: () => undefined,
    };
  }

  /** Ends, or silences, every watch that stands. */
  disturbWatches(how: 'break' | 'silence'): void {
    for (const watch of [...this.#watches]) {
      if (how === 'break') watch.fail('connection reset');
      else watch.silence();
    }
  }

  #happens(share: number): boolean {
    return share > 0 && this.#options.random() < share;
  }

  #latencyMs(): number {
    return between(this.#options.random, ...this.faults.latencyMs);
  }

  #send(process: Process, request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const { time, onSent } = this.#options;
    const isOwn = /[/](leases|events)([/]|$)/.test(request.path);
    const call: Call = {
      title: `${request.method} ${request.path}`,
      isWrite: request.method !== 'GET' && !isOwn,
      request: { query: request.query, body: request.body?.text },
    };
    return new Promise((resolve, reject) => {
      onSent(process, call);
      if (process.isDead) return;
      const fail = (why: string): void =>
        void process.reach(this.#latencyMs(), () => reject(new Error(why)));
      if (signal.aborted) return reject(new Error('aborted'));
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      if (this.faults.isApiAway) return this.#happens(0.5) ? fail('connection refused') : undefined;
      if (this.#happens(this.faults.unsent)) return fail('connection reset');
      time.after(this.#latencyMs(), () =>
        this.#serve(process, call, request, signal, { resolve, fail }),
      );
    });
  }

  #serve(
    process: Process,
    call: Call,
    request: KubeRequest,
    signal: AbortSignal,
    {
      resolve,
      fail,
    }: { readonly resolve: (answer: KubeAnswer) => void; readonly fail: (why: string) => void },
  ): void {
    const { onArrived, onDone, handler } = this.#options;
    if (this.faults.isApiAway) return fail('connection reset');
    const query = queryOf(request);
    const isWatch = query.get('watch') === 'true';
    onArrived(process, call);
    this.calls += 1;
    let answer: KubeAnswer;
    let failure: unknown;
    try {
      const target = handler.target(request.path);
      this.#refuse(call);
      answer = isWatch
        ? this.#watch(process, target, query, signal)
        : answerOf(200, handler.act(target, { ...apiRequest(request), query }));
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      failure = error;
      answer = answerOf(error.status, statusBody(error));
    }
    onDone(process, call, failure);
    if (this.#happens(this.faults.lost)) return fail('socket hang up');
    process.reach(this.#latencyMs(), () => resolve(answer));
  }

  #refuse({ isWrite, title }: Call): void {
    const why = this.policy(title);
    if (why !== undefined) throw new ApiFailure(403, 'Forbidden', why);
    if (isWrite && this.#happens(this.faults.conflicts))
      throw new ApiFailure(409, 'Conflict', `${title}: the object has been modified`);
    if (!this.#happens(this.faults.refused)) return;
    if (this.#happens(0.5))
      throw new ApiFailure(500, 'InternalError', 'etcdserver: leader changed');
    throw new ApiFailure(429, 'TooManyRequests', 'too many requests', { retryAfterSeconds: 1 });
  }

  #watch(
    process: Process,
    target: Target,
    query: URLSearchParams,
    signal: AbortSignal,
  ): KubeAnswer {
    const { handler, time } = this.#options;
    const watch = new WatchStream((run) =>
      process.reach(between(this.#options.random, ...this.faults.watchLagMs), run),
    );
    let unsubscribe = (): void => undefined;
    try {
      unsubscribe = handler.watch(target, query, (event) => this.#show(watch, event));
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      watch.push({ type: 'ERROR', object: statusBody(error) as ShownEvent['object'] });
      watch.end();
    }
    const endMs = Number(query.get('timeoutSeconds')) * 1_000;
    const cancels = [time.after(endMs, () => watch.end()), () => unsubscribe()];
    const bookmark = (): void => {
      const { apiVersion, kind } = target.type;
      const metadata = { name: '', resourceVersion: handler.store.version };
      watch.push({ type: 'BOOKMARK', object: { apiVersion, kind, metadata } });
      cancels.push(time.after(BOOKMARK_MS, bookmark));
    };
    cancels.push(time.after(BOOKMARK_MS, bookmark));
    this.#watches.add(watch);
    watch.onEnd = () => {
      this.#watches.delete(watch);
      for (const cancel of cancels) cancel();
    };
    signal.addEventListener('abort', () => watch.fail('aborted'), { once: true });
    return { status: 200, retryAfter: undefined, chunks: watch.chunks() };
  }

  #show(watch: WatchStream, event: ShownEvent): void {
    const { broken, silent, repeated, compacted } = this.faults;
    watch.push(event);
    if (this.#happens(repeated)) watch.push(event);
    if (this.#happens(silent)) watch.silence();
    if (this.#happens(compacted)) this.#options.handler.compact();
    if (this.#happens(broken)) watch.fail('connection reset');
  }

  #ask(
    process: Process,
    ask: {
      address: string;
      tls: PeerTls | null;
      method: string;
      request: object;
      timeoutMs: number;
      signal: AbortSignal;
    },
  ): Promise<unknown> {
    const { brokers, addressOf, isLetIn, onSent, onArrived, onDone, time } = this.#options;
    const { address, tls, method, request, timeoutMs, signal } = ask;
    const call: Call = {
      title: method,
      isWrite: ADMIN_WRITES.includes(method),
      request: request as Record<string, unknown>,
    };
    return new Promise((resolve, reject) => {
      onSent(process, call);
      if (process.isDead) return;
      if (signal.aborted) return reject(new Error('cancelled'));
      signal.addEventListener('abort', () => reject(new Error('cancelled')), { once: true });
      const cancel = process.reach(timeoutMs, () => reject(new Error('deadline exceeded')));
      const settle = (end: () => void): void => {
        cancel();
        process.reach(this.#latencyMs(), end);
      };
      const fail = (why: string): void => settle(() => reject(new Error(why)));
      time.after(this.#latencyMs(), () => {
        const target = addressOf(address);
        // Behind a cut nobody says that nobody is there.
        if (target?.isCut === true) return;
        if (target?.isUp !== true || this.#happens(this.faults.admin)) return fail('unavailable');
        if (!isLetIn(address, tls)) return fail('no TLS with each other');
        onArrived(process, call);
        this.calls += 1;
        const [answer, refusal] = attempt(() => brokers.call(target, method, call.request));
        onDone(process, call, refusal);
        if (this.#happens(this.faults.admin)) return fail('the connection broke');
        settle(() => (refusal === undefined ? resolve(answer) : reject(refusal)));
      });
    });
  }
}

function attempt(run: () => unknown): readonly [unknown, Error | undefined] {
  try {
    return [run(), undefined];
  } catch (error) {
    if (!(error instanceof Refusal) && !(error instanceof BrokerError)) throw error;
    return [undefined, error];
  }
}

/** Lines in their order, as late as the network has them. */
class WatchStream {
  readonly #deliver: (run: () => void) => void;
  readonly #underWay: (() => void)[] = [];
  readonly #lines: string[] = [];
  #wake: () => void = () => undefined;
  #isSilent = false;
  #isEnded = false;
  #failure: string | undefined;
  onEnd: () => void = () => undefined;

  constructor(deliver: (run: () => void) => void) {
    this.#deliver = deliver;
  }

  push(event: ShownEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#send(() => this.#lines.push(line));
  }

  end(): void {
    this.#send(() => {
      this.#isEnded = true;
    });
    this.onEnd();
  }

  fail(why: string): void {
    this.#failure ??= why;
    this.onEnd();
    this.#deliver(() => this.#wake());
  }

  silence(): void {
    this.#isSilent = true;
  }

  async *chunks(): AsyncGenerator<string, void> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) yield line;
      else if (this.#failure !== undefined) throw new Error(this.#failure);
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** What is under way arrives one after the other, however long each takes. */
  #send(arrive: () => void): void {
    if (this.#isSilent || this.#failure !== undefined) return;
    this.#underWay.push(arrive);
    this.#deliver(() => {
      this.#underWay.shift()?.();
      this.#wake();
    });
  }
}

function queryOf({ query }: KubeRequest): URLSearchParams {
  const given = Object.entries(query).filter(
    (each): each is [string, string] => each[1] !== undefined,
  );
  return new URLSearchParams(given);
}

function apiRequest({ method, body }: KubeRequest): {
  method: string;
  contentType: string;
  userAgent: string;
  body: unknown;
} {
  return {
    method,
    contentType: body?.contentType ?? '',
    userAgent: 'tidemark-operator',
    body: body === undefined ? undefined : JSON.parse(body.text),
  };
}

function answerOf(status: number, body: unknown): KubeAnswer {
  const retryAfter = status === 429 ? '1' : undefined;
  const text = JSON.stringify(body);
  return {
    status,
    retryAfter,
    chunks: (async function* () {
      yield text;
    })(),
  };
}
