import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { AppendResult, AppendTerms } from '../../../../broker/replication/types.ts';
import { fromWire, TidemarkError } from '../../../../client/errors.ts';
import { producerSettings } from '../../../../client/producer/options.ts';
import {
  type Batch,
  type Fate,
  PartitionQueue,
  type Settlement,
} from '../../../../client/producer/partition-queue.ts';
import { errorToMessage } from '../../../../wire/grpc/errors.ts';
import { CorePair, type ReplicaId } from '../../broker/replication/core-pair.ts';
import { bytes } from '../records.ts';

const NOBODY = -1;
const DELIVERY_TIMEOUT_MS = 2_000;

/** A batch on its way to a replica. */
interface Sent {
  readonly to: ReplicaId;
  readonly batch: Batch;
  readonly attempt: number;
  readonly frame: Uint8Array;
  /** Its stream is open: an answer would be heard. */
  isHeard: boolean;
}

/** The client's queue over two real cores; the network between them is the test. */
class Bench {
  readonly pair = new CorePair();
  readonly fates = new Map<string, Fate[]>();
  /** Ends that appends expected, by value. */
  readonly expected = new Map<string, number>();
  readonly queue: PartitionQueue;
  network: Sent[] = [];
  #unanswered = new Set<Sent>();
  /** Batches whose fate is known. */
  readonly #over = new Set<Batch>();
  #stream: ReplicaId = 1;
  nowMs = 0;
  idsGiven = 0;

  constructor() {
    const settings = producerSettings({
      batchBytes: 1,
      batchBytesMax: 1024,
      deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    });
    this.queue = new PartitionQueue(
      { topic: 't', topicIdBytes: new Uint8Array(16), partition: 0 },
      settings,
      () => 20,
    );
  }

  /** 600 of 1,024 bytes: no two records share a batch. */
  append(value: string): void {
    this.fates.set(value, []);
    this.queue.append({ value: bytes(value), timestampMs: 1 }, 600, value, undefined, this.nowMs);
  }

  race(value: string, offset: number): void {
    this.fates.set(value, []);
    this.expected.set(value, offset);
    const record = { value: bytes(value), timestampMs: 1, context: value };
    const end = { offset, leaderEpoch: 0 };
    this.queue.appendTogether([record], 600, undefined, end, this.nowMs);
  }

  /** What a reader sees of the end. */
  readEnd(): number {
    const ends = ([1, 2] as const).map((id) => this.pair.replica(id).core.status().highWaterMark);
    return Math.max(...ends);
  }

