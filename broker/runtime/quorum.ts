/**
 * Drives the raft core: feeds it ticks, messages and finished writes, keeps its outputs in order, and folds what is committed into the
 * metadata image. Knows nothing of what the records mean. DESIGN.md section 4; P1 of logs.md section 3.
 */
import { assert } from '../base/assert.ts';
import { BrokerError } from '../base/errors.ts';
import type { BrokerId } from '../base/units.ts';
import { NO_BROKER } from '../base/units.ts';
import { apply, emptyImage } from '../metadata/apply.ts';
import { decodeImage, decodeRecords, encodeImage, encodeRecords } from '../metadata/codec.ts';
import type { MetadataImage, MetadataRecord } from '../metadata/types.ts';
import { peerKey } from '../raft/peer.ts';
import { Raft } from '../raft/raft.ts';
import type {
  Durable,
  Envelope,
  Peer,
  RaftInput,
  RaftMessage,
  RaftOutput,
  RaftStatus,
  RequestReply,
  Snapshot,
} from '../raft/types.ts';
import { STARTS_PER_EPOCH } from './ports.ts';
import type { Cancel, Clock, Peers, QuorumLog } from './ports.ts';

/** Period of the core's tick. */
export const RAFT_TICK_MS = 10;
/** Entries that may gather before the image takes their place. */
const LOG_BYTES_MAX = 4 * 1024 * 1024;

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
  /** This disk is behind what others know (`isRolledBack`), or cannot be written, or holds what this build cannot read: the process must not go on. */
  readonly onFatal: (reason: string, isRolledBack: boolean) => void;
}

type Pending = {
  readonly resolve: (index: number) => void;
  readonly reject: (error: BrokerError) => void;
};

export class Quorum {
  readonly #options: QuorumOptions;
  readonly #raft: Raft;
  #image: MetadataImage;
  #status: RaftStatus;
  #nextId = 1;
  readonly #pending = new Map<number, Pending>();
  /** Envelopes that wait for a write, in the order of their write ids. */
  #held: { readonly writeId: number; readonly envelope: Envelope }[] = [];
  readonly #inputs: RaftInput[] = [];
  #isStepping = false;
  #isClosed = false;
  #cancelTick: Cancel = () => {};

  constructor(options: QuorumOptions) {
    this.#options = options;
    const { snapshot } = options.durable;
    this.#image = snapshot === null ? emptyImage() : imageOf(snapshot);
    this.#raft = new Raft(
      { self: options.self, incarnation: options.incarnation, seed: options.seed },
      options.durable,
    );
    this.#status = this.#raft.status();
  }

  start(): void {
    this.#announceImage();
    this.#cancelTick = this.#options.clock.every(RAFT_TICK_MS, () => {
      this.step({ kind: 'tick' });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTick();
    for (const pending of this.#pending.values()) {
      pending.reject(
        new BrokerError(
          'BROKER_NOT_READY',
          `Cannot wait for metadata: broker ${this.#options.self.brokerId} is stopping`,
        ),
      );
    }
    this.#pending.clear();
  }

  get image(): MetadataImage {
    return this.#image;
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

  /** Resolves with the index once the records are committed and folded into `image`. Rejects with NOT_CONTROLLER, OVERLOADED, REFUSED or OUTCOME_UNKNOWN. */
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

  /** One input for the core. Inputs made while a step is under way wait their turn. */
  step(input: RaftInput): void {
    if (this.#isClosed) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (
        let next = this.#inputs.shift();
        next !== undefined && !this.#isClosed;
        next = this.#inputs.shift()
      ) {
        this.#carryOut(this.#raft.step(next));
      }
    } finally {
      this.#isStepping = false;
    }
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
    if (output.writes.length > 0) this.#write(output.writes);
    for (const envelope of output.send) this.#options.peers.sendRaft(this.#options.self, envelope);
    this.#held.push(...output.sendAfter);
    const fault = this.#fold(output);
    if (fault !== null) {
      // To go on would let this broker's image drift apart from the others'.
      this.close();
      this.#options.onFatal(fault, false);
      return;
    }
    for (const reply of [...output.proposals, ...output.reads]) this.#settle(reply);
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
        if (!this.#isClosed)
          this.#options.onFatal(`the quorum log cannot be written: ${String(error)}`, false);
      },
    );
  }

  #release(writeId: number): void {
    const ready = this.#held.filter((held) => held.writeId <= writeId);
    this.#held = this.#held.filter((held) => held.writeId > writeId);
    for (const { envelope } of ready) this.#options.peers.sendRaft(this.#options.self, envelope);
  }

  /** Returns what is wrong with metadata that this build cannot read, else null. */
  #fold(output: RaftOutput): string | null {
    const before = this.#image;
    try {
      this.#image = imageAfter(before, output);
    } catch (error) {
      if (error instanceof BrokerError) return error.message;
      throw error;
    }
    if (this.#image !== before) this.#announceImage();
    if (output.status.logBytes > LOG_BYTES_MAX) {
      this.step({ kind: 'compact', index: this.#image.index, data: encodeImage(this.#image) });
    }
    return null;
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
      pending.resolve(result.index);
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

/** The image with everything folded in that was committed. Throws BrokerError DATA_CORRUPT for what this build cannot read. */
function imageAfter(before: MetadataImage, { restore, committed }: RaftOutput): MetadataImage {
  return committed.reduce(
    (image, { kind, data, index, term }) =>
      apply(image, kind === 'data' ? decodeRecords(data) : [], { index, term }),
    restore === null ? before : imageOf(restore),
  );
}

/** The image of a snapshot; the one that a cluster is formed with holds nothing but the first voter. */
function imageOf({ data }: Snapshot): MetadataImage {
  return data === '' ? emptyImage() : decodeImage(data);
}
