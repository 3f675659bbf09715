/**
 * Hosts, listeners and connections on simulated time, at the level of gRPC's bytes. Within a
 * connection bytes keep their order, as TCP keeps it; connections break, stand still, are refused,
 * or swallow whatever is sent. What had arrived at a host before its connection broke may still be
 * read by its process later: that is how a request is delivered after its caller has given up.
 */
import type { Random } from '../../../base/random.ts';
import { CONNECT_MS_FIRST } from '../../../wire/grpc/dial.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimTime } from './sim-time.ts';

export interface NetworkProfile {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  /** What a host can send in a millisecond, over all of its connections; absent: anything. */
  readonly bytesPerMs?: number;
  /** Chance, for each delivered frame, that its connection breaks instead. */
  readonly breakChance: number;
  /**
   * Chance that what had arrived at a server when a connection broke is read all the same, later.
   */
  readonly lateChance: number;
  /** Chance that a unary request is delivered twice: a proxy repeated it. */
  readonly duplicateChance: number;
}

/** A silent connection is given up after this: keepalive, see wire/grpc/transport.ts. */
const KEEPALIVE_MS = 10_000;
/** How often a frame on a cut path is tried again. */
const RETRANSMIT_MS = 40;
const LATE_MS_MAX = 6_000;

/** Who answers at an address. */
export interface Listener {
  readonly process: SimProcess;
  /** A connection was made; returns who takes its frames. */
  accept(connection: Connection): FrameSink;
}

export interface FrameSink {
  onFrame(frame: unknown): void;
  /** The connection is gone. */
  onBroken(): void;
}

/** A frame at the host that it was sent to. */
export interface Arrival {
  readonly connection: Connection;
  readonly from: string;
  readonly to: string;
  readonly frame: unknown;
  /** Gives it to the process, whatever became of the connection. */
  readonly deliver: () => void;
}

export class SimNetwork {
  readonly time: SimTime;
  readonly random: Random;
  profile: NetworkProfile;
  readonly #listeners = new Map<string, Listener>();
  readonly #blocked = new Set<string>();
  readonly #blackHoles = new Set<string>();
  readonly #connections = new Set<Connection>();
  /** When what hosts have sent is out. */
  readonly #sentMs = new Map<string, number>();
  readonly onFrame: (line: string) => void;
  /** Looks at each frame that arrives; those that it takes are its own to deliver, or not. */
  onArrival: ((arrival: Arrival) => boolean) | null = null;

  constructor(
    time: SimTime,
    random: Random,
    profile: NetworkProfile,
    onFrame: (line: string) => void,
  ) {
    this.time = time;
    this.random = random;
    this.profile = profile;
    this.onFrame = onFrame;
  }

  listen(address: string, listener: Listener): void {
    this.#listeners.set(address, listener);
    this.#blackHoles.delete(address);
  }

