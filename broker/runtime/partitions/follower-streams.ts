/**
 * Follower's side of replication: one stream to each broker that leads something this broker
 * follows, opened again when it breaks or when either side registers anew. A stream belongs to one
 * pair of broker epochs (docs/rules.md#data-path).
 */
import type { BrokerEpoch, BrokerId, TopicId } from '../../../base/units.ts';
import type { FollowerMessage, Position } from '../../replication/types.ts';
import type { Clock } from '../../../base/clock.ts';
import type { Peers, PushedFrames, ReplicaStream } from '../ports.ts';

/** Pause before a broken stream is opened again. */
const REOPEN_MS = 50;

export interface FollowerStreamsHost {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly self: BrokerId;
  readonly clusterId: string;
  /** A stream to this leader is open: state every position again. */
  onOpen(leader: BrokerId): void;
  onFrames(leader: BrokerId, frames: PushedFrames): void;
  onMessage(leader: BrokerId, topicId: TopicId, partition: number, message: FollowerMessage): void;
}

interface StreamState {
  readonly selfEpoch: BrokerEpoch;
  readonly targetEpoch: BrokerEpoch;
  stream: ReplicaStream | null;
  isOpen: boolean;
}

export class FollowerStreams {
  readonly #host: FollowerStreamsHost;
  readonly #streams = new Map<BrokerId, StreamState>();
  #isClosed = false;

  constructor(host: FollowerStreamsHost) {
    this.#host = host;
  }

  /** Opens and closes streams so that there is one for each of these leaders, at these epochs. */
  update(selfEpoch: BrokerEpoch, leaders: ReadonlyMap<BrokerId, BrokerEpoch>): void {
    for (const [leader, state] of [...this.#streams]) {
      if (state.selfEpoch === selfEpoch && leaders.get(leader) === state.targetEpoch) continue;
      this.#streams.delete(leader);
      state.stream?.close();
    }
    for (const [leader, targetEpoch] of leaders) {
      if (this.#streams.has(leader)) continue;
      const state: StreamState = { selfEpoch, targetEpoch, stream: null, isOpen: false };
      this.#streams.set(leader, state);
      this.#open(leader, state);
    }
  }

  /**
   * Opens the stream to a leader anew: a replica that lost pushed frames states its position again,
   * and only a new stream makes the leader push from there (rule 14).
   */
  restart(leader: BrokerId): void {
    const fresh = this.#close(leader);
    if (fresh !== null) this.#open(leader, fresh);
  }

  /** {@link restart} after a pause: what the leader said cannot be, and it may say so again. */
  reopen(leader: BrokerId): void {
    const fresh = this.#close(leader);
    if (fresh !== null) this.#openLater(leader, fresh);
  }

  /** Dropped while the stream is not open: positions are stated again when it opens. */
  sendPosition(leader: BrokerId, topicId: TopicId, partition: number, position: Position): void {
    const state = this.#streams.get(leader);
    if (state?.isOpen === true) state.stream?.sendPosition(topicId, partition, position);
  }

  sendCredit(leader: BrokerId, bytes: number): void {
    const state = this.#streams.get(leader);
    if (state?.isOpen === true) state.stream?.sendCredit(bytes);
  }

  close(): void {
    this.#isClosed = true;
    for (const state of this.#streams.values()) state.stream?.close();
    this.#streams.clear();
  }

  /**
   * Ends the stream to a leader. @returns what the next one begins with, or null when there is to
   * be none
   */
  #close(leader: BrokerId): StreamState | null {
    const state = this.#streams.get(leader);
    if (state === undefined) return null;
    state.stream?.close();
    const fresh: StreamState = { ...state, stream: null, isOpen: false };
    this.#streams.set(leader, fresh);
    return fresh;
  }

  #openLater(leader: BrokerId, state: StreamState): void {
    this.#host.clock.after(REOPEN_MS, () => {
      const isCurrent = this.#streams.get(leader) === state;
      if (isCurrent && !this.#isClosed && state.stream === null) this.#open(leader, state);
    });
  }

  #open(leader: BrokerId, state: StreamState): void {
    const { self, clusterId } = this.#host;
    const { selfEpoch, targetEpoch } = state;
    const isCurrent = (): boolean => this.#streams.get(leader) === state;
    state.stream = this.#host.peers.follow(
      leader,
      { self, selfEpoch, targetEpoch, clusterId },
      {
        onOpen: () => {
          if (!isCurrent()) return;
          state.isOpen = true;
          this.#host.onOpen(leader);
        },
        onFrames: (frames) => {
          if (isCurrent()) this.#host.onFrames(leader, frames);
        },
        onMessage: (topicId, partition, message) => {
          if (isCurrent()) this.#host.onMessage(leader, topicId, partition, message);
        },
        onClose: () => {
          state.isOpen = false;
          state.stream = null;
          if (isCurrent()) this.#openLater(leader, state);
        },
      },
    );
  }
}
