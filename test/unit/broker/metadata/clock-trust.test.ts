import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCK_SKEW_MS_MAX } from '../../../../broker/metadata/clock-skew.ts';
import {
  type ClockDoubt,
  ClockTrust,
  GOOD_LOOKS_MIN,
  GOOD_LOOKS_SPAN_MS_AFTER_JUMP,
  GOOD_LOOKS_SPAN_MS_MIN,
} from '../../../../broker/metadata/clock-trust.ts';

const SESSION_MS = 3_000;
const HEARTBEAT_MS = 500;
const MONTH_MS = 30 * 86_400_000;
/** Where the wall clock is when the monotonic clock is at 0. */
const ORIGIN_MS = 1_700_000_000_000;

/** A broker's two clocks, and a controller that knows the true time. */
class Broker {
  readonly trust = new ClockTrust(SESSION_MS);
  nowMs = 0;
  errorMs = 0;

  get wallMs(): number {
    return ORIGIN_MS + this.nowMs + this.errorMs;
  }

  /** What the broker thinks of its clock now. */
  get doubt(): ClockDoubt | null {
    return this.trust.look(this.wallMs, this.nowMs);
  }

  /** Heartbeats, each answered at once with what the controller says: by default the truth. */
  beats(count: number, skewMs: () => number | null = () => this.errorMs): void {
    for (let beat = 0; beat < count; beat += 1) {
      this.nowMs += HEARTBEAT_MS;
      this.trust.compared({ skewMs: skewMs(), wallMs: this.wallMs, sentMs: this.nowMs });
    }
  }

  /** Enough of them for a clock that is right. */
  settles(spanMs = GOOD_LOOKS_SPAN_MS_MIN): void {
    this.beats(Math.max(GOOD_LOOKS_MIN, spanMs / HEARTBEAT_MS + 1));
  }
}

interface Row {
  readonly name: string;
  readonly history: (broker: Broker) => void;
  readonly doubt: ClockDoubt | null;
}

const ROWS: readonly Row[] = [
  { name: 'at the start', history: () => undefined, doubt: 'not-compared' },
  {
    name: 'after one good look',
    history: (broker) => broker.beats(1),
    doubt: 'settling',
  },
  {
    name: 'after many good looks within a moment',
    history: (broker) => {
      for (let look = 0; look < 2 * GOOD_LOOKS_MIN; look += 1)
        broker.trust.compared({ skewMs: 0, wallMs: broker.wallMs, sentMs: broker.nowMs });
    },
    doubt: 'settling',
  },
  {
    name: 'after a few good looks over a long time',
    history: (broker) => {
      for (let look = 1; look < GOOD_LOOKS_MIN; look += 1) {
        broker.beats(1);
        broker.nowMs += SESSION_MS - HEARTBEAT_MS - 1;
      }
    },
    doubt: 'settling',
  },
  { name: 'after good looks enough', history: (broker) => broker.settles(), doubt: null },
  {
    name: 'under controllers that never hear a majority',
    history: (broker) => broker.beats(1_000, () => null),
    doubt: 'not-compared',
  },
  {
    name: 'under a new controller that has not heard a majority',
    history: (broker) => {
      broker.settles();
      broker.beats(1, () => null);
    },
    doubt: 'not-compared',
  },
  {
    name: 'just after a new controller has heard a majority',
    history: (broker) => {
      broker.settles();
      broker.beats(1, () => null);
      broker.beats(1);
    },
    doubt: 'settling',
  },
  {
    name: 'a session after the last answer',
    history: (broker) => {
      broker.settles();
      broker.nowMs += SESSION_MS;
    },
    doubt: 'unheard',
  },
  {
    name: 'just under a session after the last answer',
    history: (broker) => {
      broker.settles();
      broker.nowMs += SESSION_MS - 1;
    },
    doubt: null,
  },
  {
    name: 'when answers come again after a session at which nobody looked',
    history: (broker) => {
      broker.settles();
      broker.nowMs += SESSION_MS;
      broker.beats(1);
    },
    doubt: 'settling',
  },
  {
    name: 'with a clock that was wrong from the start',
    history: (broker) => {
      broker.errorMs = MONTH_MS;
      broker.settles();
    },
    doubt: 'off',
  },
  {
    name: 'with a clock that is behind',
    history: (broker) => {
      broker.errorMs = -CLOCK_SKEW_MS_MAX - 1;
      broker.settles();
    },
    doubt: 'off',
  },
  {
    name: 'with a clock as far off as is allowed',
    history: (broker) => {
      broker.errorMs = CLOCK_SKEW_MS_MAX;
      broker.settles();
    },
    doubt: null,
  },
  {
    name: 'at once when the clock jumps, before any heartbeat',
    history: (broker) => {
      broker.settles();
      broker.errorMs = MONTH_MS;
    },
    doubt: 'jumped',
  },
  {
    name: 'when the clock jumps back',
    history: (broker) => {
      broker.settles();
      broker.errorMs = -CLOCK_SKEW_MS_MAX - 1;
    },
    doubt: 'jumped',
  },
  {
    name: 'when the clock leaves the bound in steps, each of them small',
    history: (broker) => {
      broker.settles();
      for (let step = 0; step < 3; step += 1) {
        broker.errorMs += CLOCK_SKEW_MS_MAX / 2;
        broker.beats(1);
      }
    },
    doubt: 'off',
  },
  {
    name: 'when the clock jumped before a heartbeat and the controller confirms it',
    history: (broker) => {
      broker.settles();
      broker.errorMs = MONTH_MS;
      broker.settles();
    },
    doubt: 'off',
  },
  {
    name: 'when all clocks jumped together',
    history: (broker) => {
      broker.settles();
      broker.errorMs = MONTH_MS;
      broker.beats((2 * GOOD_LOOKS_SPAN_MS_MIN) / HEARTBEAT_MS, () => 0);
    },
    doubt: 'jumped',
  },
  {
    name: 'long after all clocks jumped together',
    history: (broker) => {
      broker.settles();
      broker.errorMs = MONTH_MS;
      broker.beats(GOOD_LOOKS_SPAN_MS_AFTER_JUMP / HEARTBEAT_MS + 1, () => 0);
    },
    doubt: null,
  },
  {
    name: 'when the only broker jumped twice, there and back',
    history: (broker) => {
      broker.settles();
      for (const errorMs of [MONTH_MS, 0]) {
        broker.errorMs = errorMs;
        broker.beats(GOOD_LOOKS_SPAN_MS_AFTER_JUMP / HEARTBEAT_MS, () => 0);
      }
    },
    doubt: 'jumped',
  },
  {
    name: 'when a clock that was wrong is set right',
    history: (broker) => {
      broker.errorMs = MONTH_MS;
      broker.settles();
      broker.errorMs = 0;
      broker.settles();
    },
    doubt: 'jumped',
  },
  {
    name: 'long after a clock that was wrong was set right',
    history: (broker) => {
      broker.errorMs = MONTH_MS;
      broker.settles();
      broker.errorMs = 0;
      broker.settles(GOOD_LOOKS_SPAN_MS_AFTER_JUMP);
    },
    doubt: null,
  },
  {
    name: 'when an answer is to a heartbeat that was sent before the jump',
    history: (broker) => {
      broker.settles();
      const sent = { skewMs: 0, wallMs: broker.wallMs, sentMs: broker.nowMs };
      broker.errorMs = MONTH_MS;
      broker.trust.compared(sent);
    },
    doubt: 'jumped',
  },
];

