/** The public API of one broker, ready to be added to its server. */
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { ExternalScalerService } from '../../proto/gen/externalscaler/externalscaler.ts';
import { ConsumeServiceService } from '../../proto/gen/tidemark/v1/consume.ts';
import { MembersServiceService } from '../../proto/gen/tidemark/internal/v1/members.ts';
import { QueuesServiceService } from '../../proto/gen/tidemark/internal/v1/queues.ts';
import { GroupServiceService } from '../../proto/gen/tidemark/v1/groups.ts';
import { QueueServiceService } from '../../proto/gen/tidemark/v1/queues.ts';
import { BrokerError } from '../../base/errors.ts';
import type { ServiceHost } from '../../wire/grpc/channel.ts';
import type { MemberMessage } from '../groups/membership/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import { adminService } from './admin-service.ts';
import { Appender } from './appender.ts';
import { Cluster, type Dial } from './cluster.ts';
import { consumeService } from './consume/consume-service.ts';
import { MemberProxy } from './consume/member-proxy.ts';
import { CoordinatorDesk, membersService } from './consume/members-service.ts';
import { externalScaler } from './groups/external-scaler.ts';
import { groupService } from './groups/group-service.ts';
import { watchLags } from './groups/lag-watch.ts';
import type { OwnedQueues } from './queues/owned.ts';
import { queueService } from './queues/queue-service.ts';
import { watchQueues } from './queues/queue-watch.ts';
import type { GroupLag } from '../telemetry/group-metrics.ts';
import type { QueueStanding } from '../telemetry/queue-metrics.ts';
import { LOG_SERVICE, logService } from './log-service.ts';
import { DecisionKeeper } from './decision-keeper.ts';
import { BrokerQueueWorld } from './queues/queue-world.ts';
import { QueuesDesk } from './queues/queues-desk.ts';
import { queuesService } from './queues/queues-service.ts';
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
  /** What is known of partitions of queues that this broker owns; absent: as it is. */
  readonly owned?: OwnedQueues;
  /** Memory for records of queues; default: that of a large machine. */
  readonly queueMemoryBytes?: number;
  /** Told now and then how far the groups are behind that this broker coordinates. */
  readonly onLags?: (lags: readonly GroupLag[]) => void;
  /** Told now and then how the queues stand in the partitions that this broker owns. */
  readonly onStandings?: (standings: readonly QueueStanding[]) => void;
}

const QUEUE_BYTES = 64 * 1024 * 1024;

/** What {@link publicServices} makes. */
export type PublicServices = ReturnType<typeof publicServices>;

/** Handlers and definitions by service; `close` ends streams to other brokers. */
export function publicServices({
  broker,
  dial,
  version,
  newUuid,
  traffic,
  report,
  owned,
  queueMemoryBytes = QUEUE_BYTES,
  onLags,
  onStandings,
}: PublicServicesOptions) {
  const cluster = new Cluster(broker, dial);
  const { shares } = broker;
  const groupParts = { cluster, newUuid, report };
  const onTold = (messages: readonly MemberMessage[]): void => {
    proxy.take(messages);
  };
  const desk = new CoordinatorDesk(groupParts, onTold);
  const proxy = new MemberProxy(groupParts, desk);
  const appender = new Appender(cluster, shares, report);
  const memoryBytes = queueMemoryBytes;
  const world = new BrokerQueueWorld({ cluster, traffic, report, appender, memoryBytes });
  const queuesDesk = new QueuesDesk({ cluster, traffic, report }, world);
  const queueParts = { ...groupParts, owned: owned ?? queuesDesk };
  const cancelServe = broker.watchImage(() => {
    serveQueues(broker, world);
  });
  const keeper = new DecisionKeeper(cluster, appender, report);
  const lagWatch = onLags === undefined ? null : watchLags({ cluster, report }, onLags);
  const queueWatch = onStandings === undefined ? null : watchQueues(queueParts, onStandings);
  return {
    cluster,
    log: {
      definition: LOG_SERVICE,
      handlers: logService({ cluster, appender, traffic, shares, report }),
    },
    admin: {
      definition: AdminServiceService,
      handlers: adminService({ cluster, version, traffic, newUuid, report }),
    },
    groups: {
      definition: GroupServiceService,
      handlers: groupService(groupParts),
    },
    consume: {
      definition: ConsumeServiceService,
      handlers: consumeService({ ...groupParts, proxy, traffic, desk: queuesDesk }),
    },
    members: {
      definition: MembersServiceService,
      handlers: membersService(groupParts, desk, onTold),
    },
    queues: {
      definition: QueueServiceService,
      handlers: queueService(queueParts),
    },
    owners: {
      definition: QueuesServiceService,
      handlers: queuesService(queuesDesk, queueParts),
    },
    scaler: {
      definition: ExternalScalerService,
      handlers: externalScaler(queueParts),
    },
    close: () => {
      cancelServe();
      proxy.close();
      lagWatch?.close();
      queueWatch?.close();
      keeper.close();
      appender.close();
    },
  };
}

/** From when on the broker belongs to a cluster. */
function serveQueues(broker: BrokerApi, world: BrokerQueueWorld): void {
  try {
    broker.queues().serve(world);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
  }
}

/** Adds what a broker serves its clients. */
export function addPublicServices(
  server: ServiceHost,
  { log, admin, groups, consume, queues, scaler }: PublicServices,
): void {
  server.add(scaler.definition, scaler.handlers);
  server.add(log.definition, log.handlers);
  server.add(admin.definition, admin.handlers);
  server.add(groups.definition, groups.handlers);
  server.add(consume.definition, consume.handlers);
  server.add(queues.definition, queues.handlers);
}

/**
 * Adds what a broker serves other brokers and the operator beside the internal services: calls that
 * a broker hands on to the one that can answer them, and everything that administers. No broker
 * hands on a plain append or read, and nobody else has a call to make here.
 */
export function addForwardedServices(
  server: ServiceHost,
  { log, admin, groups }: PublicServices,
): void {
  const { produce, fetch, listOffsets } = log.definition;
  server.add({ produce, fetch, listOffsets }, log.handlers);
  server.add(admin.definition, admin.handlers);
  server.add(groups.definition, groups.handlers);
}

/** Adds what brokers ask of each other alone, which judges callers by itself. */
export function addMembersService(server: ServiceHost, { members, owners }: PublicServices): void {
  server.add(members.definition, members.handlers);
  server.add(owners.definition, owners.handlers);
}
