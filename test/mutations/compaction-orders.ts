/** Of orders to compact, and of logs that lack what others have dropped. */
import type { Mutation } from './types.ts';

const RULE = 'docs/rules.md#compaction';
const SIMULATOR = {
  level: 'sim',
  file: 'test/sim/replication/replication.test.ts',
  title: 'the last value of each key',
} as const;
const CORE = { level: 'unit', file: 'test/unit/broker/replication/compaction.test.ts' } as const;
const COMPACTIONS = 'broker/replication/compactions.ts';
const LEADER = 'broker/replication/leader.ts';
const LOG = 'broker/replication/log.ts';

export const COMPACTION_ORDERS: readonly Mutation[] = [
  {
    id: 'compacted-before-commit',
    rule: RULE,
    what: 'a replica carries out what is ordered and not committed (K5)',
    edits: [
      {
        file: COMPACTIONS,
        find: 'if (baseOffset >= highWaterMark) break;',
        replace: '',
      },
    ],
    // X is committed in any case, so what goes is right; only the logs differ for a while.
    caughtBy: [CORE],
  },
  {
    id: 'compacted-before-sync',
    rule: RULE,
    what: 'a replica drops a value for the sake of one that it has not synced (K3)',
    edits: [
      {
        file: COMPACTIONS,
        find: 'if (baseOffset < syncedOffset && !isAtLeast',
        replace: 'if (!isAtLeast',
      },
    ],
    caughtBy: [CORE, SIMULATOR],
  },
  {
    id: 'compacted-further-than-synced',
    rule: RULE,
    what: 'a leader orders more than min members have synced (K3)',
    edits: [
      {
        file: COMPACTIONS,
        find: 'Math.min(ground.wanted, ground.highWaterMark, ground.syncedEnd),',
        replace: 'Math.min(ground.wanted, ground.highWaterMark),',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'tombstones-gone-for-who-lags',
    rule: RULE,
    what: 'a leader drops tombstones that a member of S has not been sent (K4)',
    edits: [
      {
        file: COMPACTIONS,
        find: '    before.agingTo <= acknowledgedEnd &&\n',
        replace: '',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'tombstones-gone-too-soon',
    rule: RULE,
    what: 'a leader drops tombstones at once (K4)',
    edits: [
      {
        file: COMPACTIONS,
        find: 'wallMs - before.agingSinceMs >= tombstonesKeptMs;',
        replace: 'wallMs >= 0;',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'served-without-tombstones',
    rule: RULE,
    what: 'a log that lacks tombstones is sent what follows (K6)',
    edits: [
      {
        file: LEADER,
        find: 'return isCut || (lastEpoch > 0 && this.#isBelowFloor(position));',
        replace: 'return isCut || lastEpoch < 0;',
      },
    ],
    caughtBy: [CORE, SIMULATOR],
  },
  {
    id: 'sent-on-without-tombstones',
    rule: RULE,
    what: 'a follower that was matched is sent on when tombstones go (K6)',
    edits: [
      {
        file: LEADER,
        find: 'if (!this.#log.compactIfDue()) return;',
        replace: 'this.#log.compactIfDue();\n    if (this.#nowMs >= 0) return;',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'copied-while-tombstones-go',
    rule: RULE,
    what: 'a copy begins while tombstones go from the log that is copied (K6)',
    edits: [
      {
        file: LEADER,
        find: 'progress.awaitsReset = !compactions.isAtFloor;',
        replace: 'progress.awaitsReset = false;',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'gutted-log-is-evidence',
    rule: RULE,
    what: 'a log that ends below what it was compacted to stays as it is (K7)',
    edits: [
      {
        file: LOG,
        find: 'if (endOffset >= this.compactions.begun.upTo) return false;',
        replace: 'if (endOffset >= 0) return false;',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'synced-said-of-a-cut-log',
    rule: RULE,
    what: 'a flush that ends beside a cut vouches for offsets that are given anew',
    edits: [{ file: LOG, find: 'if (this.#shrinkId > 0) return;', replace: '' }],
    caughtBy: [CORE],
  },
  {
    id: 'compaction-ended-by-cut',
    rule: RULE,
    what: 'a pass that a cut of the log has ended is not asked for again (K6: it drops D for good)',
    edits: [
      {
        file: COMPACTIONS,
        find: '    this.#told = NOTHING;\n    while',
        replace: '    while',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'tombstones-promised-while-they-go',
    rule: RULE,
    what: 'readers are told that tombstones are there until the pass that drops them has ended',
    edits: [
      {
        file: COMPACTIONS,
        find: 'return { orderedTo, upTo, tombstonesBelow, floor: this.floor, doneTo, limit };',
        replace:
          'return { orderedTo, upTo, tombstonesBelow, floor: tombstonesBelow, doneTo, limit };',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'deletions-forgotten-elsewhere',
    rule: RULE,
    what: 'a reader forgets that another replica, which it read before, was compacted less far',
    edits: [
      {
        file: 'client/consumer/deletions.ts',
        find: 'reader.compactedTo = Math.min(reader.compactedTo, compactedTo);',
        replace: 'reader.compactedTo = compactedTo;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/client/consumer/deletions.test.ts' }],
  },
  {
    id: 'resumed-as-new',
    rule: RULE,
    what: 'a reader that resumes counts as one that has read nothing',
    edits: [
      {
        file: 'client/consumer/partition-reader.ts',
        find: 'compactedTo: leaderEpoch === 0 ? Number.POSITIVE_INFINITY : 0,',
        replace: 'compactedTo: Number.POSITIVE_INFINITY,',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/client/consumer/deletions.test.ts' }],
  },
  {
    id: 'deletions-not-told',
    rule: RULE,
    what: 'brokers do not say how far the log is compacted that they send',
    edits: [
      {
        file: 'broker/service/fetch-session.ts',
        find: '...(deletions.compactedTo > 0 || deletions.tombstonesBelow > 0 ? deletions : {}),',
        replace: '...(deletions.compactedTo < 0 ? deletions : {}),',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/compaction.test.ts',
        title: 'is told that it may have missed deletions',
      },
    ],
  },
];
