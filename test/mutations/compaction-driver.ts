/** Of whole clusters that compact topics: what drives orders and passes. */
import type { Mutation } from './types.ts';

const RULE = 'docs/rules.md#compaction';
const SCENARIO = { level: 'sim', file: 'test/sim/cluster/scenarios/compaction.test.ts' } as const;
const PARTITIONS = 'broker/runtime/partitions';
const PASSES = {
  level: 'unit',
  file: 'test/unit/broker/runtime/partitions/replica-compaction.test.ts',
} as const;
const DRIVER = {
  level: 'unit',
  file: 'test/unit/broker/runtime/partitions/compaction-driver.test.ts',
} as const;

export const COMPACTION_DRIVER: readonly Mutation[] = [
  {
    id: 'compacted-on-a-wrong-clock',
    rule: RULE,
    what: 'a leader whose clock is in doubt stamps orders, by which tombstones go (K4)',
    edits: [
      {
        file: `${PARTITIONS}/compaction-driver.ts`,
        find: 'if (!isLeader || !now.isClockTrusted) return;',
        replace: 'if (!isLeader) return;',
      },
    ],
    caughtBy: [DRIVER],
  },
  {
    id: 'control-batches-are-dirt',
    rule: RULE,
    what: 'an order is a reason for the next: a topic that rests is compacted for ever',
    edits: [
      {
        file: `${PARTITIONS}/compaction.ts`,
        find: 'if (overdue > status.orderedTo && dataEndBelow(overdue) > status.orderedTo)',
        replace: 'if (overdue > status.orderedTo)',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/compaction.test.ts' },
      { ...SCENARIO, title: 'a record has waited for too long' },
    ],
  },
  {
    id: 'synced-untold-at-rest',
    rule: RULE,
    what: 'a follower says what it has synced with an acknowledgement alone (K3 waits for ever)',
    edits: [
      {
        file: 'broker/replication/follower.ts',
        find: "if (this.#phase === 'matched' && isNews) this.#state(nowMs);",
        replace: '',
      },
    ],
    caughtBy: [{ ...SCENARIO, title: 'a record has waited for too long' }],
  },
  {
    id: 'done-of-a-log-that-was-emptied',
    rule: RULE,
    what: 'a replica counts as compacted by a pass over what it held before a reset (K6)',
    edits: [
      {
        file: `${PARTITIONS}/replica-compaction.ts`,
        find: 'if (isComplete && begun.resets === this.#resets) {',
        replace: 'if (isComplete) {',
      },
    ],
    caughtBy: [PASSES],
  },
  {
    id: 'pass-ended-by-shortage',
    rule: RULE,
    what: 'a pass that lacks space is not tried again',
    edits: [
      {
        file: `${PARTITIONS}/replica-compaction.ts`,
        find: 'bytesNeeded, SHORTAGE_MS);',
        replace: 'bytesNeeded);',
      },
    ],
    caughtBy: [PASSES],
  },
  {
    id: 'merged-under-retention',
    rule: RULE,
    what: 'segments are merged of which retention takes whole ones: it keeps, or takes, too much',
    edits: [
      {
        file: `${PARTITIONS}/retention.ts`,
        find: 'if (retentionMs < 0) return { segmentBytes, segmentMs };',
        replace: 'if (retentionMs < 0) return { segmentBytes, segmentMs, mergesSegments: true };',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/retention.test.ts' }],
  },
  {
    id: 'order-outlives-a-reset',
    rule: RULE,
    what: 'a replica that was emptied tells of what was ordered before (K6)',
    edits: [
      {
        file: `${PARTITIONS}/replica.ts`,
        find: '        this.#compaction.reset();\n',
        replace: '',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/replica.test.ts' }],
  },
];
