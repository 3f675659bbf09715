/**
 * The connections of one listener: lets them in or not, counts what is held for each, closes those
 * that hold too much or do nothing. What is decided is `budget.ts`'s; here are sockets and streams.
 *
 * A connection is closed without a word to the peer: whoever is closed for what it holds does not
 * read, and a goodbye would be one more thing to hold.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Held } from '../messages/held.ts';
import { type Budget, type Door, type Excess, addressKey, type Holder } from './budget.ts';
import { StreamAccount } from './stream-account.ts';

/** Node announces each new stream of a process here, before anybody reads from it. */
const STREAMS = 'http2.server.stream.created';

/** What happened to whom; `telemetry` counts it and the log tells it. */
export interface Pressure {
  /** A connection or a call was refused, by this bound. */
  refused(what: 'connection' | 'call', excess: Excess, address: string): void;
  /** A connection was closed for what it held. */
  closed(excess: Excess, address: string, bytes: number): void;
  /** A connection was closed since it had no calls. */
  idle(): void;
  /** More is held, and so much that calls are refused. */
  tight(): void;
}

export interface ConnectionsOptions {
  readonly door: Door;
  /** Its name. */
  readonly listener: string;
  readonly budget: Budget;
  readonly pressure: Pressure;
  readonly isUnary: (path: string) => boolean;
  /** Names and values of one call. */
  readonly headerBytes: number;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Time without a stream after which a connection is closed; 0: never. */
  readonly idleMs: number;
  /** The same before its first stream. */
  readonly unusedMs: number;
}

interface Connection {
  readonly socket: Socket;
  readonly holder: Holder;
  /** Null before its first stream. */
  session: ServerHttp2Session | null;
  streams: number;
  idleSinceMs: number;
  /** It was idle for too long, and told so. */
  isLeaving: boolean;
  /** Answered in full, while the peer has not ended its side; since the sweep before. */
  answered: Set<ServerHttp2Stream>;
  readonly held: Held;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  /** By peer. */
  readonly #standing = new Map<string, Connection>();
  readonly #onStream = (message: unknown): void => {
    const { stream, headers } = message as {
      readonly stream: ServerHttp2Stream;
      readonly headers: Readonly<Record<string, unknown>>;
    };
    this.#opened(stream, headers);
  };

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    subscribe(STREAMS, this.#onStream);
  }

  /** Is it let in? Where not, it is closed at once. */
  accept(socket: Socket): boolean {
    const { budget, door, listener, pressure, nowMs } = this.#options;
    const address = addressKey(socket.remoteAddress ?? '');
    const peer = peerOf(socket);
    // It is gone already, or another connection from there comes in at another of our addresses.
    if (socket.remoteAddress === undefined || this.#standing.has(peer)) {
      socket.destroy();
      return false;
    }
    let connection: Connection | null = null;
    const evict = (excess: Excess): void => {
      pressure.closed(excess, address, holder instanceof Object ? holder.bytes : 0);
      if (connection !== null) cut(connection);
    };
    const holder = budget.connect(door, address, evict, listener);
    if (typeof holder === 'string') {
      socket.destroy();
      pressure.refused('connection', holder, address);
      return false;
    }
    const held: Held = {
      add: (bytes) => budget.add(holder, bytes),
      tryAdd: (bytes) => {
        const isTaken = budget.tryAdd(holder, bytes);
        if (!isTaken) pressure.refused('call', 'memory', address);
        return isTaken;
      },
    };
    const made: Connection = {
      ...{ socket, holder, held, session: null, streams: 0 },
      ...{ idleSinceMs: nowMs(), isLeaving: false, answered: new Set<ServerHttp2Stream>() },
    };
    connection = made;
    this.#standing.set(peer, made);
    socket.once('close', () => {
      this.#standing.delete(peer);
      budget.disconnect(holder);
    });
    return true;
  }

  /** Why a call of this peer must be refused, or null. Tells it. */
  refusal(peer: string): Excess | null {
    const { budget, pressure } = this.#options;
    const holder = this.#standing.get(peer)?.holder;
    const excess = holder === undefined ? null : budget.refusal(holder);
    if (holder !== undefined && excess !== null) pressure.refused('call', excess, holder.address);
    return excess;
  }

  /** Where to count what a call of this peer holds; undefined: the connection is gone. */
  held(peer: string): Held | undefined {
    return this.#standing.get(peer)?.held;
  }

  /** Closes what does nothing. Called each second. */
  sweep(): void {
    const { idleMs, unusedMs, nowMs, pressure } = this.#options;
    for (const connection of this.#standing.values()) {
      // Both sides of a call end; a peer that keeps its own open holds a stream for nothing.
      const { answered, session, streams } = connection;
      connection.answered = new Set();
      for (const stream of answered) if (!stream.closed) stream.close();
      if (idleMs === 0 || streams > 0) continue;
      const patienceMs = session === null ? unusedMs : idleMs;
      if (nowMs() - connection.idleSinceMs < patienceMs) continue;
      // A goodbye first: calls that were sent at this moment are told to go elsewhere.
      if (session === null || session.closed) cut(connection);
      else session.close();
      if (!connection.isLeaving) pressure.idle();
      connection.isLeaving = true;
    }
  }

  /** Ends those that stand, whatever they do. */
  cut(): void {
    for (const connection of this.#standing.values()) cut(connection);
  }

  close(): void {
    unsubscribe(STREAMS, this.#onStream);
  }

  #opened(stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>): void {
    const { session } = stream;
    if (session === undefined || session.destroyed) return;
    const connection = this.#standing.get(peerOf(session.socket));
    // A peer may call two listeners from one port of its own.
    if (connection?.socket.localPort !== session.socket.localPort) return;
    if (connection === undefined) return;
    const { budget, headerBytes, isUnary, nowMs, pressure } = this.#options;
    const { holder } = connection;
    if (connection.session === null) {
      connection.session = session as ServerHttp2Session;
      // gRPC has no option for it; those of the first call have Node's bound of 64 KiB.
      session.settings({ maxHeaderListSize: headerBytes });
    }
    connection.streams += 1;
    stream.once('close', () => {
      connection.streams -= 1;
      connection.idleSinceMs = nowMs();
      connection.answered.delete(stream);
      budget.closeStream(holder);
    });
    stream.once('finish', () => {
      if (!stream.readableEnded) connection.answered.add(stream);
    });
    new StreamAccount({
      stream,
      isUnary: isUnary(String(headers[':path'])),
      onChange: (bytes) => {
        budget.add(holder, bytes);
        if (bytes > 0 && budget.isTight) pressure.tight();
      },
    });
    budget.openStream(holder);
  }
}

function cut({ session, socket }: Connection): void {
  session?.destroy();
  socket.destroy();
}

/** As gRPC writes it. A listener has one port: it names a connection as long as that stands. */
function peerOf({
  remoteAddress,
  remotePort,
}: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress ?? ''}:${remotePort ?? 0}`;
}
