/** Identities of replicas, and counting them. Pure. */
import type { Peer, PeerKey } from './types.ts';

/** Key of a peer in maps and sets. */
export function peerKey(peer: Peer): PeerKey {
  return `${peer.brokerId}/${peer.directoryId}`;
}

/** True when both name the same directory of the same broker. */
export function isSamePeer(left: Peer | null, right: Peer | null): boolean {
  if (left === null || right === null) return left === right;
  return left.brokerId === right.brokerId && left.directoryId === right.directoryId;
}

/** Smallest number of members of which any two such groups out of `voterCount` share one. */
export function majority(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** The data of a `voters` entry. */
export function encodeVoters(voters: readonly Peer[]): string {
  return JSON.stringify(voters.map(({ brokerId, directoryId }) => ({ brokerId, directoryId })));
}

/** The voters that a `voters` entry holds. */
export function decodeVoters(data: string): readonly Peer[] {
  return JSON.parse(data) as Peer[];
}
