import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  FairShares,
  type Flow,
  type Started,
  WINDOW_BYTES_MIN,
} from '../../../../broker/access/fair-shares.ts';

const KIB = 1024;
const BATCH_BYTES = 16 * KIB;

/** A server that answers so many bytes in a millisecond, one batch after the other. */
class Line {
  readonly shares = new FairShares();
  nowMs = 0;
  bytesPerMs = 64 * KIB;
  /** Beside its turn, an answer takes so long. */
  wayMs = 2;
  readonly #queue: { flow: Flow; started: Started; atMs: number }[] = [];
  #freeMs = 0;

  get bytes(): number {
    return this.#queue.reduce((sum, { started }) => sum + started.bytes, 0);
  }

  bytesOf(flow: Flow): number {
    return this.#queue.reduce((sum, one) => sum + (one.flow === flow ? one.started.bytes : 0), 0);
  }

  start(flow: Flow, bytes: number): void {
    const started = this.shares.start(this.nowMs, flow, bytes);
    this.#freeMs = Math.max(this.#freeMs, this.nowMs) + bytes / this.bytesPerMs;
    this.#queue.push({ flow, started, atMs: this.#freeMs + this.wayMs });
  }

  /** As many as may start. @returns bytes */
  fill(flow: Flow, bytes = BATCH_BYTES, atMost = 100): number {
    let count = 0;
    for (; count < atMost && this.shares.mayStart(this.nowMs, flow, bytes); count += 1)
      this.start(flow, bytes);
    return count * bytes;
  }

  /** @returns bytes answered, by flow */
  pass(ms: number): Map<Flow, number> {
    const answered = new Map<Flow, number>();
    this.nowMs += ms;
    for (let first = this.#queue[0]; first !== undefined && first.atMs <= this.nowMs; ) {
      this.#queue.shift();
      this.shares.answered(first.atMs, first.flow, first.started);
      answered.set(first.flow, (answered.get(first.flow) ?? 0) + first.started.bytes);
      first = this.#queue[0];
    }
    return answered;
  }
}

