/** What a broker keeps in topics of the cluster's own: groups, and queues. */
import type { OnFact } from '../../base/events.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { MetadataImage } from '../metadata/types.ts';
import { GroupsHost } from './groups/groups-host.ts';
import type { UpkeepBounds } from './groups/upkeep.ts';
import type { ClusterClock } from './membership/cluster-clock.ts';
import type { Replica } from './partitions/replica.ts';
import type { Replicas } from './partitions/replicas.ts';
import type { TextRecords } from './ports.ts';
import { QueuesHost } from './queues/queues-host.ts';

export interface OwnTopicsParts {
  readonly clock: Clock;
  readonly clusterClock: ClusterClock;
  readonly bounds: UpkeepBounds;
  /** Session of brokers. */
  readonly sessionMs: number;
  readonly records: TextRecords;
  readonly image: () => MetadataImage;
  readonly replicas: Replicas;
  readonly onDamage: (replica: Replica, error: BrokerError) => void;
  readonly onFact: OnFact;
}

export class OwnTopics {
  readonly groups: GroupsHost;
  readonly queues: QueuesHost;

  constructor({ clusterClock, ...parts }: OwnTopicsParts) {
    this.groups = new GroupsHost(parts);
    this.queues = new QueuesHost({
      ...parts,
      snapshotBytesMin: parts.bounds.snapshotBytesMin,
      wallMs: () => (clusterClock.doubt === null ? clusterClock.wallMs() : null),
    });
  }

  start(): void {
    this.groups.start();
  }

  /** Replicas or metadata have changed, or time has passed. */
  look(): void {
    this.groups.look();
    this.queues.look();
  }

  close(): void {
    this.groups.close();
    this.queues.close();
  }
}
