/** What a broker does to its disk, drawn from a seed: the mix of actions of one process. */
import type { Random } from '../../../base/random.ts';
import type { PartitionLog } from '../../../broker/runtime/ports.ts';
import type { Entry, RaftWrite } from '../../../broker/raft/types.ts';
import { frame, framesOf } from '../../fixtures/frames.ts';
import type { TestFrame } from '../../fixtures/frames.ts';
import { endOf, endOfLog, nameOfContent } from './partition-model.ts';
import type { Change, PartitionModel } from './partition-model.ts';
import type { QuorumModel } from './quorum-model.ts';

/** One partition as the process has it. */
export interface OpenPartition {
  readonly partition: number;
  readonly model: PartitionModel;
  log: PartitionLog;
}

/** Where a script is carried out. */
export interface Stage {
  readonly quorum: QuorumModel;
  /** Asks for a change, and takes its answer into the model whenever it comes. */
  ask(open: OpenPartition, change: Change, keepAside?: boolean): void;
  askQuorum(writes: readonly RaftWrite[]): void;
  /** Waits for an answer. */
  answer<T>(what: string, work: Promise<T>): Promise<T>;
  sleep(ms: number): Promise<void>;
  /** Waits until everything that was asked is answered. */
  settle(): Promise<void>;
  reopen(open: OpenPartition): Promise<void>;
  /** Deletes it, and makes it again. */
  remake(open: OpenPartition): Promise<void>;
  /** The volume has room for so many bytes more, for a while. */
  squeeze(bytes: number, forMs: number): void;
  /** A rule is broken: the run ends at the next look. */
  fault(text: string): void;
}

type Action = (partition: OpenPartition) => void | Promise<void>;

export class Script {
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #hasStrikes: boolean;
  /** Weights and actions. */
  readonly #actions: readonly (readonly [number, Action])[];
  /** Every frame has a timestamp of its own, which names it. */
  #timestamp = 1_700_000_000_000;
  #writeId = 0;
  #term = 1;

