/**
 * Replication streams: one for each (follower, leader), first in first out in both directions,
 * bound to two incarnations, reset at will.
 */
import type { Random } from '../../../base/random.ts';
import type {
  FollowerMessage,
  PartitionInput,
  Position,
} from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { ModelBroker } from './broker.ts';
import { Violation } from './checkers.ts';
import { endOf } from './model-log.ts';
import type { Scheduler } from './scheduler.ts';

/** Pushes on the way: credit, by count. */
const PUSHES_MAX = 3;

interface Stream {
  readonly follower: ModelBroker;
  readonly leader: ModelBroker;
  readonly followerGeneration: number;
  readonly leaderGeneration: number;
  /** The follower's side. */
  isOpen: boolean;
  /**
   * The leader's side: it may go on for a while when the follower is dead, with what was on its
   * way.
   */
  isLeaderOpen: boolean;
  lastUpMs: number;
  lastDownMs: number;
  pushes: number;
}

type FramesInput = Extract<PartitionInput, { kind: 'frames' }>;

export class Streams {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #brokers: readonly ModelBroker[];
  readonly #isFaulty: () => boolean;
  readonly #streams = new Map<string, Stream>();
  readonly #cut = new Set<number>();
  readonly #slowMs = new Map<number, number>();
  /** Followers that are sent no frames: their bytes wait for something else. */
  readonly #starved = new Set<number>();
  /** Batches in one push. */
  readonly #framesMax: number;

  constructor(
    scheduler: Scheduler,
    random: Random,
    brokers: readonly ModelBroker[],
    isFaulty: () => boolean,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#brokers = brokers;
    this.#isFaulty = isFaulty;
    this.#framesMax = random.pick([1, 2, 8]);
  }

