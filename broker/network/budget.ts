/**
 * What clients may cost a broker: who is refused, and who is closed. Pure: it knows no socket and
 * no clock, only what is counted.
 *
 * Two things are bounded for the whole process: bytes that are held for connections, and their
 * open streams. Past three quarters of a bound, whoever has more than a little is refused. Past the
 * bound, connections are closed, the greediest of the greediest address first, until seven eighths
 * are left. So one that asks for little is served beside one that asks for everything. Connections
 * of brokers are counted too, and closed only where they alone hold more than half: without them
 * there is no cluster.
 */

/** A listener: of clients, or of brokers and the operator. */
export type Door = 'client' | 'internal';

/** Why a connection or a call is refused, or a connection closed. */
export type Excess = 'connections' | 'connections-of-address' | 'streams' | 'memory';

/** All of one process. */
export interface BudgetLimits {
  /** Bytes held for all connections. */
  readonly bytes: number;
  readonly streams: number;
  /** Of clients. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Of brokers and the operator. */
  readonly internalConnections: number;
  /** Of listeners for clients that have a bound of their own, by name. */
  readonly connectionsOfListeners: ReadonlyMap<string, number>;
}

/** One connection, as it is counted. */
export interface Holder {
  readonly door: Door;
  readonly address: string;
  readonly bytes: number;
  readonly streams: number;
}

/** Closes a connection, which counts no more, for the bound that was passed. */
export type Evict = (excess: Excess) => void;

/** A connection at rest: measured 18 KiB, with what TLS adds. */
export const CONNECTION_BYTES = 32 * 1024;
/**
 * A stream at rest, with its call: measured 12 KiB; doubled for what is not collected yet. The same
 * is counted for one to another broker that it has opened (`RELAYED_STREAM_BYTES`).
 */
export const STREAM_BYTES = 24 * 1024;
/** A connection that holds no more is served while others are refused. */
const SMALL_BYTES = 1024 * 1024;
const SMALL_STREAMS = 16;
/** Where a bound is small, a little is that part of it. */
const SMALL_SHARE = 1 / 64;
const REFUSE_SHARE = 3 / 4;
const KEEP_SHARE = 7 / 8;

class Held implements Holder {
  readonly door: Door;
  readonly listener: string;
  readonly address: string;
  readonly evict: Evict;
  bytes = 0;
  streams = 0;
  isClosed = false;

  constructor(door: Door, address: string, evict: Evict, listener: string) {
    this.door = door;
    this.listener = listener;
    this.address = address;
    this.evict = evict;
  }
}

type Amount = 'bytes' | 'streams';

export class Budget {
  readonly limits: BudgetLimits;
  readonly #holders = new Set<Held>();
  readonly #clientsOf = new Map<string, number>();
  readonly #held = { bytes: 0, streams: 0 };
  readonly #connections = { client: 0, internal: 0 };
  readonly #ofListeners = new Map<string, number>();

  constructor(limits: BudgetLimits) {
    this.limits = limits;
  }

  get bytes(): number {
    return this.#held.bytes;
  }

  get streams(): number {
    return this.#held.streams;
  }

  /** Is so much memory held that more is refused? */
  get isTight(): boolean {
    return this.#held.bytes > this.limits.bytes * REFUSE_SHARE;
  }

  /** @param listener name of the listener */
  connections(listener: string): number {
    return this.#ofListeners.get(listener) ?? 0;
  }

