/**
 * The two implementations of the seam wire/grpc/channel.ts, for transport.test.ts: grpc-js on
 * loopback, and the simulator's. Both let a test break what stands: in front of the real server is
 * a relay whose sockets can be reset.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type {
  Metadata,
  MethodDefinition,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { Random } from '../../base/random.ts';
import { GrpcServer } from '../../broker/network/grpc-server.ts';
import { systemClock } from '../../process/system-clock.ts';
import type { Channel } from '../../wire/grpc/channel.ts';
import { dial } from '../../wire/grpc/dial.ts';
import { raiseHttp2Limits } from '../../wire/grpc/transport.ts';
import { SimChannel } from '../sim/kit/sim-channel.ts';
import { SimNetwork } from '../sim/kit/sim-network.ts';
import { SimProcess } from '../sim/kit/sim-process.ts';
import { SimServer } from '../sim/kit/sim-server.ts';
import { SimTime } from '../sim/kit/sim-time.ts';

export type TestChannel = Channel & { close(): void };

/** One server and one channel to it. */
export interface Transport {
  readonly channel: TestChannel;
  /** A channel to an address where nobody listens. */
  readonly nowhere: TestChannel;
  /** The caller's clock, for deadlines. */
  readonly wallMs: () => number;
  /** Lets time pass until it is so. */
  readonly until: (isOver: () => boolean) => Promise<void>;
  /** Every connection that stands is reset. */
  readonly breakConnections: () => void;
  readonly end: () => Promise<void>;
}

export type Serve = (
  definition: ServiceDefinition,
  handlers: UntypedServiceImplementation,
) => Promise<Transport>;

export const TRANSPORTS: Record<string, Serve> = { 'of grpc-js': real, simulated };

async function real(
  definition: ServiceDefinition,
  handlers: UntypedServiceImplementation,
): Promise<Transport> {
  raiseHttp2Limits();
  const server = new GrpcServer();
  server.add(definition, handlers);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const { port: relayPort } = relay.address() as AddressInfo;
  const unused = createServer();
  await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve));
  const { port: unusedPort } = unused.address() as AddressInfo;
  await new Promise((resolve) => unused.close(resolve));
  const channel = dial(`127.0.0.1:${relayPort}`, { clock: systemClock });
  const nowhere = dial(`127.0.0.1:${unusedPort}`, { clock: systemClock });
  return {
    channel,
    nowhere,
    wallMs: () => systemClock.wallMs(),
    until: async (isOver) => {
      while (!isOver()) await new Promise((resolve) => setImmediate(resolve));
    },
    breakConnections: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    end: async () => {
      channel.close();
      nowhere.close();
      await server.close(0);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => relay.close(resolve));
    },
  };
}

async function simulated(
  definition: ServiceDefinition,
  handlers: UntypedServiceImplementation,
): Promise<Transport> {
  const time = new SimTime();
  const profile = {
    latencyMsMin: 0.1,
    latencyMsMax: 1,
    breakChance: 0,
    lateChance: 0,
    duplicateChance: 0,
  };
  const network = new SimNetwork(time, new Random(1), profile, () => undefined);
  const thrown: unknown[] = [];
  const processOf = (name: string): SimProcess =>
    new SimProcess(name, time, {
      wallMs: () => 1_700_000_000_000 + time.nowMs,
      onThrow: (error) => thrown.push(error),
    });
  const caller = processOf('caller');
  const callee = processOf('callee');
  const server = new SimServer(callee, network);
  server.add(definition, handlers);
  network.listen('callee:1', server);
  const rethrow = (): void => {
    if (thrown.length > 0) throw thrown[0];
  };
  return {
    channel: new SimChannel(network, caller, 'caller', 'callee:1').channel,
    nowhere: new SimChannel(network, caller, 'caller', 'callee:2').channel,
    wallMs: () => caller.clock.wallMs(),
    until: async (isOver) => {
      const isSo = await time.run(() => thrown.length > 0 || isOver(), 60_000);
      rethrow();
      if (!isSo) throw new Error('a simulated minute has passed, and it is not so');
    },
    breakConnections: () => {
      network.breakOne();
    },
    end: async () => {
      rethrow();
    },
  };
}

/** Messages are bytes; one that begins with an exclamation mark is no message. */
function method(name: string, isRequestStream: boolean, isResponseStream: boolean) {
  const serialize = (value: Buffer): Buffer => value;
  // Of a large message the checks of broker/messages/handlers.ts hand on a reader, as generated
  // code takes it.
  const bytesOf = (input: Buffer): Buffer =>
    input instanceof BinaryReader ? (input as unknown as { readonly buf: Buffer }).buf : input;
  return {
    path: `/tidemark.test.Echo/${name}`,
    requestStream: isRequestStream,
    responseStream: isResponseStream,
    requestSerialize: serialize,
    requestDeserialize: (input: Buffer): Buffer => {
      const bytes = bytesOf(input);
      if (bytes[0] === 33) throw new RangeError('it begins with an exclamation mark');
      return bytes;
    },
    responseSerialize: serialize,
    responseDeserialize: (bytes: Buffer): Buffer => bytes,
  } satisfies MethodDefinition<Buffer, Buffer>;
}

export const ECHO = {
  unary: method('Unary', false, false),
  stream: method('Stream', false, true),
  bidi: method('Bidi', true, true),
} as const;

/** A status as either side tells it. */
export interface Told {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}
