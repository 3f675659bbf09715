/**
 * Compaction of the model logs: who has them compacted, and what must hold whatever happens
 * (invariants (l) and (o)).
 */
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { Random } from '../../../base/random.ts';
import { Violation } from './checkers.ts';
import type { ModelBroker } from './broker.ts';
import { isData, isGone, isTombstone, keyOf, KEYS } from './rewrite.ts';

/** A tombstone may go when a pass was ordered so long ago. */
const TOMBSTONES_KEPT_MS = 400;

/** Has logs compacted again and again, and looks at what is left. */
export class Compaction {
  readonly #random: Random;
  #isOver = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What is ordered stays so. */
  end(): void {
    this.#isOver = true;
  }

  step(brokers: readonly ModelBroker[], ledger: readonly BatchHeader[], wallMs: number): void {
    if (!this.#isOver && this.#random.chance(0.4))
      for (const broker of brokers) this.#order(broker, wallMs);
    const furthest = Math.max(...brokers.map(({ disk }) => disk.compacted?.upTo ?? 0));
    for (const broker of brokers) checkValues(ledger, broker, furthest);
  }

  #order(broker: ModelBroker, wallMs: number): void {
    if (broker.partition?.status().role !== 'leader') return;
    const upTo = Math.floor(broker.partition.readEnd() * this.#random.pick([0.5, 0.9, 1]));
    broker.step({ kind: 'compact', upTo, wallMs, tombstonesKeptMs: TOMBSTONES_KEPT_MS });
  }
}

/** Batches of which the first broker holds the header alone, and D of what it carried out. */
export function compactedIn([broker]: readonly ModelBroker[]): {
  readonly compacted: number;
  readonly tombstonesBelow: number;
} {
  return {
    compacted: broker?.disk.batches.filter(isGone).length ?? 0,
    tombstonesBelow: broker?.disk.compacted?.tombstonesBelow ?? 0,
  };
}

/**
 * (o): whoever reads a replica up to its high-water mark finds, of each key, the last value that
 * was committed there, and no key that was deleted.
 */
function checkValues(
  ledger: readonly BatchHeader[],
  { id, disk, partition }: ModelBroker,
  compactedTo: number,
): void {
  if (partition === null || disk.start > disk.retiredTo) return;
  const end = Math.min(partition.readEnd(), disk.end);
  // Behind X a log, or the one that it is a copy of, has dropped values whose successors are still
  // to come. Nobody is told that it ends there, and it neither leads nor testifies.
  if (end < compactedTo) return;
  const last = disk.batches[disk.indexOf(end) - 1];
  // It has not heard of an unclean election that gave up what it holds.
  if (last !== undefined && !ledger.some((each) => isSame(each, last))) return;
  const committed = lastByKey(ledger, disk.start, end);
  const found = lastByKey(
    disk.held.filter((header) => !isGone(header)),
    disk.start,
    end,
  );
  for (let key = 0; key < KEYS; key += 1) {
    const [must, is] = [committed.get(key), found.get(key)];
    if (must?.baseOffset === is?.baseOffset) continue;
    if (must !== undefined && is === undefined && isTombstone(must)) continue;
    throw new Violation(
      `(o) key ${key} of broker ${id} is as of ${is?.baseOffset ?? 'nothing'} below ${end}, committed is ${must?.baseOffset ?? 'nothing'}`,
    );
  }
}

/** (l): replicas that have carried out the same orders hold the same. */
export function checkSame(brokers: readonly ModelBroker[]): void {
  const start = Math.max(...brokers.map(({ disk }) => disk.start));
  const contents = brokers.map(({ disk }) =>
    disk.held
      .filter((header) => isData(header) && !isGone(header) && header.baseOffset >= start)
      .map(({ baseOffset }) => baseOffset)
      .join(),
  );
  const [first = ''] = contents;
  for (const [id, content] of contents.entries()) {
    if (content === first) continue;
    const orders = brokers.map(({ disk }) => JSON.stringify(disk.compacted));
    throw new Violation(
      `(l) after compaction brokers 0 and ${id} differ in records, by what they carried out: ${orders.join(' ')}`,
    );
  }
}

function isSame(one: BatchHeader, other: BatchHeader): boolean {
  return one.baseOffset === other.baseOffset && one.crc === other.crc;
}

function lastByKey(
  headers: readonly BatchHeader[],
  start: number,
  end: number,
): Map<number, BatchHeader> {
  const last = new Map<number, BatchHeader>();
  for (const header of headers)
    if (isData(header) && header.baseOffset >= start && header.baseOffset < end)
      last.set(keyOf(header), header);
  return last;
}
