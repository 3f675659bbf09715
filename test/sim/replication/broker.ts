/**
 * One simulated broker: drives the core as the runtime does, with a disk that takes its time. A
 * start makes a new generation.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import type { Random } from '../../../base/random.ts';
import { Partition } from '../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../broker/replication/producers.ts';
import type {
  Assignment,
  LogWrite,
  PartitionInput,
  PartitionOutput,
} from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { Observed } from './checkers.ts';
import { rewrite } from './rewrite.ts';
import { ModelLog } from './model-log.ts';
import type { Scheduler } from './scheduler.ts';

/** What a broker needs of the world around it. */
export interface BrokerWorld {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly lagMsMax: number;
  /** Chance that a step saves the high-water mark. */
  readonly checkpointChance: number;
  output(broker: ModelBroker, output: PartitionOutput): void;
}

/** Writes that wait for each other; more than that go out at once. */
const QUEUE_SLOW_MAX = 8;

interface QueuedWrite {
  readonly write: LogWrite;
  readonly headers: readonly BatchHeader[];
}

export class ModelBroker implements Observed {
  readonly id: number;
  readonly disk = new ModelLog();
  /** The log with everything that the core has emitted, written or not. */
  emitted = new ModelLog();
  readonly #world: BrokerWorld;
  partition: Partition | null = null;
  incarnation = 0;
  generation = 0;
  isUp = false;
  hasUnreportedLoss = false;
  hasQuietLoss = false;
  lostIn = -1;
  assignment: Assignment | null = null;
  /** Version of the image applied last. */
  version = 0;
  readonly requests = new Map<number, BatchHeader>();
  #queue: QueuedWrite[] = [];
  #producers = new ProducerTable({ producersMax: 1, nowMs: 0 });
  #mustRebuild = false;
  #compacting: CompactionOrder | null = null;

  constructor(id: number, world: BrokerWorld) {
    this.id = id;
    this.#world = world;
  }

  open(incarnation: number): void {
    this.incarnation = incarnation;
    this.version = 0;
    this.assignment = null;
    this.#producers = this.disk.producers();
    this.emitted = this.disk.copy();
    this.partition = new Partition(
      {
        self: this.id,
        selfEpoch: incarnation,
        key: 'topic/0',
        lagMsMax: this.#world.lagMsMax,
        appendsPendingMax: 64,
        nowMs: this.#world.scheduler.nowMs,
      },
      this.disk.recover(),
      this.#producers,
    );
    this.hasUnreportedLoss = false;
  }

  /**
   * @param loss what the disk loses; nobody is told of a quiet loss when the broker registers again
   */
  crash(loss: {
    readonly suffix: boolean;
    readonly beginning: boolean;
    readonly isQuiet: boolean;
  }): void {
    const { random } = this.#world;
    this.generation += 1;
    this.isUp = false;
    this.partition = null;
    this.requests.clear();
    // The write that was running may be torn: whole frames of it stay, the incomplete last one is
    // cut.
    const running = this.#queue[0];
    const isDone = running !== undefined && (running.headers.length > 0 || random.chance(0.5));
    if (isDone)
      this.disk.apply(
        running.write,
        running.headers.slice(0, random.below(running.headers.length + 1)),
      );
    this.#queue = [];
    this.#mustRebuild = false;
    if (loss.suffix) this.disk.loseSuffix(random);
    if (loss.beginning) this.disk.loseBeginning(random);
    if (loss.suffix || loss.beginning) this.lostIn = this.incarnation;
    if (!loss.isQuiet && (loss.suffix || loss.beginning)) this.hasUnreportedLoss = true;
  }

  assign(assignment: Assignment, version: number): void {
    this.version = version;
    this.assignment = assignment;
    this.step({ kind: 'assign', assignment });
  }

