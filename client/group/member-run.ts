/**
 * One life of a member: from joining the group to leaving it. Brings together what the group says
 * the member has (`session.ts`), the reading of it (`topic-sources.ts`), and whoever handles what
 * is read, by iteration or by handlers.
 */
import type { Cancel } from '../../base/clock.ts';
import type { Cluster } from '../cluster.ts';
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { fromCall, TidemarkError } from '../errors.ts';
import { Cursors } from '../groups.ts';
import { type Found, Reading } from '../consumer/reading.ts';
import type { ReadOptions } from '../consumer/types.ts';
import type { HeldPartition, Place, ViewedPartition } from './member/types.ts';
import { News } from '../news.ts';
import { type Mark, Part } from './part.ts';
import { type Introduction, Session } from './session.ts';
import { TopicSources } from './topic-sources.ts';
import type { AssignedPartition, GroupHooks, GroupPosition } from './types.ts';

/** Shares of the time that letting go may take: up to there handlers, the hook, the commit. */
const HANDLERS_SHARE = 0.6;
const HOOK_SHARE = 0.8;
const COMMIT_SHARE = 0.95;

/** Where a partition is taken to stand of which that is not known. */
const NOWHERE: Place = { offset: 0, leaderEpoch: 0 };

type Viewed = ViewedPartition<TidemarkError>;

/** Whoever handles records beside the program's own loop. */
export interface Handlers {
  /** No other handler begins. */
  end(): void;
  /** Those that run are told to end. */
  stop(reason: unknown): void;
  /** No other handler of the partition begins. */
  endSlot(slot: string): void;
  isBusy(slot: string): boolean;
  pass(slot: string, place: { readonly handOut: () => void }): void;
  look(): void;
  news(): Promise<void>;
}

/** How a member goes about it. */
export interface RunSettings {
  readonly group: string;
  readonly introduction: Introduction;
  readonly read: ReadOptions;
  readonly isSkipping: boolean;
  readonly codecs: ReadonlyMap<string, AnyTopic>;
  readonly commitMs: number;
  readonly releaseMs: number;
  readonly hooks: GroupHooks;
}

/** What was found of a partition that the member has. */
interface PartFound<Key, Value> {
  readonly found: Found<Key, Value>;
  readonly part: Part;
  /** Of the part, when it was found. */
  readonly mark: Mark;
}

export class MemberRun<Key, Value> {
  readonly reading: Reading<Key, Value>;
  readonly #connections: Connections;
  readonly #settings: RunSettings;
  readonly #session: Session;
  readonly #sources: TopicSources<Key, Value>;
  readonly #cursors: Cursors;
  /** What it has, by key. */
  readonly #parts = new Map<string, Part>();
  #handlers: Handlers | undefined;
  #cancelCommits: Cancel | undefined;
  #isEnding = false;
  #finishing: Promise<void> | undefined;
  readonly #finished = Promise.withResolvers<void>();
  readonly #news = new News();

