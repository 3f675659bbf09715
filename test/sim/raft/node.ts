/**
 * One simulated broker of the group: a core while it runs, its disk, the writes and messages under
 * way, and a tiny application.
 */
import { peerKey } from '../../../broker/raft/peer.ts';
import { Raft } from '../../../broker/raft/raft.ts';
import type { Envelope, Peer, PeerKey, RaftWrite, Snapshot } from '../../../broker/raft/types.ts';
import { Disk } from './disk.ts';

/** The application: a hash over everything that it applied. */
export interface Image {
  readonly index: number;
  readonly hash: number;
}

export class SimNode {
  readonly brokerId: number;
  peer: Peer;
  key: PeerKey;
  disk = new Disk();
  raft: Raft | null = null;
  image: Image = { index: 0, hash: 0 };
  /** The process was told that its disk is an old copy, or will be once it hears of anyone. */
  isRolledBack = false;
  generation = 0;
  /** Rises with every start and crash: events of an earlier life are dropped. */
  life = 0;
  /** Lives whose last messages were lost with their process. */
  readonly lostLives = new Set<number>();
  pendingWrites: RaftWrite[] = [];
  isSyncing = false;
  held: { readonly writeId: number; readonly envelope: Envelope }[] = [];
  /** Copies of the disk at earlier stops. */
  copies: Disk[] = [];

  constructor(brokerId: number) {
    this.brokerId = brokerId;
    this.peer = { brokerId, directoryId: `d${brokerId}.0` };
    this.key = peerKey(this.peer);
  }

  /** Replaces the disk by an empty one: a new identity (P12). */
  emptyDisk(): void {
    this.generation += 1;
    this.peer = { brokerId: this.brokerId, directoryId: `d${this.brokerId}.${this.generation}` };
    this.key = peerKey(this.peer);
    this.disk = new Disk();
    this.copies = [];
    this.isRolledBack = false;
  }

  /** Starts a process on what the disk holds. */
  start(seed: number, appendBytesMax: number): void {
    this.life += 1;
    this.disk.incarnation += 1;
    const options = {
      self: this.peer,
      incarnation: this.disk.incarnation,
      seed,
      appendBytesMax,
      inflightAppendsMax: 4,
      tailEntriesMax: 8,
      proposalsPendingMax: 64,
    };
    const { snapshot } = this.disk.durable;
    this.raft = new Raft(options, this.disk.durable);
    this.image = snapshot === null ? { index: 0, hash: 0 } : this.imageOf(snapshot);
  }

  /** The process dies; of the writes under way, the first `survivors` reached the disk. */
  crash(survivors: number): void {
    this.life += 1;
    for (const write of this.pendingWrites.slice(0, survivors)) this.disk.apply(write);
    this.raft = null;
    this.pendingWrites = [];
    this.held = [];
    this.isSyncing = false;
    this.copies = [...this.copies.slice(-4), this.disk.copy()];
  }

  imageOf(snapshot: Snapshot): Image {
    if (snapshot.data === '') return { index: snapshot.index, hash: 0 };
    const { index, hash } = JSON.parse(snapshot.data) as Image;
    return { index, hash };
  }
}
