import { describe, expect, it } from 'vitest';
import { Pusher } from '../../../../../broker/runtime/partitions/pusher.ts';
import type { FollowerLink, LogRead, PushedFrames } from '../../../../../broker/runtime/ports.ts';
import type { Replica } from '../../../../../broker/runtime/partitions/replica.ts';
import type { PushWindow } from '../../../../../broker/replication/types.ts';
import { FakeClock } from '../fake-clock.ts';

const FRAME_BYTES = 100_000;

/** A leader's replica of frames of 100,000 bytes, one offset each. */
class FakeReplica {
  readonly topicId = 't';
  readonly name = 't/0';
  readonly partition: number;
  end: number;
  highWaterMark = 0;
  readonly sent = new Map<number, number>();
  readonly told = new Map<number, number>();

  constructor(partition: number, end: number) {
    this.partition = partition;
    this.end = end;
  }

  pushWindow(follower: number): PushWindow | null {
    const from = this.sent.get(follower) ?? 0;
    const { end: upTo, highWaterMark } = this;
    if (from === upTo && this.told.get(follower) === highWaterMark) return null;
    return { leaderEpoch: 1, from, upTo, highWaterMark, logStartOffset: 0 };
  }

  pushed(follower: number, upTo: number, highWaterMark: number): void {
    this.sent.set(follower, upTo);
    this.told.set(follower, highWaterMark);
  }

  readForPush(window: PushWindow, bytesMax: number): LogRead | Promise<LogRead> {
    const count = Math.min(
      window.upTo - window.from,
      Math.max(1, Math.floor(bytesMax / FRAME_BYTES)),
    );
    const chunk = new Uint8Array(count * FRAME_BYTES);
    // The base offset, where a frame has it.
    new DataView(chunk.buffer).setBigUint64(0, BigInt(window.from), true);
    return { chunks: [chunk], nextOffset: window.from + count };
  }

  get asReplica(): Replica {
    return this as unknown as Replica;
  }
}

class FakeLink implements FollowerLink {
  readonly brokerId: number;
  readonly brokerEpoch = 1;
  credit = Infinity;
  readonly pushes: PushedFrames[] = [];
  readonly closed: string[] = [];

  constructor(brokerId: number) {
    this.brokerId = brokerId;
  }

  creditBytes(): number {
    return this.credit;
  }

  push(frames: readonly PushedFrames[]): void {
    this.pushes.push(...frames);
    this.credit -= bytesOf(frames);
  }

  send(): void {}
  close(reason: string): void {
    this.closed.push(reason);
  }
}

function bytesOf(pushes: readonly PushedFrames[]): number {
  return pushes.flatMap(({ chunks }) => chunks).reduce((sum, { length }) => sum + length, 0);
}

function setUp(movingTo: readonly number[]) {
  const clock = new FakeClock();
  const moving = new Set(movingTo);
  const pusher = new Pusher({
    clock,
    onReadFailed: (_, error) => {
      throw error;
    },
    onRefused: (_, follower, reason) => {
      throw new Error(`${follower}: ${reason}`);
    },
    isMoving: (_, follower) => moving.has(follower),
  });
  const links = [2, 3].map((brokerId) => new FakeLink(brokerId));
  for (const link of links) pusher.open(link);
  return { clock, pusher, moving, two: links[0]!, three: links[1]! };
}

describe('Pusher.setMoveLimit()', () => {
  it('limits followers that are brought, and only those', () => {
    const { clock, pusher, two, three } = setUp([3]);
    const replica = new FakeReplica(0, 100);
    pusher.setMoveLimit(1_000_000);
    pusher.wakeAll(replica.asReplica);
    clock.advance(2_000);
    expect(bytesOf(two.pushes)).toBe(100 * FRAME_BYTES);
    expect(bytesOf(three.pushes)).toBeGreaterThan(1_800_000);
    expect(bytesOf(three.pushes)).toBeLessThan(2_300_000);
  });

  it('tells the high-water mark to a follower whose bytes wait', () => {
    const { clock, pusher, three } = setUp([3]);
    const replica = new FakeReplica(0, 100);
    pusher.setMoveLimit(1);
    pusher.wakeAll(replica.asReplica);
    clock.advance(10);
    replica.highWaterMark = 77;
    pusher.wakeAll(replica.asReplica);
    clock.advance(1);
    expect(three.pushes.at(-1)).toMatchObject({ highWaterMark: 77, chunks: [] });
  });

  it('limits no more once the follower is in the sync set', () => {
    const { clock, pusher, moving, three } = setUp([3]);
    const replica = new FakeReplica(0, 100);
    pusher.setMoveLimit(100_000);
    pusher.wakeAll(replica.asReplica);
    clock.advance(500);
    expect(bytesOf(three.pushes)).toBeLessThan(300_000);
    moving.delete(3);
    replica.end += 1;
    pusher.wakeAll(replica.asReplica);
    clock.advance(1);
    expect(bytesOf(three.pushes)).toBe(101 * FRAME_BYTES);
  });

  it('sends what waits when the limit is lifted', () => {
    const { clock, pusher, three } = setUp([3]);
    pusher.setMoveLimit(1);
    pusher.wakeAll(new FakeReplica(0, 100).asReplica);
    clock.advance(100);
    pusher.setMoveLimit(-1);
    clock.settle();
    expect(bytesOf(three.pushes)).toBe(100 * FRAME_BYTES);
  });

  it('waits for credit too, and goes on when it comes', () => {
    const { clock, pusher, three } = setUp([3]);
    three.credit = 250_000;
    pusher.setMoveLimit(1_000_000);
    pusher.wakeAll(new FakeReplica(0, 10).asReplica);
    clock.advance(1_000);
    expect(bytesOf(three.pushes)).toBeLessThan(10 * FRAME_BYTES);
    three.credit = 10_000_000;
    pusher.resume(three);
    clock.advance(1_000);
    expect(bytesOf(three.pushes)).toBe(10 * FRAME_BYTES);
  });

  it('shares the limit between partitions', () => {
    const { clock, pusher, three } = setUp([3]);
    pusher.setMoveLimit(1_000_000);
    for (const partition of [0, 1]) pusher.wakeAll(new FakeReplica(partition, 100).asReplica);
    clock.advance(2_000);
    const shares = [0, 1].map((partition) =>
      bytesOf(three.pushes.filter((push) => push.partition === partition)),
    );
    expect(Math.abs(shares[0]! - shares[1]!)).toBeLessThanOrEqual(FRAME_BYTES);
  });
});

