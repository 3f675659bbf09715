/**
 * A broker whose clock is a month ahead, and changes of controller: each new one hears that broker
 * first. It must never retire records that are seconds old. Only the pure cores take part.
 */
import { describe, expect, it } from 'vitest';
import { ClockSkew } from '../../../broker/metadata/clock-skew.ts';
import { ClockTrust } from '../../../broker/metadata/clock-trust.ts';
import { CONFIG } from '../../unit/broker/service/fake-broker.ts';
import { retireOffset } from '../../../broker/runtime/partitions/retention.ts';

const MONTH_MS = 30 * 86_400_000;
const SESSION_MS = 3_000;
const HEARTBEAT_MS = 500;
const BROKERS = [1, 2, 3];

class Story {
  nowMs = 0;
  readonly errors = new Map(BROKERS.map((brokerId) => [brokerId, 0]));
  readonly trusts = new Map(BROKERS.map((brokerId) => [brokerId, new ClockTrust(SESSION_MS)]));
  #controller = new ClockSkew();

  wallMs(brokerId: number): number {
    return this.nowMs + (this.errors.get(brokerId) ?? 0);
  }

  /** Another controller: it has heard nobody. */
  changeController(): void {
    this.#controller = new ClockSkew();
  }

  restart(brokerId: number): void {
    this.trusts.set(brokerId, new ClockTrust(SESSION_MS));
  }

  /** Heartbeats of these brokers, in this order, for a while. */
  beat(brokers: readonly number[], forMs: number): void {
    for (const untilMs = this.nowMs + forMs; this.nowMs < untilMs; ) {
      this.nowMs += HEARTBEAT_MS;
      for (const brokerId of brokers) {
        const wallMs = this.wallMs(brokerId);
        const skewMs = this.#controller.note(brokerId, wallMs, this.nowMs, BROKERS);
        this.trusts.get(brokerId)?.compared({ skewMs, wallMs, sentMs: this.nowMs });
      }
    }
  }

  /**
   * Whether this broker, leading, would retire a record of ten seconds ago that is kept for a day.
   */
  retiresFresh(brokerId: number): boolean {
    return this.#retires(brokerId, this.nowMs - 10_000);
  }

  retiresOld(brokerId: number): boolean {
    return this.#retires(brokerId, this.nowMs - 2 * 86_400_000);
  }

  #retires(brokerId: number, maxTimestampMs: number): boolean {
    const nowMs = this.wallMs(brokerId);
    const segment = { startOffset: 0, endOffset: 5, maxTimestampMs, bytes: 1 };
    const marks = { isLeader: true, leader: brokerId, leaderEpoch: 1, latest: 9 };
    const isClockTrusted = this.trusts.get(brokerId)?.look(nowMs, this.nowMs) === null;
    const config = { ...CONFIG, retentionMs: 86_400_000 };
    const now = { config, nowMs, sizeBytes: 1, isClockTrusted };
    return (
      retireOffset([segment], { ...now, marks: { ...marks, logStart: 0, highWaterMark: 9 } }) > 0
    );
  }
}

describe('a clock a month ahead', () => {
  it('retires nothing at a start, whoever is heard first', () => {
    const story = new Story();
    story.beat(BROKERS, 10_000);
    expect(BROKERS.map((brokerId) => story.retiresOld(brokerId))).toEqual([true, true, true]);

    story.errors.set(3, MONTH_MS);
    story.restart(3);
    story.changeController();
    expect(story.retiresFresh(3)).toBe(false);
    for (let look = 0; look < 20; look += 1) {
      story.beat([3], HEARTBEAT_MS);
      expect(story.retiresFresh(3)).toBe(false);
    }
    story.beat(BROKERS, 20 * 60_000);
    expect(story.retiresFresh(3)).toBe(false);
    expect(story.retiresOld(1)).toBe(true);
  });

  it('retires nothing under any change of controller', () => {
    const story = new Story();
    story.errors.set(3, MONTH_MS);
    for (let change = 0; change < 50; change += 1) {
      story.changeController();
      story.beat([3], HEARTBEAT_MS * (1 + (change % 7)));
      expect(story.retiresFresh(3)).toBe(false);
      story.beat([3, 1], HEARTBEAT_MS * (change % 13));
      expect(story.retiresFresh(3)).toBe(false);
      story.beat([3, 2, 1], HEARTBEAT_MS * (change % 17));
      expect(story.retiresFresh(3)).toBe(false);
    }
  });

  it('is not believed by a jump in mid-life either, nor are the others blamed', () => {
    const story = new Story();
    story.beat(BROKERS, 10_000);
    story.errors.set(2, MONTH_MS);
    expect(story.retiresFresh(2)).toBe(false);
    story.changeController();
    story.beat([2, 1, 3], 10_000);
    expect(BROKERS.map((brokerId) => story.retiresFresh(brokerId))).toEqual([false, false, false]);
    expect([story.retiresOld(1), story.retiresOld(3)]).toEqual([true, true]);
  });

  it('is believed again long after it was set right', () => {
    const story = new Story();
    story.errors.set(3, MONTH_MS);
    story.beat(BROKERS, 10_000);
    story.errors.set(3, 0);
    story.beat(BROKERS, 60_000);
    expect(story.retiresOld(3)).toBe(false);
    story.beat(BROKERS, 15 * 60_000);
    expect(story.retiresOld(3)).toBe(true);
  });
});
