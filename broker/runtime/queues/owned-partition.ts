/**
 * Drives the core of one partition of a queue, for one leadership of the log that keeps its state:
 * what it writes goes there, what it reads and buries is done by whoever reaches other partitions.
 * `broker/queues/types.ts` says what the core is owed.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import { QUEUE_DELTAS_MAX, QUEUE_WINDOW_RECORDS } from '../../../base/limits.ts';
import { queueConfigOf } from '../../../base/queues.ts';
import type { Offset, WallMs } from '../../../base/units.ts';
import type { QueueDefinition } from '../../metadata/types.ts';
import { placeKey } from '../../queues/fold.ts';
import { QueuePartition } from '../../queues/queue-partition.ts';
import type {
  Acknowledgement,
  Delivery,
  LetterTask,
  Outcome,
  QueueBatch,
  QueueFact,
  QueueInput,
  QueuePlace,
  QueueReply,
} from '../../queues/types.ts';
import type { OwnedQueue, OwnedReport, QueueReading, QueueWorld } from '../api.ts';
import { StepQueue } from '../step-queue.ts';
import type { QueuesLog } from './queues-log.ts';

/** Pause before the place where a queue is to begin is asked for again. */
const BEGIN_AGAIN_MS = 500;
/** Parked records that a report names. */
const PARKED_NAMED_MAX = 100;

export interface OwnedParts {
  readonly log: QueuesLog;
  readonly clock: Clock;
  readonly world: QueueWorld;
  /** Null: the clock is not trusted. */
  readonly wallMs: () => WallMs | null;
  readonly onFact: OnFact;
}

type Answer = (reply: QueueReply | BrokerError) => void;

