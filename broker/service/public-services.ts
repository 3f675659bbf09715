/** The public API of one broker, ready to be added to its server. */
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import type { BrokerApi } from '../runtime/api.ts';
import type { ReportDefect } from '../wire/handlers.ts';
import { adminService } from './admin-service.ts';
import { Appender } from './appender.ts';
import { Cluster, type Dial } from './cluster.ts';
import { LOG_SERVICE, logService } from './log-service.ts';
import type { Traffic } from './traffic.ts';

export interface PublicServicesOptions {
  readonly broker: BrokerApi;
  /** Reaches other brokers. */
  readonly dial: Dial;
  /** Of the build, for DescribeBroker. */
  readonly version: string;
  /** Milliseconds since 1970, for records without a timestamp. */
  readonly wallMs: () => number;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
}

/** Handlers and definitions by service; `close` ends streams to other brokers. */
export function publicServices({
  broker,
  dial,
  version,
  wallMs,
  traffic,
  report,
}: PublicServicesOptions) {
  const cluster = new Cluster(broker, dial);
  const appender = new Appender(cluster, wallMs, report);
  return {
    log: { definition: LOG_SERVICE, handlers: logService({ cluster, appender, traffic, report }) },
    admin: { definition: AdminServiceService, handlers: adminService(cluster, version, report) },
    close: () => appender.close(),
  };
}
