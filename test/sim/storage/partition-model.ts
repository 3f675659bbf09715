/**
 * What a partition's log must hold after a stop, given what was asked of it and what was answered.
 * Changes are carried out in the order in which they were asked, so what a crash may leave is the
 * state after some of the unanswered ones, the last of them in part.
 */
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { EpochStart } from '../../../broker/replication/types.ts';
import type { TestFrame } from '../../fixtures/frames.ts';

export type Change =
  | { readonly kind: 'append'; readonly frames: readonly TestFrame[] }
  | { readonly kind: 'truncate'; readonly offset: number }
  | { readonly kind: 'reset'; readonly offset: number; readonly epoch: number }
  | { readonly kind: 'retire'; readonly offset: number; readonly epoch: number };

/** A log: its start, the epoch of what was before it, and the frames from there on. */
export interface LogContent {
  readonly start: number;
  readonly startEpoch: number;
  readonly frames: readonly TestFrame[];
}

/** What a start found, and every frame as it was read. */
export interface FoundLog extends LogContent {
  readonly end: number;
  readonly epochs: readonly EpochStart[];
  readonly highWaterMark: number;
  readonly syncedOffset: number;
  readonly damageFrom: number | null;
  readonly snapshot: { readonly offset: number; readonly text: string } | null;
  readonly headers: readonly BatchHeader[];
}

/** `kept`: everything answered is there. `lost`: everything below the synced offset is. */
export type Stop = 'kept' | 'lost';

export function endOf(frame: TestFrame): number {
  return frame.header.baseOffset + frame.header.lastOffsetDelta + 1;
}

export function endOfLog({ start, frames }: LogContent): number {
  const last = frames.at(-1);
  return last === undefined ? start : endOf(last);
}

/** Names the content below an offset, for snapshots: a frame's timestamp is its own alone. */
export function nameOfContent({ frames }: LogContent, offset: number): string {
  const last = frames.findLast((frame) => endOf(frame) <= offset);
  return last === undefined ? 'empty' : String(last.header.maxTimestampMs);
}

function apply(log: LogContent, change: Change): LogContent {
  const { frames } = log;
  switch (change.kind) {
    case 'append':
      return { ...log, frames: [...frames, ...change.frames] };
    case 'truncate':
      return { ...log, frames: frames.filter((frame) => endOf(frame) <= change.offset) };
    case 'reset':
      return { start: change.offset, startEpoch: change.epoch, frames: [] };
    case 'retire':
      return change.offset <= log.start ? log : above(log, change);
  }
}

function above(
  { frames }: LogContent,
  { offset, epoch }: { readonly offset: number; readonly epoch: number },
): LogContent {
  const kept = frames.filter((frame) => endOf(frame) > offset);
  return { start: offset, startEpoch: epoch, frames: kept };
}

const EMPTY: LogContent = { start: 0, startEpoch: 0, frames: [] };

/** One partition. */
export class PartitionModel {
  /** After every answered change. */
  settled = EMPTY;
  /** Asked and not answered, in order. */
  pending: Change[] = [];
  /** Highest offset that was said to be synced, less what was taken away since. */
  syncedOffset = 0;
  epoch = 1;
  /** Highest that was noted, less what was taken away since. */
  highWaterMarkMax = 0;
  /**
   * The log before each retirement that is not durable yet, for want of space: what they took away
   * may come back.
   */
  #softRetired: LogContent[] = [];
  /** It is being deleted: a start finds it as it was, or empty. */
  isDeleting = false;
  /**
   * What it begins with is gone, and every start says so until a reset or a retirement passes it.
   */
  isHeadless = false;

  /** After every change that was asked. */
  get asked(): LogContent {
    return this.pending.reduce(apply, this.settled);
  }

  get isQuiet(): boolean {
    return this.pending.length === 0;
  }

  /**
   * Everything below survives power loss. What a change takes away is promised no more from the
   * moment it is asked.
   */
  get floor(): number {
    let floor = this.syncedOffset;
    for (const change of this.pending) {
      if (change.kind === 'truncate') floor = Math.min(floor, change.offset);
      if (change.kind === 'reset') floor = 0;
    }
    return floor;
  }

  ask(change: Change): void {
    this.pending.push(change);
  }

