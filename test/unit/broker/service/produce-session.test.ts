/** Produce streams beside one another: what stands before whose batch, counted in bytes. */
import { EventEmitter } from 'node:events';
import { Metadata } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import { FairShares, WINDOW_BYTES_MIN } from '../../../../broker/access/fair-shares.ts';
import type { AppendResult } from '../../../../broker/replication/types.ts';
import type { BrokerApi } from '../../../../broker/runtime/api.ts';
import { type ProduceCall, ProduceSession } from '../../../../broker/service/produce-session.ts';
import type { ProduceResponse } from '../../../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { HELD } from '../../../../broker/messages/held.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

const TOPIC_ID = '11111111-1111-4111-8111-111111111111';
const KIB = 1024;
const OWN_WINDOW_BYTES = 16 * KIB * KIB;

class FakeCall extends EventEmitter {
  heldBytes = 0;
  readonly [HELD] = {
    add: (bytes: number) => {
      this.heldBytes += bytes;
    },
    tryAdd: (bytes: number) => {
      this.heldBytes += bytes;
      return true;
    },
  };
  readonly metadata = new Metadata();
  readonly written: ProduceResponse[] = [];
  isPaused = false;
  hasEnded = false;
  sendMetadata(): void {}
  write(message: ProduceResponse): boolean {
    this.written.push(message);
    return true;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.hasEnded = true;
  }
}

/** A frame that was given to its partition. */
interface Given {
  readonly from: number;
  readonly bytes: number;
  readonly answer: () => void;
}

let clock: FakeClock;
let given: Given[];
let shares: FairShares;
let calls: FakeCall[];

beforeEach(() => {
  // Another test's streams may still wait for theirs.
  clock = new FakeClock();
  given = [];
  calls = [];
  shares = new FairShares();
});

const broker = {
  get clock() {
    return clock;
  },
  produceWindowBytes: OWN_WINDOW_BYTES,
  append: (
    _topicId: string,
    _partition: number,
    frame: Uint8Array,
    _terms: unknown,
    done: (result: AppendResult) => void,
  ) => {
    const result = { baseOffset: 0, lastOffset: 0, leaderEpoch: 1, isDuplicate: false };
    const answer = (): void => done({ ok: true, ...result });
    given.push({ from: frame[0] ?? 0, bytes: frame.length, answer });
  },
} as unknown as BrokerApi;

/** Opens a stream. @returns how a batch is sent on it */
function open(from: number): (bytes: number) => void {
  const call = new FakeCall();
  calls.push(call);
  const appendTimes = () => ({ boundsUs: [], counts: [] });
  const traffic = { appended: () => {}, fetched: () => {}, appendTimes };
  new ProduceSession(call as unknown as ProduceCall, {
    ...{ broker, traffic, shares },
    report: (error) => {
      throw error;
    },
  });
  let batchId = 0;
  return (bytes) => {
    batchId += 1;
    const batch = { batchId, topicId: topicIdToBytes(TOPIC_ID), partition: 0 };
    const frame = new Uint8Array(bytes).fill(from);
    call.emit('data', { acks: 0, batches: [{ ...batch, frame, condition: undefined }] });
  };
}

/** Answers what was given, oldest first, and lets a millisecond pass. */
function answer(count: number): void {
  for (const one of given.splice(0, count)) one.answer();
  clock.advance(1);
}

const bytesOf = (from: number): number =>
  given.reduce((sum, one) => sum + (one.from === from ? one.bytes : 0), 0);

