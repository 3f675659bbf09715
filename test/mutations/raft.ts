/** Of the metadata quorum. */
import { type Mutation, seedsTo } from './types.ts';

const ELECTION = 'broker/raft/election.ts';
const REPLICATE = 'broker/raft/replicate.ts';

export const RAFT: readonly Mutation[] = [
  {
    id: 'vote-told-before-durable',
    rule: 'P1',
    what: 'a vote is told before it is durable',
    edits: [
      {
        file: ELECTION,
        find: "core.sendDurable(from, { kind: 'vote-reply', isGranted });",
        replace: "core.send(from, { kind: 'vote-reply', isGranted });",
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(20) }],
    inGate: true,
  },
  {
    id: 'candidate-counts-itself-early',
    rule: 'P1',
    what: 'a candidate asks for votes before its own is durable',
    edits: [
      {
        file: ELECTION,
        find: "core.sendDurable(peer, { kind: 'vote', lastIndex, lastTerm, isTransfer });",
        replace: "core.send(peer, { kind: 'vote', lastIndex, lastTerm, isTransfer });",
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(20) }],
  },
  {
    id: 'leader-counts-what-is-not-durable',
    rule: 'P1',
    what: 'a leader counts its own entries before they are durable',
    edits: [
      { file: REPLICATE, find: '      ? log.durableIndex\n', replace: '      ? log.lastIndex\n' },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/raft/raft.test.ts' }],
  },
  {
    id: 'follower-acknowledges-early',
    rule: 'P1',
    what: 'a voter acknowledges entries before they are durable',
    edits: [
      {
        file: REPLICATE,
        find: "  else core.sendDurable(to, { kind: 'append-accepted', matchIndex, round });",
        replace: "  else core.send(to, { kind: 'append-accepted', matchIndex, round });",
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(20) }],
  },
  {
    id: 'entries-of-earlier-terms-committed',
    rule: 'rule 7',
    what: 'a leader commits entries of earlier terms by counting them',
    edits: [
      {
        file: REPLICATE,
        find: 'if (index <= core.commitIndex || log.termAt(index) !== core.term) return;',
        replace: 'if (index <= core.commitIndex) return;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/raft/raft.test.ts' }],
  },
  {
    id: 'vote-for-a-shorter-log',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a vote is given to a log that is behind',
    edits: [
      {
        file: ELECTION,
        find: 'const isGranted = isFree && core.log.isUpToDate(message.lastIndex, message.lastTerm);',
        replace: 'const isGranted = isFree && message.lastIndex >= 0;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/raft/raft.test.ts' }],
  },
  {
    id: 'two-votes-in-a-term',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a voter votes twice in one term',
    edits: [
      {
        file: ELECTION,
        find: 'const isFree = core.vote === null ? core.leader === null : isSamePeer(core.vote, from);',
        replace: 'const isFree = core.leader === null;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/raft/raft.test.ts' },
      { simulator: 'raft', seeds: seedsTo(30) },
    ],
  },
  {
    id: 'no-pre-vote',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a pre-vote is granted while the leader is alive',
    edits: [
      {
        file: ELECTION,
        find: '    message.term >= core.term &&\n    !isLeaderAlive(core) &&\n',
        replace: '    message.term >= core.term &&\n',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/raft/raft.test.ts' },
      { simulator: 'raft', seeds: seedsTo(30) },
    ],
  },
  {
    id: 'no-check-quorum',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a leader that no majority answers goes on leading',
    edits: [
      {
        file: ELECTION,
        find: 'if (!isQuorumHeard(core, leading)) {',
        replace: 'if (!isQuorumHeard(core, leading) && core.term < 0) {',
      },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/raft/raft.test.ts' }],
  },
  {
    id: 'forgotten-vote-counts',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a voter whose log went back goes on acknowledging',
    edits: [
      {
        file: REPLICATE,
        find: 'if (progress.hasForgotten(message.lastIndex, message.incarnation)) {',
        replace:
          'if (progress.hasForgotten(message.lastIndex, message.incarnation) && core.term < 0) {',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/raft/raft.test.ts' }],
  },
  {
    id: 'campaign-unasked',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a voter stands for a term that nobody was asked about',
    edits: [
      {
        file: ELECTION,
        find: 'campaignTerm: core.term + 1, lastIndex, lastTerm });\n  if (core.isEligible && isGrantedByMajority(core, attempt)) campaign(core, false);',
        replace:
          'campaignTerm: core.term + 1, lastIndex, lastTerm });\n  if (core.isEligible && attempt !== null) campaign(core, false);',
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(30) }],
  },
  {
    id: 'vote-under-a-leader',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a vote is given though the leader is heard',
    edits: [
      {
        file: ELECTION,
        find: 'return !message.isTransfer && isLeaderAlive(core);',
        replace: 'return !message.isTransfer && isLeaderAlive(core) && core.term < 0;',
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(50) }],
  },
  {
    id: 'old-copy-speaks',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a voter goes on though a later incarnation of it is known',
    edits: [
      {
        file: 'broker/raft/raft.ts',
        find: 'if (known <= incarnation) return true;',
        replace: 'if (known <= incarnation || known > 0) return true;',
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(20) }],
  },
  {
    id: 'old-incarnation-heard',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'messages of an earlier incarnation of a voter count',
    edits: [
      {
        file: 'broker/raft/raft.ts',
        find: 'if (message.incarnation < core.incarnationOf(from)) {',
        replace: 'if (message.incarnation < 0) {',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/raft/raft.test.ts' }],
  },
  {
    id: 'voters-change-early',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'voters change before the barrier of the term, several at a time',
    edits: [
      {
        file: 'broker/raft/membership.ts',
        find: 'if (!core.isLeaderReady || isChanging || leading.transfer !== null) {',
        replace: 'if (leading.transfer !== null) {',
      },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/raft/raft.test.ts' }],
  },
  {
    id: 'peers-believed',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'what peers say is not judged before it acts',
    edits: [
      {
        file: 'broker/raft/raft.ts',
        find: '    if (fault !== null) {\n      core.refuse(from, message.kind, fault);',
        replace:
          '    if (fault !== null && message.term < 0) {\n      core.refuse(from, message.kind, fault);',
      },
    ],
    caughtBy: [{ simulator: 'raft', seeds: seedsTo(10) }],
  },
  {
    id: 'unable-voter-leads',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a voter that cannot read metadata goes on leading',
    edits: [
      {
        file: ELECTION,
        find: 'if (!isEligible && isStanding) core.becomeFollower(core.term, null);',
        replace:
          'if (!isEligible && isStanding && core.term < 0) core.becomeFollower(core.term, null);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/raft/hostile.test.ts' }],
  },
];
