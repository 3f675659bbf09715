/**
 * What no honest replica would say. A message is judged before anything is made of it: numbers that
 * are far beyond what is known here, entries that do not follow on from each other, and words
 * against what is committed are refused, and change nothing. Asserts are for this replica's own
 * state only.
 *
 * The bounds keep one wrong number from taking a group to the end of the integers. They prove
 * nothing: what lies within them is believed.
 */
import type { Core } from './core.ts';
import { isSamePeer, peerKey, readVoters, votersFault } from './peer.ts';
import type { Append, InstallSnapshot, Peer, RaftMessage } from './types.ts';

/**
 * Terms, entries and incarnations that may have passed while a replica was away. Pre-vote lets a
 * term rise only with an election that can succeed: one each second for 136 years. A newcomer is as
 * far behind as its group is old, so a tighter bound would one day refuse it.
 */
export const TERM_JUMP_MAX = 2 ** 32;
export const INDEX_JUMP_MAX = 2 ** 40;
const INCARNATION_JUMP_MAX = 2 ** 48;
/** Half of the safe integers stays free for what a replica counts by itself. */
const NUMBER_MAX = 2 ** 52;
/** UTF-16 units of an image: half of what the longest text can hold. */
const SNAPSHOT_UNITS_MAX = 2 ** 28;

/** Why the message is refused, in words; null when it may be believed. */
export function messageFault(core: Core, from: Peer, message: RaftMessage): string | null {
  if (isSamePeer(from, core.self)) return 'it comes in the name of its receiver';
  return headerFault(core, from, message) ?? bodyFault(core, from, message);
}

function headerFault(core: Core, from: Peer, message: RaftMessage): string | null {
  const { term, incarnation, toIncarnation } = message;
  return (
    numberFault('term', term, 0, ceiling(core.term, TERM_JUMP_MAX)) ??
    numberFault(
      'incarnation',
      incarnation,
      1,
      ceiling(core.incarnationOf(from), INCARNATION_JUMP_MAX),
    ) ??
    numberFault('toIncarnation', toIncarnation, 0, ceiling(core.incarnation, INCARNATION_JUMP_MAX))
  );
}

function bodyFault(core: Core, from: Peer, message: RaftMessage): string | null {
  const { term } = message;
  const index = (name: string, value: number): string | null =>
    numberFault(name, value, 0, ceiling(core.log.lastIndex, INDEX_JUMP_MAX));
  switch (message.kind) {
    case 'pre-vote':
      return (
        numberFault('campaignTerm', message.campaignTerm, term + 1, term + 1) ??
        index('lastIndex', message.lastIndex) ??
        numberFault('lastTerm', message.lastTerm, 0, term)
      );
    case 'vote':
    case 'follow':
      return (
        index('lastIndex', message.lastIndex) ?? numberFault('lastTerm', message.lastTerm, 0, term)
      );
    case 'append':
      return (
        leaderFault(core, term) ??
        index('prevIndex', message.prevIndex) ??
        index('commitIndex', message.commitIndex) ??
        numberFault('round', message.round, 0, NUMBER_MAX) ??
        entriesFault(message, term) ??
        (term < core.term ? null : contradiction(core, message))
      );
    case 'snapshot':
      return (
        leaderFault(core, term) ??
        index('snapshotIndex', message.snapshotIndex) ??
        snapshotFault(message, term) ??
        (term < core.term ? null : snapshotContradiction(core, message))
      );
    case 'append-accepted':
      return answerFault(core, term, message.round) ?? matchFault(core, term, message.matchIndex);
    case 'append-rejected':
      return answerFault(core, term, message.round) ?? index('lastIndex', message.lastIndex);
    case 'timeout-now':
      return core.leader === null || term !== core.term || isSamePeer(from, core.leader)
        ? null
        : `term ${term} is led by ${peerKey(core.leader)}`;
    case 'snapshot-reply':
    case 'pre-vote-reply':
    case 'vote-reply':
    case 'follow-reply':
      // Compared with what was asked, or only a hint.
      return null;
  }
}

/** Who sends entries or a snapshot claims to lead the term; a term has one leader (thesis 3.2). */
function leaderFault(core: Core, term: number): string | null {
  if (term < 1) return 'term is 0, which nobody leads';
  return core.leading !== null && term === core.term
    ? `it claims to lead term ${term}, which its receiver leads`
    : null;
}

/** Entries follow on from what they name, terms never fall, and voters can be read (thesis 3.5). */
function entriesFault({ prevIndex, prevTerm, entries }: Append, term: number): string | null {
  const fault = numberFault('prevTerm', prevTerm, 0, term);
  if (fault !== null) return fault;
  let termBefore = Math.max(1, prevTerm);
  for (const [position, entry] of entries.entries()) {
    const index = prevIndex + 1 + position;
    if (entry.index !== index) return `entry ${entry.index} stands in the place of ${index}`;
    const termFault = numberFault(`term of entry ${index}`, entry.term, termBefore, term);
    if (termFault !== null) return termFault;
    if (entry.kind === 'voters' && readVoters(entry.data) === null)
      return `entry ${index} holds no voters that can be read`;
    termBefore = entry.term;
  }
  return null;
}

/** What is committed stands in the log of every later leader (thesis 3.4, leader completeness). */
function contradiction(core: Core, { prevIndex, prevTerm, entries }: Append): string | null {
  const isAgainst = (index: number, term: number): boolean =>
    index >= core.log.base.index && index <= core.commitIndex && core.log.termAt(index) !== term;
  if (isAgainst(prevIndex, prevTerm)) return `entry ${prevIndex} is committed with another term`;
  const against = entries.find(({ index, term }) => isAgainst(index, term));
  return against === undefined ? null : `entry ${against.index} is committed with another term`;
}

function snapshotFault(message: InstallSnapshot, term: number): string | null {
  const { snapshotIndex, snapshotTerm, voters, offset, total, chunk } = message;
  return (
    numberFault('snapshotIndex', snapshotIndex, 1, NUMBER_MAX) ??
    numberFault('snapshotTerm', snapshotTerm, 1, term) ??
    votersFault(voters) ??
    numberFault('total', total, 0, SNAPSHOT_UNITS_MAX) ??
    numberFault('offset', offset, 0, total - chunk.length)
  );
}

function snapshotContradiction(core: Core, message: InstallSnapshot): string | null {
  const { snapshotIndex: index, snapshotTerm: term } = message;
  const { log, commitIndex } = core;
  if (index > commitIndex)
    return numberFault('snapshotTerm', term, log.termAt(commitIndex) ?? 0, NUMBER_MAX);
  return index >= log.base.index && log.termAt(index) !== term
    ? `entry ${index} is committed with another term`
    : null;
}

/** An answer names a round that was begun. */
function answerFault(core: Core, term: number, round: number): string | null {
  return core.leading === null || term !== core.term
    ? null
    : numberFault('round', round, 0, core.leading.round);
}

/** Nobody holds more of a leader's log than the leader. */
function matchFault(core: Core, term: number, matchIndex: number): string | null {
  return core.leading === null || term !== core.term
    ? null
    : numberFault('matchIndex', matchIndex, 0, core.log.lastIndex);
}

function ceiling(known: number, jumpMax: number): number {
  return Math.min(known + jumpMax, NUMBER_MAX);
}

function numberFault(name: string, value: number, min: number, max: number): string | null {
  return Number.isInteger(value) && value >= min && value <= max
    ? null
    : `${name} is ${value}, can be ${min} to ${max}`;
}
