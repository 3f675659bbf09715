/**
 * A broker as the program composes it, in this process: real disk, real server on loopback. What it
 * serves is written down, so that a test can reach for every method.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { freePorts } from '../cluster/harness/ports.ts';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
  type status as Status,
} from '@grpc/grpc-js';
import { assembleBroker } from '../../broker/assemble.ts';
import { type Config, readConfig } from '../../broker/config.ts';
import { addServices } from '../../broker/front.ts';
import { ChannelPool } from '../../broker/network/channel-pool.ts';
import { Budget } from '../../broker/network/budget.ts';
import { budgetLimits, costsOf, thisMachine } from '../../broker/network/costs.ts';
import { GrpcServer } from '../../broker/network/grpc-server.ts';
import { PressureLog } from '../../broker/network/pressure-log.ts';
import { probe } from '../../broker/network/probe.ts';
import { openDisk } from '../../broker/storage/disk.ts';
import { Metrics } from '../../broker/telemetry/metrics.ts';
import { HEALTH_SERVICE } from '../../broker/telemetry/health.ts';
import { systemClock } from '../../process/system-clock.ts';
import { AdminServiceService, TopicConfig } from '../../proto/gen/tidemark/v1/admin.ts';
import { AckLevel, AppendRecord, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../wire/grpc/calls.ts';

export const BROKER_ID = 5;
/** Is appended to and read after each blow. */
export const TOPIC = 'calm';
/** What is thrown may name it, and delete it. */
export const OTHER_TOPIC = 'storm';
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const NO_CONFIG = TopicConfig.decode(new Uint8Array(0));
const FORM_MS = 20_000;
/** Longest answer to a call that does no harm. */
const CALM_MS = 10_000;

/** The two listeners of a broker. */
export type Door = 'client' | 'internal';

/** A method, and where it is served. */
export interface ServedMethod extends MethodDefinition<unknown, unknown> {
  readonly door: Door;
}

/** One broker that leads a topic. */
export class VictimBroker {
  /** Every method that it serves. */
  readonly methods: ServedMethod[] = [];
  /** What no caller may bring about. */
  readonly defects: unknown[] = [];
  /** What its connections hold, as it counts. */
  readonly budget: Budget;
  readonly pressure: PressureLog;
  readonly #config: Config;
  readonly #stops: (() => unknown)[] = [];
  #clients: Readonly<Record<Door, Client>> | null = null;
  #appended = 0;

  private constructor(config: Config) {
    this.#config = config;
    this.budget = new Budget(budgetLimits(config, thisMachine()));
    this.pressure = new PressureLog(
      () => {},
      systemClock,
      () => {},
    );
  }

  /** @param args further options of it */
  static async start(args: readonly string[] = []): Promise<VictimBroker> {
    const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-security-'));
    const port = await freePorts(2);
    const config = readConfig(
      [
        ...['--id', `${BROKER_ID}`, '--data', dataDir, '--disk-reserve-bytes', '0'],
        ...['--listen', `127.0.0.1:${port}`, '--internal-listen', `127.0.0.1:${port + 1}`],
        ...args,
      ],
      {},
    );
    const victim = new VictimBroker(config);
    victim.#stops.push(() => rmSync(dataDir, { recursive: true, force: true }));
    try {
      await victim.#start();
      return victim;
    } catch (error) {
      await victim.stop();
      throw error;
    }
  }

  /** Of its listener for clients. */
  get port(): number {
    return this.#config.listen.port;
  }

  get client(): Client {
    return this.#clientOf('client');
  }

  #clientOf(door: Door): Client {
    if (this.#clients === null) throw new Error('the broker is not started');
    return this.#clients[door];
  }

