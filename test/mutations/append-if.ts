/** Of appends that expect an end of the log. */
import type { Mutation } from './types.ts';

const LEADER = 'broker/replication/leader.ts';
const JUDGE = 'broker/replication/expected-end.ts';
const WRITER = 'broker/service/partition-writer.ts';
const CORE = { level: 'unit', file: 'test/unit/broker/replication/append-if.test.ts' } as const;
const SERVICE = {
  level: 'unit',
  file: 'test/unit/broker/service/expected-end.test.ts',
} as const;
const CALLS = {
  level: 'unit',
  file: 'test/unit/broker/service/partition-writer.test.ts',
} as const;
const LIBRARY = { level: 'unit', file: 'test/unit/client/producer/append.test.ts' } as const;

export const APPEND_IF: readonly Mutation[] = [
  {
    id: 'end-taken-by-control-batches',
    rule: 'rule 3',
    what: 'an append that expects an end is judged by the end of the log, control batches included',
    edits: [
      {
        file: JUDGE,
        find: 'const isTaken = dataEnd > offset;',
        replace: 'const isTaken = endOffset > offset;',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'end-not-looked-at',
    rule: 'rule 20',
    what: 'an append that expects an end is taken wherever the log ends',
    edits: [
      {
        file: LEADER,
        find: 'if (expectedEnd === undefined) return true;',
        replace: 'if (expectedEnd?.offset !== -1) return true;',
      },
    ],
    caughtBy: [CORE, CALLS],
  },
  {
    id: 'end-refused-before-commit',
    rule: 'rule 6',
    what: 'who expects an end is refused for a batch that may yet be cut',
    edits: [
      {
        file: LEADER,
        find: 'this.#appends.addRefusal(requestId, dataEnd, error);',
        replace: 'this.#appends.addRefusal(requestId, 0, error);',
      },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'end-judged-before-producers',
    rule: 'rule 20',
    what: 'a batch that comes again is refused, since it stands itself at the end that it expects',
    edits: [
      {
        file: LEADER,
        find: '    const check = this.#log.producers.check(header);\n',
        replace:
          '    if (!this.#isExpected(input)) return;\n    const check = this.#log.producers.check(header);\n',
      },
    ],
    caughtBy: [CORE, CALLS],
  },
  {
    id: 'end-without-its-epoch',
    rule: 'rule 21',
    what: 'the epoch beside an expected end is not compared',
    edits: [
      { file: JUDGE, find: 'if (epoch === 0 || position', replace: 'if (epoch >= 0 || position' },
    ],
    caughtBy: [CORE],
  },
  {
    id: 'end-lost-on-the-way',
    rule: 'rule 20',
    what: 'a broker hands on a call without the end that it expects',
    edits: [
      {
        file: 'broker/service/produce-forwarder.ts',
        find: 'expectedEnd: terms.expectedEnd,',
        replace: 'expectedEnd: undefined,',
      },
    ],
    caughtBy: [SERVICE],
  },
  {
    id: 'end-below-its-level',
    rule: 'rule 20',
    what: 'brokers take an expected end while an older leader may append in any case',
    edits: [
      {
        file: 'broker/service/expected-end.ts',
        find: '  broker.requireExpectedEnds();\n',
        replace: '',
      },
    ],
    caughtBy: [SERVICE],
  },
  {
    id: 'end-shared-by-a-batch',
    rule: 'rule 20',
    what: 'records that expect an end share a batch with others',
    edits: [{ file: WRITER, find: ' || pending.expectedEnd !== expectedEnd', replace: '' }],
    caughtBy: [CALLS],
  },
  {
    id: 'end-beside-others-in-flight',
    rule: 'rule 20',
    what: 'the library has other batches in flight beside one that expects an end',
    edits: [
      {
        file: 'client/producer/partition-queue.ts',
        find: '    if (this.#sealed[0]?.expectedEnd !== undefined) return false;\n',
        replace: '',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/client/producer/partition-queue-core.test.ts' }],
  },
  {
    id: 'end-asked-of-any-leader',
    rule: 'rule 20',
    what: 'the library states an end to leaders that may not know what it means',
    edits: [
      {
        file: 'client/cluster.ts',
        find: 'if (this.#featureLevel >= LEVEL_OF_EXPECTED_ENDS) return undefined;',
        replace: 'if (LEVEL_OF_EXPECTED_ENDS >= this.#featureLevel) return undefined;',
      },
    ],
    caughtBy: [LIBRARY],
  },
];
