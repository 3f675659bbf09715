/** One partition, led by the broker that reads it: what its leader knows is set by hand. */
import {
  checkReadPosition,
  type ReadPosition,
} from '../../../../../broker/runtime/partitions/read-position.ts';
import type { ReplicaMarks, ReplicaRead } from '../../../../../broker/runtime/api.ts';
import type { Cluster } from '../../../../../broker/service/cluster.ts';
import type { FeedParts } from '../../../../../broker/service/feeds.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { TestFrame } from '../../../../fixtures/frames.ts';
import { TOPIC } from '../../../../fixtures/frames.ts';

export const PLACE = { queue: 'jobs', topicId: TOPIC, partition: 0 };

export class ScriptedLog {
  readonly clock = new FakeClock();
  frames: readonly TestFrame[];
  highWaterMark: number;
  logStart = 0;
  leaderEpoch = 1;
  /** Reads that were asked for. */
  readonly reads: ReadPosition[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(frames: readonly TestFrame[]) {
    this.frames = frames;
    this.highWaterMark = this.logEnd;
  }

  get logEnd(): number {
    const last = this.frames.at(-1)?.header;
    return last === undefined ? this.logStart : last.baseOffset + last.lastOffsetDelta + 1;
  }

  /** What reads it needs. */
  parts(): FeedParts {
    const broker = {
      ...{ brokerId: 1, clock: this.clock, crossedLosses: () => [] },
      watchImage: () => () => undefined,
      watch: (_: string, __: number, callback: () => void) => {
        this.#watchers.add(callback);
        return () => void this.#watchers.delete(callback);
      },
      read: (_: string, __: number, position: ReadPosition) => this.#read(position),
    };
    const cluster = { broker, clock: this.clock, isSelf: () => true, leader: () => 1 };
    return {
      cluster: cluster as unknown as Cluster,
      traffic: {
        appended: () => undefined,
        appendTimes: () => ({ counts: [], sum: 0 }) as never,
        fetched: () => undefined,
      },
      report: (error) => {
        throw error;
      },
    };
  }

  /** Runs what waits for the end of the turn until there is an answer, or for good. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    void promise.catch(() => undefined).finally(() => (isDone = true));
    for (let turn = 0; !isDone && turn < 100; turn += 1) {
      this.clock.settle();
      await Promise.resolve();
    }
    return promise;
  }

  #read(position: ReadPosition): ReplicaRead {
    this.reads.push(position);
    const { logStart, highWaterMark, leaderEpoch, logEnd } = this;
    const marks: ReplicaMarks = {
      ...{ isLeader: true, leader: 1, leaderEpoch, logStart, highWaterMark },
      ...{ latest: highWaterMark, earliest: logStart },
    };
    checkReadPosition(position, {
      ...{ name: 'orders/0', self: 1, marks, isHeard: true },
      status: { logEnd, syncSet: [1], suspects: [], undecidedTo: 0 } as never,
      divergence: (epoch, offset) => this.#divergence(epoch, offset),
    });
    const chunks = this.frames
      .filter(({ header }) => header.baseOffset + header.lastOffsetDelta >= position.offset)
      .filter(({ header }) => header.baseOffset + header.lastOffsetDelta < highWaterMark)
      .map(({ bytes }) => bytes);
    const nextOffset = chunks.length === 0 ? position.offset : highWaterMark;
    return { chunks, nextOffset, marks, deletions: NO_DELETIONS };
  }

  #divergence(epoch: number, offset: number): { epoch: number; endOffset: number } | null {
    const agreed = this.frames.findLast(({ header }) => header.leaderEpoch <= epoch)?.header;
    const endOffset = agreed === undefined ? 0 : agreed.baseOffset + agreed.lastOffsetDelta + 1;
    if (endOffset >= offset && agreed?.leaderEpoch === epoch) return null;
    return { epoch: agreed?.leaderEpoch ?? 0, endOffset: Math.min(endOffset, offset) };
  }
}

const NO_DELETIONS = { compactedTo: 0, tombstonesBelow: 0 };
