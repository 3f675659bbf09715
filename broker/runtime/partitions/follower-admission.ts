/**
 * What other brokers may ask of the replicas here: to follow them on a stream, and to look at the
 * end of a log. Decides who is heard; what is said is the replica's.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerEpoch, BrokerId, TopicId } from '../../../base/units.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { Position } from '../../replication/types.ts';
import type { FollowerLink, InspectedLog, Inspection } from '../ports.ts';
import type { Watchers } from '../watchers.ts';
import type { Pusher } from './pusher.ts';
import type { Replicas } from './replicas.ts';

export interface FollowerAdmissionOptions {
  readonly self: BrokerId;
  /** Epoch under which this broker is registered; 0: none yet. */
  readonly brokerEpoch: () => BrokerEpoch;
  readonly image: () => MetadataImage;
  readonly imageWatchers: Pick<Watchers, 'untilWithin'>;
  readonly replicas: Pick<Replicas, 'get' | typeof Symbol.iterator>;
  readonly pusher: Pick<Pusher, 'open' | 'isCurrent' | 'wake' | 'closed'>;
}

export class FollowerAdmission {
  readonly #options: FollowerAdmissionOptions;

  constructor(options: FollowerAdmissionOptions) {
    this.#options = options;
  }

  /**
   * A stream belongs to one pair of broker epochs (docs/rules.md#data-path).
   *
   * @throws BrokerError STALE_EPOCH when either is not the present one
   */
  open(link: FollowerLink, targetEpoch: BrokerEpoch): void {
    const { self, brokerEpoch, image, pusher } = this.#options;
    const own = brokerEpoch();
    if (targetEpoch !== own) {
      throw new BrokerError(
        'STALE_EPOCH',
        `Cannot follow broker ${self} at epoch ${targetEpoch}: its epoch is ${own}`,
      );
    }
    const known = image().brokers.get(link.brokerId)?.brokerEpoch ?? 0;
    if (link.brokerEpoch !== known) {
      throw new BrokerError(
        'STALE_EPOCH',
        `Cannot follow as broker ${link.brokerId} at epoch ${link.brokerEpoch}: epoch ${known} is registered here`,
      );
    }
    // Before its first position: progress of another stream counts no more (rule 14).
    this.#forget(link.brokerId);
    pusher.open(link);
  }

  /** Only the follower's present stream is heard (rule 14). */
  position(link: FollowerLink, topicId: TopicId, partition: number, position: Position): void {
    const { pusher, replicas } = this.#options;
    const replica = pusher.isCurrent(link) ? replicas.get(topicId, partition) : null;
    if (replica === null) return;
    replica.position(position);
    pusher.wake(link.brokerId, replica);
  }

  closed(link: FollowerLink): void {
    if (this.#options.pusher.closed(link)) this.#forget(link.brokerId);
  }

  /**
   * Waits until this broker knows the epoch, so that nothing older is acknowledged any more, then
   * reads the end of the log. No longer than its caller: an epoch that nobody will ever know must
   * not be waited for without end. Null for a question to another registration: what it was to say
   * about its disk, this one cannot know.
   *
   * @throws BrokerError BROKER_NOT_READY
   */
  async inspect(inspection: Inspection, deadlineMs: number): Promise<InspectedLog | null> {
    const { topicId, partition, leaderEpoch, brokerEpoch } = inspection;
    const { image, imageWatchers, replicas } = this.#options;
    const epoch = (): number =>
      image().topics.get(topicId)?.partitions[partition]?.leaderEpoch ?? 0;
    if (!(await imageWatchers.untilWithin(() => epoch() >= leaderEpoch, deadlineMs)))
      throw new BrokerError(
        'BROKER_NOT_READY',
        `Cannot look at ${topicId}/${partition}: leader epoch is ${leaderEpoch}, and ${epoch()} is known here`,
      );
    if (brokerEpoch !== 0 && brokerEpoch !== this.#options.brokerEpoch()) return null;
    return replicas.get(topicId, partition)?.inspect(leaderEpoch) ?? null;
  }

  #forget(follower: BrokerId): void {
    for (const replica of this.#options.replicas) replica.followerGone(follower);
  }
}
