/**
 * The storage of one broker alone, under one seed: the real `openDisk` on a simulated disk, driven
 * by a random script, killed, cut from power, and started again. What each start finds is held
 * against models of what was answered.
 */
import { Random } from '../../../base/random.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { RestartClass } from '../../../broker/metadata/types.ts';
import { type Disk, isShortage, type PartitionLog } from '../../../broker/runtime/ports.ts';
import { openDisk } from '../../../broker/storage/disk.ts';
import type { LiveDisk } from '../../../broker/storage/disk.ts';
import { framesOf, TOPIC } from '../../fixtures/frames.ts';
import type { TestFrame } from '../../fixtures/frames.ts';
import { SOUND_DISK } from '../kit/disk-faults.ts';
import type { DiskProfile } from '../kit/disk-faults.ts';
import { SimDisk } from '../kit/sim-file-system.ts';
import { SimProcess } from '../kit/sim-process.ts';
import { SimTime } from '../kit/sim-time.ts';
import { Trace } from '../kit/trace.ts';
import { damage } from './damage.ts';
import type { DamageKind } from './damage.ts';
import { PartitionModel } from './partition-model.ts';
import type { Change, Stop } from './partition-model.ts';
import { QuorumModel } from './quorum-model.ts';
import { readLog } from './read-log.ts';
import { Script } from './script.ts';
import type { OpenPartition, Stage } from './script.ts';

/** Where the process is killed, beside where the script says it. */
export interface CrashPoint {
  /** Number of the file call. */
  readonly operation: number;
  readonly when: 'before' | 'torn' | 'after';
  readonly stop: Stop;
}

export interface WorldOptions {
  readonly seed: number;
  /** Actions of each process. */
  readonly steps?: number;
  readonly processes?: number;
  readonly partitions?: number;
  readonly crashes?: readonly CrashPoint[];
  readonly profile?: DiskProfile;
  /**
   * Every kind of change once, on the first partition; nothing but the crash points stops a
   * process.
   */
  readonly isScript?: boolean;
  /** Partitions are deleted and made again, and the volume fills up. */
  readonly hasStrikes?: boolean;
  readonly print?: (line: string) => void;
}

/** What a run has come to. */
export interface WorldResult {
  readonly hash: string;
  readonly operations: number;
  /** How often things happened, by name. */
  readonly counts: Readonly<Record<string, number>>;
}

/** A rule was broken. */
export class WorldFault extends Error {}

/** The process is no more: unwinds what was done in its name. */
class Ended extends Error {}

const DATA_DIR = '/data';
const PARTITIONS = 3;
/** Warnings of what is put off for want of space. */
const UNSYNCED = 'a log was closed without being synced';
const NOT_RETIRED = 'retired files stay for now';
const ROOM_BYTES = 2 ** 40;
const RESERVE_BYTES = 64 * 1024;
const START_MS = 1_700_000_000_000;
const META = {
  formatVersion: 1,
  clusterId: 'cluster',
  brokerId: 0,
  directoryId: '11111111-2222-4333-8444-555555555555',
} as const;
/** Whatever is asked is answered within it, in simulated time. */
const ANSWER_MS_MAX = 300_000;

/** Yes, no, or asked for and not answered. */
type Known = 'yes' | 'no' | 'maybe';

export class StorageWorld implements Stage {
  readonly random: Random;
  readonly quorum = new QuorumModel();
  readonly disk: SimDisk;
  readonly counts: Record<string, number> = {};
  readonly #options: WorldOptions;
  readonly #time = new SimTime();
  readonly #trace: Trace;
  readonly #script: Script;
  readonly #models: readonly PartitionModel[];
  #process: SimProcess | null = null;
  #open: LiveDisk | null = null;
  #partitions: OpenPartition[] = [];
  #boot = 1;
  #epoch = 0;
  #lastStop: Stop = 'kept';
  #isFormatted: Known = 'no';
  #hasSession: Known = 'no';
  #isClean: Known = 'no';
  #squeezes = 0;
  /** What this process has warned of. */
  #warnings: string[] = [];
  #fault: string | null = null;
  /** Partition whose files were damaged on purpose, and whether that was told. */
  #damaged: { readonly partition: number; isTold: boolean } | null = null;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new Random(options.seed);
    const { partitions = PARTITIONS } = options;
    this.#models = Array.from({ length: partitions }, () => new PartitionModel());
    this.#trace = new Trace(options.print ?? null);
    this.disk = new SimDisk({
      random: this.random.fork('disk'),
      scheduler: { after: (ms, run) => this.#time.after(ms, run), wallMs: () => this.#wallMs() },
      nameLoss: this.random.chance(0.5) ? 'any' : 'ordered',
      profile: options.profile ?? { ...SOUND_DISK, shortWriteRate: 0.05 },
      onOperation: (line) => this.note(`  ${line}`),
    });
    // The mount point is there before the broker is.
    this.disk.volume.makeFolder(DATA_DIR);
    this.disk.volume.node('/').sync(1);
    this.#script = new Script(this, this.random.fork('script'), options.hasStrikes ?? false);
    for (const point of options.crashes ?? []) this.#setCrash(point);
  }

