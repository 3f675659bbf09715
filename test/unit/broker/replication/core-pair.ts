/**
 * Two replicas of one partition, each the real core over a log in memory, and the controller and
 * the network between them, by hand. What a batch holds is read from its frame, so a test can
 * compare what was acknowledged with what stands in the logs.
 */
import { crc32 } from 'node:zlib';

import { Partition } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import type {
  AppendTerms,
  AppendResult,
  Assignment,
  LogWrite,
  PartitionInput,
} from '../../../../broker/replication/types.ts';
import { type BatchHeader, checkFrame } from '../../../../wire/batch/frame.ts';
import { decodeBatch } from '../../../../wire/records/batch.ts';

const NOBODY = -1;
const IDS = [1, 2] as const;
export type ReplicaId = (typeof IDS)[number];

/** A batch where a log has it. */
interface Entry {
  readonly header: BatchHeader;
  readonly values: readonly string[];
}

interface Pending {
  readonly frame: Uint8Array;
  readonly header: BatchHeader;
  readonly done: (result: AppendResult) => void;
}

export class CorePair {
  readonly #replicas = new Map(IDS.map((id) => [id, new CoreReplica(id)]));
  #partitionEpoch = 1;
  leader: ReplicaId | typeof NOBODY = NOBODY;
  leaderEpoch = 0;
  /** Nothing passes between the replicas. */
  isCut = false;

  constructor() {
    this.assign(1);
  }

  replica(id: ReplicaId): CoreReplica {
    return this.#replicas.get(id) as CoreReplica;
  }

  /**
   * A new leader epoch, told to both replicas, or to those named: the others have not heard of it.
   */
  assign(leader: ReplicaId | typeof NOBODY, told: readonly ReplicaId[] = IDS): void {
    this.leader = leader;
    this.leaderEpoch += 1;
    this.#partitionEpoch += 1;
    this.tell(told);
  }

  /** The present assignment, to whom it is news. */
  tell(told: readonly ReplicaId[] = IDS): void {
    const assignment: Assignment = {
      leader: this.leader,
      leaderEpoch: this.leaderEpoch,
      partitionEpoch: this.#partitionEpoch,
      replicas: IDS.map((brokerId) => ({
        brokerId,
        brokerEpoch: 10 + brokerId,
        fenced: false,
        stopping: false,
      })),
      syncSet: IDS,
      quorum: 2,
      suspects: [],
      uncleanEpoch: 0,
      successor: NOBODY,
      minInSyncReplicas: 2,
      commitMode: 'in-sync',
      batchBytesMax: 1_000_000,
    };
    for (const id of told) this.replica(id).step({ kind: 'assign', assignment });
  }

  tick(nowMs: number): void {
    for (const id of IDS) this.replica(id).step({ kind: 'tick', nowMs });
  }

  /** Lets everything pass between the replicas, until there is nothing left to say. */
  flow(): void {
    if (this.isCut) return;
    for (let isMoving = true; isMoving; )
      isMoving = IDS.map((id) => this.#flowFrom(id)).some(Boolean);
  }

  #flowFrom(id: ReplicaId): boolean {
    const from = this.replica(id);
    const to = this.replica(id === 1 ? 2 : 1);
    const said = from.outbox.splice(0);
    for (const input of said) to.step(input);
    const window = from.core.pushWindow(to.id);
    if (window === null) return said.length > 0;
    const entries = from.log.filter(
      ({ header }) => header.baseOffset >= window.from && header.baseOffset < window.upTo,
    );
    from.core.pushed(to.id, window.upTo, window.highWaterMark);
    to.receive(entries, {
      kind: 'frames',
      from: id,
      leaderEpoch: window.leaderEpoch,
      highWaterMark: window.highWaterMark,
      logStartOffset: window.logStartOffset,
      headers: entries.map(({ header }) => header),
    });
    return true;
  }
}

