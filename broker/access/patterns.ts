/**
 * Values by exact text, or by what texts begin with: `orders` and `orders-*`. Finding those of a
 * text costs a look-up for each length of beginning that there is, however many there are.
 */

export class Patterns<Value> {
  readonly #exact = new Map<string, Value>();
  readonly #beginnings = new Map<string, Value>();
  /** Lengths of the beginnings, longest first. */
  #lengths: readonly number[] = [];

  /** The value of this pattern, which `make` makes where there is none. */
  ensure(pattern: string, make: () => Value): Value {
    const isBeginning = pattern.endsWith('*');
    const text = isBeginning ? pattern.slice(0, -1) : pattern;
    const values = isBeginning ? this.#beginnings : this.#exact;
    const present = values.get(text);
    if (present !== undefined) return present;
    const made = make();
    values.set(text, made);
    if (isBeginning && !this.#lengths.includes(text.length))
      this.#lengths = [...this.#lengths, text.length].toSorted((left, right) => right - left);
    return made;
  }

  /** Values of the patterns that a text fits, the most exact first. */
  of(text: string): Value[] {
    const found = [
      this.#exact.get(text),
      ...this.#lengths
        .filter((length) => length <= text.length)
        .map((length) => this.#beginnings.get(text.slice(0, length))),
    ];
    return found.filter((value) => value !== undefined);
  }
}