  /** @param hasStrikes it deletes partitions, and fills the volume */
  constructor(stage: Stage, random: Random, hasStrikes: boolean) {
    this.#stage = stage;
    this.#random = random;
    this.#hasStrikes = hasStrikes;
    const strikes: readonly (readonly [number, Action])[] = [
      [2, (open) => this.#remake(open)],
      [2, () => this.#squeeze()],
    ];
    this.#actions = [
      [40, (open) => this.#append(open)],
      [5, (open) => this.#truncate(open)],
      [2, (open) => this.#reset(open)],
      [5, (open) => this.#retire(open)],
      [5, (open) => this.#saveSnapshot(open)],
      [6, (open) => this.#noteHighWaterMark(open)],
      [8, (open) => this.#read(open)],
      [3, (open) => this.#findTime(open)],
      [2, (open) => this.#headers(open)],
      [14, () => this.#writeQuorum()],
      [12, () => this.#stage.sleep(random.below(20))],
      [3, () => this.#stage.sleep(random.below(4000))],
      [8, () => this.#stage.settle()],
      [2, (open) => this.#reopen(open)],
      ...(hasStrikes ? strikes : []),
    ];
  }

  async run(partitions: readonly OpenPartition[], steps: number): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      await this.#draw()(this.#random.pick(partitions));
      await this.#stage.sleep(this.#random.below(3));
    }
  }

  appendToEach(partitions: readonly OpenPartition[]): void {
    for (const open of partitions) this.#append(open);
  }

  /** Every kind of change in a fixed order, for runs that end at each of its file calls in turn. */
  async runOnce(open: OpenPartition): Promise<void> {
    const append = (): void => this.#append(open);
    const settle = (): Promise<void> => this.#stage.settle();
    const quorum = this.#stage.quorum;
    const steps: readonly Action[] = [
      append,
      append,
      () => this.#stage.sleep(60),
      append,
      settle,
      () => this.#saveSnapshot(open),
      () => this.#noteHighWaterMark(open),
      () => this.#askEntries(),
      () => this.#truncate(open),
      append,
      () => this.#takeSnapshot(quorum.lastIndex),
      settle,
      () => this.#retire(open),
      append,
      () => this.#reopen(open),
      append,
      () => this.#reset(open),
      append,
      () => this.#stage.sleep(60),
    ];
    for (const step of steps) await step(open);
  }

  #draw(): Action {
    let total = 0;
    for (const [weight] of this.#actions) total += weight;
    let left = this.#random.below(total);
    for (const [weight, action] of this.#actions) {
      if (left < weight) return action;
      left -= weight;
    }
    throw new Error('weights must add up');
  }

  #append(open: OpenPartition): void {
    const { model, partition } = open;
    if (this.#random.chance(0.1)) model.epoch += 1;
    let offset = endOfLog(model.asked);
    const frames: TestFrame[] = [];
    for (let count = 1 + this.#random.below(3); count > 0; count -= 1) {
      this.#timestamp += 1 + this.#random.below(1000);
      const next = frame(offset, {
        records: 1 + this.#random.below(5),
        payloadBytes: this.#random.pick([0, 30, 200, 3000]),
        epoch: model.epoch,
        timestampMs: this.#timestamp,
        partition,
        fill: this.#random.below(256),
      });
      frames.push(next);
      offset = endOf(next);
    }
    this.#stage.ask(open, { kind: 'append', frames });
  }

  #truncate(open: OpenPartition): void {
    const offset = this.#boundary(open);
    // What replaces the cut is of a later epoch.
    open.model.epoch += 1;
    this.#stage.ask(open, { kind: 'truncate', offset }, this.#random.chance(0.2));
  }

  #reset(open: OpenPartition): void {
    const epoch = open.model.epoch;
    open.model.epoch += 1;
    const log = open.model.asked;
    const offset = this.#random.chance(0.5)
      ? endOfLog(log) + this.#random.below(100)
      : this.#boundary(open);
    this.#stage.ask(open, { kind: 'reset', offset, epoch });
  }

  async #retire(open: OpenPartition): Promise<void> {
    // What is refused for want of space has no offset that could be retired.
    if (this.#hasStrikes) await this.#stage.settle();
    const sealed = open.log.segments().slice(0, -1);
    const isSealed = sealed.length > 0 && this.#random.chance(0.5) && open.model.isQuiet;
    const offset = isSealed
      ? sealed[this.#random.below(sealed.length)]!.endOffset
      : this.#boundary(open);
    const { frames, startEpoch } = open.model.asked;
    const last = frames.findLast((found) => endOf(found) <= offset);
    const epoch = last?.header.leaderEpoch ?? startEpoch;
    this.#stage.ask(open, { kind: 'retire', offset, epoch });
  }

  /** Where a frame of the log begins, or its end. */
  #boundary({ model }: OpenPartition): number {
    const log = model.asked;
    const offsets = [log.start, ...log.frames.map(endOf)];
    // Nearer to the end more often.
    const back = Math.floor(
      (offsets.length * this.#random.below(100) * this.#random.below(100)) / 10_000,
    );
    return offsets[offsets.length - 1 - back]!;
  }

  #saveSnapshot({ log, model }: OpenPartition): void {
    if (!model.isQuiet) return;
    const offset = endOfLog(model.settled);
    const epoch = model.settled.frames.at(-1)?.header.leaderEpoch ?? 0;
    log.saveSnapshot(offset, epoch, nameOfContent(model.settled, offset));
  }

  #noteHighWaterMark({ log, model }: OpenPartition): void {
    if (!model.isQuiet) return;
    // It falls with a cut alone (rule 6).
    const from = Math.max(model.settled.start, model.highWaterMarkMax);
    const offset = from + this.#random.below(endOfLog(model.settled) - from + 1);
    model.highWaterMarkMax = offset;
    log.noteHighWaterMark(offset);
  }

  async #read(open: OpenPartition): Promise<void> {
    const { log, model } = open;
    if (!model.isQuiet) return;
    const { settled } = model;
    const end = endOfLog(settled);
    if (end === settled.start) return;
    const from = settled.start + this.#random.below(end - settled.start);
    const upTo = from + 1 + this.#random.below(end - from);
    const bytesMax = this.#random.pick([1, 300, 1 << 20]);
    const read = await this.#stage.answer('read', Promise.resolve(log.read(from, upTo, bytesMax)));
    const expected = settled.frames.filter((found) => endOf(found) > from && endOf(found) <= upTo);
    const found = framesOf(read);
    const isSame = found.every(
      ({ bytes }, index) => Buffer.compare(bytes, expected[index]?.bytes ?? Buffer.of()) === 0,
    );
    if (!isSame || (found.length === 0 && expected.length > 0))
      this.#stage.fault(
        `a read of partition ${open.partition} from ${from} to ${upTo} gave ${found.map(({ header }) => header.baseOffset).join()} instead of ${expected.map(({ header }) => header.baseOffset).join()}`,
      );
  }

  async #findTime({ log, model, partition }: OpenPartition): Promise<void> {
    const { settled } = model;
    const target = settled.frames[this.#random.below(settled.frames.length + 1)];
    if (!model.isQuiet || target === undefined) return;
    const timestampMs = target.header.maxTimestampMs - this.#random.below(2);
    const found = await this.#stage.answer(
      'offsetForTimestamp',
      log.offsetForTimestamp(timestampMs, endOfLog(settled)),
    );
    const expected = settled.frames.find(({ header }) => header.maxTimestampMs >= timestampMs);
    if (found !== (expected?.header.baseOffset ?? null))
      this.#stage.fault(
        `timestamp ${timestampMs} of partition ${partition} is found at ${String(found)}, is at ${expected?.header.baseOffset ?? 'none'}`,
      );
  }

  async #headers({ log, model, partition }: OpenPartition): Promise<void> {
    const { settled } = model;
    if (!model.isQuiet || settled.frames.length === 0) return;
    const headers = await this.#stage.answer('headers', log.headers(settled.start));
    const offsets = headers.map(({ baseOffset }) => baseOffset).join();
    const expected = settled.frames.map(({ header }) => header.baseOffset).join();
    if (offsets !== expected)
      this.#stage.fault(`headers of partition ${partition} are ${offsets}, must be ${expected}`);
  }

  async #reopen(open: OpenPartition): Promise<void> {
    await this.#stage.settle();
    await this.#stage.reopen(open);
  }

  async #remake(open: OpenPartition): Promise<void> {
    await this.#stage.settle();
    await this.#stage.remake(open);
  }

  #squeeze(): void {
    const bytes = this.#random.pick([0, 3_000, 20_000]);
    this.#stage.squeeze(bytes, this.#random.pick([20, 200, 3_000]));
  }

  #writeQuorum(): void {
    const { quorum } = this.#stage;
    const draw = this.#random.below(10);
    const { firstIndex, lastIndex } = quorum;
    if (draw < 3) this.#askVote();
    else if (draw === 3 && lastIndex >= firstIndex)
      this.#takeSnapshot(firstIndex + this.#random.below(lastIndex - firstIndex + 1));
    else this.#askEntries();
  }

  #askVote(): void {
    this.#term += 1;
    const hardState = { term: this.#term, vote: null };
    this.#stage.askQuorum([{ id: this.#nextId(), kind: 'hard-state', hardState }]);
  }

  #takeSnapshot(index: number): void {
    const term = this.#stage.quorum.entry(index)?.term ?? 0;
    const snapshot = { index, term, voters: [], data: `image ${index}` };
    const keepSuffix = this.#random.chance(0.7);
    this.#stage.askQuorum([{ id: this.#nextId(), kind: 'snapshot', snapshot, keepSuffix }]);
  }

  #askEntries(): void {
    this.#stage.askQuorum([this.#appendEntries(this.#nextId())]);
  }

  #nextId(): number {
    this.#writeId += 1;
    return this.#writeId;
  }

  /** At the end, or in place of the last few. */
  #appendEntries(id: number): RaftWrite {
    const { quorum } = this.#stage;
    const back = this.#random.chance(0.2) ? this.#random.below(3) : 0;
    const firstIndex = Math.max(quorum.firstIndex, quorum.lastIndex + 1 - back);
    const entries: Entry[] = [];
    for (let count = 1 + this.#random.below(3); count > 0; count -= 1) {
      const index = firstIndex + entries.length;
      const data = 'x'.repeat(this.#random.pick([5, 100, 5000]));
      entries.push({ index, term: this.#term, kind: 'data', data });
    }
    return { id, kind: 'append', firstIndex, entries };
  }
}
