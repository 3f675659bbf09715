import { describe, expect, it } from 'vitest';
import { ClusterClock } from '../../../../../broker/runtime/membership/cluster-clock.ts';
import { FakeClock } from '../fake-clock.ts';

const HEARTBEAT_MS = 500;
const MONTH_MS = 30 * 86_400_000;

/** A machine whose clock may be wrong, and heartbeats that are answered with the truth. */
class Machine extends FakeClock {
  errorMs = 0;
  readonly facts: string[] = [];
  readonly clusterClock = new ClusterClock({
    clock: this,
    sessionTimeoutMs: 3_000,
    onFact: (event, fields) => {
      this.facts.push('reason' in fields ? `${event} ${String(fields.reason)}` : event);
    },
  });

  override wallMs(): number {
    return this.nowMs + this.errorMs;
  }

  beats(count: number, skewMs = (): number | null => this.errorMs): void {
    for (let beat = 0; beat < count; beat += 1) {
      this.advance(HEARTBEAT_MS);
      const sentMs = this.nowMs;
      this.clusterClock.compared({ skewMs: skewMs(), wallMs: this.wallMs(), sentMs });
    }
  }
}

describe('ClusterClock', () => {
  it('has the median as its time once it was compared, also right after a jump', () => {
    const machine = new Machine();
    machine.errorMs = MONTH_MS;
    expect(machine.clusterClock.wallMs()).toBe(MONTH_MS);
    machine.beats(1);
    expect(machine.clusterClock.wallMs()).toBe(machine.nowMs);
    machine.errorMs = -MONTH_MS;
    expect(machine.clusterClock.wallMs()).toBe(machine.nowMs);
    expect(machine.clusterClock.skewMs).toBe(-MONTH_MS);
  });

  it('has whole milliseconds, where the monotonic clock and the skew have parts of them', () => {
    const machine = new Machine();
    machine.nowMs = 0.25;
    machine.clusterClock.compared({ skewMs: 0.7, wallMs: 1_000, sentMs: 0.1 });
    expect(machine.clusterClock.wallMs() % 1).toBe(0);
  });

  it('says when its clock is believed, and why not, once each', () => {
    const machine = new Machine();
    expect(machine.clusterClock.doubt).toBe('not-compared');
    machine.beats(3, () => null);
    machine.beats(20);
    machine.errorMs = MONTH_MS;
    machine.clusterClock.look();
    machine.clusterClock.look();
    machine.beats(3);
    machine.advance(3_000);
    machine.errorMs = 0;
    machine.clusterClock.look();
    expect(machine.facts).toEqual([
      'time-retention-waits settling',
      'time-retention-resumed',
      'time-retention-paused jumped',
      'time-retention-paused off',
      'time-retention-paused jumped',
    ]);
  });
});
