/**
 * What callers were told: every record that was handed in and its fate, and everything that readers
 * were given.
 */
import type { KeyedRecord } from './keyed.ts';

export interface Sent {
  readonly value: string;
  readonly topic: string;
  /** Through the library's queues, by a plain call, under a producer's name, or in a race. */
  readonly via: 'producer' | 'append' | 'named' | 'raced';
  /** On the simulated clock. */
  readonly sentMs: number;
  fate: Fate | null;
}

export type Fate =
  | {
      readonly kind: 'acknowledged';
      readonly partition: number;
      readonly offset: number;
      readonly atMs: number;
    }
  | { readonly kind: 'refused'; readonly code: string; readonly effect: string };

/** One record as a reader got it. */
export interface Seen {
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/**
 * What one reader of a topic knows: of each key and partition the last record that it got since it
 * began, or began anew because it was told that it had missed something.
 */
export interface Table {
  readonly reader: string;
  readonly topic: string;
  readonly records: Map<string, Seen>;
}

/** A reader went on to a record of another epoch, or was told of losses before it. */
export interface Passage {
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  /** Of the record before; 0: it began here. */
  readonly fromEpoch: number;
  readonly toEpoch: number;
  /** Unclean epochs that it was told of in between. */
  readonly told: readonly number[];
}

/** An end of the log at which a racer appended. */
export interface ExpectedAt {
  readonly racer: string;
  readonly partition: number;
  readonly end: number;
}

/** Something asked for that must end, whatever becomes of it. */
export interface Pending {
  readonly what: string;
  readonly sinceMs: number;
}

/** A producer's name was given to somebody else, who was told then. */
export interface Takeover {
  readonly epoch: number;
  /** On the simulated clock. */
  readonly atMs: number;
  /** Where the longest log of each partition ended at that time; null: not known. */
  readonly ends: ReadonlyMap<number, number> | null;
}

/** Somebody asked that a log begin later. */
export interface Trim {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Where it begins, as was answered; null: not answered. */
  logStart: number | null;
}

/** What somebody was told of one cursor. */
export interface CursorEvent {
  /** Group and partition. */
  readonly key: string;
  readonly kind: 'commit' | 'seek' | 'fetch';
  readonly askedMs: number;
  readonly answeredMs: number;
  /** As it was said to be committed; null: there was none. */
  readonly cursor: { readonly generation: number; readonly offset: number } | null;
}

/** The newest record of a key that was acknowledged, in its partition. */
export interface LastOfKey extends KeyedRecord {
  readonly offset: number;
  /** It, or something that was sent since, may have deleted the key. */
  readonly isPerhapsDeleted: () => boolean;
}

export class History {
  /** Of topics that are compacted, by value. */
  readonly keyed = new Map<string, KeyedRecord>();
  /** By topic, partition and key. */
  readonly lastOfKeys = new Map<string, LastOfKey>();
  readonly cursors: CursorEvent[] = [];
  /** Offsets that somebody asked to commit or to seek to, by cursor. */
  readonly askedCursors = new Map<string, Set<number>>();
  readonly trims: Trim[] = [];
  readonly takeovers: Takeover[] = [];
  /** Producer epochs of what was written under a name, by value. */
  readonly epochs = new Map<string, number>();
  /** What racers expected, by value, in the order in which they tried. */
  readonly expected = new Map<string, ExpectedAt>();
  readonly sent: Sent[] = [];
  readonly seen: Seen[] = [];
  /** Of readers of topics that are compacted. */
  readonly tables: Table[] = [];
  readonly passages: Passage[] = [];
  readonly pending = new Set<Pending>();
  /** Faults that readers met and that no reader of a sound log should meet. */
  readonly readFaults: string[] = [];

  send(value: string, topic: string, via: Sent['via'], sentMs: number): Sent {
    const sent: Sent = { value, topic, via, sentMs, fate: null };
    this.sent.push(sent);
    return sent;
  }

  /** A record with a key was acknowledged. */
  acknowledgeKeyed(value: string, offset: number): void {
    const keyed = this.keyed.get(value);
    if (keyed === undefined) return;
    const place = `${keyed.topic}/${keyed.partition}/${keyed.key}`;
    if ((this.lastOfKeys.get(place)?.offset ?? -1) >= offset) return;
    const isPerhapsDeleted = (): boolean => keyed.isTombstone || this.#mayBeDeleted(keyed, offset);
    this.lastOfKeys.set(place, { ...keyed, offset, isPerhapsDeleted });
  }

  /** Above `offset`: a tombstone that was refused for certain is none. */
  #mayBeDeleted({ topic, partition, key }: KeyedRecord, offset: number): boolean {
    return this.sent.some(({ value, fate }) => {
      const other = this.keyed.get(value);
      if (other?.isTombstone !== true || other.topic !== topic) return false;
      if (other.partition !== partition || other.key !== key) return false;
      if (fate?.kind === 'acknowledged') return fate.offset < 0 || fate.offset > offset;
      return fate?.kind !== 'refused' || fate.effect !== 'none';
    });
  }

  /** Follows a call to its end. */
  async follow<T>(what: string, sinceMs: number, call: Promise<T>): Promise<T> {
    const pending = { what, sinceMs };
    this.pending.add(pending);
    try {
      return await call;
    } finally {
      this.pending.delete(pending);
    }
  }

  /** Where somebody was told that a log begins, at least. */
  trimmedTo(topic: string, partition: number): number {
    return this.trims
      .filter((trim) => trim.topic === topic && trim.partition === partition)
      .reduce((most, { logStart }) => Math.max(most, logStart ?? 0), 0);
  }

  /** When each value was handed in. */
  sentMs(): ReadonlyMap<string, number> {
    return new Map(this.sent.map(({ value, sentMs }) => [value, sentMs]));
  }

  get acknowledged(): number {
    return this.sent.filter(({ fate }) => fate?.kind === 'acknowledged').length;
  }
}
