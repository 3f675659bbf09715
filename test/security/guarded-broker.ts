/**
 * A broker as the program composes it, with TLS and authentication on its listener for clients, in
 * this process. What it tells is kept.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { AdvertisedAddresses } from '../../broker/advertised.ts';
import { assembleBroker } from '../../broker/assemble.ts';
import { readConfig } from '../../broker/config.ts';
import { openDoors } from '../../broker/doors/open-doors.ts';
import { addServices } from '../../broker/front.ts';
import { ChannelPool } from '../../broker/network/channel-pool.ts';
import { GrpcServer } from '../../broker/network/grpc-server.ts';
import { probe } from '../../broker/network/probe.ts';
import { openDisk } from '../../broker/storage/disk.ts';
import { Metrics } from '../../broker/telemetry/metrics.ts';
import { openTls } from '../../broker/tls.ts';
import { connect, type Tidemark } from '../../client/index.ts';
import { newAuthority, newCertificate } from '../../process/certificates.ts';
import { systemClock } from '../../process/system-clock.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { freePorts } from '../cluster/harness/ports.ts';

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const FORM_MS = 20_000;
/** Of the certificates. */
export const AUTHORITY = 'guarded test';

export interface Told {
  readonly event: string;
  readonly fields: object;
}

/** One broker whose clients are known by tokens of a file, or what `more` says. */
export class GuardedBroker {
  readonly told: Told[] = [];
  readonly defects: unknown[] = [];
  /** By name: long, random, and in no log. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly folder = mkdtempSync(join(tmpdir(), 'tidemark-guarded-'));
  readonly clusterId = randomUUID();
  readonly authority = newAuthority({ commonName: AUTHORITY, days: 1 });
  readonly #stops: (() => unknown)[] = [];
  address = '';
  internalAddress = '';
  /** Of named listeners. */
  readonly addresses = new Map<string, string>();

  constructor(names: readonly string[]) {
    this.tokens = Object.fromEntries(
      names.map((name) => [name, randomBytes(32).toString('base64url')]),
    );
    this.#stops.push(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  file(name: string, content: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  writeTokens(names: readonly string[]): string {
    const lines = names.map(
      (name) => `${name} ${createHash('sha256').update(this.tokens[name]!).digest('hex')}`,
    );
    return this.file('tokens', `# tokens\n${lines.join('\n')}\n`);
  }

