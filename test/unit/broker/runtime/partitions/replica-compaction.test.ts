/** What a replica does about what was ordered of its log. */
import { describe, expect, it } from 'vitest';
import type { CompactionOrder } from '../../../../../base/compaction-order.ts';
import { BrokerError } from '../../../../../base/errors.ts';
import { Compactor } from '../../../../../broker/runtime/partitions/compactor.ts';
import { ReplicaCompaction } from '../../../../../broker/runtime/partitions/replica-compaction.ts';
import type { CompactionOutcome, MergeOutcome } from '../../../../../broker/runtime/ports.ts';
import { FakeClock } from '../fake-clock.ts';

const SIZES = { bytesBefore: 100, bytesAfter: 60 };
const DONE: CompactionOutcome = { ...SIZES, isComplete: true };
const NOTHING_MERGED: MergeOutcome = { removed: 0, bytes: 0, segments: 3 };
const GAVE_WAY: CompactionOutcome = { ...SIZES, isComplete: false };

function order(upTo: number): CompactionOrder {
  return { upTo, tombstonesBelow: 0, producersBelow: 0 };
}

class Scene {
  readonly clock = new FakeClock();
  readonly compactor = new Compactor();
  readonly asked: number[] = [];
  /** What the next merges come to; without any they merge nothing. */
  readonly merges: (MergeOutcome | Error | Promise<MergeOutcome>)[] = [];
  merged = 0;
  readonly done: number[] = [];
  readonly damages: string[] = [];
  readonly facts: string[] = [];
  readonly #calls: PromiseWithResolvers<CompactionOutcome>[] = [];

  replica(name = 'orders/0'): ReplicaCompaction {
    return new ReplicaCompaction({
      name: () => name,
      log: {
        compact: ({ upTo }) => {
          this.asked.push(upTo);
          const call = Promise.withResolvers<CompactionOutcome>();
          this.#calls.push(call);
          return call.promise;
        },
        merge: async () => {
          this.merged += 1;
          const outcome = (await this.merges.shift()) ?? NOTHING_MERGED;
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
      },
      clock: this.clock,
      compactor: this.compactor,
      onFact: (...[event]) => {
        this.facts.push(event);
      },
      onDone: ({ upTo }) => {
        this.done.push(upTo);
      },
      onDamage: ({ message }) => {
        this.damages.push(message);
      },
    });
  }

  /** The oldest pass that runs ends so. */
  async end(outcome: CompactionOutcome | Error): Promise<void> {
    const call = this.#calls.shift();
    if (outcome instanceof Error) call?.reject(outcome);
    else call?.resolve(outcome);
    await this.settle();
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

describe('a replica', () => {
  it('says that what was ordered is done', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    replica.ask(order(5));
    expect(replica.progress.phase).toBe('running');
    await scene.end(DONE);
    expect(replica.progress).toEqual({
      phase: 'idle',
      hasOrder: false,
      bytesNeeded: 0,
      last: { ...SIZES, durationMs: 0 },
    });
    expect([scene.asked, scene.done, scene.facts]).toEqual([[5], [5], ['compacted']]);
    expect(scene.compactor.totals).toMatchObject({ passes: 1, failures: 0, ...SIZES });
  });

  it('goes on with what was asked while a pass ran, though it is the same', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    const first = order(5);
    replica.ask(first);
    // Its log was cut under it: it matches again before the pass finds out.
    replica.ask(first);
    await scene.end(GAVE_WAY);
    expect([scene.asked, scene.done]).toEqual([[5, 5], []]);
    replica.ask(order(8));
    await scene.end(DONE);
    await scene.end(DONE);
    expect([scene.asked, scene.done]).toEqual([
      [5, 5, 8],
      [5, 8],
    ]);
  });

  it('rests where a pass gave way and nothing more is asked', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    replica.ask(order(5));
    await scene.end(GAVE_WAY);
    scene.clock.advance(100_000);
    expect([scene.asked, scene.done, replica.progress.phase]).toEqual([[5], [], 'idle']);
  });

  it.each([
    { name: 'done', end: DONE },
    { name: 'damaged', end: new BrokerError('DATA_CORRUPT', 'a bad frame') },
  ])('believes nothing of a log that was emptied meanwhile: $name', async ({ end }) => {
    const scene = new Scene();
    const replica = scene.replica();
    replica.ask(order(5));
    replica.reset();
    await scene.end(end);
    expect([scene.done, scene.damages, replica.progress.phase]).toEqual([[], [], 'idle']);
    replica.ask(order(2));
    await scene.end(DONE);
    expect(scene.done).toEqual([2]);
  });

  it('waits for space, says so once, and tries again', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    const short: CompactionOutcome = { ...GAVE_WAY, waitsFor: 'space', bytesNeeded: 70 };
    replica.ask(order(5));
    await scene.end(short);
    expect(replica.progress).toMatchObject({ phase: 'waits-for-space', bytesNeeded: 70 });
    scene.clock.advance(5_000);
    await scene.end(short);
    scene.clock.advance(5_000);
    await scene.end(DONE);
    expect([scene.asked, scene.done]).toEqual([[5, 5, 5], [5]]);
    expect(scene.facts).toEqual(['compaction-waits', 'compacted']);
  });

