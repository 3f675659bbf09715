/**
 * Seeded random numbers: every draw of a core comes from its seed, so a run can be replayed from
 * one number. The generator is xoshiro128** (Blackman and Vigna, 2018), its state filled by
 * SplitMix32.
 */
export class Random {
  readonly #state = new Uint32Array(4);

  /** @param seed any finite number; only its low 32 bits and its sign count */
  constructor(seed: number) {
    let mixed = seed >>> 0;
    for (let word = 0; word < 4; word += 1) {
      mixed = (mixed + 0x9e3779b9) >>> 0;
      let value = mixed;
      value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
      value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
      this.#state[word] = value ^ (value >>> 15);
    }
  }

  /** An integer in [0, 2^32). */
  next(): number {
    const state = this.#state;
    const [a, b, c, d] = [state[0] ?? 0, state[1] ?? 0, state[2] ?? 0, state[3] ?? 0];
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const third = c ^ a;
    const fourth = d ^ b;
    state[1] = b ^ third;
    state[0] = a ^ fourth;
    state[2] = third ^ (b << 9);
    state[3] = (fourth << 11) | (fourth >>> 21);
    return result;
  }

  /** An integer in [0, bound). `bound` is 1 to 2^32. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  /** True with the given probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.next() / 0x1_0000_0000 < probability;
  }

  /** One element of a list that is not empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** A generator of its own for one concern, so that its draws do not shift another's. */
  fork(name: string): Random {
    let hash = this.next();
    for (let index = 0; index < name.length; index += 1)
      hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    return new Random(hash >>> 0);
  }
}
