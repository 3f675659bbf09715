/**
 * What a client can do to a broker below gRPC: connections, streams, headers and bytes that no
 * honest one sends. Each attack goes on until it has done its worst, or was stopped.
 */
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2';
import { connect, type Socket } from 'node:net';

const PIECE = Buffer.alloc(64 * 1024);
/** A gRPC prefix: not compressed, of 16 MiB. */
const PREFIX = Buffer.from([0, 0x01, 0, 0, 0]);

/** A client of many connections, all of which it can drop at once. */
export class Attacker {
  readonly #port: number;
  readonly #sessions = new Set<ClientHttp2Session>();
  readonly #sockets = new Set<Socket>();
  /** Connections that were closed from the other side. */
  closed = 0;
  /** Streams that were ended from the other side. */
  refused = 0;

  constructor(port: number) {
    this.#port = port;
  }

  session(): ClientHttp2Session {
    const session = connectHttp2(`http://127.0.0.1:${this.#port}`, {
      settings: { initialWindowSize: 65_535 },
    });
    session.on('error', () => undefined);
    session.once('close', () => {
      this.#sessions.delete(session);
      this.closed += 1;
    });
    this.#sessions.add(session);
    return session;
  }

  /** A stream to a method; null where its connection is gone. */
  stream(session: ClientHttp2Session, path: string, more: object = {}): ClientHttp2Stream | null {
    if (session.destroyed || session.closed) return null;
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...more,
      },
      { endStream: false },
    );
    stream.on('error', () => undefined);
    stream.once('close', () => (this.refused += 1));
    return stream;
  }

  /** Messages of 16 MiB that begin and never end, on every stream the same number of bytes. */
  async unfinished(
    path: string,
    { connections, streams, bytes }: { connections: number; streams: number; bytes: number },
  ): Promise<void> {
    const each = bytes / connections / streams;
    const sent = Array.from({ length: connections }, async () => {
      const session = this.session();
      const opened = Array.from({ length: streams }, () => this.stream(session, path));
      for (const stream of opened) stream?.write(PREFIX);
      for (let left = each; left > 0; left -= PIECE.length) {
        for (const stream of opened) {
          if (stream === null || stream.destroyed) continue;
          await written(stream, PIECE.subarray(0, Math.min(left, PIECE.length)));
        }
      }
    });
    await Promise.all(sent);
  }

  /** Streams on which nothing follows the headers, or one message. */
  async idleStreams(
    path: string,
    { connections, streams }: { connections: number; streams: number },
    message: Uint8Array | null = null,
  ): Promise<void> {
    for (let each = 0; each < connections; each += 1) {
      const session = this.session();
      for (let stream = 0; stream < streams; stream += 1) {
        const opened = this.stream(session, path);
        if (message !== null) opened?.end(framed(message));
        opened?.pause();
      }
      await soon();
    }
  }

  /** Connections that say nothing, or no more than bytes. */
  async connections(count: number, bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
    for (let each = 0; each < count; each += 1) {
      const socket = connect(this.#port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.closed += 1;
      });
      // It hears when it is closed.
      socket.resume();
      this.#sockets.add(socket);
      if (bytes.length > 0) socket.write(bytes);
      if (each % 50 === 49) await soon();
    }
  }

  /** Says more on every connection of {@link connections}. */
  say(bytes: Uint8Array): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  /** Streams as fast as it can, and each is reset at once, or left. */
  async storm(path: string, count: number, reset: boolean, more: object = {}): Promise<void> {
    let session = this.session();
    for (let each = 0; each < count; each += 1) {
      if (session.destroyed || session.closed) session = this.session();
      const stream = this.stream(session, path, more);
      if (reset) stream?.close(8);
      if (each % 100 === 99) await soon();
    }
  }

  stop(): void {
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A message as gRPC frames it. */
export function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The preface of HTTP/2, no settings, and headers that never end. */
export function endlessHeaders(): Buffer {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const settings = frame(4, 0, 0, Buffer.alloc(0));
  return Buffer.concat([preface, settings, frame(1, 0, 1, Buffer.from([0x82]))]);
}

/** More of {@link endlessHeaders}: a name and a value. */
export function moreHeaders(bytes: number): Buffer {
  const value = Buffer.alloc(bytes, 'a');
  const literal = Buffer.concat([Buffer.from([0x00, 1, 0x78, 0x7f]), integer(bytes - 127), value]);
  return frame(9, 0, 1, literal);
}

function integer(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left >>= 7) bytes.push((left & 127) | 128);
  bytes.push(left);
  return Buffer.from(bytes);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** When the bytes have left, or a second has passed: the peer may read no more. */
function written(stream: ClientHttp2Stream, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1_000);
    stream.write(bytes, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
