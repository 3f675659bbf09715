/**
 * One log of keyed records under one seed: appended to, compacted, retired, killed, cut from power
 * and opened again, on the real storage over a simulated disk. What each start finds is held
 * against the rule told the long way: nothing but what the journalled order lets go is gone, no
 * last value is, and an order that was answered as complete left exactly what it must.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import { Random } from '../../../base/random.ts';
import { SlicedBackground } from '../../../broker/background/sliced.ts';
import type {
  CompactionOutcome,
  MergeOutcome,
  PartitionLog,
} from '../../../broker/runtime/ports.ts';
import { openDisk } from '../../../broker/storage/disk.ts';
import type { LiveDisk } from '../../../broker/storage/disk.ts';
import { endOffsetOf, topicIdToBytes } from '../../../wire/batch/frame.ts';
import { control, TOPIC } from '../../fixtures/frames.ts';
import type { TestFrame } from '../../fixtures/frames.ts';
import {
  contentOf,
  deadOffsets,
  expectedContent,
  isGapHeader,
  keyedFrame,
  lastValues,
  recordsOf,
} from '../../fixtures/keyed-log.ts';
import { SOUND_DISK } from '../kit/disk-faults.ts';
import type { Fault } from '../kit/disk-faults.ts';
import { SimDisk } from '../kit/sim-file-system.ts';
import { SimProcess } from '../kit/sim-process.ts';
import { SimTime } from '../kit/sim-time.ts';
import { Trace } from '../kit/trace.ts';
import { readLog } from './read-log.ts';
import type { Stop } from './partition-model.ts';

const DATA_DIR = '/data';
const START_MS = 1_700_000_000_000;
const ANSWER_MS_MAX = 600_000;
const TARGET = { topicIdBytes: topicIdToBytes(TOPIC), partition: 0 };

export interface CompactionCrash {
  /** Number of the file call. */
  readonly operation: number;
  readonly when: 'before' | 'torn' | 'after';
  readonly stop: Stop;
}

export class CompactionWorld {
  readonly random: Random;
  readonly disk: SimDisk;
  readonly counts: Record<string, number> = {};
  readonly #time = new SimTime();
  readonly #trace = new Trace(null);
  readonly #segmentBytes: number;
  /** All that was asked to be appended and not refused; what a loss took is taken out. */
  #frames: TestFrame[] = [];
  /** How many of them were answered. */
  #answered = 0;
  #synced = 0;
  #order: CompactionOrder = { upTo: 0, tombstonesBelow: 0, producersBelow: 0 };
  /** The order that was answered as complete. */
  #complete: CompactionOrder | null = null;
  #boot = 1;
  #epoch = 1;
  #session = 0;
  #process: SimProcess | null = null;
  #disk: LiveDisk | null = null;
  #log: PartitionLog | null = null;
  #fault: string | null = null;

