/**
 * One broker of the simulated cluster: a host with a disk, and the production broker as its
 * process, composed by broker/assemble.ts as main.ts does, on simulated ports. It is started,
 * killed, stopped, loses power, and comes back.
 */
import { assert } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import { SlicedBackground } from '../../../broker/background/sliced.ts';
import { assembleBroker } from '../../../broker/assemble.ts';
import { readConfig } from '../../../broker/config.ts';
import { nodeInfoFromMessage } from '../../../broker/network/quorum-service.ts';
import type { Address, NodeInfo } from '../../../broker/runtime/ports.ts';
import type { Broker } from '../../../broker/runtime/broker.ts';
import {
  addForwardedServices,
  addMembersService,
  addPublicServices,
  publicServices,
} from '../../../broker/service/public-services.ts';
import { openDisk } from '../../../broker/storage/disk.ts';
import { QuorumServiceService } from '../../../proto/gen/tidemark/internal/v1/quorum.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimDisk, type SimDiskOptions } from '../kit/sim-file-system.ts';
import { SimProcess } from '../kit/sim-process.ts';
import { SimServer } from '../kit/sim-server.ts';
import type { Ground } from './ground.ts';

const PORT = 9641;
const INTERNAL_PORT = 9643;
/** A process that ended comes back after this, as its supervisor would bring it. */
const RESTART_MS_MIN = 200;
const RESTART_MS_MAX = 2_000;
/** The least that a pass can do with. */
const BACKGROUND_BYTES = 131_072;
const SLICE_MS_MAX = 20;
const NO_TRAFFIC = {
  appended: () => undefined,
  appendTimes: () => ({ boundsUs: [], counts: [] }),
  fetched: () => undefined,
};

export function hostName(brokerId: number): string {
  return `b${brokerId}`;
}

export function addressOf(brokerId: number): string {
  return `${hostName(brokerId)}:${PORT}`;
}

/** Where other brokers dial it. */
export function internalAddressOf(brokerId: number): string {
  return `${hostName(brokerId)}:${INTERNAL_PORT}`;
}

/** What runs while the process lives. */
interface Running {
  readonly process: SimProcess;
  broker: Broker | null;
  services: { close(): void } | null;
  isStopping: boolean;
  readonly ended: PromiseWithResolvers<void>;
}

export class SimBroker {
  readonly brokerId: number;
  readonly #host: string;
  /** Whose kernel it runs on. */
  #machine: string;
  readonly #ground: Ground;
  readonly #random: Random;
  readonly #options: readonly string[];
  disk: SimDisk;
  bootNumber = 1;
  /** The host's clock is so far ahead. */
  wallOffsetMs = 0;
  /** A supervisor starts it again when it ends. */
  isWanted = true;
  /** The cluster has forgotten it: its supervisor does not start it again. */
  isRemoved = false;
  starts = 0;
  /** Strikes that keep it down: nobody else starts it. */
  #holds = 0;
  #running: Running | null = null;

  constructor(brokerId: number, ground: Ground, options: readonly string[], suffix = '') {
    this.brokerId = brokerId;
    this.#host = `${hostName(brokerId)}${suffix}`;
    this.#machine = this.#host;
    this.#ground = ground;
    this.#random = ground.random.fork(`broker ${brokerId}${suffix}`);
    this.#options = options;
    this.disk = this.newDisk();
  }

  /** An empty one. */
  newDisk(): SimDisk {
    const random = this.#random.fork('disk');
    return new SimDisk(this.#diskOptions(random, 64_768 + this.#random.below(1_000)));
  }

  #diskOptions(random: Random, device: number): SimDiskOptions {
    const { time, diskProfile, diskBytes } = this.#ground;
    return {
      random,
      scheduler: { after: (ms, run) => time.after(ms, run), wallMs: () => this.wallMs() },
      profile: diskProfile,
      capacityBytes: diskBytes,
      device,
      onOperation: (line) => {
        this.#note(`disk ${line}`);
      },
    };
  }

