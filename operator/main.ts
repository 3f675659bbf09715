/**
 * The operator's program: composes an {@link Operator} with the process it runs in, and ends in
 * order on SIGTERM or SIGINT. The only reader of the environment.
 */
import { randomUUID } from 'node:crypto';
import { collectDefaultMetrics } from 'prom-client';
import { stopAtAction } from './act/stop-at-action.ts';
import { FIELD_MANAGER } from './api/names.ts';
import { OperatorConfigError, readOperatorConfig, type OperatorConfig } from './config.ts';
import { BrokerAdmin } from './observe/broker-admin.ts';
import { Operator } from './operator.ts';
import { readBuildInfo, showBuildInfo } from '../process/build-info.ts';
import { systemClock } from '../process/system-clock.ts';
import { createLogger } from '../process/logger.ts';
import { ProbeServer } from '../process/probe-server.ts';
import {
  anonymousCredentials,
  inClusterCredentials,
  kubeconfigCredentials,
  type KubeCredentials,
} from './kube/kube-credentials.ts';
import { HttpTransport } from './kube/kube-transport.ts';
import { OperatorMetrics } from './runtime/metrics.ts';

const METRICS_PREFIX = 'tidemark_operator_';
const EXIT_USAGE = 64;

function credentialsOf({
  apiServer,
  serviceHost,
  servicePort,
}: OperatorConfig): Promise<KubeCredentials> {
  if (apiServer !== undefined) return Promise.resolve(anonymousCredentials(apiServer));
  if (serviceHost === undefined || servicePort === undefined) return kubeconfigCredentials();
  return inClusterCredentials({ host: serviceHost, port: servicePort });
}

async function run(): Promise<void> {
  const config = readOperatorConfig(process.env);
  const logger = createLogger(config.logLevel, { pod: config.podName });
  const metrics = new OperatorMetrics(METRICS_PREFIX);
  // A timer of this period runs for it; the default is 10 ms.
  collectDefaultMetrics({ register: metrics.registry, eventLoopMonitoringPrecision: 100 });
  showBuildInfo(metrics.registry, readBuildInfo(process.env), {
    component: 'operator',
    feature_level: '',
  });
  const exit = (code: number): never => process.exit(code);
  const operator = new Operator(config, {
    transport: new HttpTransport(await credentialsOf(config), FIELD_MANAGER),
    admin: new BrokerAdmin(systemClock),
    clock: systemClock,
    random: Math.random,
    newId: randomUUID,
    logger,
    metrics,
    beforeAction: stopAtAction(config.exitBeforeAction, () => exit(1)),
    exit,
  });
  const http = new ProbeServer({
    // Standing by for leadership is alive.
    whyDead: () => (operator.isAlive ? null : 'a pass is stuck'),
    // A copy whose caches are filled could take over; leading is no part of it.
    whyNotReady: () => (operator.isReady ? null : 'caches are not filled'),
    metrics: () => metrics.text(),
    metricsContentType: metrics.contentType,
  });
  const stop = (signal: string): void => {
    logger.info({ signal }, 'stopping');
    const stopped = operator.stop().then(() => http.close());
    stopped.then(
      () => exit(0),
      (error: unknown) => {
        logger.fatal({ err: error }, 'stop failed');
        exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await http.listen('::', config.httpPort);
  operator.start();
  logger.info({ namespaces: config.namespaces, readsNodes: config.canReadNodes }, 'started');
}

run().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof OperatorConfigError ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  process.exit(error instanceof OperatorConfigError ? EXIT_USAGE : 1);
});