  constructor(seed: number, segmentBytes = 600) {
    this.random = new Random(seed);
    this.#segmentBytes = segmentBytes;
    this.disk = new SimDisk({
      random: this.random.fork('disk'),
      scheduler: { after: (ms, run) => this.#time.after(ms, run), wallMs: () => this.#wallMs() },
      nameLoss: this.random.chance(0.5) ? 'any' : 'ordered',
      profile: { ...SOUND_DISK, shortWriteRate: 0.05 },
      onOperation: (line) => this.note(`  ${line}`),
    });
    this.disk.volume.makeFolder(DATA_DIR);
    this.disk.volume.node('/').sync(1);
  }

  get log(): PartitionLog {
    if (this.#log === null) throw new Error('no log is open');
    return this.#log;
  }

  get frames(): readonly TestFrame[] {
    return this.#frames;
  }

  get order(): CompactionOrder {
    return this.#order;
  }

  get end(): number {
    const last = this.#frames.at(-1);
    return last === undefined ? 0 : endOffsetOf(last.header);
  }

  get isDead(): boolean {
    return this.#process?.isDead === true;
  }

  note(line: string): void {
    this.#trace.note(this.#time.nowMs, line);
  }

  tail(count: number): string {
    return this.#trace.tail(count);
  }

  crashAt({ operation, when, stop }: CompactionCrash): void {
    const run = (): void => this.kill(stop);
    this.disk.faults.add({ number: operation, fault: { kind: 'crash', when, run } });
  }

  failAt(operation: number, code: string): void {
    const fault: Fault = { kind: 'error', code };
    this.disk.faults.add({ number: operation, kinds: ['open', 'writev', 'rename'], fault });
  }

  kill(stop: Stop): void {
    this.note(stop === 'kept' ? 'process killed' : 'power lost');
    this.#process?.kill();
    if (stop === 'kept') this.disk.crash();
    else {
      this.disk.losePower();
      this.#boot += 1;
    }
    this.#answeredAt(stop);
  }

  /** Opens it all, and checks what is found. */
  async start(): Promise<void> {
    this.note(`start in boot ${this.#boot}`);
    const process = new SimProcess('broker', this.#time, {
      wallMs: () => this.#wallMs(),
      onThrow: (error) => (this.#fault ??= `a callback threw ${String(error)}`),
    });
    this.#process = process;
    const draw = this.random.fork('options');
    const turn = (): Promise<void> =>
      new Promise((resolve) => {
        process.clock.after(this.random.below(2), resolve);
      });
    const background = new SlicedBackground({
      drawSeed: () => [draw.below(2 ** 32), draw.below(2 ** 32), draw.below(2 ** 32), 4],
      memoryBytes: 1 << 17,
      turn,
    });
    this.#disk = await this.answer(
      openDisk({
        dataDir: DATA_DIR,
        podUid: 'pod',
        clock: process.clock,
        logger: { info() {}, warn: (fields, text) => this.#warned(fields, text), error() {} },
        flushIntervalMs: 100,
        tailCacheBytes: draw.pick([0, 700, 1 << 20]),
        reserveBytes: 0,
        bootId: `boot ${this.#boot}`,
        files: this.disk.mount(process),
        lock: () => () => {},
        compaction: { background },
        compactionBytesPerSecond: draw.pick([20_000, 1e9]),
      }),
    );
    this.#disk.onSynced((_topic, _partition, offset) => {
      this.#synced = Math.max(this.#synced, offset);
    });
    this.#disk.onFailure((error) => (this.#fault ??= `the disk failed: ${String(error)}`));
    if (this.#disk.start.meta === null) {
      const directoryId = '11111111-2222-4333-8444-555555555555';
      const meta = { formatVersion: 1, clusterId: 'c', brokerId: 0, directoryId } as const;
      await this.answer(this.#disk.format(meta));
    }
    this.#session = Math.max(this.#session, this.#disk.start.sessionEpoch) + 1;
    await this.answer(this.#disk.writeSession(this.#session));
    const options = {
      segmentBytes: this.#segmentBytes,
      segmentMs: 3_600_000,
      mergesSegments: true,
    };
    this.#log = await this.answer(this.#disk.openPartition(TOPIC, 0, options));
    await this.check();
  }

  /** Holds what is in the log against what was asked of it. */
  async check(): Promise<void> {
    const { state, damage } = this.log.recovery;
    // Above it a power loss may take any file, which is told.
    if (damage !== null && damage.fromOffset < this.#synced)
      this.#refuse(`damage is told: ${damage.reason}`);
    const found = await this.answer(readLog(this.log, this.random.fork('read')));
    const start = state.startOffset;
    let end = start;
    for (const { header } of found) {
      if (header.baseOffset > end) this.#refuse(`offsets from ${end} on are not covered`);
      end = endOffsetOf(header);
    }
    if (end < this.#synced) this.#refuse(`the log ends at ${end}, synced was ${this.#synced}`);
    this.#frames = this.#frames.filter(({ header }) => endOffsetOf(header) <= end);
    if (this.end !== end && end !== start) this.#refuse(`nothing ends at ${end}`);
    this.#answered = this.#frames.length;
    this.#synced = Math.max(this.#synced, state.syncedOffset);
    const whole = this.#frames.map(({ bytes }) => bytes);
    const journalled = state.compacted ?? { upTo: 0, tombstonesBelow: 0, producersBelow: 0 };
    this.#checkRecords(found, start, deadOffsets(whole, journalled));
    const above = this.#frames.filter(({ header }) => header.baseOffset >= start);
    const values = JSON.stringify([...lastValues(found.map(({ bytes }) => bytes))].sort());
    const expected = JSON.stringify([...lastValues(above.map(({ bytes }) => bytes))].sort());
    if (values !== expected) this.#refuse(`last values are ${values}, must be ${expected}`);
    this.#order = journalled;
    if (this.#complete !== null) this.#checkComplete(found, start, journalled);
  }

  #checkRecords(found: readonly TestFrame[], start: number, dead: ReadonlySet<number>): void {
    const known = new Map(this.#frames.map((each) => [each.header.baseOffset, each]));
    for (const { bytes, header } of found) {
      if (isGapHeader(header)) continue;
      const original = known.get(header.baseOffset);
      if (original === undefined) this.#refuse(`nobody wrote a batch at ${header.baseOffset}`);
      const { crc, leaderEpoch, lastOffsetDelta, baseSequence } = header;
      const own = original?.header;
      const isSame =
        crc === own?.crc &&
        leaderEpoch === own.leaderEpoch &&
        lastOffsetDelta === own.lastOffsetDelta &&
        baseSequence === own.baseSequence;
      if (!isSame) this.#refuse(`the batch at ${header.baseOffset} is another`);
      const records = recordsOf(original?.bytes ?? new Uint8Array()).map((each) =>
        JSON.stringify(each),
      );
      for (const record of recordsOf(bytes))
        if (!records.includes(JSON.stringify(record)))
          this.#refuse(`nobody wrote ${JSON.stringify(record)}`);
    }
    const left = new Set(
      found.flatMap(({ bytes }) => recordsOf(bytes)).map(({ offset }) => offset),
    );
    for (const { header, bytes } of this.#frames)
      for (const { offset } of recordsOf(bytes))
        if (header.baseOffset >= start && !left.has(offset) && !dead.has(offset))
          this.#refuse(`the record at ${offset} is gone, and no journalled order asks it`);
  }

  #checkComplete(found: readonly TestFrame[], start: number, journalled: CompactionOrder): void {
    if (JSON.stringify(journalled) !== JSON.stringify(this.#complete)) {
      if (journalled.upTo < (this.#complete?.upTo ?? 0)) this.#refuse('an order is forgotten');
      return;
    }
    if (start > 0) return;
    const content = contentOf(found.map(({ bytes }) => bytes));
    const expected = expectedContent(this.#frames, journalled);
    for (const [at, line] of expected.entries())
      if (content[at] !== line) this.#refuse(`"${content[at]}" stands for "${line}"`);
    if (content.length !== expected.length) this.#refuse('the log holds more');
  }

  /** Appends a few batches. Not waited for. */
  append(): Promise<void> {
    const frames: TestFrame[] = [];
    let offset = this.end;
    if (offset === 0 || this.random.chance(0.05)) {
      this.#epoch += offset === 0 ? 0 : 1;
      frames.push(control(offset, this.#epoch, offset));
      offset += 1;
    }
    for (let count = 1 + this.random.below(4); count > 0; count -= 1) {
      const records = Array.from({ length: 1 + this.random.below(3) }, () => ({
        key: `k${this.random.below(6)}`,
        value: this.random.chance(0.25) ? null : `${offset} ${'x'.repeat(this.random.below(30))}`,
      }));
      const producer = { producerId: 3, producerEpoch: 0, baseSequence: offset };
      const isProduced = this.random.chance(0.3);
      const more = { epoch: this.#epoch, target: TARGET, ...(isProduced ? { producer } : {}) };
      frames.push(keyedFrame(offset, records, more));
      offset = endOffsetOf(frames.at(-1)!.header);
    }
    this.#frames.push(...frames);
    return this.log
      .append(
        frames.map(({ bytes }) => bytes),
        frames.map(({ header }) => header),
      )
      .then(() => {
        this.#answered += frames.length;
      });
  }

  /** An order as a leader may give it. */
  drawOrder(): CompactionOrder {
    const upTo = Math.max(this.#order.upTo, this.#synced - this.random.below(4));
    const within = (least: number): number => least + this.random.below(upTo - least + 1);
    return {
      upTo,
      tombstonesBelow: within(this.#order.tombstonesBelow),
      producersBelow: within(this.#order.producersBelow),
    };
  }

  async compact(order: CompactionOrder): Promise<CompactionOutcome> {
    this.note(`compact ${JSON.stringify(order)}`);
    this.#order = order;
    if (this.#complete !== null && order.upTo > this.#complete.upTo) this.#complete = null;
    const process = this.#process;
    const outcome = await this.log.compact(order);
    this.note(`compacted ${JSON.stringify(outcome)}`);
    if (process?.isDead !== true) {
      const what = outcome.isComplete ? 'complete' : (outcome.waitsFor ?? 'gave way');
      this.counts[what] = (this.counts[what] ?? 0) + 1;
      if (outcome.isComplete) this.#complete = order;
    }
    return outcome;
  }

  /** Merges what is small, and looks that nothing is left that would fit together. */
  async merge(): Promise<MergeOutcome> {
    const process = this.#process;
    const outcome = await this.log.merge();
    this.note(`merged ${JSON.stringify(outcome)}`);
    if (process?.isDead === true) return outcome;
    const what = outcome.waitsFor ?? 'merged';
    this.counts[what] = (this.counts[what] ?? 0) + (what === 'merged' ? outcome.removed : 1);
    return outcome;
  }

  /** Two of what an order was carried out on that adjoin fit no segment. */
  checkMerged(): void {
    const { startOffset } = this.log.recovery.state;
    const sealed = this.log
      .segments()
      .slice(0, -1)
      .filter((each) => each.startOffset >= startOffset && each.endOffset <= this.#order.upTo);
    for (const [at, { bytes, startOffset: from }] of sealed.entries()) {
      const sum = bytes + (sealed[at - 1]?.bytes ?? Infinity);
      if (sum <= this.#segmentBytes) this.#refuse(`the segment from ${from} on is not merged`);
    }
  }

  async retire(): Promise<void> {
    const sealed = this.log.segments().slice(0, -1);
    const to = sealed[this.random.below(sealed.length)]?.endOffset ?? 0;
    const epoch = this.#frames.findLast(({ header }) => header.baseOffset < to)?.header.leaderEpoch;
    if (to > 0) await this.log.retire(to, epoch ?? 0);
  }

  async sleep(ms: number): Promise<void> {
    await this.answer(
      new Promise<void>((resolve) => {
        this.#time.after(ms, resolve);
      }),
    );
  }

  /** Resolves with the answer; rejects with null when the process died before. */
  async answer<T>(work: Promise<T>): Promise<T> {
    let settled: { readonly value: T } | { readonly error: unknown } | null = null;
    work.then(
      (value) => (settled = { value }),
      (error: unknown) => (settled = { error }),
    );
    const process = this.#process;
    await this.#time.run(
      () => settled !== null || process?.isDead === true || this.#fault !== null,
      ANSWER_MS_MAX,
    );
    if (this.#fault !== null) throw new Error(`${this.#fault}\n${this.tail(40)}`);
    const outcome = settled as { readonly value: T } | { readonly error: unknown } | null;
    if (outcome === null) throw process?.isDead === true ? new Died() : new Error('no answer');
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  #answeredAt(stop: Stop): void {
    // A power loss may take what was not synced, and with it nothing that an order was about.
    if (stop === 'kept')
      this.#synced = Math.max(
        this.#synced,
        this.#answered === 0 ? 0 : endOffsetOf(this.#frames[this.#answered - 1]!.header),
      );
  }

  /** What a merge leaves over is removed; nothing but damage is put aside. */
  #warned(fields: object, text: string): void {
    this.note(text);
    if ('reason' in fields && fields.reason === 'the log holds these offsets elsewhere')
      this.#fault ??= `a file is left over: ${JSON.stringify(fields)}`;
  }

  #wallMs(): number {
    return START_MS + this.#time.nowMs;
  }

  #refuse(text: string): never {
    throw new Error(`${text}\n${this.tail(60)}`);
  }
}

/** The process is no more. */
export class Died extends Error {}
