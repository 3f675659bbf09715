/** The invariants of logs.md section 5 that one partition can break. Each throws {@link Violation} at the step that broke it. */
import type { AppendResult, Assignment } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../proto/batch/frame.ts';
import { endOf } from './model-log.ts';
import type { ModelLog } from './model-log.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

/** A replica as the checkers see it, from outside. */
export interface Observed {
  readonly id: number;
  readonly disk: ModelLog;
  /** Broker epoch of this incarnation. */
  readonly incarnation: number;
  /** It lost bytes, and the controller has not heard of it yet. */
  readonly hasUnreportedLoss: boolean;
}

export class Checkers {
  /** Everything that was ever committed, less what an unclean election has reported as lost. */
  readonly #ledger: BatchHeader[] = [];
  readonly #highWaterMarks = new Map<string, number>();
  readonly #leaders = new Map<number, string>();
  readonly #sequences = new Map<string, number>();
  readonly #lossy = new Set<number>();
  commits = 0;
  acknowledged = 0;

  get committedEnd(): number {
    const last = this.#ledger.at(-1);
    return last === undefined ? 0 : endOf(last);
  }

  lost(broker: number): void {
    this.#lossy.add(broker);
  }

  /** (c), (e), (f), (j): what lies below any replica's HW is the same everywhere, for ever, once and in order. Returns whether it grew. */
  highWaterMark(broker: Observed, highWaterMark: number, logStart: number): boolean {
    const key = `${broker.id}/${broker.incarnation}`;
    const before = this.#highWaterMarks.get(key) ?? broker.disk.start;
    if (highWaterMark < before) {
      if (highWaterMark < this.committedEnd)
        fail('f', `high-water mark of ${key} fell from ${before} to ${highWaterMark}`);
      this.#highWaterMarks.set(key, highWaterMark);
      return false;
    }
    if (highWaterMark === before) return false;
    if (highWaterMark === logStart) {
      // Nothing below is readable: retired, or a reset that is on its way to the disk.
      this.#highWaterMarks.set(key, highWaterMark);
      return false;
    }
    if (highWaterMark > broker.disk.end)
      fail(
        'f',
        `high-water mark ${highWaterMark} of ${key} is above its written end ${broker.disk.end}`,
      );
    const endBefore = this.committedEnd;
    for (
      let index = broker.disk.indexOf(before);
      index < broker.disk.indexOf(highWaterMark);
      index += 1
    ) {
      this.#commit(broker.disk.batches[index] as BatchHeader, key);
    }
    this.#highWaterMarks.set(key, highWaterMark);
    return this.committedEnd > endBefore;
  }

  /** (g), (a): one leader in an epoch, and it holds everything committed. */
  leads(broker: Observed, leaderEpoch: number): void {
    const key = `${broker.id}/${broker.incarnation}`;
    const other = this.#leaders.get(leaderEpoch);
    if (other === key) return;
    if (other !== undefined) fail('g', `epoch ${leaderEpoch} is led by ${other} and ${key}`);
    this.#leaders.set(leaderEpoch, key);
    if (!this.isComplete(broker.disk))
      fail(
        'a',
        `leader ${key} of epoch ${leaderEpoch} ends at ${broker.disk.end}, committed is ${this.committedEnd}`,
      );
  }

  /** (b), (d), (h): whichever trusted logs the next election reads, one of them holds everything committed. */
  elections(assignment: Assignment, brokers: readonly Observed[]): void {
    const { syncSet, quorum, suspects } = assignment;
    const incomplete = syncSet.filter((member) => {
      const broker = brokers[member] as Observed;
      return (
        !suspects.includes(member) && !broker.hasUnreportedLoss && !this.isComplete(broker.disk)
      );
    });
    if (incomplete.length > syncSet.length - quorum) {
      fail(
        'd',
        `S (${syncSet.join()}) q ${quorum} suspects (${suspects.join()}): (${incomplete.join()}) lack committed offsets below ${this.committedEnd}`,
      );
    }
    for (const member of syncSet) {
      const broker = brokers[member] as Observed;
      if (!suspects.includes(member) && !broker.hasUnreportedLoss && this.isComplete(broker.disk))
        this.#lossy.delete(member);
    }
  }

