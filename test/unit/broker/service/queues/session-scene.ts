/** A consumer's stream at its proxy, before owners that do as they are told. */
import { QUEUES_PARTITIONS, QUEUES_TOPIC } from '../../../../../base/internal-topics.ts';
import { QUEUE_SETTINGS_DEFAULTS, type QueueSettings } from '../../../../../base/queues.ts';
import type { BrokerError } from '../../../../../base/errors.ts';
import type { BrokerPhase } from '../../../../../broker/runtime/api.ts';
import { partitionOfQueue } from '../../../../../broker/runtime/queues/place.ts';
import { Cluster } from '../../../../../broker/service/cluster.ts';
import { topicIdBytes } from '../../../../../broker/messages/fields.ts';
import type { Demand, Supply } from '../../../../../broker/service/queues/owner-link.ts';
import { AbsentConsumers } from '../../../../../broker/service/queues/absent-consumers.ts';
import { QueueSession } from '../../../../../broker/service/queues/queue-session.ts';
import type { QueueSupplyPorts } from '../../../../../broker/service/queues/queues-desk.ts';
import {
  type ConsumeRecord,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeType,
} from '../../../../../proto/gen/tidemark/v1/consume.ts';
import { TOPIC } from '../../../../fixtures/frames.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';

const QUEUES_ID = '33333333-3333-4333-8333-333333333333';
const QUEUE_ID = '44444444-4444-4444-8444-444444444444';
/** Of `__queues`, where the state of partition 1 is. */
const ADDED = partitionOfQueue({ queue: QUEUE_ID, topicId: TOPIC, partition: 1 });
export const MEMBER = '11111111-1111-4111-8111-111111111111';

/** What a proxy has told one owner, by one link. */
export class ScriptedOwner {
  readonly brokerId: number;
  readonly demands: Demand[] = [];
  readonly #ports: QueueSupplyPorts;
  isClosed = false;

  constructor(brokerId: number, ports: QueueSupplyPorts) {
    this.brokerId = brokerId;
    this.#ports = ports;
  }

  supply(message: Supply): void {
    this.#ports.send({ message });
  }

  /** The link breaks, or the owner ends it. */
  end(error: BrokerError | null = null): void {
    this.isClosed = true;
    this.#ports.finish(error);
  }

  of<Case extends Demand['$case']>($case: Case): Extract<Demand, { $case: Case }>['value'][] {
    return this.demands.flatMap((demand) =>
      demand.$case === $case ? [demand.value] : [],
    ) as never;
  }

  /** Answers the last ask with a record of that offset; none: with nothing. */
  give(...offsets: readonly number[]): void {
    const { requestId } = this.of('ask').at(-1)!;
    this.supply({
      $case: 'records',
      value: { requestId, records: offsets.map(recordAt), error: undefined },
    });
  }
}

function recordAt(offset: number): ConsumeRecord {
  return {
    ...{ offset, leaderEpoch: 1, delivery: 1, timestampMs: 1, key: undefined },
    ...{ value: new Uint8Array(1), tombstone: false, headers: [] },
  };
}

export class SessionScene {
  readonly clock = new FakeClock();
  readonly links: ScriptedOwner[] = [];
  readonly told: NonNullable<ConsumeResponse['message']>[] = [];
  readonly session: QueueSession;
  isListening = true;
  /** Undefined: it is not over. */
  end: BrokerError | null | undefined = undefined;
  phase: BrokerPhase = 'serving';
  /** Who owns all partitions; -1: nobody. */
  owner = 2;
  /** And who owns the one that is added, where that is another. */
  ownerOfAdded: number | null = null;
  partitions = 1;
  config: QueueSettings = QUEUE_SETTINGS_DEFAULTS;
  isThere = true;
  #asked = 0;
  #watchers = new Set<() => void>();

