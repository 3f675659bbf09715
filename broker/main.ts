/**
 * The broker's program: reads options, composes disk, network, runtime, service and telemetry, and
 * ends in order on SIGTERM or SIGINT. The only place that sees everything, and the only reader of
 * argv and environment.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { loggedLevel } from '../base/broker-options.ts';
import { BrokerError } from '../base/errors.ts';
import { hostPort } from '../base/host-port.ts';
import { EVENTS, type OnFact } from '../base/events.ts';
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '../base/listeners.ts';
import { EXIT_COMES_BACK, EXIT_FAULT, EXIT_OK } from '../process/exit-codes.ts';
import { ProbeServer } from '../process/probe-server.ts';
import { collectGarbageSoon, expectBuffers, noteBuffers } from '../process/garbage.ts';
import { systemClock } from '../process/system-clock.ts';
import { AdvertisedAddresses } from './advertised.ts';
import { assembleBroker } from './assemble.ts';
import { WorkerBackground } from './background/worker.ts';
import { ConfigError, isLoopback, readConfig } from './config.ts';
import type { Config } from './config.ts';
import { openDoors, type Doors } from './doors/open-doors.ts';
import { addServices, type NamedListener } from './front.ts';
import { ChannelPool } from './network/channel-pool.ts';
import { Budget, type Door } from './network/budget.ts';
import {
  budgetLimits,
  compactionMemory,
  type Costs,
  costsOf,
  type Machine,
  queueMemory,
  thisMachine,
} from './network/costs.ts';
import { GrpcServer } from './network/grpc-server.ts';
import { PressureLog } from './network/pressure-log.ts';
import { probe } from './network/probe.ts';
import type { Broker } from './runtime/broker.ts';
import { StopGate } from './service/stop-gate.ts';
import { type BrokerTls, openTls } from './tls.ts';
import { counted, nodeFileSystem } from './storage/file-system.ts';
import { openDisk } from './storage/disk.ts';
import { FEATURE_LEVEL_MAX } from './metadata/features.ts';
import { type BuildInfo, readBuildInfo, showBuildInfo } from '../process/build-info.ts';
import { createLogger } from '../process/logger.ts';
import type { Logger } from '../process/logger.ts';
import type { CostSource } from './telemetry/broker-source.ts';
import { Metrics } from './telemetry/metrics.ts';

/** Calls that run when the broker stops get so long to finish. */
const SERVER_GRACE_MS = 1_000;

