/** Of what carries the cores out: streams, disks, stops, connections, the client. */
import type { Mutation } from './types.ts';

const ADMISSION = 'broker/runtime/partitions/follower-admission.ts';
const DISK = 'broker/storage/disk.ts';

export const RUNTIME: readonly Mutation[] = [
  {
    id: 'follower-of-any-incarnation',
    rule: 'rule 13',
    what: 'a leader opens a stream to an incarnation of a follower that is not the registered one',
    edits: [
      {
        file: ADMISSION,
        find: 'if (link.brokerEpoch !== known) {',
        replace: 'if (link.brokerEpoch < 0) {',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'stream-to-any-incarnation',
    rule: 'docs/rules.md#data-path',
    what: 'a leader takes a stream that was meant for another incarnation of it',
    edits: [
      { file: ADMISSION, find: 'if (targetEpoch !== own) {', replace: 'if (targetEpoch < 0) {' },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'replaced-stream-heard',
    rule: 'rule 14',
    what: 'a leader hears the stream of a follower that a newer one has replaced',
    edits: [
      {
        file: ADMISSION,
        find: 'pusher.isCurrent(link) ? replicas.get(topicId, partition) : null;',
        replace:
          'pusher.isCurrent(link) || partition >= 0 ? replicas.get(topicId, partition) : null;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'new-stream-keeps-progress',
    rule: 'rule 14',
    what: 'what was acknowledged on an earlier stream counts when a new one opens',
    edits: [
      {
        file: ADMISSION,
        find: '    this.#forget(link.brokerId);\n    pusher.open(link);',
        replace: '    pusher.open(link);',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'inspection-of-any-incarnation',
    rule: 'rule 14',
    what: 'a broker shows its log to an election that asks another incarnation of it',
    edits: [
      {
        file: ADMISSION,
        find: 'if (brokerEpoch !== 0 && brokerEpoch !== this.#options.brokerEpoch()) return null;',
        replace: 'if (brokerEpoch < 0) return null;',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/follower-admission.test.ts' },
    ],
  },
  {
    id: 'moves-before-drained',
    rule: 'rule 22',
    what: 'a broker that stops lets its leaderships move before they have drained',
    edits: [
      {
        file: 'broker/runtime/membership/lifecycle.ts',
        find: 'const isDrained = isStopping && drain() && this.#stop?.isAnnounced === true;',
        replace:
          'const isDrained = isStopping && (drain() || isStopping) && this.#stop?.isAnnounced === true;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/membership/lifecycle.test.ts' }],
  },
  {
    id: 'late-damage-untold',
    rule: 'P9',
    what: 'a log that is found damaged after the start is answered for',
    edits: [
      {
        file: 'broker/runtime/partitions/replicas.ts',
        find: 'if (damage !== null) {',
        replace: "if (damage !== null && damage.reason === '') {",
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/replicas.test.ts' }],
  },
  {
    id: 'unable-replica-leads',
    rule: 'docs/rules.md#sync-set-and-q',
    what: 'a replica whose broker said that it cannot lead is elected',
    edits: [
      {
        file: 'broker/metadata/leader-election.ts',
        find: 'filter((id) => view.isLive(id) && !isUnable(state, id));',
        replace: 'filter((id) => view.isLive(id));',
      },
    ],
    caughtBy: [{ level: 'sim', file: 'test/sim/metadata/metadata.test.ts' }],
  },
  {
    id: 'corrupt-frame-thrown',
    rule: 'docs/rules.md#data-path',
    what: 'a frame that fails its checksum is thrown, where one partition should stop',
    edits: [
      {
        file: 'broker/runtime/partitions/received-frames.ts',
        find: '    return checkedFrames(from, bytes, place, crc32);\n  } catch (error) {\n    if (error instanceof BrokerError) return error;\n',
        replace: '    return checkedFrames(from, bytes, place, crc32);\n  } catch (error) {\n',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/partitions/replica.test.ts' }],
  },
  {
    id: 'checksum-not-checked',
    rule: 'docs/rules.md#data-path',
    what: 'a follower writes frames whose bytes were changed on the way',
    edits: [
      {
        file: 'broker/runtime/partitions/received-frames.ts',
        find: '    checkFrame(bytes, at, crc32);\n    checkStamp(bytes, at, place, crc32);\n',
        replace: '    checkStamp(bytes, at, place, crc32);\n',
      },
    ],
    caughtBy: [
      { level: 'unit', file: 'test/unit/broker/runtime/partitions/received-frames.test.ts' },
    ],
  },
  {
    id: 'deletion-not-journalled',
    rule: 'docs/rules.md#restart-classes',
    what: 'the files of a deleted partition go before the checkpoint says so',
    edits: [
      {
        file: DISK,
        find: '      this.#checkpoint.beginDelete(key);\n      await this.#checkpoint.sync();\n',
        replace: '      this.#checkpoint.beginDelete(key);\n',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/what-must-be-there.test.ts' }],
  },
  {
    id: 'log-not-named',
    rule: 'docs/rules.md#restart-classes',
    what: 'the checkpoint does not name a log from its first moment on',
    edits: [
      {
        file: DISK,
        find: 'if (!isKnown || isOutdated(saved, log.recovery.state.endOffset)) await',
        replace: 'if (isOutdated(saved, log.recovery.state.endOffset)) await',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/what-must-be-there.test.ts' }],
  },
  {
    id: 'mark-outlives-records',
    rule: 'rule 9',
    what: 'a saved high-water mark covers what is appended where a power loss took what it covered',
    edits: [
      {
        file: DISK,
        find: 'return isResetting || Math.max(highWaterMark, writtenOffset) > endOffset;',
        replace: 'return isResetting || Math.max(highWaterMark, writtenOffset, endOffset) < 0;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/saved-high-water.test.ts' }],
  },
  {
    id: 'reserve-kept',
    rule: 'P3',
    what: 'what must not fail finds no room on a full volume, though the reserve is there',
    edits: [
      {
        file: 'broker/storage/reserve.ts',
        find: 'if (!isOutOfSpace(error) || !(await this.#release())) throw error;',
        replace: 'throw error;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/storage/reserve.test.ts' }],
  },
  {
    id: 'read-past-unreadable',
    rule: 'docs/rules.md#metadata-quorum',
    what: 'a broker goes on applying metadata after a record that it cannot read',
    edits: [
      {
        file: 'broker/runtime/controller/quorum.ts',
        find: 'this.#unreadable ??= unlessRead(index, () => {',
        replace: 'this.#unreadable = unlessRead(index, () => {',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/broker/runtime/controller/quorum.test.ts' }],
  },
  {
    id: 'dial-waits',
    rule: 'docs/rules.md#data-path',
    what: 'a connection to an address that swallows packets is waited for as long as TCP likes',
    edits: [
      {
        file: 'wire/grpc/dial.ts',
        find: 'export const CONNECT_MS_FIRST = 1_000;',
        replace: 'export const CONNECT_MS_FIRST = 1_000_000;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/wire/grpc/dial.test.ts' }],
  },
  {
    id: 'producer-id-outlives-topic',
    rule: 'rule 20',
    what: 'the library keeps its producer id for a topic that was deleted and made again',
    edits: [
      {
        file: 'client/producer/producer.ts',
        find: '      this.#identities.forget();\n    }\n    topic.topicId = view.topicId;',
        replace: '    }\n    topic.topicId = view.topicId;',
      },
    ],
    caughtBy: [{ level: 'unit', file: 'test/unit/client/producer/producer.test.ts' }],
  },
];
