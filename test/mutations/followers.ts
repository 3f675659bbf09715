/** Of topics whose minimum follows the default of the cluster, or the LogCluster. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'rule 8';
const OPERATOR_RULE = 'docs/rules.md#careful-operator';
const DECIDED: Catcher = { level: 'unit', file: 'test/unit/operator/decide/minimum.test.ts' };
const PLAYED: Catcher = {
  level: 'sim',
  file: 'test/sim/operator/kills.test.ts',
  title: 'min change of topics that follow and topics that chose theirs',
};
const UNIT: Catcher = {
  level: 'unit',
  file: 'test/unit/broker/metadata/controller/followers.test.ts',
};

export const FOLLOWERS: readonly Mutation[] = [
  {
    id: 'chosen-minimum-follows',
    rule: RULE,
    what: 'a minimum that was chosen for a topic changes with the default of the cluster',
    edits: [
      {
        file: 'broker/metadata/controller/followers.ts',
        find: 'if (topic.followsMin !== true || topic.config',
        replace: 'if (topic.config',
      },
    ],
    caughtBy: [UNIT],
    inGate: true,
  },
  {
    id: 'follower-raised-too-soon',
    rule: RULE,
    what: 'a topic follows a raised default before its sync sets satisfy it',
    edits: [
      {
        file: 'broker/metadata/controller/followers.ts',
        find: 'if (verdict.shortfall !== null) continue;',
        replace: '',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'follower-forgotten',
    rule: RULE,
    what: 'a topic that follows is taken for one with a chosen minimum once another config changes',
    edits: [
      {
        file: 'broker/metadata/controller/topics.ts',
        find: 'return { follows: minInSyncReplicas === undefined && isUnstated, stated: config };',
        replace: 'return { follows: false && isUnstated, stated: config };',
      },
    ],
    caughtBy: [UNIT],
  },
  {
    id: 'stated-minimum-follows',
    rule: OPERATOR_RULE,
    what: 'a LogTopic that states the minimum that its topic has by default leaves it to follow',
    edits: [
      {
        file: 'operator/decide/topics.ts',
        find: 'config.minInSyncReplicas === wanted && !followsMin',
        replace: 'config.minInSyncReplicas === wanted',
      },
    ],
    caughtBy: [PLAYED, DECIDED],
  },
  {
    id: 'followers-made-as-chosen',
    rule: OPERATOR_RULE,
    what: "a topic whose LogTopic states no minimum is made with the LogCluster's as its own",
    edits: [
      {
        file: 'operator/decide/topics.ts',
        find: 'const usual = metadata?.hasFollowing === true ? {} : { minInSyncReplicas };',
        replace: 'const usual = { minInSyncReplicas };',
      },
    ],
    caughtBy: [PLAYED, DECIDED],
  },
  {
    id: 'default-raised-while-shrinking',
    rule: OPERATOR_RULE,
    what: 'the default of topics is raised while brokers are being taken away',
    edits: [
      {
        file: 'operator/decide/min.ts',
        find: 'if (wanted > present && isShrinking) {',
        replace: 'if (wanted > present && isShrinking && present < 0) {',
      },
    ],
    caughtBy: [DECIDED],
  },
];
