/**
 * How much of what producers send may be under way at a broker at one time, so that one that sends
 * as fast as it is answered does not stand before all others (docs/rules.md#fair-shares). Bytes are
 * *under way* from the moment when they are given to their partition until they are answered. Must
 * not know how a producer is made to wait, nor what is in a batch.
 *
 * While one producer is alone nothing is limited. While there are others, each has a window of its
 * own. It grows for as long as appends take hardly longer than one takes by itself, and falls when
 * they take half as long again: then what is under way waits in a queue, and so does everybody else
 * (after TCP Vegas, 1995). So the queue is short whatever an append takes, here
 * or beside followers far away, and those that want more are given windows for
 * the same rate. A producer with nothing under way may always begin one batch: nobody starves, and
 * a calm one never waits for its turn.
 *
 * What an append takes by itself is the median of times that were seen while little was under way:
 * all windows are narrow for a moment every few seconds, so that there are such times.
 */
import type { MonotonicMs } from '../../base/units.ts';

/** Least window: of a group of producers, see {@link FairShares.join}. */
export const WINDOW_BYTES_MIN = 64 * 1024;
const WINDOW_BYTES_MAX = 1024 * 1024 * 1024;
/** Least window of one of many producers of a group. */
const PART_BYTES_MIN = 16 * 1024;
/** Pause between changes of a window. */
const TURN_MS = 100;
/** An append that takes so many times what one takes by itself lets a window grow, or fall. */
const GROW_BELOW = 1.1;
const FALL_ABOVE = 1.3;
/** A window grows by so much and by a part of itself, and falls to a part of itself. */
const GROW_BYTES = 16 * 1024;
const GROW_PART = 1 / 16;
const FALL_TO = 3 / 4;
/** A producer counts from its last append, and as one that wants more, for so long. */
const ACTIVE_MS = 1_000;
/** Pause between looks at who is there. */
const LOOK_MS = 50;
/** Pause between times in which windows are narrow. */
const PROBE_EVERY_MS = 5_000;
/** Answers that end such a time, or one after so long. */
const PROBE_ANSWERS = 9;
const PROBE_MS_MAX = 1_000;
/** With more under way an append does not count as one by itself. */
const PROBE_BYTES_MAX = WINDOW_BYTES_MIN / 2;
/**
 * A batch that is unanswered for longer, or for four times as long as one takes by itself, waits
 * for something else than its turn, as for a follower that is gone: it holds nobody up.
 */
const LATE_MS = 500;
const LATE_TIMES = 4;

/** A batch that is under way. */
export interface Started {
  readonly bytes: number;
  readonly startedMs: MonotonicMs;
  /** Little was under way with it. */
  readonly isClean: boolean;
  state: 'counted' | 'late' | 'answered';
}

/** One producer. Changed by {@link FairShares} alone. */
export interface Flow {
  readonly group: string | null;
  /** Under way, without what is late. */
  bytes: number;
  lateBytes: number;
  /** Unanswered, oldest first; answered ones stay until they are the oldest. */
  started: Started[];
  activeMs: MonotonicMs;
  /** It last had more than half of its window under way. */
  fullMs: MonotonicMs;
  /** What an append takes by itself; 0: not known. */
  ownMs: number;
  /** Of a group that has no other. */
  windowBytes: number;
  /** A batch of its waits for room in its window. */
  isHeldBack: boolean;
  /** Since its window last had a chance to change. */
  readonly turn: { sinceMs: MonotonicMs; tookMs: number; answers: number };
  readonly probe: { number: number; sinceMs: MonotonicMs; tookMs: number[] };
}

/** How producers stand to each other now. */
export interface ShareTotals {
  /** That have appends under way, or had a moment ago. */
  readonly active: number;
  /** Of which a batch waits for its turn. */
  readonly heldBack: number;
  readonly underWayBytes: number;
  /** The least of them; 0: none has one, since one is alone, or nobody. */
  readonly windowBytes: number;
  /** Times that a batch had to wait for its turn, since the broker started. */
  readonly holds: number;
}

