/**
 * Evens out how many replicas, and how many preferred leaders, each broker has, with as few changes
 * as that takes. An overloaded broker passes one on to another, which may have to pass one on in
 * turn: a shortest such chain is an augmenting path of the flow "partitions to brokers", so when
 * none is left no arrangement is more even. A replica moves only where the partition spans as many
 * racks as before. Pure arithmetic over lists: knows no image.
 */
import { assert } from '../../base/assert.ts';
import type { BrokerId } from '../../base/units.ts';

/** A broker that may be given something. */
export interface BalanceBroker {
  readonly brokerId: BrokerId;
  readonly rack: string;
}

/** One partition that may be changed. `replicas` is in the order of preference. */
export interface BalanceRow {
  replicas: BrokerId[];
  /**
   * Where the data is: a replica that is to be copied anyway may as well be copied elsewhere. Empty
   * for a new partition.
   */
  readonly before: readonly BrokerId[];
  /** Bytes of one replica: of several rows that serve, the cheapest is moved. */
  readonly bytes: number;
}

/** What each broker holds beside the rows. Brokers that are absent hold nothing. */
export type FixedLoad = ReadonlyMap<BrokerId, number>;

/** One link of a chain: `row` goes from one broker to another. */
interface Link {
  readonly row: BalanceRow;
  readonly from: BrokerId;
  readonly to: BrokerId;
}

interface Kind {
  /** Rows of which `broker` has something to pass on. */
  readonly isHolder: (row: BalanceRow, brokerId: BrokerId) => boolean;
  readonly canPass: (row: BalanceRow, from: BrokerId, to: BrokerId) => boolean;
  readonly pass: (link: Link) => void;
}

/**
 * Evens out replicas. Changes `rows` in place; a new replica takes the place of the one it
 * replaces.
 *
 * @param racks racks of all brokers, those that may be given nothing included
 */
export function balanceReplicas(
  rows: readonly BalanceRow[],
  brokers: readonly BalanceBroker[],
  fixed: FixedLoad,
  racks: ReadonlyMap<BrokerId, string>,
): void {
  even(rows, brokers, fixed, {
    isHolder: (row, brokerId) => row.replicas.includes(brokerId),
    canPass: (row, from, to) =>
      !row.replicas.includes(to) && keepsSpread(row.replicas, racks, from, to),
    pass: ({ row, from, to }) => {
      row.replicas = row.replicas.map((id) => (id === from ? to : id));
    },
  });
}

/** Evens out preferred leaders. Changes the order within `rows` only. */
export function balanceLeaders(
  rows: readonly BalanceRow[],
  brokers: readonly BalanceBroker[],
  fixed: FixedLoad,
): void {
  even(rows, brokers, fixed, {
    isHolder: (row, brokerId) => row.replicas[0] === brokerId,
    canPass: (row, _from, to) => row.replicas.includes(to),
    pass: ({ row, to }) => {
      row.replicas = [to, ...row.replicas.filter((id) => id !== to)];
    },
  });
}

/** Distinct racks among `replicas`. Brokers that `racks` does not know count as one rack. */
export function rackCount(
  replicas: readonly BrokerId[],
  racks: ReadonlyMap<BrokerId, string>,
): number {
  return new Set(replicas.map((id) => racks.get(id))).size;
}

function keepsSpread(
  replicas: readonly BrokerId[],
  racks: ReadonlyMap<BrokerId, string>,
  from: BrokerId,
  to: BrokerId,
): boolean {
  const after = replicas.map((id) => (id === from ? to : id));
  return rackCount(after, racks) >= rackCount(replicas, racks);
}