  /** Rejects with a {@link WorldFault} when a rule is broken. */
  async run(): Promise<WorldResult> {
    const { processes = 1, steps = 40, isScript = false } = this.#options;
    for (let index = 0; index < processes; index += 1) {
      // Some end as soon as they have begun: what a start shows must be kept by then (P6).
      const isBrief = index > 0 && !isScript && this.random.chance(0.3);
      await this.#life(async () => {
        await this.#start();
        if (isScript) await this.#script.runOnce(this.#partitions[0]!);
        else if (isBrief) await this.#script.run(this.#partitions, this.random.below(3));
        else await this.#script.run(this.#partitions, steps);
        if (isScript || (!isBrief && this.random.chance(0.3))) await this.#stop();
        else if (isBrief) this.kill(this.random.chance(0.2) ? 'kept' : 'lost');
        else await this.#killWriting();
      });
    }
    // Undisturbed: whatever crash point was not reached is behind us.
    let isWhole = false;
    while (!isWhole) {
      isWhole = await this.#life(async () => {
        await this.#start();
        await this.#stop();
      });
    }
    return { hash: this.#trace.hash, operations: this.disk.operations, counts: this.counts };
  }

  /** What was written just before has hardly been synced. */
  async #killWriting(): Promise<void> {
    if (this.random.chance(0.5)) {
      this.#script.appendToEach(this.#partitions);
      await this.sleep(this.random.below(40));
    }
    this.kill(this.random.chance(0.5) ? 'kept' : 'lost');
  }

  /**
   * One process, then damage to the files of a partition, then a start that must tell of it, or
   * have lost nothing.
   */
  async runDamaged(kind: DamageKind): Promise<'told' | 'unharmed'> {
    await this.#life(async () => {
      await this.#start();
      await this.#script.run(this.#partitions, this.#options.steps ?? 60);
      await this.settle();
      await this.sleep(5000);
      if (this.random.chance(0.4)) await this.#stop();
      else this.kill(this.random.chance(0.5) ? 'kept' : 'lost');
    });
    const partition = this.random.below(this.#models.length);
    this.#damaged = { partition, isTold: false };
    const folder = `${DATA_DIR}/partitions/${TOPIC}-${partition}`;
    this.note(`damage: ${damage(this.disk.volume, folder, kind, this.random)}`);
    await this.#life(() => this.#start());
    return this.#damaged.isTold ? 'told' : 'unharmed';
  }

  /** The last lines of the trace. */
  tail(count: number): string {
    return this.#trace.tail(count);
  }

  note(line: string): void {
    this.#trace.note(this.#time.nowMs, line);
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  fault(text: string): void {
    this.note(`FAULT ${text}`);
    this.#fault ??= text;
  }

  kill(stop: Stop): void {
    this.note(stop === 'kept' ? 'process killed' : 'power lost');
    this.count(stop);
    this.#process?.kill();
    if (stop === 'kept') this.disk.crash();
    else {
      this.disk.losePower();
      this.#boot += 1;
      this.#lastStop = 'lost';
    }
  }

  async sleep(ms: number): Promise<void> {
    let isOver = false;
    this.#time.after(ms, () => (isOver = true));
    await this.#until(() => isOver, 'sleep');
  }

  async answer<T>(what: string, work: Promise<T>): Promise<T> {
    let settled: { readonly value: T } | { readonly error: unknown } | null = null;
    work.then(
      (value) => (settled = { value }),
      (error: unknown) => (settled = { error }),
    );
    await this.#until(() => settled !== null, what);
    const outcome = settled as { readonly value: T } | { readonly error: unknown } | null;
    if (outcome !== null && 'value' in outcome) return outcome.value;
    this.note(`${what} failed: ${String(outcome?.error)}`);
    if (this.#isShort(outcome?.error)) {
      // Half done, it can only be completed by another start.
      this.kill('kept');
      throw new Ended();
    }
    throw outcome?.error;
  }

  ask({ partition, model, log }: OpenPartition, change: Change, keepAside = false): void {
    const what = `${change.kind} of partition ${partition}`;
    this.note(`${what}: ${describe(change)}`);
    this.count(change.kind);
    model.ask(change);
    const process = this.#process;
    carryOut(log, change, keepAside).then(
      () => {
        if (process?.isDead === true) return;
        this.note(`${what} answered`);
        const fault = model.answer(change, this.#warnings.includes(NOT_RETIRED));
        if (fault !== null) this.fault(`partition ${partition}: ${fault}`);
      },
      (error: unknown) => {
        if (process?.isDead === true) return;
        if (!this.#isShort(error)) this.fault(`${what} failed: ${String(error)}`);
        else if (change.kind === 'append') {
          this.note(`${what} refused`);
          this.count('refused');
          model.refuse(change);
        }
        // Half done, it can only be completed by another start.
        else this.kill('kept');
      },
    );
  }

  askQuorum(writes: Parameters<Disk['quorum']['write']>[0]): void {
    this.note(`quorum write of ${writes.map(({ kind }) => kind).join()}`);
    this.count('quorum');
    this.quorum.pending.push(...writes);
    const process = this.#process;
    this.#disk.quorum.write(writes).then(
      () => {
        if (process?.isDead === true) return;
        const fault = this.quorum.answer(writes);
        if (fault !== null) this.fault(fault);
      },
      (error: unknown) => {
        if (process?.isDead !== true) this.fault(`quorum write failed: ${String(error)}`);
      },
    );
  }

  async settle(): Promise<void> {
    const isQuiet = (): boolean =>
      this.quorum.pending.length === 0 && this.#models.every((model) => model.isQuiet);
    await this.#until(isQuiet, 'everything asked');
  }

  async reopen(open: OpenPartition): Promise<void> {
    this.note(`partition ${open.partition} closes`);
    this.count('reopen');
    const warnings = this.#warnings.length;
    await this.answer('close', open.log.close());
    const isSynced = !this.#warnings.slice(warnings).includes(UNSYNCED);
    const { settled } = open.model;
    const end = settled.frames.at(-1)?.header;
    if (end !== undefined && isSynced)
      open.model.noteSynced(end.baseOffset + end.lastOffsetDelta + 1);
    open.log = await this.#openPartition(open.partition, open.model, 'kept');
  }

  async remake(open: OpenPartition): Promise<void> {
    const { partition, model, log } = open;
    this.note(`partition ${partition} is deleted`);
    this.count('delete');
    await this.answer('close', log.close());
    model.isDeleting = true;
    await this.answer('deletePartition', this.#disk.deletePartition(TOPIC, partition));
    model.forget();
    open.log = await this.#openPartition(partition, model, 'kept');
  }

  squeeze(bytes: number, forMs: number): void {
    this.note(`${bytes} bytes of room are left for ${forMs} ms`);
    this.count('squeeze');
    this.#squeezes += 1;
    const squeeze = this.#squeezes;
    this.disk.volume.setCapacity(this.disk.volume.usedBytes + bytes);
    this.#time.after(forMs, () => {
      if (squeeze === this.#squeezes) this.#relieve();
    });
  }

  #relieve(): void {
    this.#squeezes += 1;
    this.disk.volume.setCapacity(ROOM_BYTES);
  }

  #isShort(error: unknown): boolean {
    return this.#options.hasStrikes === true && error instanceof BrokerError && isShortage(error);
  }

  get #disk(): LiveDisk {
    if (this.#open === null) throw new WorldFault('no disk is open');
    return this.#open;
  }

  #wallMs(): number {
    return START_MS + this.#time.nowMs;
  }

  /** Runs one process to its end. Resolves with whether it got there by itself. */
  async #life(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      return false;
    } finally {
      this.#process?.kill();
      if (this.#fault !== null) throw new WorldFault(this.#fault);
    }
  }

  async #start(): Promise<void> {
    const process = new SimProcess('broker', this.#time, {
      wallMs: () => this.#wallMs(),
      onThrow: (error) => this.fault(`a callback threw ${String(error)}`),
    });
    this.#process = process;
    this.#warnings = [];
    this.#partitions = [];
    // Room is made before a broker is started again.
    this.#relieve();
    this.note(`start in boot ${this.#boot}`);
    this.count('start');
    const draw = this.random.fork('options');
    const disk = await this.answer(
      'openDisk',
      openDisk({
        dataDir: DATA_DIR,
        podUid: 'pod',
        clock: process.clock,
        logger: this.#logger(),
        flushIntervalMs: draw.pick([50, 200, 1000]),
        flushBytes: draw.pick([300, 4096, 1 << 20]),
        tailCacheBytes: draw.pick([0, 700, 1 << 20]),
        reserveBytes: this.#options.hasStrikes === true ? RESERVE_BYTES : 0,
        bootId: `boot ${this.#boot}`,
        files: this.disk.mount(process),
        lock: () => () => {},
        poolThreads: draw.pick([2, 4, 16]),
      }),
    );
    this.#open = disk;
    const stop = this.#checkStart(disk);
    disk.onSynced((_topic, partition, offset) => {
      this.note(`synced partition ${partition} to ${offset}`);
      const fault = this.#models[partition]?.noteSynced(offset) ?? null;
      if (fault !== null) this.fault(`partition ${partition}: ${fault}`);
    });
    disk.onFailure((error) => this.fault(`the disk failed: ${String(error)}`));
    await this.#startQuorum(disk);
    await this.#writeSession(disk);
    for (const [partition, model] of this.#models.entries()) {
      const log = await this.#openPartition(partition, model, stop);
      this.#partitions.push({ partition, model, log });
    }
    this.#lastStop = 'kept';
  }

  /**
   * Holds the verdict on the start against what was synced when. Returns what of the bytes must be
   * there.
   */
  #checkStart({ start }: Disk): Stop {
    const allowed = new Set<RestartClass>();
    const isKept = this.#lastStop === 'kept';
    if (this.#damaged !== null) allowed.add('lossy');
    if (this.#isFormatted !== 'yes') allowed.add('new');
    if (this.#isClean !== 'no') allowed.add('clean');
    if (this.#isClean !== 'yes') {
      if (isKept && this.#hasSession !== 'no') allowed.add('warm');
      if (!isKept || this.#hasSession !== 'yes') allowed.add('lossy');
    }
    if (!allowed.has(start.restartClass))
      this.fault(
        `the start is ${start.restartClass} (${start.reason}), must be ${[...allowed].join(' or ')}`,
      );
    this.count(start.restartClass);
    return start.restartClass === 'clean' ? 'kept' : this.#lastStop;
  }

  async #startQuorum(disk: Disk): Promise<void> {
    if (disk.start.meta === null) {
      this.#isFormatted = 'maybe';
      await this.answer('format', disk.format(META));
    }
    this.#isFormatted = 'yes';
    const fault = this.quorum.find(await this.answer('load', disk.quorum.load()));
    if (fault !== null) this.fault(fault);
    const incarnation = await this.answer('beginIncarnation', disk.quorum.beginIncarnation());
    if (incarnation <= this.quorum.incarnation)
      this.fault(`incarnation ${incarnation} comes after ${this.quorum.incarnation}`);
    this.quorum.incarnation = incarnation;
  }

  async #writeSession(disk: Disk): Promise<void> {
    this.#epoch += 1;
    if (this.#hasSession === 'no') this.#hasSession = 'maybe';
    if (this.#isClean === 'yes') this.#isClean = 'maybe';
    const incarnation = await this.answer(
      'noteBrokerEpoch',
      disk.quorum.noteBrokerEpoch(this.#epoch),
    );
    this.quorum.incarnation = Math.max(this.quorum.incarnation, incarnation);
    await this.answer('writeSession', disk.writeSession(this.#epoch));
    this.#hasSession = 'yes';
    this.#isClean = 'no';
  }

  async #openPartition(
    partition: number,
    model: PartitionModel,
    stop: Stop,
  ): Promise<PartitionLog> {
    const draw = this.random.fork('log');
    const options = { segmentBytes: draw.pick([400, 900, 5000]), segmentMs: 3_600_000 };
    // Whatever is found damaged costs the session file.
    const hadSession = this.#hasSession;
    if (hadSession === 'yes') this.#hasSession = 'maybe';
    const log = await this.answer(
      `openPartition ${partition}`,
      this.#disk.openPartition(TOPIC, partition, options),
    );
    const { state, damage: told, snapshot, headers } = log.recovery;
    if (this.#damaged?.partition === partition) {
      await this.#readDamaged(log, model, this.#damaged);
      if (this.#damaged.isTold) return log;
      // After power loss the journal may say less than was synced: the start is lossy, which tells
      // it.
      if (stop === 'lost') model.syncedOffset = 0;
    }
    const frames = await this.answer('reading it all', readLog(log, draw));
    const found = {
      start: state.startOffset,
      startEpoch: state.startEpoch ?? 0,
      end: state.endOffset,
      frames,
      epochs: state.epochs,
      highWaterMark: state.highWaterMark,
      syncedOffset: state.syncedOffset,
      damageFrom: told?.fromOffset ?? null,
      snapshot,
      headers,
    };
    this.note(
      `partition ${partition} holds ${found.start} to ${found.end}, ${told?.reason ?? 'sound'}`,
    );
    if (told !== null) this.count('damage');
    this.#hasSession = told === null ? hadSession : 'no';
    const fault = model.find(found, stop);
    if (fault !== null) this.fault(`partition ${partition}: ${fault}`);
    return log;
  }

  /** Whatever is given out was written there, and what is not is told. */
  async #readDamaged(
    log: PartitionLog,
    model: PartitionModel,
    damaged: { isTold: boolean },
  ): Promise<void> {
    const { state } = log.recovery;
    this.note(`the damaged log holds ${state.startOffset} to ${state.endOffset}`);
    damaged.isTold = log.recovery.damage !== null;
    const known = new Map(
      model.asked.frames.map(({ header, bytes }) => [header.baseOffset, Buffer.from(bytes)]),
    );
    try {
      for (let offset = state.startOffset; offset < state.endOffset; ) {
        const read = await this.answer(
          'read',
          Promise.resolve(log.read(offset, state.endOffset, 1)),
        );
        const isWritten = framesOf(read).every(
          ({ header, bytes }) => known.get(header.baseOffset)?.equals(bytes) === true,
        );
        if (!isWritten) this.fault(`what is read at ${offset} is not what was written there`);
        offset = read.nextOffset;
      }
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'DATA_CORRUPT') throw error;
      damaged.isTold = true;
    }
  }

  async #stop(): Promise<void> {
    this.#relieve();
    this.note('orderly stop');
    this.count('stop');
    await this.settle();
    const mayBeClean = this.#hasSession === 'yes';
    if (mayBeClean) this.#isClean = 'maybe';
    await this.answer('markClean', this.#disk.markClean());
    if (mayBeClean) this.#isClean = this.#warnings.includes(UNSYNCED) ? 'maybe' : 'yes';
    await this.answer('close', this.#disk.close());
    this.#process?.kill();
    this.disk.crash();
  }

  async #until(isOver: () => boolean, what: string): Promise<void> {
    const process = this.#process;
    const isEnd = (): boolean => isOver() || this.#fault !== null || process?.isDead === true;
    const isEnded = await this.#time.run(isEnd, ANSWER_MS_MAX);
    if (this.#fault !== null) throw new WorldFault(this.#fault);
    if (isOver()) return;
    if (process?.isDead === true) throw new Ended();
    if (!isEnded) throw new WorldFault(`${what} was never answered`);
  }

  #setCrash({ operation, when, stop }: CrashPoint): void {
    const run = (): void => this.kill(stop);
    this.disk.faults.add({ number: operation, fault: { kind: 'crash', when, run } });
  }

  #logger(): { info(): void; warn(fields: object, message: string): void; error(): void } {
    const tell = (fields: object, message: string): void => {
      this.#warnings.push(message);
      this.note(`log: ${message} ${JSON.stringify(fields)}`);
    };
    return { info: () => {}, warn: tell, error: () => {} };
  }
}

function carryOut(log: PartitionLog, change: Change, keepAside: boolean): Promise<unknown> {
  switch (change.kind) {
    case 'append':
      return log.append(
        change.frames.map(({ bytes }) => bytes),
        change.frames.map(({ header }) => header),
      );
    case 'truncate':
      return log.truncate(change.offset, keepAside);
    case 'reset':
      return log.reset({
        offset: change.offset,
        epoch: change.epoch,
        retiredTo: change.offset,
      });
    case 'retire':
      return log.retire(change.offset, change.epoch);
  }
}

function describe(change: Change): string {
  if (change.kind !== 'append') return `to ${change.offset}`;
  const offsets = (frame: TestFrame): string =>
    `${frame.header.baseOffset}/${frame.header.leaderEpoch}`;
  return change.frames.map(offsets).join();
}
