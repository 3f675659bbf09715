/**
 * What producers asked for and were told, and the check of it against what is stored. In the manner
 * of Jepsen's queue checks (jepsen-io/nats, queue.clj): counters for each producer; lost records
 * split into prefix, middle and suffix. Pure: no process, no file.
 */

/** What a producer was told. `unknown`: nothing, or that nobody knows. */
export type Outcome =
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'acknowledged'; readonly partition: number; readonly offset: number };

/** One invocation. Its value follows from producer, counter and key: {@link valueOf}. */
export interface Append {
  readonly producer: string;
  /** Counts this producer's appends from 0. */
  readonly counter: number;
  readonly key: string;
  /** Length that the value is filled up to; default: a length that differs from value to value. */
  readonly bytes?: number;
  outcome: Outcome;
}

/** A record as it was read. */
export interface StoredRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
}

export type ViolationKind =
  | 'lost-prefix'
  | 'lost-middle'
  | 'lost-suffix'
  | 'duplicate'
  | 'reordered'
  | 'misplaced'
  | 'corrupted'
  | 'resurrected'
  | 'offsets-not-rising'
  | 'replicas-differ'
  | 'too-few-replicas'
  | 'read-not-repeatable'
  | 'read-went-back'
  | 'read-skipped';

/** A broken promise. */
export interface Violation {
  readonly kind: ViolationKind;
  readonly partition: number;
  readonly detail: string;
}

/** The outcome of a check. Correct where `violations` is empty. */
export interface Verdict {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** Nobody was told that these are there, yet they are: allowed. */
  readonly unacknowledgedPresent: number;
  readonly violations: readonly Violation[];
}

/** Filler that makes lengths differ and a shifted byte show. */
const FILLER = 'the high-water mark is what a tide leaves on the shore; '.repeat(6);
const FILLER_LENGTHS = 251;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes that an append carries. */
export function valueOf({ producer, counter, key, bytes }: Omit<Append, 'outcome'>): Uint8Array {
  const name = `${producer}/${counter}/${key}/`;
  if (bytes !== undefined) return encoder.encode(name.padEnd(bytes, FILLER));
  return encoder.encode(`${name}${FILLER.slice(0, (counter * 31) % FILLER_LENGTHS)}`);
}

/**
 * Checks all partitions of a topic: every record stored in them, in the order in which it was read,
 * against every append to them.
 */
export function check(appends: readonly Append[], stored: readonly StoredRecord[]): Verdict {
  const violations: Violation[] = [];
  const asked = new Map(appends.map((append) => [nameOf(append), append]));
  const found = new Map<string, StoredRecord>();
  const lastOffsets = new Map<number, number>();
  const lastCounters = new Map<string, number>();
  for (const record of stored) {
    const report = (kind: ViolationKind, detail: string): void => {
      violations.push({ kind, partition: record.partition, detail });
    };
    const last = lastOffsets.get(record.partition) ?? -1;
    if (record.offset <= last)
      report('offsets-not-rising', `offset ${record.offset} follows ${last}`);
    lastOffsets.set(record.partition, record.offset);
    const name = nameIn(record.value);
    const append = asked.get(name);
    if (append === undefined || !isIntact(append, record)) {
      report('corrupted', `offset ${record.offset} holds what nobody sent, near "${name}"`);
      continue;
    }
    const earlier = found.get(name);
    if (earlier !== undefined) {
      const places = `${earlier.partition}:${earlier.offset} and ${record.partition}:${record.offset}`;
      report('duplicate', `${name} is at ${places}`);
      continue;
    }
    found.set(name, record);
    const sequence = `${append.producer}@${record.partition}`;
    const before = lastCounters.get(sequence) ?? -1;
    if (append.counter < before)
      report('reordered', `${name} at ${record.offset} stands behind ${append.producer}/${before}`);
    lastCounters.set(sequence, Math.max(before, append.counter));
  }
  violations.push(...judgeOutcomes(appends, found), ...findLost(appends, found));
  const count = (kind: Outcome['kind']): number =>
    appends.filter(({ outcome }) => outcome.kind === kind).length;
  return {
    acknowledged: count('acknowledged'),
    refused: count('refused'),
    unknown: count('unknown'),
    unacknowledgedPresent: appends.filter(
      (append) => append.outcome.kind === 'unknown' && found.has(nameOf(append)),
    ).length,
    violations,
  };
}

