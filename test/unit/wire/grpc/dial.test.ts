import dns from 'node:dns';
import { once } from 'node:events';
import {
  type AddressInfo,
  connect,
  createServer,
  type Server as TcpServer,
  type Socket,
} from 'node:net';
import {
  type Client,
  type ClientDuplexStream,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status as Status,
  type StatusObject,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Cancel } from '../../../../base/clock.ts';
import {
  CONNECT_MS_FIRST,
  CONNECT_MS_LAST,
  dial,
  type DialOptions,
} from '../../../../wire/grpc/dial.ts';
import { BlackHole } from '../../../fixtures/black-hole.ts';
import { CERTIFICATE, PRIVATE_KEY } from '../../../fixtures/kube/certificate.ts';

const PATH = '/test.Echo/Echo';
const asIs = (bytes: Buffer): Buffer => bytes;
const ECHO = {
  echo: {
    path: PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

const OWN = { private_key: Buffer.from(PRIVATE_KEY), cert_chain: Buffer.from(CERTIFICATE) };
const TRUSTING = {
  credentials: credentials.createSsl(Buffer.from(CERTIFICATE), null, null, {
    // It is made for an address, and names are what TLS asks for.
    checkServerIdentity: () => undefined,
  }),
};

/** Timers that run out when told. */
class Timers {
  readonly delays: number[] = [];
  #open: (() => void)[] = [];

  after(delayMs: number, callback: () => void): Cancel {
    this.delays.push(delayMs);
    this.#open.push(callback);
    return () => {
      this.#open = this.#open.filter((other) => other !== callback);
    };
  }

  soon(callback: () => void): void {
    setImmediate(callback);
  }

  get open(): number {
    return this.#open.length;
  }

  runOut(): void {
    for (const callback of this.#open.splice(0)) callback();
  }
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).toReversed()) close();
  vi.restoreAllMocks();
});

function open(
  target: string,
  security: Partial<DialOptions> = {},
): { readonly client: Client; readonly timers: Timers } {
  const timers = new Timers();
  const client = dial(target, { clock: timers, ...security });
  closers.push(() => client.close());
  return { client, timers };
}

/** Accepts and never says a word. */
class Silent {
  readonly sockets: Socket[] = [];
  readonly server: TcpServer;

  private constructor() {
    this.server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      this.sockets.push(socket);
    });
  }

  static async listen(port = 0, host = '127.0.0.1'): Promise<Silent> {
    const silent = new Silent();
    silent.server.listen(port, host);
    await once(silent.server, 'listening');
    closers.push(() => {
      silent.server.close();
      for (const socket of silent.sockets) socket.destroy();
    });
    return silent;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Waits for the next connection. */
  async met(count: number): Promise<Socket> {
    while (this.sockets.length < count) await once(this.server, 'connection');
    return this.sockets[count - 1] as Socket;
  }
}

async function listenEcho(
  port = 0,
  host = '127.0.0.1',
  security = ServerCredentials.createInsecure(),
): Promise<number> {
  const server = new Server();
  server.addService(ECHO, {
    echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (bytes: Buffer) => call.write(bytes));
    },
  });
  closers.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, security, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

/** A stream, opened once: what it hears first, and how it ends. */
function stream(client: Client): {
  readonly ended: Promise<StatusObject>;
  readonly echoed: Promise<string>;
  readonly call: ClientDuplexStream<Buffer, Buffer>;
} {
  const call = client.makeBidiStreamRequest(PATH, asIs, asIs);
  call.on('error', () => undefined);
  const ended = new Promise<StatusObject>((resolve) => call.on('status', resolve));
  const echoed = new Promise<string>((resolve) => {
    call.on('data', (bytes: Buffer) => resolve(bytes.toString()));
  });
  call.write(Buffer.from('hello'));
  return { call, ended, echoed };
}

/** Streams, each opened when the last one failed, as ours are, until one is answered. */
async function untilEchoed(client: Client): Promise<string> {
  for (;;) {
    const { ended, echoed } = stream(client);
    const heard = await Promise.race([ended, echoed]);
    if (typeof heard === 'string') return heard;
    await new Promise(setImmediate);
  }
}

