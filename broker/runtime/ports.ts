/**
 * The three ports through which the runtime meets the world: Clock, Disk, Peers. Production
 * implements them in `main.ts`, `storage/` and `network/`; the simulator implements them from a
 * seed. Nothing here may know how.
 */
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import { BrokerError } from '../../base/errors.ts';
import type { HostPort } from '../../base/host-port.ts';
import type {
  BrokerEpoch,
  BrokerId,
  DirectoryId,
  LeaderEpoch,
  Offset,
  TopicId,
  WallMs,
} from '../../base/units.ts';
import type { CompactionJob } from '../compaction/job.ts';
import type { RestartClass } from '../metadata/types.ts';
import type { Durable, Envelope, Peer, RaftMessage, RaftWrite } from '../raft/types.ts';
import type { FollowerMessage, LogStart, LogState, Position } from '../replication/types.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';

/** Contents of `meta.json`: who this directory is. Written once, at format. */
export interface DirectoryMeta {
  readonly formatVersion: 1;
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  readonly directoryId: DirectoryId;
}

/** What the directory says at start, before anything is answered (P4, P5). */
export interface DiskStart {
  /** Null: unformatted. */
  readonly meta: DirectoryMeta | null;
  /** Broker epoch in the session file; 0 when there is none. */
  readonly sessionEpoch: BrokerEpoch;
  readonly restartClass: RestartClass;
  /** Why this class, in words: `session file is of boot 1b9d…, this is boot 77aa…`. */
  readonly reason: string;
}

/**
 * The disk lacks space, descriptors or memory for a time. Nothing was lost by it: the call may be
 * made again, and nobody is to be distrusted.
 */
export function isShortage(error: unknown): boolean {
  return (
    error instanceof BrokerError && (error.code === 'DISK_FULL' || error.code === 'OVERLOADED')
  );
}

/** Broker epochs and starts share the raft incarnation: see `beginIncarnation`. */
export const STARTS_PER_EPOCH = 65_536;

/** The metadata log on disk: always synced (P1). */
export interface QuorumLog {
  load(): Promise<Durable>;
  /** Resolves when all of them, in order, are durable. Calls queue; several are synced together. */
  write(writes: readonly RaftWrite[]): Promise<void>;
  /**
   * Counts this start and syncs the count: the raft incarnation, (broker epoch last noted) x
   * 65,536 + starts since. Apart from the session file, because the restart class governs partition
   * data only: a voter votes after power loss too.
   */
  beginIncarnation(): Promise<number>;
  /**
   * Notes a new registration, synced; returns the incarnation from here on. A disk rolled back to
   * before it is below what others know.
   */
  noteBrokerEpoch(brokerEpoch: BrokerEpoch): Promise<number>;
}

/** Live settings of one partition's log. */
export interface PartitionLogOptions {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  /** Small segments are merged once they are compacted; absent: they are not. */
  readonly mergesSegments?: boolean;
}

/** Whole frames from a log. */
export interface LogRead {
  /**
   * Each holds one or more whole frames; contiguous. Empty: nothing readable at this offset. Shared
   * memory: read only.
   */
  readonly chunks: readonly Uint8Array[];
  /** End (exclusive) of the last frame; equals the asked offset when empty. */
  readonly nextOffset: Offset;
}

/** A record whose key and value are text. */
export interface TextRecord {
  readonly key: string;
  /** Null: a tombstone. */
  readonly value: string | null;
}

/** Records of topics of the cluster's own, as frames and back. */
export interface TextRecords {
  /** One frame of 1 or more records, of no producer. */
  encode(records: readonly TextRecord[], timestampMs: WallMs): Uint8Array;
  /**
   * The frame at byte `at`. Throws BrokerError CORRUPT_BATCH or UNDECODABLE for what no broker
   * wrote.
   */
  decode(
    bytes: Uint8Array,
    at: number,
  ): {
    readonly header: BatchHeader;
    /** Of a control batch: none. */
    readonly records: readonly (TextRecord & { readonly offset: Offset })[];
  };
}

/** A segment, as retention looks at it. */
export interface LogSegment {
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  readonly bytes: number;
  readonly maxTimestampMs: WallMs;
}

