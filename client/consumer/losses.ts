/** Loss ranges on a reader's way: which are told before what, and the errors that tell of them. */
import { TidemarkError } from '../errors.ts';
import type { LossRange } from '../losses.ts';
import { type DeletionMarks, missedDeletions } from './deletions.ts';
import type { Reader } from './partition-reader.ts';
import type { ReadOptions } from './types.ts';

/** A range that waits to be handed out, with the position behind it. */
export interface ReadLoss {
  readonly kind: 'loss';
  readonly loss: LossRange;
  readonly endOffset: number;
  /** 0: the position is one of which nothing is known. */
  readonly leaderEpoch: number;
}

/** What one topic's readers tell of losses, as the policy has it. */
export class Losses {
  readonly #topic: string;
  readonly #isYielding: boolean;
  readonly #isPassing: boolean;
  readonly #fail: (error: TidemarkError) => void;
  #queue: ReadLoss[] = [];

  /** `fail` is called with what the policy has thrown. */
  constructor(
    {
      topic,
      onLoss = 'throw',
      onDeletionsMissed = 'throw',
    }: Pick<ReadOptions, 'onLoss' | 'onDeletionsMissed'> & { readonly topic: string },
    fail: (error: TidemarkError) => void,
  ) {
    this.#topic = topic;
    this.#isYielding = onLoss === 'yield';
    this.#isPassing = onDeletionsMissed === 'pass';
    this.#fail = fail;
  }

  /** Nothing waits to be handed out. */
  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** What is to be handed out before anything else. */
  next(): ReadLoss | undefined {
    return this.#queue.shift();
  }

  /** Nobody reads the partition any more. */
  drop(partition: number): void {
    this.#queue = this.#queue.filter(({ loss }) => loss.partition !== partition);
  }

  /** Whether the reader may go on past these; where the policy says no, it fails. */
  mayPass(reader: Reader, losses: readonly LossRange[]): boolean {
    if (losses.length === 0 || this.#isYielding) return true;
    this.#fail(lossError(this.#topic, reader, losses));
    return false;
  }

  /** Whether the reader may go on in a log of these marks; where the policy says no, it fails. */
  mayGoOn(reader: Reader, marks: DeletionMarks): boolean {
    const missed = missedDeletions(this.#topic, reader, marks);
    if (missed === undefined || this.#isPassing) return true;
    this.#fail(missed);
    return false;
  }

  /** Records may be missing right before the next one: says so before the reader goes on. */
  cross(reader: Reader, losses: readonly LossRange[]): ReadLoss | undefined {
    if (!this.mayPass(reader, losses)) return undefined;
    this.#add(reader, losses, ({ leaderEpoch }) => leaderEpoch);
    reader.nextEpoch = reader.toldEpoch;
    return this.next();
  }

  /** The reader was moved past these, to a position of which nothing is known. */
  passed(reader: Reader, losses: readonly LossRange[]): void {
    this.#add(reader, losses, () => 0);
  }

  #add(
    reader: Reader,
    losses: readonly LossRange[],
    epochBehind: (loss: LossRange) => number,
  ): void {
    const endOffset = reader.nextOffset;
    for (const loss of losses) {
      this.#queue.push({ kind: 'loss', loss, endOffset, leaderEpoch: epochBehind(loss) });
      reader.toldEpoch = Math.max(reader.toldEpoch, loss.leaderEpoch);
    }
  }
}

/** Those that were not told and lie before a record of this epoch. */
export function untold(
  { nextEpoch, toldEpoch }: Reader,
  losses: readonly LossRange[],
  upToEpoch = Number.POSITIVE_INFINITY,
): readonly LossRange[] {
  const since = Math.max(nextEpoch, toldEpoch);
  return losses.filter(({ leaderEpoch }) => leaderEpoch > since && leaderEpoch <= upToEpoch);
}

/** RECORDS_MAY_BE_LOST about ranges, of which there is at least one. */
function lossError(
  topic: string,
  { partition, nextOffset: offset }: Reader,
  losses: readonly LossRange[],
): TidemarkError {
  const ranges = losses.map(
    ({ fromOffset, leaderEpoch }) => `from offset ${fromOffset} of epochs before ${leaderEpoch}`,
  );
  const older = losses.some(({ isCompacted }) => isCompacted === true)
    ? '; of a key whose newest record is, the older ones may be gone too'
    : '';
  const message = `Cannot read on at ${topic}/${partition} offset ${offset}: records may be lost ${ranges.join(', and ')} (unclean election)${older}`;
  return new TidemarkError('RECORDS_MAY_BE_LOST', message, 'no', {
    topic,
    partition,
    offset,
    losses,
  });
}

/** The same error, which says too what may be lost. */
export function withLosses(
  { code, message, retry, details, cause }: TidemarkError,
  losses: readonly LossRange[],
): TidemarkError {
  return new TidemarkError(code, message, retry, { ...details, losses }, cause);
}
