/** Of producers, readers, handing over, cutting and retention. */
import { type Mutation, seedsTo } from './types.ts';

const LEADER = 'broker/replication/leader.ts';
const FOLLOWER = 'broker/replication/follower.ts';
const PARTITION = 'broker/replication/partition.ts';
const PRODUCERS = 'broker/replication/producers.ts';
const LOG = 'broker/replication/log.ts';

export const PARTITIONS: readonly Mutation[] = [
  {
    id: 'duplicate-acknowledged-at-once',
    rule: 'rule 20',
    what: 'a batch that comes again is acknowledged before the original is committed',
    edits: [
      {
        file: 'broker/replication/appends.ts',
        find: '      if (other.endOffset <= highWaterMark)',
        replace: '      if (other.endOffset >= 0 || highWaterMark > 0)',
      },
    ],
    caughtBy: [
      { level: 'scenario', file: 'test/scenario/replication/replication.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
    inGate: true,
  },
  {
    id: 'crc-not-compared',
    rule: 'rule 20',
    what: 'another batch under a sequence that was used is taken for a repetition',
    edits: [
      {
        file: PRODUCERS,
        find: '(batch.crc ?? crc) === crc;',
        replace: '(batch.crc ?? crc) >= 0;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/producers.test.ts' }],
  },
  {
    id: 'no-producer-window',
    rule: 'rule 20',
    what: 'a batch that comes again is appended again',
    edits: [
      {
        file: PRODUCERS,
        find: 'if (header.producerId === 0) return OK;',
        replace: 'if (header.producerId >= 0) return OK;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/producers.test.ts' },
      { simulator: 'replication', seeds: seedsTo(20) },
    ],
  },
  {
    id: 'cut-keeps-producers',
    rule: 'rule 20',
    what: 'a cut leaves batches in the producer table that it took from the log',
    edits: [
      {
        file: PRODUCERS,
        find: 'while ((batches.at(-1)?.lastOffset ?? -1) >= endOffset) batches.pop();',
        replace: 'while ((batches.at(-1)?.lastOffset ?? -1) >= Infinity) batches.pop();',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/producers.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'old-producer-epoch-taken',
    rule: 'rule 20',
    what: 'an older epoch of a producer writes on beside the newer one',
    edits: [
      {
        file: PRODUCERS,
        find: 'if (header.producerEpoch < last.producerEpoch)',
        replace: 'if (header.producerEpoch < 0)',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/producers.test.ts' }],
  },
  {
    id: 'producer-fence-ignored',
    rule: 'rule 20',
    what: 'a leader takes an older epoch of a named producer where the newer one has not written',
    edits: [
      {
        file: 'broker/runtime/partitions/producer-fence.ts',
        find: 'if (producerEpoch < newest) {',
        replace: 'if (producerEpoch < 0) {',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/appends.test.ts',
        title: 'a producer whose name was taken over',
      },
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/producer-fence.test.ts' },
    ],
  },
  {
    id: 'reader-not-told-of-cut',
    rule: 'rule 21',
    what: 'a reader whose position was cut away is not told',
    edits: [
      {
        file: PARTITION,
        find: 'if (agreed.endOffset >= offset && agreed.epoch === epoch) return null;',
        replace: 'if (agreed.endOffset >= 0) return null;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' }],
  },
  {
    id: 'hand-over-undrained',
    rule: 'rule 22',
    what: 'a leader hands over to a successor that does not hold everything',
    edits: [
      {
        file: LEADER,
        find: 'this.#acknowledgedEnd(this.#handingTo) === endOffset &&\n      this.certificate',
        replace: 'this.#acknowledgedEnd(this.#handingTo) <= endOffset &&\n      this.certificate',
      },
      {
        file: LEADER,
        find: 'if (this.#handingTo === NO_BROKER || highWaterMark < endOffset) return null;',
        replace: 'if (this.#handingTo === NO_BROKER || highWaterMark < 0) return null;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' },
      { simulator: 'replication', seeds: seedsTo(40) },
    ],
  },
  {
    id: 'append-while-handing-over',
    rule: 'rule 22',
    what: 'a leader takes appends while it hands over',
    edits: [
      {
        file: LEADER,
        find: "if (this.#handingTo !== NO_BROKER)\n      return new BrokerError(\n        'LEADER_UNKNOWN',",
        replace:
          "if (this.#handingTo !== NO_BROKER && this.#isDraining)\n      return new BrokerError(\n        'LEADER_UNKNOWN',",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' }],
  },
  {
    id: 'cut-below-mark',
    rule: 'docs/rules.md#retention',
    what: 'a follower cuts below its high-water mark without an unclean election',
    edits: [
      {
        file: FOLLOWER,
        find: 'if (toOffset < highWaterMark && !this.#mayHoldWhatIsLost) {',
        replace: 'if (toOffset < highWaterMark && this.#uncleanEpoch < 0) {',
      },
    ],
    caughtBy: [{ level: 'scenario', file: 'test/scenario/replication/replication.test.ts' }],
  },
  {
    id: 'epoch-led-twice',
    rule: 'docs/rules.md#data-path',
    what: 'a replica leads an epoch again that it led before it was opened again',
    edits: [
      {
        file: PARTITION,
        find: 'if (this.#log.epochs.lastEpoch >= assignment.leaderEpoch) {',
        replace: 'if (this.#log.epochs.lastEpoch > assignment.leaderEpoch) {',
      },
      {
        file: LEADER,
        find: 'log.epochs.lastEpoch < assignment.leaderEpoch,',
        replace: 'log.epochs.lastEpoch <= assignment.leaderEpoch,',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' }],
  },
  {
    id: 'lead-for-another-incarnation',
    rule: 'rule 17',
    what: 'a broker leads though the leadership was given to another incarnation of it',
    edits: [
      {
        file: PARTITION,
        find: 'if (registered?.brokerEpoch !== selfEpoch) return;',
        replace: 'if (registered === undefined || selfEpoch < 0) return;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' }],
  },
  {
    id: 'refusal-of-what-stands',
    rule: 'rule 20',
    what: 'a leader that resigns refuses for certain what stands in its log',
    edits: [
      {
        file: PARTITION,
        find: "      'STALE_EPOCH',\n      `Outcome of the append",
        replace: "      'LEADER_UNKNOWN',\n      `Outcome of the append",
      },
      {
        file: 'broker/replication/appends.ts',
        find: "error.effect === 'unknown',\n",
        replace: "error.code !== '',\n",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition.test.ts' }],
  },
  {
    id: 'reset-to-ignored',
    rule: 'docs/rules.md#retention',
    what: 'a follower that retention overtook does not start anew',
    edits: [
      {
        file: FOLLOWER,
        find: 'if (startOffset < endOffset && !lacksBeginning) return;',
        replace: 'if (startOffset < Infinity && !lacksBeginning) return;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'a follower that retention overtakes',
      },
      { level: 'unit', file: 'test/unit/broker/replication/partition-log-start.test.ts' },
    ],
  },
  {
    id: 'retired-follower-not-told',
    rule: 'docs/rules.md#retention',
    what: 'a leader does not tell a matched follower that retention overtook it',
    edits: [
      {
        file: LEADER,
        find: 'if (!progress.isMatched || progress.sentOffset >= this.#log.startOffset) continue;',
        replace: 'if (!progress.isMatched || progress.sentOffset >= 0) continue;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/partition-log-start.test.ts' }],
  },
  {
    id: 'overtaken-follower-not-judged',
    rule: 'docs/rules.md#retention',
    what: 'what a matched follower states is not judged again, though retention overtook it',
    edits: [
      {
        file: LEADER,
        find: 'if (!progress.isMatched || progress.sentOffset >= this.#log.startOffset) continue;',
        replace: 'if (!progress.isMatched || progress.sentOffset >= 0) continue;',
      },
      {
        file: LEADER,
        find: '      position.lastEpoch > 0 &&\n      endOffset >= progress.endOffset',
        replace: '      endOffset >= progress.endOffset',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'a follower that retention overtakes',
      },
    ],
  },
  {
    id: 'retire-past-mark',
    rule: 'docs/rules.md#retention',
    what: 'retention passes the high-water mark',
    edits: [
      {
        file: LOG,
        find: 'if (offset <= this.#retiredTo || offset > this.#highWaterMark) return;',
        replace: 'if (offset <= this.#retiredTo || offset > this.#endOffset) return;',
      },
      {
        file: 'broker/runtime/partitions/retention.ts',
        find: 'if (segment.endOffset > marks.highWaterMark || (!isOld && !isOver && !isBefore)) break;',
        replace: 'if (!isOld && !isOver && !isBefore) break;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/retention.test.ts' }],
  },
  {
    id: 'retire-what-is-young',
    rule: 'docs/rules.md#retention',
    what: 'retention by time takes records before their time',
    edits: [
      {
        file: 'broker/runtime/partitions/retention.ts',
        find: 'nowMs - segment.maxTimestampMs > config.retentionMs;',
        replace: 'nowMs - segment.maxTimestampMs > config.retentionMs / 1_000;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/retention.test.ts' }],
  },
  {
    id: 'follower-retires-by-itself',
    rule: 'docs/rules.md#retention',
    what: 'a follower retires by its own clock and size',
    edits: [
      {
        file: 'broker/runtime/partitions/retention-driver.ts',
        find: 'if (config !== undefined && marks.isLeader) {',
        replace: 'if (config !== undefined) {',
      },
      {
        file: PARTITION,
        find: 'return this.#leader?.retire(input.offset);',
        replace:
          'return this.#leader === null ? this.#log.retire(input.offset, false) : this.#leader.retire(input.offset);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/retention-driver.test.ts' },
    ],
  },
  {
    id: 'last-segment-kept',
    rule: 'docs/rules.md#retention',
    what: 'records in the last segment stay for as long as nobody appends',
    edits: [
      {
        file: 'broker/runtime/partitions/retention.ts',
        find: '      isClockTrusted &&\n      config',
        replace: '      !isLast &&\n      isClockTrusted &&\n      config',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'retires them though nobody appends any more',
      },
    ],
  },
  {
    id: 'future-timestamp-taken',
    rule: 'docs/rules.md#retention',
    what: 'a leader takes records of any timestamp',
    edits: [
      {
        file: 'broker/replication/append-faults.ts',
        find: 'if (header.maxTimestampMs > allowed) {',
        replace: 'if (header.maxTimestampMs > Infinity) {',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/retention.test.ts',
        title: 'a record of the farthest future',
      },
    ],
  },
  {
    id: 'acknowledged-as-another',
    rule: 'rule 20',
    what: 'plain appends keep a sequence whose batch may be in the log, and the window takes the next record for that batch',
    edits: [
      {
        file: 'broker/service/partition-writer.ts',
        find: '#giveUp(batch: readonly PendingRecord[], cause: BrokerError): void {\n    this.#dropIdentity();',
        replace: '#giveUp(batch: readonly PendingRecord[], cause: BrokerError): void {',
      },
      {
        file: 'broker/replication/producers.ts',
        find: '(batch.crc ?? crc) === crc;',
        replace: '(batch.crc ?? crc) >= 0;',
      },
    ],
    caughtBy: [
      {
        level: 'sim',
        file: 'test/sim/cluster/scenarios/sync-set.test.ts',
        title: 'a leader that resigns into a leaderless epoch',
      },
    ],
  },
  {
    id: 'partial-table-is-whole',
    rule: 'rule 20',
    what: 'a leader whose producer table may lack what stood below its log start takes first batches of old ids',
    edits: [
      {
        file: 'broker/replication/producers.ts',
        find: '    if (this.mustLearn)\n',
        replace: '    if (this.mustLearn && header.producerId < 0)\n',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/replication/producers.test.ts' }],
  },
  {
    id: 'late-request-acts',
    rule: 'rule 11',
    what: 'a change that a person asked for acts, though what it was judged by has changed since',
    edits: [
      {
        file: 'broker/metadata/controller/late-requests.ts',
        find: 'if (judged.metadataIndex < changedAt)',
        replace: 'if (judged.metadataIndex < 0 && changedAt < 0)',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/metadata/controller/late-requests.test.ts' },
    ],
  },
  {
    id: 'election-without-beginning',
    rule: 'P7',
    what: 'an election takes a log for evidence that lacks its beginning',
    edits: [
      {
        file: 'broker/metadata/controller/leadership/log-elections.ts',
        find: '  if (unfit !== undefined) {\n',
        replace: '  if (unfit !== undefined && unfit.brokerId < 0) {\n',
      },
    ],
    caughtBy: [
      {
        level: 'unit',
        file: 'test/unit/broker/metadata/controller/leadership/log-elections.test.ts',
      },
    ],
  },
];
