/**
 * Text of the open records of a queue: a run for each stretch of offsets of one kind, one number of
 * deliveries and one due time. So a window of 2,000 records takes a few bytes where it is even, and
 * at most about 16 KiB where no two are alike, and a person can still read it.
 *
 * A run is `+gap KIND deliveries *length @due`, without spaces, each number to base 36: offsets
 * skipped since the run before unless 0, the kind's letter, `deliveries` unless 0, `length` unless
 * 1, and `due` unless now, in tenths of a second since `base`.
 */
import { assert } from '../../base/assert.ts';
import { refuseValue } from '../../base/shape.ts';
import type { LeaderEpoch, Offset, WallMs } from '../../base/units.ts';

/** Due times are whole multiples of it, ms. */
export const DUE_STEP_MS = 100;
/** Records of one text: more are of no honest writer. */
const RECORDS_MAX = 100_000;

/** What an open record is; `final` in a change takes it away. */
export type OpenKind = 'waiting' | 'leased' | 'dying' | 'parked';
export type StoredKind = OpenKind | 'final';

/** One record of a state or of a change. */
export interface StoredEntry {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  readonly kind: StoredKind;
  readonly deliveries: number;
  /** Not before then; 0: now. */
  readonly dueMs: WallMs;
}

/** From each offset on the records are of this epoch. */
export type Epochs = readonly (readonly [Offset, LeaderEpoch])[];

/** The same as it stands in a record. */
export interface Runs {
  readonly base: WallMs;
  readonly epochs: Epochs;
  readonly runs: string;
}

const LETTERS: Readonly<Record<StoredKind, string>> = {
  waiting: 'W',
  leased: 'L',
  dying: 'D',
  parked: 'P',
  final: 'F',
};
const KINDS: ReadonlyMap<string, StoredKind> = new Map(
  Object.entries(LETTERS).map(([kind, text]) => [text, kind as StoredKind]),
);
const RUN = String.raw`(?:\+([0-9a-z]+))?([A-Z])([0-9a-z]*)(?:\*([0-9a-z]+))?(?:@([0-9a-z]+))?`;

/** @param entries by offset, each offset once */
export function writeRuns(entries: readonly StoredEntry[]): Runs {
  const dues = entries.filter(({ dueMs }) => dueMs > 0).map(({ dueMs }) => dueMs);
  const base = dues.length === 0 ? 0 : dues.reduce((least, due) => Math.min(least, due));
  const epochs: [Offset, LeaderEpoch][] = [];
  let runs = '';
  let end = 0;
  for (let at = 0; at < entries.length; ) {
    const first = entries[at]!;
    const { offset, kind, deliveries, dueMs } = first;
    assert(offset >= end, `offset ${String(offset)} comes behind ${String(end)}`);
    let length = 0;
    for (let next: StoredEntry | undefined = first; next !== undefined; next = entries[at]) {
      if (next.offset !== offset + length || !isAlike(next, first)) break;
      if (next.epoch !== epochs.at(-1)?.[1]) epochs.push([next.offset, next.epoch]);
      length += 1;
      at += 1;
    }
    if (offset > end) runs += `+${(offset - end).toString(36)}`;
    runs += LETTERS[kind];
    if (deliveries > 0) runs += deliveries.toString(36);
    if (length > 1) runs += `*${length.toString(36)}`;
    if (dueMs > 0) runs += `@${Math.round((dueMs - base) / DUE_STEP_MS).toString(36)}`;
    end = offset + length;
  }
  return { base, epochs, runs };
}

function isAlike(a: StoredEntry, b: StoredEntry): boolean {
  return a.kind === b.kind && a.deliveries === b.deliveries && a.dueMs === b.dueMs;
}

/** Throws BrokerError DATA_CORRUPT for what no {@link writeRuns} wrote. */
export function readRuns({ base, epochs, runs }: Runs): StoredEntry[] {
  const entries: StoredEntry[] = [];
  let end = 0;
  let epochAt = 0;
  const pattern = new RegExp(RUN, 'y');
  for (let at = 0; at < runs.length; at = pattern.lastIndex) {
    const found = pattern.exec(runs);
    const [, gap = '0', letter = '', deliveries = '', length = '1', due] = found ?? [];
    const kind = KINDS.get(letter);
    if (kind === undefined) return refuseValue('runs', runs.slice(at, at + 20), 'a run');
    const offset = end + numberOf(gap);
    const count = numberOf(length);
    const dueMs = due === undefined ? 0 : base + numberOf(due) * DUE_STEP_MS;
    if (
      count === 0 ||
      entries.length + count > RECORDS_MAX ||
      !Number.isSafeInteger(offset + count)
    )
      return refuseValue(
        'runs',
        runs.slice(at, at + 20),
        `a run of 1 to ${String(RECORDS_MAX)} records`,
      );
    for (let each = offset; each < offset + count; each += 1) {
      while ((epochs[epochAt + 1]?.[0] ?? Infinity) <= each) epochAt += 1;
      const [since, epoch] = epochs[epochAt] ?? [Infinity, 0];
      if (since > each) return refuseValue('epochs', epochs, `one for offset ${String(each)}`);
      entries.push({
        offset: each,
        epoch,
        kind,
        deliveries: deliveries === '' ? 0 : numberOf(deliveries),
        dueMs,
      });
    }
    end = offset + count;
  }
  return entries;
}

function numberOf(text: string): number {
  const value = Number.parseInt(text, 36);
  return Number.isSafeInteger(value) ? value : refuseValue('runs', text, 'a number to base 36');
}
