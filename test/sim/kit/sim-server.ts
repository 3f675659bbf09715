/**
 * The answering side of gRPC over {@link SimNetwork}, as grpc-js fills the seam: real definitions
 * and deserializers, the calls that handlers are given, and `cancelled` after every end of a call.
 */
import { EventEmitter } from 'node:events';
import {
  Metadata,
  type ServiceDefinition,
  status as Status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { guarded } from '../../../broker/messages/guarded-service.ts';
import type { ServiceHost } from '../../../wire/grpc/channel.ts';
import { MESSAGE_BYTES_MAX } from '../../../base/limits.ts';
import {
  type CallStatus,
  copied,
  type Frame,
  type OpenFrame,
  Outgoing,
  type Serialized,
  statusOf,
  tooLarge,
} from './grpc-frames.ts';
import type { Connection, FrameSink, Listener, SimNetwork } from './sim-network.ts';
import type { SimProcess } from './sim-process.ts';

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: unknown) => Serialized;
}

type Callback = (error: Partial<CallStatus> | null, value?: unknown) => void;
type Handler = (call: ServerCall, callback: Callback) => void;

interface Registered {
  readonly method: Method;
  readonly handler: Handler;
}

/** What a handler is given: grpc-js's four kinds of call in one, as far as ours use them. */
class ServerCall extends EventEmitter {
  readonly metadata: Metadata;
  readonly registered: Registered;
  request: unknown = undefined;
  cancelled = false;
  isStarted = false;
  readonly #process: SimProcess;
  readonly #callId: number;
  readonly #deadlineMs: number;
  readonly #reply: (frame: Frame) => void;
  readonly #out: Outgoing;
  readonly #held: (() => void)[] = [];
  #isPaused = false;
  #areHeadersSent = false;
  #isEnded = false;
  #isHalfClosed = false;
  #pending: CallStatus = statusOf(Status.OK, 'OK');

  constructor(
    process: SimProcess,
    registered: Registered,
    { callId, timeoutMs, metadata }: OpenFrame,
    reply: (frame: Frame) => void,
  ) {
    super();
    this.metadata = metadata;
    this.registered = registered;
    this.#process = process;
    this.#callId = callId;
    this.#reply = reply;
    this.#deadlineMs = process.clock.wallMs() + timeoutMs;
    const send = (bytes: Buffer): void => {
      reply({ kind: 'message', callId, bytes });
    };
    this.#out = new Outgoing(send, () => this.emit('drain'));
    this.on('error', (thrown: Partial<CallStatus>) => {
      this.fail(thrown);
    });
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  getPeer(): string {
    return this.#process.name;
  }

  sendMetadata(metadata: Metadata): void {
    if (this.#areHeadersSent || this.#isEnded) return;
    this.#areHeadersSent = true;
    this.#reply({ kind: 'headers', callId: this.#callId, metadata });
  }

  write(value: unknown): boolean {
    if (this.#isEnded || this.cancelled) return true;
    const bytes = copied(this.registered.method.responseSerialize(value));
    if (bytes.length > MESSAGE_BYTES_MAX) {
      this.fail(tooLarge(bytes.length));
      return true;
    }
    this.sendMetadata(new Metadata());
    return this.#out.write(bytes);
  }

  fail({
    code = Status.UNKNOWN,
    details = '',
    metadata = new Metadata(),
  }: Partial<CallStatus>): void {
    this.#pending = { code, details, metadata };
    this.end();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reply({ kind: 'status', callId: this.#callId, status: this.#pending });
    this.#process.after(0, () => {
      this.gone();
    });
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (let next = this.#next(); next !== undefined; next = this.#next()) next();
  }

  data(bytes: Buffer): void {
    this.#take(() => {
      this.#reply({ kind: 'taken', callId: this.#callId, bytes: bytes.length });
      if (!this.cancelled) this.emit('data', this.registered.method.requestDeserialize(bytes));
    });
  }

  /**
   * The caller sends no more. So does one that cancels: grpc-js tells that in the same way, and
   * `cancelled` after it.
   */
  halfClosed(): void {
    this.#take(() => {
      if (this.cancelled || this.#isHalfClosed) return;
      this.#isHalfClosed = true;
      this.emit('end');
    });
  }

  taken(bytes: number): void {
    this.#out.taken(bytes);
  }

  /** The call is over, in whatever way: grpc-js tells it also after an orderly end. */
  gone(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#isEnded = true;
    this.#held.length = 0;
    this.emit('cancelled', 'cancelled');
  }

  #take(act: () => void): void {
    this.#held.push(act);
    if (this.#held.length === 1) this.resumeHeld();
  }

  resumeHeld(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) next();
  }

  #next(): (() => void) | undefined {
    return this.#isPaused ? undefined : this.#held.shift();
  }
}

/** A defect ends the run. */
function throwDefect(error: unknown): never {
  throw error;
}

