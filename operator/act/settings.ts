/** Settings of the cluster and of topics in the words of the brokers' calls. Pure. */
import type { Action, TopicChange } from '../decide/types.ts';
import {
  type ClusterSettings,
  CommitMode,
  type TopicConfig,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { Cleanup } from '../../proto/gen/tidemark/v1/cleanup.ts';

const COMMIT_MODES = {
  InSync: CommitMode.COMMIT_MODE_IN_SYNC,
  Quorum: CommitMode.COMMIT_MODE_QUORUM,
} as const;

const CLEANUPS = {
  Delete: Cleanup.CLEANUP_DELETE,
  Compact: Cleanup.CLEANUP_COMPACT,
  Both: Cleanup.CLEANUP_BOTH,
} as const;

/** Absent settings stay as they are. */
export function settingsOf(
  action: Extract<Action, { kind: 'limit-moves' | 'set-settings' }>,
): ClusterSettings {
  if (action.kind === 'limit-moves') {
    const { moveBytesPerSecond } = action;
    return { moveBytesPerSecond, brokerOptions: {}, topicDefaults: undefined };
  }
  const { brokerOptions, topicDefaults } = action.change;
  return {
    brokerOptions: { ...brokerOptions },
    topicDefaults:
      topicDefaults === undefined
        ? undefined
        : {
            ...topicDefaults,
            commitMode:
              topicDefaults.commitMode === undefined
                ? CommitMode.COMMIT_MODE_UNSPECIFIED
                : COMMIT_MODES[topicDefaults.commitMode],
          },
  };
}

/** Absent settings stay as they are. */
export function configOf(change: TopicChange): TopicConfig {
  const {
    commitMode,
    cleanup,
    retentionRecords,
    tombstoneRetentionMs,
    compactionDirtyPercent,
    compactionLagMinMs,
    compactionLagMaxMs,
    ...settings
  } = change;
  const numbers = {
    retentionRecords,
    tombstoneRetentionMs,
    compactionDirtyPercent,
    compactionLagMinMs,
    compactionLagMaxMs,
  };
  const isStated = Object.values({ ...numbers, cleanup }).some((value) => value !== undefined);
  const what = cleanup === undefined ? Cleanup.CLEANUP_UNSPECIFIED : CLEANUPS[cleanup];
  return {
    ...settings,
    commitMode:
      commitMode === undefined ? CommitMode.COMMIT_MODE_UNSPECIFIED : COMMIT_MODES[commitMode],
    ...(isStated ? { cleanup: { ...numbers, cleanup: what } } : {}),
  };
}
