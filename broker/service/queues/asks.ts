/**
 * What one member wants of the partitions of its queue: each is asked for records, as far as the
 * member's credit goes, in turn. Where credit is short, and those that were asked have nothing, the
 * others are asked too, and what is too much is withdrawn as soon as something came. Pure: whoever
 * drives it sends what it says.
 */

/** What one partition is asked for at a time. */
const ASK_RECORDS_MAX = 500;
const ASK_BYTES_MAX = 1024 * 1024;

/** An ask to be sent. */
export interface Ask {
  readonly partition: number;
  readonly records: number;
  readonly bytes: number;
}

interface Open extends Ask {
  /** Beyond the credit. */
  readonly isExtra: boolean;
  isWithdrawn: boolean;
}

export class Asks {
  #partitions: number;
  /** The next partition to ask first. */
  #turn = 0;
  readonly #open = new Map<number, Open>();
  /** Those that are not to be asked now. */
  readonly #resting = new Set<number>();
  #credit = { records: 0, bytes: 0 };
  #reserved = { records: 0, bytes: 0 };

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  get credit(): { readonly records: number; readonly bytes: number } {
    return this.#credit;
  }

  /** Partitions are added to a topic, and never taken away. */
  grow(partitions: number): void {
    this.#partitions = Math.max(this.#partitions, partitions);
  }

  addCredit(records: number, bytes: number): void {
    this.#credit = { records: this.#credit.records + records, bytes: this.#credit.bytes + bytes };
  }

  /** It is not asked until {@link wake}. */
  rest(partition: number): void {
    this.#resting.add(partition);
  }

  wake(partition: number): void {
    this.#resting.delete(partition);
  }

  /** Whether partitions are left that more could be asked of, were there credit. */
  get hasUnasked(): boolean {
    return this.#credit.records > 0 && this.#credit.bytes > 0 && this.#idle().length > 0;
  }

  /** Whether anything was asked that is not answered yet. */
  get isWaiting(): boolean {
    return this.#open.size > 0;
  }

  /** What is to be asked now. */
  next(): Ask[] {
    const asks: Ask[] = [];
    const idle = this.#idle();
    for (const [at, partition] of idle.entries()) {
      const records = this.#credit.records - this.#reserved.records;
      const bytes = this.#credit.bytes - this.#reserved.bytes;
      if (records <= 0 || bytes <= 0) break;
      const left = idle.length - at;
      asks.push(
        this.#ask(
          partition,
          Math.min(ASK_RECORDS_MAX, Math.ceil(records / left)),
          Math.min(ASK_BYTES_MAX, Math.ceil(bytes / left)),
          false,
        ),
      );
    }
    return asks;
  }

  /** Those that were asked have had nothing for a while: one record of each of the others. */
  extra(): Ask[] {
    if (this.#credit.records <= 0 || this.#credit.bytes <= 0) return [];
    return this.#idle().map((partition) => this.#ask(partition, 1, 1, true));
  }

  /** An ask ended: it was answered, or its owner is lost. */
  answered(partition: number): void {
    const open = this.#open.get(partition);
    if (open === undefined) return;
    this.#open.delete(partition);
    if (open.isExtra) return;
    this.#reserved = {
      records: this.#reserved.records - open.records,
      bytes: this.#reserved.bytes - open.bytes,
    };
  }

  /** Records were sent to the member. */
  spend(records: number, bytes: number): void {
    this.addCredit(-records, -bytes);
  }

  /**
   * Partitions whose asks are to be withdrawn, since the credit does not cover them any more: all
   * once it is spent, else those in force that are more than it.
   */
  surplus(): number[] {
    const isSpent = this.#credit.records <= 0 || this.#credit.bytes <= 0;
    const found: number[] = [];
    let covered = 0;
    for (const open of this.#open.values()) {
      if (!open.isExtra) covered += open.records;
      const isTooMuch = isSpent || (!open.isExtra && covered > this.#credit.records);
      if (!isTooMuch || open.isWithdrawn) continue;
      open.isWithdrawn = true;
      found.push(open.partition);
    }
    return found;
  }

  /** In turn. */
  #idle(): number[] {
    const idle: number[] = [];
    for (let step = 0; step < this.#partitions; step += 1) {
      const partition = (this.#turn + step) % this.#partitions;
      if (!this.#open.has(partition) && !this.#resting.has(partition)) idle.push(partition);
    }
    return idle;
  }

  #ask(partition: number, records: number, bytes: number, isExtra: boolean): Ask {
    this.#open.set(partition, { partition, records, bytes, isExtra, isWithdrawn: false });
    this.#turn = (partition + 1) % this.#partitions;
    if (!isExtra)
      this.#reserved = {
        records: this.#reserved.records + records,
        bytes: this.#reserved.bytes + bytes,
      };
    return { partition, records, bytes };
  }
}
