/** The public API of one broker, ready to be added to its server. */
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import type { BrokerApi } from '../runtime/api.ts';
import type { ReportDefect } from '../messages/handlers.ts';
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
  /** For topic ids. */
  readonly newUuid: () => string;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
}

/** Handlers and definitions by service; `close` ends streams to other brokers. */
export function publicServices({
  broker,
  dial,
  version,
  newUuid,
  traffic,
  report,
}: PublicServicesOptions) {
  const cluster = new Cluster(broker, dial);
  const appender = new Appender(cluster, report);
  return {
    log: { definition: LOG_SERVICE, handlers: logService({ cluster, appender, traffic, report }) },
    admin: {
      definition: AdminServiceService,
      handlers: adminService({ cluster, version, newUuid, report }),
    },
    close: () => appender.close(),
  };
}
