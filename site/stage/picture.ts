/**
 * What there is to see of a run at one moment, as values. Knows neither cores nor how it is drawn.
 */

/** Who sends and gets messages: a broker by its id, or one of the two beside them. */
export type Place = number | 'producer' | 'controller';

/** One batch of a log, or one entry of a raft log. */
export interface Cell {
  readonly at: number;
  /** Exclusive. */
  readonly end: number;
  /** Leader epoch, or term. */
  readonly epoch: number;
  /** Written by a leader itself: an epoch start, a trim, a barrier, voters. */
  readonly isControl: boolean;
  /** What a person called the record, or what a control batch is. */
  readonly text: string;
  /** False while it is on its way to the disk. */
  readonly isWritten: boolean;
}

export interface LogSeen {
  /** Empty where a broker has one log alone. */
  readonly title: string;
  readonly start: number;
  readonly cells: readonly Cell[];
  /** The high-water mark, or the commit index + 1: everything below is committed. */
  readonly mark: number;
  /** Power loss takes nothing below it; null: not shown. */
  readonly synced: number | null;
}

export interface BrokerSeen {
  readonly id: number;
  readonly state: 'up' | 'down' | 'paused';
  /** As its core says it; `down` where there is none. */
  readonly role: string;
  readonly epoch: number;
  /** Null: nobody keeps a sync set. */
  readonly standing: 'in sync' | 'suspect' | 'out of sync' | null;
  readonly isFenced: boolean;
  /** Nothing reaches it, and nothing leaves it. */
  readonly isCut: boolean;
  /** What its messages take longer than others', in ms. */
  readonly slowMs: number;
  /** Short, for a person; may be empty. */
  readonly note: string;
  readonly logs: readonly LogSeen[];
}

export type FlightKind = 'append' | 'answer' | 'frames' | 'mark' | 'position' | 'ask' | 'metadata';

/** A message on its way. It is the same one from picture to picture by its key. */
export interface Flight {
  readonly key: number;
  readonly kind: FlightKind;
  readonly from: Place;
  readonly to: Place;
  /** For a person. */
  readonly text: string;
  /** Of the batch it carries, if it carries one. */
  readonly cell: Cell | null;
}

/** What the producer knows of a record that it sent. */
export interface Sent {
  readonly text: string;
  readonly ack: string;
  readonly fate: 'waits' | 'acknowledged' | 'refused' | 'unknown';
}

/** How metadata has the partition. */
export interface RowSeen {
  /** -1: nobody. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly syncSet: readonly number[];
  readonly quorum: number;
  readonly suspects: readonly number[];
  readonly min: number;
  /** Loss reports, in words. */
  readonly losses: readonly string[];
}

/** One cluster. A story may show two, one beside the other. */
export interface Panel {
  readonly title: string;
  readonly row: RowSeen | null;
  /** Null: nobody appends here. */
  readonly sent: readonly Sent[] | null;
  readonly brokers: readonly BrokerSeen[];
  readonly flights: readonly Flight[];
  /** What there is to say of it besides, for a person. */
  readonly facts: readonly string[];
}

export type LineKind = 'decision' | 'fault' | 'answer' | 'change' | 'step' | 'state';

/** Something that happened. */
export interface Line {
  readonly kind: LineKind;
  /** Virtual time; null where a script has none, and of what is no event. */
  readonly atMs: number | null;
  readonly text: string;
  /** A rule of docs/rules.md by number, or the name of a heading there; empty: none. */
  readonly rule: string;
}

/** Tells what happened, now. */
export type Say = (line: Omit<Line, 'atMs'>) => void;

/** A run at one moment. */
export interface Frame {
  /** Virtual time; where a script has none, its steps. */
  readonly atMs: number;
  /** What happened last, newest last. */
  readonly lines: readonly Line[];
  readonly panels: readonly Panel[];
  /** Index of the block of the script that is carried out. */
  readonly block: number;
}
