/**
 * What a leader knows of one other replica. Pure.
 *
 * Three states. `probe`: where the logs part is not known; one append at a time. `replicate`: they
 * agree up to `matchIndex`; appends are pipelined, at most `inflightAppendsMax` unanswered.
 * `snapshot`: the entries it needs are gone; chunks go one at a time.
 */
import { assert } from '../../base/assert.ts';
import type { Peer, Snapshot } from './types.ts';

/** A snapshot being sent: `offset` units of its data have arrived. */
export interface Transmission {
  readonly snapshot: Snapshot;
  offset: number;
  sentAt: number;
}

export class Progress {
  readonly peer: Peer;
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** Its log is durable and equal to ours up to here. Never falls within one leadership. */
  matchIndex = 0;
  /** First entry not sent yet. Always above matchIndex. */
  nextIndex: number;
  /** Commit index that it was told last. */
  commitSent = 0;
  /** Incarnation that stated matchIndex. */
  matchIncarnation = 0;
  /** Last heartbeat round that it answered. */
  ackedRound = 0;
  /** Tick of its last answer. */
  heardAt: number;
  transmission: Transmission | null = null;
  #isProbeUnanswered = false;
  /** Last index of each unanswered append, ascending. */
  #inflight: number[] = [];

  constructor(peer: Peer, nextIndex: number, now: number) {
    this.peer = peer;
    this.nextIndex = Math.max(1, nextIndex);
    this.heardAt = now;
  }

  /** True when another append with entries may leave. */
  canSend(inflightAppendsMax: number): boolean {
    if (this.state === 'probe') return !this.#isProbeUnanswered;
    return this.state === 'replicate' && this.#inflight.length < inflightAppendsMax;
  }

  /** An append with entries up to `lastIndex` left. */
  sent(lastIndex: number): void {
    assert(
      lastIndex >= this.nextIndex,
      `append up to ${lastIndex} does not reach next index ${this.nextIndex}`,
    );
    if (this.state === 'probe') {
      this.#isProbeUnanswered = true;
      return;
    }
    this.#inflight.push(lastIndex);
    this.nextIndex = lastIndex + 1;
  }

  /** It holds our log up to `matchIndex`. Returns true when that is news. */
  accepted(matchIndex: number, incarnation: number): boolean {
    const isNews = matchIndex > this.matchIndex;
    if (isNews) {
      this.matchIndex = matchIndex;
      this.matchIncarnation = incarnation;
    }
    this.#inflight = this.#inflight.filter((lastIndex) => lastIndex > this.matchIndex);
    if (this.state === 'probe' && this.matchIndex >= this.nextIndex - 1) this.#enter('replicate');
    if (this.transmission !== null && this.matchIndex >= this.transmission.snapshot.index)
      this.#enter('replicate');
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1);
    return isNews;
  }

  /**
   * It lacks `rejectedIndex`; our logs may part after `hintIndex`. Returns false for an answer that
   * later ones have overtaken.
   */
  rejected(rejectedIndex: number, hintIndex: number): boolean {
    if (this.state === 'snapshot' || rejectedIndex <= this.matchIndex) return false;
    if (this.state === 'probe' && rejectedIndex !== this.nextIndex - 1) return false;
    this.probeFrom(Math.min(hintIndex + 1, rejectedIndex));
    return true;
  }

  /**
   * True when a later start of it has lost entries that an earlier one stated to be on disk: the
   * disk was rolled back.
   */
  hasForgotten(lastIndex: number, incarnation: number): boolean {
    return lastIndex < this.matchIndex && incarnation > this.matchIncarnation;
  }

  /** Forgets what is under way and asks again from `nextIndex`. */
  probeFrom(nextIndex: number): void {
    this.#enter('probe');
    this.nextIndex = Math.max(this.matchIndex + 1, nextIndex);
  }

  /** Starts sending `snapshot`. */
  transmit(snapshot: Snapshot, now: number): Transmission {
    this.#enter('snapshot');
    this.transmission = { snapshot, offset: 0, sentAt: now };
    return this.transmission;
  }

  #enter(state: 'probe' | 'replicate' | 'snapshot'): void {
    this.state = state;
    this.#isProbeUnanswered = false;
    this.#inflight = [];
    this.transmission = null;
  }
}
