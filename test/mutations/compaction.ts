/** Of `broker/compaction` and `broker/storage/compaction`: what may go, and when it goes. */
import type { Mutation } from './types.ts';

const PASS = 'broker/storage/compaction/log-compaction.ts';
const REPLACEMENT = 'broker/storage/compaction/segment-replacement.ts';
const SURVIVORS = 'broker/compaction/survivors.ts';
const SIMULATED = { level: 'sim', file: 'test/sim/storage/compaction.test.ts' } as const;
const JOB = { level: 'unit', file: 'test/unit/broker/compaction/job.test.ts' } as const;
const FILES = { level: 'unit', file: 'test/unit/broker/storage/compaction.test.ts' } as const;
const RULE = 'docs/rules.md#compaction';

export const COMPACTION: readonly Mutation[] = [
  {
    id: 'compaction-swapped-before-sync',
    rule: RULE,
    what: 'a rewritten segment takes the name before its bytes are synced',
    edits: [{ file: REPLACEMENT, find: '      await writer.sync();\n', replace: '' }],
    caughtBy: [{ ...SIMULATED, title: 'page cache lost' }],
  },
  {
    id: 'compaction-not-journalled',
    rule: RULE,
    what: 'records go by an order that the journal does not hold',
    edits: [{ file: PASS, find: '        await context.checkpoint.sync();\n', replace: '' }],
    caughtBy: [
      { ...SIMULATED, title: 'page cache kept' },
      { ...FILES, title: 'journals' },
    ],
  },
  {
    id: 'compaction-newest-first',
    rule: RULE,
    what: 'what masks a record goes before it',
    edits: [
      {
        file: PASS,
        find: '      for (const segment of this.#segments())\n        await this.#unlessGone(segment, () => this.#replacement.rewrite(segment));\n',
        replace:
          '      for (const segment of this.#segments().toReversed())\n        await this.#unlessGone(segment, () => this.#replacement.rewrite(segment));\n',
      },
    ],
    // The simulator of one log does not notice it.
    caughtBy: [{ ...FILES, title: 'journals' }],
  },
  {
    id: 'compaction-above-synced',
    rule: RULE,
    what: 'a replica compacts what it has not synced',
    edits: [
      {
        file: PASS,
        find: '    if (upTo > marks.syncedOffset)\n',
        replace: '    if (upTo > this.#log.layout.endOffset)\n',
      },
    ],
    caughtBy: [{ ...FILES, title: 'refuses an order' }],
  },
  {
    id: 'compaction-tombstone-too-soon',
    rule: RULE,
    what: 'a tombstone at D goes',
    edits: [
      {
        file: SURVIVORS,
        find: 'if (isTombstone && offset < order.tombstonesBelow)',
        replace: 'if (isTombstone && offset <= order.tombstonesBelow)',
      },
    ],
    caughtBy: [JOB],
  },
  {
    id: 'compaction-beyond-x',
    rule: RULE,
    what: 'a record at X masks others',
    edits: [
      {
        file: SURVIVORS,
        find: 'if (key === undefined || offset >= order.upTo) return;',
        replace: 'if (key === undefined || offset > order.upTo) return;',
      },
    ],
    caughtBy: [JOB],
  },
  {
    id: 'compaction-producers-forgotten',
    rule: 'rule 20',
    what: 'batches that a producer may repeat go with their headers',
    edits: [
      {
        file: SURVIVORS,
        find: "if (!this.#producers.isKept(baseOffset)) return 'gone';",
        replace: "if (this.#producers.isKept(baseOffset)) return 'gone';",
      },
    ],
    caughtBy: [JOB],
  },
  {
    id: 'compaction-not-read-back',
    rule: RULE,
    what: 'a batch that lost a record too many passes the comparison',
    edits: [
      {
        file: 'broker/compaction/segment-comparison.ts',
        find: 'const difference = access.difference(old, fresh, (offset) => !survivors.isDead(offset));',
        replace: 'const difference = access.difference(old, old, () => true);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/compaction/segment-comparison.test.ts' }],
  },
  {
    id: 'merge-not-journalled',
    rule: RULE,
    what: 'segments that were merged are left over, and a start does not know them',
    edits: [
      {
        file: REPLACEMENT,
        find: '    marks.merging = { baseOffset, endOffset };\n',
        replace: '',
      },
    ],
    caughtBy: [{ ...SIMULATED, title: 'page cache kept' }],
  },
  {
    id: 'merged-gone-before-the-name',
    rule: RULE,
    what: 'segments go before the name of the one that holds their records is durable',
    edits: [
      {
        file: REPLACEMENT,
        find: '    await volume.syncFolder(folder);\n    if (others.length > 0)',
        replace: '    if (others.length > 0)',
      },
    ],
    caughtBy: [{ ...SIMULATED, title: 'page cache lost' }],
  },
  {
    id: 'merged-above-x',
    rule: RULE,
    what: 'segments are merged that no order was carried out on',
    edits: [
      { file: PASS, find: 'segment.endOffset <= compacted.doneTo,', replace: 'segment.bytes > 0,' },
    ],
    caughtBy: [{ ...FILES, title: 'merges' }],
  },
  {
    id: 'gap-served-whole',
    rule: RULE,
    what: 'a follower inside a gap is served a frame that does not follow on its log',
    edits: [
      {
        file: 'broker/storage/log-reads.ts',
        find: 'if (first === undefined || frameBaseOffset(first, 0) >= fromOffset) return read;',
        replace: 'if (first === undefined || frameBaseOffset(first, 0) >= 0) return read;',
      },
    ],
    caughtBy: [{ ...FILES, title: 'cut one' }],
  },
];