describe('Produce streams', () => {
  it('have no more than a narrow window before the batch of another', () => {
    const [greedy, calm] = [open(1), open(2)];
    calm(KIB);
    for (let each = 0; each < 100; each += 1) greedy(10 * KIB);
    expect(bytesOf(1)).toBeGreaterThan(0);
    for (let each = 0; each < 200; each += 1) {
      calm(KIB);
      // What stands before it was given before it.
      const before = given.findLastIndex(({ from }) => from === 2);
      const bytes = given.slice(0, before).reduce((sum, one) => sum + one.bytes, 0);
      expect(bytes - 3 * KIB).toBeLessThanOrEqual(WINDOW_BYTES_MIN);
      greedy(10 * KIB);
      answer(2);
    }
  });

  it('of which one sends large batches have one of them before the batch of another', () => {
    const [greedy, calm] = [open(1), open(2)];
    calm(KIB);
    for (let each = 0; each < 8; each += 1) greedy(KIB * KIB);
    expect(bytesOf(1)).toBe(KIB * KIB);
    expect(calls[0]?.isPaused).toBe(true);
    for (let each = 0; each < 8; each += 1) {
      calm(KIB);
      expect(given.at(-1)?.from).toBe(2);
      answer(given.length);
      expect(bytesOf(1)).toBe(each < 7 ? KIB * KIB : 0);
    }
    expect(calls[0]?.isPaused).toBe(false);
  });

  it('are not held alone', () => {
    const alone = open(1);
    for (let each = 0; each < 8; each += 1) alone(KIB * KIB);
    expect(bytesOf(1)).toBe(8 * KIB * KIB);
    expect(calls[0]?.written).toHaveLength(1);
  });

  it('tell a greedy producer of a narrow window and small batches, and take that back', () => {
    const [greedy, calm] = [open(1), open(2)];
    calm(KIB);
    for (let each = 0; each < 4; each += 1) greedy(KIB * KIB);
    clock.advance(200);
    answer(2);
    const told = calls[0]?.written.filter(({ windowBytes }) => windowBytes > 0).at(-1);
    expect(told?.windowBytes).toBeLessThanOrEqual(2 * WINDOW_BYTES_MIN);
    expect(told?.batchBytes).toBeLessThanOrEqual(WINDOW_BYTES_MIN / 4);
    expect(calls[1]?.written.filter(({ windowBytes }) => windowBytes > 0)).toHaveLength(1);
    for (let each = 0; each < 6; each += 1) answer(given.length);
    clock.advance(3_000);
    greedy(KIB);
    const last = calls[0]?.written.filter(({ windowBytes }) => windowBytes > 0).at(-1);
    expect(last).toMatchObject({ windowBytes: OWN_WINDOW_BYTES });
    expect(last?.batchBytes).toBeGreaterThan(KIB * KIB);
  });

  it('go on beside batches that wait for something else than their turn', () => {
    const [stuck, calm] = [open(1), open(2)];
    calm(KIB);
    stuck(KIB * KIB);
    stuck(KIB);
    expect(bytesOf(1)).toBe(KIB * KIB);
    clock.advance(499);
    expect(bytesOf(1)).toBe(KIB * KIB);
    clock.advance(1);
    expect(bytesOf(1)).toBe(KIB * KIB + KIB);
  });

  it('end once what waits is answered too, and begin nothing for who is gone', () => {
    const [greedy, calm] = [open(1), open(2)];
    calm(KIB);
    for (let each = 0; each < 3; each += 1) greedy(KIB * KIB);
    calls[0]?.emit('end');
    for (let each = 0; each < 3; each += 1) {
      expect(calls[0]?.hasEnded).toBe(false);
      answer(given.length);
    }
    expect(calls[0]?.hasEnded).toBe(true);
    const gone = open(3);
    calm(KIB);
    for (let each = 0; each < 3; each += 1) gone(KIB * KIB);
    calls[2]?.emit('cancelled');
    answer(given.length);
    answer(given.length);
    clock.advance(1_000);
    expect(bytesOf(3)).toBe(0);
  });

  it('hold nothing for what comes behind their end', () => {
    const [gone, other] = [open(1), open(2)];
    other(KIB);
    for (let each = 0; each < 3; each += 1) gone(KIB * KIB);
    calls[0]?.emit('cancelled');
    gone(KIB);
    answer(given.length);
    clock.advance(1_000);
    expect(calls.map(({ heldBytes }) => heldBytes)).toEqual([0, 0]);
  });
});