  constructor(connections: Connections, cluster: Cluster, settings: RunSettings) {
    this.#connections = connections;
    this.#settings = settings;
    this.#cursors = new Cursors(connections, cluster, settings.group);
    this.reading = new Reading<Key, Value>({
      isSkipping: settings.isSkipping,
      tracing: connections.tracing,
      onFailed: (source, error) => this.#sources.onFailed(source, error),
    });
    this.#sources = new TopicSources<Key, Value>({
      ...{ connections, cluster, reading: this.reading },
      ...{ options: settings.read, codecs: settings.codecs },
      onFailed: (part, error) => this.#partFailed(part, error),
      onPassed: (part, offset, leaderEpoch) => this.#passed(part, { offset, leaderEpoch }),
    });
    this.#session = new Session(connections, cluster, settings.introduction, {
      onAssign: (partitions) => void this.#assign(partitions).catch(this.#fail),
      onRevoke: (epoch, partitions, leftMs) =>
        void this.#revoke(epoch, partitions, leftMs).catch(this.#fail),
      onLost: (partitions) => this.#lose(partitions),
      onLease: () => this.#look(),
      onOver: (error) => {
        if (error !== undefined) this.reading.fail(error);
        this.#news.rouse();
      },
      onCommitFailed: this.#fail,
    });
  }

  readonly #fail = (cause: unknown): void => this.reading.fail(fromCall(cause, 'the cluster'));

  get memberId(): string {
    return this.#session.memberId;
  }

  /** It goes, or is gone. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  get assigned(): readonly AssignedPartition[] {
    return [...this.#parts.values()]
      .filter(({ isStopped }) => !isStopped)
      .map(({ shown }) => shown);
  }

  /** Partitions that it has and cannot read. */
  get failed(): readonly Part[] {
    return [...this.#parts.values()].filter(
      (part) => !part.isStopped && part.failure !== undefined,
    );
  }

  start(handlers?: Handlers): void {
    // It was closed while it was found out whether it may begin.
    if (this.#isEnding) return;
    this.#handlers = handlers;
    this.#cancelCommits = this.#connections.clock.every(this.#settings.commitMs, () =>
      this.#session.commit(),
    );
    this.#session.start();
  }

  // What is read

  /**
   * Batches as they come, with the partition that each is of, until the member ends. However that
   * is, and whoever stops asking: then it has left.
   */
  async *found(): AsyncGenerator<PartFound<Key, Value>, void, undefined> {
    try {
      yield* this.#found();
    } finally {
      await this.finish();
    }
  }

  async *#found(): AsyncGenerator<PartFound<Key, Value>, void, undefined> {
    while (!this.#isEnding) {
      if (this.reading.failure !== undefined) throw this.reading.failure;
      const raw = this.#session.mayDeliver ? this.reading.next() : undefined;
      if (raw === undefined) {
        await this.reading.news();
        continue;
      }
      const { partition } = 'loss' in raw.found ? raw.found.loss : raw.found;
      const part = this.#sources.partOf(raw.source.reader, partition);
      if (part === undefined) continue;
      const { mark } = part;
      for await (const found of this.reading.handed(raw))
        if (isWanted(part, mark)) yield { found, part, mark };
    }
    if (this.reading.failure !== undefined) throw this.reading.failure;
  }

  /** Whether a record may be handed out now; waits for a lease. False: never. */
  async mayHandOut(part: Part, mark: Mark): Promise<boolean> {
    for (;;) {
      if (!this.isWanted(part, mark)) return false;
      if (this.#session.mayDeliver) return true;
      await this.reading.news();
    }
  }

  isWanted(part: Part, mark: Mark): boolean {
    return !this.#isEnding && isWanted(part, mark);
  }

  get mayBegin(): boolean {
    return this.#session.mayDeliver;
  }

  /** {@link mayHandOut}, where that needs no waiting. */
  mayHandOutNow(part: Part, mark: Mark): boolean {
    return this.isWanted(part, mark) && this.#session.mayDeliver;
  }

  /** Reading goes on behind it. */
  pass(part: Part, found: Found<Key, Value>, place: Place): void {
    part.place = place;
    found.reader.handOut(part.held.partition, place.offset, place.leaderEpoch);
  }

  /** It is in the program's hands, until it is taken back. */
  handOut(part: Part, found: Found<Key, Value>, place: Place): void {
    this.pass(part, found, place);
    part.isHandedOut = true;
  }

  takeBack(part: Part): void {
    part.isHandedOut = false;
    this.#news.rouse();
  }

  /** Everything before the place is handled. */
  handled(part: Part, { turn }: Pick<Mark, 'turn'>, place: Place): void {
    if (part.turn === turn) this.#session.ledger.handled(part.held, place);
  }

  #passed(part: Part, place: Place): void {
    const { mark } = part;
    const handOut = (): void => this.handled(part, mark, place);
    // In the program's own loop everything before is handled: it has asked for what comes next.
    if (this.#handlers === undefined) handOut();
    else this.#handlers.pass(part.slot, { handOut });
  }

  // What the group gives and takes

  /** Those that it is known of where they begin do so at once; of the others that is found out. */
  async #assign(viewed: readonly Viewed[]): Promise<void> {
    const known = new Map<Viewed, Place | TidemarkError>();
    for (const one of viewed) {
      const beginning = one.cursor ?? one.error;
      if (isFinal(beginning)) known.set(one, beginning);
    }
    const open = viewed.filter((one) => !known.has(one));
    await Promise.all([this.#begin(known), this.#findOut(open)]);
  }

  /** The broker takes them for known, or does not know yet; nothing is taken for the beginning. */
  async #findOut(viewed: readonly Viewed[]): Promise<void> {
    let open = viewed;
    for (let attempt = 0; open.length > 0 && !this.#isEnding; attempt += 1) {
      if (attempt > 0) await this.#connections.sleep(this.#connections.backoffMs(attempt));
      const found = new Map<Viewed, Place | TidemarkError>();
      for (const [topic, some] of Map.groupBy(open, (one) => one.topic))
        for (const [one, beginning] of await this.#beginningsOf(topic, some))
          found.set(one, beginning);
      open = open.filter((one) => !found.has(one) && this.#session.holds(one));
      // Hooks of some hold up no others.
      void this.#begin(found).catch(this.#fail);
    }
  }

  /** As committed, of those of a topic that it is known of, or never will be. */
  async #beginningsOf(
    topic: string,
    viewed: readonly Viewed[],
  ): Promise<readonly (readonly [Viewed, Place | TidemarkError])[]> {
    let beginningOf: (one: Viewed) => Place | TidemarkError | undefined;
    try {
      const results = await this.#cursors.fetch([topic]);
      beginningOf = ({ partition, topicId }) => {
        const found = results.find(({ cursor }) => cursor?.partition === partition);
        if (found?.error !== undefined) return found.error;
        return found?.cursor?.topicId === topicId ? placeOf(found.cursor) : undefined;
      };
    } catch (cause) {
      const error = fromCall(cause, 'the cluster');
      beginningOf = () => error;
    }
    return viewed.flatMap((one) => {
      const beginning = beginningOf(one);
      return isFinal(beginning) ? [[one, beginning] as const] : [];
    });
  }

  async #begin(beginnings: ReadonlyMap<Viewed, Place | TidemarkError>): Promise<void> {
    const parts: Part[] = [];
    for (const [viewed, beginning] of beginnings) {
      const { key, topic, topicId, partition, epoch } = viewed;
      const held = { key, topic, topicId, partition, epoch };
      if (!this.#session.holds(held)) continue;
      const failure = beginning instanceof TidemarkError ? beginning : undefined;
      const cursor = beginning instanceof TidemarkError ? NOWHERE : beginning;
      const part = new Part(held, cursor);
      part.failure = failure;
      this.#session.ledger.begin(held, cursor);
      this.#parts.set(key, part);
      parts.push(part);
    }
    if (parts.length === 0 || this.#isEnding) return;
    const positions = await this.#tellAssigned(parts);
    for (const part of parts) {
      const position = positions.find((one) => isOf(part, one));
      if (position !== undefined) this.#place(part, position);
    }
    await Promise.all(parts.map((part) => this.#read(part)));
  }

  async #read(part: Part): Promise<void> {
    if (part.failure === undefined) await this.#sources.begin(part);
    else this.#partFailed(part, part.failure);
  }

  /** All others go on. */
  #partFailed(part: Part, error: TidemarkError): void {
    this.#sources.end(part);
    part.failure = error;
    // It is somebody else's: that is told otherwise.
    if (part.isStopped || error.code === 'FENCED') return;
    const { onFailed } = this.#settings.hooks;
    const told = async (): Promise<void> => {
      await onFailed?.(part.shown, error);
    };
    void told().catch(this.#fail);
  }

  async #tellAssigned(parts: readonly Part[]): Promise<readonly GroupPosition[]> {
    const { onAssigned } = this.#settings.hooks;
    const told = Promise.resolve(onAssigned?.(parts.map(({ shown }) => shown)));
    const settled = told.then(
      () => undefined,
      () => undefined,
    );
    for (const part of parts) part.told = settled;
    return (await told) ?? [];
  }

  async #revoke(epoch: number, held: readonly HeldPartition[], leftMs: number): Promise<void> {
    const parts = this.#partsOf(held);
    await this.#letGo(parts, leftMs);
    for (const part of parts) this.#forget(part);
    this.#session.released(epoch);
  }

  /** Ends their reading, then what is under way; calls the hook; commits. All in time. */
  async #letGo(parts: readonly Part[], leftMs: number): Promise<void> {
    const nowMs = this.#connections.clock.monotonicMs();
    for (const part of parts) this.#stop(part);
    await this.#idle(parts, nowMs + leftMs * HANDLERS_SHARE);
    for (const part of parts) if (this.#isBusy(part)) part.abort(tookTooLong(part));
    if (parts.length > 0) await this.#inTime(this.#tellRevoked(parts), nowMs + leftMs * HOOK_SHARE);
    await this.#session.settle(
      nowMs + leftMs * COMMIT_SHARE,
      parts.map(({ held }) => held),
    );
  }

  /** Behind what it was told of them before, and once. */
  async #tellRevoked(all: readonly Part[]): Promise<void> {
    const parts = all.filter(({ isToldRevoked }) => !isToldRevoked);
    for (const part of parts) part.isToldRevoked = true;
    await Promise.all(parts.map(({ told }) => told));
    if (parts.length > 0) await this.#settings.hooks.onRevoked?.(parts.map(({ shown }) => shown));
  }

  #lose(held: readonly HeldPartition[]): void {
    const parts = this.#partsOf(held);
    for (const part of parts) {
      this.#stop(part);
      part.abort(
        new TidemarkError(
          'FENCED',
          `Partition ${part.held.partition} of "${part.held.topic}" is somebody else's by now`,
        ),
      );
      this.#forget(part);
    }
    for (const { key, epoch } of held) this.#session.ledger.end({ key, epoch });
    if (parts.length === 0) return;
    const told = async (): Promise<void> => {
      await this.#settings.hooks.onLost?.(parts.map(({ shown }) => shown));
    };
    void told().catch(this.#fail);
  }

  #partsOf(held: readonly HeldPartition[]): Part[] {
    return held.flatMap(({ key, epoch }) => {
      const part = this.#parts.get(key);
      return part?.held.epoch === epoch ? [part] : [];
    });
  }

  #stop(part: Part): void {
    if (part.isStopped) return;
    part.isStopped = true;
    this.#sources.end(part);
    this.#handlers?.endSlot(part.slot);
    this.reading.rouse();
  }

  #forget(part: Part): void {
    this.#session.ledger.end(part.held);
    if (this.#parts.get(part.held.key) === part) this.#parts.delete(part.held.key);
  }

  #isBusy(part: Part): boolean {
    const slots = [part.slot, ...part.formerSlots];
    return part.isHandedOut || slots.some((slot) => this.#handlers?.isBusy(slot) === true);
  }

  /** Waits until nothing of these is under way, or the time is up. */
  async #idle(parts: readonly Part[], untilMs: number): Promise<void> {
    while (parts.some((part) => this.#isBusy(part))) {
      const leftMs = untilMs - this.#connections.clock.monotonicMs();
      if (leftMs <= 0) return;
      await this.#inTime(
        Promise.race([this.#news.next(), this.#handlers?.news() ?? never()]),
        untilMs,
      );
    }
  }

  /** Waits for it, but not longer. What it throws ends the member. */
  async #inTime(wait: unknown, untilMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const leftMs = Math.max(0, untilMs - this.#connections.clock.monotonicMs());
    const cancel = this.#connections.clock.after(leftMs, resolve);
    const waited = Promise.resolve(wait).catch(this.#fail);
    await Promise.race([waited, promise]);
    cancel();
  }

  // What the program asks for

  /** Of the partitions that it has. */
  pause(isWanted: (part: AssignedPartition) => boolean): void {
    for (const part of this.#parts.values()) {
      if (part.isStopped || part.isPaused || !isWanted(part.shown)) continue;
      part.isPaused = true;
      this.#sources.end(part);
    }
    this.reading.rouse();
  }

  resume(isWanted: (part: AssignedPartition) => boolean): void {
    for (const part of this.#parts.values()) {
      if (part.isStopped || !part.isPaused || !isWanted(part.shown)) continue;
      part.isPaused = false;
      if (part.failure === undefined) void this.#sources.begin(part).catch(this.#fail);
    }
  }

  /** Goes on elsewhere; false: the member does not have it. */
  seek(position: GroupPosition): boolean {
    const part = [...this.#parts.values()].find((one) => !one.isStopped && isOf(one, position));
    if (part === undefined) return false;
    this.#sources.end(part);
    this.#handlers?.endSlot(part.slot);
    this.#place(part, position);
    if (!part.isPaused) void this.#sources.begin(part).catch(this.#fail);
    this.reading.rouse();
    return true;
  }

  #place(part: Part, { offset, leaderEpoch = 0 }: GroupPosition): void {
    part.moveTo({ offset, leaderEpoch });
    for (const slot of part.formerSlots)
      if (this.#handlers?.isBusy(slot) !== true) part.formerSlots.delete(slot);
    this.handled(part, part, part.place);
  }

  /** Commits what is handled. Rejects with TIMED_OUT. */
  async commit(timeoutMs: number): Promise<void> {
    const untilMs = this.#connections.clock.monotonicMs() + timeoutMs;
    if (await this.#session.commitHandled(untilMs)) return;
    throw (
      this.reading.failure ??
      new TidemarkError('TIMED_OUT', `Cannot commit within ${timeoutMs} ms`, 'same', {
        effect: 'unknown',
      })
    );
  }

  // The end

  /** Reads no more, lets what is under way end, commits and leaves; within a bound. */
  finish(): Promise<void> {
    this.#finishing ??= this.#finish();
    return this.#finishing;
  }

  /** Resolves once {@link finish} has, whoever asked for it. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  async #finish(): Promise<void> {
    this.#isEnding = true;
    this.#handlers?.end();
    this.#news.rouse();
    this.reading.rouse();
    const parts = [...this.#parts.values()];
    try {
      if (!this.#session.isOver) await this.#letGo(parts, this.#settings.releaseMs);
      if (parts.some((part) => this.#isBusy(part))) this.#handlers?.stop(undefined);
      await this.#session.leave();
    } finally {
      this.#cancelCommits?.();
      this.reading.close();
      this.#finished.resolve();
    }
  }

  // Waiting

  #look(): void {
    this.reading.rouse();
    this.#handlers?.look();
  }
}

/** What was read of it may be handed out. */
function isWanted(part: Part, { turn, readings }: Mark): boolean {
  const isSame = part.turn === turn && part.readings === readings;
  return isSame && !part.isStopped && !part.isPaused;
}

function isOf(
  { held }: Part,
  { topic, topicId, partition }: Pick<GroupPosition, 'topic' | 'topicId' | 'partition'>,
): boolean {
  return (
    held.topic === topic &&
    held.partition === partition &&
    (topicId === undefined || topicId === held.topicId)
  );
}

/**
 * Where it begins, or why that will never be known. The group takes away what is of no topic any
 * more; until then a broker may only not have heard of it.
 */
function isFinal(beginning: Place | TidemarkError | undefined): beginning is Place | TidemarkError {
  if (beginning instanceof TidemarkError)
    return beginning.retry === 'no' && beginning.code !== 'UNKNOWN_TOPIC';
  return beginning !== undefined;
}

function placeOf({ offset, leaderEpoch }: Place): Place {
  return { offset, leaderEpoch };
}

function tookTooLong({ held }: Part): TidemarkError {
  return new TidemarkError(
    'FENCED',
    `Partition ${held.partition} of "${held.topic}" goes to another member, and its handlers took too long`,
  );
}

function never(): Promise<void> {
  return new Promise(() => undefined);
}
