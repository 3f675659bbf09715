/**
 * Messages on their way, first in first out between two places. Cutting a link takes what is on it;
 * what is sent meanwhile is lost.
 */
import type { Random } from '../../base/random.ts';
import type { Cell, Flight, FlightKind, Place } from './picture.ts';
import type { Timeline } from './timeline.ts';

/** What one message takes, before chance. */
const DELAY_MS = 18;
const DELAY_CHANCE_MS = 5;
/** Between two messages of one link, so that they can be told apart. */
const SPACING_MS = 4;

export interface Message {
  /** Null: too common to be shown, as heartbeats are. */
  readonly kind: FlightKind | null;
  readonly from: Place;
  readonly to: Place;
  readonly text: string;
  readonly cell?: Cell | null;
  readonly deliver: () => void;
}

interface Sending extends Flight {
  readonly isShown: boolean;
}

export class Network {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #flights = new Map<number, Sending>();
  readonly #lastMs = new Map<string, number>();
  readonly #cut = new Set<string>();
  readonly #slowMs = new Map<Place, number>();
  #sent = 0;

  constructor(timeline: Timeline, random: Random) {
    this.#timeline = timeline;
    this.#random = random;
  }

  send({ kind, from, to, text, cell = null, deliver }: Message): void {
    if (this.isCut(from, to)) return;
    this.#sent += 1;
    const key = this.#sent;
    const sending = { key, kind: kind ?? 'ask', from, to, text, cell, isShown: kind !== null };
    this.#flights.set(key, sending);
    const link = `${from}>${to}`;
    const slowMs = this.slowMs(from) + this.slowMs(to);
    const takesMs = DELAY_MS + this.#random.below(DELAY_CHANCE_MS) + slowMs;
    const { nowMs } = this.#timeline;
    const atMs = Math.max(nowMs + takesMs, (this.#lastMs.get(link) ?? 0) + SPACING_MS);
    this.#lastMs.set(link, atMs);
    this.#timeline.after(atMs - nowMs, () => {
      if (this.#flights.delete(key)) deliver();
    });
  }

  /** Nothing that somebody waits for is on its way. */
  get isQuiet(): boolean {
    return this.flights.length === 0;
  }

  get flights(): Flight[] {
    return [...this.#flights.values()]
      .filter(({ isShown }) => isShown)
      .map(({ isShown: _, ...flight }) => flight);
  }

  isCut(one: Place, other: Place): boolean {
    return this.#cut.has(linkOf(one, other));
  }

  cut(one: Place, other: Place): void {
    this.#cut.add(linkOf(one, other));
    this.#drop((from, to) => linkOf(from, to) === linkOf(one, other));
  }

  heal(one: Place, other: Place): void {
    this.#cut.delete(linkOf(one, other));
  }

  /** Its process is gone, and its connections are: what was on them is lost. */
  gone(place: Place): void {
    this.#drop((from, to) => from === place || to === place);
  }

  slowMs(place: Place): number {
    return this.#slowMs.get(place) ?? 0;
  }

  slow(place: Place, ms: number): void {
    this.#slowMs.set(place, ms);
  }

  #drop(is: (from: Place, to: Place) => boolean): void {
    for (const { key, from, to } of this.#flights.values())
      if (is(from, to)) this.#flights.delete(key);
  }
}

/** The same both ways. */
function linkOf(one: Place, other: Place): string {
  return [String(one), String(other)].sort().join('-');
}