/** Services of one process, and the calls that run. */
export class SimServer implements ServiceHost, Listener {
  readonly process: SimProcess;
  readonly #network: SimNetwork;
  readonly #methods = new Map<string, Registered>();

  constructor(process: SimProcess, network: SimNetwork) {
    this.process = process;
    this.#network = network;
  }

  add<Implementation extends UntypedServiceImplementation>(
    definition: ServiceDefinition<Implementation>,
    implementation: Implementation,
  ): void {
    const service = guarded(definition, implementation, throwDefect);
    const checked = service.definition as unknown as Record<string, Method>;
    const handlers = service.implementation as unknown as Record<string, Handler | undefined>;
    for (const [name, method] of Object.entries(checked)) {
      const handler = handlers[name];
      if (handler !== undefined) this.#methods.set(method.path, { method, handler });
    }
  }

  accept(connection: Connection): FrameSink {
    const calls = new Map<number, ServerCall>();
    const reply = (frame: Frame): void => {
      if (frame.kind === 'status') calls.delete(frame.callId);
      connection.send('toClient', frame);
    };
    return {
      onFrame: (frame) => {
        this.#take(frame as Frame, calls, reply);
      },
      onBroken: () => {
        const open = [...calls.values()];
        calls.clear();
        for (const call of open) call.gone();
      },
    };
  }

  #take(frame: Frame, calls: Map<number, ServerCall>, reply: (frame: Frame) => void): void {
    const call = calls.get(frame.callId);
    if (frame.kind === 'open') this.#open(frame, calls, reply);
    else if (call === undefined) return;
    else if (frame.kind === 'message') this.#message(call, frame.callId, frame.bytes, reply);
    else if (frame.kind === 'half-close') call.halfClosed();
    else if (frame.kind === 'taken') call.taken(frame.bytes);
    else if (frame.kind === 'cancel') {
      calls.delete(frame.callId);
      call.halfClosed();
      call.gone();
    }
  }

  #open(frame: OpenFrame, calls: Map<number, ServerCall>, reply: (frame: Frame) => void): void {
    const { callId, path, timeoutMs } = frame;
    const registered = this.#methods.get(path);
    if (registered === undefined) {
      reply({ kind: 'status', callId, status: statusOf(Status.UNIMPLEMENTED, path) });
      return;
    }
    const call = new ServerCall(this.process, registered, frame, reply);
    calls.set(callId, call);
    if (registered.method.requestStream) registered.handler(call, () => undefined);
    if (!Number.isFinite(timeoutMs)) return;
    this.process.after(timeoutMs, () => {
      if (calls.get(callId) !== call) return;
      const status = statusOf(Status.DEADLINE_EXCEEDED, 'Deadline exceeded');
      reply({ kind: 'status', callId, status });
      call.gone();
    });
  }

  #message(call: ServerCall, callId: number, bytes: Buffer, reply: (frame: Frame) => void): void {
    const { method } = call.registered;
    if (method.requestStream) {
      call.data(bytes);
      return;
    }
    if (call.isStarted) return;
    call.isStarted = true;
    this.#start(call, bytes, (status, answer) => {
      if (call.cancelled) return;
      if (answer !== null) reply({ kind: 'message', callId, bytes: answer });
      reply({ kind: 'status', callId, status });
      this.process.after(0, () => {
        call.gone();
      });
    });
    const { random, profile } = this.#network;
    if (!isRepeatable(method) || !random.chance(profile.duplicateChance)) return;
    // The same request once more, as a proxy that repeats would send it: nobody waits for its
    // answer.
    this.process.after(this.#network.latencyMs() * 3, () => {
      const open = {
        kind: 'open',
        callId,
        path: method.path,
        timeoutMs: 1_000,
        metadata: call.metadata,
      } as const;
      const twin = new ServerCall(this.process, call.registered, open, () => undefined);
      this.#start(twin, bytes, () => undefined);
    });
  }

  #start(
    call: ServerCall,
    bytes: Buffer,
    done: (status: CallStatus, answer: Buffer | null) => void,
  ): void {
    const { method, handler } = call.registered;
    call.request = method.requestDeserialize(copied(bytes));
    handler(call, (error, value) => {
      if (error === null) {
        const answer = copied(method.responseSerialize(value));
        if (answer.length > MESSAGE_BYTES_MAX) done(tooLarge(answer.length), null);
        else done(statusOf(Status.OK, 'OK'), answer);
        return;
      }
      const { code = Status.UNKNOWN, details = '', metadata = new Metadata() } = error;
      done({ code, details, metadata }, null);
    });
  }
}

/**
 * Between brokers a request may arrive twice. A plain Append that a proxy repeats is another
 * append: nobody promised otherwise.
 */
function isRepeatable({ path, responseStream }: Method): boolean {
  return !responseStream && path.includes('.internal.');
}