/** What opening a partition's log found. */
export interface PartitionRecovery {
  readonly state: LogState;
  /**
   * The producer snapshot saved last, if it lies within the log: opaque text of the producer table
   * as of `offset`.
   */
  readonly snapshot: { readonly offset: Offset; readonly text: string } | null;
  /** Headers of every batch from the snapshot (or log start) to the end, in order. */
  readonly headers: readonly BatchHeader[];
  /**
   * Something was found damaged below the synced offset (P9): the replica is lossy, whatever its
   * start class.
   */
  readonly damage: { readonly fromOffset: Offset; readonly reason: string } | null;
}

/** Why compaction stopped, where that is a state of the machine; empty: it did not. */
export interface Shortage {
  readonly waitsFor?: 'space' | 'descriptors';
  /** Bytes that must be free beyond the reserve before it can go on. */
  readonly bytesNeeded?: number;
}

/** What a pass of compaction has come to. */
export interface CompactionOutcome extends Shortage {
  /** Of all segments, when it began and when it ended. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** All that the order asks is done, durably. */
  readonly isComplete: boolean;
}

/** What merging the small segments of a log has come to. */
export interface MergeOutcome extends Shortage {
  /** Segments that are part of others now. */
  readonly removed: number;
  /** Bytes that were copied. */
  readonly bytes: number;
  /** Segments of the log. */
  readonly segments: number;
}

/**
 * The calls of a pure job, which runs elsewhere or in slices. They are made one after the other.
 */
export type CompactionWork = {
  readonly [Name in keyof CompactionJob]: (
    ...input: Parameters<CompactionJob[Name]>
  ) => Promise<ReturnType<CompactionJob[Name]>>;
} & {
  /** Nothing is asked of it any more. */
  close(): void;
};

/**
 * Work for the processor, beside the loop: in a worker outside, in slices in the simulator. What it
 * needs of chance it draws itself. Blocks that it is given are its own from then on.
 */
export interface Background {
  compaction(order: CompactionOrder, target: StampTarget): CompactionWork;
}

/**
 * One partition's segments. Calls that change the log run in the order they were made; each
 * resolves when write(2) returned in full, or rejects: with STORAGE_FAILED, after which every later
 * change of this log rejects too; or with DISK_FULL or OVERLOADED, for want of space, descriptors
 * or memory: nothing was lost, and the log is closed and opened again before it takes another
 * change.
 */
export interface PartitionLog {
  readonly recovery: PartitionRecovery;
  /**
   * Appends stamped frames, contiguous at the end of the log. Everything queued in one turn goes
   * out in one writev. Keeps references to the frames.
   */
  append(frames: readonly Uint8Array[], headers: readonly BatchHeader[]): Promise<void>;
  /**
   * Cuts the log to end at `toOffset`, or, where that lies inside a batch, where the batch begins;
   * lowers the recovery point and syncs both before it resolves, to the new end.
   */
  truncate(toOffset: Offset, keepAside: boolean): Promise<Offset>;
  /**
   * Empties the log; it starts and ends at `start`, which is journalled. `keepAside`: its bytes are
   * kept.
   */
  reset(start: LogStart, keepAside?: boolean): Promise<void>;
  /**
   * Retention reached `startOffset`: raises the log start, journalled with the epoch of the batch
   * before, before files go. A log that is retired to its end begins a new segment there.
   * `keepAside`: the bytes below are kept, and a saved producer table, which may speak of them, is
   * not.
   */
  retire(startOffset: Offset, startEpoch: LeaderEpoch, keepAside?: boolean): Promise<void>;
  /**
   * Frames from the one that holds `fromOffset` up to, at most, those that end at or below
   * `upToOffset`; at least one frame if there is one, then no more than `bytesMax`. Answers at once
   * from memory where the tail is cached, else a promise. Rejects with DATA_CORRUPT on a bad
   * checksum, which it checks for bytes that come from disk.
   */
  read(fromOffset: Offset, upToOffset: Offset, bytesMax: number): LogRead | Promise<LogRead>;
  /**
   * First offset of the first batch of records, not of control, that ends above `fromOffset` and
   * has maxTimestampMs >= the given one, or null.
   */
  offsetForTimestamp(
    timestampMs: WallMs,
    upToOffset: Offset,
    fromOffset?: Offset,
  ): Promise<Offset | null>;
  /** Oldest first; the last one is written to. */
  segments(): readonly LogSegment[];
  /** Bytes in all segments. */
  sizeBytes(): number;
  /**
   * Remembered in memory, written with the next checkpoint (every few seconds, unsynced; synced at
   * an orderly close).
   */
  noteHighWaterMark(offset: Offset): void;
  /**
   * Saves the producer table as of `offset` (the end of the log when called) beside the log.
   * `epoch`: of the last batch, 0 for none.
   */
  saveSnapshot(offset: Offset, epoch: LeaderEpoch, text: string): void;
  /** Replays headers from disk, for rebuilding the producer table. */
  headers(fromOffset: Offset): Promise<readonly BatchHeader[]>;
  /**
   * Carries out an order to compact on this log alone; the same order leaves the same content on
   * every replica (K1, K8). The order is journalled before anything goes (K10). One segment at a
   * time, beside appends, reads and flushes; a truncation, reset, retirement or the end of the log
   * does not wait for it. It gives way at a segment's boundary, or gives up the file that it was
   * writing, and then resolves with `isComplete` false: the same or a larger order goes on from
   * there, also after a restart.
   *
   * Want of space or descriptors is no failure: it resolves with `waitsFor`, and may be asked
   * again. Rejects with INVALID_ARGUMENT for an order above the synced offset, or one that is below
   * an earlier one in any of its offsets; with DATA_CORRUPT where it meets damage, which it leaves
   * as it is (P9); with STORAGE_FAILED. At most one call at a time has effect; others wait for it.
   */
  compact(order: CompactionOrder): Promise<CompactionOutcome>;
  /**
   * Merges adjoining small segments below the X of an order that is carried out, where the options
   * ask for it, until none are left that are worth it (`broker/storage/compaction/merges.ts`). No
   * content changes (K8). Takes turns with {@link compact}; gives way, waits and rejects as it
   * does, but refuses nothing.
   */
  merge(): Promise<MergeOutcome>;
  configure(options: PartitionLogOptions): void;
  /** Syncs everything and closes. */
  close(): Promise<void>;
}

