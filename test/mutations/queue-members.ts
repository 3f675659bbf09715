/** Of the client's side of queues. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'docs/rules.md#queues';
const LEASES = 'client/queue/holder/leases.ts';
const UNIT: Catcher = {
  level: 'unit',
  file: 'test/unit/client/queue/holder/holder.test.ts',
};

export const QUEUE_MEMBERS: readonly Mutation[] = [
  {
    id: 'settled-after-the-own-lease',
    rule: RULE,
    what: 'a member settles a record whose lease is over by its own clock',
    edits: [
      {
        file: LEASES,
        find: '    if (entry === undefined || nowMs >= entry.untilMs) this.lose(lease, null);\n    else if (entry.settlement === null) entry',
        replace:
          '    if (entry === undefined) this.lose(lease, null);\n    else if (entry.settlement === null) entry',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'said-once',
    rule: RULE,
    what: 'what was not answered is not said again on the next stream',
    edits: [
      {
        file: LEASES,
        find: '      pending.notBeforeMs = 0;\n      this.#queue(pending);',
        replace: '      pending.notBeforeMs = 0;',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'credit-counts-twice',
    rule: RULE,
    what: 'a new stream is told what may be leased at all, not what is free',
    edits: [
      {
        file: LEASES,
        find: 'const records = Math.max(1, recordsMax - this.#entries.size);',
        replace: 'const records = recordsMax;',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'extended-from-the-second-time',
    rule: RULE,
    what: 'an extension that was sent twice counts from the second time',
    edits: [
      {
        file: LEASES,
        find: "outcome.kind === 'done') this.#began(entry, sentMs);",
        replace: "outcome.kind === 'done') this.#began(entry, pending.sentMs ?? sentMs);",
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'begun-after-the-grace',
    rule: RULE,
    what: 'a member without a stream begins what a broker may have handed to others',
    edits: [
      {
        file: 'client/queue/holder/holder.ts',
        find: 'return !this.#isGraceOver(nowMs) && !this.#leases.isDoubtful(lease);',
        replace: 'return nowMs > 0 && !this.#leases.isDoubtful(lease);',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'no-doubt-after-the-grace',
    rule: RULE,
    what: 'a member that comes back after the grace does not ask for what it has',
    edits: [
      {
        file: 'client/queue/holder/holder.ts',
        find: 'if (this.#isGraceOver(nowMs)) this.#leases.doubt(nowMs);',
        replace: '',
      },
    ],
    caughtBy: [UNIT],
  },
];
