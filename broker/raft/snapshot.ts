/**
 * Snapshots: sending one in chunks, receiving one, and taking the application's image as the new
 * start of the log (thesis 5). One chunk per peer is under way; a lost one is sent again when
 * nothing moved for a few heartbeats.
 */
import type { Core } from './core.ts';
import { peerKey } from './peer.ts';
import type { Progress } from './progress.ts';
import type { InstallSnapshot, Peer, SnapshotReply } from './types.ts';

/** A UTF-16 unit takes at most this many bytes in UTF-8. */
const BYTES_PER_UNIT_MAX = 3;
const RESEND_HEARTBEATS = 5;

/**
 * The part of `data` from `offset` on that fits `bytesMax` and splits no surrogate pair, which
 * UTF-8 could not carry.
 */
function chunkFrom(data: string, offset: number, bytesMax: number): string {
  const units = Math.max(2, Math.floor(bytesMax / BYTES_PER_UNIT_MAX));
  const end = offset + units;
  const last = data.charCodeAt(end - 1);
  const isPairSplit = end < data.length && last >= 0xd800 && last < 0xdc00;
  return data.slice(offset, isPairSplit ? end - 1 : end);
}

/** Leader: begins or goes on sending the snapshot that `progress` needs. */
export function sendSnapshot(core: Core, progress: Progress): void {
  const { snapshot } = core.log;
  if (progress.transmission === null && snapshot === null) return;
  const transmission = progress.transmission ?? (snapshot && progress.transmit(snapshot, core.now));
  if (transmission === null) return;
  const { index, term, voters, data } = transmission.snapshot;
  transmission.sentAt = core.now;
  core.send(progress.peer, {
    kind: 'snapshot',
    snapshotIndex: index,
    snapshotTerm: term,
    voters,
    offset: transmission.offset,
    total: data.length,
    chunk: chunkFrom(data, transmission.offset, core.settings.appendBytesMax),
  });
}

/** Leader, every heartbeat: sends a chunk again whose answer is overdue. */
export function resendSnapshot(core: Core, progress: Progress): void {
  const { transmission } = progress;
  if (
    transmission === null ||
    core.now - transmission.sentAt < RESEND_HEARTBEATS * core.settings.heartbeatTicks
  )
    return;
  sendSnapshot(core, progress);
}

/** Leader: a chunk has arrived. */
export function onSnapshotReply(core: Core, progress: Progress, message: SnapshotReply): void {
  const { transmission } = progress;
  if (transmission === null || transmission.snapshot.index !== message.snapshotIndex) return;
  if (
    message.received === transmission.offset ||
    message.received > transmission.snapshot.data.length
  )
    return;
  transmission.offset = message.received;
  sendSnapshot(core, progress);
}

/** Follower: a chunk of the leader's snapshot. */
export function onSnapshot(core: Core, from: Peer, message: InstallSnapshot): void {
  const { snapshotIndex: index, snapshotTerm: term, voters, offset, total, chunk } = message;
  const isHeld = index <= core.commitIndex || core.log.termAt(index) === term;
  if (isHeld) {
    core.reception = null;
    core.commitTo(index);
    core.sendDurable(from, { kind: 'append-accepted', matchIndex: index, round: 0 });
    return;
  }
  const reception = receptionOf(core, from, message);
  if (reception.isRefused) return;
  if (offset === reception.received) {
    reception.chunks.push(chunk);
    reception.received += chunk.length;
  }
  if (reception.received < total) {
    core.send(from, { kind: 'snapshot-reply', snapshotIndex: index, received: reception.received });
    return;
  }
  const snapshot = { index, term, voters, data: reception.chunks.join('') };
  const fault = core.settings.imageFault(snapshot);
  if (fault !== null) {
    // Its leader will send parts of it again, which are not answered.
    reception.chunks.length = 0;
    reception.isRefused = true;
    core.refuse(from, 'snapshot', `the image at ${index} cannot be read: ${fault}`);
    return;
  }
  core.reception = null;
  core.restore(snapshot);
  core.sendDurable(from, { kind: 'append-accepted', matchIndex: index, round: 0 });
}

function receptionOf(
  core: Core,
  from: Peer,
  message: InstallSnapshot,
): NonNullable<Core['reception']> {
  const key = `${peerKey(from)}@${core.term}`;
  const { snapshotIndex: index, snapshotTerm: term, total } = message;
  const present = core.reception;
  const isPresent =
    present?.from === key &&
    present.index === index &&
    present.term === term &&
    present.total === total;
  if (isPresent) return present;
  core.reception = { from: key, index, term, total, chunks: [], received: 0, isRefused: false };
  return core.reception;
}

/**
 * The application's image at `index`; ignored when it is not committed here or not above the
 * present snapshot.
 */
export function onCompact(core: Core, index: number, data: string): void {
  if (index <= core.log.snapshotIndex || index > core.commitIndex) return;
  core.log.compact(index, data, core.settings.tailEntriesMax);
}
