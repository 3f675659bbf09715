/**
 * One broker that coordinates groups and speaks for members: the real host of groups over a log in
 * memory, the real desk, proxy and sessions, on a clock that is moved by hand.
 */
import { crc32 } from 'node:zlib';
import { Cluster } from '../../../../../broker/service/cluster.ts';
import {
  type ConsumePorts,
  ConsumeSession,
} from '../../../../../broker/service/consume/consume-session.ts';
import { MemberProxy } from '../../../../../broker/service/consume/member-proxy.ts';
import { CoordinatorDesk } from '../../../../../broker/service/consume/members-service.ts';
import { TEXT_RECORDS } from '../../../../../broker/service/text-records.ts';
import { BrokerError } from '../../../../../base/errors.ts';
import { GROUPS_TOPIC } from '../../../../../base/internal-topics.ts';
import { emptyImage } from '../../../../../broker/metadata/apply.ts';
import { FEATURE_LEVEL_MAX } from '../../../../../broker/metadata/features.ts';
import type {
  LossReport,
  MetadataImage,
  TopicState,
} from '../../../../../broker/metadata/types.ts';
import type {
  BrokerApi,
  BrokerPhase,
  ReplicaMarks,
  ReplicaRead,
} from '../../../../../broker/runtime/api.ts';
import { GroupsHost, partitionOfGroup } from '../../../../../broker/runtime/groups/groups-host.ts';
import {
  type CrossedLoss,
  crossedLosses,
  type ReaderWay,
} from '../../../../../broker/runtime/partitions/crossed-losses.ts';
import type { Replica } from '../../../../../broker/runtime/partitions/replica.ts';
import type {
  ConsumeOpen,
  ConsumeRequest,
  ConsumeResponse,
} from '../../../../../proto/gen/tidemark/v1/consume.ts';
import { stampFrame, topicIdToBytes } from '../../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../../wire/records/batch.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { FakeReplica, TOPIC_ID } from '../../runtime/groups/fake-replica.ts';

const GROUPS_ID = '11111111-1111-4111-8111-111111111111';
export const GROUP = 'billing';
export const SESSION_MS = 6_000;
export const PARTITIONS = 4;
export const TOPIC_ID_BYTES = topicIdToBytes(TOPIC_ID);

type Sent = NonNullable<ConsumeResponse['message']>;
type Case = Sent['$case'];
type ValueOf<Wanted extends Case> = Extract<Sent, { readonly $case: Wanted }>['value'];

/** A member's stream, and what its broker said on it. */
export class Stream {
  readonly session: ConsumeSession;
  readonly sent: Sent[] = [];
  /** Whether the client reads. */
  hasRoom = true;
  isListenedTo = true;
  /** Undefined: it goes on; null: it ended in order. */
  ended: string | null | undefined = undefined;

  constructor(ports: Omit<ConsumePorts, 'send' | 'listen' | 'finish'>) {
    this.session = new ConsumeSession({
      ...ports,
      send: ({ message }) => {
        if (message !== undefined) this.sent.push(message);
        return this.hasRoom;
      },
      listen: (isListening) => {
        this.isListenedTo = isListening;
      },
      finish: (error) => {
        this.ended = error === null ? null : error.code;
      },
    });
  }

  take(message: ConsumeRequest['message']): void {
    this.session.take({ message });
  }

  all<Wanted extends Case>(wanted: Wanted): ValueOf<Wanted>[] {
    const found = this.sent.filter(({ $case }) => $case === wanted);
    return found.map(({ value }) => value as unknown as ValueOf<Wanted>);
  }

  last<Wanted extends Case>(wanted: Wanted): ValueOf<Wanted> | undefined {
    return this.all(wanted).at(-1);
  }

  /** Partitions of the last view. */
  get assigned(): readonly number[] {
    return this.last('view')?.assigned.map(({ partition }) => partition) ?? [];
  }

  get revoked(): readonly number[] {
    return this.last('view')?.revoked.map(({ partition }) => partition) ?? [];
  }

  /** Partition and offset of each record that was delivered. */
  get records(): readonly string[] {
    return this.all('records').flatMap(({ partition, records }) =>
      records.map(({ offset }) => `${partition}/${offset}`),
    );
  }
}

const topic = (name: string, topicId: string, count: number): TopicState =>
  ({
    ...{ name, topicId },
    partitions: Array.from({ length: count }, (_, partition) => ({
      ...{ partition, replicas: [1], leader: 1, leaderEpoch: 1 },
    })),
  }) as unknown as TopicState;

export class Harness {
  readonly clock = new FakeClock();
  readonly replica = new FakeReplica();
  readonly host: GroupsHost;
  readonly proxy: MemberProxy;
  readonly defects: unknown[] = [];
  phase: BrokerPhase = 'serving';
  /** What coordinators tell members is lost on the way. */
  isTellingLost = false;
  /** Reports of unclean elections, of partition 0. */
  losses: readonly LossReport[] = [];
  readonly #logs = Array.from({ length: PARTITIONS }, (): Uint8Array[] => []);
  readonly #watchers = new Set<() => void>();
  readonly #parts: Omit<ConsumePorts, 'send' | 'listen' | 'finish'>;
  #uuids = 0;

