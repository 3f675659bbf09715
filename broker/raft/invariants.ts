/**
 * What must hold of one replica whatever arrives. {@link checkStep} is cheap and runs after every
 * step, in production too; {@link checkLog} reads the whole log and is for tests and simulation.
 * Properties of several replicas together are checked by `test/sim/raft`.
 */
import { assert } from '../../base/assert.ts';
import type { Core } from './core.ts';
import type { RaftLog } from './log.ts';
import { decodeVoters, isSamePeer } from './peer.ts';
import type { Peer } from './types.ts';

/** What one step must not undo. */
export interface Mark {
  readonly term: number;
  readonly vote: Peer | null;
  readonly commitIndex: number;
  readonly snapshotIndex: number;
}

/** Taken before a step. */
export function markOf(core: Core): Mark {
  return {
    term: core.term,
    vote: core.vote,
    commitIndex: core.commitIndex,
    snapshotIndex: core.log.snapshotIndex,
  };
}

/** Compares the state after a step with the mark taken before it. */
export function checkStep(before: Mark, core: Core): void {
  const { log, role, term } = core;
  assert(term >= before.term, `term fell from ${before.term} to ${term}`);
  assert(
    term > before.term || before.vote === null || isSamePeer(before.vote, core.vote),
    `the vote of term ${term} changed`,
  );
  assert(
    core.commitIndex >= before.commitIndex,
    `commit index fell from ${before.commitIndex} to ${core.commitIndex}`,
  );
  assert(
    log.snapshotIndex >= before.snapshotIndex,
    `snapshot fell from ${before.snapshotIndex} to ${log.snapshotIndex}`,
  );
  assert(
    log.snapshotIndex <= core.commitIndex && core.commitIndex <= log.lastIndex,
    `commit index ${core.commitIndex} is outside [${log.snapshotIndex}, ${log.lastIndex}]`,
  );
  assert(
    log.durableIndex <= log.lastIndex,
    `durable index ${log.durableIndex} is past the end ${log.lastIndex}`,
  );
  assert(log.lastTerm <= term, `the log's last term ${log.lastTerm} is above the term ${term}`);
  assert(
    (role === 'leader') === isSamePeer(core.leader, core.self),
    `a ${role} whose leader is ${JSON.stringify(core.leader)}`,
  );
  assert(
    role !== 'leader' || isSamePeer(core.vote, core.self),
    `leader of term ${term} without its own vote`,
  );
}

/** Every entry follows the one before it, and each change of voters changes one. */
export function checkLog(log: RaftLog): void {
  let term = log.base.term;
  let voters: readonly Peer[] | null = null;
  for (let index = log.base.index + 1; index <= log.lastIndex; index += 1) {
    const entry = log.entryAt(index);
    assert(entry !== null && entry.index === index, `entry ${index} is missing`);
    assert(entry.term >= term, `term ${entry.term} of entry ${index} is below ${term}`);
    term = entry.term;
    if (entry.kind !== 'voters') continue;
    const next = decodeVoters(entry.data);
    const before: readonly Peer[] = voters ?? next;
    const changes = differences(before, next) + differences(next, before);
    assert(changes <= 1, `entry ${index} changes ${changes} voters`);
    voters = next;
  }
}

function differences(left: readonly Peer[], right: readonly Peer[]): number {
  return left.filter((peer) => !right.some((other) => isSamePeer(peer, other))).length;
}