  /** Returns a fault when an earlier change has not been answered yet. */
  answer(change: Change, isSoft = false): string | null {
    if (this.pending[0] !== change)
      return `${change.kind} was answered before what was asked first`;
    this.pending.shift();
    const { kind } = change;
    // A reset is never put off.
    if (kind === 'retire' || kind === 'reset')
      this.#softRetired = kind === 'retire' && isSoft ? [...this.#softRetired, this.settled] : [];
    this.settled = apply(this.settled, change);
    const isStarted = kind === 'reset' || kind === 'retire';
    if (isStarted && this.settled.start === change.offset) this.isHeadless = false;
    if (kind === 'truncate') {
      this.syncedOffset = Math.min(this.syncedOffset, change.offset);
      this.highWaterMarkMax = Math.min(this.highWaterMarkMax, change.offset);
    }
    if (kind === 'reset') {
      this.syncedOffset = change.offset;
      this.highWaterMarkMax = change.offset;
    }
    return null;
  }

  /** The change was refused, and left the log as it was. */
  refuse(change: Change): void {
    this.pending = this.pending.filter((other) => other !== change);
  }

  /**
   * The log says that everything below `offset` is synced. Returns a fault when it never was that
   * long.
   */
  noteSynced(offset: number): string | null {
    this.syncedOffset = Math.max(this.syncedOffset, offset);
    let log = this.settled;
    let end = endOfLog(log);
    for (const change of this.pending) {
      log = apply(log, change);
      end = Math.max(end, endOfLog(log));
    }
    return offset <= end ? null : `${offset} is said to be synced, the log ends at ${end}`;
  }

  /** The partition was deleted: it begins anew. */
  forget(): void {
    this.settled = EMPTY;
    this.pending = [];
    this.syncedOffset = 0;
    this.highWaterMarkMax = 0;
    this.isHeadless = false;
    this.isDeleting = false;
    this.#softRetired = [];
  }

  /**
   * Compares what a start found. Returns a fault, or null, and then goes on from what was found.
   */
  find(found: FoundLog, stop: Stop): string | null {
    const contentFault = this.#findAny(found, stop);
    // An empty log at 0 may also be the one that was there, with an epoch before its start: only
    // what is not that one was made anew.
    if (this.isDeleting && contentFault !== null && found.start === 0 && found.end === 0) {
      this.forget();
      return this.find(found, stop);
    }
    this.isDeleting = false;
    const fault = contentFault ?? faultOfState(found, this.highWaterMarkMax);
    if (fault !== null) return fault;
    const { start, startEpoch, frames, damageFrom } = found;
    this.isHeadless = damageFrom !== null && damageFrom < start;
    this.settled = { start, startEpoch, frames };
    this.pending = [];
    this.#softRetired = [];
    this.syncedOffset = found.syncedOffset;
    this.highWaterMarkMax = found.highWaterMark;
    return null;
  }

  /** Null if it is as it must be, or as it was before retirements that are not durable. */
  #findAny(found: FoundLog, stop: Stop): string | null {
    const now = this.settled;
    const fault = this.#findContent(found, stop);
    if (fault === null) return null;
    // Backwards: what was appended between two retirements went with the second one alone.
    let log = now;
    for (const { start, startEpoch, frames } of this.#softRetired.toReversed()) {
      const { start: end } = log;
      const below = frames.filter((frame) => endOf(frame) <= end);
      log = { start, startEpoch, frames: [...below, ...log.frames] };
      this.settled = log;
      if (this.#findContent(found, stop) === null) return null;
    }
    this.settled = now;
    return fault;
  }