  constructor() {
    const { clock } = this;
    const image = imageOf();
    this.host = new GroupsHost({
      clock,
      bounds: { snapshotBytesMin: 1e9, keptMs: 1e9, noteMs: 1e9 },
      sessionMs: 1_000,
      records: TEXT_RECORDS,
      image: () => image,
      replicas: {
        get: (topicId, partition) =>
          topicId === GROUPS_ID && partition === partitionOfGroup(GROUP)
            ? (this.replica as unknown as Replica)
            : null,
        require: () => {
          throw new BrokerError('NOT_LEADER', 'another broker');
        },
        *[Symbol.iterator]() {},
      },
      onDamage: () => {},
      onFact: () => {},
    });
    const broker = {
      ...{ brokerId: 1, clock, image: () => image, isInformed: () => true },
      phase: () => this.phase,
      groups: () => this.host,
      watchImage: () => () => {},
      watch: (_: string, __: number, callback: () => void) => {
        this.#watchers.add(callback);
        return () => this.#watchers.delete(callback);
      },
      marks: (_: string, partition: number) => this.#marks(partition),
      read: (_: string, partition: number, position: { readonly offset: number }) =>
        this.#read(partition, position.offset),
      crossedLosses: (_: string, partition: number, way: ReaderWay): readonly CrossedLoss[] =>
        crossedLosses(partition === 0 ? this.losses : [], way, {
          logEnd: this.#logs[partition]?.length ?? 0,
          epochBefore: () => 1,
          endOf: () => 2,
        }),
    } as unknown as BrokerApi;
    const report = (error: unknown): void => {
      this.defects.push(error);
    };
    const cluster = new Cluster(broker, () => {
      throw new Error('there is one broker');
    });
    const newUuid = (): string => {
      this.#uuids += 1;
      return `00000000-0000-4000-8000-${String(this.#uuids).padStart(12, '0')}`;
    };
    const parts = { cluster, newUuid, report };
    const desk = new CoordinatorDesk(parts, (messages) => {
      if (!this.isTellingLost) this.proxy.take(messages);
    });
    this.proxy = new MemberProxy(parts, desk);
    const traffic = {
      appended: () => undefined,
      appendTimes: () => ({ boundsUs: [], counts: [] }),
      fetched: () => undefined,
    };
    const held = { add: () => {}, tryAdd: () => true };
    this.#parts = { ...parts, proxy: this.proxy, traffic, held, principal: '' };
    this.host.start();
    this.host.look();
  }

  /** So many records at the end of a partition, one batch each. */
  put(partition: number, count = 1, value = 'x', leaderEpoch = 1): void {
    const log = this.#logs[partition]!;
    for (let at = 0; at < count; at += 1) {
      const record = { value: new TextEncoder().encode(value), timestampMs: 5 };
      const frame = encodeBatch([record], { codec: 0 }, crc32);
      const place = { topicIdBytes: TOPIC_ID_BYTES, partition };
      stampFrame(frame, 0, { baseOffset: log.length, leaderEpoch, ...place }, crc32);
      log.push(frame);
    }
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** What stands at the end of a partition cannot be read. */
  damage(partition: number): void {
    const frame = this.#logs[partition]!.at(-1)!;
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 0xff;
  }

  stream(): Stream {
    return new Stream(this.#parts);
  }

  /** A member that is attached, once what follows from that has settled. */
  async open(patch: Partial<ConsumeOpen> = {}): Promise<Stream> {
    const stream = this.stream();
    stream.take({ $case: 'open', value: openOf(patch) });
    await this.run(50);
    return stream;
  }

  /** Lets time pass; whatever is appended to the log of groups is committed. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1) {
      for (let turn = 0; turn < 12; turn += 1) {
        await Promise.resolve();
        this.clock.settle();
        if (this.replica.asked.length > 0) this.replica.commit();
      }
      this.clock.advance(1);
    }
    if (this.defects.length > 0) throw new Error('a defect was reported', { cause: this.defects });
  }

  #marks(partition: number): ReplicaMarks {
    const { length } = this.#logs[partition] ?? [];
    const ends = { highWaterMark: length, latest: length, logStart: 0, earliest: 0 };
    return { isLeader: true, leader: 1, leaderEpoch: 1, ...ends };
  }

  #read(partition: number, offset: number): ReplicaRead {
    const chunks = (this.#logs[partition] ?? []).slice(offset, offset + 10);
    const marks = this.#marks(partition);
    const deletions = { compactedTo: 0, tombstonesBelow: 0 };
    return { chunks, nextOffset: offset + chunks.length, marks, deletions };
  }
}

function imageOf(): MetadataImage {
  const topics = [topic(GROUPS_TOPIC, GROUPS_ID, 16), topic('orders', TOPIC_ID, PARTITIONS)];
  return {
    ...emptyImage(),
    ...{ index: 7, featureLevel: FEATURE_LEVEL_MAX },
    topics: new Map(topics.map((each) => [each.topicId, each])),
    topicIdsByName: new Map(topics.map(({ name, topicId }) => [name, topicId])),
  };
}

export function openOf(patch: Partial<ConsumeOpen> = {}): ConsumeOpen {
  return {
    ...{ group: GROUP, type: 1, topics: ['orders'], memberId: '', attempt: 0, instanceId: '' },
    ...{ rack: '', client: 'test', assignor: '', sessionMs: SESSION_MS, graceMs: 1_000 },
    ...{
      returnMs: 0,
      epoch: 0,
      delivery: 1,
      creditBytes: 10_000,
      creditRecords: 0,
      from: 1,
      releaseMs: 2_000,
    },
    formerMemberId: '',
    ...patch,
  };
}
