/**
 * One broker from its parts: the peers over its server and channels, its options, its bounds.
 * main.ts hands in the machine's parts, the simulator its own, so that both run the same
 * composition. Reads no environment.
 */
import { crc32 } from 'node:zlib';
import type { LiveValues } from '../base/broker-options.ts';
import type { Clock } from '../base/clock.ts';
import { PARTITIONS_PER_CLUSTER_MAX, PRODUCERS_PER_PARTITION_MAX } from '../base/limits.ts';
import type { ServiceHost } from '../wire/grpc/channel.ts';
import type { Config } from './config.ts';
import type { ReportDefect } from './messages/handlers.ts';
import { type Channels, GrpcPeers } from './network/grpc-peers.ts';
import { Broker } from './runtime/broker.ts';
import { GROUPS_BOUNDS } from './runtime/groups/groups-host.ts';
import { LiveAccess } from './runtime/live-access.ts';
import { LiveOptions } from './runtime/live-options.ts';
import type { BrokerOptions } from './runtime/options.ts';
import type { Peers } from './runtime/ports.ts';
import { TEXT_RECORDS } from './service/text-records.ts';
import type { LiveDisk } from './storage/disk.ts';

/**
 * Appends of one partition that may wait for their commit: far above what a producer's window lets
 * through.
 */
const APPENDS_PENDING_MAX = 100_000;

export interface Parts {
  readonly clock: Clock;
  readonly disk: LiveDisk;
  /** The internal services are added to it; it listens later. */
  readonly internalServer: ServiceHost;
  readonly channels: Channels;
  readonly probe: Peers['probe'];
  readonly seed: number;
  readonly newUuid: () => string;
  /** Settings of the cluster changed what this broker runs with; the disk knows already. */
  readonly onLiveValues: (values: LiveValues) => void;
  readonly onFact: BrokerOptions['onFact'];
  readonly onExit: BrokerOptions['onExit'];
  /** Of named listeners, as far as they are known now; default: none. */
  readonly listenerAddresses?: BrokerOptions['listenerAddresses'];
  readonly report: ReportDefect;
  /** What is smaller in a simulation than in any cluster. */
  readonly groups?: Partial<BrokerOptions['groups']>;
}

/** Not started yet. */
export function assembleBroker(config: Config, parts: Parts): Broker {
  const { clock, disk, internalServer, channels, probe, seed, newUuid, report } = parts;
  const { onLiveValues, onFact, onExit } = parts;
  return new Broker({
    ...config,
    live: new LiveOptions(config, (values) => {
      disk.setBounds(values);
      onLiveValues(values);
    }),
    access: new LiveAccess(config.authAdministrators),
    seed,
    appendsPendingMax: APPENDS_PENDING_MAX,
    producersMax: PRODUCERS_PER_PARTITION_MAX,
    partitionsMax: PARTITIONS_PER_CLUSTER_MAX,
    clock,
    disk,
    peers: new GrpcPeers({ server: internalServer, channels, probe, clock, report }),
    crc32,
    textRecords: TEXT_RECORDS,
    listenerAddresses: parts.listenerAddresses ?? (() => []),
    groups: { ...GROUPS_BOUNDS, ...parts.groups },
    newUuid,
    onFact,
    onExit,
  });
}
