/**
 * What waits for the limit on moved bytes (rule 19): partitions that a reassignment brings to a
 * follower, served in turn over all followers, so that none of them starves. One read at a time:
 * the limit is below what a disk gives. Knows nothing of streams.
 */
import type { BrokerId, PartitionKey } from '../../../base/units.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import { TokenBucket } from './token-bucket.ts';

/**
 * Longest pause between looks: a clock that jumps, or a limit that is nearly nothing, does not make
 * the queue forget.
 */
const PAUSE_MS_MAX = 1_000;

/** One partition on its way to one follower. */
export interface Move {
  readonly follower: BrokerId;
  readonly key: PartitionKey;
}

/** What pushing one piece came to. */
export interface Pushed {
  readonly bytes: number;
  /** There is more: the move goes to the end of the queue. */
  readonly hasMore: boolean;
}

export interface MoveQueueOptions<Waiting extends Move> {
  readonly clock: Clock;
  /** Pushes one piece of about `bytesMax`; does not throw or reject. */
  readonly push: (move: Waiting, bytesMax: number) => Pushed | Promise<Pushed>;
  /** Largest piece. */
  readonly pieceBytesMax: number;
}

/** Parts of a second that a piece is worth at most, so that a low limit is an even flow. */
const PIECES_PER_SECOND = 10;
/** Smaller pieces cost more than they smooth. */
const PIECE_BYTES_MIN = 16 * 1024;

export class MoveQueue<Waiting extends Move> {
  readonly #options: MoveQueueOptions<Waiting>;
  readonly #bucket: TokenBucket;
  /**
   * In the order in which they are served. At most one entry for a partition and follower, so
   * bounded by their number.
   */
  readonly #waiting = new Map<string, Waiting>();
  #isReading = false;
  #isScheduled = false;
  #cancel: Cancel = () => {};

  constructor(options: MoveQueueOptions<Waiting>) {
    this.#options = options;
    this.#bucket = new TokenBucket(-1, options.clock.monotonicMs());
  }

  /** Nothing needs to wait. */
  get isUnlimited(): boolean {
    return this.#bucket.isUnlimited;
  }

  /** Bytes per second; -1: no limit. In force at once. */
  setLimit(bytesPerSecond: number): void {
    if (bytesPerSecond === this.#bucket.bytesPerSecond) return;
    this.#bucket.setLimit(bytesPerSecond, this.#options.clock.monotonicMs());
    this.#schedule();
  }

  add(move: Waiting): void {
    const name = nameOf(move);
    if (this.#waiting.has(name)) return;
    this.#waiting.set(name, move);
    this.#schedule();
  }

  /** Forgets what waits for this follower. */
  drop(follower: BrokerId): void {
    for (const [name, move] of [...this.#waiting])
      if (move.follower === follower) this.#waiting.delete(name);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isReading || this.#waiting.size === 0) return;
    this.#cancel();
    const waitMs = this.#bucket.waitMs(this.#options.clock.monotonicMs());
    if (waitMs > 0) {
      this.#cancel = this.#options.clock.after(Math.min(Math.ceil(waitMs), PAUSE_MS_MAX), () => {
        this.#schedule();
      });
      return;
    }
    this.#isScheduled = true;
    this.#options.clock.soon(() => {
      this.#isScheduled = false;
      this.#serve();
    });
  }

  /** One piece for whoever has waited longest. */
  #serve(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const [name, move] = first;
    this.#waiting.delete(name);
    const pushed = this.#options.push(move, this.#pieceBytes());
    if (!(pushed instanceof Promise)) {
      this.#settle(move, pushed);
      return;
    }
    this.#isReading = true;
    void pushed.then((late) => {
      this.#isReading = false;
      this.#settle(move, late);
    });
  }

  #settle(move: Waiting, { bytes, hasMore }: Pushed): void {
    this.#bucket.take(bytes);
    if (hasMore) this.#waiting.set(nameOf(move), move);
    this.#schedule();
  }

  #pieceBytes(): number {
    const { pieceBytesMax } = this.#options;
    if (this.#bucket.isUnlimited) return pieceBytesMax;
    const share = this.#bucket.bytesPerSecond / PIECES_PER_SECOND;
    return Math.min(pieceBytesMax, Math.max(PIECE_BYTES_MIN, Math.floor(share)));
  }
}

function nameOf({ follower, key }: Move): string {
  return `${follower} ${key}`;
}
