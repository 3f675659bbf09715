/** Of topics whose minimum follows the default of the cluster. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'rule 8';
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
];
