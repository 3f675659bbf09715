/** Of what the operator decides. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'docs/rules.md#careful-operator';
const stranger = (title: string): Catcher => ({
  level: 'sim',
  file: 'test/sim/operator/strangers.test.ts',
  title,
});

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
];