  /** Opens the stream to the leader that the follower's core wants, if there is none. */
  connect(followerId: number): void {
    const follower = this.#brokers[followerId] as ModelBroker;
    const to = follower.partition?.status().leader ?? -1;
    const leader = this.#brokers[to];
    if (
      leader === undefined ||
      leader === follower ||
      leader.partition === null ||
      this.#isCut(followerId, to)
    )
      return;
    const key = `${followerId}>${to}`;
    if (this.#streams.get(key)?.isOpen === true) return;
    const old = this.#streams.get(key);
    if (old !== undefined) this.#close(old);
    const stream: Stream = {
      follower,
      leader,
      followerGeneration: follower.generation,
      leaderGeneration: leader.generation,
      isOpen: true,
      isLeaderOpen: true,
      lastUpMs: 0,
      lastDownMs: 0,
      pushes: 0,
    };
    this.#streams.set(key, stream);
    const stated = follower.partition?.position() ?? null;
    if (stated !== null && stated.to === to) this.position(followerId, to, stated.position);
  }

  position(followerId: number, to: number, position: Position): void {
    const stream = this.#streams.get(`${followerId}>${to}`);
    if (stream?.isOpen !== true) return;
    stream.lastUpMs = Math.max(stream.lastUpMs, this.#scheduler.nowMs + this.#delayMs(followerId));
    this.#scheduler.after(stream.lastUpMs - this.#scheduler.nowMs, () => {
      if (!stream.isLeaderOpen || stream.leader.generation !== stream.leaderGeneration) return;
      if (this.#isCut(followerId, to)) this.#close(stream);
      else stream.leader.step({ kind: 'position', position });
    });
  }

  toFollower(
    leaderId: number,
    to: number,
    message: FollowerMessage & { readonly from: number },
  ): void {
    const stream = this.#streams.get(`${to}>${leaderId}`);
    if (stream?.isOpen === true) this.#down(stream, () => stream.follower.step(message));
  }

  /** Pushes what each follower of this leader has not been told, within its credit. */
  pump(leaderId: number): void {
    for (const stream of this.#streams.values()) {
      if (stream.leader.id === leaderId) this.#push(stream);
    }
  }

  reset(followerId: number, leaderId: number): void {
    const stream = this.#streams.get(`${followerId}>${leaderId}`);
    if (stream?.isOpen === true) this.#close(stream);
  }

  /**
   * A broker died. Leaders may notice late: the connection is half open, and what the dead one had
   * sent still arrives.
   */
  died(brokerId: number): void {
    for (const stream of this.#streams.values()) {
      if (stream.leader.id === brokerId) this.#close(stream);
      if (stream.follower.id !== brokerId) continue;
      stream.isOpen = false;
      this.#scheduler.after(this.#random.below(800), () => this.#close(stream));
    }
  }

  /** All streams of a broker end, on both sides. */
  drop(brokerId: number): void {
    for (const stream of this.#streams.values()) {
      if (stream.isOpen && (stream.follower.id === brokerId || stream.leader.id === brokerId))
        this.#close(stream);
    }
  }

  cut(brokerId: number, isCut: boolean): void {
    if (isCut) {
      this.#cut.add(brokerId);
      if (this.#random.chance(0.5)) this.drop(brokerId);
    } else {
      this.#cut.delete(brokerId);
    }
  }

  slow(brokerId: number, delayMs: number): void {
    this.#slowMs.set(brokerId, delayMs);
    this.#scheduler.after(600, () => this.#slowMs.delete(brokerId));
  }

  starve(brokerId: number, isStarved: boolean): void {
    if (isStarved) this.#starved.add(brokerId);
    else this.#starved.delete(brokerId);
  }

  #push(stream: Stream): void {
    const { leader, follower } = stream;
    if (!stream.isOpen || leader.partition === null || stream.pushes >= PUSHES_MAX) return;
    const window = leader.partition.pushWindow(follower.id);
    if (window === null) return;
    if (window.from < leader.disk.start)
      throw new Violation(
        `(push) ${follower.id} is to be sent ${window.from}, the log of ${leader.id} starts at ${leader.disk.start}`,
      );
    const first = leader.disk.indexOf(window.from);
    const headers: BatchHeader[] = [];
    const framesMax = this.#starved.has(follower.id) ? 0 : this.#framesMax;
    for (const header of leader.disk.batches.slice(first, first + framesMax)) {
      if (endOf(header) <= window.upTo) headers.push(header);
    }
    const last = headers.at(-1);
    // Nothing to tell but bytes that wait: the next look comes with the next change.
    if (last === undefined && window.from < window.upTo && !this.#starved.has(follower.id)) return;
    leader.partition.pushed(
      follower.id,
      last === undefined ? window.from : endOf(last),
      window.highWaterMark,
    );
    const { leaderEpoch, highWaterMark, logStartOffset } = window;
    const input: FramesInput = {
      kind: 'frames',
      from: leader.id,
      leaderEpoch,
      highWaterMark,
      logStartOffset,
      headers,
    };
    stream.pushes += 1;
    this.#down(stream, () => {
      stream.pushes -= 1;
      follower.step(input);
      this.#push(stream);
    });
  }

  #down(stream: Stream, run: () => void): void {
    stream.lastDownMs = Math.max(
      stream.lastDownMs,
      this.#scheduler.nowMs + this.#delayMs(stream.follower.id),
    );
    this.#at(stream, stream.lastDownMs, run);
  }

  #at(stream: Stream, atMs: number, run: () => void): void {
    this.#scheduler.after(atMs - this.#scheduler.nowMs, () => {
      if (
        !stream.isOpen ||
        stream.follower.generation !== stream.followerGeneration ||
        stream.leader.generation !== stream.leaderGeneration
      )
        return;
      if (this.#isCut(stream.follower.id, stream.leader.id)) this.#close(stream);
      else run();
    });
  }

  #close(stream: Stream): void {
    stream.isOpen = false;
    if (!stream.isLeaderOpen) return;
    stream.isLeaderOpen = false;
    if (stream.leader.generation === stream.leaderGeneration)
      stream.leader.partition?.followerGone(stream.follower.id);
  }

  #isCut(one: number, other: number): boolean {
    return this.#cut.has(one) || this.#cut.has(other);
  }

  #delayMs(brokerId: number): number {
    const slowMs = this.#isFaulty() ? (this.#slowMs.get(brokerId) ?? 0) : 0;
    return 1 + this.#random.below(4) + slowMs;
  }
}
