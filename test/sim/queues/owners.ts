/**
 * The log of one partition of `__queues`, and whoever owns a queue by it: the present leader, and
 * an earlier one that may not know yet that it is none. A batch of the leader is committed or lost;
 * of an earlier one what was under way may be committed before the next leader begins, and never
 * later. Beside each owner runs a twin that writes all there is in every batch: both fold to the
 * same.
 */
import { isDeepStrictEqual } from 'node:util';
import { BrokerError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import {
  emptyQueues,
  fold,
  placeKey,
  type QueuesImage,
  type QueueState,
} from '../../../broker/queues/fold.ts';
import { QueuePartition } from '../../../broker/queues/queue-partition.ts';
import { decodeRecord, encodeRecord } from '../../../broker/queues/records.ts';
import { recordsOf } from '../../../broker/queues/fold.ts';
import type {
  QueueBatch,
  QueueConfig,
  QueueInput,
  QueueOutput,
  StoredRecord,
} from '../../../broker/queues/types.ts';

export const PLACE = { queue: 'jobs', topicId: 'orders', partition: 3 };
const STATE_BYTES_MAX = 16 * 1024;

export interface Owner {
  readonly core: QueuePartition;
  readonly twin: QueuePartition;
  readonly epoch: number;
  readonly beganMs: number;
  underWay: QueueBatch | null;
  twinUnderWay: QueueBatch | null;
  isHeard: boolean;
  isReading: boolean;
}

export interface OwnersParts {
  readonly random: Random;
  readonly config: () => QueueConfig;
  readonly windowRecords: number;
  readonly onOutput: (output: QueueOutput, from: Owner) => void;
  /** Before and after a batch is folded. */
  readonly onCommitted: (before: QueueState | null, after: QueueState) => void;
}

export class Owners {
  readonly #parts: OwnersParts;
  /** Committed records. */
  readonly log: StoredRecord[] = [];
  #image: QueuesImage = emptyQueues();
  present!: Owner;
  former: Owner | null = null;
  #epoch = 0;
  batches = 0;
  /** Whether leases are stored, and what twins must agree in. */
  isExact = true;

  constructor(parts: OwnersParts) {
    this.#parts = parts;
  }

  get state(): QueueState | null {
    return this.#image.queues.get(placeKey(PLACE)) ?? null;
  }

  /** Another leader, which knows nothing but the log. */
  failOver(nowMs: number): void {
    const former = this.present as Owner | undefined;
    if (former?.underWay != null && this.#parts.random.chance(0.5)) {
      const before = this.state;
      this.#append(former.underWay.records);
      this.#parts.onCommitted(before, this.state!);
    }
    this.former = former ?? null;
    this.#epoch += 1;
    this.#image = this.#folded();
    const options = {
      ...{ epoch: this.#epoch, config: this.#parts.config(), nowMs },
      windowRecords: this.#parts.windowRecords,
    };
    const deltasMax = this.#parts.random.pick([1, 5, 500]);
    this.present = {
      core: new QueuePartition(PLACE, this.state, { ...options, deltasMax }),
      twin: new QueuePartition(PLACE, this.state, { ...options, deltasMax: 0 }),
      epoch: this.#epoch,
      beganMs: nowMs,
      underWay: null,
      twinUnderWay: null,
      isHeard: false,
      isReading: false,
    };
    this.step(this.present, { kind: 'heard', isHeard: true });
  }

  step(owner: Owner, input: QueueInput): void {
    if (input.kind === 'heard') owner.isHeard = input.isHeard;
    const output = owner.core.step(input);
    const twin = owner.twin.step(input);
    const { batch: _, ...same } = output;
    const { batch: __, ...twins } = twin;
    if (!isDeepStrictEqual(same, twins)) throw new Error('an owner and its twin differ');
    if (output.batch !== null) {
      if (owner.underWay !== null) throw new Error('two batches are under way');
      if (!owner.isHeard) throw new Error('an owner that is not heard writes');
      owner.underWay = output.batch;
      owner.twinUnderWay = twin.batch;
    }
    this.#parts.onOutput(output, owner);
  }

  /** The batch of the leader is committed, and every replica folds it. */
  commit(): void {
    const { present } = this;
    const { underWay, twinUnderWay } = present;
    if (underWay === null) return;
    present.underWay = present.twinUnderWay = null;
    const before = this.state;
    const twinImage: QueuesImage = { queues: new Map(this.#image.queues) };
    this.#append(underWay.records);
    for (const record of twinUnderWay!.records) fold(twinImage, decodeRecord(record));
    this.#compare(this.state!, twinImage.queues.get(placeKey(PLACE))!);
    this.#parts.onCommitted(before, this.state!);
    this.step(present, {
      ...{ kind: 'committed', epoch: underWay.epoch, batchId: underWay.batchId },
    });
  }

  /** The leader's append is refused, which is certain. */
  refuse(): void {
    const { present } = this;
    if (present.underWay === null) return;
    const { epoch, batchId } = present.underWay;
    present.underWay = present.twinUnderWay = null;
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'refused by the walk');
    this.step(present, { kind: 'lost', epoch, batchId, error });
  }

  /** An earlier leader learns that it is none. */
  loseFormer(): void {
    const { former } = this;
    if (former?.underWay == null) return;
    const { epoch, batchId } = former.underWay;
    former.underWay = former.twinUnderWay = null;
    const error = new BrokerError('STALE_EPOCH', 'another leads');
    this.step(former, { kind: 'lost', epoch, batchId, error });
  }

  #append(records: readonly StoredRecord[]): void {
    this.batches += 1;
    for (const record of records) {
      const kind = record.key.startsWith('["dying"') ? 'dying' : 'state';
      if (kind === 'state' && (record.value?.length ?? 0) > STATE_BYTES_MAX)
        throw new Error(`a state record has ${String(record.value?.length)} bytes`);
      const read = decodeRecord(record);
      if (!isDeepStrictEqual(encodeRecord(read), record))
        throw new Error(`record ${record.key} does not read as it was written`);
      this.log.push(record);
      fold(this.#image, read);
    }
    // Replicas may begin at any snapshot.
    const { state } = this;
    if (state === null) return;
    const again = emptyQueues();
    for (const record of recordsOf(state)) fold(again, record);
    const copy = again.queues.get(placeKey(PLACE));
    if (!isDeepStrictEqual({ ...copy, deltas: 0 }, { ...state, deltas: 0 }))
      throw new Error('a snapshot is not what it was made of');
  }

  #folded(): QueuesImage {
    const image = emptyQueues();
    for (const record of this.log) fold(image, decodeRecord(record));
    if (!isDeepStrictEqual(image, this.#image)) throw new Error('a fold is not what was folded');
    return image;
  }

  /** Deltas fold to what the owner has: leases that are over, and are not told, aside. */
  #compare(state: QueueState, twin: QueueState): void {
    const plain = ({ next, history, entries, dying }: QueueState): object => ({
      ...{ next, history, dying: [...dying].toSorted(([a], [b]) => a - b) },
      entries: entries.map(({ offset, epoch, kind, deliveries }) => [
        ...[offset, epoch, kind === 'leased' ? 'waiting' : kind],
        this.isExact ? deliveries : 0,
      ]),
    });
    if (!isDeepStrictEqual(plain(state), plain(twin)))
      throw new Error(
        `folded are ${JSON.stringify(plain(state))}, the owner has ${JSON.stringify(plain(twin))}`,
      );
  }
}
