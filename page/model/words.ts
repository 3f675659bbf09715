/** Numbers and sentences as people read them. Pure. */
import type { LagSeen, MoveSeen, Snapshot } from '../snapshot.ts';

/** Beside the colour of a level. */
export const LEVEL_WORDS: Readonly<
  Record<Snapshot['level'], { readonly sign: string; readonly word: string }>
> = {
  ok: { sign: '✓', word: 'sound' },
  degraded: { sign: '!', word: 'degraded' },
  failing: { sign: '×', word: 'failing' },
};

const STEP = 1_024;
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const SECOND_MS = 1_000;
const MINUTE_S = 60;

/** `3 brokers`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `1.5 MiB`. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= STEP && unit < UNITS.length - 1) [value, unit] = [value / STEP, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** Records per second. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return '–';
  return perSecond > 0 && perSecond < 1 ? '<1' : Math.round(perSecond).toLocaleString('en');
}

/** `2.8 ms`, `45 ms`, `1.4 s`: classes of times are no more exact. */
export function latencyText(durationMs: number | null): string {
  if (durationMs === null) return '–';
  if (durationMs >= SECOND_MS) return `${(durationMs / SECOND_MS).toFixed(1)} s`;
  return `${durationMs < 10 ? durationMs.toFixed(1) : Math.round(durationMs)} ms`;
}

/** `2 s`, `3 min`. */
export function durationText(durationMs: number): string {
  const seconds = Math.round(durationMs / SECOND_MS);
  if (seconds < MINUTE_S) return `${seconds} s`;
  return `${Math.round(seconds / MINUTE_S)} min`;
}

/** What is left of a move. */
export function moveText({ bytesLeft, etaMs, stalled }: MoveSeen): string {
  if (stalled !== '') return `stalled: ${stalled}`;
  const left = bytesLeft === null ? 'unknown' : bytesText(bytesLeft);
  return etaMs === null ? left : `${left}, about ${durationText(etaMs)}`;
}

/** How far a group is behind in a topic. */
export function lagText({ records, ageMs, isLeast, unknown }: Omit<LagSeen, 'topic'>): string {
  const age = `${isLeast ? 'more than ' : ''}${durationText(ageMs)}`;
  const offsets = `${records.toLocaleString('en')} offset${records === 1 ? '' : 's'}`;
  const known = records === 0 ? 'nothing' : `${offsets}, for ${age}`;
  return unknown === 0 ? known : `${known}; ${counted(unknown, 'partition')} not known`;
}

/** Where there is no topic. */
export function nextWords(): string {
  return 'No topics yet: npx tidemark topic create orders --partitions 3 --replication-factor 3';
}