describe('ClockTrust.look()', () => {
  it.each(ROWS)('says $doubt $name', ({ history, doubt }) => {
    const broker = new Broker();
    history(broker);
    expect(broker.doubt).toBe(doubt);
  });

  it('never believes a clock that is wrong, whatever happened, while the controller is right', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 6, arbitrary: fc.record({ beats: fc.integer({ min: 1, max: 20 }) }) },
            fc.record({ silenceMs: fc.integer({ min: 0, max: 3 * SESSION_MS }) }),
            fc.record({ uncompared: fc.integer({ min: 1, max: 3 }) }),
            fc.record({ moveMs: fc.integer({ min: -MONTH_MS, max: MONTH_MS }) }),
            fc.record({ moveMs: fc.integer({ min: -70_000, max: 70_000 }) }),
          ),
          { maxLength: 30 },
        ),
        (events) => {
          const broker = new Broker();
          for (const event of events) {
            if ('beats' in event) broker.beats(event.beats);
            else if ('uncompared' in event) broker.beats(event.uncompared, () => null);
            else if ('silenceMs' in event) broker.nowMs += event.silenceMs;
            else broker.errorMs += event.moveMs;
            if (broker.doubt === null)
              expect(Math.abs(broker.errorMs)).toBeLessThanOrEqual(CLOCK_SKEW_MS_MAX);
          }
        },
      ),
    );
  });

  it('believes every clock again that stays right', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -MONTH_MS, max: MONTH_MS })), (errors) => {
        const broker = new Broker();
        for (const errorMs of [...errors, 0]) {
          broker.errorMs = errorMs;
          broker.beats(3);
        }
        broker.settles(GOOD_LOOKS_SPAN_MS_AFTER_JUMP);
        expect(broker.doubt).toBe(null);
      }),
    );
  });
});

describe('ClockTrust.skewMs()', () => {
  it('is unknown before a comparison', () => {
    const broker = new Broker();
    broker.beats(3, () => null);
    expect(broker.trust.skewMs(broker.wallMs, broker.nowMs)).toBe(null);
  });

  it('follows a jump before the controller does, and outlives the controller', () => {
    const broker = new Broker();
    broker.beats(1, () => 7);
    broker.errorMs = MONTH_MS;
    broker.nowMs += SESSION_MS;
    expect(broker.trust.skewMs(broker.wallMs, broker.nowMs)).toBe(MONTH_MS + 7);
    broker.beats(1, () => null);
    expect(broker.trust.skewMs(broker.wallMs, broker.nowMs)).toBe(MONTH_MS + 7);
  });
});
