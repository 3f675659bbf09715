/**
 * What the frames and the snapshot of a quorum log say, judged before it is believed: a checksum
 * proves that the bytes are those that were written, not that they make sense. Every fault is a
 * {@link BrokerError} DATA_CORRUPT in words; the caller says where it stands. No file calls.
 */
import {
  count,
  defaulted,
  integer,
  listOf,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
} from '../../base/shape.ts';
import type { Check } from '../../base/shape.ts';
import type { BrokerEpoch } from '../../base/units.ts';
import type { Entry, HardState, Peer, RaftWrite, Snapshot } from '../raft/types.ts';

/** Parts of the raft incarnation: see `QuorumLog.beginIncarnation`. */
export interface Incarnation {
  readonly brokerEpoch: BrokerEpoch;
  /** Starts since that epoch was noted. */
  readonly starts: number;
}

/** Payload of the first frame of a file. */
export interface Head {
  readonly hardState: HardState;
  readonly snapshot: { readonly index: number; readonly term: number } | null;
  readonly entries: readonly Entry[];
  readonly incarnation: Incarnation;
}

export type IncarnationWrite = { readonly kind: 'incarnation'; readonly incarnation: Incarnation };
/** What later frames hold. */
export type LogWrite = Exclude<RaftWrite, { kind: 'snapshot' }> | IncarnationWrite;

const peer = shape<Peer>({ brokerId: count, directoryId: string });
const orNull = <T>(check: Check<T>): Check<T | null> => {
  return (value, path) => (value === null ? null : check(value, path));
};
const hardState = shape<HardState>({ term: count, vote: orNull(peer) });
const incarnation = shape<Incarnation>({ brokerEpoch: count, starts: count });
const position = shape({ index: count, term: count });
const entryFields = shape<Entry>({
  index: count,
  term: count,
  kind: oneOf(['data', 'voters', 'barrier']),
  data: string,
});
const entry: Check<Entry> = (value, path) => {
  const checked = entryFields(value, path);
  if (checked.kind === 'voters') {
    const voters = listOf(peer)(parseJson(checked.data, `${path}.data`), `${path}.data`);
    const brokerIds = new Set(voters.map(({ brokerId }) => brokerId));
    if (brokerIds.size === 0 || brokerIds.size < voters.length)
      refuseValue(`${path}.data`, voters, 'a list of voters of different brokers');
  }
  return checked;
};
const head = shape<Head>({
  hardState,
  snapshot: orNull(position),
  entries: listOf(entry),
  incarnation,
});
const appendWrite = shape({ id: integer, firstIndex: count, entries: listOf(entry) });
const hardStateWrite = shape({ id: integer, hardState });
const incarnationWrite = shape({ id: defaulted(integer, 0), incarnation });
const snapshot = shape<Snapshot>({
  index: count,
  term: count,
  voters: listOf(peer),
  data: string,
});

const write: Check<LogWrite> = (value, path) => {
  if (typeof value !== 'object' || value === null) return refuseValue(path, value, 'an object');
  const { kind, ...fields } = value as Record<string, unknown>;
  if (kind === 'append') return { kind, ...appendWrite(fields, path) };
  if (kind === 'hard-state') return { kind, ...hardStateWrite(fields, path) };
  if (kind === 'incarnation')
    return { kind, incarnation: incarnationWrite(fields, path).incarnation };
  return refuseValue(`${path}.kind`, kind, 'append, hard-state or incarnation');
};

/** The state in a file's first frame. */
export function decodeHead(payload: string): Head {
  const decoded = head(parseJson(payload, 'its head'), 'head');
  requireSequence(decoded.snapshot, decoded.entries, 'head.entries');
  return decoded;
}

/** The writes in a later frame. */
export function decodeWrites(payload: string): readonly LogWrite[] {
  return listOf(write)(parseJson(payload, 'its writes'), 'writes');
}

/** The snapshot of this index and term. */
export function decodeSnapshot(
  body: string,
  { index, term }: { readonly index: number; readonly term: number },
): Snapshot {
  const decoded = snapshot(parseJson(body, 'its content'), 'snapshot');
  if (decoded.index !== index) refuseValue('snapshot.index', decoded.index, `${index}`);
  if (decoded.term !== term) refuseValue('snapshot.term', decoded.term, `${term}`);
  return decoded;
}

/**
 * Refuses entries that cannot take the place of what the log holds from `firstIndex` on.
 *
 * @param base the snapshot before the entries
 */
export function requireFollows(
  base: Head['snapshot'],
  entries: readonly Entry[],
  { firstIndex, entries: added }: Extract<LogWrite, { kind: 'append' }>,
): void {
  const firstKept = (base?.index ?? 0) + 1;
  const next = firstKept + entries.length;
  if (firstIndex < firstKept || firstIndex > next)
    refuseValue('append.firstIndex', firstIndex, `${firstKept} to ${next}: the log ends before it`);
  const before = entries[firstIndex - firstKept - 1] ?? base;
  requireSequence(before, added, 'append.entries', firstIndex);
}

/** Indexes follow on from each other, and terms never fall (thesis 3.5). */
function requireSequence(
  before: { readonly index: number; readonly term: number } | null,
  entries: readonly Entry[],
  path: string,
  firstIndex = (before?.index ?? 0) + 1,
): void {
  let term = before?.term ?? 0;
  for (const [at, each] of entries.entries()) {
    if (each.index !== firstIndex + at)
      refuseValue(`${path}[${at}].index`, each.index, `${firstIndex + at}`);
    if (each.term < term) refuseValue(`${path}[${at}].term`, each.term, `${term} or more`);
    term = each.term;
  }
}
