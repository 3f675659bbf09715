/**
 * Messages under way between the processes of a world that is played in steps: they are lost, come
 * in any order, and some come a second time, much later.
 */
import type { Random } from '../../../base/random.ts';

type Letter = () => void;

export interface MailOptions {
  readonly lossChance: number;
  /** That a copy is kept to come late. */
  readonly lateChance: number;
  /** Copies that are kept at most. */
  readonly lateMax: number;
}

export class Mail {
  readonly #random: Random;
  readonly #options: MailOptions;
  #sent: Letter[] = [];
  #late: Letter[] = [];
  #isCalm = false;

  constructor(random: Random, options: MailOptions) {
    this.#random = random;
    this.#options = options;
  }

  get length(): number {
    return this.#sent.length;
  }

  /** To anybody, by the network. */
  post(letter: Letter): void {
    const { lossChance, lateChance, lateMax } = this.#options;
    if (this.#happens(lossChance)) return;
    if (this.#happens(lateChance) && this.#late.length < lateMax) this.#late.push(letter);
    this.#sent.push(letter);
  }

  /** Within a process: it arrives, once. */
  push(letter: Letter): void {
    this.#sent.push(letter);
  }

  deliver(): void {
    const at = this.#isCalm ? 0 : this.#random.below(Math.max(1, this.#sent.length));
    const [letter] = this.#sent.splice(at, 1);
    letter?.();
  }

  deliverLate(): void {
    const [letter] = this.#late.splice(this.#random.below(Math.max(1, this.#late.length)), 1);
    letter?.();
  }

  /** What is under way is lost; from now on all arrives, in order. */
  calm(): void {
    this.#isCalm = true;
    this.#sent = [];
    this.#late = [];
  }

  #happens(chance: number): boolean {
    return !this.#isCalm && this.#random.chance(chance);
  }
}
