/**
 * When to ask a leader again for frames that failed their checksums: at once, then a few times,
 * then rarely. One bad frame concerns its own partition: the others of the stream go on. Knows no
 * stream.
 */
import type { LeaderEpoch, MonotonicMs, Offset } from '../../../base/units.ts';

/** Tries before the source is taken for corrupt. */
export const TRIES_MAX = 3;
const AGAIN_MS = 100;
/** A source that is corrupt may be repaired, or be another after the next election. */
const RARELY_MS = 30_000;
/**
 * A leader that does not push what was asked for again is one that cannot: its build does not know
 * how.
 */
const ANSWER_MS = 1_000;

export interface SourceFaultsHost {
  nowMs(): MonotonicMs;
  /** Where the log ends that the frames should continue. */
  endOffset(): Offset;
  /** State the position again, and say that what was pushed since is lost. */
  ask(): void;
  /** The source is corrupt. Said once; it is still asked now and then. */
  giveUp(reason: string): void;
}

export class SourceFaults {
  readonly #host: SourceFaultsHost;
  #leaderEpoch: LeaderEpoch = 0;
  #endOffset: Offset = -1;
  #tries = 0;
  #dueMs: MonotonicMs | null = null;
  #askedMs: MonotonicMs | null = null;

  constructor(host: SourceFaultsHost) {
    this.#host = host;
  }

  /** Frames that should continue the log failed. */
  failed(leaderEpoch: LeaderEpoch): void {
    const endOffset = this.#host.endOffset();
    if (leaderEpoch !== this.#leaderEpoch || endOffset !== this.#endOffset) {
      this.#tries = 0;
      this.#dueMs = null;
    }
    this.#leaderEpoch = leaderEpoch;
    this.#endOffset = endOffset;
    // What was pushed behind the first bad frame fails as well, and is one failure with it.
    if (this.#dueMs !== null) return;
    this.#askedMs = null;
    this.#tries += 1;
    if (this.#tries === 1) {
      this.#ask();
      return;
    }
    this.#dueMs = this.#host.nowMs() + (this.#tries <= TRIES_MAX ? AGAIN_MS : RARELY_MS);
    if (this.#tries !== TRIES_MAX + 1) return;
    this.#host.giveUp(`what it pushes from offset ${endOffset} on keeps failing its checksums`);
  }

  /** Time has passed. */
  tick(): void {
    if (this.#dueMs === null && this.#askedMs === null) return;
    const nowMs = this.#host.nowMs();
    if (this.#host.endOffset() !== this.#endOffset) {
      this.#dueMs = null;
      this.#askedMs = null;
    } else if (this.#dueMs !== null) {
      if (nowMs >= this.#dueMs) this.#ask();
    } else if (this.#askedMs !== null && nowMs - this.#askedMs >= ANSWER_MS) {
      this.failed(this.#leaderEpoch);
    }
  }

  #ask(): void {
    this.#dueMs = null;
    this.#askedMs = this.#host.nowMs();
    this.#host.ask();
  }
}
