/**
 * The broker's program: reads options, composes disk, network, runtime, service and telemetry, and ends in order on SIGTERM or SIGINT. The only place
 * that sees everything, and the only reader of argv and environment.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { crc32 } from 'node:zlib';
import { BrokerError } from './base/errors.ts';
import { EXIT_COMES_BACK, EXIT_FAULT, EXIT_OK } from './base/exit-codes.ts';
import { systemClock } from './runtime/system-clock.ts';
import { ConfigError, readConfig } from './config.ts';
import type { Config } from './config.ts';
import { ChannelPool } from './network/channel-pool.ts';
import { GrpcPeers } from './network/grpc-peers.ts';
import { GrpcServer } from './network/grpc-server.ts';
import { Broker } from './runtime/broker.ts';
import { LiveOptions } from './runtime/live-options.ts';
import { publicServices } from './service/public-services.ts';
import { openDisk } from './storage/disk.ts';
import type { LiveDisk } from './storage/disk.ts';
import { readDescriptors } from './telemetry/descriptors.ts';
import {
  HEALTH_SERVICE,
  HEALTH_SERVICE_NAME,
  Health,
  healthDescriptors,
} from './telemetry/health.ts';
import { TelemetryServer } from './telemetry/http.ts';
import { createLogger } from './telemetry/logger.ts';
import type { Logger } from './telemetry/logger.ts';
import { Metrics } from './telemetry/metrics.ts';
import { REFLECTION_SERVICES, reflectionHandler } from './telemetry/reflection.ts';

/** Calls that run when the broker stops get so long to finish. */
const SERVER_GRACE_MS = 1_000;
/** Appends of one partition that may wait for their commit: far above what a producer's window lets through. */
const APPENDS_PENDING_MAX = 100_000;
/** Producers remembered per partition, about 1 KiB each. */
const PRODUCERS_MAX = 10_000;
const PARTITIONS_MAX = 20_000;
/** libuv's own default. */
const LIBUV_THREADS = 4;
const PUBLIC_SERVICES = ['tidemark.v1.LogService', 'tidemark.v1.AdminService'];

/** Events that a person should look at, and those that are too frequent for the default level. */
const WARNINGS = new Set([
  'storage-failed',
  'quorum-failed',
  'quorum-log-damaged',
  'damage-found',
  'replica-stopped',
  'write-failed',
  'fenced',
  'stop-deadline-passed',
  'stop-unheard',
  'time-retention-paused',
]);

/** What may change while the broker runs, and whom it concerns outside the broker itself. */
function liveOptions(config: Config, logger: Logger, disk: LiveDisk): LiveOptions {
  return new LiveOptions(config, (values) => {
    logger.level = values.logLevel;
    disk.setBounds(values);
  });
}

async function run(config: Config, logger: Logger): Promise<void> {
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const report = (error: unknown): void => {
    logger.error({ err: error }, 'defect');
  };
  const disk = await openDisk({
    ...config,
    clock: systemClock,
    logger,
    poolThreads: Number(process.env['UV_THREADPOOL_SIZE'] ?? LIBUV_THREADS),
  });
  const server = new GrpcServer();
  const channels = new ChannelPool();
  const peers = new GrpcPeers(server, channels, report);
  const end = (reason: string, comesBack: boolean): void => {
    logger.fatal({ reason }, 'exit');
    process.exit(comesBack ? EXIT_COMES_BACK : EXIT_FAULT);
  };
  const broker = new Broker({
    ...config,
    live: liveOptions(config, logger, disk),
    seed: randomInt(2 ** 31),
    appendsPendingMax: APPENDS_PENDING_MAX,
    producersMax: PRODUCERS_MAX,
    partitionsMax: PARTITIONS_MAX,
    clock: systemClock,
    disk,
    peers,
    crc32,
    newUuid: randomUUID,
    onFact: (event, fields) => {
      logger[WARNINGS.has(event) ? 'warn' : 'info'](fields, event);
    },
    onExit: end,
  });
  const serving = serve(broker, { version, report, server, channels });
  broker.start();
  await server.listen(config.listen);
  if (config.httpPort !== 0) await serving.pages.listen(config.listen.host, config.httpPort);
  logger.info(
    { listen: `${config.listen.host}:${config.listen.port}`, version, rack: config.rack },
    'listening',
  );
  // Written now, not at exit: a broker that is killed has no exit. The next start then skips the compiler: half the time, 20 MB less.
  flushCompileCache();
  once(() => {
    const stopped = async (): Promise<void> => {
      serving.health.close();
      await broker.stop();
      serving.services.close();
      await server.close(SERVER_GRACE_MS);
      channels.close();
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

interface Around {
  readonly version: string;
  readonly report: (error: unknown) => void;
  readonly server: GrpcServer;
  readonly channels: ChannelPool;
}

/** Puts the public services, health, reflection and the pages for probes in front of the broker. */
function serve(broker: Broker, { version, report, server, channels }: Around) {
  const metrics = new Metrics(broker);
  const isServing = (): boolean => broker.phase() === 'serving';
  const services = publicServices({
    broker,
    dial: (address, lane) => channels.dial(address, lane),
    version,
    wallMs: () => systemClock.wallMs(),
    traffic: metrics,
    report,
  });
  const health = new Health({ isServing, services: PUBLIC_SERVICES });
  const reflection = reflectionHandler(
    readDescriptors(
      // Sets of descriptors one after another are one set, as repeated fields are.
      Buffer.concat([
        readFileSync(new URL('../proto/tidemark.binpb', import.meta.url)),
        healthDescriptors(),
      ]),
    ),
    [...PUBLIC_SERVICES, HEALTH_SERVICE_NAME],
  );
  server.add(services.log.definition, services.log.handlers);
  server.add(services.admin.definition, services.admin.handlers);
  server.add(HEALTH_SERVICE, health.handlers());
  for (const definition of Object.values(REFLECTION_SERVICES)) server.add(definition, reflection);
  const pages = new TelemetryServer({
    isReady: isServing,
    phase: () => broker.phase(),
    metrics: () => metrics.text(),
    metricsContentType: metrics.contentType,
  });
  return { services, health, pages };
}

/** SIGTERM, SIGINT, or the end of the launcher that started this process: whichever comes first, once. */
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
  const logger = createLogger(config.logLevel, { broker: config.brokerId });
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
