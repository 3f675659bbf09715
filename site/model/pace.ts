/**
 * When each frame of a run is shown, and where a message is between two of them. Virtual time is
 * stretched so that a message can be followed, pauses in which nothing moves are cut short, and
 * what is said first is read first. Pure.
 */
import type { Frame } from '../stage/picture.ts';

/** Milliseconds shown for one of virtual time. */
const STRETCH = 28;
const STEP_MS_MIN = 60;
const STEP_MS_MAX = 1_400;
/** Where nothing is on its way. */
const PAUSE_MS_MAX = 500;
const READ_MS_MIN = 1_500;
const READ_MS_MAX = 9_000;
const READ_MS_PER_LETTER = 32;

export interface Pace {
  /** When a frame is first shown. */
  readonly startMs: readonly number[];
  /** For so long it stands still, to be read. */
  readonly holdMs: readonly number[];
  readonly totalMs: number;
  /** By key of a message: its first frame, and the first one without it. */
  readonly spans: ReadonlyMap<number, readonly (readonly [number, number])[]>;
}

/** @param lettersOf of what is said with a block */
export function paceOf(frames: readonly Frame[], lettersOf: (block: number) => number): Pace {
  const startMs: number[] = [];
  const holdMs: number[] = [];
  let nowMs = 0;
  for (const [at, frame] of frames.entries()) {
    startMs.push(nowMs);
    const isNew = frame.block !== frames[at - 1]?.block;
    const letters = isNew ? lettersOf(frame.block) : 0;
    const readMs = Math.min(READ_MS_MAX, READ_MS_MIN + READ_MS_PER_LETTER * letters);
    const hold = isNew && letters > 0 ? readMs : 0;
    holdMs.push(hold);
    const next = frames[at + 1];
    const passedMs = ((next?.atMs ?? frame.atMs) - frame.atMs) * STRETCH;
    const isMoving = frame.panels.some(({ flights }) => flights.length > 0);
    const most = isMoving ? STEP_MS_MAX : PAUSE_MS_MAX;
    // Also where no time passes: each frame is one step, there and back.
    nowMs += hold + Math.max(STEP_MS_MIN, Math.min(most, passedMs));
  }
  return { startMs, holdMs, totalMs: nowMs, spans: spansOf(frames) };
}

function spansOf(frames: readonly Frame[]): Pace['spans'] {
  const spans = new Map<number, [number, number][]>();
  for (const [at, { panels }] of frames.entries())
    for (const [panel, { flights }] of panels.entries())
      for (const { key } of flights) {
        const list = spans.get(key) ?? [];
        spans.set(key, list);
        const span = (list[panel] ??= [at, at + 1]);
        span[1] = at + 1;
      }
  return spans;
}

/** The last frame that is shown by then. */
export function frameAt({ startMs }: Pace, shownMs: number): number {
  let low = 0;
  let high = startMs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((startMs[middle] ?? 0) <= shownMs) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** How far between its frame and the next one the picture is, from 0 to 1. */
export function shareAt(pace: Pace, frame: number, shownMs: number): number {
  const from = (pace.startMs[frame] ?? 0) + (pace.holdMs[frame] ?? 0);
  const to = pace.startMs[frame + 1] ?? pace.totalMs;
  return to <= from ? 0 : Math.min(1, Math.max(0, (shownMs - from) / (to - from)));
}

/** How far a message has come, from 0 to 1. */
export function progressOf(
  { spans }: Pace,
  frames: readonly Frame[],
  flight: { readonly panel: number; readonly key: number },
  moment: { readonly frame: number; readonly share: number },
): number {
  const span = spans.get(flight.key)?.[flight.panel];
  if (span === undefined) return 0;
  const timeOf = (at: number): number => frames[Math.min(at, frames.length - 1)]?.atMs ?? 0;
  const [first, last] = span;
  const now = timeOf(moment.frame);
  const nowMs = now + moment.share * (timeOf(moment.frame + 1) - now);
  const whole = timeOf(last) - timeOf(first);
  return whole === 0 ? 0.5 : Math.min(1, Math.max(0, (nowMs - timeOf(first)) / whole));
}
