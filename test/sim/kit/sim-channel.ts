/**
 * The calling side of gRPC over {@link SimNetwork}: a channel that connects when it is first used
 * and again after it broke, and the calls on it, as grpc-js fills the seam of wire/grpc/channel.ts.
 * `error` comes before `status`, and every call ends with one.
 */
import { EventEmitter } from 'node:events';
import { type Deadline, Metadata, status as Status } from '@grpc/grpc-js';
import { MESSAGE_BYTES_MAX } from '../../../base/limits.ts';
import type { Channel } from '../../../wire/grpc/channel.ts';
import {
  type CallStatus,
  copied,
  type Frame,
  Outgoing,
  type Serialized,
  statusOf,
  tooLarge,
} from './grpc-frames.ts';
import type { Connection, SimNetwork } from './sim-network.ts';
import type { SimProcess } from './sim-process.ts';

type Serialize = (value: unknown) => Serialized;
type Deserialize = (bytes: Buffer) => unknown;
type Callback = (error: (Error & CallStatus) | null, value?: unknown) => void;

interface Carrier {
  readonly process: SimProcess;
  readonly note: (line: string) => void;
}

/** A call of any kind, from the caller's side. */
class ClientCall extends EventEmitter {
  readonly #carrier: Carrier;
  readonly #serialize: Serialize;
  readonly #deserialize: Deserialize;
  readonly #queued: Frame[] = [];
  readonly #out: Outgoing;
  readonly callId: number;
  #connection: Connection | null = null;
  #isOver = false;
  #hasHeaders = false;