  /** The process at the address is gone; its host answers with a reset. */
  reset(process: SimProcess): void {
    for (const [address, listener] of this.#listeners)
      if (listener.process === process) this.#listeners.delete(address);
    for (const connection of [...this.#connections])
      if (connection.involves(process)) connection.breakAfter(this.latencyMs(), this.#lateChance());
  }

  /** The host is gone without a word: its peers find out by silence, or when it is back. */
  vanish(process: SimProcess): void {
    for (const [address, listener] of this.#listeners) {
      if (listener.process !== process) continue;
      this.#listeners.delete(address);
      this.#blackHoles.add(address);
    }
    for (const connection of [...this.#connections])
      if (connection.involves(process)) connection.breakAfter(KEEPALIVE_MS, 0);
  }

  /** Frames from `from` to `to` no longer arrive. */
  cut(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
    this.time.after(KEEPALIVE_MS, () => {
      if (!this.isCut(from, to)) return;
      for (const connection of [...this.#connections])
        if (connection.joins(from, to)) connection.breakAfter(0, this.#lateChance());
    });
  }

  /** Frames pass again between a host and these others. */
  join(host: string, others: readonly string[]): void {
    for (const other of others) {
      this.#blocked.delete(`${host}>${other}`);
      this.#blocked.delete(`${other}>${host}`);
    }
  }

  isCut(from: string, to: string): boolean {
    return this.#blocked.has(`${from}>${to}`);
  }

  /** Packets to this address vanish until somebody listens there again. */
  swallow(address: string): void {
    this.#blackHoles.add(address);
  }

  heal(): void {
    this.#blocked.clear();
    this.#blackHoles.clear();
    this.profile = { ...this.profile, breakChance: 0, duplicateChance: 0 };
  }

  /** One connection goes down, wherever there is one. */
  breakOne(): void {
    const all = [...this.#connections];
    if (all.length > 0) this.random.pick(all).breakAfter(0, this.#lateChance());
  }

  /** When a frame that a host sends now is out. */
  outMs(host: string, frame: unknown): number {
    const { bytesPerMs } = this.profile;
    if (bytesPerMs === undefined) return this.time.nowMs;
    const { bytes } = frame as { readonly bytes?: unknown };
    const length = bytes instanceof Uint8Array ? bytes.length : 0;
    const outMs = Math.max(this.time.nowMs, this.#sentMs.get(host) ?? 0) + length / bytesPerMs;
    this.#sentMs.set(host, outMs);
    return outMs;
  }

  latencyMs(): number {
    const { latencyMsMin, latencyMsMax } = this.profile;
    return latencyMsMin + (this.random.below(1_000) / 1_000) * (latencyMsMax - latencyMsMin);
  }

  /**
   * Connects; `onOpen` is called with the connection, or `onFail` with why not, both in the
   * caller's process. A refusal is told at once, silence after the bound.
   */
  connect(
    caller: SimProcess,
    host: string,
    address: string,
    done: {
      readonly onOpen: (connection: Connection) => void;
      readonly onFail: (reason: string) => void;
    },
  ): void {
    const target = hostOf(address);
    caller.after(this.latencyMs() * 2, () => {
      const isSilent =
        this.#blackHoles.has(address) || this.isCut(host, target) || this.isCut(target, host);
      if (isSilent) {
        // As wire/grpc/dial.ts gives up an attempt that nobody answers.
        caller.after(CONNECT_MS_FIRST, () => {
          done.onFail('no answer to the attempt to connect');
        });
        return;
      }
      const listener = this.#listeners.get(address);
      if (listener === undefined || listener.process.isDead) done.onFail('connection refused');
      else done.onOpen(this.#open(caller, host, target, listener));
    });
  }

  /** Whether somebody listens: undefined where only silence answers. */
  probe(host: string, address: string): boolean | undefined {
    const target = hostOf(address);
    if (this.#blackHoles.has(address) || this.isCut(host, target) || this.isCut(target, host))
      return undefined;
    return this.#listeners.has(address);
  }

  #open(caller: SimProcess, host: string, target: string, listener: Listener): Connection {
    const connection = new Connection(this, {
      client: { process: caller, host },
      server: { process: listener.process, host: target },
      onGone: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    connection.serverSink = listener.accept(connection);
    return connection;
  }

  #lateChance(): number {
    return this.profile.lateChance;
  }
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

interface End {
  readonly process: SimProcess;
  readonly host: string;
}

interface Ends {
  readonly client: End;
  readonly server: End;
  readonly onGone: () => void;
}

/** One connection. Frames in each direction arrive in order. */
export class Connection {
  readonly #network: SimNetwork;
  readonly #ends: Ends;
  serverSink: FrameSink | null = null;
  clientSink: FrameSink | null = null;
  #isBroken = false;
  readonly #lastMs = { toServer: 0, toClient: 0 };
  readonly #waiting = { toServer: [] as unknown[], toClient: [] as unknown[] };

  constructor(network: SimNetwork, ends: Ends) {
    this.#network = network;
    this.#ends = ends;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  involves(process: SimProcess): boolean {
    return this.#ends.client.process === process || this.#ends.server.process === process;
  }

  joins(from: string, to: string): boolean {
    const { client, server } = this.#ends;
    return (
      (client.host === from && server.host === to) || (client.host === to && server.host === from)
    );
  }

  send(direction: 'toServer' | 'toClient', frame: unknown): void {
    if (this.#isBroken) return;
    const { time } = this.#network;
    const outMs = this.#network.outMs(this.#way(direction).from.host, frame);
    const atMs = Math.max(this.#lastMs[direction], outMs + this.#network.latencyMs());
    this.#lastMs[direction] = atMs;
    this.#waiting[direction].push(frame);
    time.after(atMs - time.nowMs, () => {
      this.#arrive(direction);
    });
  }

  /** Both ends hear of it after `delayMs`. */
  breakAfter(delayMs: number, lateChance: number): void {
    this.#network.time.after(delayMs, () => {
      this.#break(lateChance);
    });
  }

  #arrive(direction: 'toServer' | 'toClient'): void {
    if (this.#isBroken) return;
    const { from, to } = this.#way(direction);
    const { time, random, profile } = this.#network;
    if (this.#network.isCut(from.host, to.host)) {
      time.after(RETRANSMIT_MS, () => {
        this.#arrive(direction);
      });
      return;
    }
    if (profile.breakChance > 0 && random.chance(profile.breakChance)) {
      this.#break(profile.lateChance);
      return;
    }
    const frame = this.#waiting[direction].shift();
    if (frame === undefined) return;
    const isTaken = this.#network.onArrival?.({
      connection: this,
      from: from.host,
      to: to.host,
      frame,
      deliver: () => {
        to.process.after(0, () => this.#sink(direction)?.onFrame(frame));
      },
    });
    if (isTaken === true) return;
    to.process.after(0, () => {
      if (this.#isBroken && direction === 'toClient') return;
      this.#sink(direction)?.onFrame(frame);
    });
  }

  #break(lateChance: number): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#ends.onGone();
    const { random } = this.#network;
    const { client, server } = this.#ends;
    // What lies in the server's socket is read before the end of the connection is seen, whenever
    // the process comes to it.
    const late = lateChance > 0 && random.chance(lateChance) ? this.#waiting.toServer : [];
    const lateMs = late.length > 0 ? random.below(LATE_MS_MAX) : 0;
    server.process.after(lateMs, () => {
      for (const frame of late) this.serverSink?.onFrame(frame);
      this.serverSink?.onBroken();
    });
    client.process.after(0, () => {
      this.clientSink?.onBroken();
    });
  }

  #way(direction: 'toServer' | 'toClient'): { readonly from: End; readonly to: End } {
    const { client, server } = this.#ends;
    return direction === 'toServer' ? { from: client, to: server } : { from: server, to: client };
  }

  #sink(direction: 'toServer' | 'toClient'): FrameSink | null {
    return direction === 'toServer' ? this.serverSink : this.clientSink;
  }
}