  /** @param named options of named listeners, as they are called behind `listener-<name>-` */
  async start(
    more: readonly string[],
    named: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
  ): Promise<void> {
    const own = newCertificate(
      { ...this.authority, commonName: AUTHORITY },
      { commonName: 'b', names: ['127.0.0.1'] },
    );
    const names = Object.keys(named);
    const port = await freePorts(2 + names.length);
    for (const [at, name] of names.entries())
      this.addresses.set(name, `127.0.0.1:${port + 2 + at}`);
    this.address = `127.0.0.1:${port}`;
    this.internalAddress = `127.0.0.1:${port + 1}`;
    const config = readConfig(
      [
        ...['--id', '1', '--data', join(this.folder, 'data'), '--disk-reserve-bytes', '0'],
        ...['--listen', this.address, '--internal-listen', this.internalAddress],
        ...['--tls-cert', this.file('b.crt', own.cert), '--tls-key', this.file('b.key', own.key)],
        ...more,
        ...(names.length === 0 ? [] : ['--listeners', names.join()]),
        ...names.flatMap((name) => [
          ...[`--listener-${name}-listen`, this.addresses.get(name)!],
          ...Object.entries(named[name]!).flatMap(([flag, value]) => [
            ...[`--listener-${name}-${flag}`, value],
          ]),
        ]),
      ],
      {},
    );
    const report = (error: unknown): void => void this.defects.push(error);
    const tell = (event: string, fields: object): void => void this.told.push({ event, fields });
    const tls = await openTls(config, tell);
    const disk = await openDisk({ ...config, clock: systemClock, logger: SILENT });
    const server = new GrpcServer(report, tls.client);
    const internalServer = new GrpcServer(report, tls.internal);
    const listeners = config.listeners.map(({ name, listen, auth }) => ({
      ...{ name, listen, isReflected: auth?.isReflected ?? true },
      server: new GrpcServer(report, tls.named(name)),
    }));
    const addresses = await AdvertisedAddresses.open(config.listeners, tls, tell);
    const channels = new ChannelPool(systemClock, tls.peers);
    const broker = assembleBroker(config, {
      clock: systemClock,
      disk,
      internalServer,
      channels,
      probe,
      seed: 7,
      newUuid: randomUUID,
      onLiveValues: () => {},
      onFact: tell,
      onExit: (reason) => this.defects.push(new Error(`it wants to exit: ${reason}`)),
      listenerAddresses: () => addresses.current(),
      report,
    });
    const doors = await openDoors({
      ...config,
      broker,
      isInternalTls: false,
      onFact: tell,
      tellAudit: tell,
    });
    const { services, health } = addServices({
      broker,
      server,
      internalServer,
      listeners,
      doors,
      isReflected: config.auth?.isReflected ?? true,
      isServing: () => broker.phase() === 'serving',
      dial: (address, lane, brokerId) => channels.dial(address, lane, brokerId),
      descriptors: readFileSync(new URL('../../proto/tidemark.binpb', import.meta.url)),
      version: '0.0.0',
      newUuid: randomUUID,
      traffic: new Metrics(broker),
      report,
    });
    broker.start();
    await internalServer.listen(config.internalListen);
    await server.listen(config.listen);
    for (const listener of listeners) await listener.server.listen(listener.listen);
    this.#stops.push(
      () => broker.stop(),
      () => {
        health.close();
        services.close();
        channels.close();
        tls.close();
        doors.close();
        addresses.close();
        const servers = [server, internalServer, ...listeners.map((each) => each.server)];
        return Promise.all(servers.map((each) => each.close(0)));
      },
    );
    // As the operator does, at the listener of its own.
    const internal = new Client(this.internalAddress, credentials.createInsecure());
    const options = { deadlineMs: FORM_MS, clock: systemClock };
    const { clusterId } = this;
    await callUnary(internal, AdminServiceService.bootstrap, { clusterId }, options);
    internal.close();
    await this.until(() => broker.phase() === 'serving');
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).toReversed()) await stop();
  }

  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + FORM_MS;
    while (!(await holds())) {
      if (Date.now() > end) throw new Error('it does not come about');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The library, with the token of this name. Closed with the broker. */
  connect(name: string): Tidemark {
    return this.connectWith(this.tokens[name] ?? 'nobody');
  }

  connectWith(token: string | (() => string)): Tidemark {
    const cluster = connect({ servers: this.address, tls: { ca: this.authority.cert }, token });
    this.#stops.push(() => cluster.close());
    return cluster;
  }

  /** A bare client of the listener for clients. */
  bare(cert?: { readonly cert: string; readonly key: string }): Client {
    const context = createSecureContext({ ca: this.authority.cert, ...cert });
    const client = new Client(this.address, tlsChannelCredentials({ context: () => context }));
    this.#stops.push(() => client.close());
    return client;
  }
}

/** What a client says of itself. */
export function shown(headers: Readonly<Record<string, string | Buffer>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.add(name, value);
  return metadata;
}

/** Sends bytes to a method; the status of the call, or null while it goes on. */
export function throwAt(
  client: Client,
  path: string,
  message: Uint8Array,
  metadata: Metadata,
  waitMs: number,
): Promise<number | null> {
  return new Promise((resolve) => {
    const asIs = (bytes: Buffer): Buffer => bytes;
    const call = client.makeBidiStreamRequest(path, asIs, asIs, metadata, {});
    const timer = setTimeout(() => {
      call.cancel();
      resolve(null);
    }, waitMs);
    call.on('data', () => {});
    call.on('error', () => {});
    call.on('status', ({ code }: ServiceError) => {
      clearTimeout(timer);
      resolve(code);
    });
    call.write(Buffer.from(message));
    call.end();
  });
}