export class FairShares {
  readonly #flows = new Set<Flow>();
  #holds = 0;
  #isShared = false;
  #lookAtMs: MonotonicMs = Number.NEGATIVE_INFINITY;
  readonly #wantingOf = new Map<string, number>();
  #probeNumber = 0;
  #probeAtMs: MonotonicMs = Number.NEGATIVE_INFINITY;
  /**
   * A producer that comes in.
   *
   * @param group those of one group share a part; null: it has a part to itself
   */
  join(group: string | null): Flow {
    const flow: Flow = {
      ...{ group, bytes: 0, lateBytes: 0, started: [] },
      activeMs: Number.NEGATIVE_INFINITY,
      fullMs: Number.NEGATIVE_INFINITY,
      ownMs: 0,
      windowBytes: WINDOW_BYTES_MIN,
      isHeldBack: false,
      turn: { sinceMs: 0, tookMs: 0, answers: 0 },
      probe: { number: 0, sinceMs: 0, tookMs: [] },
    };
    this.#flows.add(flow);
    return flow;
  }

  /** What it has under way may be answered later. */
  leave(flow: Flow): void {
    this.#flows.delete(flow);
  }

  /** Whether a batch of so many bytes may begin now. One alone always may. */
  mayStart(nowMs: MonotonicMs, flow: Flow, bytes: number): boolean {
    this.#age(nowMs, flow);
    if (flow.bytes === 0 || flow.bytes + bytes <= this.windowBytes(nowMs, flow)) return true;
    flow.fullMs = nowMs;
    // It is asked about again with each answer.
    if (!flow.isHeldBack) this.#holds += 1;
    flow.isHeldBack = true;
    return false;
  }

