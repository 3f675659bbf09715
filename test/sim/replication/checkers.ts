/**
 * What one partition can break: invariants (a) to (j) and (l). Each throws {@link Violation} at the
 * step that broke it.
 */
import type { PartitionStatus } from '../../../broker/replication/partition.ts';
import type { AppendResult, Assignment, LogStart } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import { endOf } from './model-log.ts';
import type { ModelLog } from './model-log.ts';

/** What a producer's sequence may be refused with. */
const SEQUENCE_REFUSALS: ReadonlySet<string> = new Set([
  'UNKNOWN_PRODUCER',
  'OUT_OF_ORDER_SEQUENCE',
  'DUPLICATE_SEQUENCE',
  'SEQUENCE_REUSED',
]);

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
  /**
   * It lost a suffix that was committed, and said that nothing happened: its leader is about to
   * find out.
   */
  readonly hasQuietLoss: boolean;
  /** Broker epoch of the last incarnation whose disk lost something; -1: none did. */
  readonly lostIn: number;
  /** Metadata as this replica knows it. */
  readonly assignment: Assignment | null;
}

export class Checkers {
  /** Everything that was ever committed, less what an unclean election has reported as lost. */
  readonly #ledger: BatchHeader[] = [];
  /** In which epoch the batch at an offset was committed. */
  readonly #committedIn = new Map<number, number>();
  readonly #highWaterMarks = new Map<string, number>();
  readonly #leaders = new Map<number, string>();
  /** Where the committed data ended when the leader of an epoch began. */
  readonly #committedDataEnds = new Map<number, number>();
  readonly #sequences = new Map<string, number>();
  readonly #lossy = new Set<number>();
  /** Leaders whose hand-over the controller has carried out. */
  readonly #handedOver = new Set<string>();
  /** Greatest offset that a leader's retention reached, or that an unclean election gave up. */
  #retention = 0;
  /** The greatest start that somebody was told of, and in which epoch. */
  #trimmed = { to: 0, leaderEpoch: 0 };
  /** Start of a log that was elected uncleanly: what is committed from then on may begin there. */
  #begunAt = 0;
  commits = 0;
  acknowledged = 0;
  trimmed = 0;
  /** Logs that were copied anew for want of tombstones. */
  resets = 0;

  get ledger(): readonly BatchHeader[] {
    return this.#ledger;
  }

