/** Of `broker/replication` and of what carries it out. */
import { type Mutation, seedsTo } from './types.ts';

const LEADER = 'broker/replication/leader.ts';
const FOLLOWER = 'broker/replication/follower.ts';
const PARTITION = 'broker/replication/partition.ts';
const SYNC_SET = 'broker/replication/sync-set.ts';
const EPOCHS = 'broker/replication/epochs.ts';
const PROGRESS = 'broker/replication/progress.ts';

export const REPLICATION: readonly Mutation[] = [
  {
    id: 'cut-by-own-mark',
    rule: 'rule 1',
    what: 'a follower cuts to its own high-water mark, not by the epoch map',
    edits: [
      {
        file: FOLLOWER,
        find: 'const toOffset = Math.min(endOffset, this.#log.endOf(epoch).endOffset);',
        replace: 'const toOffset = this.#log.highWaterMark;',
      },
    ],
    caughtBy: [{ simulator: 'replication', seeds: seedsTo(20) }],
  },
  {
    id: 'cut-to-leader-end',
    rule: 'rule 2',
    what: 'a follower cuts to the end that the leader names, even where its own epoch ends before',
    edits: [
      {
        file: FOLLOWER,
        find: 'const toOffset = Math.min(endOffset, this.#log.endOf(epoch).endOffset);',
        replace: 'const toOffset = Math.min(endOffset, this.#log.endOffset);',
      },
    ],
    caughtBy: [{ simulator: 'replication', seeds: seedsTo(40) }],
  },
  {
    id: 'cut-keeps-epochs',
    rule: 'rule 3',
    what: 'a cut leaves epochs in the map that began at or above it',
    edits: [
      {
        file: EPOCHS,
        find: 'while ((this.#starts.at(-1)?.startOffset ?? -1) >= endOffset) this.#starts.pop();',
        replace: 'while ((this.#starts.at(-1)?.startOffset ?? -1) > endOffset) this.#starts.pop();',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/epochs.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'last-epoch-forgotten',
    rule: 'rule 3',
    what: 'a log whose last batch was retired forgets of which epoch it was',
    edits: [
      {
        file: EPOCHS,
        find: 'this.#startEpoch = this.epochBefore(startOffset);\n    if (startOffset >= endOffset) {',
        replace:
          'this.#startEpoch = this.epochBefore(startOffset);\n    if (startOffset >= endOffset) {\n      this.#startEpoch = 0;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition-log-start.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
    inGate: true,
  },
  {
    id: 'leader-frames-of-any-epoch',
    rule: 'rule 5',
    what: 'a follower takes what a leader of another epoch sends',
    edits: [
      {
        file: PARTITION,
        find: '      input.leaderEpoch === this.#assignment.leaderEpoch &&\n      input.from === this.#assignment.leader',
        replace: '      input.from === this.#assignment.leader',
      },
    ],
    caughtBy: [{ simulator: 'replication', seeds: seedsTo(60) }],
  },
  {
    id: 'frames-of-any-leader-and-epoch',
    rule: 'rule 5',
    what: 'a follower takes what anybody sends, in any epoch',
    edits: [
      {
        file: PARTITION,
        find: '      this.#assignment !== null &&\n      input.leaderEpoch === this.#assignment.leaderEpoch &&\n      input.from === this.#assignment.leader',
        replace: '      this.#assignment !== null && input.leaderEpoch >= 0',
      },
    ],
    caughtBy: [{ simulator: 'replication', seeds: seedsTo(20) }],
  },
  {
    id: 'positions-of-any-epoch',
    rule: 'rule 5',
    what: 'a leader takes positions that were stated in an earlier epoch',
    edits: [
      {
        file: PARTITION,
        find: '} else if (leaderEpoch === present) {',
        replace: '} else {',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'inspect-unsealed',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'an election reads a log that has not left the epochs before: `inspect` neither waits for the epoch nor asks whether it is known',
    edits: [
      {
        file: 'broker/runtime/partitions/follower-admission.ts',
        find: 'untilWithin(() => epoch() >= leaderEpoch, deadlineMs)',
        replace: 'untilWithin(() => epoch() >= 0, deadlineMs)',
      },
      {
        file: PARTITION,
        find: '      this.#assignment === null ||\n      this.#assignment.leaderEpoch < leaderEpoch\n',
        replace: '      this.#assignment === null ||\n      leaderEpoch < 0\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
      { simulator: 'replication', seeds: [68] },
    ],
    inGate: true,
  },
  {
    id: 'inspect-does-not-wait',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'an inspection is answered before the epoch is known: no log, though there is one',
    edits: [
      {
        file: 'broker/runtime/partitions/follower-admission.ts',
        find: 'untilWithin(() => epoch() >= leaderEpoch, deadlineMs)',
        replace: 'untilWithin(() => epoch() >= 0, deadlineMs)',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'inspect-without-epoch',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'a replica shows the end of its log for an election in an epoch that it has not entered',
    edits: [
      {
        file: PARTITION,
        find: '      this.#assignment === null ||\n      this.#assignment.leaderEpoch < leaderEpoch\n',
        replace: '      this.#assignment === null ||\n      leaderEpoch < 0\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/replica.test.ts' },
      { simulator: 'replication', seeds: [68] },
    ],
    inGate: true,
  },
  {
    id: 'unmatched-counts',
    rule: 'rule 6',
    what: 'what a follower states counts before the leader has found it in its own log',
    edits: [
      {
        file: LEADER,
        find: 'return progress !== undefined && progress.isMatched ? progress.endOffset : UNKNOWN_END;',
        replace: 'return progress !== undefined ? progress.endOffset : UNKNOWN_END;',
      },
    ],
    caughtBy: [{ simulator: 'replication', seeds: [84] }],
  },
  {
    id: 'everything-matches',
    rule: 'rule 6',
    what: 'a leader takes every log for a prefix of its own',
    edits: [
      {
        file: LEADER,
        find: 'const { from: to, lastEpoch, endOffset, start } = position;\n',
        replace:
          'const { from: to, lastEpoch, endOffset, start } = position;\n    if (endOffset <= this.#log.writtenEnd) return true;\n',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'no-epoch-barrier',
    rule: 'rule 7',
    what: 'a leader commits records of earlier epochs before its own epoch start is committed',
    edits: [
      {
        file: LEADER,
        find: 'if (end <= this.#epochStart || !this.#log.raiseHighWaterMark(end)) return;',
        replace: 'if (!this.#log.raiseHighWaterMark(end)) return;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
    inGate: true,
  },
  {
    id: 'end-known-early',
    rule: 'rule 7',
    what: 'a new leader says where the log ends before its epoch start is committed',
    edits: [
      {
        file: LEADER,
        find: 'return this.#handingTo === NO_BROKER && this.#log.highWaterMark > this.#epochStart;',
        replace: 'return this.#handingTo === NO_BROKER;',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
    ],
  },
  {
    id: 'commit-below-min',
    rule: 'rule 8',
    what: 'the high-water mark moves while q is below minInSyncReplicas',
    edits: [
      {
        file: LEADER,
        find: 'if (quorum < minInSyncReplicas) return;',
        replace: 'if (quorum < 0 && minInSyncReplicas < 0) return;',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'append-below-min',
    rule: 'rule 8',
    what: 'appends are taken while fewer than minInSyncReplicas members are there',
    edits: [
      {
        file: LEADER,
        find: 'if (this.#trustedCount < minInSyncReplicas) {',
        replace: 'if (this.#trustedCount < 0) {',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'mark-past-own-end',
    rule: 'rule 9',
    what: 'the high-water mark may pass what the leader itself has written',
    edits: [
      {
        file: LEADER,
        find: 'const end = Math.min(committedEnd(this.#changes.rules, this.#endOf), this.#log.writtenEnd);',
        replace: 'const end = committedEnd(this.#changes.rules, this.#endOf);',
      },
    ],
    caughtBy: [],
    coveredBy:
      'rule 7 and `positionFault`: past the epoch start nobody can state more than this leader has written and sent; `ReplicaLog.raiseHighWaterMark` asserts it',
  },
  {
    id: 'follower-takes-any-mark',
    rule: 'rule 6',
    what: 'a follower takes the leader’s high-water mark past its own end',
    edits: [
      {
        file: FOLLOWER,
        find: 'this.#log.raiseHighWaterMark(Math.min(this.#leaderHighWaterMark, this.#log.writtenEnd));',
        replace: 'this.#log.raiseHighWaterMark(this.#leaderHighWaterMark);',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'addition-not-joint',
    rule: 'rule 10',
    what: 'the high-water mark does not wait for a member that the leader asked to add',
    edits: [
      {
        file: SYNC_SET,
        find: "if (change.op === 'add' && !syncSet.includes(change.member))",
        replace: "if (change.op === 'add' && syncSet.includes(change.member))",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' },
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
    inGate: true,
  },
  {
    id: 'raise-not-joint',
    rule: 'rule 12',
    what: 'the high-water mark does not wait for a q that the leader asked for',
    edits: [
      {
        file: SYNC_SET,
        find: "if (change.op === 'raise' && change.quorum > quorum)",
        replace: "if (change.op === 'raise' && change.quorum < quorum)",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' },
      { level: 'scenario', file: 'test/scenario/sync-set/late-attempt.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'joint-dropped-in-flight',
    rule: 'rule 12',
    what: 'a refusal ends the joint rule, though an earlier attempt may still be carried out',
    edits: [{ file: SYNC_SET, find: 'else if (!floating.isUnknown)', replace: 'else' }],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' }],
  },
  {
    id: 'joint-dropped-on-silence',
    rule: 'rule 12',
    what: 'a proposal without an answer is taken for one that was not carried out',
    edits: [
      {
        file: SYNC_SET,
        find: 'if (!isRefused) floating.isUnknown = true;\n    else if (!floating.isUnknown)',
        replace:
          'if (error === null) floating.isUnknown = true;\n    else if (!floating.isUnknown)',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'last-answer-is-final',
    rule: 'rule 12',
    what: 'whoever repeats a request reports the last answer for all of its attempts',
    edits: [
      {
        file: 'broker/runtime/controller/controller-seat.ts',
        find: "isUncertain ||= error.effect === 'unknown';",
        replace: "isUncertain = error.effect === 'unknown';",
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/sync-set.test.ts',
        title: 'an addition to S that arrives after',
      },
      { level: 'scenario', file: 'test/scenario/sync-set/late-attempt.test.ts' },
    ],
  },
  {
    id: 'certificate-for-anybody',
    rule: 'rule 13',
    what: 'a follower is certified however far behind it is',
    edits: [
      {
        file: LEADER,
        find: 'progress.endOffset >= this.#log.highWaterMark && progress.endOffset > this.#epochStart;',
        replace: 'progress.endOffset >= 0;',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'certificate-without-epoch-start',
    rule: 'rule 13',
    what: 'a follower is certified before it holds the epoch start',
    edits: [
      {
        file: LEADER,
        find: 'progress.endOffset >= this.#log.highWaterMark && progress.endOffset > this.#epochStart;',
        replace: 'progress.endOffset >= this.#log.highWaterMark;',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'position-of-any-incarnation',
    rule: 'rule 14',
    what: 'a leader takes positions of an incarnation that is not the registered one',
    edits: [
      {
        file: LEADER,
        find: 'if (progress === undefined || progress.brokerEpoch !== position.brokerEpoch) return;',
        replace: 'if (progress === undefined) return;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: [187] },
    ],
  },
  {
    id: 'progress-outlives-incarnation',
    rule: 'rule 14',
    what: 'what an incarnation acknowledged counts for the next one',
    edits: [
      {
        file: LEADER,
        find: '        progress.forget(brokerEpoch);',
        replace: '        progress.brokerEpoch = brokerEpoch;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: [84] },
    ],
  },
  {
    id: 'progress-outlives-stream',
    rule: 'rule 14',
    what: 'what was acknowledged on a stream counts after it closed',
    edits: [
      {
        file: LEADER,
        find: '    progress?.forget(progress.brokerEpoch);',
        replace: '    progress?.tick(0, this.#nowMs);',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'nobody-lags',
    rule: 'rule 15',
    what: 'a member that falls behind never leaves S',
    edits: [
      {
        file: PROGRESS,
        find: 'return nowMs - this.#caughtUpMs;',
        replace: 'return Math.min(0, nowMs - this.#caughtUpMs);',
      },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/replication/replication.test.ts' }],
  },
  {
    id: 'leader-removes-below-min',
    rule: 'rule 16',
    what: 'a leader asks to remove members that cannot be spared',
    edits: [
      {
        file: SYNC_SET,
        find: 'if (quorum - 1 < minInSyncReplicas) return null;',
        replace: 'if (quorum - 1 < 1 && minInSyncReplicas > 0) return null;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' }],
  },
  {
    id: 'below-mark-is-not-lossy',
    rule: 'P7',
    what: 'a member whose log matches only below the high-water mark keeps its trust',
    edits: [
      {
        file: LEADER,
        find: '        quorum === syncSet.length &&\n        progress.endOffset < this.#log.highWaterMark)',
        replace:
          '        quorum > syncSet.length &&\n        progress.endOffset < this.#log.highWaterMark)',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
    inGate: true,
  },
  {
    id: 'leader-never-distrusts',
    rule: 'P7',
    what: 'a leader never asks to distrust a member that lost what it acknowledged',
    edits: [
      {
        file: SYNC_SET,
        find: '    for (const member of syncSet) {\n      if (member === this.#self || suspects',
        replace:
          '    for (const member of syncSet.slice(syncSet.length)) {\n      if (member === this.#self || suspects',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'trust-without-certificate',
    rule: 'P8',
    what: 'a suspect is trusted again under its epoch, however far it is',
    edits: [
      {
        file: SYNC_SET,
        find: "      const memberEpoch = view.certificate(member);\n      if (memberEpoch === null) continue;\n      const change: SyncSetChange = { op: 'trust', member, memberEpoch };",
        replace:
          "      const memberEpoch = this.#replica(member)?.brokerEpoch ?? null;\n      if (memberEpoch === null) continue;\n      const change: SyncSetChange = { op: 'trust', member, memberEpoch };",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/sync-set.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'suspects-count-for-min',
    rule: 'P8',
    what: 'a suspect counts toward minInSyncReplicas',
    edits: [
      {
        file: SYNC_SET,
        find: 'if (!fenced && syncSet.includes(brokerId) && !suspects.includes(brokerId)) count += 1;',
        replace: 'if (!fenced && syncSet.includes(brokerId) && suspects.length >= 0) count += 1;',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'lost-beginning-counts',
    rule: 'P7',
    what: 'a log that lost its beginning is matched and certified by its end',
    edits: [
      {
        file: LEADER,
        find: 'start !== undefined && start.offset > Math.max(start.retiredTo, this.#log.startOffset);',
        replace: 'start !== undefined && start.offset < 0;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/disks.test.ts',
        title: 'a log without its beginning',
      },
      { level: 'unit', file: 'test/unit/broker/replication/partition-log-start.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'leader-aims-higher',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'the leader aims at a q of its own, a majority of the replicas, and proposes it again and again',
    edits: [
      {
        file: 'broker/replication/sync-set.ts',
        find: 'const aim = quorumTarget({ commitMode, minInSyncReplicas, members, leaving: leavingCount });',
        replace:
          'const least = quorumTarget({ commitMode, minInSyncReplicas, members, leaving: leavingCount });\n    const aim = Math.max(least, Math.floor(this.#assignment.replicas.length / 2) + 1);',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/sync-set.test.ts',
        title: 'the q that a row aims at',
      },
    ],
  },
  {
    id: 'bad-frame-closes-stream',
    rule: 'P9',
    what: 'one corrupt frame closes the stream of a pair of brokers',
    edits: [
      {
        file: 'broker/runtime/partitions/replica.ts',
        find: '      this.#faults.failed(leaderEpoch);\n',
        replace: '      this.#host.onRefused(this, from, received.message);\n',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/membership.test.ts',
        title: 'a frame that is corrupt each time it is sent',
      },
    ],
  },
];
