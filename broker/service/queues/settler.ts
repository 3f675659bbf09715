/**
 * Brings the owners what became of records, for one consumer. What may be repeated is: the same
 * acknowledgement twice is fine, so whatever an owner did not answer is asked of the next one until
 * a deadline. While much waits, the consumer is not listened to.
 */
import type { QueueSettled } from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import type {
  AcknowledgeOutcome,
  ConsumeAcknowledge,
  ConsumeAcknowledged,
  ConsumeRecord,
  RecordAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { errorFromMessage, errorToMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import { ACKNOWLEDGEMENTS_PER_CALL_MAX, QUEUE_SETTLING_RECORDS_MAX } from '../../../base/limits.ts';
import type { BrokerId, MonotonicMs } from '../../../base/units.ts';
import { integerField, refuse, topicIdBytes, topicIdField } from '../../messages/fields.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { Backoff, type Cluster, isRetriable } from '../cluster.ts';
import { partitionField } from '../groups/fields.ts';
import { acknowledgementField } from './member-link.ts';
import type { Demand } from './owner-link.ts';
import type { OpenedQueue } from './queue-fields.ts';

const SETTLE_MS = 10_000;

export interface SettlerPorts {
  readonly cluster: Cluster;
  readonly report: ReportDefect;
  /** Throws where there is no owner now, or it cannot be reached. */
  readonly send: (partition: number, demand: Demand) => void;
  readonly ownerOf: (partition: number) => BrokerId;
  readonly nextRequestId: () => number;
  readonly answer: (acknowledged: ConsumeAcknowledged) => void;
  readonly listen: (isListening: boolean) => void;
}

/** Acknowledgements of one partition under way. */
interface Settling {
  readonly partition: number;
  readonly acknowledgements: readonly RecordAcknowledgement[];
  readonly untilMs: MonotonicMs;
  readonly backoff: Backoff;
  owner: BrokerId;
  readonly done: (outcomes: readonly AcknowledgeOutcome[]) => void;
}

export class Settler {
  readonly #topicId: string;
  readonly #ports: SettlerPorts;
  readonly #settling = new Map<number, Settling>();
  /** Records, one at least of each acknowledgement. */
  #waiting = 0;
  #idle: (() => void)[] = [];
  #isClosed = false;

  constructor({ topic }: Pick<OpenedQueue, 'topic'>, ports: SettlerPorts) {
    this.#topicId = topic.topicId;
    this.#ports = ports;
  }

  get hasRoom(): boolean {
    return this.#waiting < QUEUE_SETTLING_RECORDS_MAX;
  }

  /** Throws INVALID_ARGUMENT. */
  take({ acknowledgeId, records }: ConsumeAcknowledge): void {
    integerField('records length', records.length, 0, ACKNOWLEDGEMENTS_PER_CALL_MAX);
    const byPartition = new Map<number, number[]>();
    for (const [at, record] of records.entries()) {
      const partition = this.#checked(`records[${String(at)}]`, record);
      const some = byPartition.get(partition);
      if (some === undefined) byPartition.set(partition, [at]);
      else some.push(at);
    }
    const outcomes: AcknowledgeOutcome[] = records.map(() => ({ error: undefined }));
    let left = byPartition.size;
    const weight = Math.max(1, records.length);
    this.#waiting += weight;
    if (!this.hasRoom) this.#ports.listen(false);
    const answer = (): void => {
      const hadRoom = this.hasRoom;
      this.#waiting -= weight;
      if (!hadRoom && this.hasRoom) this.#ports.listen(true);
      if (!this.#isClosed) this.#ports.answer({ acknowledgeId, cursors: [], records: outcomes });
      if (this.#waiting === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    if (left === 0) answer();
    for (const [partition, places] of byPartition)
      this.#begin(
        partition,
        places.map((at) => records[at]!),
        (told) => {
          for (const [index, at] of places.entries()) outcomes[at] = told[index] ?? UNTOLD;
          left -= 1;
          if (left === 0) answer();
        },
      );
  }

  /** They were leased, and never reached the consumer. */
  putBack(partition: number, records: readonly ConsumeRecord[]): void {
    const topicId = topicIdBytes(this.#topicId);
    const acknowledgements = records.map(({ offset, leaderEpoch, delivery }) => ({
      ...{ topicId, partition, offset, leaderEpoch, delivery },
      verdict: { $case: 'release' as const, value: { delayMs: 0 } },
    }));
    this.#begin(partition, acknowledgements, () => {});
  }

  settled({ requestId, outcomes, error }: QueueSettled): void {
    const settling = this.#settling.get(requestId);
    if (settling === undefined) return;
    this.#settling.delete(requestId);
    if (error === undefined) settling.done(outcomes);
    else this.#failed(settling, errorFromMessage(error));
  }

  linkClosed(owner: BrokerId, error: BrokerError): void {
    for (const [requestId, settling] of this.#settling) {
      if (settling.owner !== owner) continue;
      this.#settling.delete(requestId);
      this.#failed(settling, error);
    }
  }

  /** What owners of before did not answer is asked of those of now. */
  leaveOwners(): void {
    for (const [requestId, settling] of [...this.#settling]) {
      if (this.#isOwner(settling)) continue;
      this.#settling.delete(requestId);
      this.#send(settling);
    }
  }

  #isOwner({ owner, partition }: Settling): boolean {
    try {
      return this.#ports.ownerOf(partition) === owner;
    } catch (error) {
      expected(error, this.#ports.report);
      return false;
    }
  }

  /** Resolves once nothing waits any more. */
  idle(): Promise<void> {
    if (this.#waiting === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#settling.clear();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #checked(field: string, record: RecordAcknowledgement): number {
    const id = topicIdField(`${field}.topic_id`, record.topicId);
    if (id !== this.#topicId) refuse(`${field}.topic_id`, id, `${this.#topicId}, of the queue`);
    acknowledgementField(field, record);
    return partitionField(`${field}.partition`, record.partition);
  }

  #begin(
    partition: number,
    acknowledgements: readonly RecordAcknowledgement[],
    done: Settling['done'],
  ): void {
    const untilMs = this.#ports.cluster.clock.monotonicMs() + SETTLE_MS;
    this.#send({ partition, acknowledgements, untilMs, backoff: new Backoff(), owner: -1, done });
  }

  #send(settling: Settling): void {
    if (this.#isClosed) return;
    const { report, nextRequestId, send, ownerOf } = this.#ports;
    const { partition, acknowledgements } = settling;
    const requestId = nextRequestId();
    const topicId = topicIdBytes(this.#topicId);
    try {
      settling.owner = ownerOf(partition);
      this.#settling.set(requestId, settling);
      send(partition, {
        $case: 'settle',
        value: { requestId, topicId, partition, acknowledgements: [...acknowledgements] },
      });
    } catch (error) {
      this.#settling.delete(requestId);
      this.#failed(settling, expected(error, report));
    }
  }

  #failed(settling: Settling, error: BrokerError): void {
    const { clock } = this.#ports.cluster;
    const mayRepeat = isRetriable(error) || error.effect === 'unknown';
    const pauseMs = settling.backoff.nextMs();
    if (mayRepeat && clock.monotonicMs() + pauseMs < settling.untilMs) {
      clock.after(pauseMs, () => {
        this.#send(settling);
      });
      return;
    }
    const told = errorToMessage(error);
    settling.done(settling.acknowledgements.map(() => ({ error: told })));
  }
}

/** Of an owner that answers fewer than it was asked. */
const UNTOLD: AcknowledgeOutcome = {
  error: errorToMessage(
    new BrokerError('OUTCOME_UNKNOWN', 'The owner of the queue did not say what became of it'),
  ),
};
