/** Of the controller, the brokers' place in the cluster, and clocks. */
import type { Mutation } from './types.ts';

const ELECTION = 'broker/metadata/leader-election.ts';
const SYNC_SET = 'broker/metadata/controller/sync-set.ts';
const SEAT = 'broker/runtime/controller/controller-seat.ts';
const REGISTRATION = 'broker/metadata/controller/registration.ts';
const LOG_ELECTIONS = 'broker/metadata/controller/leadership/log-elections.ts';

const SAFETY = 'broker/metadata/safety.ts';
const STOP_VETO = { level: 'unit', file: 'test/unit/broker/metadata/stop-veto.test.ts' } as const;

export const METADATA: readonly Mutation[] = [
  {
    id: 'stop-beside-another',
    rule: 'docs/rules.md#careful-operator',
    what: 'a broker that is to stop does not count those that are stopping already',
    edits: [
      {
        file: SAFETY,
        find: 'checkDisruption(image, [self, ...leaving], voters)',
        replace: 'checkDisruption(image, [self], voters)',
      },
    ],
    caughtBy: [STOP_VETO],
  },
  {
    id: 'stop-with-the-quorum',
    rule: 'docs/rules.md#careful-operator',
    what: 'a broker that is to stop does not ask what becomes of the quorum',
    edits: [
      {
        file: SAFETY,
        find: 'if (first === undefined && !takesQuorum) return null;',
        replace: 'if (first === undefined) return null;',
      },
    ],
    caughtBy: [STOP_VETO],
  },
  {
    id: 'stop-waits-in-vain',
    rule: 'docs/rules.md#careful-operator',
    what: 'a broker that is to stop waits for what no waiting avoids',
    edits: [{ file: SAFETY, find: 'if (isUnavoidable) return [];', replace: '' }],
    caughtBy: [STOP_VETO],
  },
  {
    id: 'no-compare-and-set',
    rule: 'rule 11',
    what: 'the controller judges a request of an earlier leader epoch or partition epoch as if it were of the present one',
    edits: [{ file: SYNC_SET, find: 'if (asked < present)', replace: 'if (asked < 0)' }],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/sync-set.test.ts',
        title: 'an addition to S that arrives after',
      },
      { level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'changes-judged-by-the-image-before',
    rule: 'rule 11',
    what: 'the controller judges each of many changes of sync sets as if those before it had not been',
    edits: [
      {
        file: SYNC_SET,
        find: 'const state = alterSyncSet(image, view, request);',
        replace: 'const state = alterSyncSet(before, view, request);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/sync-sets.test.ts' }],
  },
  {
    id: 'later-refusals-of-many-are-certain',
    rule: 'rule 12',
    what: 'of many changes asked for again, those refused count as refused for certain',
    edits: [
      {
        file: SEAT,
        find: 'return isUncertain ? withUncertainOutcomes(decision) : decision;',
        replace: 'return decision;',
      },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/sync-set/late-attempt.test.ts' }],
  },
  {
    id: 'controller-that-is-behind-refuses',
    rule: 'rule 11',
    what: 'a controller that is behind refuses for certain what it does not know yet',
    edits: [
      {
        file: SYNC_SET,
        find: "if (asked > present)\n      throw new BrokerError(\n        'NOT_CONTROLLER',",
        replace: "if (asked > present)\n      throw new BrokerError(\n        'REFUSED',",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'certificate-of-any-incarnation',
    rule: 'rule 13',
    what: 'the controller admits a member by the certificate of another incarnation',
    edits: [
      {
        file: SYNC_SET,
        find: 'if (member.brokerEpoch !== change.memberEpoch)',
        replace: 'if (member.brokerEpoch < change.memberEpoch)',
      },
    ],
    caughtBy: [
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
      { level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' },
    ],
    inGate: true,
  },
  {
    id: 'fenced-member-admitted',
    rule: 'rule 13',
    what: 'the controller admits a member that is fenced',
    edits: [
      {
        file: SYNC_SET,
        find: 'if (member.fenced) return refuse(row, `${name} is fenced`);',
        replace: "if (name === '') return refuse(row, `${name} is fenced`);",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'removal-below-min',
    rule: 'rule 16',
    what: 'members are removed though q falls below minInSyncReplicas',
    edits: [
      {
        file: ELECTION,
        find: 'return state.quorum - 1 >= min;',
        replace: 'return state.quorum - 1 >= Math.min(1, min);',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' }],
  },
  {
    id: 'removal-keeps-quorum',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'a member leaves S and q is lowered by two, so that fewer logs are read than hold what was committed',
    edits: [
      {
        file: ELECTION,
        find: '    quorum: state.quorum - 1,\n',
        replace: '    quorum: Math.min(state.quorum, state.syncSet.length - 1),\n',
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'election-reads-one-log-less',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'an election reads |S| - q logs',
    edits: [
      {
        file: ELECTION,
        find: 'return state.syncSet.length - state.quorum + 1;',
        replace: 'return Math.max(1, state.syncSet.length - state.quorum);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'shorter-log-elected',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'the first log that is read leads, not the best one',
    edits: [
      {
        file: ELECTION,
        find: 'return rest.reduce((best, log) => (isBetter(log, best) ? log : best), first);',
        replace: 'return rest.reduce((best, log) => (isBetter(log, best) ? best : best), first);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'epoch-of-log-ignored',
    rule: 'rule 1',
    what: 'the longest log is elected, whatever its last epoch',
    edits: [
      {
        file: ELECTION,
        find: '    log.lastEpoch > than.lastEpoch ||\n    (log.lastEpoch === than.lastEpoch && log.endOffset > than.endOffset) ||',
        replace: '    log.endOffset > than.endOffset ||',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' }],
  },
  {
    id: 'logs-of-any-incarnation',
    rule: 'rule 14',
    what: 'an election counts the log that an earlier incarnation stated',
    edits: [
      {
        file: LOG_ELECTIONS,
        find: 'return answer !== undefined && answer.brokerEpoch === context.image.brokers.get(id)?.brokerEpoch\n',
        replace: 'return answer !== undefined\n',
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'suspects-lead',
    rule: 'P8',
    what: 'a suspect leads and testifies',
    edits: [
      {
        file: ELECTION,
        find: 'return state.replicas.filter((id) => state.syncSet.includes(id) && !state.suspects.includes(id));',
        replace: 'return state.replicas.filter((id) => state.syncSet.includes(id));',
      },
      {
        file: ELECTION,
        find: 'if (suspects.includes(leader)) return `leader ${String(leader)} must not be a suspect`;\n',
        replace: '',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'lossy-start-trusted',
    rule: 'P7',
    what: 'the log of a lossy start stays evidence',
    edits: [
      {
        file: REGISTRATION,
        find: "isDistrusted: restartClass === 'new' || restartClass === 'lossy',",
        replace: "isDistrusted: restartClass === 'new',",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'empty-disk-trusted',
    rule: 'P12',
    what: 'an emptied disk keeps the place and the trust of the one that was there',
    edits: [
      {
        file: REGISTRATION,
        find: "isDistrusted: restartClass === 'new' || restartClass === 'lossy',",
        replace: "isDistrusted: restartClass === 'lossy',",
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'old-session-believed',
    rule: 'P4',
    what: 'the session file of an incarnation before the last unfenced one is believed',
    edits: [
      {
        file: REGISTRATION,
        find: 'if (request.sessionEpoch < Math.max(1, present.unfencedEpoch)) {',
        replace: 'if (request.sessionEpoch < 0) {',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'claim-of-another-directory',
    rule: 'P12',
    what: 'another directory claims to be clean or warm under the same id',
    edits: [
      {
        file: REGISTRATION,
        find: 'if (present.directoryId !== request.directoryId)\n    return `directory',
        replace: "if (request.directoryId === '')\n    return `directory",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/registration.test.ts' },
    ],
  },
  {
    id: 'late-registration-displaces',
    rule: 'rule 17',
    what: 'a registration that a dead process sent displaces its successor',
    edits: [
      {
        file: REGISTRATION,
        find: '    request.start.number > present.start.number;',
        replace: '    request.start.number >= 0;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/registration.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/membership.test.ts',
        title: 'of a dead process does not displace its successor',
      },
    ],
  },
  {
    id: 'repeated-registration-is-new',
    rule: 'rule 17',
    what: 'a repeated request of one start registers it again',
    edits: [
      {
        file: REGISTRATION,
        find: 'present.start.id === request.start?.id &&',
        replace: "present.start.id === '' &&",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/registration.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/membership.test.ts',
        title: 'and the one that repeats it',
      },
    ],
  },
  {
    id: 'usurper-admitted',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a second broker with the same id takes the place of one that heartbeats',
    edits: [
      {
        file: REGISTRATION,
        find: 'if (present.fenced || present.directoryId === request.directoryId) return;',
        replace: 'if (present.brokerId === request.brokerId) return;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'removed-broker-returns',
    rule: 'P12',
    what: 'the directory of a removed broker registers again',
    edits: [
      {
        file: REGISTRATION,
        find: 'if (!image.removedDirectories.includes(request.directoryId)) return;',
        replace: "if (request.directoryId !== '') return;",
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/moving/moves.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'unclean-keeps-sync-set',
    rule: 'rule 18',
    what: 'after an unclean election the old members stay in S',
    edits: [
      {
        file: ELECTION,
        find: 'changed(state, { ...state, leader, syncSet: [leader], quorum: 1, suspects: [] });',
        replace:
          'changed(state, { ...state, leader, suspects: state.suspects.filter((id) => id !== leader) });',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' },
      { level: 'sim', file: 'test/sim/metadata/metadata.test.ts' },
    ],
  },
  {
    id: 'unclean-without-consent',
    rule: 'rule 18',
    what: 'an unclean election needs no consent of the topic',
    edits: [
      {
        file: LOG_ELECTIONS,
        find: 'return topic.config.uncleanElection\n',
        replace: "return topic.name !== ''\n",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'evidence-gone-too-soon',
    rule: 'P11',
    what: 'an unclean election while evidence may still come back',
    edits: [
      {
        file: LOG_ELECTIONS,
        find: 'if (!isEvidenceGone(state, givenUp))',
        replace:
          'if (!isEvidenceGone(state, new Set(state.replicas.filter((id) => !view.isLive(id)))))',
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'loss-understated',
    rule: 'P11',
    what: 'the report of an unclean election names less than may be lost',
    edits: [
      {
        file: ELECTION,
        find: 'if (chosen.lastEpoch >= lastLedEpoch) return chosen.endOffset;',
        replace: 'if (chosen.lastEpoch >= 0 || lastLedEpoch > 0) return chosen.endOffset;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/leader-election.test.ts' }],
  },
  {
    id: 'move-shrinks-first',
    rule: 'rule 19',
    what: 'old replicas leave before the new ones have caught up',
    edits: [
      {
        file: 'broker/metadata/reassignment.ts',
        find: 'const isCaughtUp = isReassigning(state) && state.adding.every((id) => counted.includes(id));',
        replace: 'const isCaughtUp = isReassigning(state);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/moving/moves.test.ts' },
    ],
  },
  {
    id: 'move-below-min',
    rule: 'rule 19',
    what: 'a move ends though q falls below minInSyncReplicas',
    edits: [
      {
        file: 'broker/metadata/reassignment.ts',
        find: 'if (staying.length < min || state.quorum - leaving.length < min) return',
        replace: 'if (staying.length < 1) return',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/moving/moves.test.ts' },
    ],
  },
  {
    id: 'hand-over-to-anybody',
    rule: 'rule 22',
    what: 'leadership is handed to a member that could not be elected',
    edits: [
      {
        file: ELECTION,
        find: '    countedMembers(state, view).includes(brokerId) &&\n    !view.isStopping(brokerId)\n',
        replace: '    !view.isStopping(brokerId)\n',
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'hand-over-unasked',
    rule: 'rule 22',
    what: 'leadership moves to a successor that metadata did not name',
    edits: [
      { file: SYNC_SET, find: 'if (state.successor !== successor)', replace: 'if (successor < 0)' },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/moving/moves.test.ts' },
    ],
  },
  {
    id: 'clock-heard-alone',
    rule: 'docs/rules.md#retention',
    what: 'a clock is compared with whoever was heard, be it nobody else',
    edits: [
      {
        file: 'broker/metadata/clock-skew.ts',
        find: 'return agreed.length * 2 > counted.size ? own.offsetMs - middle : null;',
        replace: 'return agreed.length > 0 ? own.offsetMs - middle : null;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'is not its own median while a new controller hears it alone',
      },
      { level: 'unit', file: 'test/unit/broker/metadata/clock-skew.test.ts' },
    ],
  },
  {
    id: 'clock-always-trusted',
    rule: 'docs/rules.md#retention',
    what: 'retention by time goes by any clock',
    edits: [
      {
        file: 'broker/runtime/partitions/retention-driver.ts',
        find: 'const isClockTrusted = clock.look() === null;',
        replace: 'const isClockTrusted = clock.look() !== undefined;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'retires nothing young after a restart of everything',
      },
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/retention-driver.test.ts' },
    ],
  },
  {
    id: 'uncommitted-kept',
    rule: 'docs/rules.md#retention',
    what: 'records that are not committed count as those that stay',
    edits: [
      {
        file: 'broker/runtime/partitions/retention.ts',
        find: 'const behind = marks.highWaterMark - segment.endOffset;',
        replace: 'const behind = (segments.at(-1)?.endOffset ?? 0) - segment.endOffset;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/retention.test.ts' }],
  },
  {
    id: 'compacted-retired',
    rule: 'docs/rules.md#retention',
    what: 'retention takes what a compacted topic keeps for ever',
    edits: [
      {
        file: 'broker/runtime/partitions/retention.ts',
        find: "if (config.cleanup === 'compact') return marks.logStart;",
        replace: "if (config.cleanup === 'both') return marks.logStart;",
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'keeps all of them where it is compacted and nothing else',
      },
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/retention.test.ts' },
    ],
  },
  {
    id: 'jump-believed',
    rule: 'docs/rules.md#retention',
    what: 'a clock that has just jumped is believed',
    edits: [
      {
        file: 'broker/metadata/clock-trust.ts',
        find: 'const hasJumped = Math.abs(movedMs) > CLOCK_SKEW_MS_MAX;',
        replace: 'const hasJumped = Math.abs(movedMs) > Infinity;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/clock-trust.test.ts' }],
  },
  {
    id: 'fractional-clock',
    rule: 'docs/rules.md#retention',
    what: 'the cluster’s clock is no whole number, though it is written down',
    edits: [
      {
        file: 'broker/runtime/membership/cluster-clock.ts',
        find: 'return Math.round(this.#clock.wallMs() - (this.skewMs ?? 0));',
        replace: 'return this.#clock.wallMs() - (this.skewMs ?? 0);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/membership/cluster-clock.test.ts' },
    ],
  },
  {
    id: 'uninformed-answers',
    rule: 'rule 9',
    what: 'a broker that does not know its cluster yet answers for it: no such topic',
    edits: [
      {
        file: 'broker/service/cluster.ts',
        find: 'if (this.broker.isInformed()) return;',
        replace: 'if (this.broker.isInformed() || this.broker.brokerId >= 0) return;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/appends.test.ts',
        title: 'a broker that has not heard of its cluster yet',
      },
    ],
  },
  {
    id: 'sequence-reused-after-doubt',
    rule: 'rule 20',
    what: 'plain appends keep a sequence whose batch may be in the log',
    edits: [
      {
        file: 'broker/service/partition-writer.ts',
        find: '#giveUp(batch: readonly PendingRecord[], cause: BrokerError): void {\n    this.#dropIdentity();',
        replace: '#giveUp(batch: readonly PendingRecord[], cause: BrokerError): void {',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/service/public-services.test.ts' }],
  },
  {
    id: 'doubt-forgotten',
    rule: 'rule 20',
    what: 'plain appends go by the last error alone, whatever earlier tries may have done',
    edits: [
      {
        file: 'broker/service/partition-writer.ts',
        find: "isUncertain ||= error.effect === 'unknown';",
        replace: "isUncertain = error.effect === 'unknown';",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/service/partition-writer.test.ts' }],
  },
  {
    id: 'producer-id-given-twice',
    rule: 'rule 20',
    what: 'a new controller gives out the ids of the last block again',
    edits: [
      {
        file: 'broker/metadata/controller/producers.ts',
        find: "records.push({ kind: 'producer-ids', nextProducerId: this.#end });",
        replace: "records.push({ kind: 'producer-ids', nextProducerId: this.#next });",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/metadata/controller/controller.test.ts' }],
  },
  {
    id: 'init-producer-does-not-wait',
    rule: 'rule 20',
    what: 'InitProducer is answered before leaders know that older epochs are shut out',
    edits: [
      {
        file: 'broker/metadata/controller/producer-fences.ts',
        find: 'if (index !== null && behind.length === 0) due.push',
        replace: 'if (index !== null) due.push',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/producer-fences.test.ts' },
    ],
  },
  {
    id: 'forgotten-name-writes-on',
    rule: 'rule 20',
    what: 'whoever holds a name that was forgotten goes on writing beside the next holder',
    edits: [
      {
        file: 'broker/runtime/partitions/producer-fence.ts',
        find: 'if (newest === undefined) return this.#namelessFault(producerId, producerEpoch);',
        replace: 'if (newest === undefined) return null;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/producer-names.test.ts' },
    ],
  },
  {
    id: 'name-begins-like-nobody',
    rule: 'rule 20',
    what: 'the first epoch of a name is that of anonymous producers, or one that went before',
    edits: [
      {
        file: 'broker/metadata/controller/producers.ts',
        find: 'return floor < PRODUCER_EPOCH_MAX ? floor + 1 : 1;',
        replace: 'return 0;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/producer-names.test.ts' },
    ],
  },
  {
    id: 'name-goes-while-it-is-used',
    rule: 'rule 20',
    what: 'a name makes room for another one though it was taken a moment ago',
    edits: [
      {
        file: 'broker/metadata/controller/producers.ts',
        find: 'if (hours - hour < this.#bounds.keptHours || producerEpoch === 0) continue;',
        replace: 'if (producerEpoch === 0) continue;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/producer-names.test.ts' },
    ],
  },
  {
    id: 'removed-broker-beats-on',
    rule: 'rule 17',
    what: 'a broker that was removed while it was cut off is not told',
    edits: [
      {
        file: 'broker/runtime/membership/lifecycle.ts',
        find: "new Set(['FENCED', 'UNKNOWN_BROKER'])",
        replace: "new Set(['FENCED'])",
      },
      {
        file: 'broker/runtime/membership/registration-standing.ts',
        find: "    return { kind: 'displaced', reason: `broker ${brokerId} was removed from the cluster` };",
        replace: "    return { kind: 'waiting' };",
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/membership.test.ts',
        title: 'a broker that is removed while it is cut off',
      },
    ],
  },
  {
    id: 'connect-as-long-as-tcp',
    rule: 'docs/rules.md#transport-windows',
    what: 'an attempt to connect to an address that swallows packets takes as long as TCP does',
    edits: [
      {
        file: 'wire/grpc/dial.ts',
        find: 'CONNECT_MS_FIRST = 1_000',
        replace: 'CONNECT_MS_FIRST = 45_000',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/membership.test.ts',
        title: 'an address that swallows packets',
      },
    ],
  },
];
