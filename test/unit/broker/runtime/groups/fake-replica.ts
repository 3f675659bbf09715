import { crc32 } from 'node:zlib';
import type { AppendResult, AppendTerms } from '../../../../../broker/replication/types.ts';
import type { ReplicaMarks } from '../../../../../broker/runtime/api.ts';
import type { FoldedReplica } from '../../../../../broker/runtime/folded/folded-log.ts';
import { readHeader, stampFrame, topicIdToBytes } from '../../../../../wire/batch/frame.ts';

export const TOPIC_ID = '22222222-2222-4222-8222-222222222222';

export interface Stored {
  readonly base: number;
  readonly end: number;
  readonly frame: Uint8Array;
}

interface Asked {
  readonly frame: Uint8Array;
  readonly terms: AppendTerms;
  readonly done: (result: AppendResult) => void;
}

/** A log of one broker; what is appended is committed when a test says so. */
export class FakeReplica implements FoldedReplica {
  readonly name = '__groups/0';
  readonly partition = 0;
  readonly stored: Stored[] = [];
  readonly asked: Asked[] = [];
  readonly trims: number[] = [];
  state = { isLeader: true, leaderEpoch: 1, isReady: true, logStart: 0, highWaterMark: 0 };
  #watchers = new Set<() => void>();

  readonly log = {
    read: (from: number, upTo: number) => {
      const found = this.stored.filter(({ end, base }) => end > from && base < upTo);
      return {
        chunks: found.map(({ frame }) => frame),
        nextOffset: found.at(-1)?.end ?? from,
      };
    },
  };

  marks(): ReplicaMarks {
    const { isLeader, leaderEpoch, isReady, logStart, highWaterMark } = this.state;
    const latest = isLeader && isReady ? highWaterMark : null;
    return {
      isLeader,
      leader: 1,
      leaderEpoch,
      logStart,
      highWaterMark,
      latest,
      earliest: logStart,
    };
  }

  watch(callback: () => void) {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  append(frame: Uint8Array, terms: AppendTerms, done: (result: AppendResult) => void): void {
    this.asked.push({ frame, terms, done });
  }

  trim(offset: number): Promise<number> {
    this.trims.push(offset);
    this.change({ logStart: offset });
    return Promise.resolve(offset);
  }

  change(patch: Partial<FakeReplica['state']>): void {
    this.state = { ...this.state, ...patch };
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Puts a frame at the end, and commits it. */
  put(frame: Uint8Array): { readonly base: number; readonly end: number } {
    const base = this.state.highWaterMark;
    const place = { topicIdBytes: topicIdToBytes(TOPIC_ID), partition: 0 };
    stampFrame(frame, 0, { baseOffset: base, leaderEpoch: 1, ...place }, crc32);
    const end = base + readHeader(frame, 0).lastOffsetDelta + 1;
    this.stored.push({ base, end, frame });
    this.change({ highWaterMark: end });
    return { base, end };
  }

  /** The oldest that waits is committed. */
  commit(): void {
    const { frame, done } = this.asked.shift()!;
    const { base, end } = this.put(frame);
    const placed = { baseOffset: base, lastOffset: end - 1, leaderEpoch: 1, isDuplicate: false };
    done({ ok: true, ...placed });
  }

  /** Commits all that comes, until nothing does. */
  async commitAll(): Promise<void> {
    for (let idle = 0; idle < 20; idle += 1) {
      await Promise.resolve();
      if (this.asked.length === 0) continue;
      idle = 0;
      this.commit();
    }
  }
}