  /**
   * The same broker once more, with a copy of the disk as it is now: made file by file, on the same
   * machine or another, or as a snapshot of the device.
   */
  twin(random: Random): SimBroker {
    const suffix = `-twin${this.starts}`;
    const twin = new SimBroker(this.brokerId, this.#ground, this.#options, suffix);
    const { volume } = this.disk;
    if (random.chance(0.5)) {
      twin.disk = this.disk.clone(twin.#diskOptions(random, volume.device + 1));
      if (random.chance(0.5)) {
        twin.#machine = this.#machine;
        twin.bootNumber = this.bootNumber;
      }
    } else {
      twin.disk = new SimDisk(twin.#diskOptions(random, volume.device));
      twin.disk.volume.restore(volume.snapshot());
    }
    return twin;
  }

  get broker(): Broker | null {
    return this.#running?.broker ?? null;
  }

  get process(): SimProcess | null {
    return this.#running?.process ?? null;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  get isServing(): boolean {
    return this.broker?.phase() === 'serving';
  }

  wallMs(): number {
    return this.#ground.wallMs() + this.wallOffsetMs;
  }

  /** It is killed, and stays down until everybody who holds it lets it go. */
  hold(): void {
    this.#holds += 1;
    this.kill();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0 && this.isWanted && !this.isRunning) this.start();
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  start(): void {
    if (this.isHeld) return;
    assert(this.#running === null, `broker ${this.brokerId} runs already`);
    this.starts += 1;
    const name = `${this.#host}.${this.starts}`;
    const process = new SimProcess(name, this.#ground.time, {
      wallMs: () => this.wallMs(),
      onThrow: (error) => {
        this.#ground.fail(
          `${name} threw: ${error instanceof Error ? String(error.stack) : String(error)}`,
        );
      },
    });
    const running: Running = {
      process,
      broker: null,
      services: null,
      isStopping: false,
      ended: Promise.withResolvers<void>(),
    };
    this.#running = running;
    this.#note('start');
    this.#open(running).catch((error: unknown) => {
      if (this.#running !== running) return;
      this.#note(`start failed: ${String(error)}`);
      if (!(error instanceof BrokerError))
        this.#ground.fail(
          `${name} could not start: ${error instanceof Error ? String(error.stack) : String(error)}`,
        );
      this.#ended(running);
    });
  }

  /** SIGKILL: the page cache stays. */
  kill(): void {
    const running = this.#running;
    if (running === null) return;
    this.#note('killed');
    this.disk.crash();
    this.#end(running);
  }

  /** The machine is off: what was not synced may be gone, and nobody is told. */
  losePower(): void {
    this.#note('power lost');
    const running = this.#running;
    this.disk.losePower();
    this.bootNumber += 1;
    if (running === null) return;
    running.process.kill();
    this.#ground.network.vanish(running.process);
    this.#running = null;
    running.ended.resolve();
  }