  it('is no longer waited for once it is closed', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    replica.ask(order(5));
    await scene.end({ ...GAVE_WAY, waitsFor: 'descriptors' });
    replica.close();
    replica.ask(order(6));
    scene.clock.advance(100_000);
    expect(scene.asked).toEqual([5]);
  });

  it('tells of damage, and tries again after a minute what failed otherwise', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    replica.ask(order(5));
    await scene.end(new BrokerError('INTERNAL', 'its thread has ended'));
    expect(replica.progress.phase).toBe('failed');
    scene.clock.advance(60_000);
    await scene.end(new BrokerError('DATA_CORRUPT', 'a bad frame'));
    expect([scene.asked, scene.damages]).toEqual([[5, 5], ['a bad frame']]);
    expect(scene.compactor.totals).toMatchObject({
      passes: 0,
      failures: 2,
      lastError: 'orders/0: a bad frame',
    });
  });
});

describe('merging segments', () => {
  it('comes when what was ordered is done, and is told where something was merged', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    scene.merges.push({ removed: 4, bytes: 900, segments: 3 });
    replica.ask(order(5));
    await scene.end({ ...GAVE_WAY, waitsFor: 'space' });
    expect(scene.merged).toBe(0);
    scene.clock.advance(5_000);
    await scene.end(DONE);
    expect([scene.merged, scene.done, replica.progress.phase]).toEqual([1, [5], 'idle']);
    expect(scene.facts).toEqual(['compaction-waits', 'compacted', 'segments-merged']);
    expect(scene.compactor.totals).toMatchObject({ passes: 1, segmentsMerged: 4 });
    replica.ask(order(6));
    await scene.end(DONE);
    expect([scene.merged, scene.facts.length]).toEqual([2, 4]);
  });

  it('waits for space, holds up no order meanwhile, and needs no pass to be tried again', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    const short: MergeOutcome = { ...NOTHING_MERGED, waitsFor: 'space', bytesNeeded: 70 };
    scene.merges.push(short, short);
    replica.ask(order(5));
    await scene.end(DONE);
    expect(replica.progress).toMatchObject({
      phase: 'waits-for-space',
      bytesNeeded: 70,
      hasOrder: false,
    });
    scene.clock.advance(5_000);
    await scene.settle();
    expect([scene.merged, scene.asked]).toEqual([2, [5]]);
    replica.ask(order(6));
    expect(replica.progress).toMatchObject({ phase: 'running', hasOrder: true });
    await scene.end(DONE);
    expect([scene.merged, scene.done, replica.progress.phase]).toEqual([3, [5, 6], 'idle']);
    expect(scene.facts).toEqual(['compacted', 'compaction-waits', 'compacted']);
  });

  it('goes on with what was ordered meanwhile', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    const merge = Promise.withResolvers<MergeOutcome>();
    scene.merges.push(merge.promise);
    replica.ask(order(5));
    await scene.end(DONE);
    expect(replica.progress).toMatchObject({ phase: 'running', hasOrder: false });
    replica.ask(order(6));
    merge.resolve(NOTHING_MERGED);
    await scene.settle();
    expect(scene.asked).toEqual([5, 6]);
  });

  it('is tried again after a minute where it failed, and what was ordered is done', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    scene.merges.push(new BrokerError('DATA_CORRUPT', 'a bad frame'));
    replica.ask(order(5));
    await scene.end(DONE);
    expect([scene.done, scene.damages]).toEqual([[5], ['a bad frame']]);
    expect(replica.progress).toMatchObject({ phase: 'failed', hasOrder: false });
    scene.clock.advance(60_000);
    await scene.settle();
    expect([scene.merged, scene.asked, replica.progress.phase]).toEqual([2, [5], 'idle']);
  });

  it('is forgotten where the log is emptied', async () => {
    const scene = new Scene();
    const replica = scene.replica();
    scene.merges.push({ ...NOTHING_MERGED, waitsFor: 'descriptors' });
    replica.ask(order(5));
    await scene.end(DONE);
    replica.reset();
    scene.clock.advance(100_000);
    await scene.settle();
    expect([scene.merged, replica.progress.phase]).toEqual([1, 'idle']);
  });
});

describe('the passes of a broker', () => {
  it('run one at a time, in the order in which they were asked for', async () => {
    const scene = new Scene();
    const [one, two, three] = [scene.replica('a/0'), scene.replica('b/0'), scene.replica('c/0')];
    one.ask(order(1));
    two.ask(order(2));
    three.ask(order(3));
    // The newest order of a replica counts, at its place in the queue.
    two.ask(order(22));
    expect([scene.asked, two.progress.phase]).toEqual([[1], 'queued']);
    await scene.end(DONE);
    await scene.end(DONE);
    await scene.end(DONE);
    expect(scene.asked).toEqual([1, 22, 3]);
  });
});