async function run(config: Config, logger: Logger): Promise<void> {
  const build = readBuildInfo(process.env);
  const report = (error: unknown): void => {
    logger.error({ err: error }, 'defect');
  };
  const onFact: OnFact = (event, fields) => {
    logger[EVENTS[event].level](fields, event);
  };
  const tls = await openTls(config, onFact);
  const machine = thisMachine();
  const disk = await diskOf(config, machine, logger);
  const budget = new Budget(budgetLimits(config, machine));
  const pressure = new PressureLog(onFact, systemClock, collectGarbageSoon);
  const costs = (door: Door, listener: string = door): Costs =>
    costsOf(door, config, budget, pressure, listener);
  const server = new GrpcServer(report, tls.client, costs('client'));
  const internalServer = new GrpcServer(report, tls.internal, costs('internal'));
  const listeners = namedServers(config, tls, report, costs);
  const addresses = await AdvertisedAddresses.open(config.listeners, tls, onFact);
  const channels = new ChannelPool(systemClock, tls.peers);
  const end = (reason: string, comesBack: boolean): void => {
    logger.fatal({ reason }, 'exit');
    process.exit(comesBack ? EXIT_COMES_BACK : EXIT_FAULT);
  };
  const broker = assembleBroker(config, {
    clock: systemClock,
    disk,
    internalServer,
    channels,
    probe: (address, deadlineMs) => probe(address, deadlineMs, tls.peers),
    seed: randomInt(2 ** 31),
    newUuid: randomUUID,
    onLiveValues: (values) => {
      logger.level = loggedLevel(values.logLevel);
    },
    onFact,
    onExit: end,
    listenerAddresses: () => addresses.current(),
    report,
  });
  const doors = await doorsOf(broker, config, onFact, logger);
  const serving = serve(broker, {
    ...{ build, report, onFact, server, internalServer, channels, tls, doors },
    ...{ listeners, costs: { budget, pressure, quotas: doors.throttle, shares: sharesOf(broker) } },
    isReflected: config.auth?.isReflected ?? true,
    queueMemoryBytes: queueMemory(machine),
  });
  broker.start();
  // Brokers first: what clients ask is handed on to others, which ask back.
  await internalServer.listen(config.internalListen);
  await server.listen(config.listen);
  for (const listener of listeners) await listener.server.listen(listener.listen);
  if (config.httpPort !== 0) await serving.pages.listen(config.listen.host, config.httpPort);
  tellListening(config, build, onFact, logger);
  // Written now, not at exit: a broker that is killed has no exit. The next start then skips the
  // compiler: half the time, 20 MB less.
  flushCompileCache();
  once(() => {
    const stopped = async (): Promise<void> => {
      serving.health.close();
      await broker.stop();
      serving.services.close();
      const servers = [server, internalServer, ...listeners.map((listener) => listener.server)];
      await Promise.all(servers.map((each) => each.close(SERVER_GRACE_MS)));
      channels.close();
      tls.close();
      doors.close();
      addresses.close();
      await serving.pages.close();
    };
    stopped().then(
      () => process.exit(EXIT_OK),
      (error: unknown) => {
        end(`the orderly stop failed: ${String(error)}`, true);
      },
    );
  });
}

function sharesOf({ shares }: Broker): CostSource['shares'] {
  return { totals: () => shares.totals(systemClock.monotonicMs()) };
}

/** What is read and written goes through buffers, which V8 is told to expect. */
function diskOf(config: Config, machine: Machine, logger: Logger): ReturnType<typeof openDisk> {
  expectBuffers(machine.memoryBytes);
  return openDisk({
    ...config,
    files: counted(nodeFileSystem, noteBuffers),
    clock: systemClock,
    logger,
    compaction: { background: backgroundOf(config, machine) },
  });
}

/** Its thread runs from the file that lies where its source does, whether that is built or not. */
function backgroundOf(config: Config, machine: Machine): WorkerBackground {
  const ending = /\.\w+$/.exec(import.meta.url)?.[0] ?? '';
  return new WorkerBackground({
    memoryBytes: compactionMemory(config, machine),
    program: new URL(`./background/compaction-worker${ending}`, import.meta.url),
    clock: systemClock,
  });
}

function namedServers(
  { listeners }: Config,
  tls: BrokerTls,
  report: (error: unknown) => void,
  costs: (door: Door, listener: string) => Costs,
) {
  return listeners.map(({ name, listen, auth }) => ({
    name,
    listen,
    isReflected: auth?.isReflected ?? true,
    server: new GrpcServer(report, tls.named(name), costs('client', name)),
  }));
}

/** Where it listens, now that it does. */
function tellListening(config: Config, build: BuildInfo, onFact: OnFact, logger: Logger): void {
  logger.info(
    {
      listen: hostPort(config.listen.host, config.listen.port),
      internalListen: hostPort(config.internalListen.host, config.internalListen.port),
      listeners: config.listeners.map(
        ({ name, listen }) => `${name}=${hostPort(listen.host, listen.port)}`,
      ),
      version: build.version,
      rack: config.rack,
    },
    'listening',
  );
  if (!isInternalSecure(config) && !isLoopback(config.internalListen.host))
    onFact('internal-listener-open', { host: config.internalListen.host });
}

/** Tells who changed what whatever level the log is set to while the broker runs. */
function doorsOf(broker: Broker, config: Config, onFact: OnFact, logger: Logger): Promise<Doors> {
  const audit = logger.child({}, { level: 'info' });
  const tellAudit: OnFact = (event, fields) => {
    audit[EVENTS[event].level](fields, event);
  };
  return openDoors({
    ...config,
    broker,
    isInternalTls: isInternalSecure(config),
    onFact,
    tellAudit,
  });
}

