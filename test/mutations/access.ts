/** Of who may do what. */
import type { Mutation } from './types.ts';

const RULES = 'broker/access/rules.ts';
const PATTERNS = 'broker/access/patterns.ts';
const PRINCIPALS = 'broker/access/principals.ts';
const JUDGE = { level: 'unit', file: 'test/unit/broker/access/rules.test.ts' } as const;
const NAMES = { level: 'unit', file: 'test/unit/broker/access/principals.test.ts' } as const;

const KNOWS = 'broker/doors/authenticator.ts';
const AGAIN = 'broker/runtime/controller/judged-requests.ts';
const AUTH = { level: 'unit', file: 'test/unit/broker/doors/authenticator.test.ts' } as const;
const CONTROLLER = {
  level: 'unit',
  file: 'test/unit/broker/runtime/controller/judged-requests.test.ts',
} as const;

const BUCKET = 'broker/access/token-bucket.ts';
const HOLD = 'broker/doors/stream-hold.ts';
const THROTTLE = 'broker/doors/throttle.ts';
const BUCKETS = { level: 'unit', file: 'test/unit/broker/access/token-bucket.test.ts' } as const;
const HOLDS = { level: 'unit', file: 'test/unit/broker/doors/stream-hold.test.ts' } as const;
const QUOTAS = { level: 'unit', file: 'test/unit/broker/doors/throttle.test.ts' } as const;

const SHARES = 'broker/access/fair-shares.ts';
const FAIR = { level: 'unit', file: 'test/unit/broker/access/fair-shares.test.ts' } as const;
const SESSIONS = {
  level: 'unit',
  file: 'test/unit/broker/service/produce-session.test.ts',
} as const;

