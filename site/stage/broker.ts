/**
 * One broker of a run: what its disk holds, and, while its process lives, the real core of its one
 * replica. Drives the core as the runtime does; decides nothing.
 */
import { Partition } from '../../broker/replication/partition.ts';
import type { LogWrite, PartitionInput, PartitionOutput } from '../../broker/replication/types.ts';
import type { RestartClass } from '../../broker/metadata/types.ts';
import { ModelLog } from '../../test/sim/replication/model-log.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import { cellOf, controlHeader } from './batches.ts';
import type { LogSeen } from './picture.ts';
import type { Timeline } from './timeline.ts';

/** One start of a broker's process. */
export interface Process {
  readonly restartClass: RestartClass;
  /** Broker epoch in the session file that this start found. */
  readonly sessionEpoch: number;
  /** Of this start among those of its directory. */
  readonly start: { readonly id: string; readonly number: number };
  /** 0 until its registration was answered. */
  brokerEpoch: number;
  /** Index of the metadata that it has applied. */
  version: number;
  isStopping: boolean;
  partition: Partition | null;
}

interface Queued {
  readonly write: LogWrite;
  readonly headers: readonly BatchHeader[];
}

export interface BrokerWorld {
  readonly timeline: Timeline;
  /** What a step of the core had to say, once its writes are on their way. */
  output(broker: StageBroker, output: PartitionOutput): void;
  /** What a person called the batch of this checksum. */
  readonly nameOf: (crc: number) => string;
  /** So many batches have passed write(2). */
  wrote(batches: number): void;
}

const WRITE_MS = 5;
export const LAG_MS_MAX = 600;

export class StageBroker {
  readonly id: number;
  readonly disk = new ModelLog();
  process: Process | null = null;
  isPaused = false;
  directory = 1;
  readonly #world: BrokerWorld;
  /** What arrived while the process was paused. */
  #inbox: (() => void)[] = [];
  #queue: Queued[] = [];
  /** Batches of appends that have come, by request: a core may hold one for a while. */
  readonly #requests = new Map<number, BatchHeader>();
  #session: { readonly epoch: number; readonly boot: number } | null = null;
  #isClean = false;
  #boot = 1;
  #starts = 0;

  constructor(id: number, world: BrokerWorld) {
    this.id = id;
    this.#world = world;
  }

  get partition(): Partition | null {
    return this.process?.partition ?? null;
  }

  get isBusy(): boolean {
    return this.#queue.length > 0;
  }

  /** @returns the class that the disk shows (docs/rules.md#restart-classes) */
  start(): RestartClass {
    this.#starts += 1;
    const restartClass = this.#classOf();
    this.process = {
      restartClass,
      sessionEpoch: this.#session?.epoch ?? 0,
      start: { id: `${this.id}-${this.directory}-${this.#starts}`, number: this.#starts },
      brokerEpoch: 0,
      version: 0,
      isStopping: false,
      partition: null,
    };
    return restartClass;
  }

  /** Its registration was answered: from here on it is this incarnation. */
  registered(brokerEpoch: number): void {
    if (this.process === null) return;
    this.process.brokerEpoch = brokerEpoch;
    this.#session = { epoch: brokerEpoch, boot: this.#boot };
    this.#isClean = false;
    this.process.partition = new Partition(
      {
        self: this.id,
        selfEpoch: brokerEpoch,
        key: 'orders/0',
        lagMsMax: LAG_MS_MAX,
        appendsPendingMax: 100,
        nowMs: this.#world.timeline.nowMs,
      },
      this.disk.recover(),
      this.disk.producers(),
    );
  }

  /** The process ends, with what it had not written. */
  end(): void {
    this.process = null;
    this.isPaused = false;
    this.#queue = [];
    this.#inbox = [];
    this.#requests.clear();
  }

  /** An orderly stop has ended: everything is synced, and the disk says so. */
  endCleanly(): void {
    this.disk.synced = this.disk.end;
    this.#isClean = true;
    this.end();
  }

  /** The machine loses its power: what was not synced is gone. */
  losePower(): void {
    this.end();
    this.#boot += 1;
    this.disk.batches.length = this.disk.indexOf(this.disk.synced);
    this.disk.checkpoint = Math.min(this.disk.checkpoint, this.disk.end);
  }

  /** Another, empty disk stands in its place. */
  loseDisk(): void {
    this.end();
    this.directory += 1;
    this.#session = null;
    this.#isClean = false;
    this.#starts = 0;
    Object.assign(this.disk, new ModelLog());
  }

  /** Runs when the process does. */
  take(run: () => void): void {
    if (this.process === null) return;
    if (this.isPaused) this.#inbox.push(run);
    else run();
  }

  resume(): void {
    this.isPaused = false;
    const waiting = this.#inbox;
    this.#inbox = [];
    for (const run of waiting) run();
  }

  step(input: PartitionInput): void {
    const { partition } = this;
    if (partition === null) return;
    if (input.kind === 'append') this.#requests.set(input.requestId, input.header);
    const output = partition.step(input);
    for (const write of output.writes) this.#enqueue(write, this.#headersOf(write, input));
    this.#world.output(this, output);
  }

  /** The flush in the background (P3). */
  sync(): void {
    if (this.partition === null || this.isPaused) return;
    this.disk.checkpoint = Math.min(this.partition.readEnd(), this.disk.end);
    if (this.disk.synced === this.disk.end) return;
    this.disk.synced = this.disk.end;
    this.step({ kind: 'synced', offset: this.disk.synced });
  }

  seen(): LogSeen {
    const written = this.disk.held.map((header) => cellOf(header, true, this.#world.nameOf));
    const coming = this.#queue
      .flatMap(({ headers }) => headers)
      .map((header) => cellOf(header, false, this.#world.nameOf));
    return {
      title: '',
      start: this.disk.start,
      cells: [...written, ...coming],
      mark: this.partition?.status().highWaterMark ?? this.disk.checkpoint,
      synced: this.disk.synced,
    };
  }

  #classOf(): RestartClass {
    if (this.#session === null) return 'new';
    if (this.#isClean) return 'clean';
    return this.#session.boot === this.#boot ? 'warm' : 'lossy';
  }

  #headersOf(write: LogWrite, input: PartitionInput): readonly BatchHeader[] {
    if (write.kind === 'replicate' && input.kind === 'frames')
      return input.headers.slice(write.first, write.last);
    if (write.kind === 'control') return [controlHeader(write, this.id)];
    const header = write.kind === 'append' ? this.#requests.get(write.requestId) : undefined;
    if (write.kind !== 'append' || header === undefined) return [];
    return [{ ...header, baseOffset: write.baseOffset, leaderEpoch: write.leaderEpoch }];
  }

  #enqueue(write: LogWrite, headers: readonly BatchHeader[]): void {
    const queued = { write, headers };
    this.#queue.push(queued);
    const { process } = this;
    this.#world.timeline.after(WRITE_MS, () => {
      this.take(() => {
        if (process === this.process && this.#queue[0] === queued) this.#written(queued);
      });
    });
  }

  #written({ write, headers }: Queued): void {
    this.#queue.shift();
    this.disk.apply(write, headers);
    this.#world.wrote(headers.length);
    const { writeId, kind } = write;
    const endOffset = this.disk.end;
    this.step({ kind: 'written', writeId, ...(kind === 'truncate' && { endOffset }) });
  }
}