export class OwnedPartition implements OwnedQueue {
  readonly place: QueuePlace;
  readonly epoch: number;
  readonly #parts: OwnedParts;
  readonly #core: QueuePartition;
  readonly #inputs = new StepQueue<QueueInput>((input) => {
    this.#step(input);
  });
  readonly #answers = new Map<number, Answer>();
  #definition: QueueDefinition;
  #reading: QueueReading | null = null;
  #nextRequestId = 1;
  #hasBegun: boolean;
  #isHeard = false;
  #cancelBegin: Cancel = () => {};

  constructor(definition: QueueDefinition, partition: number, parts: OwnedParts) {
    const { queueId: queue, topicId, config } = definition;
    this.place = { queue, topicId, partition };
    this.epoch = parts.log.epoch;
    this.#parts = parts;
    this.#definition = definition;
    const state = parts.log.image().queues.get(placeKey(this.place)) ?? null;
    this.#hasBegun = state !== null;
    this.#core = new QueuePartition(this.place, state, {
      ...{ epoch: this.epoch, config: queueConfigOf(config), nowMs: parts.clock.monotonicMs() },
      ...{ deltasMax: QUEUE_DELTAS_MAX, windowRecords: QUEUE_WINDOW_RECORDS },
    });
    this.#reading = parts.world.read(this.place, (input) => {
      this.#inputs.push(input);
    });
    this.heard(true);
    if (!this.#hasBegun) void this.#begin();
  }

  get definition(): QueueDefinition {
    return this.#definition;
  }

  /** Its queue may have been changed. */
  configure(definition: QueueDefinition): void {
    if (definition.config === this.#definition.config) return;
    this.#definition = definition;
    this.#inputs.push({ kind: 'config', config: queueConfigOf(definition.config) });
  }

  /** Whether the controller hears this broker. */
  heard(isHeard: boolean): void {
    if (isHeard === this.#isHeard) return;
    this.#isHeard = isHeard;
    this.#inputs.push({ kind: 'heard', isHeard });
  }

  tick(): void {
    const { clock, wallMs } = this.#parts;
    this.#inputs.push({ kind: 'tick', nowMs: clock.monotonicMs(), wallMs: wallMs() });
  }

  /** Another owns it, or it is gone. */
  close(): void {
    this.#inputs.close();
    this.#cancelBegin();
    this.#reading?.close();
    const error = new BrokerError(
      'OUTCOME_UNKNOWN',
      'The owner of the queue lost its role before the change was committed',
    );
    for (const answer of [...this.#answers.values()]) answer(error);
    this.#answers.clear();
  }

  // What the service asks: OwnedQueue

  ask(memberId: string, records: number, bytes: number): ReturnType<OwnedQueue['ask']> {
    const requestId = this.#nextRequestId++;
    const done = this.#request(requestId, { kind: 'ask', requestId, memberId, records, bytes });
    return {
      done: done.then((reply) => (reply.kind === 'records' ? reply.deliveries : NONE)),
      withdraw: () => {
        this.#inputs.push({ kind: 'withdraw', requestId });
      },
      cancel: () => {
        this.#answers.delete(requestId);
        this.#inputs.push({ kind: 'cancel', requestId });
      },
    };
  }

  async settle(
    memberId: string,
    acknowledgements: readonly Acknowledgement[],
  ): Promise<readonly Outcome[]> {
    const requestId = this.#nextRequestId++;
    const reply = await this.#request(requestId, {
      ...{ kind: 'acknowledge', requestId, memberId, acknowledgements },
    });
    return reply.kind === 'acknowledged' ? reply.outcomes : [];
  }

  memberGone(memberId: string): void {
    this.#inputs.push({ kind: 'member-gone', memberId });
  }

  missing(records: Parameters<OwnedQueue['missing']>[0]): void {
    this.#inputs.push({ kind: 'missing', records });
  }

  async freeKey(offset: Offset): Promise<void> {
    const requestId = this.#nextRequestId++;
    await this.#request(requestId, { kind: 'free-key', requestId, offset });
  }

  report(): OwnedReport {
    const { queues } = this.#parts.log.image();
    const entries = queues.get(placeKey(this.place))?.entries ?? [];
    const parked = entries.filter(({ kind }) => kind === 'parked').map(({ offset }) => offset);
    return {
      ...this.#core.describe(),
      hasBegun: this.#hasBegun,
      floor: this.#core.floor,
      parkedOffsets: parked.slice(0, PARKED_NAMED_MAX),
    };
  }

  // Parts

  #request(requestId: number, input: QueueInput): Promise<QueueReply> {
    return new Promise((resolve, reject) => {
      if (this.#inputs.isClosed) {
        reject(new BrokerError('NOT_LEADER', 'This broker does not own the queue any more'));
        return;
      }
      this.#answers.set(requestId, (reply) => {
        if (reply instanceof BrokerError) reject(reply);
        else resolve(reply);
      });
      this.#inputs.push(input);
    });
  }

  #step(input: QueueInput): void {
    const { batch, replies, task, facts } = this.#core.step(input);
    for (const { requestId, reply } of replies) {
      const answer = this.#answers.get(requestId);
      this.#answers.delete(requestId);
      answer?.(reply);
    }
    for (const fact of facts) this.#tell(fact);
    if (batch !== null) void this.#write(batch);
    if (task !== null) void this.#bury(task);
    this.#reading?.want(this.#core.wanted, this.#core.position);
  }

  async #write({ epoch, batchId, records }: QueueBatch): Promise<void> {
    const { log } = this.#parts;
    try {
      await log.propose({
        subject: placeKey(this.place),
        judge: () => {
          // It waited for its turn, and counts in its own leadership alone.
          if (log.epoch !== epoch)
            throw new BrokerError('NOT_LEADER', 'Another leadership began before the change');
          return records;
        },
      });
      this.#hasBegun = true;
      this.#inputs.push({ kind: 'committed', epoch, batchId });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#inputs.push({ kind: 'lost', epoch, batchId, error });
    }
  }

  async #bury(task: LetterTask): Promise<void> {
    const result = await this.#parts.world.bury(this.#definition, this.place, task);
    this.#inputs.push({ kind: 'letter', taskId: task.taskId, result });
  }

  /** Finds where it begins. Partitions that came later begin at their first record. */
  async #begin(): Promise<void> {
    const { clock, world } = this.#parts;
    const { topicId, partition } = this.place;
    const { isFromLatest, partitionsAtFirst } = this.#definition;
    if (!isFromLatest || partition >= partitionsAtFirst) {
      this.#inputs.push({ kind: 'begin', offset: 0, epoch: 0 });
      return;
    }
    const end = await world.end(topicId, partition);
    if (this.#inputs.isClosed) return;
    if (end !== null) this.#inputs.push({ kind: 'begin', ...end });
    else
      this.#cancelBegin = clock.after(BEGIN_AGAIN_MS, () => {
        void this.#begin();
      });
  }

  #tell(fact: QueueFact): void {
    const { onFact } = this.#parts;
    const about = { queue: this.#definition.name, partition: this.place.partition };
    if (fact.kind === 'retired' || fact.kind === 'superseded' || fact.kind === 'unreadable')
      onFact('queue-records-gone', { ...about, cause: fact.kind, records: fact.records });
    else if (fact.kind === 'diverged')
      onFact('queue-diverged', { ...about, offset: fact.offset, records: fact.open });
    else if (fact.kind === 'died')
      onFact('queue-record-died', { ...about, offset: fact.offset, cause: fact.cause });
  }
}

const NONE: readonly Delivery[] = [];