/** One broker's data directory. */
export interface Disk {
  readonly start: DiskStart;
  readonly quorum: QuorumLog;
  format(meta: DirectoryMeta): Promise<void>;
  /**
   * Syncs the incarnation into the session file and removes the clean flag. Must resolve before the
   * broker asks to be unfenced.
   */
  writeSession(brokerEpoch: BrokerEpoch): Promise<void>;
  /** Orderly stop: all logs synced and closed, then the clean flag, synced. */
  markClean(): Promise<void>;
  /**
   * After an I/O error or found damage: deletes the session file so that the next start is lossy.
   */
  markLossy(reason: string): Promise<void>;
  openPartition(
    topicId: TopicId,
    partition: number,
    options: PartitionLogOptions,
  ): Promise<PartitionLog>;
  /**
   * The quorum log is damaged or was rolled back: empties it and gives the directory another id, so
   * that it returns as a learner (P12). The session file goes too: the directory is not the one
   * that was trusted.
   */
  renew(directoryId: DirectoryId): Promise<void>;
  /** Deletes a closed partition's files. */
  deletePartition(topicId: TopicId, partition: number): Promise<void>;
  listPartitions(): readonly { readonly topicId: TopicId; readonly partition: number }[];
  /**
   * Bytes free on the volume for this broker, as of the last look (every second), less the reserve;
   * at or below 0 means full.
   */
  freeBytes(): number;
  /** Bytes of the volume, as of the last look. */
  totalBytes(): number;
  /** Why appends of data are refused for want of space, in words; null while there is room. */
  shortage(): string | null;
  /** Called for each background flush that covered a partition, with the new synced offset. */
  onSynced(callback: (topicId: TopicId, partition: number, offset: Offset) => void): void;
  /** Called once, on the first I/O error of a write or sync (P3): the broker must leave. */
  onFailure(callback: (error: Error) => void): void;
  /** Age in ms of the oldest byte that is written and not yet synced; 0 when none. */
  flushAgeMs(): number;
  /** Age in ms of the oldest write(2) that has not returned; 0 when none. */
  stuckWriteMs(): number;
  close(): Promise<void>;
}

/** Where a listener of a broker can be dialled. */
export type Address = HostPort;

/** Frames on their way to one follower. */
export interface PushedFrames {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly highWaterMark: Offset;
  readonly logStartOffset: Offset;
  readonly chunks: readonly Uint8Array[];
}

/** A follower's side of the stream to one leader broker. */
export interface ReplicaStream {
  /** States positions; several are sent as one message per turn. */
  sendPosition(topicId: TopicId, partition: number, position: Position): void;
  /** Returns credit for pushed bytes that were written. */
  sendCredit(bytes: number): void;
  close(): void;
}

