/**
 * Drives the raft core: feeds it ticks, messages and finished writes, keeps its outputs in order,
 * and folds what is committed into the metadata image. What this build cannot read it neither
 * writes nor applies. Knows nothing of what the records mean. docs/rules.md#metadata-quorum; P1.
 */
import { assert } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { NO_BROKER } from '../../../base/units.ts';
import { apply, emptyImage } from '../../metadata/apply.ts';
import { decodeImage, decodeRecords, encodeImage, encodeRecords } from '../../metadata/codec.ts';
import { decisionsOf } from '../../metadata/explain.ts';
import type { MetadataImage, MetadataRecord } from '../../metadata/types.ts';
import { peerKey } from '../../raft/peer.ts';
import { Raft } from '../../raft/raft.ts';
import type {
  Durable,
  Entry,
  Envelope,
  Peer,
  RaftInput,
  RaftMessage,
  RaftOutput,
  RaftStatus,
  RequestReply,
  Snapshot,
} from '../../raft/types.ts';
import { STARTS_PER_EPOCH } from '../ports.ts';
import type { Clock } from '../../../base/clock.ts';
import type { Peers, QuorumLog } from '../ports.ts';
import { StepQueue } from '../step-queue.ts';
import { DecisionLog } from './decision-log.ts';
import { RaftTime } from './raft-time.ts';
import { reasonOf } from '../../../base/reason.ts';

/** Refused messages are told of at most this often. */
const REFUSAL_QUIET_MS = 1_000;
/** Index of the snapshot that a cluster is formed with: it has no image. */
const FORMED_INDEX = 1;
/** Entries that may gather before the image takes their place. */
const LOG_BYTES_MAX = 4 * 1024 * 1024;

/** Committed metadata that this build cannot read: the image ends before it. */
export interface UnreadableMetadata {
  readonly index: number;
  readonly reason: string;
}

export interface QuorumOptions {
  readonly self: Peer;
  readonly incarnation: number;
  readonly seed: number;
  readonly durable: Durable;
  readonly clock: Clock;
  readonly log: QuorumLog;
  readonly peers: Peers;
  /** The image moved. */
  readonly onImage: (image: MetadataImage) => void;
  /** Role, term, leader or readiness changed. */
  readonly onStatus: (status: RaftStatus) => void;
  /** The image stays where it is, or (null) moves again: a later image could be read. */
  readonly onUnreadable: (unreadable: UnreadableMetadata | null) => void;
  /** A message said what no honest replica would. `count`: such messages since the start. */
  readonly onRefused: (reason: string, count: number) => void;
  /**
   * This disk is behind what others know (`isRolledBack`), or cannot be written: the process must
   * not go on.
   */
  readonly onFatal: (reason: string, isRolledBack: boolean) => void;
}

type Pending = {
  readonly resolve: (index: number) => void;
  readonly reject: (error: BrokerError) => void;
};