  get committedEnd(): number {
    const last = this.#ledger.at(-1);
    return Math.max(this.#begunAt, last === undefined ? 0 : endOf(last));
  }

  lost(broker: number): void {
    this.#lossy.add(broker);
  }

  /** A leader was asked to retire, and did. */
  retired(offset: number): void {
    this.#retention = Math.max(this.#retention, offset);
  }

  /**
   * (p): nothing lies below a log start that no retention reached, but on a disk that has lost it.
   */
  logStart({ id, disk }: Observed, logStart: number): void {
    if (logStart > Math.max(this.#retention, disk.lostTo))
      fail('p', `log of ${id} starts at ${logStart}, retention reached ${this.#retention}`);
  }

  /** Somebody is told that a log begins where they asked. */
  trims(trimTo: number, result: AppendResult): void {
    // To 0 asks for nothing.
    if (!result.ok || trimTo === 0) return;
    const committed = this.#ledger[this.#indexOf(result.baseOffset)];
    if (committed?.baseOffset !== result.baseOffset || (committed.trimTo ?? -1) < trimTo)
      fail(
        't',
        `a trim to ${trimTo} is answered, ${describe(committed)} is committed in its place`,
      );
    if (trimTo <= this.#trimmed.to) return;
    this.#trimmed = { to: trimTo, leaderEpoch: result.leaderEpoch };
    this.trimmed += 1;
  }

  /** (t): what was trimmed, and answered, no later leader shows. */
  shows(id: number, { logStart, undecidedTo, leaderEpoch }: PartitionStatus): void {
    const { to, leaderEpoch: since } = this.#trimmed;
    if (leaderEpoch >= since && Math.max(logStart, undecidedTo) < to)
      fail('t', `leader ${id} of epoch ${leaderEpoch} begins at ${logStart}, trimmed was to ${to}`);
  }

  /** A log that has lost its beginning, or tombstones, starts anew. */
  reset(broker: Observed, { offset: startOffset, tombstonesBelow = 0 }: LogStart): void {
    if (tombstonesBelow > 0) this.resets += 1;
    if (broker.disk.lostTo > 0 || tombstonesBelow > 0)
      this.#highWaterMarks.set(`${broker.id}/${broker.incarnation}`, startOffset);
  }

  /**
   * (c), (e), (f), (j): what lies below any replica's HW is the same everywhere, for ever, once and
   * in order. Returns whether it grew.
   */
  highWaterMark(
    broker: Observed,
    status: Pick<PartitionStatus, 'highWaterMark' | 'logStart' | 'leaderEpoch'>,
  ): boolean {
    const { highWaterMark, logStart, leaderEpoch } = status;
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
      this.#commit(broker.disk.batches[index] as BatchHeader, key, leaderEpoch);
    }
    this.#highWaterMarks.set(key, highWaterMark);
    return this.committedEnd > endBefore;
  }

  /**
   * (q): a replica knows where the data ends in its log, so that "append if nothing was appended
   * since" is judged rightly wherever leadership goes: a leader never places it below data that is
   * committed.
   */
  dataEnd(key: string, log: ModelLog, dataEnd: number, ledEpoch: number | null): void {
    const { least, most } = log.dataEnd;
    if (dataEnd < least || dataEnd > most)
      fail('q', `data of ${key} ends at ${dataEnd}, must be ${least} to ${most}`);
    if (ledEpoch === null) return;
    const committed = this.#committedDataEnds.get(ledEpoch) ?? 0;
    if (dataEnd < committed)
      fail('q', `data of leader ${key} ends at ${dataEnd}, committed was ${committed}`);
  }

  /**
   * (i), rules 6 and 14: a leader commits what q members hold, or held in an incarnation that it
   * was not told the end of. What an earlier incarnation stated is no proof.
   */
  commitsWith(leader: Observed, highWaterMark: number, brokers: readonly Observed[]): void {
    const { assignment, disk } = leader;
    const last = disk.batches[disk.indexOf(highWaterMark) - 1];
    if (assignment === null || last === undefined || disk.start >= highWaterMark) return;
    const holders = assignment.syncSet.filter((member) => {
      const { disk: held, lostIn } = brokers[member] as Observed;
      const known = assignment.replicas.find(({ brokerId }) => brokerId === member)?.brokerEpoch;
      return lostIn >= (known ?? 0) || held.start >= highWaterMark || this.#isHeld(last, held);
    });
    if (holders.length < assignment.quorum)
      fail(
        'i',
        `leader ${leader.id} commits up to ${highWaterMark}, which (${holders.join()}) of S (${assignment.syncSet.join()}) hold, q is ${assignment.quorum}`,
      );
  }

  /** Rules 8 and 22: who may take an append, by what it knows of metadata. */
  appends({ id, incarnation, assignment }: Observed): void {
    if (assignment === null) return;
    const { syncSet, suspects, replicas, minInSyncReplicas, leaderEpoch } = assignment;
    const trusted = replicas.filter(
      ({ brokerId, fenced }) =>
        !fenced && syncSet.includes(brokerId) && !suspects.includes(brokerId),
    );
    if (trusted.length < minInSyncReplicas)
      fail(
        'i',
        `leader ${id} takes an append with ${trusted.length} trusted members, min is ${minInSyncReplicas}`,
      );
    if (this.#handedOver.has(`${id}/${incarnation}/${leaderEpoch}`))
      fail('s', `leader ${id} takes an append after it handed over epoch ${leaderEpoch}`);
  }

  /**
   * (s), rule 22: a successor holds everything that its predecessor ever took, at any ack level.
   */
  handsOver(leader: Observed, logEnd: number, successor: Observed): void {
    this.#handedOver.add(`${leader.id}/${leader.incarnation}/${leader.assignment?.leaderEpoch}`);
    if (successor.hasUnreportedLoss || successor.hasQuietLoss) return;
    if (successor.disk.end < logEnd)
      fail(
        's',
        `leader ${leader.id} hands over with its log at ${logEnd}, that of ${successor.id} ends at ${successor.disk.end}`,
      );
  }

  /**
   * (g), (a): one leader in an epoch, and it holds everything committed up to that epoch. Who hears
   * of its election when it was replaced long ago may lack what later epochs have committed.
   */
  leads(broker: Observed, leaderEpoch: number): void {
    const key = `${broker.id}/${broker.incarnation}`;
    const other = this.#leaders.get(leaderEpoch);
    if (other === key) return;
    if (other !== undefined) fail('g', `epoch ${leaderEpoch} is led by ${other} and ${key}`);
    this.#leaders.set(leaderEpoch, key);
    const isEarlier = ({ baseOffset }: BatchHeader): boolean =>
      (this.#committedIn.get(baseOffset) ?? 0) <= leaderEpoch;
    const lastData = this.#ledger.findLast((each) => !each.isControl && isEarlier(each));
    this.#committedDataEnds.set(leaderEpoch, lastData === undefined ? 0 : endOf(lastData));
    const last = this.#ledger.findLast(isEarlier);
    if (!this.#holds(last, broker.disk))
      fail(
        'a',
        `leader ${key} of epoch ${leaderEpoch} ends at ${broker.disk.end}, committed is ${last === undefined ? 0 : endOf(last)}`,
      );
  }

  /**
   * (b), (d), (h): whichever trusted logs the next election reads, one of them holds everything
   * committed.
   */
  elections(assignment: Assignment, brokers: readonly Observed[]): void {
    const { syncSet, quorum, suspects } = assignment;
    // Who knows that his log lacks its beginning says so instead of testifying.
    const evidence = syncSet
      .filter((member) => !suspects.includes(member))
      .map((member) => brokers[member] as Observed)
      .filter(({ hasUnreportedLoss, hasQuietLoss }) => !hasUnreportedLoss && !hasQuietLoss)
      .filter(({ disk }) => disk.start <= disk.retiredTo);
    const incomplete = evidence.filter(({ disk }) => !this.isComplete(disk));
    const electionSize = syncSet.length - quorum + 1;
    const describeAll = (logs: readonly Observed[]) =>
      `S (${syncSet.join()}) q ${quorum} suspects (${suspects.join()}): logs of (${logs.map(({ id }) => id).join()})`;
    if (incomplete.length >= electionSize)
      fail('d', `${describeAll(incomplete)} lack committed offsets below ${this.committedEnd}`);
    for (const { id, disk } of incomplete) {
      const losers = evidence.filter((other) => !isBetter(other.disk, disk));
      if (losers.length >= electionSize)
        fail('d', `${describeAll(losers)} elect ${id}, which lacks committed offsets`);
    }
    for (const member of syncSet) {
      const broker = brokers[member] as Observed;
      const isInDoubt = broker.hasUnreportedLoss || broker.hasQuietLoss;
      if (!suspects.includes(member) && !isInDoubt && this.isComplete(broker.disk))
        this.#lossy.delete(member);
    }
  }

  /**
   * (i), (j): what is acknowledged at level all is committed, where it was said, on min replicas,
   * save those that lost it since.
   */
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
        this.#retention > result.baseOffset,
    );
    if (holders.length < min)
      fail(
        'i',
        `offset ${result.baseOffset} is acknowledged on ${holders.length} replicas, min is ${min}`,
      );
    this.acknowledged += 1;
  }

  /**
   * (j), rule 20: a leader knows the last batch of every producer in its log. That batch is told
   * its offset when it comes again, and the one after it is the next.
   */
  refuses({ id, disk }: Observed, header: BatchHeader, result: AppendResult): void {
    if (result.ok || !SEQUENCE_REFUSALS.has(result.error.code)) return;
    const { producerId, producerEpoch, baseSequence, crc } = header;
    const last = disk.held.findLast(
      (batch) => batch.producerId === producerId && batch.producerEpoch === producerEpoch,
    );
    if (last === undefined) return;
    const next = last.baseSequence + last.lastOffsetDelta + 1;
    if (crc === last.crc || baseSequence === next)
      fail('j', `leader ${id} holds ${describe(last)}, and says: ${result.error.message}`);
  }

  /**
   * (s): of those who expect one end at most one wins: between that and what it appended no data is
   * committed. Who loses is told so once somebody else's record is committed there.
   */
  raced(expectedOffset: number, result: AppendResult): void {
    if (!result.ok) {
      const { code, message } = result.error;
      const last = this.#ledger.findLast(({ isControl }) => !isControl);
      const committed = last === undefined ? 0 : endOf(last);
      if (
        code === 'OFFSET_TAKEN' &&
        committed <= expectedOffset &&
        this.#retention <= expectedOffset
      )
        fail('s', `nothing is committed at or above ${expectedOffset}: ${message}`);
      return;
    }
    const between = this.#ledger.slice(
      this.#indexOf(expectedOffset),
      this.#indexOf(result.baseOffset),
    );
    const other = between.find(({ isControl }) => !isControl);
    if (other !== undefined)
      fail('s', `append at ${expectedOffset} is taken after ${describe(other)}`);
  }

  /**
   * An unclean election: what the chosen log lacks is reported, from `fromOffset` on, so it counts
   * as committed no more (P11).
   */
  reported(disk: ModelLog, fromOffset: number): number {
    if (disk.start > this.#retention && fromOffset > this.#retention)
      fail('r', `the loss report begins at ${fromOffset}, retention reached ${this.#retention}`);
    // Nobody knows what stood in the beginning that is gone.
    if (disk.start > this.#retention) this.#sequences.clear();
    this.#retention = Math.max(this.#retention, disk.start);
    // A trim may be lost as any record.
    this.#trimmed = { to: 0, leaderEpoch: 0 };
    this.#begunAt = Math.max(this.#begunAt, disk.start);
    let kept = 0;
    while (kept < this.#ledger.length && this.#isHeld(this.#ledger[kept] as BatchHeader, disk))
      kept += 1;
    const first = this.#ledger[kept];
    if (first !== undefined && first.baseOffset < fromOffset)
      fail('r', `the loss report begins at ${fromOffset}, and ${describe(first)} is lost`);
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
      if (disk.start > disk.retiredTo) fail('l', `log of ${id} still lacks its beginning`);
      if (disk.start < this.#trimmed.to)
        fail('t', `log of ${id} starts at ${disk.start}, trimmed was to ${this.#trimmed.to}`);
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
    return this.#holds(this.#ledger.at(-1), disk);
  }

  #holds(last: BatchHeader | undefined, disk: ModelLog): boolean {
    return disk.start <= this.#retention && (last === undefined || this.#isHeld(last, disk));
  }

  #isHeld(committed: BatchHeader, disk: ModelLog): boolean {
    if (endOf(committed) <= disk.start) return committed.baseOffset < this.#retention;
    return isEqual(disk.at(committed.baseOffset), committed);
  }

  #commit(header: BatchHeader, key: string, leaderEpoch: number): void {
    // Reported as lost, and here after all: nobody counts on it.
    if (header.baseOffset < this.#begunAt) return;
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
    this.#committedIn.set(header.baseOffset, leaderEpoch);
    this.commits += 1;
    if (header.trimTo !== undefined) this.retired(header.trimTo);
    if (header.producerId === 0) return;
    const producer = `${header.producerId}/${header.producerEpoch}`;
    const isUnknown = this.#begunAt > 0 && !this.#sequences.has(producer);
    const expected = isUnknown ? header.baseSequence : (this.#sequences.get(producer) ?? 0);
    if (header.baseSequence !== expected)
      fail(
        'j',
        `producer ${producer} has sequence ${header.baseSequence} committed, expected is ${expected}`,
      );
    this.#sequences.set(producer, header.baseSequence + header.lastOffsetDelta + 1);
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

function isBetter(one: ModelLog, other: ModelLog): boolean {
  const [left, right] = [one.rank, other.rank];
  return (
    left.lastEpoch > right.lastEpoch || (left.lastEpoch === right.lastEpoch && left.end > right.end)
  );
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