describe('dial()', () => {
  it('ends the streams that wait for a peer that takes connections and says nothing', async () => {
    const silent = await Silent.listen();
    const { client, timers } = open(`127.0.0.1:${silent.port}`);
    const { ended } = stream(client);
    const closed = once(await silent.met(1), 'close');
    timers.runOut();
    expect(await ended).toMatchObject({ code: Status.UNAVAILABLE });
    expect((await ended).details).toContain('no answer within 1000 ms');
    await closed;
  });

  it('ends the streams that wait for an address that swallows SYNs', async () => {
    const hole = await BlackHole.open();
    closers.push(() => hole.close());
    const { client, timers } = open(`127.0.0.1:${hole.port}`);
    const { ended } = stream(client);
    await vi.waitUntil(() => timers.open > 0);
    timers.runOut();
    expect(await ended).toMatchObject({ code: Status.UNAVAILABLE });
  });

  it('finds the successor that has another address under the same name', async () => {
    const silent = await Silent.listen(0, '127.0.0.1');
    await listenEcho(silent.port, '127.0.0.2');
    let address = '127.0.0.1';
    vi.spyOn(dns.promises, 'lookup').mockImplementation((() =>
      Promise.resolve([{ address, family: 4 }])) as unknown as typeof dns.promises.lookup);
    const { client, timers } = open(`dns:///broker:${silent.port}`);
    const { ended } = stream(client);
    await silent.met(1);
    address = '127.0.0.2';
    timers.runOut();
    await ended;
    expect(await untilEchoed(client)).toBe('hello');
  });

  it('gives up an attempt also while calls are refused meanwhile', async () => {
    const holder = await Silent.listen();
    const { port } = holder;
    holder.server.close();
    await once(holder.server, 'close');
    const { client, timers } = open(`127.0.0.1:${port}`);
    // Refused, so calls fail at once from here on, whatever goes on behind them.
    await stream(client).ended;
    const silent = await Silent.listen(port);
    const met = await silent.met(1);
    silent.server.close();
    await listenEcho(port);
    const closed = once(met, 'close');
    timers.runOut();
    await closed;
    expect(await untilEchoed(client)).toBe('hello');
  });

  it('waits longer after each attempt in vain, up to a bound', async () => {
    const silent = await Silent.listen();
    const { client, timers } = open(`127.0.0.1:${silent.port}`);
    stream(client);
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      await silent.met(attempt);
      timers.runOut();
    }
    await silent.met(5);
    expect(timers.delays).toEqual([
      CONNECT_MS_FIRST,
      2 * CONNECT_MS_FIRST,
      CONNECT_MS_LAST,
      CONNECT_MS_LAST,
      CONNECT_MS_LAST,
    ]);
  });

  it.each([
    { over: 'plain TCP', security: {}, server: ServerCredentials.createInsecure() },
    { over: 'TLS', security: TRUSTING, server: ServerCredentials.createSsl(null, [OWN]) },
  ])('leaves a connection alone that was answered, over $over', async ({ security, server }) => {
    const port = await listenEcho(0, '127.0.0.1', server);
    const { client, timers } = open(`localhost:${port}`, security);
    const { call, echoed } = stream(client);
    await echoed;
    timers.runOut();
    await new Promise(setImmediate);
    const again = once(call, 'data');
    call.write(Buffer.from('again'));
    expect(String((await again)[0])).toBe('again');
    call.cancel();
  });

  it('leaves the sockets of others alone, also those of a call back', async () => {
    const silent = await Silent.listen();
    const { client, timers } = open(`127.0.0.1:${await listenEcho()}`);
    const { call, echoed } = stream(client);
    const other = new Promise<Socket>((resolve) => {
      call.once('data', () => resolve(connect(silent.port, '127.0.0.1')));
    });
    await echoed;
    await silent.met(1);
    timers.runOut();
    await new Promise(setImmediate);
    expect((await other).destroyed).toBe(false);
    (await other).destroy();
    call.cancel();
  });

  it('leaves no attempt and no timer behind when it is closed', async () => {
    const silent = await Silent.listen();
    const { client, timers } = open(`127.0.0.1:${silent.port}`);
    const { ended } = stream(client);
    const closed = once(await silent.met(1), 'close');
    client.close();
    expect(await ended).toMatchObject({ code: Status.UNAVAILABLE });
    await closed;
    expect(timers.open).toBe(0);
  });
});
