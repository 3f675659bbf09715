/** Whom the driver has order compactions, and when. */
import { expect, it } from 'vitest';
import { CompactionDriver } from '../../../../../broker/runtime/partitions/compaction-driver.ts';
import type { Replica } from '../../../../../broker/runtime/partitions/replica.ts';
import { CONFIG } from '../../service/fake-broker.ts';

const COMPACTED = { ...CONFIG, cleanup: 'compact', tombstoneRetentionMs: 70 } as const;
const NOW = { monotonicMs: 1_000, wallMs: 5_000, isClockTrusted: true };

/** Ten committed records, the first five in a sealed segment. */
class Led {
  readonly ordered: unknown[] = [];
  readonly log = {
    segments: () => [
      { startOffset: 0, endOffset: 5, bytes: 100, maxTimestampMs: 0 },
      { startOffset: 5, endOffset: 10, bytes: 100, maxTimestampMs: 0 },
    ],
  };
  isLeader = true;
  hasOrder = false;

  marks(): object {
    return { isLeader: this.isLeader, highWaterMark: 10 };
  }

  compaction(): object {
    return { orderedTo: 0, limit: 10, hasOrder: this.hasOrder };
  }

  dataEndBelow(offset: number): number {
    return offset;
  }

  compact(input: unknown): void {
    this.ordered.push(input);
  }
}

function look(led: Led, config: object = {}, now: object = {}, driver = new CompactionDriver()) {
  driver.look(led as unknown as Replica, { ...COMPACTED, ...config }, { ...NOW, ...now });
  return led.ordered;
}

it('has a leader compact what is sealed', () => {
  expect(look(new Led())).toEqual([{ upTo: 5, wallMs: 5_000, tombstonesKeptMs: 70 }]);
});

it.each([
  { name: 'a topic that is not compacted', config: { cleanup: 'delete' } },
  { name: 'a replica that does not lead', led: { isLeader: false } },
  { name: 'a clock that is not trusted', now: { isClockTrusted: false } },
  { name: 'a pass that is under way, or waits', led: { hasOrder: true } },
])('orders nothing for $name', ({ config, led, now }) => {
  expect(look(Object.assign(new Led(), led), config, now)).toEqual([]);
});

it('asks for nothing new where too little is dirty, and tombstones may go all the same', () => {
  const config = { compactionLagMinMs: 10 };
  expect(look(new Led(), config)).toEqual([{ upTo: 0, wallMs: 5_000, tombstonesKeptMs: 70 }]);
});

it('counts ages from when a replica first had them, though another led then', () => {
  const driver = new CompactionDriver();
  const led = Object.assign(new Led(), { isLeader: false });
  const config = { compactionLagMinMs: 100, compactionLagMaxMs: 300, compactionDirtyPercent: 100 };
  look(led, config, { monotonicMs: 1_000 }, driver);
  led.isLeader = true;
  look(led, config, { monotonicMs: 1_099 }, driver);
  look(led, { ...config, compactionDirtyPercent: 10 }, { monotonicMs: 1_100 }, driver);
  look(led, config, { monotonicMs: 1_299 }, driver);
  look(led, config, { monotonicMs: 1_300 }, driver);
  expect(led.ordered).toMatchObject([{ upTo: 0 }, { upTo: 5 }, { upTo: 5 }, { upTo: 10 }]);
});