export class CoreReplica {
  readonly id: ReplicaId;
  readonly core: Partition;
  log: Entry[] = [];
  /** What it says to the other one. */
  readonly outbox: PartitionInput[] = [];
  readonly #pending = new Map<number, Pending>();
  readonly #inputs: PartitionInput[] = [];
  #inHand: readonly Entry[] = [];
  #isStepping = false;
  #nextRequestId = 1;

  constructor(id: ReplicaId) {
    this.id = id;
    const empty = { startOffset: 0, endOffset: 0, epochs: [], highWaterMark: 0, syncedOffset: 0 };
    this.core = new Partition(
      {
        self: id,
        selfEpoch: 10 + id,
        key: 'topic/0',
        lagMsMax: 1_000_000,
        appendsPendingMax: 8,
        nowMs: 0,
      },
      empty,
      new ProducerTable({ producersMax: 100, nowMs: 0 }),
    );
  }

  /** Values in the log, at the offset of each; null where a control batch stands. */
  values(): (string | null)[] {
    return this.log.flatMap<string | null>(({ header, values }) =>
      header.isControl ? [null] : [...values],
    );
  }

  append(frame: Uint8Array, terms: AppendTerms, done: (result: AppendResult) => void): void {
    const header = checkFrame(frame, 0, crc32);
    const requestId = this.#nextRequestId;
    this.#nextRequestId += 1;
    this.#pending.set(requestId, { frame, header, done });
    this.step({ kind: 'append', requestId, ...terms, header, wallMs: 0 });
  }

  receive(entries: readonly Entry[], input: PartitionInput): void {
    this.#inHand = entries;
    this.step(input);
  }

  step(input: PartitionInput): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift())
      this.#carryOut(next);
    this.#isStepping = false;
  }

  #carryOut(input: PartitionInput): void {
    const output = this.core.step(input);
    if (output.stopped !== null) throw new Error(output.stopped);
    for (const write of output.writes) {
      this.#write(write);
      this.#inputs.push({ kind: 'written', writeId: write.writeId });
    }
    for (const { requestId, result } of output.replies) {
      const pending = this.#pending.get(requestId);
      this.#pending.delete(requestId);
      if (pending === undefined) throw new Error(`request ${requestId} is answered twice`);
      pending.done(result);
    }
    for (const message of output.messages) this.outbox.push({ ...message, from: this.id });
    if (output.position !== null)
      this.outbox.push({ kind: 'position', position: output.position.position });
  }

  #write(write: LogWrite): void {
    if (write.kind === 'append') {
      const { baseOffset, leaderEpoch, requestId } = write;
      const { frame, header } = this.#pending.get(requestId) as Pending;
      const { records } = decodeBatch(frame, 0, crc32);
      const values = records.map(({ value }) => Buffer.from(value ?? '').toString());
      this.log.push({ header: { ...header, baseOffset, leaderEpoch }, values });
    } else if (write.kind === 'control') {
      const { baseOffset, leaderEpoch } = write;
      this.log.push({ header: epochStart(baseOffset, leaderEpoch), values: [] });
    } else if (write.kind === 'replicate') {
      this.log.push(...this.#inHand.slice(write.first, write.last));
    } else if (write.kind === 'truncate') {
      this.log = this.log.filter(({ header }) => header.baseOffset < write.toOffset);
    } else {
      throw new Error(`the log is never ${write.kind} here`);
    }
  }
}

function epochStart(baseOffset: number, leaderEpoch: number): BatchHeader {
  return {
    baseOffset,
    leaderEpoch,
    length: 68,
    leaderCrc: 0,
    crc: 0,
    codec: 0,
    isControl: true,
    isSparse: false,
    lastOffsetDelta: 0,
    recordCount: 1,
    baseSequence: 0xffff_ffff,
    baseTimestampMs: 0,
    maxTimestampMs: 0,
    producerId: 0,
    producerEpoch: 0,
  };
}
