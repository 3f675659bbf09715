import { describe, expect, it } from 'vitest';
import { RetentionDriver } from '../../../../../broker/runtime/partitions/retention-driver.ts';
import type { RetentionDriverOptions } from '../../../../../broker/runtime/partitions/retention-driver.ts';
import { CONFIG, TOPIC_ID } from '../../service/fake-broker.ts';
import type { ClockDoubt } from '../../../../../broker/metadata/clock-trust.ts';
import { FakeClock } from '../fake-clock.ts';

const PERIOD_MS = 100;

/**
 * One replica with ten committed records, of which the first five are sealed and past their time.
 */
class Kept {
  readonly topicId = TOPIC_ID;
  readonly retired: number[] = [];
  saves = 0;
  readonly #isLeader: boolean;

  constructor(isLeader: boolean) {
    this.#isLeader = isLeader;
  }

  readonly log = {
    segments: () => [{ startOffset: 0, endOffset: 5, maxTimestampMs: -10_000, bytes: 100 }],
    sizeBytes: () => 200,
  };

  marks(): object {
    return { isLeader: this.#isLeader, logStart: 0, highWaterMark: 10 };
  }

  retire(offset: number): void {
    this.retired.push(offset);
  }

  saveSnapshot(): void {
    this.saves += 1;
  }
}

class Scene {
  readonly clock = Object.assign(new FakeClock(), { look: () => this.doubt });
  doubt: ClockDoubt | null = null;
  readonly driver: RetentionDriver;
  periodMs = PERIOD_MS;

  constructor(replica: Kept, isTopicKnown = true) {
    const replicas = [replica];
    this.driver = new RetentionDriver({
      clock: this.clock,
      periodMs: () => this.periodMs,
      replicas,
      configOf: () => (isTopicKnown ? { ...CONFIG, retentionMs: 1_000 } : undefined),
    } as unknown as RetentionDriverOptions);
  }

  /** One look. The clock repeats nothing by itself. */
  look(): void {
    this.driver.start();
    this.clock.advance(this.periodMs);
  }
}

describe('RetentionDriver', () => {
  it.each([
    { name: 'retires at a leader', isLeader: true, isTopicKnown: true, retired: [5] },
    { name: 'leaves it to the leader', isLeader: false, isTopicKnown: true, retired: [] },
    { name: 'keeps what it has no config of', isLeader: true, isTopicKnown: false, retired: [] },
  ])('$name', ({ isLeader, isTopicKnown, retired }) => {
    const replica = new Kept(isLeader);
    const scene = new Scene(replica, isTopicKnown);
    scene.look();
    expect({ retired: replica.retired, saves: replica.saves }).toEqual({ retired, saves: 1 });
  });

  it('retires nothing by time while its clock is in doubt', () => {
    const replica = new Kept(true);
    const scene = new Scene(replica);
    scene.doubt = 'not-compared';
    scene.look();
    expect(replica.retired).toEqual([]);
    scene.doubt = null;
    scene.look();
    expect(replica.retired).toEqual([5]);
  });

  it('takes a new period at once', () => {
    const replica = new Kept(true);
    const scene = new Scene(replica);
    scene.periodMs = 1_000_000;
    scene.driver.start();
    scene.periodMs = PERIOD_MS;
    scene.driver.reschedule();
    scene.clock.advance(PERIOD_MS);
    expect(replica.saves).toBe(1);
  });

  it('does not begin by a new period, nor go on once closed', () => {
    const replica = new Kept(true);
    const scene = new Scene(replica);
    scene.driver.reschedule();
    scene.clock.advance(PERIOD_MS);
    scene.driver.start();
    scene.driver.close();
    scene.driver.reschedule();
    scene.clock.advance(PERIOD_MS);
    expect(replica.saves).toBe(0);
  });
});
