/** Of the client's side of consumer groups. */
import { type Catcher, type Mutation, seedsTo } from './types.ts';

const RULE = 'docs/rules.md#groups';
const MEMBER = 'client/group/member/member.ts';
const LEDGER = 'client/group/member/ledger.ts';

const seeds = (last: number): Catcher => ({ simulator: 'group-members', seeds: seedsTo(last) });

export const GROUP_MEMBERS: readonly Mutation[] = [
  {
    id: 'view-stated-before-let-go',
    rule: RULE,
    what: 'a member states a view as applied while it still handles what the view takes away',
    edits: [
      {
        file: MEMBER,
        find: 'if (partitions.length === 0) this.#released(epoch);',
        replace: 'this.#released(epoch);',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'lease-outlives-the-stream',
    rule: RULE,
    what: 'a member whose stream broke goes on for all of its lease, and not for the grace',
    edits: [
      { file: MEMBER, find: 'if (attached !== null)\n', replace: 'if (attached === undefined)\n' },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'no-lease',
    rule: RULE,
    what: 'a member hands out records without a lease',
    edits: [{ file: MEMBER, find: 'return nowMs < this.#leaseUntilMs;', replace: 'return true;' }],
    caughtBy: [seeds(20)],
  },
  {
    id: 'fenced-keeps-partitions',
    rule: RULE,
    what: 'a member that was fenced goes on with what it had',
    edits: [
      {
        file: MEMBER,
        find: 'this.#loseAll();\n    this.#closeAll();\n    this.#formerId',
        replace: 'this.#closeAll();\n    this.#formerId',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'sought-partition-goes-on',
    rule: RULE,
    what: 'a partition that was given anew is taken for the one that is held',
    edits: [
      {
        file: MEMBER,
        find: 'if (next.get(key)?.epoch !== held.epoch) {',
        replace: 'if (!next.has(key)) {',
      },
    ],
    caughtBy: [seeds(40)],
  },
  {
    id: 'cut-commits-are-forgotten',
    rule: RULE,
    what: 'a commit that was under way when its stream broke is taken for done',
    edits: [
      {
        file: LEDGER,
        find: 'for (const entry of this.#entries.values()) entry.sent = null;',
        replace:
          'for (const entry of this.#entries.values()) if (entry.sent !== null) entry.committed = entry.sent.offset;',
      },
    ],
    caughtBy: [seeds(40)],
  },
];