  /** SIGTERM. Resolves when the process is gone. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running?.broker === null || running === null || running.isStopping) return;
    running.isStopping = true;
    this.#note('orderly stop');
    const stopped = running.broker.stop().then(() => {
      running.services?.close();
      if (this.#running === running) this.#end(running);
    });
    // It may be killed on its way.
    await Promise.race([stopped, running.ended.promise]);
  }

  #note(line: string): void {
    this.#ground.note(`${this.#host} ${line}`);
  }

  #end(running: Running): void {
    running.process.kill();
    this.#ground.network.reset(running.process);
    if (this.#running === running) this.#running = null;
    running.ended.resolve();
  }

  /** The process ended by itself. */
  #ended(running: Running): void {
    this.disk.crash();
    this.#end(running);
    const pauseMs = RESTART_MS_MIN + this.#random.below(RESTART_MS_MAX - RESTART_MS_MIN);
    this.#ground.time.after(pauseMs, () => {
      if (this.#running === null && this.isWanted && !this.isRemoved) this.start();
    });
  }

  async #open(running: Running): Promise<void> {
    const { network, note, fact, newUuid } = this.#ground;
    const { process } = running;
    const host = this.#host;
    const address = `${host}:${PORT}`;
    const internalAddress = `${host}:${INTERNAL_PORT}`;
    const config = readConfig(
      [
        ...['--id', String(this.brokerId), '--data', '/data', '--listen', address],
        ...['--internal-listen', internalAddress],
        ...['--rack', `r${this.brokerId % 3}`, '--seeds', this.#ground.seeds, ...this.#options],
      ],
      {},
    );
    const silent = (fields: object, message: string): void => {
      note(`${host} storage: ${message} ${JSON.stringify(fields, errorText)}`);
    };
    const disk = await openDisk({
      ...config,
      clock: process.clock,
      logger: { info: silent, warn: silent, error: silent },
      files: this.disk.mount(process.clock),
      lock: () => () => undefined,
      compaction: { background: this.#background(process) },
      bootId: `boot-${this.#machine}-${this.bootNumber}`,
    });
    if (process.isDead) return;
    const server = new SimServer(process, network);
    const internalServer = new SimServer(process, network);
    const channels = new Map<string, SimChannel>();
    const dial = ({ host: target, port }: Address, lane: string) => {
      const key = `${lane} ${target}:${port}`;
      const found =
        channels.get(key) ?? new SimChannel(network, process, host, `${target}:${port}`);
      channels.set(key, found);
      return found.channel;
    };
    const report = (error: unknown): void => {
      this.#ground.fail(
        `${process.name} reported a defect: ${error instanceof Error ? String(error.stack) : String(error)}`,
      );
    };
    const broker = assembleBroker(config, {
      clock: process.clock,
      disk,
      internalServer,
      channels: { dial, retain: () => undefined },
      probe: (address, deadlineMs) => this.#probe(process, address, deadlineMs),
      seed: this.#random.next(),
      newUuid,
      onLiveValues: () => undefined,
      onFact: (event, fields) => {
        fact(this.brokerId, event, fields);
      },
      onExit: (reason) => {
        this.#note(`exit: ${reason}`);
        if (!process.isDead) this.#ended(running);
      },
      report,
      // So small that a run meets snapshots.
      groups: { snapshotBytesMin: 2_048 },
    });
    running.broker = broker;
    const services = publicServices({
      broker,
      dial,
      version: 'sim',
      newUuid,
      traffic: NO_TRAFFIC,
      report,
    });
    running.services = services;
    addPublicServices(server, services);
    addForwardedServices(internalServer, services);
    addMembersService(internalServer, services);
    broker.start();
    network.listen(internalAddress, internalServer);
    network.listen(address, server);
  }

  /** So little memory that a pass takes several scans, and slices that take time. */
  #background({ clock }: SimProcess): SlicedBackground {
    const random = this.#random.fork(`background ${this.starts}`);
    const lane = (): number => random.below(2 ** 32);
    return new SlicedBackground({
      drawSeed: () => [lane(), lane(), lane(), lane()],
      memoryBytes: BACKGROUND_BYTES,
      turn: () =>
        new Promise((resolve) => {
          clock.after(random.below(SLICE_MS_MAX), resolve);
        }),
    });
  }

  /** As network/probe.ts answers: null where nobody listens, a rejection where nobody answers. */
  async #probe(
    process: SimProcess,
    { host, port }: Address,
    deadlineMs: number,
  ): Promise<NodeInfo | null> {
    const { network } = this.#ground;
    const own = this.#host;
    const address = `${host}:${port}`;
    if (network.probe(own, address) === false) return null;
    const channel = new SimChannel(network, process, own, address);
    try {
      const answer = await callUnary(
        channel.channel,
        QuorumServiceService.identify,
        {},
        {
          deadlineMs,
          clock: process.clock,
        },
      );
      return nodeInfoFromMessage(answer);
    } catch (error) {
      throw new BrokerError('UNREACHABLE', `Cannot reach ${address}: ${String(error)}`, {}, error);
    } finally {
      channel.close();
    }
  }
}

function errorText(_: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}