describe('Pusher, when bytes cannot be read', () => {
  /** A replica whose first read fails, with what happens to it meanwhile. */
  function unreadable(meanwhile: (replica: FakeReplica) => void) {
    const clock = new FakeClock();
    const failures: string[] = [];
    const pusher = new Pusher({
      clock,
      onReadFailed: (_, error) => failures.push(String(error)),
      onRefused: (_, follower, reason) => failures.push(`${follower}: ${reason}`),
      isMoving: () => false,
    });
    const link = new FakeLink(2);
    pusher.open(link);
    const replica = new FakeReplica(0, 5);
    const readable = replica.readForPush.bind(replica);
    replica.readForPush = (window) => {
      replica.readForPush = readable;
      meanwhile(replica);
      return Promise.reject(new Error(`no bytes at ${window.from}`));
    };
    pusher.wakeAll(replica.asReplica);
    return { clock, failures, link };
  }

  /** Until the promises of this turn have been seen to. */
  async function readFailed(clock: FakeClock): Promise<void> {
    clock.settle();
    await new Promise(setImmediate);
    clock.settle();
  }

  it('pushes from the new offset where the core has told the follower of it meanwhile', async () => {
    const { clock, failures, link } = unreadable((replica) => replica.sent.set(2, 3));
    await readFailed(clock);
    expect(failures).toEqual([]);
    expect(bytesOf(link.pushes)).toBe(2 * FRAME_BYTES);
  });

  it('tells the failure and looks for the same bytes again after a pause', async () => {
    const { clock, failures, link } = unreadable(() => undefined);
    await readFailed(clock);
    expect(failures).toEqual(['Error: no bytes at 0']);
    expect(link.pushes).toEqual([]);
    clock.advance(1_000);
    expect(bytesOf(link.pushes)).toBe(5 * FRAME_BYTES);
  });
});

describe('Pusher, of a follower that states an end within a batch', () => {
  it.each([
    { name: 'from memory', isAsync: false, movingTo: [] },
    { name: 'from disk', isAsync: true, movingTo: [] },
    { name: 'of a move, from memory', isAsync: false, movingTo: [2] },
    { name: 'of a move, from disk', isAsync: true, movingTo: [2] },
  ])('sends nothing, once, and says so: $name', async ({ isAsync, movingTo }) => {
    const clock = new FakeClock();
    const refused: string[] = [];
    const link = new FakeLink(2);
    const pusher: Pusher = new Pusher({
      clock,
      onReadFailed: (_, error) => {
        throw error;
      },
      onRefused: (_, follower, reason) => {
        refused.push(reason);
        pusher.closed(link);
        expect(follower).toBe(2);
      },
      isMoving: (_, follower) => movingTo.includes(follower),
    });
    pusher.open(link);
    pusher.setMoveLimit(1_000_000);
    const replica = new FakeReplica(0, 5);
    replica.sent.set(2, 3);
    const whole = replica.readForPush.bind(replica);
    replica.readForPush = (window, bytesMax) => {
      const read = whole({ ...window, from: 2 }, bytesMax);
      return isAsync ? Promise.resolve(read) : read;
    };

    pusher.wakeAll(replica.asReplica);
    for (let turns = 0; turns < 3; turns += 1) {
      clock.advance(1_000);
      await new Promise(setImmediate);
    }

    expect(refused).toEqual(['t/0: broker 2 states end 3, which is within a batch']);
    expect(bytesOf(link.pushes)).toBe(0);
  });
});
