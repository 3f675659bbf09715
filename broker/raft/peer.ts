/** Identities of replicas, and counting them. Pure. */
import { assert } from '../../base/assert.ts';
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

/** More would be a mistake: the controller chooses 1, 3 or 5. */
const VOTERS_MAX = 100;

/** The voters that a `voters` entry of this replica's log holds. */
export function decodeVoters(data: string): readonly Peer[] {
  const voters = readVoters(data);
  assert(voters !== null, 'a log holds no voters that cannot be read');
  return voters;
}

/** The voters that the data of a `voters` entry names; null when it is none. */
export function readVoters(data: string): readonly Peer[] | null {
  const value = parsed(data);
  return isListOfPeers(value) && votersFault(value) === null ? value : null;
}

/** What no group has for its voters, in words; null when it may have these. */
export function votersFault(voters: readonly Peer[]): string | null {
  if (voters.length === 0 || voters.length > VOTERS_MAX)
    return `there are ${voters.length} voters, can be 1 to ${VOTERS_MAX}`;
  const brokerIds = new Set(voters.map(({ brokerId }) => brokerId));
  return brokerIds.size === voters.length ? null : 'a broker has two voters';
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

function isListOfPeers(value: unknown): value is readonly Peer[] {
  return Array.isArray(value) && value.every(isPeer);
}

function isPeer(value: unknown): value is Peer {
  if (typeof value !== 'object' || value === null) return false;
  const { brokerId, directoryId } = value as Partial<Record<keyof Peer, unknown>>;
  return (
    Number.isSafeInteger(brokerId) && (brokerId as number) >= 0 && typeof directoryId === 'string'
  );
}
