/**
 * The q that a partition's row aims at (docs/rules.md#sync-set-and-q). The leader proposes raises
 * and the controller judges them, so both must use this one function: a leader with another aim
 * proposes for ever what the controller refuses for ever.
 */

/** What the aim depends on. */
export interface QuorumRow {
  /** `in-sync`: every member of S must have a record. `quorum`: a majority of S. */
  readonly commitMode: 'in-sync' | 'quorum';
  readonly minInSyncReplicas: number;
  /** |S|. */
  readonly members: number;
  /**
   * Members of S that leave it as soon as q can spare them (rule 19): each takes one of q along.
   */
  readonly leaving: number;
}

/**
 * A majority of those who stay, but never below minInSyncReplicas (HW stands still while q is
 * less), and one for each who leaves.
 */
export function quorumTarget(row: QuorumRow): number {
  const staying = row.members - row.leaving;
  if (row.commitMode === 'in-sync') return row.members;
  const majority = Math.floor(staying / 2) + 1;
  return Math.min(staying, Math.max(row.minInSyncReplicas, majority)) + row.leaving;
}