  /** (i), (j): what is acknowledged at level all is committed, where it was said, on min replicas, save those that lost it since. */
  acknowledges(
    header: BatchHeader,
    result: AppendResult,
    min: number,
    brokers: readonly Observed[],
  ): void {
    if (!result.ok) return;
    const committed = this.#ledger[this.#indexOf(result.baseOffset)];
    if (committed?.baseOffset !== result.baseOffset || committed.crc !== header.crc) {
      fail(
        'i',
        `append of ${header.producerId}/${header.baseSequence} is acknowledged at ${result.baseOffset} and not committed there`,
      );
    }
    const holders = brokers.filter(
      ({ id, disk }) =>
        this.#lossy.has(id) ||
        disk.at(result.baseOffset)?.crc === header.crc ||
        disk.start > result.baseOffset,
    );
    if (holders.length < min)
      fail(
        'i',
        `offset ${result.baseOffset} is acknowledged on ${holders.length} replicas, min is ${min}`,
      );
    this.acknowledged += 1;
  }

  /** An unclean election: what the chosen log lacks is reported, so it counts as committed no more. */
  reported(disk: ModelLog): number {
    let kept = 0;
    while (kept < this.#ledger.length && isSame(this.#ledger[kept] as BatchHeader, disk)) kept += 1;
    const lost = this.#ledger.length - kept;
    for (const { producerId, producerEpoch, baseSequence } of this.#ledger.splice(kept)) {
      const key = `${producerId}/${producerEpoch}`;
      const next = this.#sequences.get(key);
      if (next !== undefined) this.#sequences.set(key, Math.min(next, baseSequence));
    }
    for (const [key, highWaterMark] of this.#highWaterMarks)
      this.#highWaterMarks.set(key, Math.min(highWaterMark, this.committedEnd));
    return lost;
  }

  /** (l): caught-up replicas are the same, byte for byte, and end where the committed log ends. */
  converged(brokers: readonly Observed[]): void {
    for (const { id, disk } of brokers) {
      if (disk.end !== this.committedEnd)
        fail('l', `log of ${id} ends at ${disk.end}, committed is ${this.committedEnd}`);
      for (const header of disk.batches) {
        const committed = this.#ledger[this.#indexOf(header.baseOffset)];
        if (header.baseOffset >= disk.start && !isEqual(committed, header))
          fail('l', `log of ${id} differs at ${header.baseOffset}`);
      }
    }
  }

  isComplete(disk: ModelLog): boolean {
    const last = this.#ledger.at(-1);
    return last === undefined || disk.start >= endOf(last) || isSame(last, disk);
  }

  #commit(header: BatchHeader, key: string): void {
    if (header.baseOffset < this.committedEnd) {
      const committed = this.#ledger[this.#indexOf(header.baseOffset)];
      if (!isEqual(committed, header))
        fail(
          'e',
          `${key} has ${describe(header)} below its high-water mark, committed is ${describe(committed)}`,
        );
      return;
    }
    if (header.baseOffset !== this.committedEnd)
      fail('c', `${key} commits ${describe(header)}, committed ends at ${this.committedEnd}`);
    this.#ledger.push(header);
    this.commits += 1;
    if (header.producerId === 0) return;
    const producer = `${header.producerId}/${header.producerEpoch}`;
    const expected = this.#sequences.get(producer) ?? 0;
    if (header.baseSequence !== expected)
      fail(
        'j',
        `producer ${producer} has sequence ${header.baseSequence} committed, expected is ${expected}`,
      );
    this.#sequences.set(producer, header.baseSequence + header.recordCount);
  }

  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#ledger.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ledger[middle] as BatchHeader).baseOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isSame(committed: BatchHeader, disk: ModelLog): boolean {
  return committed.baseOffset < disk.start || isEqual(disk.at(committed.baseOffset), committed);
}

function isEqual(one: BatchHeader | undefined, other: BatchHeader): boolean {
  return (
    one !== undefined &&
    one.baseOffset === other.baseOffset &&
    one.leaderEpoch === other.leaderEpoch &&
    one.crc === other.crc
  );
}

function describe(header: BatchHeader | undefined): string {
  return header === undefined
    ? 'nothing'
    : `offset ${header.baseOffset} epoch ${header.leaderEpoch} crc ${header.crc}`;
}

function fail(invariant: string, message: string): never {
  throw new Violation(`(${invariant}) ${message}`);
}