export const ACCESS: readonly Mutation[] = [
  {
    id: 'any-operation-allows-all',
    rule: 'docs/rules.md#access',
    what: 'a rule for one operation allows every other',
    edits: [
      {
        file: RULES,
        find: ': operations.includes(operation);',
        replace: ': operations.length > 0;',
      },
    ],
    caughtBy: [JUDGE],
    inGate: true,
  },
  {
    id: 'describe-is-not-implied',
    rule: 'docs/rules.md#access',
    what: 'whoever may append to a topic may not learn that it is there',
    edits: [
      {
        file: RULES,
        find: "operation === 'describe' ? operations.length > 0 : ",
        replace: '',
      },
    ],
    caughtBy: [JUDGE],
  },
  {
    id: 'exact-texts-are-beginnings',
    rule: 'docs/rules.md#access',
    what: 'an exact text stands for all that begin with it',
    edits: [
      {
        file: PATTERNS,
        find: "const isBeginning = pattern.endsWith('*');",
        replace: 'const isBeginning = true;',
      },
      {
        file: PATTERNS,
        find: 'isBeginning ? pattern.slice(0, -1) : pattern',
        replace: "pattern.replace(/[*]$/, '')",
      },
    ],
    caughtBy: [JUDGE],
    inGate: true,
  },
  {
    id: 'kinds-not-told-apart',
    rule: 'docs/rules.md#access',
    what: 'a rule for a topic allows the same on a producer of that name',
    edits: [
      {
        file: RULES,
        find: 'this.#byKind.get(kind)?.of(name) ?? []',
        replace: '[...this.#byKind.values()].flatMap((names) => names.of(name))',
      },
    ],
    caughtBy: [JUDGE],
  },
  {
    id: 'two-spiffe-ids',
    rule: 'docs/rules.md#access',
    what: 'of a certificate that names two workloads the first one counts',
    edits: [{ file: PRINCIPALS, find: 'ids.length === 1 && ', replace: '' }],
    caughtBy: [NAMES],
  },
  {
    id: 'accounts-of-any-issuer',
    rule: 'docs/rules.md#access',
    what: 'an issuer that is not Kubernetes may name accounts of pods',
    edits: [{ file: PRINCIPALS, find: 'alias === KUBERNETES_ALIAS && ', replace: '' }],
    caughtBy: [NAMES],
    inGate: true,
  },
  {
    id: 'controller-trusts-the-door',
    rule: 'docs/rules.md#access',
    what: 'the controller carries out what another broker has judged, without judging again',
    edits: [
      {
        file: AGAIN,
        find: "principal === '' || isHarmless",
        replace: "principal !== '\u0000' || isHarmless",
      },
    ],
    caughtBy: [CONTROLLER],
    inGate: true,
  },
  {
    id: 'tokens-of-any-audience',
    rule: 'docs/rules.md#access',
    what: 'a token that was made for another cluster is taken',
    edits: [
      { file: KNOWS, find: '        issuer,\n        audience,\n', replace: '        issuer,\n' },
    ],
    caughtBy: [AUTH],
    inGate: true,
  },
  {
    id: 'debts-are-forgiven',
    rule: 'docs/rules.md#quotas',
    what: 'what is taken beyond a quota is not paid afterwards',
    edits: [
      {
        file: BUCKET,
        find: 'this.#level -= amount * 1000;',
        replace: 'this.#level = Math.max(0, this.#level - amount * 1000);',
      },
    ],
    caughtBy: [BUCKETS, QUOTAS],
    inGate: true,
  },
  {
    id: 'streams-begin-anew',
    rule: 'docs/rules.md#quotas',
    what: 'whoever is over a quota opens another stream, and is read at once',
    edits: [
      {
        file: HOLD,
        find: '    this.#look();\n    return result;',
        replace: '    return result;',
      },
    ],
    caughtBy: [HOLDS, QUOTAS],
  },
  {
    id: 'held-streams-have-room',
    rule: 'docs/rules.md#quotas',
    what: 'a reader that is over its quota is given more as fast as it reads',
    edits: [
      {
        file: HOLD,
        find: 'return hasRoom && this.#heldSinceMs === null;',
        replace: 'return hasRoom;',
      },
    ],
    caughtBy: [HOLDS, QUOTAS],
  },
  {
    id: 'quotas-by-a-clients-word',
    rule: 'docs/rules.md#quotas',
    what: 'where nobody is asked, whoever names another principal has another quota',
    edits: [
      {
        file: THROTTLE,
        find: 'return isAsking ? limited : unnamed(limited);',
        replace: 'return limited;',
      },
    ],
    caughtBy: [QUOTAS],
    inGate: true,
  },
  {
    id: 'refused-calls-are-counted',
    rule: 'docs/rules.md#quotas',
    what: 'a caller that is refused owes for it, and is refused for longer with each try',
    edits: [
      {
        file: THROTTLE,
        find: '    if (waitMs > Math.min(WAIT_MS_MAX,',
        replace:
          '    if (waitMs > 0) this.#take(principal, name, amount);\n    if (waitMs > Math.min(WAIT_MS_MAX,',
      },
    ],
    caughtBy: [QUOTAS],
  },
  {
    id: 'streams-outlive-their-token',
    rule: 'docs/rules.md#access',
    what: 'a stream goes on when the token or certificate by which it was let in is over',
    edits: [
      {
        file: 'broker/doors/door.ts',
        find: 'if (known.untilMs === null) return;',
        replace: 'if (known.untilMs !== Infinity) return;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/doors/door.test.ts' }],
    inGate: true,
  },
  {
    id: 'given-takes-all',
    rule: 'docs/rules.md#access',
    what: 'LogAccess resources take back what a person granted',
    edits: [
      {
        file: 'broker/metadata/controller/access.ts',
        find: 'const mayGo = isGiven ? given : before.operations;',
        replace: 'const mayGo = before.operations;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/access.test.ts' }],
  },
  {
    id: 'everybody-is-alone',
    rule: 'docs/rules.md#fair-shares',
    what: 'a producer has as much under way beside others as alone',
    edits: [
      {
        file: SHARES,
        find: 'this.#isShared = groups.size > 1;',
        replace: 'this.#isShared = false;',
      },
    ],
    caughtBy: [SESSIONS],
  },
  {
    id: 'first-batch-waits',
    rule: 'docs/rules.md#fair-shares',
    what: 'a batch larger than the window of its producer never begins',
    edits: [{ file: SHARES, find: 'flow.bytes === 0 || ', replace: '' }],
    caughtBy: [FAIR, SESSIONS],
  },
  {
    id: 'stuck-batch-counts',
    rule: 'docs/rules.md#fair-shares',
    what: 'a partition that stands still holds up all others of its producers',
    edits: [{ file: SHARES, find: 'const LATE_MS = 500;', replace: 'const LATE_MS = 1e9;' }],
    caughtBy: [FAIR, SESSIONS],
  },
];
