/** Of what the operator decides. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'docs/rules.md#careful-operator';
const stranger = (title: string): Catcher => ({
  level: 'sim',
  file: 'test/sim/operator/strangers.test.ts',
  title,
});

const played = (title: string): Catcher => ({
  level: 'sim',
  file: 'test/sim/operator/kills.test.ts',
  title,
});
const CERTIFICATES: Catcher = {
  level: 'unit',
  file: 'test/unit/operator/decide/certificates.test.ts',
};

const WRONG_CLOCKS: Catcher = {
  level: 'unit',
  file: 'test/unit/operator/decide/wrong-clocks.test.ts',
};
const ISSUED: Catcher = { level: 'unit', file: 'test/unit/operator/decide/issued.test.ts' };
const TO_TLS: Catcher = { level: 'unit', file: 'test/unit/operator/decide/to-tls.test.ts' };
const ACCESS = 'operator/decide/access.ts';
const GIVEN: Catcher = { level: 'unit', file: 'test/unit/operator/decide/access.test.ts' };

export const OPERATOR: readonly Mutation[] = [
  {
    id: 'budget-of-a-held-up-roll',
    rule: RULE,
    what: 'the budget stays shut for a roll that a pause or a spec at fault holds up',
    edits: [
      {
        file: 'operator/decide/decide.ts',
        find: 'const underWay = step === NOTHING ? null : (disruption ?? before);',
        replace: 'const underWay = disruption ?? before;',
      },
    ],
    caughtBy: [
      stranger('drains while a roll is paused'),
      { level: 'unit', file: 'test/unit/operator/decide/drain.test.ts' },
    ],
  },
  {
    id: 'no-veto-of-brokers',
    rule: RULE,
    what: 'pods are made without the hook that asks the broker before it is stopped',
    edits: [
      {
        file: 'operator/objects/pod.ts',
        find: 'lifecycle: { preStop: httpGet(STOP_PAGE) },',
        replace: '',
      },
    ],
    caughtBy: [
      stranger('evictions while nobody watches'),
      { level: 'unit', file: 'test/unit/operator/objects/pod.test.ts' },
    ],
  },
  {
    id: 'claim-of-nobody',
    rule: RULE,
    what: 'an operator acts on a cluster that another has claimed',
    edits: [
      {
        file: 'operator/kube/claims.ts',
        find: 'if (!isOurs && nowMs - claim.seenMs < DURATION_MS) return holderIdentity;',
        replace: 'if (!isOurs) return null;',
      },
    ],
    caughtBy: [
      stranger('two operators with leases of their own'),
      { level: 'unit', file: 'test/unit/operator/kube/claims.test.ts' },
    ],
  },
  {
    id: 'topic-deleted-unnoted',
    rule: RULE,
    what: 'a topic is deleted with its LogTopic before the status says so',
    edits: [
      {
        file: 'operator/decide/departed.ts',
        find: 'noted.some((each) => each.topicId === topicId),\n        );',
        replace: 'noted.every((each) => each.topicId === topicId),\n        );',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/operator/decide/departed.test.ts' }],
  },
  {
    id: 'topic-deleted-that-is-wanted',
    rule: RULE,
    what: 'a topic is deleted although a LogTopic for it was applied again',
    edits: [
      {
        file: 'operator/decide/departed.ts',
        find: 'isThere(each) && !isWanted(each)',
        replace: 'isThere(each)',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/operator/decide/departed.test.ts' }],
  },
  {
    id: 'topic-deleted-unseen',
    rule: RULE,
    what: 'a LogTopic that is missing from a list counts as one that was seen to go',
    edits: [
      {
        file: 'operator/kube/cache.ts',
        find: '#drop(kind: Kind, key: string, isSeen = false)',
        replace: '#drop(kind: Kind, key: string, isSeen = true)',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/operator/kube/cache.test.ts' }],
  },
  {
    id: 'shut-behind-a-broken-broker',
    rule: RULE,
    what: 'nobody may be evicted where one broker does not run, that one included',
    edits: [
      {
        file: 'operator/decide/drain.ts',
        find: 'broken.length === 1 && doesNotRun(observation, alone)',
        replace: 'broken.length === 0 && doesNotRun(observation, alone)',
      },
    ],
    caughtBy: [
      stranger('a drain past a broker that crashes'),
      { level: 'unit', file: 'test/unit/operator/decide/drain.test.ts' },
    ],
  },
  {
    id: 'authority-made-unasked',
    rule: RULE,
    what: 'an authority that is lost is made anew without a word',
    edits: [
      {
        file: 'operator/decide/certificates.ts',
        find: 'if (isFirst || !isInUse(observation))',
        replace: 'if (isFirst || workload !== null)',
      },
    ],
    caughtBy: [played('authority lost and restored'), CERTIFICATES],
  },
  {
    id: 'authority-signs-at-once',
    rule: RULE,
    what: 'another authority signs before brokers have read that it is trusted',
    edits: [
      {
        file: 'operator/decide/certified.ts',
        find: 'nowMs - (changedAtMs ?? Infinity) >= spreadMs',
        replace: 'nowMs >= 0',
      },
    ],
    caughtBy: [played('another authority asked for'), CERTIFICATES],
  },
  {
    id: 'pod-before-its-certificate',
    rule: RULE,
    what: 'brokers are added whose certificates are not there yet',
    edits: [
      {
        file: 'operator/decide/workload.ts',
        find: 'const isKept = isUncertified || (isHeld && workload !== null);',
        replace: 'const isKept = isHeld && workload !== null && !isUncertified;',
      },
    ],
    caughtBy: [CERTIFICATES],
  },
  {
    id: 'authority-of-a-clock-ahead',
    rule: RULE,
    what: 'an authority counts since the clock of the operator says, which may be ahead',
    edits: [
      {
        file: 'operator/act/certificates.ts',
        find: 'const sinceMs = madeAtMs(cluster);',
        replace: 'const sinceMs = madeAtMs(cluster) === 0 ? 0 : undefined;',
      },
    ],
    caughtBy: [WRONG_CLOCKS],
  },
  {
    id: 'certificate-of-a-clock-ahead',
    rule: RULE,
    what: 'a certificate counts since the clock of the operator says, and not as long as its authority',
    edits: [
      {
        file: 'operator/act/certificates.ts',
        find: 'days: LEAF_DAYS,\n      fromMs: atMs,\n      sinceMs,',
        replace:
          'days: LEAF_DAYS,\n      fromMs: atMs,\n      sinceMs: sinceMs === 0 ? 0 : undefined,',
      },
    ],
    caughtBy: [WRONG_CLOCKS],
  },
  {
    id: 'renewal-by-its-begin',
    rule: RULE,
    what: 'a certificate that begins in the future is due, as a clock that is behind sees it',
    edits: [
      {
        file: 'operator/decide/certificates.ts',
        find: '|| isAged(leaf, LEAF_DAYS, nowMs)',
        replace: '|| leaf.notBeforeMs > nowMs || isAged(leaf, LEAF_DAYS, nowMs)',
      },
    ],
    caughtBy: [WRONG_CLOCKS],
  },
  {
    id: 'trust-of-a-time-to-come',
    rule: RULE,
    what: 'trust that changed at a time to come is not given its time anew',
    edits: [
      {
        file: 'operator/decide/certificates.ts',
        find: '(changedAtMs !== null && changedAtMs <= nowMs)',
        replace: 'changedAtMs !== null',
      },
    ],
    caughtBy: [WRONG_CLOCKS],
  },
  {
    id: 'tls-two-steps-at-once',
    rule: RULE,
    what: 'brokers go two steps from plaintext to TLS at once',
    edits: [
      {
        file: 'operator/decide/to-tls.ts',
        find: 'PHASES[from + Math.sign(to - from)] ?? given',
        replace: 'PHASES[from + Math.sign(to - from) * 2] ?? PHASES[to] ?? given',
      },
    ],
    caughtBy: [played('from plaintext to TLS'), TO_TLS],
  },
  {
    id: 'tls-step-of-some',
    rule: RULE,
    what: 'a step to TLS is begun while brokers are two steps behind it',
    edits: [
      {
        file: 'operator/decide/to-tls.ts',
        find: 'if (under !== null) return',
        replace: 'if (under !== null && nowMs < 0) return',
      },
      {
        file: 'operator/decide/to-tls.ts',
        find: 'pods.every((phase) => areNeighbours(phase, next)) &&',
        replace: '',
      },
    ],
    caughtBy: [TO_TLS],
  },
  {
    id: 'tls-taken-back',
    rule: RULE,
    what: 'brokers that take TLS alone are led back to plaintext',
    edits: [
      {
        file: 'operator/decide/to-tls.ts',
        find: "given === 'Require' || internalTls.mode === 'Enabled'",
        replace: "internalTls.mode === 'Enabled'",
      },
    ],
    caughtBy: [played('from plaintext to TLS'), TO_TLS],
  },
  {
    id: 'issuer-shown-at-once',
    rule: RULE,
    what: 'certificates of another issuer are shown before brokers have read that it is trusted',
    edits: [
      {
        file: 'operator/decide/issued.ts',
        find: '(hasNone || isTrusted(leaf))',
        replace: '(hasNone || isTrusted(leaf) || leaf.notAfterMs > 0)',
      },
    ],
    caughtBy: [ISSUED],
  },
  {
    id: 'issuer-forgotten-at-once',
    rule: RULE,
    what: 'an authority is trusted no more while brokers may still show its certificates',
    edits: [
      {
        file: 'operator/decide/issued.ts',
        find: 'signers.includes(id) || !isSpread || take.length > 0',
        replace: 'signers.includes(id)',
      },
    ],
    caughtBy: [ISSUED],
  },
  {
    id: 'restored-authority-forgets',
    rule: RULE,
    what: 'an authority that is restored from before forgets the one that has signed since',
    edits: [
      {
        file: 'operator/decide/certificates.ts',
        find: 'if (unknown.length === 0) return null;',
        replace: 'if (unknown.length >= 0) return null;',
      },
    ],
    caughtBy: [played('authority restored from before'), CERTIFICATES],
  },
  {
    id: 'access-without-consent',
    rule: 'docs/rules.md#access',
    what: 'a consent to one operation is one to all',
    edits: [
      {
        file: ACCESS,
        find: 'consent.operations.includes(operation) && patterns.some(',
        replace: 'patterns.some(',
      },
    ],
    caughtBy: [GIVEN, played('access shared, consent withdrawn')],
  },
  {
    id: 'access-beyond-a-prefix',
    rule: 'docs/rules.md#access',
    what: 'who may give a prefix may give what begins it',
    edits: [
      {
        file: ACCESS,
        find: "return pattern.endsWith('*') ? wanted.startsWith(pattern.slice(0, -1)) : wanted === pattern;",
        replace: "return wanted.startsWith(pattern.replace('*', '').slice(0, wanted.length - 1));",
      },
    ],
    caughtBy: [GIVEN],
  },
  {
    id: 'access-of-a-namespace-that-begins-alike',
    rule: 'docs/rules.md#access',
    what: 'what is given to all accounts of a namespace is given to those of one that begins so',
    edits: [
      {
        file: ACCESS,
        find: 'return `system:serviceaccount:${namespace}:`;',
        replace: 'return `system:serviceaccount:${namespace}`;',
      },
    ],
    caughtBy: [GIVEN],
  },
  {
    id: 'access-outlives-consent',
    rule: 'docs/rules.md#access',
    what: 'what was given stays when nobody wants it any more, or consent is withdrawn',
    edits: [
      {
        file: ACCESS,
        find: 'return [...revoked, ...granted];',
        replace: 'return granted;',
      },
    ],
    caughtBy: [GIVEN, played('access shared, consent withdrawn')],
  },
  {
    id: 'access-of-an-empty-cache',
    rule: RULE,
    what: 'an operator that has not listed LogAccess yet takes everything back',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'ready: () => this.#watches.whenAllSynced(),',
        replace: 'ready: () => this.#watches.whenSynced(),',
      },
    ],
    caughtBy: [stranger('LogAccess that may not be listed')],
  },
];