describe('FairShares', () => {
  let line: Line;
  let greedy: Flow;
  let calm: Flow;
  beforeEach(() => {
    line = new Line();
    greedy = line.shares.join(null);
    calm = line.shares.join(null);
  });

  /** Greedy ones fill what they have; a calm one begins one every so often. */
  function run(ms: number, flows: readonly Flow[]): Map<Flow, number> {
    const sums = new Map<Flow, number>();
    for (let each = 0; each < 8 * ms; each += 1) {
      for (const flow of flows) line.fill(flow);
      if (each % 40 === 0) line.fill(calm, KIB, 1);
      for (const [flow, bytes] of line.pass(1 / 8)) sums.set(flow, (sums.get(flow) ?? 0) + bytes);
    }
    return sums;
  }

  it('limits nobody who is alone', () => {
    expect(line.fill(greedy)).toBe(100 * BATCH_BYTES);
    line.pass(10_000);
    expect(line.fill(greedy)).toBe(100 * BATCH_BYTES);
    expect(line.shares.windowBytes(line.nowMs, greedy)).toBe(Infinity);
  });

  it('holds a greedy one back from the first batch of another on, and lets go of it later', () => {
    line.fill(greedy);
    line.fill(calm, KIB, 1);
    expect(line.shares.mayStart(line.nowMs, greedy, KIB)).toBe(false);
    line.pass(100);
    expect(line.fill(greedy)).toBeLessThanOrEqual(WINDOW_BYTES_MIN);
    line.pass(2_000);
    line.fill(greedy, KIB, 1);
    expect(line.shares.windowBytes(line.nowMs, greedy)).toBe(Infinity);
  });

  it('says who has something under way, and who is held back', () => {
    expect(line.shares.totals(line.nowMs)).toEqual({
      ...{ active: 0, heldBack: 0, underWayBytes: 0, windowBytes: 0, holds: 0 },
    });
    line.fill(greedy, BATCH_BYTES, 10);
    const underWayBytes = 10 * BATCH_BYTES;
    expect(line.shares.totals(line.nowMs)).toEqual({
      ...{ active: 1, heldBack: 0, underWayBytes, windowBytes: 0, holds: 0 },
    });
    line.fill(calm, KIB, 1);
    // Asked twice of one batch, it counts once.
    for (let time = 0; time < 2; time += 1) line.shares.mayStart(line.nowMs, greedy, KIB);
    expect(line.shares.totals(line.nowMs)).toMatchObject({
      ...{ active: 2, heldBack: 1, underWayBytes: underWayBytes + KIB, holds: 1 },
    });
    expect(line.shares.totals(line.nowMs).windowBytes).toBeGreaterThan(0);
    line.pass(100);
    line.fill(greedy, KIB, 1);
    expect(line.shares.totals(line.nowMs)).toMatchObject({ heldBack: 0, holds: 1 });
  });

  it('lets one that has nothing under way always begin one batch, however large', () => {
    line.fill(greedy);
    expect(line.shares.mayStart(line.nowMs, calm, 8 * KIB * KIB)).toBe(true);
    line.fill(calm, 8 * KIB * KIB, 1);
    expect(line.shares.mayStart(line.nowMs, calm, 1)).toBe(false);
  });

  it('uses the line, with a queue of about what an append takes by itself', () => {
    const before = run(3_000, [greedy]);
    expect(before.get(calm)).toBeGreaterThan(550 * KIB);
    const sums = run(1_000, [greedy]);
    // 64 KiB in a millisecond; half of that at least.
    expect(sums.get(greedy)).toBeGreaterThan(500 * 64 * KIB);
    // 2 ms at that rate are under way without a queue.
    expect(line.bytesOf(greedy)).toBeLessThan(2 * 2 * 64 * KIB);
  });

  it('finds more room where the way is long', () => {
    line.wayMs = 40;
    run(15_000, [greedy]);
    const sums = run(1_000, [greedy]);
    expect(sums.get(greedy)).toBeGreaterThan(300 * 64 * KIB);
    expect(line.shares.windowBytes(line.nowMs, greedy)).toBeGreaterThan(16 * WINDOW_BYTES_MIN);
  });

  it('gives greedy ones the like, whoever came first', () => {
    const second = line.shares.join(null);
    line.wayMs = 10;
    run(3_000, [greedy]);
    run(10_000, [greedy, second]);
    const sums = run(5_000, [greedy, second]);
    const [one = 0, other = 0] = [sums.get(greedy), sums.get(second)];
    expect(Math.max(one, other) / Math.min(one, other)).toBeLessThan(2);
  });

  it('gives those of one group one part', () => {
    const [one, other] = [line.shares.join('token:a'), line.shares.join('token:a')];
    run(500, [greedy, one, other]);
    const { nowMs, shares } = line;
    expect(one.windowBytes).toBe(other.windowBytes);
    expect(shares.windowBytes(nowMs, one)).toBeLessThan(shares.windowBytes(nowMs, greedy));
  });

  it('does not count what waits for something else than its turn', () => {
    line.fill(calm, KIB, 1);
    const stuck = line.shares.start(0, greedy, WINDOW_BYTES_MIN);
    expect(line.shares.mayStart(0, greedy, KIB)).toBe(false);
    expect(line.shares.waitMs(100, greedy)).toBe(400);
    expect(line.shares.mayStart(500, greedy, KIB)).toBe(true);
    expect([greedy.bytes, greedy.lateBytes]).toEqual([0, WINDOW_BYTES_MIN]);
    line.shares.answered(600, greedy, stuck);
    line.shares.answered(600, greedy, stuck);
    expect([greedy.bytes, greedy.lateBytes, greedy.started]).toEqual([0, 0, []]);
  });

  it('starves nobody, and keeps what is under way within windows and a batch for each', () => {
    const step = fc.record({
      flow: fc.nat(4),
      bytes: fc.integer({ min: 1, max: 512 * KIB }),
      ms: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const shares = new FairShares();
        const flows = [null, null, 'token:a', 'token:a', 'token:b'].map((group) =>
          shares.join(group),
        );
        const open: { flow: Flow; started: Started }[] = [];
        let nowMs = 0;
        for (const { flow: index, bytes, ms } of steps) {
          nowMs += ms;
          // Nothing is unanswered for longer than a little.
          while (open.length > 0 && nowMs - open[0]!.started.startedMs > 30) {
            const { flow, started } = open.shift()!;
            shares.answered(nowMs, flow, started);
          }
          const flow = flows[index]!;
          const windowBytes = shares.windowBytes(nowMs, flow);
          const may = shares.mayStart(nowMs, flow, bytes);
          const isFirst = flow.bytes === 0;
          expect(may).toBe(isFirst || flow.bytes + bytes <= windowBytes);
          if (may) open.push({ flow, started: shares.start(nowMs, flow, bytes) });
          for (const each of flows) {
            const own = open.filter((one) => one.flow === each);
            expect(each.bytes).toBe(own.reduce((sum, { started }) => sum + started.bytes, 0));
          }
        }
        for (const { flow, started } of open) shares.answered(nowMs, flow, started);
        for (const flow of flows) expect(shares.mayStart(nowMs, flow, 2 ** 30)).toBe(true);
      }),
    );
  });
});