/** What a follower is told on its stream. */
export interface ReplicaStreamEvents {
  onOpen(): void;
  onFrames(frames: PushedFrames): void;
  onMessage(topicId: TopicId, partition: number, message: FollowerMessage): void;
  /** The stream is gone; the runtime opens another when it still follows that broker. */
  onClose(reason: string): void;
}

/** The leader's side of one follower's stream. */
export interface FollowerLink {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** Bytes that may still be pushed; 0 or less means wait. */
  creditBytes(): number;
  push(frames: readonly PushedFrames[]): void;
  send(topicId: TopicId, partition: number, message: FollowerMessage): void;
  close(reason: string): void;
}

/** Log end of a replica, for elections that must look (quorum mode, unclean). */
export interface InspectedLog {
  readonly lastEpoch: number;
  readonly endOffset: Offset;
  /** What the replica knows to be committed; absent: nothing. */
  readonly highWaterMark?: Offset;
  /** Absent: a build that does not say. */
  readonly start?: LogStart;
}

/** One look at one replica. */
export interface Inspection {
  readonly topicId: TopicId;
  readonly partition: number;
  /** Seals: no older leader is acknowledged any more. */
  readonly leaderEpoch: number;
  /**
   * Registration that is asked; 0: whichever. Another incarnation's answer says nothing about this
   * one's disk.
   */
  readonly brokerEpoch: BrokerEpoch;
}

/**
 * A broker's state as it tells others, known to nobody else: for bootstrap, probes and the
 * operator.
 */
export interface NodeInfo {
  readonly brokerId: BrokerId;
  readonly directoryId: DirectoryId;
  readonly clusterId: string;
  readonly brokerEpoch: BrokerEpoch;
  readonly controller: BrokerId;
  /** Where the controller can be dialled; null: not known. */
  readonly controllerAddress: Address | null;
}

/** What the network asks of the runtime. */
export interface PeerHandler {
  onRaft(from: Peer, to: Peer, message: RaftMessage): void;
  /** A raft message that this build cannot read was left out. */
  onRaftRefused(reason: string): void;
  /**
   * A stream from a follower was opened with these epochs; throws BrokerError STALE_EPOCH or
   * NOT_LEADER to refuse.
   */
  onFollower(link: FollowerLink, targetEpoch: BrokerEpoch): void;
  onPosition(link: FollowerLink, topicId: TopicId, partition: number, position: Position): void;
  onCredit(link: FollowerLink): void;
  onFollowerClosed(link: FollowerLink): void;
  onController(request: ControllerRequest): Promise<Decision>;
  /** Rejects with BROKER_NOT_READY where the epoch is not known here within `deadlineMs`. */
  onInspect(inspection: Inspection, deadlineMs: number): Promise<InspectedLog | null>;
  nodeInfo(): NodeInfo;
  /** A peer's connection was reset or closed. */
  onDisconnected(brokerId: BrokerId): void;
}

/** Other brokers. */
export interface Peers {
  serve(handler: PeerHandler): void;
  /** Where brokers can be found by id; the runtime updates it from metadata and seeds. */
  setAddresses(addresses: ReadonlyMap<BrokerId, Address>): void;
  /** Best effort, bounded: drops when the peer cannot be reached or its queue is full. */
  sendRaft(from: Peer, envelope: Envelope): void;
  /** Calls the broker; rejects with a BrokerError (UNREACHABLE when no answer came). */
  callController(
    brokerId: BrokerId,
    request: ControllerRequest,
    deadlineMs: number,
  ): Promise<Decision>;
  callInspect(
    brokerId: BrokerId,
    inspection: Inspection,
    deadlineMs: number,
  ): Promise<InspectedLog | null>;
  /** Asks an address who it is; null when nothing listens, rejects when silent. */
  probe(address: Address, deadlineMs: number): Promise<NodeInfo | null>;
  /** Opens the follower's stream to a leader broker. */
  follow(
    brokerId: BrokerId,
    hello: {
      readonly self: BrokerId;
      readonly selfEpoch: BrokerEpoch;
      readonly targetEpoch: BrokerEpoch;
      readonly clusterId: string;
    },
    events: ReplicaStreamEvents,
  ): ReplicaStream;
  close(): Promise<void>;
}
