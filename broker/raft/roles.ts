/**
 * What a replica holds only while it leads, or only while it campaigns. Such a state begins with
 * the role and ends with it, so that nothing of one leadership can be taken for part of the next.
 * Pure.
 */
import type { Progress } from './progress.ts';
import type { Peer, PeerKey } from './types.ts';

/** A leader's round of heartbeats that reads wait for (thesis 6.4). */
export interface ReadRound {
  readonly round: number;
  readonly readIndex: number;
  readonly ids: readonly number[];
}

export interface LeaderState {
  readonly role: 'leader';
  /** Every other voter, and the learners that asked to follow. */
  readonly progress: Map<PeerKey, Progress>;
  /** Proposals that wait for commitment: request id by index. */
  readonly pending: Map<number, number>;
  /** Number of the last round of heartbeats. */
  round: number;
  /** Tick of the next one. */
  heartbeatAt: number;
  transfer: { readonly to: Peer; readonly until: number } | null;
  readRound: ReadRound | null;
  /** Reads that came during a round share the next. */
  readsWaiting: number[];
}

export interface CandidateState {
  readonly role: 'pre-candidate' | 'candidate';
  /** Who granted this campaign. */
  readonly votes: Set<PeerKey>;
}

/** A leadership that begins now. */
export function newLeaderState(heartbeatAt: number): LeaderState {
  return {
    role: 'leader',
    progress: new Map(),
    pending: new Map(),
    round: 0,
    heartbeatAt,
    transfer: null,
    readRound: null,
    readsWaiting: [],
  };
}
