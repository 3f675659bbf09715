/** Of `broker/storage`: what a disk may be believed, and when. */
import { type Mutation, seedsTo } from './types.ts';

const RECOVERY = 'broker/storage/recovery.ts';
const PARTITION_LOG = 'broker/storage/partition-log.ts';
const SESSION = 'broker/storage/session.ts';

export const STORAGE: readonly Mutation[] = [
  {
    id: 'ack-before-write',
    rule: 'P2',
    what: 'an append is answered before its write has returned',
    edits: [
      {
        file: PARTITION_LOG,
        find: '      await this.#layout.active.append(frames, headers);\n',
        replace:
          '      for (const append of batch) append.resolve();\n      await this.#layout.active.append(frames, headers);\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/partition-log.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
  },
  {
    id: 'write-error-forgotten',
    rule: 'P3',
    what: 'a broker goes on after an I/O error',
    edits: [
      {
        file: PARTITION_LOG,
        find: 'if (this.#failure !== null || isShortage(error)) return;',
        replace: 'if (this.#failure !== null || !isShortage(error)) return;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/full-disk.test.ts' }],
  },
  {
    id: 'no-flush',
    rule: 'P3',
    what: 'written data is never synced in the background',
    edits: [
      {
        file: 'broker/storage/flusher.ts',
        find: 'if (isDue && !this.#flushing.has(log)) void this.#flush(log, dirt);',
        replace: 'if (isDue && this.#flushing.has(log)) void this.#flush(log, dirt);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/flusher.test.ts' }],
  },
  {
    id: 'foreign-directory-believed',
    rule: 'P4',
    what: 'a session file of another directory is believed',
    edits: [
      {
        file: SESSION,
        find: 'if (session.directoryId !== meta.directoryId)',
        replace: "if (session.directoryId === '')",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/session.test.ts' }],
  },
  {
    id: 'foreign-mount-believed',
    rule: 'P4',
    what: 'a copied or restored volume passes for the one that was written',
    edits: [
      {
        file: SESSION,
        find: 'if (difference !== null) return lossy(',
        replace: "if (difference === '') return lossy(",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/session.test.ts' }],
  },
  {
    id: 'warm-after-reboot',
    rule: 'P5',
    what: 'a start in another boot of the kernel passes for warm',
    edits: [
      {
        file: SESSION,
        find: 'if (session.bootId !== now.bootId)',
        replace: "if (session.bootId === '')",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/session.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
  },
  {
    id: 'clean-flag-of-anybody',
    rule: 'P5',
    what: 'the clean flag of an earlier incarnation is believed',
    edits: [
      {
        file: SESSION,
        find: 'cleanFlag?.directoryId === meta.directoryId && cleanFlag.brokerEpoch === session.brokerEpoch;',
        replace: 'cleanFlag?.directoryId === meta.directoryId;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/session.test.ts' }],
  },
  {
    id: 'clean-flag-kept',
    rule: 'P5',
    what: 'the clean flag stays when a new incarnation begins',
    edits: [
      {
        file: 'broker/storage/disk.ts',
        find: "      await this.#volume.control.remove(this.#path('clean'));\n",
        replace: '',
      },
    ],
    caughtBy: [],
    coveredBy:
      'P5: the flag names its broker epoch, and a start believes that of its own session alone (`clean-flag-of-anybody`)',
  },
  {
    id: 'missing-checkpoint-believed',
    rule: 'P5',
    what: 'a directory without its checkpoint is believed',
    edits: [
      {
        file: SESSION,
        find: "if (checkpoint !== 'whole') return",
        replace: "if (checkpoint !== 'whole' && meta.clusterId === '') return",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/session.test.ts' }],
  },
  {
    id: 'no-sync-before-exposure',
    rule: 'P6',
    what: 'what a start shows again is not synced first',
    edits: [
      {
        file: RECOVERY,
        find: '    for (const segment of this.#segments) await segment.sync(segment === active);\n',
        replace: '',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/power-loss.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
    inGate: true,
  },
  {
    id: 'point-not-lowered-before-cut',
    rule: 'docs/rules.md#restart-classes',
    what: 'a cut leaves the recovery point above it',
    edits: [
      {
        file: 'broker/storage/checkpoint.ts',
        find: 'syncedOffset: Math.min(line.syncedOffset, endOffset),',
        replace: 'syncedOffset: line.syncedOffset,',
      },
      {
        file: PARTITION_LOG,
        find: '    this.#marks.take(planned);\n',
        replace:
          '    this.#marks.take(planned);\n    this.#marks.syncedOffset = Math.min(planned.syncedOffset, endOffset);\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/power-loss.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
    inGate: true,
  },
  {
    id: 'cut-not-journalled',
    rule: 'docs/rules.md#restart-classes',
    what: 'a cut is carried out before the checkpoint with the lower recovery point is synced',
    edits: [
      {
        file: PARTITION_LOG,
        find: '      // vouch for bytes that are gone.\n      await this.#context.checkpoint.sync();\n',
        replace: '      // vouch for bytes that are gone.\n',
      },
    ],
    caughtBy: [{ simulator: 'storage', seeds: seedsTo(25) }],
  },
  {
    id: 'cut-not-synced',
    rule: 'docs/rules.md#restart-classes',
    what: 'a cut is answered before it is synced',
    edits: [
      {
        file: PARTITION_LOG,
        find: '      await steps.carryOut();\n      await this.#syncAll();\n',
        replace: '      await steps.carryOut();\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/power-loss.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
  },
  {
    id: 'damage-cut-silently',
    rule: 'P9',
    what: 'whatever fails a checksum is cut without a word',
    edits: [
      {
        file: RECOVERY,
        find: 'await this.#cut(segment, stop.position, isTorn ? null : stop.reason);',
        replace: 'await this.#cut(segment, stop.position, isTorn || !isTorn ? null : stop.reason);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/recovery.test.ts' }],
  },
  {
    id: 'short-log-believed',
    rule: 'P9',
    what: 'a log that ends before what its checkpoint names is believed',
    edits: [
      {
        file: RECOVERY,
        find: '    await this.#checkEnd(endOffset);\n',
        replace: '    await this.#checkEnd(Infinity);\n',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/what-must-be-there.test.ts' }],
  },
  {
    id: 'epochs-not-checkpointed',
    rule: 'rule 4',
    what: 'the epochs below the recovery point are lost with a crash',
    edits: [
      {
        file: RECOVERY,
        find: '({ startOffset }) => startOffset < scanFrom);',
        replace: '({ startOffset }) => startOffset < 0);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/storage/recovery.test.ts' },
      { simulator: 'storage', seeds: seedsTo(25) },
    ],
  },
  {
    id: 'lost-beginning-forgotten',
    rule: 'P7',
    what: 'a log that lost its beginning takes what is left for all there ever was',
    edits: [
      {
        file: RECOVERY,
        find: '      retiredTo: this.#retiredTo,\n',
        replace: '      retiredTo: Math.max(this.#retiredTo, this.#startOffset),\n',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/disks.test.ts',
        title: 'a log without its beginning',
      },
      { level: 'unit', file: 'test/unit/broker/storage/recovery.test.ts' },
    ],
  },
  {
    id: 'retirement-not-journalled',
    rule: 'docs/rules.md#retention',
    what: 'files are removed before the new log start is journalled',
    edits: [
      {
        file: PARTITION_LOG,
        find: '        await this.#context.checkpoint.sync();\n        await this.#removeRetired();\n',
        replace: '        await this.#removeRetired();\n',
      },
    ],
    caughtBy: [{ simulator: 'storage', seeds: seedsTo(25) }],
  },
  {
    id: 'shortage-condemns',
    rule: 'P3',
    what: 'a full disk is taken for a broken one',
    edits: [
      {
        file: PARTITION_LOG,
        find: 'if (this.#failure !== null || isShortage(error)) return;',
        replace: 'if (this.#failure !== null) return;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/disks.test.ts',
        title: 'condemns no follower (0 bytes free)',
      },
      { level: 'unit', file: 'test/unit/broker/storage/full-disk.test.ts' },
    ],
  },
  {
    id: 'vanished-folder-not-missed',
    rule: 'P9',
    what: 'a log that is gone, folder and all, is taken for an empty one',
    edits: [
      {
        file: 'broker/storage/recovery.ts',
        find: '    await this.#checkEnd(endOffset);\n',
        replace: '    await this.#checkEnd(Infinity);\n',
      },
      {
        file: 'broker/storage/recovery.ts',
        find: 'if (chain.damage !== null) await',
        replace: "if (chain.damage !== null && folder === '') await",
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/disks.test.ts',
        title: 'a folder that vanished while its broker was down',
      },
    ],
  },
  {
    id: 'deleted-line-outlives',
    rule: 'P5',
    what: 'the line of a deleted partition outlives its files',
    edits: [
      {
        file: 'broker/storage/disk.ts',
        find: '      this.#checkpoint.beginDelete(key);\n      await this.#checkpoint.sync();\n',
        replace: '',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/disks.test.ts',
        title: 'a topic that was deleted',
      },
    ],
  },
];
