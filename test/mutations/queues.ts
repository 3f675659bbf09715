/** Of queues. */
import { type Catcher, type Mutation, seedsTo } from './types.ts';

const RULE = 'docs/rules.md#queues';
const FOLDER = 'broker/queues';
const CORE = `${FOLDER}/queue-partition.ts`;
const WINDOW = `${FOLDER}/window.ts`;
const DEATHS = `${FOLDER}/deaths.ts`;
const PROGRESS = `${FOLDER}/progress.ts`;
const JUDGE = `${FOLDER}/judge.ts`;
const DRAFT = `${FOLDER}/draft.ts`;

const STEPS: Catcher = {
  level: 'unit',
  file: 'test/unit/broker/queues/queue-partition.test.ts',
};
const DEATHS_STEPS: Catcher = { level: 'unit', file: 'test/unit/broker/queues/deaths.test.ts' };
const seeds = (last: number): Catcher => ({ simulator: 'queues', seeds: seedsTo(last) });

export const QUEUES: readonly Mutation[] = [
  {
    id: 'accepted-before-it-is-committed',
    rule: RULE,
    what: 'an acknowledgement is answered before its batch is committed',
    edits: [
      {
        file: CORE,
        find: "draft.answers.push({ requestId, reply: { kind: 'acknowledged', outcomes } });",
        replace: "this.#reply(requestId, { kind: 'acknowledged', outcomes });",
      },
    ],
    caughtBy: [seeds(20)],
    inGate: true,
  },
  {
    id: 'leases-of-a-limit-in-memory',
    rule: RULE,
    what: 'a queue with a limit of deliveries hands out before it commits',
    edits: [
      {
        file: CORE,
        find: 'return this.#config.isKeyOrdered || this.#config.deliveriesMax > 0;',
        replace: 'return this.#config.isKeyOrdered;',
      },
    ],
    caughtBy: [seeds(20), STEPS],
    inGate: true,
  },
  {
    id: 'uncounted-deliveries',
    rule: RULE,
    what: 'a record that is handed out again has the number of before',
    edits: [
      {
        file: CORE,
        find: 'const deliveries = entry.deliveries + 1;',
        replace: 'const deliveries = Math.max(1, entry.deliveries);',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'one-delivery-too-many',
    rule: RULE,
    what: 'a record is handed out once more than its limit',
    edits: [
      {
        file: WINDOW,
        find: 'entry.deliveries < deliveriesMax',
        replace: 'entry.deliveries <= deliveriesMax',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'leases-of-another-record',
    rule: RULE,
    what: 'an acknowledgement counts for the record of another epoch',
    edits: [
      {
        file: JUDGE,
        find: "if (entry.epoch !== epoch) return lost(acknowledgement, 'is another record by now');",
        replace: '',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'leases-of-another-member',
    rule: RULE,
    what: 'a member settles the lease of another',
    edits: [
      {
        file: JUDGE,
        find: 'if (entry.holder !== null && entry.holder !== parts.memberId)',
        replace: 'if (entry.holder === null && entry.holder !== parts.memberId)',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'a-key-with-two',
    rule: RULE,
    what: 'a record is handed out while an earlier one of its key is open',
    edits: [{ file: WINDOW, find: '    entry.before === null &&\n', replace: '' }],
    caughtBy: [seeds(20), STEPS],
    inGate: true,
  },
  {
    id: 'keys-that-were-not-read-again',
    rule: RULE,
    what: 'a new owner hands out what stands above records whose keys it does not know',
    edits: [
      {
        file: WINDOW,
        find: 'const end = this.#tails === null ? Infinity : this.#unknownFrom();',
        replace: 'const end = Infinity;',
      },
    ],
    caughtBy: [seeds(300)],
  },
  {
    id: 'leases-end-with-their-owner',
    rule: RULE,
    what: 'a new owner hands out at once what is leased',
    edits: [
      {
        file: CORE,
        find: "if (entry.kind === 'leased') entry.endsMs = this.#leaseEndMs;",
        replace: '',
      },
    ],
    caughtBy: [seeds(20)],
    inGate: true,
  },
  {
    id: 'sleep-ends-leases',
    rule: RULE,
    what: 'time that an owner slept ends leases',
    edits: [
      {
        file: CORE,
        find: 'this.#nowMs += Math.min(passedMs, 2 * TICK_MS);',
        replace: 'this.#nowMs += passedMs;',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'delays-that-are-over-at-once',
    rule: RULE,
    what: 'a delayed record is handed out before its time',
    edits: [
      {
        file: CORE,
        find: 'if (entry.dueMs > this.#wallMs) return;',
        replace: 'if (entry.dueMs > this.#wallMs + 60_000) return;',
      },
    ],
    caughtBy: [seeds(20), STEPS],
  },
  {
    id: 'cuts-that-are-not-stored',
    rule: RULE,
    what: 'what an election cut off is forgotten in memory and not in the log',
    edits: [{ file: PROGRESS, find: 'const cut = this.#cut;\n', replace: 'const cut = null;\n' }],
    caughtBy: [seeds(120)],
    inGate: true,
  },
  {
    id: 'cuts-of-a-lost-batch',
    rule: RULE,
    what: 'a cut is forgotten with the batch that was to store it',
    edits: [
      {
        file: PROGRESS,
        find: 'if (cut !== null) this.#cut = Math.min(this.#cut ?? Infinity, cut);',
        replace: 'void cut;',
      },
    ],
    caughtBy: [seeds(1_000)],
  },
  {
    id: 'cut-to-the-other-side-alone',
    rule: RULE,
    what: 'where logs part, only where the epoch ends at the leader counts',
    edits: [
      {
        file: PROGRESS,
        find: 'const offset = Math.min(end, later?.[0] ?? Infinity);',
        replace: 'const offset = Math.min(end, later === undefined ? end : Infinity);',
      },
    ],
    caughtBy: [seeds(300)],
  },
  {
    id: 'epochs-that-begin-with-a-record',
    rule: RULE,
    what: 'an epoch is taken to begin where its first record stands',
    edits: [
      {
        file: PROGRESS,
        find: '      this.#enter(epoch);\n      this.#frontier = offset + 1;',
        replace:
          '      this.#frontier = offset;\n      this.#enter(epoch);\n      this.#frontier = offset + 1;',
      },
    ],
    caughtBy: [seeds(500)],
  },
  {
    id: 'letters-found-and-written-again',
    rule: RULE,
    what: 'a dead letter that is found in its target is appended once more',
    edits: [
      {
        file: DEATHS,
        find: "for (const dying of found) dying.end = 'buried';",
        replace: 'void found;',
      },
    ],
    caughtBy: [seeds(120)],
    inGate: true,
  },
  {
    id: 'letters-left-where-the-end-was-cut',
    rule: RULE,
    what: 'another target is chosen while a late frame may still be appended to the first',
    edits: [
      {
        file: DEATHS,
        find: 'if (isBegin) this.#leaveTarget(offsets);',
        replace: 'if (isBegin || from >= 0) this.#leaveTarget(offsets);',
      },
    ],
    caughtBy: [DEATHS_STEPS],
  },
  {
    id: 'letters-to-an-uncommitted-target',
    rule: RULE,
    what: 'a dead letter is appended before its target is committed',
    edits: [
      {
        file: DEATHS,
        find: '        this.#choice = { offsets, target: result.target };',
        replace:
          '        for (const dying of [...this.#dying.values()].filter(({ entry }) => offsets.includes(entry.offset))) Object.assign(dying, { value: { ...dying.value, target: result.target }, isAstray: false });',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'snapshots-without-the-dying',
    rule: RULE,
    what: 'a snapshot leaves out where dead letters may be',
    edits: [
      {
        file: DRAFT,
        find: 'if (isFull) for (const [offset, { value }] of parts.dying) dying.set(offset, value);',
        replace: '',
      },
    ],
    caughtBy: [seeds(120)],
  },
  {
    id: 'retired-and-never-told',
    rule: RULE,
    what: 'what is gone from the log waits for ever',
    edits: [
      {
        file: CORE,
        find: 'if (entry.isMissing || (isParked && !parksKeys)) {',
        replace: 'if (isParked && !parksKeys) {',
      },
    ],
    caughtBy: [seeds(60), STEPS],
  },
  {
    id: 'an-owner-of-unknown-fate-goes-on',
    rule: RULE,
    what: 'an owner goes on after a batch of which nobody knows what became of it',
    edits: [{ file: CORE, find: 'this.#isOver ||= isUnknown;', replace: '' }],
    caughtBy: [STEPS],
  },
  {
    id: 'leases-of-before-key-order',
    rule: RULE,
    what: 'leases that were given in memory are not stored when leases begin to be',
    edits: [
      {
        file: CORE,
        find: 'if (!storedLeases && this.#storesLeases) this.#isRestating = true;',
        replace: 'void storedLeases;',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'dead-letters-go-round',
    rule: RULE,
    what: 'a topic of dead letters gets a queue with dead letters of its own',
    edits: [
      {
        file: 'broker/metadata/controller/queues.ts',
        find: 'if (other.config.deadLetterTopic === topic.name)',
        replace: 'if (other.config.deadLetterTopic === other.name)',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/queues.test.ts' }],
  },
];
