/** What a replica needs of the broker around it, and what it is told of itself. */
import type { Clock } from '../../../base/clock.ts';
import type { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import type { BrokerEpoch, BrokerId, TopicId } from '../../../base/units.ts';
import type { Crc32 } from '../../../wire/batch/frame.ts';
import type { ProducersGiven } from '../../replication/producers.ts';
import type { Compactor } from './compactor.ts';
import type { FollowerMessage, Position, SyncSetProposal } from '../../replication/types.ts';

/** What a replica needs of the broker around it. */
export interface ReplicaHost<Replica> {
  readonly clock: Clock;
  readonly crc32: Crc32;
  readonly compactor: Compactor;
  sendPosition(to: BrokerId, replica: Replica, position: Position): void;
  sendMessage(replica: Replica, message: FollowerMessage): void;
  proposeSyncSet(replica: Replica, proposal: SyncSetProposal): Promise<void>;
  /** Marks, role or writable end moved. */
  onChanged(replica: Replica): void;
  /** Frames of this many bytes were written or dropped: give the leader its credit back. */
  onConsumed(from: BrokerId, bytes: number): void;
  onStopped(replica: Replica, reason: string): void;
  /** The peer said what cannot be: its stream must not go on. */
  onRefused(replica: Replica, peer: BrokerId, reason: string): void;
  /** Every producer that was given out before the call: see ProducersGiven. */
  producersGiven(): Promise<ProducersGiven>;
  /** P9: what the log holds is damaged. */
  onDamage(replica: Replica, error: BrokerError): void;
  /** What metadata has against a producer now: see ProducerFence. */
  producerFault(producerId: number, producerEpoch: number): BrokerError | null;
  /** The controller hears this broker: see Lifecycle.isHeard. */
  isHeard(): boolean;
  readonly onFact: OnFact;
}

export interface ReplicaOptions {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly self: BrokerId;
  readonly selfEpoch: BrokerEpoch;
  readonly lagMsMax: number;
  readonly appendsPendingMax: number;
  readonly producersMax: number;
}
