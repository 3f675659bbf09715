/** What a broker is composed of: its options, its three ports, and whom it tells. */
import type { Crc32 } from '../../wire/batch/frame.ts';
import type { ListenerAddress } from '../../base/listeners.ts';
import type { OnFact } from '../../base/events.ts';
import type { BrokerId } from '../../base/units.ts';
import type { TopicConfig } from '../metadata/types.ts';
import type { OptionReport } from './api.ts';
import type { LiveAccess } from './live-access.ts';
import type { LiveOptions } from './live-options.ts';
import type { Clock } from '../../base/clock.ts';
import type { Address, Disk, Peers, TextRecords } from './ports.ts';
import type { UpkeepBounds } from './groups/upkeep.ts';

export interface BrokerOptions {
  readonly brokerId: BrokerId;
  /** Address that clients dial. */
  readonly advertised: Address;
  /** Address that brokers dial. */
  readonly internalAdvertised: Address;
  /** Addresses of named listeners, as far as they are known now. */
  readonly listenerAddresses: () => readonly ListenerAddress[];
  readonly rack: string;
  /** Where brokers are dialled by brokers. */
  readonly seeds: readonly Address[];
  /** Cluster that this broker must belong to; empty: any. */
  readonly clusterId: string;
  readonly seed: number;
  readonly heartbeatMs: number;
  readonly sessionTimeoutMs: number;
  readonly appendsPendingMax: number;
  readonly producersMax: number;
  readonly partitionsMax: number;
  readonly stopTimeoutMs: number;
  readonly live: LiveOptions;
  readonly access: LiveAccess;
  /** Every option that the broker was started with. */
  readonly options: readonly OptionReport[];
  /** Highest feature level that this broker says it can run. */
  readonly featureLevelMax: number;
  readonly defaults: TopicConfig;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly peers: Peers;
  readonly crc32: Crc32;
  /** Of topics of the cluster's own. */
  readonly textRecords: TextRecords;
  readonly groups: UpkeepBounds;
  readonly newUuid: () => string;
  readonly onFact: OnFact;
  /** The process must end: for good (`false`), or to come back and be judged anew (`true`). */
  readonly onExit: (reason: string, comesBack: boolean) => void;
}