  constructor(carrier: Carrier, callId: number, serialize: Serialize, deserialize: Deserialize) {
    super();
    this.#carrier = carrier;
    this.callId = callId;
    this.#serialize = serialize;
    this.#deserialize = deserialize;
    const send = (bytes: Buffer): void => {
      this.send({ kind: 'message', callId, bytes });
    };
    this.#out = new Outgoing(send, () => this.emit('drain'));
    // grpc-js throws an error that nobody listens to; ours all listen, and a unary call has none.
    this.on('error', () => undefined);
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** Frames queue until there is a connection. */
  send(frame: Frame): void {
    if (this.#isOver) return;
    if (this.#connection === null) this.#queued.push(frame);
    else this.#connection.send('toServer', frame);
  }

  connected(connection: Connection): void {
    if (this.#isOver) return;
    this.#connection = connection;
    for (const frame of this.#queued.splice(0)) connection.send('toServer', frame);
  }

  write(value: unknown): boolean {
    if (this.#isOver) return true;
    const bytes = copied(this.#serialize(value));
    if (bytes.length <= MESSAGE_BYTES_MAX) return this.#out.write(bytes);
    this.giveUp(tooLarge(bytes.length));
    return true;
  }

  end(): void {
    this.send({ kind: 'half-close', callId: this.callId });
  }

  cancel(): void {
    this.giveUp(statusOf(Status.CANCELLED, 'Cancelled on client'));
  }

  /** The caller ends it; the server may hear of it. */
  giveUp(status: CallStatus): void {
    if (this.#isOver) return;
    this.send({ kind: 'cancel', callId: this.callId });
    this.#carrier.process.after(0, () => {
      this.finish(status);
    });
  }

  take(frame: Frame): void {
    if (this.#isOver) return;
    if (frame.kind === 'taken') this.#out.taken(frame.bytes);
    if (frame.kind === 'headers') this.#headers(frame.metadata);
    if (frame.kind === 'status') this.finish(frame.status);
    if (frame.kind !== 'message') return;
    if (frame.bytes.length > MESSAGE_BYTES_MAX) {
      this.giveUp(tooLarge(frame.bytes.length));
      return;
    }
    this.#headers(new Metadata());
    this.send({ kind: 'taken', callId: this.callId, bytes: frame.bytes.length });
    this.emit('data', this.#deserialize(frame.bytes));
  }

  finish(status: CallStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (status.code !== Status.OK) {
      const text = `${status.code} ${status.details}`;
      this.emit('error', Object.assign(new Error(text), status));
    }
    this.emit('status', status);
  }

  #headers(metadata: Metadata): void {
    if (this.#hasHeaders) return;
    this.#hasHeaders = true;
    this.emit('metadata', metadata);
  }
}

/** Calls of one process to one address. */
export class SimChannel {
  readonly #network: SimNetwork;
  readonly #carrier: Carrier;
  readonly #host: string;
  readonly #address: string;
  readonly #calls = new Map<number, ClientCall>();
  #connection: Connection | null = null;
  #isConnecting = false;
  #isClosed = false;
  #nextCallId = 1;

  constructor(network: SimNetwork, process: SimProcess, host: string, address: string) {
    this.#network = network;
    this.#carrier = { process, note: network.onFrame };
    this.#host = host;
    this.#address = address;
  }

  /** As the seam's type, whose overloads are grpc-js's own. */
  get channel(): Channel & { close(): void } {
    return this as unknown as Channel & { close(): void };
  }

  makeUnaryRequest(
    path: string,
    serialize: Serialize,
    deserialize: Deserialize,
    request: unknown,
    metadata: Metadata,
    options: { readonly deadline?: Deadline },
    callback: Callback,
  ): ClientCall {
    const call = this.#begin({ path, serialize, deserialize, metadata, ...options });
    let answer: unknown = null;
    let hasAnswer = false;
    call.on('data', (value) => {
      answer = value;
      hasAnswer = true;
    });
    call.on('status', (status: CallStatus) => {
      if (status.code === Status.OK && hasAnswer) callback(null, answer);
      else callback(Object.assign(new Error(`${status.code} ${status.details}`), status));
    });
    call.write(request);
    call.end();
    return call;
  }

  makeBidiStreamRequest(
    path: string,
    serialize: Serialize,
    deserialize: Deserialize,
    metadata = new Metadata(),
  ): ClientCall {
    return this.#begin({ path, serialize, deserialize, metadata });
  }

  makeServerStreamRequest(
    path: string,
    serialize: Serialize,
    deserialize: Deserialize,
    request: unknown,
    metadata = new Metadata(),
    options: { readonly deadline?: Deadline } = {},
  ): ClientCall {
    const call = this.#begin({ path, serialize, deserialize, metadata, ...options });
    call.write(request);
    call.end();
    return call;
  }

  /**
   * Calls on a connection that stands go on to their end, and the connection ends with the last.
   */
  close(): void {
    this.#isClosed = true;
    for (const call of [...this.#calls.values()])
      if (!call.isConnected) call.giveUp(statusOf(Status.UNAVAILABLE, 'the channel was closed'));
    this.#leave();
  }

  #leave(): void {
    if (this.#isClosed && this.#calls.size === 0) this.#connection?.breakAfter(0, 0);
  }

  #begin(options: {
    readonly path: string;
    readonly serialize: Serialize;
    readonly deserialize: Deserialize;
    readonly metadata: Metadata;
    readonly deadline?: Deadline;
  }): ClientCall {
    const { path, serialize, deserialize, metadata, deadline } = options;
    const { process } = this.#carrier;
    const callId = this.#nextCallId;
    this.#nextCallId += 1;
    const call = new ClientCall(this.#carrier, callId, serialize, deserialize);
    const timeoutMs =
      deadline === undefined ? Infinity : Math.max(0, Number(deadline) - process.clock.wallMs());
    this.#calls.set(callId, call);
    call.on('status', ({ code }: CallStatus) => {
      this.#calls.delete(callId);
      this.#leave();
      this.#carrier.note(`${process.name} ${path} ${callId} ${Status[code]}`);
    });
    call.send({ kind: 'open', callId, path, metadata, timeoutMs });
    if (Number.isFinite(timeoutMs)) {
      process.after(timeoutMs, () => {
        call.giveUp(statusOf(Status.DEADLINE_EXCEEDED, 'Deadline exceeded'));
      });
    }
    if (this.#isClosed) call.giveUp(statusOf(Status.UNAVAILABLE, 'the channel is closed'));
    else if (this.#connection !== null) call.connected(this.#connection);
    else this.#connect();
    return call;
  }

  #connect(): void {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    this.#network.connect(this.#carrier.process, this.#host, this.#address, {
      onOpen: (connection) => {
        this.#isConnecting = false;
        this.#connection = connection;
        connection.clientSink = {
          onFrame: (frame) => {
            const { callId } = frame as Frame;
            this.#calls.get(callId)?.take(frame as Frame);
          },
          onBroken: () => {
            if (this.#connection === connection) this.#connection = null;
            this.#failAll('the connection was reset');
          },
        };
        if (connection.isBroken) connection.clientSink.onBroken();
        for (const call of this.#calls.values()) call.connected(connection);
      },
      onFail: (reason) => {
        this.#isConnecting = false;
        this.#failAll(reason);
      },
    });
  }

  #failAll(reason: string): void {
    for (const call of [...this.#calls.values()]) call.finish(statusOf(Status.UNAVAILABLE, reason));
  }
}
