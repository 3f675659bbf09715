/**
 * Leader's side of replication: pushes what followers lack over their streams, tail from memory and
 * the rest from disk, within the credit that each follower gave. One message per follower and turn
 * of the loop carries many partitions. Bytes that a reassignment moves wait for their limit apart,
 * and hold up nothing else. docs/rules.md#data-path.
 */
import type { BrokerId, PartitionKey } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import type { FollowerMessage, PushWindow } from '../../replication/types.ts';
import { MoveQueue } from './move-queue.ts';
import type { Move, Pushed } from './move-queue.ts';
import type { Clock } from '../../../base/clock.ts';
import type { FollowerLink, LogRead, PushedFrames } from '../ports.ts';
import { startsAt } from './received-frames.ts';
import type { Replica } from './replica.ts';

/**
 * Bytes of one partition in one message: large messages are what pays, but one partition may not
 * hold up the others.
 */
const PUSH_BYTES_MAX = 1024 * 1024;
/** Pause before bytes that could not be read are looked for again. */
const READ_AGAIN_MS = 1_000;

export interface PusherOptions {
  readonly clock: Clock;
  /**
   * What a follower is to be sent could not be read. It is tried again, for as long as the follower
   * is to be sent it.
   */
  readonly onReadFailed: (replica: Replica, error: unknown) => void;
  /** The follower said what cannot be: its stream must not go on. */
  readonly onRefused: (replica: Replica, follower: BrokerId, reason: string) => void;
  /**
   * The follower is brought by a reassignment and not yet in S: nothing waits for it, so its bytes
   * may wait for the limit.
   */
  readonly isMoving: (replica: Replica, follower: BrokerId) => boolean;
}

interface LinkState {
  readonly link: FollowerLink;
  /** Partitions that may have news for this follower, in the order in which they got it. */
  readonly dirty: Map<PartitionKey, Replica>;
  /** Partitions whose bytes are being read from disk for this follower. */
  readonly reading: Set<PartitionKey>;
  isScheduled: boolean;
}

/** A partition that waits for the limit on moved bytes. */
interface WaitingMove extends Move {
  readonly state: LinkState;
  readonly replica: Replica;
}

/** What is being read for a follower. */
interface Wanted {
  readonly key: PartitionKey;
  readonly replica: Replica;
  readonly window: PushWindow;
}

/** Nothing was pushed, and nothing is left to push now. */
const NOTHING_PUSHED: Pushed = { bytes: 0, hasMore: false };

export class Pusher {
  readonly #options: PusherOptions;
  readonly #links = new Map<BrokerId, LinkState>();
  readonly #moves: MoveQueue<WaitingMove>;