export class Quorum {
  /** What was decided about partitions since this broker started. */
  readonly decisions = new DecisionLog();
  readonly #options: QuorumOptions;
  /** Entries up to this one lay in the log when this broker started. */
  readonly #lastIndexFound: number;
  readonly #raft: Raft;
  #image: MetadataImage = emptyImage();
  #unreadable: UnreadableMetadata | null = null;
  #refusals = 0;
  #refusalToldMs = -Infinity;
  #status: RaftStatus;
  #nextId = 1;
  readonly #pending = new Map<number, Pending>();
  /** Envelopes that wait for a write, in the order of their write ids. */
  #held: { readonly writeId: number; readonly envelope: Envelope }[] = [];
  readonly #steps = new StepQueue<RaftInput>((input) => {
    this.#carryOut(this.#raft.step(input));
  });
  readonly #time: RaftTime;

  constructor(options: QuorumOptions) {
    this.#options = options;
    const { snapshot, entries } = options.durable;
    this.#lastIndexFound = entries.at(-1)?.index ?? snapshot?.index ?? 0;
    if (snapshot !== null) this.#restore(snapshot);
    this.#raft = new Raft(
      {
        self: options.self,
        incarnation: options.incarnation,
        seed: options.seed,
        entryFault: (data) => faultOf(() => decodeRecords(data)),
        imageFault: (image) => faultOf(() => imageOf(image)),
      },
      options.durable,
    );
    this.#status = this.#raft.status();
    this.#time = new RaftTime({
      clock: options.clock,
      ticksAtRest: () => this.#raft.ticksAtRest(),
      tick: () => this.#steps.push({ kind: 'tick' }),
    });
  }

  start(): void {
    if (this.#unreadable !== null) this.#noteUnreadable(this.#unreadable);
    this.#announceImage();
    this.#time.start();
  }

  close(): void {
    this.#steps.close();
    this.#time.close();
    for (const pending of this.#pending.values()) {
      pending.reject(
        new BrokerError(
          'OUTCOME_UNKNOWN',
          `Cannot wait for metadata: broker ${this.#options.self.brokerId} is stopping`,
        ),
      );
    }
    this.#pending.clear();
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** Why the image does not move; null while it does. */
  get unreadable(): UnreadableMetadata | null {
    return this.#unreadable;
  }

  get status(): RaftStatus {
    return this.#status;
  }

  /** Broker that leads the quorum as far as this one knows, or NO_BROKER. */
  get leader(): BrokerId {
    return this.#status.leader?.brokerId ?? NO_BROKER;
  }

  receive(from: Peer, to: Peer, message: RaftMessage): void {
    this.step({ kind: 'message', from, to, message });
  }

  /** A message counted for nothing. */
  noteRefusal(reason: string): void {
    this.#refusals += 1;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#refusalToldMs < REFUSAL_QUIET_MS) return;
    this.#refusalToldMs = nowMs;
    this.#options.onRefused(reason, this.#refusals);
  }

  /**
   * Resolves with the index once the records are committed and folded into `image`. Rejects with
   * NOT_CONTROLLER, OVERLOADED, REFUSED or OUTCOME_UNKNOWN.
   */
  propose(records: readonly MetadataRecord[]): Promise<number> {
    const data = encodeRecords(records);
    return this.#request((id) => ({ kind: 'propose', id, data }));
  }

  /** Gives up leadership: the application above cannot go on as controller in this term. */
  resign(): void {
    this.step({ kind: 'resign' });
  }

  changeVoters(voters: readonly Peer[]): Promise<number> {
    return this.#request((id) => ({ kind: 'change-voters', id, voters }));
  }

  /** One input for the core. */
  step(input: RaftInput): void {
    this.#time.pass();
    this.#steps.push(input);
    this.#time.sleep();
  }

  #request(input: (id: number) => RaftInput): Promise<number> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.step(input(id));
    });
  }

  #carryOut(output: RaftOutput): void {
    if (output.deposed !== null) {
      this.#options.onFatal(output.deposed, true);
      return;
    }
    if (output.refused !== null) this.noteRefusal(output.refused);
    if (output.writes.length > 0) this.#write(output.writes);
    for (const envelope of output.send) this.#options.peers.sendRaft(this.#options.self, envelope);
    this.#held.push(...output.sendAfter);
    this.#fold(output);
    for (const reply of [...output.proposals, ...output.reads]) this.#settle(reply);
    // A leader that cannot read what is committed is none: the step that ends its leadership is
    // next.
    if (this.#unreadable === null || output.status.role !== 'leader')
      this.#noteStatus(output.status);
  }

  #write(writes: RaftOutput['writes']): void {
    const last = writes.at(-1);
    assert(last !== undefined, 'a write list is not empty');
    this.#options.log.write(writes).then(
      () => {
        this.#release(last.id);
        this.step({ kind: 'persisted', writeId: last.id });
      },
      (error: unknown) => {
        if (!this.#steps.isClosed)
          this.#options.onFatal(`the quorum log cannot be written: ${String(error)}`, false);
      },
    );
  }

  #release(writeId: number): void {
    const ready = this.#held.filter((held) => held.writeId <= writeId);
    this.#held = this.#held.filter((held) => held.writeId > writeId);
    for (const { envelope } of ready) this.#options.peers.sendRaft(this.#options.self, envelope);
  }

  #fold({ restore, committed, status }: RaftOutput): void {
    const before = this.#image;
    const wasUnreadable = this.#unreadable;
    if (restore !== null) this.#restore(restore);
    for (const entry of committed) this.#apply(entry);
    if (this.#unreadable !== wasUnreadable) this.#noteUnreadable(this.#unreadable);
    if (this.#image !== before) this.#announceImage();
    if (status.logBytes > LOG_BYTES_MAX && this.#image.index > status.snapshotIndex)
      this.step({ kind: 'compact', index: this.#image.index, data: encodeImage(this.#image) });
  }

  #restore(snapshot: Snapshot): void {
    this.#unreadable = unlessRead(snapshot.index, () => {
      this.#image = imageOf(snapshot);
      this.decisions.skippedTo(snapshot.index);
    });
  }

  /** Nothing after what cannot be read is applied: the image would drift apart from the others'. */
  #apply({ index, term, kind, data }: Entry): void {
    this.#unreadable ??= unlessRead(index, () => {
      const records = kind === 'data' ? decodeRecords(data) : [];
      const before = this.#image;
      this.#image = apply(before, records, { index, term });
      // What is told of an entry must not keep it from counting.
      if (faultOf(() => this.#remember(before, records)) !== null) this.decisions.skippedTo(index);
    });
  }

  #remember(before: MetadataImage, records: readonly MetadataRecord[]): void {
    const { index } = this.#image;
    const atMs = index > this.#lastIndexFound ? this.#options.clock.wallMs() : null;
    this.decisions.note(index, atMs, decisionsOf(before, this.#image, records));
    for (const record of records)
      if (record.kind === 'topic-deleted') this.decisions.forget(record.topicId);
  }

  #noteUnreadable(unreadable: UnreadableMetadata | null): void {
    this.step({ kind: 'eligible', isEligible: unreadable === null });
    this.#options.onUnreadable(unreadable);
  }

  #announceImage(): void {
    const brokers = [...this.#image.brokers.values()];
    const peerOf = (broker: { brokerId: number; directoryId: string }): Peer => ({
      brokerId: broker.brokerId,
      directoryId: broker.directoryId,
    });
    this.step({
      kind: 'incarnations',
      known: new Map(
        brokers.map((broker) => [peerKey(peerOf(broker)), broker.unfencedEpoch * STARTS_PER_EPOCH]),
      ),
    });
    if (brokers.length > 0) this.step({ kind: 'seeds', peers: brokers.map(peerOf) });
    this.#options.onImage(this.#image);
  }

  #settle(reply: RequestReply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    const { result } = reply;
    if (result.ok) {
      if (this.#unreadable === null) pending.resolve(result.index);
      else pending.reject(unreadableHere(this.#unreadable));
      return;
    }
    const controller = result.leader === null ? {} : { controller: result.leader.brokerId };
    const code = {
      NOT_LEADER: 'NOT_CONTROLLER',
      BUSY: 'OVERLOADED',
      REFUSED: 'REFUSED',
      OUTCOME_UNKNOWN: 'OUTCOME_UNKNOWN',
    } as const;
    pending.reject(new BrokerError(code[result.code], result.message, controller));
  }

  #noteStatus(status: RaftStatus): void {
    const before = this.#status;
    this.#status = status;
    const isSame =
      before.role === status.role &&
      before.term === status.term &&
      before.leader?.brokerId === status.leader?.brokerId &&
      before.isLeaderReady === status.isLeaderReady;
    if (!isSame) this.#options.onStatus(status);
  }
}

/**
 * The image of a snapshot; the one that a cluster is formed with holds nothing but the first voter.
 */
function imageOf({ index, data }: Snapshot): MetadataImage {
  if (data === '' && index === FORMED_INDEX) return emptyImage();
  const image = decodeImage(data);
  if (image.index === index) return image;
  throw new BrokerError(
    'DATA_CORRUPT',
    `Cannot read metadata snapshot: its index is ${image.index}, must be ${index}`,
  );
}

function unreadableHere({ index, reason }: UnreadableMetadata): BrokerError {
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    `Cannot apply what is committed: entry ${index} cannot be read: ${reason}`,
  );
}

/** What was wrong with the metadata at `index`; null when it could be read. */
function unlessRead(index: number, read: () => void): UnreadableMetadata | null {
  const reason = faultOf(read);
  return reason === null ? null : { index, reason };
}

/**
 * Why `read` failed, in words. Also a defect of this build: it would meet the same metadata at
 * every start.
 */
function faultOf(read: () => void): string | null {
  try {
    read();
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}
