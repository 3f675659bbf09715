/**
 * What this broker does as the owner of partitions of queues: one link for each member that deals
 * with it, and how its partitions stand.
 */
import type { DescribeOwnedResponse } from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import type { QueueMember, QueuePartition } from '../../../proto/gen/tidemark/v1/queues.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Offset, TopicId } from '../../../base/units.ts';
import { expected } from '../../messages/handlers.ts';
import type { OwnedQueue, OwnedReport } from '../../runtime/api.ts';
import type { FeedParts } from '../feeds.ts';
import { within } from '../groups/coordinated.ts';
import { clusterLags } from '../groups/lags.ts';
import { MemberLink, type MemberLinkPorts } from './member-link.ts';
import type { OwnedQueues } from './owned.ts';
import { unknownPartition } from './owners.ts';
import type { BrokerQueueWorld } from './queue-world.ts';

/** How long leaders may take to say where their partitions end. */
const LAG_MS = 2_000;
/** How long they may take to bring the record that blocks a partition. */
const KEY_MS = 2_000;

export type QueueSupplyPorts = Pick<MemberLinkPorts, 'send' | 'finish'>;

export class QueuesDesk implements OwnedQueues {
  readonly #parts: FeedParts;
  readonly #world: BrokerQueueWorld;
  /** The latest of each member, by queue and member. */
  readonly #links = new Map<string, MemberLink>();

  constructor(parts: FeedParts, world: BrokerQueueWorld) {
    this.#parts = parts;
    this.#world = world;
  }

  link(ports: QueueSupplyPorts): MemberLink {
    const { cluster, report } = this.#parts;
    return new MemberLink({
      ...{ ...ports, clock: cluster.clock, world: this.#world, report },
      queues: () => cluster.broker.queues(),
      opened: (link) => {
        this.#opened(link);
      },
      closed: (link) => {
        const key = keyOf(link);
        if (this.#links.get(key) === link) this.#links.delete(key);
      },
    });
  }

  // OwnedQueues

  async describe(queueId: string, partitions: readonly number[]): Promise<DescribeOwnedResponse> {
    const image = this.#parts.cluster.image();
    const queue = image.queues.get(queueId);
    if (queue === undefined) throw new BrokerError('UNKNOWN_QUEUE', `No queue has id ${queueId}`);
    const leased = new Map<string, number>();
    const described = await this.#withLags(
      queue.topicId,
      await Promise.all(partitions.map((partition) => this.#describe(queueId, partition, leased))),
    );
    const members: QueueMember[] = [];
    for (const { member } of this.#links.values())
      if (member?.queueId === queueId) {
        const { memberId, client, proxy } = member;
        members.push({ memberId, client, proxy, leased: leased.get(memberId) ?? 0 });
      }
    return { partitions: described, members };
  }

  async freeKey(queueId: string, partition: number, offset: Offset): Promise<void> {
    await this.#parts.cluster.broker.queues().owned(queueId, partition).freeKey(offset);
  }

  // Parts

  /** What was not handed out yet is behind what was; how much that is, the leaders know. */
  async #withLags(
    topicId: TopicId,
    described: readonly QueuePartition[],
  ): Promise<QueuePartition[]> {
    const { cluster, report } = this.#parts;
    const topic = cluster.image().topics.get(topicId);
    if (topic === undefined) return [...described];
    const positions = described
      .filter(({ error }) => error === undefined)
      .map(({ partition, nextOffset }) => ({ partition, offset: nextOffset }));
    const question = { topic, positions, principal: '' };
    const lags = await clusterLags(cluster, question, LAG_MS, report);
    const byPartition = new Map(lags.map((lag) => [lag.partition, lag]));
    return described.map((one) => {
      const { lag, error } = byPartition.get(one.partition) ?? {};
      if (lag === undefined) return { ...one, error: one.error ?? error };
      return { ...one, lagRecords: one.lagRecords + lag.records, lagMs: lag.ageMs };
    });
  }

  #opened(link: MemberLink): void {
    const key = keyOf(link);
    const present = this.#links.get(key);
    const attempt = link.member?.attempt ?? 0;
    const presentAttempt = present?.member?.attempt ?? 0;
    // Its proxy may know sooner than this broker that a link broke.
    const isSame = presentAttempt === attempt && present?.member?.proxy === link.member?.proxy;
    if (present !== undefined && presentAttempt >= attempt && !isSame)
      throw new BrokerError(
        'FENCED',
        `Another stream of the member is at attempt ${String(presentAttempt)}`,
      );
    this.#links.set(key, link);
    present?.end(
      new BrokerError(
        'FENCED',
        `Another stream of the member took its place, attempt ${String(attempt)}`,
      ),
    );
  }

  /** @param leased by member; takes what stands here */
  async #describe(
    queueId: string,
    partition: number,
    leased: Map<string, number>,
  ): Promise<QueuePartition> {
    const { cluster, report } = this.#parts;
    const owner = cluster.broker.brokerId;
    try {
      const owned = cluster.broker.queues().owned(queueId, partition);
      const stands = owned.report();
      if (!stands.hasBegun)
        throw new BrokerError(
          'BROKER_NOT_READY',
          `Queue "${owned.definition.name}" has not begun in partition ${String(partition)} yet`,
        );
      for (const [member, count] of stands.leasedBy)
        leased.set(member, (leased.get(member) ?? 0) + count);
      return { partition, owner, ...standsOf(stands, await this.#blockingKey(owned, stands)) };
    } catch (thrown) {
      return unknownPartition(partition, owner, expected(thrown, report));
    }
  }

  /** Undefined: nothing blocks, it has none, or it cannot be read now. */
  async #blockingKey(
    { place }: OwnedQueue,
    { blocked }: OwnedReport,
  ): Promise<Uint8Array | undefined> {
    if (blocked === null || blocked.keyHash === null) return undefined;
    const { cluster, report } = this.#parts;
    try {
      const found = await within(cluster, KEY_MS, this.#world.recordsAt(place, [blocked]));
      return found.get(blocked.offset)?.key;
    } catch (error) {
      expected(error, report);
      return undefined;
    }
  }
}

function keyOf({ member }: MemberLink): string {
  return `${member?.queueId ?? ''}/${member?.memberId ?? ''}`;
}

/** Lags are the matter of who knows where the partition ends. */
function standsOf(
  report: OwnedReport,
  key: Uint8Array | undefined,
): Omit<QueuePartition, 'partition' | 'owner'> {
  const { next, floor, leased, waiting, delayed, dying, dyingMs } = report;
  const { parked, parkedOffsets, blocked } = report;
  return {
    ...{ nextOffset: next, floorOffset: floor, leased, waiting, delayed, dying, parked },
    lagRecords: leased + waiting + delayed + dying + parked,
    lagMs: 0,
    error: undefined,
    dyingMs: Math.round(dyingMs),
    parkedOffsets: [...parkedOffsets],
    blocked:
      blocked === null
        ? undefined
        : {
            ...{ offset: blocked.offset, key, kind: blocked.kind },
            memberId: blocked.holder ?? '',
          },
  };
}