  /** What the producer's pump does. */
  pump(): void {
    this.#settle(this.queue.expire(this.nowMs));
    if (this.queue.needsIdentity) {
      this.idsGiven += 1;
      this.queue.setIdentity({ producerId: this.idsGiven, producerEpoch: 0 });
    }
    const to = this.pair.leader;
    if (to === NOBODY) return;
    if (to !== this.#stream) this.#settle(this.queue.rewind(this.nowMs).settled);
    this.#stream = to;
    for (;;) {
      const batch = this.queue.take(this.nowMs, 1e9);
      if (batch?.frame === undefined) return;
      const { attempts: attempt, frame } = batch;
      const sent = { to, batch, attempt, frame, isHeard: true };
      const others = [...this.#unanswered].filter(
        (one) => one.batch !== batch && !this.#over.has(one.batch),
      );
      const mustBeAlone = [sent, ...others].some((one) => one.batch.expectedEnd !== undefined);
      if (mustBeAlone) expect(others).toEqual([]);
      this.network.push(sent);
      this.#unanswered.add(sent);
    }
  }

  deliver(): void {
    const sent = this.network.shift();
    if (sent === undefined) return;
    this.pair.replica(sent.to).append(sent.frame.slice(), termsOf(sent.batch), (result) => {
      if (sent.isHeard) this.#answer(sent, result);
    });
  }

  /** All streams end. What was written into them may arrive still. */
  breakStreams(): void {
    for (const sent of this.#unanswered) sent.isHeard = false;
    this.#unanswered.clear();
    const error = new TidemarkError('UNREACHABLE', 'torn', 'refresh');
    this.#settle(this.queue.rewind(this.nowMs, error).settled);
  }

  /** The topic seems to be gone. */
  abandon(): void {
    this.#settle(this.queue.abandon(new TidemarkError('UNKNOWN_TOPIC', 'gone')));
  }

  assign(leader: ReplicaId | typeof NOBODY, told?: readonly ReplicaId[]): void {
    this.pair.assign(leader, told);
    this.queue.unblock();
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.pair.tick(this.nowMs);
  }

  heal(): void {
    this.pair.isCut = false;
    this.breakStreams();
    this.assign(1);
    for (let round = 0; round < 300; round += 1) {
      while (this.network.length > 0) this.deliver();
      this.pair.flow();
      this.pass(10);
      this.pump();
    }
  }

  check(): void {
    const log = this.pair.replica(1).values();
    expect(this.pair.replica(2).values()).toEqual(log);
    const offsets: number[] = [];
    for (const [value, fates] of this.fates) {
      const where = log.flatMap((found, offset) => (found === value ? [offset] : []));
      expect([value, fates.length]).toEqual([value, 1]);
      const fate = fates[0] as Fate;
      if (fate.kind === 'delivered') {
        expect([value, where]).toEqual([value, [fate.baseOffset]]);
        offsets.push(fate.baseOffset);
      } else if (fate.error.effect === 'none') {
        expect([value, where]).toEqual([value, []]);
      } else {
        expect([value, where.length <= 1]).toEqual([value, true]);
      }
      const end = this.expected.get(value) ?? Infinity;
      const before = log.slice(end, where[0] ?? 0).filter((found) => found !== null);
      expect([value, before]).toEqual([value, []]);
    }
    // In the order in which they were handed in.
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  }

  #answer(sent: Sent, result: AppendResult): void {
    this.#unanswered.delete(sent);
    const outcome: Fate = result.ok
      ? { kind: 'delivered', baseOffset: result.baseOffset }
      : { kind: 'failed', error: fromWire(errorToMessage(result.error)) };
    this.#settle(this.queue.onResult(sent.batch, sent.attempt, outcome, this.nowMs).settled);
  }

  #settle(settled: readonly Settlement[]): void {
    for (const { batch, fate } of settled) {
      this.#over.add(batch);
      for (const context of batch.contexts) this.fates.get(context as string)?.push(fate);
    }
  }
}

function termsOf({ expectedEnd }: Batch): AppendTerms {
  return { ack: 'all', expectedEnd };
}

const assigned = {
  leader: fc.constantFrom<ReplicaId | typeof NOBODY>(1, 2, NOBODY),
  told: fc.constantFrom<readonly ReplicaId[]>([1, 2], [1], [2]),
};
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('race' as const),
      beyond: fc.constantFrom(-1, 0, 0, 0, 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('assign' as const), ...assigned }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tell' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('flow' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('deliver' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abandon' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 25, 600, DELIVERY_TIMEOUT_MS),
    }),
  },
);

describe('PartitionQueue, over real cores', () => {
  it('delivers what is in the log, once and in order, and refuses what is not', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 100, size: 'max' }), (steps) => {
        const bench = new Bench();
        for (const [index, one] of steps.entries()) {
          if (one.kind === 'append') bench.append(`v${index}`);
          else if (one.kind === 'race')
            bench.race(`v${index}`, Math.max(0, bench.readEnd() + one.beyond));
          else if (one.kind === 'assign') bench.assign(one.leader, one.told);
          else if (one.kind === 'tell') bench.pair.tell();
          else if (one.kind === 'cut') bench.pair.isCut = !bench.pair.isCut;
          else if (one.kind === 'flow') bench.pair.flow();
          else if (one.kind === 'deliver') bench.deliver();
          else if (one.kind === 'break') bench.breakStreams();
          else if (one.kind === 'abandon') bench.abandon();
          else bench.pass(one.ms);
          bench.pump();
        }
        bench.heal();
        bench.check();
      }),
      { numRuns: 400 },
    );
  });
});