  async #start(): Promise<void> {
    const config = this.#config;
    const report = (error: unknown): void => {
      this.defects.push(error);
    };
    const disk = await openDisk({ ...config, clock: systemClock, logger: SILENT });
    const server = this.#listener('client', report);
    const internalServer = this.#listener('internal', report);
    const channels = new ChannelPool(systemClock);
    const broker = assembleBroker(config, {
      clock: systemClock,
      disk,
      internalServer,
      channels,
      probe,
      seed: 7,
      newUuid: randomUUID,
      onLiveValues: () => {},
      onFact: () => {},
      onExit: (reason) => this.defects.push(new Error(`it wants to exit: ${reason}`)),
      report,
    });
    const { services, health } = addServices({
      broker,
      server,
      internalServer,
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
    this.#clients = {
      client: new Client(`127.0.0.1:${this.port}`, credentials.createInsecure()),
      internal: new Client(`127.0.0.1:${config.internalListen.port}`, credentials.createInsecure()),
    };
    this.#stops.push(
      () => broker.stop(),
      () => {
        health.close();
        services.close();
        channels.close();
        return Promise.all([server.close(0), internalServer.close(0)]);
      },
      () => {
        this.#clientOf('client').close();
        this.#clientOf('internal').close();
      },
    );
    await this.#form();
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).toReversed()) await stop();
  }

  /** A server that writes down what is added to it. */
  #listener(door: Door, report: (error: unknown) => void): GrpcServer {
    const costs = costsOf(door, this.#config, this.budget, this.pressure);
    const server = new GrpcServer(report, {}, costs);
    const add = server.add.bind(server);
    server.add = (definition: ServiceDefinition, implementation) => {
      this.methods.push(...Object.values(definition).map((method) => ({ ...method, door })));
      add(definition, implementation);
    };
    return server;
  }

  /** Sends bytes to a method; resolves with the status of the call, or null while it goes on. */
  throwAt(
    { door, path }: Pick<ServedMethod, 'door' | 'path'>,
    messages: readonly Uint8Array[],
    waitMs: number,
  ): Promise<Status | null> {
    return new Promise((resolve) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      const client = this.#clientOf(door);
      const call = client.makeBidiStreamRequest(path, asIs, asIs, new Metadata(), {});
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
      for (const bytes of messages) call.write(Buffer.from(bytes));
      call.end();
    });
  }

  /** It answers, serves, and takes and gives records. */
  async isWell(): Promise<void> {
    const options = { deadlineMs: CALM_MS, clock: systemClock };
    // Whoever may administer a broker may tell it to stop: that is no fault, and is taken back.
    await callUnary(this.client, AdminServiceService.cancelStop, {}, options);
    const status = await callUnary(this.client, HEALTH_SERVICE.check, { service: '' }, options);
    if (status !== 1) throw new Error(`Health says ${status}`);
    this.#appended += 1;
    const value = Buffer.from(`record ${this.#appended}`);
    await this.#read(value, await this.append(value));
    if (this.defects.length > 0) throw new AggregateError(this.defects, 'defects were reported');
  }

  /** Resolves with the record's offset. */
  async append(value: Buffer): Promise<number> {
    const { results } = await callUnary(
      this.client,
      LogServiceService.append,
      {
        topic: TOPIC,
        records: [{ ...AppendRecord.decode(new Uint8Array(0)), value }],
        acks: AckLevel.ACK_LEVEL_ALL,
        condition: undefined,
      },
      { deadlineMs: CALM_MS, clock: systemClock },
    );
    const error = results[0]?.error;
    if (error !== undefined) throw new Error(`append is answered with ${error.code}`);
    return results[0]?.offset ?? 0;
  }

  #read(value: Buffer, offset: number): Promise<void> {
    const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
    const cursors = [{ partition: 0, offset, leaderEpoch: 0 }];
    const request = {
      topic: TOPIC,
      partitions: [],
      start: undefined,
      cursors,
      maxRecords: 1,
      follow: false,
    };
    return new Promise((resolve, reject) => {
      const call = this.client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + CALM_MS },
      );
      let found = false;
      call.on('data', ({ records }: { records: readonly { value?: Uint8Array }[] }) => {
        found ||= records.some((record) => value.equals(record.value ?? new Uint8Array(0)));
      });
      call.on('error', reject);
      call.on('end', () => {
        if (found) resolve();
        else reject(new Error(`"${value.toString()}" is not read back`));
      });
    });
  }

  async #form(): Promise<void> {
    const options = { deadlineMs: FORM_MS, clock: systemClock };
    const clusterId = randomUUID();
    await eventually(() =>
      callUnary(this.client, AdminServiceService.bootstrap, { clusterId }, options),
    );
    const { createTopic } = AdminServiceService;
    for (const name of [TOPIC, OTHER_TOPIC]) {
      const request = {
        name,
        partitions: 1,
        replicationFactor: 1,
        config: { ...NO_CONFIG, minInSyncReplicas: 1 },
        assignments: [],
        validateOnly: false,
      };
      await eventually(() => callUnary(this.client, createTopic, request, options));
    }
    await eventually(() => this.isWell());
  }
}

async function eventually(attempt: () => Promise<unknown>): Promise<void> {
  const end = Date.now() + FORM_MS;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
