/**
 * What the client knows of the cluster: which servers answer, where each broker listens, who leads
 * each partition. Any server may be asked; knowledge only moves forward, by leader epoch, so that a
 * server that lags cannot take it back.
 */
import { hostPort } from '../base/host-port.ts';
import type { Cancel, Clock } from '../base/clock.ts';
import { topicIdToBytes } from '../wire/batch/frame.ts';
import {
  AdminServiceService,
  type Broker,
  type ListTopicsResponse,
  type Topic,
  type TopicConfig,
} from '../proto/gen/tidemark/v1/admin.ts';
import { Cleanup } from '../proto/gen/tidemark/v1/cleanup.ts';
import type { Connections, UnaryMethod } from './connections.ts';
import { fromCall, notAppended, TidemarkError } from './errors.ts';

/** A partition's leadership as far as it is known. */
export interface PartitionLeadership {
  readonly partition: number;
  /** Absent while there is none. */
  readonly leader: number | undefined;
  readonly leaderEpoch: number;
  /**
   * Trusted members of the sync set, as of `partitionEpoch`. Empty while only an error's hint is
   * known.
   */
  readonly inSync: readonly number[];
  readonly partitionEpoch: number;
}

/** A broker as far as reading near it needs to know. */
export interface BrokerView {
  /** Empty: unknown. */
  readonly rack: string;
  /** Neither fenced nor in an orderly stop, as of the last look-up. */
  readonly isUp: boolean;
}

/** A topic as the client needs it. Immutable: every change makes a new one. */
export interface TopicView {
  readonly name: string;
  readonly topicId: string;
  /** 16 bytes. */
  readonly topicIdBytes: Uint8Array;
  /** By number, without gaps. */
  readonly partitions: readonly PartitionLeadership[];
  /** Of each key the last record stays: so each record has one, and a checksum of its own. */
  readonly isCompacted: boolean;
}

/** How a call to "any server" is tried. */
export interface CallOptions {
  /** Everything, all servers together. */
  readonly timeoutMs?: number;
  /**
   * Whether a server that is slow may be overtaken by asking another one at the same time: only for
   * calls that change nothing.
   */
  readonly isRead?: boolean;
  /** Nobody waits any more: no server is asked again. */
  readonly signal?: AbortSignal;
}

const READ_TIMEOUT_MS = 5_000;
/**
 * Nobody listens at any of the addresses: a failover does not take so long, a cluster that is not
 * running would.
 */
const UNREACHABLE_MS = 2_000;
const WRITE_TIMEOUT_MS = 15_000;
/** One server's share of a read: past it the server is as good as dead. */
const ATTEMPT_TIMEOUT_MS = 1_000;
/** A healthy server answers in a few milliseconds; a paused one must not cost more than this. */
const OVERTAKE_AFTER_MS = 250;
/** From this feature level on, every broker judges what an append expects. */
const LEVEL_OF_EXPECTED_ENDS = 6;
/** A server that has not yet heard of a new topic catches up within this. */
const UNKNOWN_TOPIC_GRACE_MS = 300;

/** The cache and the calls to "any server". */
export class Cluster {
  readonly #connections: Connections;
  /** Addresses in order of preference: the one that answered last comes first. */
  #servers: string[];
  readonly #topics = new Map<string, TopicView>();
  readonly #addresses = new Map<number, string>();
  /** Why brokers have none for whoever comes by our listener. */
  readonly #unreachable = new Map<number, string>();
  readonly #brokers = new Map<number, BrokerView>();
  readonly #refreshes = new Map<string, Promise<TopicView>>();
  readonly #listeners = new Set<(topic: TopicView) => void>();
  /** As far as it was asked for. */
  #featureLevel = 0;
  #levelLookUp: Promise<void> | undefined;

  constructor(connections: Connections, servers: readonly string[]) {
    this.#connections = connections;
    this.#servers = [...servers];
  }

