/** Of logs that are made to begin later. */
import type { Mutation } from './types.ts';

const RULE = 'docs/rules.md#trims';
const SIMULATOR = {
  level: 'sim',
  file: 'test/sim/replication/replication.test.ts',
  title: 'begins where somebody was told',
} as const;
const CORE = { level: 'unit', file: 'test/unit/broker/replication/trims.test.ts' } as const;
const RECOVERY = {
  level: 'unit',
  file: 'test/unit/broker/storage/recovery.test.ts',
  title: 'a trim',
} as const;
const READER = {
  level: 'unit',
  file: 'test/unit/broker/runtime/partitions/read-position.test.ts',
} as const;
const LOG = 'broker/replication/log.ts';

export const TRIMS: readonly Mutation[] = [
  {
    id: 'trim-answered-before-commit',
    rule: RULE,
    what: 'a trim is answered once the leader alone has written it',
    edits: [
      {
        file: 'broker/replication/leader.ts',
        find: "this.#appends.add(requestId, 'all', placed);",
        replace: "this.#appends.add(requestId, 'leader', placed);",
      },
    ],
    caughtBy: [SIMULATOR],
  },
  {
    id: 'trim-followed-by-leaders-alone',
    rule: RULE,
    what: 'a follower takes no note of a trim that it is sent',
    edits: [
      {
        file: LOG,
        find: 'this.#noteControl(header.baseOffset, header);',
        replace: 'this.compactions.note(header.baseOffset, header.compaction);',
      },
    ],
    caughtBy: [SIMULATOR],
  },
  {
    id: 'trim-forgotten-by-a-start',
    rule: RULE,
    what: 'a start takes no note of the trims that stand in its log',
    edits: [{ file: LOG, find: 'new Trims(state.controls)', replace: 'new Trims()' }],
    caughtBy: [SIMULATOR, CORE],
  },
  {
    id: 'trim-shown-undecided',
    rule: RULE,
    what: 'readers see what a trim that is not committed may have taken',
    edits: [
      {
        file: 'broker/replication/trims.ts',
        find: 'for (const { trimTo } of this.#waiting) most = Math.max(most, trimTo);',
        replace: '',
      },
    ],
    caughtBy: [SIMULATOR, CORE],
  },
  {
    id: 'trim-kept-after-a-cut',
    rule: RULE,
    what: 'a trim that was cut off with the end of a log still takes effect',
    edits: [{ file: LOG, find: 'this.trims.truncate(endOffset);', replace: '' }],
    caughtBy: [SIMULATOR],
  },
  {
    id: 'trim-not-journalled',
    rule: RULE,
    what: 'the journal names no trim below the recovery point',
    edits: [
      {
        file: 'broker/storage/log-marks.ts',
        find: 'controls: layout.controlsBelow(this.syncedOffset),',
        replace: 'controls: [],',
      },
    ],
    caughtBy: [RECOVERY],
  },
  {
    id: 'trim-journalled-after-a-cut',
    rule: RULE,
    what: 'the journal names a trim that was cut off, once something else stands there',
    edits: [
      {
        file: 'broker/storage/control-marks.ts',
        find: 'if (!this.#trims.every(isBelow))',
        replace: 'if (this.#trims.length < 0)',
      },
    ],
    caughtBy: [RECOVERY],
  },
  {
    id: 'trim-read-undecided',
    rule: RULE,
    what: 'a position below a trim that is not committed is served',
    edits: [
      {
        file: 'broker/runtime/partitions/read-position.ts',
        find: 'if (offset < status.undecidedTo) {',
        replace: 'if (offset < 0) {',
      },
    ],
    caughtBy: [READER],
  },
];