  totals(nowMs: MonotonicMs): ShareTotals {
    const active = [...this.#flows].filter((flow) => isActive(nowMs, flow));
    const windows = active.map((flow) => this.windowBytes(nowMs, flow));
    const least = Math.min(...windows);
    return {
      active: active.length,
      heldBack: active.filter(({ isHeldBack }) => isHeldBack).length,
      underWayBytes: active.reduce((sum, { bytes }) => sum + bytes, 0),
      windowBytes: Number.isFinite(least) ? Math.floor(least) : 0,
      holds: this.#holds,
    };
  }

  /** Milliseconds after which {@link mayStart} may be true although nothing was answered. */
  waitMs(nowMs: MonotonicMs, flow: Flow): number {
    this.#age(nowMs, flow);
    const [oldest] = flow.started;
    return oldest === undefined ? 0 : Math.max(1, oldest.startedMs + lateMs(flow) - nowMs);
  }

  start(nowMs: MonotonicMs, flow: Flow, bytes: number): Started {
    // The first one beside another is not to wait for the next look.
    if (!this.#isShared && nowMs - flow.activeMs >= ACTIVE_MS)
      this.#lookAtMs = Number.NEGATIVE_INFINITY;
    flow.activeMs = nowMs;
    flow.isHeldBack = false;
    flow.bytes += bytes;
    const isClean = this.#isClean(nowMs, flow, bytes);
    if (flow.bytes > this.windowBytes(nowMs, flow) / 2) flow.fullMs = nowMs;
    const started: Started = { bytes, startedMs: nowMs, isClean, state: 'counted' };
    flow.started.push(started);
    return started;
  }

  answered(nowMs: MonotonicMs, flow: Flow, started: Started): void {
    if (started.state === 'answered') return;
    if (started.state === 'late') flow.lateBytes -= started.bytes;
    else flow.bytes -= started.bytes;
    started.state = 'answered';
    this.#age(nowMs, flow);
    if (!this.#isShared) return;
    if (this.#isProbing(nowMs, flow)) this.#learn(nowMs, flow, started);
    else this.#adapt(nowMs, flow, started);
  }

  /** It had most of its window under way a moment ago. */
  isWanting(nowMs: MonotonicMs, flow: Flow): boolean {
    return nowMs - flow.fullMs < ACTIVE_MS;
  }

  /** Bytes that it may have under way; Infinity: any number. */
  windowBytes(nowMs: MonotonicMs, flow: Flow): number {
    this.#look(nowMs);
    if (!this.#isShared) return Number.POSITIVE_INFINITY;
    const { group } = flow;
    const parts = group === null ? 1 : Math.max(1, this.#wantingOf.get(group) ?? 0);
    const least = Math.max(PART_BYTES_MIN, WINDOW_BYTES_MIN / parts);
    if (this.#isProbing(nowMs, flow)) return Math.min(least, PROBE_BYTES_MAX);
    return Math.max(least, flow.windowBytes / parts);
  }

  /** Those that count no more. */
  #age(nowMs: MonotonicMs, flow: Flow): void {
    const lateAt = nowMs - lateMs(flow);
    let done = 0;
    for (const started of flow.started) {
      if (started.state !== 'answered' && started.startedMs > lateAt) break;
      if (started.state === 'counted') {
        started.state = 'late';
        flow.bytes -= started.bytes;
        flow.lateBytes += started.bytes;
      }
      done += 1;
    }
    if (done > 0) flow.started = flow.started.slice(done);
  }

  #look(nowMs: MonotonicMs): void {
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + LOOK_MS;
    const groups = new Set<Flow | string>();
    this.#wantingOf.clear();
    for (const flow of this.#flows) {
      if (!isActive(nowMs, flow)) continue;
      groups.add(flow.group ?? flow);
      if (flow.group !== null && this.isWanting(nowMs, flow))
        this.#wantingOf.set(flow.group, (this.#wantingOf.get(flow.group) ?? 0) + 1);
    }
    const wasShared = this.#isShared;
    this.#isShared = groups.size > 1;
    if (!this.#isShared || (wasShared && nowMs < this.#probeAtMs)) return;
    // What was learned while one was alone says nothing of now.
    if (wasShared) this.#even(nowMs);
    else for (const flow of this.#flows) flow.windowBytes = WINDOW_BYTES_MIN;
    this.#probeAtMs = nowMs + PROBE_EVERY_MS;
    this.#probeNumber += 1;
  }

  /** Windows that are steady need not be alike: those that want more get the like, as rates. */
  #even(nowMs: MonotonicMs): void {
    const wanting = [...this.#flows].filter(
      (flow) => flow.ownMs > 0 && this.isWanting(nowMs, flow),
    );
    const rates = wanting.reduce((sum, { windowBytes, ownMs }) => sum + windowBytes / ownMs, 0);
    for (const flow of wanting)
      flow.windowBytes = Math.max(WINDOW_BYTES_MIN, (rates / wanting.length) * flow.ownMs);
  }

  #isProbing(nowMs: MonotonicMs, flow: Flow): boolean {
    const { probe } = flow;
    if (probe.number !== this.#probeNumber)
      Object.assign(probe, { number: this.#probeNumber, sinceMs: nowMs, tookMs: [] });
    const { length } = probe.tookMs;
    if (length >= PROBE_ANSWERS) return false;
    return length === 0 || nowMs - probe.sinceMs < PROBE_MS_MAX;
  }

  /** After a while of a probe whoever has none but large batches is asked for those. */
  #isClean(nowMs: MonotonicMs, { bytes, lateBytes, probe }: Flow, ownBytes: number): boolean {
    const isAlone = bytes + lateBytes === ownBytes && nowMs - probe.sinceMs > PROBE_MS_MAX / 2;
    return isAlone || bytes + lateBytes <= PROBE_BYTES_MAX;
  }

  #learn(nowMs: MonotonicMs, flow: Flow, { isClean, startedMs }: Started): void {
    const { probe } = flow;
    // What began before the windows were narrow had others before it.
    if (!isClean || startedMs < probe.sinceMs) return;
    probe.tookMs.push(nowMs - startedMs);
    probe.tookMs.sort((a, b) => a - b);
    flow.ownMs = probe.tookMs[Math.floor((probe.tookMs.length - 1) / 2)] ?? 0;
    flow.turn.sinceMs = nowMs;
  }

  #adapt(nowMs: MonotonicMs, flow: Flow, { startedMs }: Started): void {
    const { turn } = flow;
    if (startedMs < turn.sinceMs) return;
    turn.tookMs += nowMs - startedMs;
    turn.answers += 1;
    if (nowMs - turn.sinceMs < TURN_MS) return;
    const times = turn.tookMs / turn.answers / flow.ownMs;
    Object.assign(turn, { sinceMs: nowMs, tookMs: 0, answers: 0 });
    if (times > FALL_ABOVE)
      flow.windowBytes = Math.max(WINDOW_BYTES_MIN, flow.windowBytes * FALL_TO);
    else if (times < GROW_BELOW && this.isWanting(nowMs, flow))
      flow.windowBytes = Math.min(
        WINDOW_BYTES_MAX,
        flow.windowBytes * (1 + GROW_PART) + GROW_BYTES,
      );
  }
}

function isActive(nowMs: MonotonicMs, { bytes, activeMs }: Flow): boolean {
  return bytes > 0 || nowMs - activeMs < ACTIVE_MS;
}

function lateMs({ ownMs }: Flow): number {
  return Math.max(LATE_MS, LATE_TIMES * ownMs);
}