  get #clock(): Clock {
    return this.#connections.clock;
  }

  /** Addresses of all servers that are known, the one that answered last first. */
  get servers(): readonly string[] {
    return this.#servers;
  }

  /** The topic, if it was looked up before. */
  topic(name: string): TopicView | undefined {
    return this.#topics.get(name);
  }

  /** Where the broker is dialled, if it is known. */
  address(brokerId: number): string | undefined {
    return this.#addresses.get(brokerId);
  }

  /** Why it cannot be dialled by the listener that servers are of, if that was said. */
  whyUnreachable(brokerId: number): string | undefined {
    return this.#unreachable.get(brokerId);
  }

  /** The broker, if it is known. */
  broker(brokerId: number): BrokerView | undefined {
    return this.#brokers.get(brokerId);
  }

  /** Calls back whenever a topic's leadership changed. Returns the way to stop it. */
  onChange(listener: (topic: TopicView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Looks the topic up again; calls at the same time share one look-up. Rejects with UNKNOWN_TOPIC,
   * or UNREACHABLE.
   */
  refresh(name: string): Promise<TopicView> {
    let refresh = this.#refreshes.get(name);
    if (refresh === undefined) {
      refresh = this.#lookUp(name).finally(() => this.#refreshes.delete(name));
      this.#refreshes.set(name, refresh);
    }
    return refresh;
  }

  /** Takes a leader that an error named, unless something newer is known. */
  hint(name: string, partition: number, leadership: { leader: number; leaderEpoch: number }): void {
    const topic = this.#topics.get(name);
    const known = topic?.partitions[partition];
    if (topic === undefined || known === undefined || known.leaderEpoch >= leadership.leaderEpoch)
      return;
    const hinted = { partition, ...leadership, inSync: [], partitionEpoch: 0 };
    const partitions = topic.partitions.with(partition, hinted);
    this.#put({ ...topic, partitions });
  }

  /**
   * Calls any server that answers, again and again until one does, the error is final, or the time
   * is up.
   */
  async call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const isRead = options.isRead ?? false;
    const startMs = this.#clock.monotonicMs();
    const deadlineMs =
      startMs + (options.timeoutMs ?? (isRead ? READ_TIMEOUT_MS : WRITE_TIMEOUT_MS));
    // A change is not asked of two servers at once; first find one that answers, so that a paused
    // one costs little.
    if (!isRead && this.#servers.length > 1) await this.#findServer(deadlineMs);
    for (let attempt = 0; ; attempt += 1) {
      try {
        if (isRead) return await this.#race(method, request, deadlineMs);
        return await this.#ask(
          this.#servers[0]!,
          method,
          request,
          deadlineMs - this.#clock.monotonicMs(),
        );
      } catch (cause) {
        const error = fromCall(cause, this.#servers.join(', '));
        const pauseMs = Math.max(
          error.details.retryAfterMs ?? 0,
          this.#connections.backoffMs(attempt),
        );
        const isHopeless =
          error.code === 'UNREACHABLE' && this.#clock.monotonicMs() - startMs > UNREACHABLE_MS;
        const isLate = this.#clock.monotonicMs() + pauseMs >= deadlineMs;
        if (error.retry === 'no' || isHopeless || isLate || options.signal?.aborted === true)
          throw this.#named(error);
        if (!isRead) this.#demote(this.#servers[0]!);
        await this.#connections.sleep(pauseMs);
      }
    }
  }

  /**
   * Undefined where every leader is known to judge what an append expects; else a promise that
   * rejects, with effect `none`, unless that is so: a leader of an older build would append in any
   * case. Feature levels never fall.
   */
  requireExpectedEnds(timeoutMs: number): Promise<void> | undefined {
    if (this.#featureLevel >= LEVEL_OF_EXPECTED_ENDS) return undefined;
    this.#levelLookUp ??= this.#lookUpLevel(timeoutMs).finally(() => {
      this.#levelLookUp = undefined;
    });
    return this.#levelLookUp;
  }

  async #lookUpLevel(timeoutMs: number): Promise<void> {
    try {
      await this.lookUpFeatureLevel(timeoutMs);
    } catch (error) {
      throw notAppended(fromCall(error, 'the cluster'));
    }
    if (this.#featureLevel < LEVEL_OF_EXPECTED_ENDS)
      throw new TidemarkError(
        'REFUSED',
        `Cannot append at an expected end: it needs feature level ${LEVEL_OF_EXPECTED_ENDS}, the cluster is at ${this.#featureLevel}`,
      );
  }

  /** What every broker of the cluster is known to be able to do. Learns the brokers as well. */
  async lookUpFeatureLevel(timeoutMs: number): Promise<number> {
    const options = { isRead: true, timeoutMs };
    const found = await this.call(AdminServiceService.describeCluster, {}, options);
    this.learnBrokers(found.brokers);
    this.#featureLevel = Math.max(this.#featureLevel, found.featureLevel);
    return this.#featureLevel;
  }

  /**
   * Takes the brokers of an answer: their addresses, and that they can be asked too. Those that the
   * listener has no address of cannot.
   */
  learnBrokers(brokers: readonly Broker[]): void {
    for (const broker of brokers) {
      const isUp = !broker.fenced && !broker.stopping;
      this.#brokers.set(broker.brokerId, { rack: broker.rack, isUp });
      if (broker.unreachable !== '') {
        this.#addresses.delete(broker.brokerId);
        this.#unreachable.set(broker.brokerId, broker.unreachable);
        continue;
      }
      const address = hostPort(broker.host, broker.port);
      this.#addresses.set(broker.brokerId, address);
      this.#unreachable.delete(broker.brokerId);
      if (!this.#servers.includes(address)) this.#servers.push(address);
    }
  }

  /** An error about the last server that was asked, as one about all of them. */
  #named(error: TidemarkError): TidemarkError {
    if (error.code !== 'UNREACHABLE' || this.#servers.length < 2) return error;
    const message = `Cannot reach any of ${this.#servers.toSorted().join(', ')}; the last one: ${error.message}`;
    return new TidemarkError(error.code, message, error.retry, error.details, error);
  }

  async #lookUp(name: string): Promise<TopicView> {
    const startMs = this.#clock.monotonicMs();
    for (let attempt = 0; ; attempt += 1) {
      try {
        const request = { names: [name], includeInternal: false };
        const answer = await this.call(AdminServiceService.listTopics, request, { isRead: true });
        return this.#learn(name, answer);
      } catch (error) {
        const isNew = error instanceof TidemarkError && error.code === 'UNKNOWN_TOPIC';
        if (!isNew || this.#clock.monotonicMs() - startMs > UNKNOWN_TOPIC_GRACE_MS) throw error;
        this.#demote(this.#servers[0]!);
        await this.#connections.sleep(this.#connections.backoffMs(attempt));
      }
    }
  }

  #learn(name: string, answer: ListTopicsResponse): TopicView {
    this.learnBrokers(answer.brokers);
    const topic = answer.topics.find((one) => one.name === name);
    if (topic === undefined) {
      throw new TidemarkError(
        'UNKNOWN_TOPIC',
        `Cannot find topic "${name}": no topic has this name`,
      );
    }
    return this.#put(merge(topic, this.#topics.get(name)));
  }

  #put(topic: TopicView): TopicView {
    const before = this.#topics.get(topic.name);
    this.#topics.set(topic.name, topic);
    if (before === undefined || !isSame(before, topic))
      for (const listener of this.#listeners) listener(topic);
    return topic;
  }

  async #findServer(deadlineMs: number): Promise<void> {
    try {
      await this.#race(AdminServiceService.describeCluster, {}, deadlineMs);
    } catch {
      // Whoever is first in the list is asked, and tells what is wrong.
    }
  }

  /**
   * Asks one server after the other, the next one as soon as one fails or is slow; the first answer
   * wins.
   */
  async #race<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response> {
    const abort = new AbortController();
    try {
      return await this.#raceUntil(abort.signal, method, request, deadlineMs);
    } finally {
      abort.abort();
    }
  }

  async #raceUntil<Request, Response>(
    signal: AbortSignal,
    method: UnaryMethod<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response> {
    const order = [...this.#servers];
    let running: Promise<Outcome<Response>>[] = [];
    let last = new TidemarkError(
      'TIMED_OUT',
      `Cannot call ${order.join(', ')}: no answer in time`,
      'same',
    );
    for (let index = 0; index < order.length || running.length > 0; ) {
      const timeoutMs = Math.min(ATTEMPT_TIMEOUT_MS, deadlineMs - this.#clock.monotonicMs());
      const address = timeoutMs > 0 ? order[index] : undefined;
      index += 1;
      if (address !== undefined)
        running.push(outcomeOf(this.#ask(address, method, request, timeoutMs, signal)));
      else if (running.length === 0) break;
      // With nobody left to ask, whoever was asked has until its own deadline.
      const outcome = await firstOf(
        this.#clock,
        running,
        index < order.length ? OVERTAKE_AFTER_MS : ATTEMPT_TIMEOUT_MS,
      );
      if (outcome.kind === 'answer') return outcome.response;
      if (outcome.kind === 'slow') continue;
      last = outcome.error;
      if (last.retry === 'no') throw last;
      running = running.filter((one) => one !== outcome.call);
    }
    throw last;
  }

  async #ask<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
    request: Request,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Response> {
    const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    try {
      const response = await this.#connections.unary(address, method, request, options);
      this.#promote(address);
      return response;
    } catch (error) {
      if (signal?.aborted !== true) this.#demote(address);
      throw error;
    }
  }

  #promote(address: string): void {
    if (this.#servers[0] !== address)
      this.#servers = [address, ...this.#servers.filter((one) => one !== address)];
  }

  #demote(address: string): void {
    if (this.#servers[0] === address) this.#servers = [...this.#servers.slice(1), address];
  }
}

type Outcome<Response> =
  | { readonly kind: 'answer'; readonly response: Response }
  | {
      readonly kind: 'failure';
      readonly error: TidemarkError;
      readonly call: Promise<Outcome<Response>>;
    }
  | { readonly kind: 'slow' };

/** A call as a promise that is never rejected. */
function outcomeOf<Response>(call: Promise<Response>): Promise<Outcome<Response>> {
  const outcome: Promise<Outcome<Response>> = call.then(
    (response) => ({ kind: 'answer', response }),
    (error: unknown) => ({ kind: 'failure', error: fromCall(error, 'the cluster'), call: outcome }),
  );
  return outcome;
}

/** The first of `calls` to end, or `slow` after `waitMs`. */
async function firstOf<Response>(
  clock: Clock,
  calls: readonly Promise<Outcome<Response>>[],
  waitMs: number,
): Promise<Outcome<Response>> {
  let cancel: Cancel = () => undefined;
  const slow = new Promise<Outcome<Response>>((resolve) => {
    cancel = clock.after(waitMs, () => resolve({ kind: 'slow' }));
  });
  try {
    return await Promise.race([...calls, slow]);
  } finally {
    cancel();
  }
}

function merge(topic: Topic, known: TopicView | undefined): TopicView {
  const older = known?.topicId === topic.topicId ? known : undefined;
  const partitions = topic.partitions
    .toSorted((a, b) => a.partition - b.partition)
    .map((found): PartitionLeadership => {
      const { partition, leader, leaderEpoch, partitionEpoch, syncSet, suspects } = found;
      const unable = found.cannotLead.map(({ brokerId }) => brokerId);
      const before = older?.partitions[partition];
      if (before !== undefined && isOlder({ leaderEpoch, partitionEpoch }, before)) return before;
      const inSync = syncSet.filter(
        (member) => !suspects.includes(member) && !unable.includes(member),
      );
      return { partition, leader, leaderEpoch, inSync, partitionEpoch };
    });
  // A server that lags may not know partitions that were added since.
  const added = older?.partitions.slice(partitions.length) ?? [];
  const topicIdBytes = older?.topicIdBytes ?? topicIdToBytes(topic.topicId);
  return {
    name: topic.name,
    topicId: topic.topicId,
    topicIdBytes,
    partitions: [...partitions, ...added],
    isCompacted: isCompacted(topic.config),
  };
}

function isCompacted(config: TopicConfig | undefined): boolean {
  const { cleanup = Cleanup.CLEANUP_UNSPECIFIED } = config?.cleanup ?? {};
  return cleanup === Cleanup.CLEANUP_COMPACT || cleanup === Cleanup.CLEANUP_BOTH;
}

/** Both epochs only rise. */
function isOlder(
  found: { readonly leaderEpoch: number; readonly partitionEpoch: number },
  known: PartitionLeadership,
): boolean {
  if (found.leaderEpoch !== known.leaderEpoch) return found.leaderEpoch < known.leaderEpoch;
  return found.partitionEpoch < known.partitionEpoch;
}

function isSame(a: TopicView, b: TopicView): boolean {
  return (
    a.topicId === b.topicId &&
    a.isCompacted === b.isCompacted &&
    a.partitions.length === b.partitions.length &&
    a.partitions.every((partition, index) => {
      const other = b.partitions[index]!;
      return (
        partition.leader === other.leader &&
        partition.leaderEpoch === other.leaderEpoch &&
        partition.partitionEpoch === other.partitionEpoch
      );
    })
  );
}