/** What was once read must be what is read ever after. */
export function checkRepeatable(
  once: readonly StoredRecord[],
  after: readonly StoredRecord[],
): Violation[] {
  const values = new Map(after.map((record) => [placeOf(record), record.value]));
  return once
    .filter((record) => !isSame(record.value, values.get(placeOf(record))))
    .map((record) => ({
      kind: 'read-not-repeatable',
      partition: record.partition,
      detail: `offset ${record.offset} was read as "${nameIn(record.value)}"`,
    }));
}

/**
 * A reader that followed from the start must have been given each record below its position once,
 * in order, whichever replicas it read.
 */
export function checkFollowed(
  followed: readonly StoredRecord[],
  stored: readonly StoredRecord[],
): Violation[] {
  const violations: Violation[] = [];
  const positions = new Map<number, number>();
  for (const { partition, offset } of followed) {
    const position = positions.get(partition) ?? 0;
    if (offset < position) {
      const detail = `offset ${offset} was given at position ${position}`;
      violations.push({ kind: 'read-went-back', partition, detail });
    }
    positions.set(partition, Math.max(position, offset + 1));
  }
  const given = new Set(followed.map(placeOf));
  for (const record of stored) {
    const { partition, offset } = record;
    const position = positions.get(partition) ?? 0;
    if (offset >= position || given.has(placeOf(record))) continue;
    const detail = `offset ${offset} was never given, the position is ${position}`;
    violations.push({ kind: 'read-skipped', partition, detail });
  }
  return violations;
}

/** Whether two byte strings are equal. */
export function isSame(left: Uint8Array, right: Uint8Array | undefined): boolean {
  return right !== undefined && Buffer.compare(left, right) === 0;
}

/** The first few violations of each kind, for a test's message. */
export function summary(verdict: Pick<Verdict, 'violations'>): string[] {
  const byKind = Map.groupBy(verdict.violations, ({ kind }) => kind);
  return [...byKind].flatMap(([kind, all]) => [
    `${kind}: ${all.length}`,
    ...all.slice(0, 5).map(({ partition, detail }) => `  partition ${partition}: ${detail}`),
  ]);
}

/** Judges single appends: there although refused, or elsewhere than acknowledged. */
function judgeOutcomes(
  appends: readonly Append[],
  found: ReadonlyMap<string, StoredRecord>,
): Violation[] {
  const violations: Violation[] = [];
  for (const append of appends) {
    const record = found.get(nameOf(append));
    const { outcome } = append;
    if (record === undefined || outcome.kind === 'unknown') continue;
    const place = `${record.partition}:${record.offset}`;
    if (outcome.kind === 'refused') {
      const detail = `${nameOf(append)} was refused with ${outcome.code} and is at ${place}`;
      violations.push({ kind: 'resurrected', partition: record.partition, detail });
    } else if (place !== placeOf(outcome)) {
      const detail = `${nameOf(append)} was acknowledged at ${placeOf(outcome)} and is at ${place}`;
      violations.push({ kind: 'misplaced', partition: outcome.partition, detail });
    }
  }
  return violations;
}

/**
 * Acknowledged records that are nowhere, by their place among those of their partition that are.
 */
function findLost(
  appends: readonly Append[],
  found: ReadonlyMap<string, StoredRecord>,
): Violation[] {
  const acknowledged = appends.flatMap((append) =>
    append.outcome.kind === 'acknowledged' ? [{ ...append.outcome, name: nameOf(append) }] : [],
  );
  const byPartition = Map.groupBy(acknowledged, ({ partition }) => partition);
  return [...byPartition].flatMap(([partition, records]) => {
    const inOrder = records.toSorted((a, b) => a.offset - b.offset);
    const first = inOrder.findIndex(({ name }) => found.has(name));
    const last = inOrder.findLastIndex(({ name }) => found.has(name));
    return inOrder.flatMap(({ name, offset }, index): Violation[] => {
      if (found.has(name)) return [];
      const kind = index > last ? 'lost-suffix' : index < first ? 'lost-prefix' : 'lost-middle';
      return [{ kind, partition, detail: `${name}, acknowledged at ${offset}` }];
    });
  });
}

function isIntact(append: Append, { key, value }: StoredRecord): boolean {
  return isSame(value, valueOf(append)) && decoder.decode(key) === append.key;
}

function nameOf({ producer, counter }: Pick<Append, 'producer' | 'counter'>): string {
  return `${producer}/${counter}`;
}

function nameIn(value: Uint8Array): string {
  return decoder.decode(value.subarray(0, 64)).split('/').slice(0, 2).join('/');
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}:${offset}`;
}