  constructor(options: PusherOptions) {
    this.#options = options;
    this.#moves = new MoveQueue({
      clock: options.clock,
      pieceBytesMax: PUSH_BYTES_MAX,
      push: (move, bytesMax) => this.#pushMove(move, bytesMax),
    });
  }

  /**
   * Bytes per second that may be pushed to replicas that reassignments add, all followers together;
   * -1: no limit. In force at once.
   */
  setMoveLimit(bytesPerSecond: number): void {
    this.#moves.setLimit(bytesPerSecond);
  }

  /** A follower opened its stream; an older one of the same broker is closed. */
  open(link: FollowerLink): void {
    this.#links.get(link.brokerId)?.link.close('the follower opened another stream');
    this.#moves.drop(link.brokerId);
    this.#links.set(link.brokerId, {
      link,
      dirty: new Map(),
      reading: new Set(),
      isScheduled: false,
    });
  }

  /** @returns true when this was the follower's present stream */
  closed(link: FollowerLink): boolean {
    if (this.#links.get(link.brokerId)?.link !== link) return false;
    return this.#links.delete(link.brokerId);
  }

  isCurrent(link: FollowerLink): boolean {
    return this.#links.get(link.brokerId)?.link === link;
  }

  /** Links whose follower is registered under another epoch by now. */
  closeStale(epochOf: (brokerId: BrokerId) => number | undefined): void {
    for (const { link } of [...this.#links.values()]) {
      if (epochOf(link.brokerId) !== link.brokerEpoch) link.close('the follower registered again');
    }
  }

  send(replica: Replica, message: FollowerMessage): void {
    this.#links.get(message.to)?.link.send(replica.topicId, replica.partition, message);
  }

  /** Ends a follower's stream. */
  close(follower: BrokerId, reason: string): void {
    this.#links.get(follower)?.link.close(reason);
  }

  /** The replica has news for every follower that is connected. */
  wakeAll(replica: Replica): void {
    for (const state of this.#links.values()) this.#wake(state, replica);
  }

  wake(follower: BrokerId, replica: Replica): void {
    const state = this.#links.get(follower);
    if (state !== undefined) this.#wake(state, replica);
  }

  /** Credit came in. */
  resume(link: FollowerLink): void {
    const state = this.#links.get(link.brokerId);
    if (state?.link === link && state.dirty.size > 0) this.#schedule(state);
  }

  #wake(state: LinkState, replica: Replica): void {
    state.dirty.set(partitionKey(replica.topicId, replica.partition), replica);
    this.#schedule(state);
  }

  #schedule(state: LinkState): void {
    if (state.isScheduled) return;
    state.isScheduled = true;
    this.#options.clock.soon(() => {
      state.isScheduled = false;
      this.#flush(state);
    });
  }

  #flush(state: LinkState): void {
    const { link, dirty, reading } = state;
    if (!this.isCurrent(link)) return;
    const batch: PushedFrames[] = [];
    let credit = link.creditBytes();
    for (const [key, replica] of [...dirty]) {
      if (reading.has(key)) continue;
      const window = replica.pushWindow(link.brokerId);
      if (window === null) {
        dirty.delete(key);
        continue;
      }
      // News of the marks alone costs no credit: it must get through to a follower that is full.
      if (window.from < window.upTo && credit <= 0) continue;
      if (window.from < window.upTo && this.#mustWait(replica, link.brokerId)) {
        dirty.delete(key);
        this.#moves.add({ follower: link.brokerId, key, state, replica });
        // The marks do not wait with the bytes.
        this.#take(state, replica, window, { chunks: [], nextOffset: window.from }, batch);
        continue;
      }
      const read = this.#read(replica, window);
      if (read instanceof Promise) {
        this.#await(state, { key, replica, window }, read);
        continue;
      }
      if (this.#isWithinBatch(state, replica, window, read)) return;
      credit -= this.#take(state, replica, window, read, batch);
    }
    if (batch.length > 0) link.push(batch);
    if (credit > 0 && [...dirty.keys()].some((key) => !reading.has(key))) this.#schedule(state);
  }

  #mustWait(replica: Replica, follower: BrokerId): boolean {
    return !this.#moves.isUnlimited && this.#options.isMoving(replica, follower);
  }

  /** One piece for a move whose turn it is. */
  #pushMove({ state, key, replica }: WaitingMove, bytesMax: number): Pushed | Promise<Pushed> {
    const { link, reading } = state;
    const window = this.isCurrent(link) ? replica.pushWindow(link.brokerId) : null;
    if (window === null) return NOTHING_PUSHED;
    const isOrdinary =
      window.from >= window.upTo || !this.#options.isMoving(replica, link.brokerId);
    if (isOrdinary || reading.has(key) || link.creditBytes() <= 0) {
      // Joined S meanwhile, or waits for credit: the follower's own queue serves it, or brings it
      // back here.
      this.#wake(state, replica);
      return NOTHING_PUSHED;
    }
    const read = replica.readForPush(window, bytesMax);
    if (!(read instanceof Promise))
      return this.#isWithinBatch(state, replica, window, read)
        ? NOTHING_PUSHED
        : this.#pushNow(state, replica, window, read);
    reading.add(key);
    return read.then(
      (found) => {
        reading.delete(key);
        return this.isCurrent(link)
          ? this.#pushRead(state, { key, replica, window }, found)
          : NOTHING_PUSHED;
      },
      (error: unknown) => {
        reading.delete(key);
        this.#readFailed(state, { key, replica, window }, error);
        return NOTHING_PUSHED;
      },
    );
  }

  #pushNow(state: LinkState, replica: Replica, window: PushWindow, read: LogRead): Pushed {
    const batch: PushedFrames[] = [];
    const bytes = this.#take(state, replica, window, read, batch);
    state.link.push(batch);
    return { bytes, hasMore: replica.pushWindow(state.link.brokerId) !== null };
  }

  #read(replica: Replica, window: PushWindow): LogRead | Promise<LogRead> {
    if (window.from >= window.upTo) return { chunks: [], nextOffset: window.from };
    return replica.readForPush(window, PUSH_BYTES_MAX);
  }

  /** @returns bytes taken */
  #take(
    state: LinkState,
    replica: Replica,
    window: PushWindow,
    read: LogRead,
    batch: PushedFrames[],
  ): number {
    const { leaderEpoch, highWaterMark, logStartOffset } = window;
    const { topicId, partition } = replica;
    batch.push({
      topicId,
      partition,
      leaderEpoch,
      highWaterMark,
      logStartOffset,
      chunks: read.chunks,
    });
    replica.pushed(state.link.brokerId, read.nextOffset, highWaterMark);
    if (replica.pushWindow(state.link.brokerId) === null)
      state.dirty.delete(partitionKey(topicId, partition));
    return read.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #await(state: LinkState, wanted: Wanted, read: Promise<LogRead>): void {
    const { key } = wanted;
    state.reading.add(key);
    read.then(
      (found) => {
        state.reading.delete(key);
        if (!this.isCurrent(state.link)) return;
        this.#pushRead(state, wanted, found);
        this.#schedule(state);
      },
      (error: unknown) => {
        state.reading.delete(key);
        this.#readFailed(state, wanted, error);
      },
    );
  }

  /**
   * Retention may have taken the bytes while they were looked for: then the core has told the
   * follower where to start anew, and there is another window or none. Otherwise the failure is
   * told, and the same bytes are looked for again after a pause.
   */
  #readFailed(state: LinkState, { key, replica, window }: Wanted, error: unknown): void {
    const { link, dirty } = state;
    if (!this.isCurrent(link)) return;
    if (replica.pushWindow(link.brokerId)?.from !== window.from) {
      this.#wake(state, replica);
      return;
    }
    dirty.delete(key);
    this.#options.onReadFailed(replica, error);
    this.#options.clock.after(READ_AGAIN_MS, () => {
      this.#wake(state, replica);
    });
  }

  /**
   * The window may have moved while the disk was read: a new epoch, or a follower that started
   * anew. Then the bytes are read again.
   */
  #pushRead(state: LinkState, { replica, window: wanted }: Wanted, read: LogRead): Pushed {
    const window = replica.pushWindow(state.link.brokerId);
    if (window === null) return NOTHING_PUSHED;
    const isSame = window.from === wanted.from && window.leaderEpoch === wanted.leaderEpoch;
    if (isSame && this.#isWithinBatch(state, replica, window, read)) return NOTHING_PUSHED;
    const isWanted = startsAt(read, window.from) && read.nextOffset <= window.upTo;
    return isWanted ? this.#pushNow(state, replica, window, read) : { bytes: 0, hasMore: true };
  }

  /** The follower has stated a position at which no batch begins: no log can end there. */
  #isWithinBatch(
    { link }: LinkState,
    replica: Replica,
    { from }: PushWindow,
    read: LogRead,
  ): boolean {
    if (read.chunks.length === 0 || startsAt(read, from)) return false;
    const reason = `${replica.name}: broker ${link.brokerId} states end ${from}, which is within a batch`;
    this.#options.onRefused(replica, link.brokerId, reason);
    return true;
  }
}