/** Is everybody authenticated at the internal listener? */
function isInternalSecure({ internalTls, internalTlsMode }: Config): boolean {
  return internalTls !== null && internalTlsMode === 'require';
}

interface Around {
  readonly build: BuildInfo;
  readonly report: (error: unknown) => void;
  readonly onFact: OnFact;
  readonly server: GrpcServer;
  readonly internalServer: GrpcServer;
  readonly channels: ChannelPool;
  readonly tls: BrokerTls;
  readonly listeners: readonly NamedListener[];
  readonly costs: Omit<CostSource, 'listeners'>;
  readonly doors: Doors;
  readonly isReflected: boolean;
  readonly queueMemoryBytes: number;
}

/** Puts the public services, health, reflection and the pages for probes in front of the broker. */
function serve(broker: Broker, around: Around) {
  const { build, report, onFact, server, internalServer, channels, tls, doors, isReflected } =
    around;
  const { listeners } = around;
  const names = [CLIENT_LISTENER, INTERNAL_LISTENER, ...listeners.map(({ name }) => name)];
  const costs = { ...around.costs, listeners: names };
  const metrics = new Metrics(broker, () => tls.certificates(), costs);
  showBuildInfo(metrics.registry, build, {
    component: 'broker',
    feature_level: String(FEATURE_LEVEL_MAX),
  });
  const isServing = (): boolean => broker.phase() === 'serving';
  const { services, health } = addServices({
    broker,
    server,
    internalServer,
    listeners,
    doors,
    isReflected,
    isServing,
    dial: (address, lane, brokerId) => channels.dial(address, lane, brokerId),
    descriptors: readFileSync(new URL('../proto/tidemark.binpb', import.meta.url)),
    version: build.version,
    newUuid: randomUUID,
    traffic: metrics,
    queueMemoryBytes: around.queueMemoryBytes,
    onLags: (lags) => {
      metrics.groupLags(lags);
    },
    onStandings: (standings) => {
      metrics.queueStandings(standings);
    },
    report,
  });
  const stopGate = new StopGate(services.cluster, onFact);
  const pages = new ProbeServer({
    // Shallow on purpose: a restart cures a loop that hangs, and nothing else that a broker may
    // suffer from.
    whyDead: () => null,
    whyNotReady: () => whyNotServing(broker),
    // A pod that is deleted is no place to dial from that moment on; a no would only be a warning.
    whyNotReadyInPod: () => (broker.phase() === 'stopping' ? null : whyNotServing(broker)),
    metrics: () => metrics.text(),
    whenMayStop: () => stopGate.whenOpen(),
    metricsContentType: metrics.contentType,
  });
  return { services, health, pages };
}

function whyNotServing(broker: Broker): string | null {
  if (broker.phase() === 'serving') return null;
  const { phase, diskFault } = broker.report();
  return diskFault === null ? phase : `${phase}; ${diskFault}`;
}

/**
 * SIGTERM, SIGINT, or the end of the launcher that started this process: whichever comes first,
 * once.
 */
function once(stop: () => void): void {
  let isStopping = false;
  const stopOnce = (): void => {
    if (isStopping) return;
    isStopping = true;
    stop();
  };
  process.on('SIGTERM', stopOnce);
  process.on('SIGINT', stopOnce);
  process.on('disconnect', stopOnce);
}

function main(): void {
  let config: Config;
  try {
    config = readConfig(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EXIT_FAULT;
    return;
  }
  const logger = createLogger(loggedLevel(config.logLevel), { broker: config.brokerId });
  run(config, logger).catch((error: unknown) => {
    // An expected refusal needs no stack: its message says what is wrong.
    const cause =
      error instanceof BrokerError ? { code: error.code, reason: error.message } : { err: error };
    logger.fatal(cause, 'the start failed');
    process.exitCode = EXIT_FAULT;
    setImmediate(() => process.exit());
  });
}

main();
