/**
 * Unary calls that are kept between two hosts: their caller waits, or is told that the transport
 * failed, and the request is delivered whenever a script says so, be it long after.
 */
import { status as Status } from '@grpc/grpc-js';
import { type Frame, statusOf } from '../kit/grpc-frames.ts';
import type { Arrival, Connection, SimNetwork } from '../kit/sim-network.ts';

export interface HoldRule {
  /** Of the method. */
  readonly path: RegExp;
  /** Hosts; all when left out. */
  readonly from?: string;
  readonly to?: string;
  /** Which requests, by their bytes; all when left out. */
  readonly isMeant?: (bytes: Uint8Array) => boolean;
  /** Calls that are kept; all when left out. */
  readonly times?: number;
}

interface Call {
  readonly connection: Connection;
  readonly callId: number;
  readonly arrivals: Arrival[];
  /** Its request has arrived and is one that is meant. */
  isKept: boolean;
}

export class HeldCalls {
  readonly #network: SimNetwork;
  readonly #rule: HoldRule;
  readonly #before: SimNetwork['onArrival'];
  readonly #calls: Call[] = [];
  #isOver = false;
  #kept = 0;

  constructor(network: SimNetwork, rule: HoldRule) {
    this.#network = network;
    this.#rule = rule;
    this.#before = network.onArrival;
    const { onArrival: before } = network;
    network.onArrival = (arrival) => before?.(arrival) === true || this.#take(arrival);
  }

  /** Calls that were kept so far. */
  get count(): number {
    return this.#kept;
  }

  /** Their callers are told that the connection failed. The requests stay. */
  failCallers(): void {
    for (const { connection, callId, isKept } of this.#calls)
      if (isKept)
        connection.send('toClient', {
          kind: 'status',
          callId,
          status: statusOf(Status.UNAVAILABLE, 'the connection was reset'),
        });
  }

  /** Delivers what is kept, in order, and keeps nothing more. */
  release(): void {
    this.#isOver = true;
    for (const { arrivals } of this.#calls.splice(0))
      for (const arrival of arrivals) arrival.deliver();
  }

  /** Drops what is kept, and keeps nothing more. */
  end(): void {
    this.failCallers();
    this.#isOver = true;
    this.#calls.length = 0;
    this.#network.onArrival = this.#before;
  }

  #take(arrival: Arrival): boolean {
    const { path, from, to, isMeant = () => true, times = Infinity } = this.#rule;
    const frame = arrival.frame as Frame;
    const { connection } = arrival;
    const call = this.#calls.find(
      (each) => each.connection === connection && each.callId === frame.callId,
    );
    if (call !== undefined) return this.#more(call, arrival, isMeant);
    if (this.#isOver || this.#kept >= times || frame.kind !== 'open' || !path.test(frame.path))
      return false;
    if ((from ?? arrival.from) !== arrival.from || (to ?? arrival.to) !== arrival.to) return false;
    this.#calls.push({ connection, callId: frame.callId, arrivals: [arrival], isKept: false });
    return true;
  }

  #more(call: Call, arrival: Arrival, isMeant: (bytes: Uint8Array) => boolean): boolean {
    const frame = arrival.frame as Frame;
    if (arrival.to !== call.arrivals[0]?.to) return false;
    if (frame.kind === 'message' && !call.isKept) {
      call.isKept = isMeant(frame.bytes);
      if (!call.isKept) {
        this.#calls.splice(this.#calls.indexOf(call), 1);
        for (const earlier of call.arrivals) earlier.deliver();
        return false;
      }
      this.#kept += 1;
    }
    // Whoever gives up says so; the request arrives all the same.
    if (frame.kind !== 'cancel') call.arrivals.push(arrival);
    return true;
  }
}
