/**
 * Arithmetic of the high-water mark: the q-th largest acknowledged end in S, under every (S, q)
 * that may be in force (rule 12). Knows nothing of epochs or incarnations: the leader passes only
 * acknowledgements that count. Source: docs/rules.md#sync-set-and-q.
 */
import type { BrokerId, Offset } from '../../base/units.ts';

/** A sync set S with its count q. */
export interface CommitRule {
  readonly syncSet: readonly BrokerId[];
  readonly quorum: number;
}

/** End that a member has acknowledged, or {@link UNKNOWN_END}. */
export type EndOf = (member: BrokerId) => Offset;

/**
 * End of a member that has acknowledged nothing in this epoch and incarnation. Below every offset.
 */
export const UNKNOWN_END: Offset = -1;

/**
 * The q-th largest end in S; {@link UNKNOWN_END} while fewer than q members have acknowledged
 * anything.
 */
export function quorumEnd(rule: CommitRule, endOf: EndOf): Offset {
  const ends: Offset[] = [];
  for (const member of rule.syncSet) {
    const end = endOf(member);
    let at = ends.length;
    // S has a handful of members: an insertion beats a sort with a comparator.
    while (at > 0 && (ends[at - 1] as Offset) < end) at -= 1;
    ends.splice(at, 0, end);
  }
  return ends[rule.quorum - 1] ?? UNKNOWN_END;
}

/**
 * The end that satisfies all rules at once: the maximal sync set of KIP-497, generalised to (S, q).
 */
export function committedEnd(rules: readonly CommitRule[], endOf: EndOf): Offset {
  let committed = Infinity;
  for (const rule of rules) committed = Math.min(committed, quorumEnd(rule, endOf));
  return committed;
}