function even(
  rows: readonly BalanceRow[],
  brokers: readonly BalanceBroker[],
  fixed: FixedLoad,
  kind: Kind,
): void {
  const loads = new Map(brokers.map(({ brokerId }) => [brokerId, fixed.get(brokerId) ?? 0]));
  for (const brokerId of loads.keys()) {
    const held = rows.filter((row) => kind.isHolder(row, brokerId)).length;
    loads.set(brokerId, (loads.get(brokerId) ?? 0) + held);
  }
  const loadOf = (brokerId: BrokerId): number => loads.get(brokerId) ?? 0;
  for (
    let chain = nextChain(rows, loads, kind);
    chain !== null;
    chain = nextChain(rows, loads, kind)
  ) {
    const [first, last] = [chain[0], chain.at(-1)];
    assert(first !== undefined && last !== undefined, 'a chain must have links');
    // From the far end on, so that nobody holds two of one row in between.
    for (const link of chain.toReversed()) {
      assert(
        kind.canPass(link.row, link.from, link.to),
        `broker ${String(link.from)} must be able to pass on to ${String(link.to)}`,
      );
      kind.pass(link);
    }
    loads.set(first.from, loadOf(first.from) - 1);
    loads.set(last.to, loadOf(last.to) + 1);
  }
}

/**
 * The shortest chain from the most loaded broker that has one to a broker with at least two less;
 * each such chain makes the loads more even.
 */
function nextChain(
  rows: readonly BalanceRow[],
  loads: ReadonlyMap<BrokerId, number>,
  kind: Kind,
): readonly Link[] | null {
  const ordered = [...loads].toSorted(([a, loadA], [b, loadB]) => loadB - loadA || a - b);
  const least = ordered.at(-1)?.[1] ?? 0;
  for (const [start, load] of ordered) {
    if (load - least < 2) return null;
    const chain = search(rows, loads, kind, start);
    if (chain !== null) return chain;
  }
  return null;
}

/**
 * Breadth first, so that nothing is moved that need not be; among equally short chains the one to
 * the least loaded broker.
 */
function search(
  rows: readonly BalanceRow[],
  loads: ReadonlyMap<BrokerId, number>,
  kind: Kind,
  start: BrokerId,
): readonly Link[] | null {
  const startLoad = loads.get(start) ?? 0;
  const linkTo = new Map<BrokerId, Link | null>([[start, null]]);
  let frontier: BrokerId[] = [start];
  while (frontier.length > 0) {
    const found = frontier.flatMap((from) => linksFrom(from, { rows, kind, loads, linkTo }));
    const [end] = found
      .filter((id) => (loads.get(id) ?? 0) <= startLoad - 2)
      .toSorted((a, b) => (loads.get(a) ?? 0) - (loads.get(b) ?? 0) || a - b);
    if (end !== undefined) return chainTo(end, linkTo);
    frontier = found;
  }
  return null;
}

/** Links from one broker to all that were not reached yet; returns those brokers. */
function linksFrom(
  from: BrokerId,
  at: {
    readonly rows: readonly BalanceRow[];
    readonly kind: Kind;
    readonly loads: ReadonlyMap<BrokerId, number>;
    readonly linkTo: Map<BrokerId, Link | null>;
  },
): BrokerId[] {
  const { rows, kind, loads, linkTo } = at;
  const held = rows.filter((row) => kind.isHolder(row, from)).toSorted((a, b) => a.bytes - b.bytes);
  const copies = (row: BalanceRow, to: BrokerId): number =>
    (row.before.includes(to) ? 0 : 1) - (row.before.includes(from) ? 0 : 1);
  const found: BrokerId[] = [];
  for (const to of [...loads.keys()].filter((id) => !linkTo.has(id))) {
    const [row] = held
      .filter((candidate) => kind.canPass(candidate, from, to))
      .toSorted((a, b) => copies(a, to) - copies(b, to));
    if (row === undefined) continue;
    linkTo.set(to, { row, from, to });
    found.push(to);
  }
  return found;
}

function chainTo(end: BrokerId, linkTo: ReadonlyMap<BrokerId, Link | null>): Link[] {
  const links: Link[] = [];
  for (let link = linkTo.get(end) ?? null; link !== null; link = linkTo.get(link.from) ?? null)
    links.unshift(link);
  return links;
}