  constructor() {
    const broker = {
      ...{ brokerId: 1, clock: this.clock, isInformed: () => true },
      ...{ phase: () => this.phase, image: () => this.#image() },
      watchImage: (callback: () => void) => {
        this.#watchers.add(callback);
        return () => this.#watchers.delete(callback);
      },
    };
    const cluster = new Cluster(broker as never, () => {
      throw new Error('all are local');
    });
    cluster.isSelf = (brokerId) => {
      this.#asked = brokerId;
      return true;
    };
    this.session = new QueueSession({
      cluster,
      desk: { link: (ports) => this.#link(ports) as never },
      absent: new AbsentConsumers(this.clock),
      held: { add: () => {}, tryAdd: () => true },
      newUuid: () => MEMBER,
      report: (error) => {
        throw error;
      },
      send: (response) => {
        this.told.push(response.message!);
        return true;
      },
      listen: (isListening) => {
        this.isListening = isListening;
      },
      finish: (error) => {
        this.end = error;
      },
    });
  }

  /** The latest link to that broker. */
  at(brokerId: number): ScriptedOwner {
    return this.links.findLast((link) => link.brokerId === brokerId)!;
  }

  take(message: NonNullable<ConsumeRequest['message']>): void {
    this.session.take({ message });
    this.clock.settle();
  }

  open(creditRecords = 1, graceMs = 0): void {
    const none = { instanceId: '', rack: '', assignor: '', sessionMs: 0, formerMemberId: '' };
    this.take({
      $case: 'open',
      value: {
        ...{ ...none, group: 'jobs', type: ConsumeType.CONSUME_TYPE_QUEUE, topics: [] },
        ...{ memberId: MEMBER, attempt: 3, client: '', graceMs, epoch: 0, delivery: 1, from: 0 },
        ...{ releaseMs: 0, returnMs: 0, creditBytes: 1_000, creditRecords },
      },
    });
  }

  acknowledge(acknowledgeId: number, offset: number): void {
    const verdict = { $case: 'accept', value: {} } as const;
    const place = { topicId: topicIdBytes(TOPIC), partition: 0 };
    const record = { ...place, offset, leaderEpoch: 1, delivery: 1, verdict };
    this.take({
      $case: 'acknowledge',
      value: {
        ...{ acknowledgeId, cursors: [], records: [record], creditBytes: 0, creditRecords: 0 },
      },
    });
  }

  /** Metadata changed. */
  change(): void {
    for (const watcher of [...this.#watchers]) watcher();
    this.clock.settle();
  }

  /** What the consumer was told of one kind. */
  toldOf<Case extends NonNullable<ConsumeResponse['message']>['$case']>(
    $case: Case,
  ): Extract<NonNullable<ConsumeResponse['message']>, { $case: Case }>['value'][] {
    return this.told.flatMap((each) => (each.$case === $case ? [each.value] : [])) as never;
  }

  #link(ports: QueueSupplyPorts): { take: unknown; onDrain: () => void; close: () => void } {
    const owner = new ScriptedOwner(this.#asked, ports);
    this.links.push(owner);
    return {
      take: ({ message }: { message: Demand }) => owner.demands.push(message),
      onDrain: () => {},
      close: () => {
        owner.isClosed = true;
      },
    };
  }

  #image(): unknown {
    const topics = [
      ...[{ topicId: TOPIC, name: 'orders', count: this.partitions }],
      { topicId: QUEUES_ID, name: QUEUES_TOPIC, count: QUEUES_PARTITIONS },
    ].map(({ count, ...topic }) => ({
      ...topic,
      partitions: Array.from({ length: count }, (_, partition) => ({
        ...{
          partition,
          leader: partition === ADDED ? (this.ownerOfAdded ?? this.owner) : this.owner,
        },
      })),
    }));
    const queue = {
      ...{ queueId: QUEUE_ID, name: 'jobs', topicId: TOPIC, config: this.config },
      ...{ isFromLatest: false, partitionsAtFirst: 1 },
    };
    return {
      topics: new Map(topics.map((topic) => [topic.topicId, topic])),
      topicIdsByName: new Map(topics.map(({ name, topicId }) => [name, topicId])),
      queues: new Map(this.isThere ? [[QUEUE_ID, queue]] : []),
      queueIdsByName: new Map(this.isThere ? [['jobs', QUEUE_ID]] : []),
    };
  }
}