  step(input: PartitionInput): void {
    const { partition } = this;
    if (partition === null) return;
    const output = partition.step(input);
    if (output.rebuildProducers) this.#mustRebuild = true;
    if (output.compaction !== null) this.#compact(output.compaction);
    for (const write of output.writes) {
      const headers = this.#headersOf(write, input);
      this.emitted.apply(write, headers);
      this.#enqueue(write, headers);
    }
    if (this.#world.random.chance(this.#world.checkpointChance))
      this.disk.checkpoint = Math.min(partition.readEnd(), this.disk.end);
    this.#world.output(this, output);
  }

  /** Journals the order, then rewrites the log in parts, oldest first; a newer order ends it. */
  #compact(order: CompactionOrder): void {
    const { scheduler, random } = this.#world;
    const { generation } = this;
    const { cuts } = this.disk;
    const parts = [random.below(100), random.below(100)].sort((a, b) => a - b);
    this.#compacting = order;
    const next = (run: () => void): void => {
      scheduler.after(1 + random.below(random.chance(0.1) ? 600 : 30), () => {
        const isOver =
          generation !== this.generation || cuts !== this.disk.cuts || this.#compacting !== order;
        if (!isOver) run();
      });
    };
    const rewriteNext = (): void => {
      const part = (parts.shift() ?? 100) / 100;
      rewrite(this.disk, order, Math.floor(this.disk.batches.length * part));
      if (part < 1) next(rewriteNext);
      else this.step({ kind: 'compacted', order });
    };
    next(() => {
      if (order.upTo > this.disk.synced)
        throw new Error(`compacts to ${order.upTo}, and ${this.disk.synced} is synced`);
      this.disk.compacted = order;
      next(rewriteNext);
    });
  }

  sync(): void {
    this.disk.synced = this.disk.end;
    this.step({ kind: 'synced', offset: this.disk.synced });
  }

  /** Where the log will end is known to the disk alone. */
  get isCutting(): boolean {
    return this.#queue.some(({ write }) => write.kind === 'truncate');
  }

  #headersOf(write: LogWrite, input: PartitionInput): readonly BatchHeader[] {
    if (write.kind === 'replicate' && input.kind === 'frames')
      return input.headers.slice(write.first, write.last);
    if (write.kind === 'control') return [controlHeader(write, this.incarnation)];
    if (write.kind !== 'append') return [];
    const header = this.requests.get(write.requestId) as BatchHeader;
    return [{ ...header, baseOffset: write.baseOffset, leaderEpoch: write.leaderEpoch }];
  }

  #enqueue(write: LogWrite, headers: readonly BatchHeader[]): void {
    this.#queue.push({ write, headers });
    if (this.#queue.length === 1) this.#startWrite();
  }

  #startWrite(): void {
    const { scheduler, random } = this.#world;
    const { generation } = this;
    // What queued behind a slow write goes out together.
    const delayMs = random.chance(0.01)
      ? random.below(400)
      : this.#queue.length > QUEUE_SLOW_MAX
        ? 0
        : random.below(4);
    scheduler.after(delayMs, () => {
      if (generation === this.generation) this.#finishWrite();
    });
  }

  #finishWrite(): void {
    const done = this.#queue.shift();
    if (done === undefined) return;
    this.disk.apply(done.write, done.headers);
    if (this.#queue.length > 0) this.#startWrite();
    if (this.#mustRebuild && done.write.kind === 'truncate') {
      this.#producers.rebuild(this.disk.held, this.disk.start);
      this.#mustRebuild = false;
    }
    const { writeId, kind } = done.write;
    this.step({
      kind: 'written',
      writeId,
      ...(kind === 'truncate' && { endOffset: this.disk.end }),
    });
  }
}

function controlHeader(
  write: Extract<LogWrite, { kind: 'control' }>,
  incarnation: number,
): BatchHeader {
  const { baseOffset, leaderEpoch, dataEnd, trimTo, compaction } = write;
  return {
    dataEnd,
    trimTo,
    compaction,
    baseOffset,
    leaderEpoch,
    length: 100,
    leaderCrc: 0,
    // Two brokers that open one epoch must differ in the checkers' eyes.
    crc: 1_000_000_000 + leaderEpoch * 10_000 + incarnation,
    codec: 0,
    isControl: true,
    isSparse: false,
    lastOffsetDelta: 0,
    recordCount: 1,
    baseSequence: 0xffff_ffff,
    baseTimestampMs: 0,
    maxTimestampMs: 0,
    producerId: 0,
    producerEpoch: 0,
  };
}
