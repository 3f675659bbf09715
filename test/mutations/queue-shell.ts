/** Of the brokers' side of queues around its core: proxies, owners' links, reading, letters. */
import { type Catcher, type Mutation, seedsTo } from './types.ts';

const RULE = 'docs/rules.md#queues';
const SERVICE = 'broker/service/queues';
const JUDGE = 'broker/queues/judge.ts';
const TESTS = 'test/unit/broker/service/queues';

const unit = (file: string): Catcher => ({ level: 'unit', file });
const SESSION = unit(`${TESTS}/queue-session.test.ts`);
const DESK = unit(`${TESTS}/queues-desk.test.ts`);
const LINK = unit(`${TESTS}/member-link.test.ts`);
const WORLD = unit(`${TESTS}/queue-world.test.ts`);
const READER = unit(`${TESTS}/queue-reader.test.ts`);
const LETTERS = unit(`${TESTS}/letters.test.ts`);
const CACHE = unit(`${TESTS}/record-cache.test.ts`);
const STEPS = unit('test/unit/broker/queues/queue-partition.test.ts');
const SEEDS: Catcher = { simulator: 'queues', seeds: seedsTo(60) };

export const QUEUE_SHELL: readonly Mutation[] = [
  {
    id: 'gone-by-a-new-leader',
    rule: RULE,
    what: 'a record counts as gone because a new leader does not know yet that it is committed',
    edits: [
      {
        file: `${SERVICE}/queue-world.ts`,
        find: 'read.frames.length === 0 ? read.highWaterMark : read.nextOffset;',
        replace: 'read.frames.length === 0 ? Infinity : read.nextOffset;',
      },
    ],
    caughtBy: [WORLD],
  },
  {
    id: 'gone-by-a-leader-of-before',
    rule: RULE,
    what: 'a leader that has not heard of a later epoch says what is gone',
    edits: [
      {
        file: `${SERVICE}/queue-world.ts`,
        find: 'const leaderEpoch = open.get(offset) ?? 0;',
        replace: 'const leaderEpoch = 0;',
      },
    ],
    caughtBy: [WORLD],
  },
  {
    id: 'searched-before-it-is-known',
    rule: RULE,
    what: 'letters are searched for while no leader vouches for the end',
    edits: [
      {
        file: `${SERVICE}/letters.ts`,
        find: "if (until === undefined) return { kind: 'failed' };",
        replace: "if (until === undefined) return { kind: 'searched', offsets, end };",
      },
    ],
    caughtBy: [LETTERS],
  },
  {
    id: 'put-back-while-unreadable',
    rule: RULE,
    what: 'a record that cannot be read now is put back, and uses up a delivery',
    edits: [
      {
        file: `${SERVICE}/leased-records.ts`,
        find: 'if (!isRetriable(error) || isOfNoUse()) return error;',
        replace: 'return error;',
      },
    ],
    caughtBy: [LINK],
  },
  {
    id: 'stale-leases-leave',
    rule: RULE,
    what: 'records that were slow to read leave with what is left of their lease',
    edits: [
      {
        file: `${SERVICE}/leased-records.ts`,
        find: 'if (!isFresh) await extend();',
        replace: 'void isFresh;',
      },
    ],
    caughtBy: [LINK],
  },
  {
    id: 'gone-given-again',
    rule: RULE,
    what: 'the owner is not told that a record is gone, and gives it again',
    edits: [
      {
        file: `${SERVICE}/member-link.ts`,
        find: 'if (gone.length > 0) owned.missing(gone);',
        replace: 'void gone;',
      },
    ],
    caughtBy: [LINK],
  },
  {
    id: 'missing-stays-leased',
    rule: RULE,
    what: 'a record that is gone stays leased',
    edits: [
      {
        file: 'broker/queues/queue-partition.ts',
        find: '      if (entry?.epoch !== epoch) continue;\n      entry.isMissing = true;',
        replace: '      if (entry?.epoch !== epoch) continue;',
      },
    ],
    caughtBy: [STEPS, SEEDS],
  },
  {
    id: 'ended-lease-has-a-delay',
    rule: RULE,
    what: 'a release of a lease that just ended is said to be so already',
    edits: [
      {
        file: JUDGE,
        find: 'return verdict.delayMs === 0 || dueMs > 0 || entry.wasDelayed;',
        replace: 'return verdict.delayMs >= 0 || dueMs > 0;',
      },
    ],
    caughtBy: [STEPS, SEEDS],
  },
  {
    id: 'last-release-twice',
    rule: RULE,
    what: 'a release at the last delivery is refused the second time',
    edits: [
      {
        file: JUDGE,
        find: "entry.wasDelayed;\n      return kind === 'dying' || kind === 'parked';",
        replace: 'entry.wasDelayed;\n      return false;',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'settled-is-extended',
    rule: RULE,
    what: 'a lease of a record that has its fate is extended',
    edits: [
      {
        file: JUDGE,
        find: "return verdict.kind === 'extend'\n      ? lost",
        replace: "return verdict.kind === ('' as string)\n      ? lost",
      },
    ],
    caughtBy: [STEPS, SEEDS],
  },
  {
    id: 'asks-stay-with-an-owner',
    rule: RULE,
    what: 'what was asked of an owner of before is asked of nobody else',
    edits: [
      { file: `${SERVICE}/queue-session.ts`, find: '    this.#leaveOwners(image);\n', replace: '' },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'settled-with-an-owner-of-before',
    rule: RULE,
    what: 'what was said of records waits for an owner of before',
    edits: [
      {
        file: `${SERVICE}/queue-session.ts`,
        find: '    this.#settler?.leaveOwners();\n',
        replace: '',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'late-records-vanish',
    rule: RULE,
    what: 'what an owner of before sends late is dropped, and not put back',
    edits: [
      {
        file: `${SERVICE}/queue-session.ts`,
        find: '      if (records.length > 0) this.#settler?.putBack(asked.partition, records);\n',
        replace: '',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'unwanted-records-vanish',
    rule: RULE,
    what: 'what comes when nobody listens, or beyond the credit, is not put back',
    edits: [
      {
        file: `${SERVICE}/queue-session.ts`,
        find: 'if (unsent.length > 0)',
        replace: 'if (unsent.length < 0)',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'unsent-counts',
    rule: RULE,
    what: 'a delivery that nobody had counts',
    edits: [
      {
        file: JUDGE,
        find: 'deliveries: delivery - 1,',
        replace: 'deliveries: delivery,',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'links-stay-broken',
    rule: RULE,
    what: 'an owner whose link broke is not told again who the member is',
    edits: [
      { file: `${SERVICE}/queue-session.ts`, find: '    this.#linkAgain(owner);\n', replace: '' },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'gone-before-the-grace',
    rule: RULE,
    what: "the member's records are handed over as soon as its stream breaks",
    edits: [
      {
        file: `${SERVICE}/queue-session.ts`,
        find: 'if (graceMs === 0) this.#gone();',
        replace: 'if (graceMs >= 0) this.#gone();',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'fenced-by-the-own-link',
    rule: RULE,
    what: 'a proxy whose link broke is fenced by that link',
    edits: [
      {
        file: `${SERVICE}/queues-desk.ts`,
        find: 'presentAttempt >= attempt && !isSame',
        replace: 'presentAttempt >= attempt && (!isSame || isSame)',
      },
    ],
    caughtBy: [DESK],
  },
  {
    id: 'older-streams-count',
    rule: RULE,
    what: 'an earlier stream takes the place of a later one at the owner',
    edits: [
      {
        file: `${SERVICE}/queues-desk.ts`,
        find: 'presentAttempt >= attempt && !isSame',
        replace: 'presentAttempt > attempt + 1_000 && !isSame',
      },
    ],
    caughtBy: [DESK],
  },
  {
    id: 'lease-time-untold',
    rule: RULE,
    what: 'members are not told that leases last another time',
    edits: [
      {
        file: `${SERVICE}/queue-session.ts`,
        find: '    this.#tellLease(queue);\n    this.#asks.grow',
        replace: '    this.#asks.grow',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'poison-stops-a-partition',
    rule: RULE,
    what: 'a batch without records stops its partition',
    edits: [
      {
        file: `${SERVICE}/open-frame.ts`,
        find: 'return { header: checkFrame(frame, 0, crc32), records: [], isUnreadable: true };',
        replace: 'throw error;',
      },
    ],
    caughtBy: [READER, WORLD, LETTERS],
  },
  {
    id: 'damage-costs-credit',
    rule: RULE,
    what: 'a damaged batch is counted with nothing that is given back',
    edits: [
      {
        file: `${SERVICE}/queue-reader.ts`,
        find: 'const [frame] = subscription.frames;',
        replace: 'const frame = subscription.frames.shift();',
      },
      {
        file: `${SERVICE}/queue-reader.ts`,
        find: '      subscription.frames.shift();\n      this.#opened',
        replace: '      this.#opened',
      },
    ],
    caughtBy: [READER],
  },
  {
    id: 'kept-with-their-batch',
    rule: RULE,
    what: 'a record in memory keeps the batch that it lies in',
    edits: [{ file: `${SERVICE}/record-cache.ts`, find: 'copyOf(record));', replace: 'record);' }],
    caughtBy: [CACHE],
  },
];