  /**
   * A connection comes. Returns what it is counted by, or why it must go.
   *
   * @param listener its name; of clients there may be several
   */
  connect(door: Door, address: string, evict: Evict, listener: string = door): Holder | Excess {
    const { limits } = this;
    const isClient = door === 'client';
    const ofAddress = this.#clientsOf.get(address) ?? 0;
    if (this.#connections[door] >= (isClient ? limits.connections : limits.internalConnections))
      return 'connections';
    const ofListener = this.connections(listener);
    if (ofListener >= (limits.connectionsOfListeners.get(listener) ?? Number.POSITIVE_INFINITY))
      return 'connections';
    if (isClient && ofAddress >= limits.connectionsPerAddress) return 'connections-of-address';
    if (isClient && this.#held.bytes + CONNECTION_BYTES > limits.bytes * REFUSE_SHARE)
      return 'memory';
    const holder = new Held(door, address, evict, listener);
    this.#holders.add(holder);
    this.#connections[door] += 1;
    this.#ofListeners.set(listener, ofListener + 1);
    if (isClient) this.#clientsOf.set(address, ofAddress + 1);
    this.#count(holder, CONNECTION_BYTES, 0);
    return holder;
  }

  /** It is gone, with all that it held. Harmless when repeated. */
  disconnect(connection: Holder): void {
    const holder = this.#own(connection);
    if (holder === null) return;
    holder.isClosed = true;
    this.#held.bytes -= holder.bytes;
    this.#held.streams -= holder.streams;
    this.#holders.delete(holder);
    const { door, address } = holder;
    this.#connections[door] -= 1;
    this.#ofListeners.set(holder.listener, this.connections(holder.listener) - 1);
    if (door !== 'client') return;
    const left = (this.#clientsOf.get(address) ?? 0) - 1;
    if (left > 0) this.#clientsOf.set(address, left);
    else this.#clientsOf.delete(address);
  }

  /** A stream is there, until {@link closeStream}. */
  openStream(connection: Holder): void {
    const holder = this.#own(connection);
    if (holder === null) return;
    this.#count(holder, STREAM_BYTES, 1);
    this.#settle();
  }

  closeStream(connection: Holder): void {
    const holder = this.#own(connection);
    if (holder !== null) this.#count(holder, -STREAM_BYTES, -1);
  }

  /** Why a call over this connection, whose stream is there, must be refused; or null. */
  refusal(connection: Holder): Excess | null {
    const holder = this.#own(connection);
    if (holder === null) return null;
    if (this.#isRefused(holder, 'streams', 0)) return 'streams';
    return this.#isRefused(holder, 'bytes', 0) ? 'memory' : null;
  }

  /** Bytes that are there already, or gone where less than 0. */
  add(connection: Holder, bytes: number): void {
    const holder = this.#own(connection);
    if (holder === null) return;
    this.#count(holder, bytes, 0);
    this.#settle();
  }

  /** Bytes that may yet be refused. False: they are, and are not counted. */
  tryAdd(connection: Holder, bytes: number): boolean {
    const holder = this.#own(connection);
    if (holder === null) return true;
    if (this.#isRefused(holder, 'bytes', bytes)) return false;
    this.add(holder, bytes);
    return true;
  }

  /** Closes who holds most, until enough is left. */
  #settle(): void {
    if (this.#held.bytes > this.limits.bytes) this.#reduce('bytes');
    if (this.#held.streams > this.limits.streams) this.#reduce('streams');
  }

  #reduce(amount: Amount): void {
    while (this.#held[amount] > this.limits[amount] * KEEP_SHARE) {
      const greediest = this.#greediest(amount);
      if (greediest === null) return;
      this.disconnect(greediest);
      greediest.evict(amount === 'bytes' ? 'memory' : 'streams');
    }
  }

  /** A client's, unless brokers hold more than half. */
  #greediest(amount: Amount): Held | null {
    const sums = new Map<string, number>();
    let ofBrokers = 0;
    for (const holder of this.#holders) {
      const { address } = holder;
      if (holder.door === 'internal') ofBrokers += holder[amount];
      else sums.set(address, (sums.get(address) ?? 0) + holder[amount]);
    }
    const door = ofBrokers > this.limits[amount] / 2 ? 'internal' : 'client';
    const sumMax = sums.values().reduce((most, sum) => Math.max(most, sum), 0);
    let greediest: Held | null = null;
    for (const holder of this.#holders) {
      if (holder.door !== door) continue;
      if (door === 'client' && sums.get(holder.address) !== sumMax) continue;
      if (holder[amount] > (greediest?.[amount] ?? 0)) greediest = holder;
    }
    return greediest;
  }

  #isRefused(holder: Held, amount: Amount, more: number): boolean {
    if (holder.door === 'internal') return false;
    const isTight = this.#held[amount] + more > this.limits[amount] * REFUSE_SHARE;
    return isTight && holder[amount] + more > this.#small(amount);
  }

  #small(amount: Amount): number {
    const most = amount === 'bytes' ? SMALL_BYTES : SMALL_STREAMS;
    return Math.min(most, this.limits[amount] * SMALL_SHARE);
  }

  #count(holder: Held, bytes: number, streams: number): void {
    holder.bytes += bytes;
    holder.streams += streams;
    this.#held.bytes += bytes;
    this.#held.streams += streams;
  }

  /** Null once it is closed: what comes late counts no more. */
  #own(connection: Holder): Held | null {
    return connection instanceof Held && !connection.isClosed ? connection : null;
  }
}

/**
 * What counts as one address. One customer holds 2^64 addresses of IPv6, so that their first half
 * counts; an IPv4 address counts as one however it is written.
 */
export function addressKey(address: string): string {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!bare.includes(':')) return bare;
  const [head = '', tail] = bare.toLowerCase().split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const all = [...before, ...(tail === undefined ? [] : zeros), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