  #findContent(found: FoundLog, stop: Stop): string | null {
    return this.#faultOfDamage(found, stop) ?? this.#faultOfContent(found, stop);
  }

  #faultOfDamage(found: FoundLog, stop: Stop): string | null {
    if (this.isHeadless && found.damageFrom !== null && found.damageFrom < found.start) return null;
    if (stop === 'kept' && found.damageFrom !== null && found.damageFrom < found.end)
      return `damage is reported from ${found.damageFrom} on, and there is none`;
    // Below its start the log holds nothing: what is missing there is missed by nobody.
    if (found.damageFrom !== null && Math.max(found.damageFrom, found.start) < this.floor)
      return `damage is reported from ${found.damageFrom} on, below the synced offset ${this.floor}`;
    return null;
  }

  #faultOfContent(found: FoundLog, stop: Stop): string | null {
    let log = this.settled;
    const tried: string[] = [];
    for (const change of [...this.pending, null]) {
      const fault = this.#compare(found, log, change, stop);
      if (fault === null) return null;
      tried.push(`${fault} (${change === null ? 'all' : `up to ${change.kind}`})`);
      if (change !== null) log = apply(log, change);
    }
    return tried.join('; ');
  }

  /** Whether the found log is `log`, or on the way from there to what `change` makes of it. */
  #compare(found: FoundLog, log: LogContent, change: Change | null, stop: Stop): string | null {
    const whole = change?.kind === 'append' ? apply(log, change) : log;
    let from = whole;
    let endMin = endOfLog(log);
    if (change?.kind === 'truncate') endMin = Math.min(endMin, change.offset);
    const isOld = found.start === log.start && found.startEpoch === log.startEpoch;
    const isStart = change?.kind === 'retire' || change?.kind === 'reset';
    if (isStart && found.start === change.offset && !isOld) {
      from = above(whole, change);
      if (change.kind === 'reset') endMin = change.offset;
    }
    if (stop === 'lost') endMin = Math.min(endMin, Math.max(this.floor, from.start));
    // Names reach the disk in any order: a later segment may be there and the first one not, which
    // is told.
    const isToldHeadless = found.damageFrom !== null && found.damageFrom <= from.start;
    if (stop === 'lost' && isToldHeadless && this.floor <= from.start && found.start > from.start)
      from = {
        ...found,
        frames: from.frames.filter(({ header }) => header.baseOffset >= found.start),
      };
    if (found.start === from.start && found.startEpoch !== from.startEpoch)
      return `the epoch before the start is ${found.startEpoch}, must be ${from.startEpoch}`;
    if (found.start !== from.start) return `log start is ${found.start}, must be ${from.start}`;
    if (found.end < endMin) return `log ends at ${found.end}, must reach ${endMin}`;
    return faultOfFrames(found, from);
  }
}

function faultOfFrames(found: FoundLog, log: LogContent): string | null {
  for (const [index, frame] of found.frames.entries()) {
    const expected = log.frames[index];
    if (expected === undefined)
      return `the frame at ${frame.header.baseOffset} was never there, the log ended at ${endOfLog(log)}`;
    if (Buffer.compare(frame.bytes, expected.bytes) !== 0)
      return `the frame at ${frame.header.baseOffset} of epoch ${frame.header.leaderEpoch} is another than the one of epoch ${expected.header.leaderEpoch} at ${expected.header.baseOffset}`;
  }
  const end = endOfLog(found);
  return end === found.end ? null : `log end is ${found.end}, its frames end at ${end}`;
}

/** What the answer says beside the bytes must follow from the bytes. */
function faultOfState(found: FoundLog, highWaterMarkMax: number): string | null {
  const epochs: EpochStart[] = [];
  for (const { header } of found.frames)
    if (header.leaderEpoch > (epochs.at(-1)?.epoch ?? 0))
      epochs.push({
        epoch: header.leaderEpoch,
        startOffset: Math.max(header.baseOffset, found.start),
      });
  if (JSON.stringify(epochs) !== JSON.stringify(found.epochs))
    return `epochs are ${JSON.stringify(found.epochs)}, the frames say ${JSON.stringify(epochs)}`;
  const { highWaterMark, snapshot } = found;
  if (highWaterMark < found.start || highWaterMark > found.end)
    return `high-water mark ${highWaterMark} is outside of ${found.start} to ${found.end}`;
  if (highWaterMark > Math.max(highWaterMarkMax, found.start))
    return `high-water mark ${highWaterMark} is above ${highWaterMarkMax}, the highest noted for this log`;
  if (found.syncedOffset > found.end)
    return `synced offset ${found.syncedOffset} is above the end ${found.end}`;
  // What named the content at the log start went with a retirement.
  const isNamed = snapshot !== null && snapshot.offset > found.start;
  if (isNamed && snapshot.text !== nameOfContent(found, snapshot.offset))
    return `the snapshot of ${snapshot.offset} is of frame ${snapshot.text}, not of this log`;
  const expected = found.frames
    .filter((frame) => endOf(frame) > (snapshot?.offset ?? found.start))
    .map(({ header }) => header.baseOffset);
  const headers = found.headers.map(({ baseOffset }) => baseOffset);
  if (JSON.stringify(headers) !== JSON.stringify(expected))
    return `headers of ${headers.join()} are given, must be ${expected.join()}`;
  return null;
}
