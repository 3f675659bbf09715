/**
 * The options that a running broker takes anew: what it was started with, and over it what the
 * settings of its cluster say. Knows neither where its own values came from nor what they do.
 */
import { liveValues } from '../../base/broker-options.ts';
import type { LiveValues } from '../../base/broker-options.ts';

export class LiveOptions {
  readonly #own: LiveValues;
  readonly #onChange: (values: LiveValues) => void;
  #settings: Readonly<Record<string, string>> = {};
  #values: LiveValues;

  /** @param onChange called with values that have changed; not with the first ones */
  constructor(own: LiveValues, onChange: (values: LiveValues) => void) {
    this.#own = own;
    this.#values = own;
    this.#onChange = onChange;
  }

  /** In force. */
  get values(): LiveValues {
    return this.#values;
  }

  /**
   * @param settings texts by flag, as committed metadata has them. @returns whether anything
   * changed
   */
  follow(settings: Readonly<Record<string, string>>): boolean {
    if (settings === this.#settings) return false;
    this.#settings = settings;
    const before = this.#values;
    this.#values = liveValues(this.#own, settings);
    const names = Object.keys(before) as (keyof LiveValues)[];
    const isChanged = names.some((name) => before[name] !== this.#values[name]);
    if (isChanged) this.#onChange(this.#values);
    return isChanged;
  }
}
