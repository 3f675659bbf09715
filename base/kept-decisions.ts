/**
 * Decisions about partitions, as they are kept in a topic: what a record of it says. Whoever
 * controls appends them, the command reads them. Anybody may append to a topic, so what is read is
 * checked.
 */
import { type Check, count, listOf, parseJson, refuseValue, shape, string } from './shape.ts';

/** They are kept once there is a topic of this name; its retention bounds them. */
export const DECISIONS_TOPIC = 'tidemark-decisions';

/** A partition's row at one moment. */
export interface KeptStand {
  /** Null: nobody. */
  readonly leader: number | null;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly syncSet: readonly number[];
  readonly suspects: readonly number[];
  readonly quorum: number;
}

/** The value of a record. Two records of one entry and partition say the same. */
export interface KeptDecision {
  /** Of the entry in the metadata log. */
  readonly index: number;
  /** When whoever controlled applied it, in milliseconds since 1970. */
  readonly atMs: number;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Null: the partition was made. */
  readonly before: KeptStand | null;
  readonly after: KeptStand;
  readonly reasons: readonly { readonly text: string; readonly rule: string }[];
}

const nullOr =
  <T>(check: Check<T>): Check<T | null> =>
  (value, path) =>
    value === null ? null : check(value, path);

const ids = listOf(count);

const stand = shape<KeptStand>({
  leader: nullOr(count),
  leaderEpoch: count,
  partitionEpoch: count,
  syncSet: ids,
  suspects: ids,
  quorum: count,
});

const decision = shape<KeptDecision>({
  index: count,
  atMs: count,
  topic: string,
  topicId: string,
  partition: count,
  before: nullOr(stand),
  after: stand,
  reasons: listOf(shape({ text: string, rule: string })),
});

/** Throws DATA_CORRUPT for what nobody who controls wrote. */
export function readKeptDecision(text: string): KeptDecision {
  const read = decision(parseJson(text, 'a decision'), 'decision');
  if (read.reasons.length === 0)
    refuseValue('decision.reasons', read.reasons, 'a list of one or more');
  return read;
}
